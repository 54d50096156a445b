//! What the statuses of objects say that cannot be read.
//!
//! Whoever wrote such an object looks at its status, not at our log. For a route that is one entry for
//! each of its parents that is ours; a Gateway says it by itself, when it already was ours.

use model::gateway::{GATEWAY_CONTROLLER, GATEWAY_GROUP, ObjectKind};
use model::name::ObjectRef;
use serde_json::{Value, json};

use crate::hold::Quarantined;
use crate::wanted::{ObjectStatus, Subject};

/// The longest message of a condition (Kubernetes API conventions).
const MESSAGE_CHARS_MAX: usize = 32_768;

/// The statuses of what was put aside, where it is ours: `is_ours` says it of a Gateway or ListenerSet,
/// by what is said of its last good version. One that is put aside replaces that.
pub(crate) fn refusals<'q>(
    quarantined: impl Iterator<Item = &'q Quarantined>,
    is_ours: impl Fn(&Subject) -> bool,
) -> Vec<ObjectStatus> {
    quarantined.filter_map(|one| refusal(one, &is_ours)).collect()
}

fn refusal(one: &Quarantined, is_ours: &impl Fn(&Subject) -> bool) -> Option<ObjectStatus> {
    let Quarantined { kind, object, generation, message, parents, .. } = one;
    let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    let condition = |name: &str, reason: &str| {
        json!({
            "type": name, "status": "False", "reason": reason, "message": message,
            "observedGeneration": generation,
        })
    };
    let status = match kind {
        ObjectKind::Gateway | ObjectKind::ListenerSet if is_ours(&(*kind, object.clone())) => {
            json!({
                "conditions": [condition("Accepted", "Invalid"), condition("Programmed", "Invalid")],
            })
        }
        ObjectKind::HttpRoute
        | ObjectKind::GrpcRoute
        | ObjectKind::TlsRoute
        | ObjectKind::TcpRoute
        | ObjectKind::UdpRoute => {
            let mine =
                parents.iter().filter(|parent| names_ours(parent, &object.namespace, is_ours));
            let entry = |parent: &Value| {
                json!({
                    "parentRef": parent, "controllerName": GATEWAY_CONTROLLER,
                    "conditions": [condition("Accepted", "UnsupportedValue")],
                })
            };
            let entries: Vec<Value> = mine.map(entry).collect();
            (!entries.is_empty()).then(|| json!({"parents": entries}))?
        }
        _ => return None,
    };
    Some(ObjectStatus { kind: *kind, object: object.clone(), status: status.into() })
}

fn names_ours(parent: &Value, namespace: &str, is_ours: &impl Fn(&Subject) -> bool) -> bool {
    let text = |key: &str, default| parent[key].as_str().unwrap_or(default);
    let kind = match text("kind", "Gateway") {
        "Gateway" => ObjectKind::Gateway,
        "ListenerSet" => ObjectKind::ListenerSet,
        _ => return false,
    };
    let object = ObjectRef::new(text("namespace", namespace), text("name", ""));
    text("group", GATEWAY_GROUP) == GATEWAY_GROUP && is_ours(&(kind, object))
}

#[cfg(test)]
mod tests {
    use model::gateway::{GATEWAY_CONTROLLER, ObjectKind};
    use model::name::ObjectRef;
    use serde_json::{Value, json};

    use super::refusals;
    use crate::follow::Change;
    use crate::hold::Hold;
    use crate::item::Item;
    use crate::wanted::ObjectStatus;

    fn bad(kind: ObjectKind, spec: &Value) -> Vec<ObjectStatus> {
        let mut hold = Hold::new();
        let metadata =
            json!({"name": "bad", "namespace": "n", "resourceVersion": "7", "generation": 3});
        let item =
            Item::read(kind, "v1", json!({"metadata": metadata, "spec": spec})).expect("named");
        hold.take(kind, Change::Put(item));
        assert_eq!(hold.quarantine().count(), 1, "{kind:?} is put aside");
        let ours = [ObjectRef::new("n", "edge"), ObjectRef::new("n", "bad")];
        refusals(hold.quarantine(), |(kind, object)| {
            *kind == ObjectKind::Gateway && ours.contains(object)
        })
    }

    #[test]
    fn a_route_says_it_to_those_of_its_parents_that_are_ours() {
        let parents = json!([{"name": "edge", "sectionName": "web"}, {"name": "other"}, {"name": "edge", "kind": "Service", "group": ""}]);
        let said = bad(ObjectKind::HttpRoute, &json!({"parentRefs": parents, "rules": 7}));
        assert_eq!(said.len(), 1);
        let status = said[0].status.json();
        let parent = &status["parents"][0];
        assert_eq!(status["parents"].as_array().map(Vec::len), Some(1));
        assert_eq!(parent["parentRef"], json!({"name": "edge", "sectionName": "web"}));
        assert_eq!(parent["controllerName"], GATEWAY_CONTROLLER);
        let condition = &parent["conditions"][0];
        assert_eq!(
            (&condition["type"], &condition["status"]),
            (&json!("Accepted"), &json!("False"))
        );
        assert_eq!(
            (&condition["reason"], &condition["observedGeneration"]),
            (&json!("UnsupportedValue"), &json!(3))
        );
        assert!(condition["message"].as_str().is_some_and(|text| text.contains("rules")));
    }

    #[test]
    fn a_gateway_that_was_ours_says_it_itself_and_others_say_nothing() {
        let said =
            bad(ObjectKind::Gateway, &json!({"gatewayClassName": "nearside", "listeners": 7}));
        let status = said[0].status.json();
        let reasons: Vec<&Value> = status["conditions"]
            .as_array()
            .expect("conditions")
            .iter()
            .map(|one| &one["reason"])
            .collect();
        assert_eq!(reasons, ["Invalid", "Invalid"]);
        let others =
            bad(ObjectKind::HttpRoute, &json!({"parentRefs": [{"name": "other"}], "rules": 7}));
        assert_eq!(others.len(), 0);
        let services = bad(ObjectKind::Service, &json!({"ports": 7}));
        assert_eq!(services.len(), 0, "a Service has no such condition");
    }
}
