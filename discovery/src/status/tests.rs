use serde_json::{Value, json};

use model::gateway::GATEWAY_CONTROLLER;

use super::{digest, digest_of, merge};

const THEN: &str = "2020-01-01T00:00:00Z";
const NOW: &str = "2026-01-01T00:00:00Z";

fn condition(status: &str, time: Option<&str>) -> Value {
    let mut condition = json!({"type": "Accepted", "status": status, "reason": "R", "message": "", "observedGeneration": 3});
    if let Some(time) = time {
        condition["lastTransitionTime"] = time.into();
    }
    condition
}

fn parent(controller: &str, gateway: &str, condition: &Value) -> Value {
    json!({"controllerName": controller, "parentRef": {"name": gateway}, "conditions": [condition]})
}

#[test]
fn times_and_others_entries_are_no_news() {
    let wanted = json!({"parents": [parent(GATEWAY_CONTROLLER, "g", &condition("True", None))]});
    let written = json!({"parents": [
        parent("other.example/c", "g", &condition("False", Some(THEN))),
        parent(GATEWAY_CONTROLLER, "g", &condition("True", Some(THEN))),
    ]});
    assert_eq!(digest(&wanted), digest(&written));
    assert_eq!(digest_of(&json!({"status": written})), digest(&wanted));
    let changed = json!({"parents": [parent(GATEWAY_CONTROLLER, "g", &condition("False", None))]});
    assert_ne!(digest(&changed), digest(&wanted));
    let mut later = condition("True", None);
    later["observedGeneration"] = 4.into();
    let later = json!({"parents": [parent(GATEWAY_CONTROLLER, "g", &later)]});
    assert_ne!(digest(&later), digest(&wanted), "the generation is news");
}

#[test]
fn nothing_of_ours_is_nothing() {
    assert_eq!(digest_of(&json!({})), 0);
    assert_eq!(digest_of(&json!({"status": {"parents": []}})), 0);
    let others =
        json!({"status": {"parents": [parent("other.example/c", "g", &condition("True", None))]}});
    assert_eq!(digest_of(&others), 0);
}

#[test]
fn a_condition_keeps_its_time_until_its_status_changes() {
    let current = json!({"conditions": [condition("True", Some(THEN))]});
    let kept = merge(&current, &json!({"conditions": [condition("True", None)]}), NOW);
    assert_eq!(kept["conditions"][0]["lastTransitionTime"], THEN);
    let moved = merge(&current, &json!({"conditions": [condition("False", None)]}), NOW);
    assert_eq!(moved["conditions"][0]["lastTransitionTime"], NOW);
    let first = merge(&Value::Null, &json!({"conditions": [condition("True", None)]}), NOW);
    assert_eq!(first["conditions"][0]["lastTransitionTime"], NOW);
}

#[test]
fn listeners_conditions_are_dated_by_the_listeners_name() {
    let listener = |name: &str, condition: Value| json!({"name": name, "attachedRoutes": 1, "conditions": [condition]});
    let current = json!({"listeners": [
        listener("b", condition("True", Some(NOW))), listener("a", condition("True", Some(THEN))),
    ]});
    let wanted = json!({"listeners": [listener("a", condition("True", None)), listener("c", condition("True", None))]});
    let merged = merge(&current, &wanted, "later");
    let time = |at: usize| &merged["listeners"][at]["conditions"][0]["lastTransitionTime"];
    assert_eq!((time(0), time(1)), (&json!(THEN), &json!("later")));
}

#[test]
fn others_entries_of_a_shared_list_are_written_back() {
    let other = parent("other.example/c", "g", &condition("False", Some(THEN)));
    let current = json!({"parents": [
        other, parent(GATEWAY_CONTROLLER, "g", &condition("True", Some(THEN))),
        parent(GATEWAY_CONTROLLER, "gone", &condition("True", Some(THEN))),
    ]});
    let wanted = json!({"parents": [
        parent(GATEWAY_CONTROLLER, "g", &condition("True", None)),
        parent(GATEWAY_CONTROLLER, "h", &condition("True", None)),
    ]});
    assert_eq!(
        merge(&current, &wanted, NOW),
        json!({"parents": [
            other,
            parent(GATEWAY_CONTROLLER, "g", &condition("True", Some(THEN))),
            parent(GATEWAY_CONTROLLER, "h", &condition("True", Some(NOW))),
        ]})
    );
}
