//! What the statuses of objects say that cannot be read.
//!
//! Whoever wrote such an object looks at its status, not at our log. For a route that is one entry for
//! each of its parents that is ours; a Gateway says it by itself, when it already was ours.

use std::collections::HashSet;

use model::gateway::{GATEWAY_GROUP, ObjectKind};
use model::name::ObjectRef;
use serde_json::{Value, json};

use crate::hold::Quarantined;
use crate::hub::ObjectStatus;
use crate::status::CONTROLLER_NAME;

/// The longest message of a condition (Kubernetes API conventions).
const MESSAGE_CHARS_MAX: usize = 32_768;

/// The statuses of what was put aside, where it is ours: `statuses` are those of what was read, by
/// which the Gateways that are ours are known. One that is put aside replaces what was said of its
/// last good version.
pub(crate) fn refusals(
    quarantined: &[Quarantined],
    statuses: &[ObjectStatus],
) -> Vec<ObjectStatus> {
    let parents =
        |one: &&ObjectStatus| matches!(one.kind, ObjectKind::Gateway | ObjectKind::ListenerSet);
    let ours: HashSet<(ObjectKind, &ObjectRef)> =
        statuses.iter().filter(parents).map(|one| (one.kind, &one.object)).collect();
    quarantined.iter().filter_map(|one| refusal(one, &ours)).collect()
}

fn refusal(one: &Quarantined, ours: &HashSet<(ObjectKind, &ObjectRef)>) -> Option<ObjectStatus> {
    let Quarantined { kind, object, generation, message, parents, .. } = one;
    let message: String = message.chars().take(MESSAGE_CHARS_MAX).collect();
    let condition = |name: &str, reason: &str| {
        json!({
            "type": name, "status": "False", "reason": reason, "message": message,
            "observedGeneration": generation,
        })
    };
    let status = match kind {
        ObjectKind::Gateway | ObjectKind::ListenerSet if ours.contains(&(*kind, object)) => json!({
            "conditions": [condition("Accepted", "Invalid"), condition("Programmed", "Invalid")],
        }),
        ObjectKind::HttpRoute
        | ObjectKind::GrpcRoute
        | ObjectKind::TlsRoute
        | ObjectKind::TcpRoute
        | ObjectKind::UdpRoute => {
            let mine = parents.iter().filter(|parent| is_ours(parent, &object.namespace, ours));
            let entry = |parent: &Value| {
                json!({
                    "parentRef": parent, "controllerName": CONTROLLER_NAME,
                    "conditions": [condition("Accepted", "UnsupportedValue")],
                })
            };
            let entries: Vec<Value> = mine.map(entry).collect();
            (!entries.is_empty()).then(|| json!({"parents": entries}))?
        }
        _ => return None,
    };
    Some(ObjectStatus { kind: *kind, object: object.clone(), status })
}

fn is_ours(parent: &Value, namespace: &str, ours: &HashSet<(ObjectKind, &ObjectRef)>) -> bool {
    let text = |key: &str, default| parent[key].as_str().unwrap_or(default);
    let kind = match text("kind", "Gateway") {
        "Gateway" => ObjectKind::Gateway,
        "ListenerSet" => ObjectKind::ListenerSet,
        _ => return false,
    };
    let object = ObjectRef::new(text("namespace", namespace), text("name", ""));
    text("group", GATEWAY_GROUP) == GATEWAY_GROUP && ours.contains(&(kind, &object))
}

#[cfg(test)]
mod tests {
    use model::gateway::ObjectKind;
    use model::name::ObjectRef;
    use serde_json::{Value, json};

    use super::refusals;
    use crate::follow::Change;
    use crate::hold::Hold;
    use crate::hub::ObjectStatus;
    use crate::item::Item;
    use crate::status::CONTROLLER_NAME;

    fn bad(kind: ObjectKind, spec: &Value) -> Vec<ObjectStatus> {
        let mut hold = Hold::new();
        let metadata =
            json!({"name": "bad", "namespace": "n", "resourceVersion": "7", "generation": 3});
        let item =
            Item::read(kind, "v1", json!({"metadata": metadata, "spec": spec})).expect("named");
        hold.take(kind, Change::Put(item));
        let found: Vec<_> = hold.quarantine().cloned().collect();
        assert_eq!(found.len(), 1, "{kind:?} is put aside");
        let gateway = |name| ObjectStatus {
            kind: ObjectKind::Gateway,
            object: ObjectRef::new("n", name),
            status: Value::Null,
        };
        refusals(&found, &[gateway("edge"), gateway("bad")])
    }

    #[test]
    fn a_route_says_it_to_those_of_its_parents_that_are_ours() {
        let parents = json!([{"name": "edge", "sectionName": "web"}, {"name": "other"}, {"name": "edge", "kind": "Service", "group": ""}]);
        let said = bad(ObjectKind::HttpRoute, &json!({"parentRefs": parents, "rules": 7}));
        assert_eq!(said.len(), 1);
        let parent = &said[0].status["parents"][0];
        assert_eq!(said[0].status["parents"].as_array().map(Vec::len), Some(1));
        assert_eq!(parent["parentRef"], json!({"name": "edge", "sectionName": "web"}));
        assert_eq!(parent["controllerName"], CONTROLLER_NAME);
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
        let reasons: Vec<&Value> = said[0].status["conditions"]
            .as_array()
            .expect("conditions")
            .iter()
            .map(|one| &one["reason"])
            .collect();
        assert_eq!(reasons, ["Invalid", "Invalid"]);
        assert_eq!(
            bad(ObjectKind::HttpRoute, &json!({"parentRefs": [{"name": "other"}], "rules": 7})),
            []
        );
        assert_eq!(
            bad(ObjectKind::Service, &json!({"ports": 7})),
            [],
            "a Service has no such condition"
        );
    }
}
