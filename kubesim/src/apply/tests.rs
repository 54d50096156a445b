use serde_json::{Value, json};

use super::{Applier, Conflicts, apply, take_over};
use crate::managed::{Manager, managed_fields};

#[derive(Default)]
struct World {
    live: Value,
    managers: Vec<Manager>,
}

impl World {
    fn apply(&mut self, manager: &str, applied: &Value, conflicts: Conflicts) -> Result<(), Value> {
        let applier = Applier { manager, subresource: "", conflicts };
        let outcome = apply(&Value::Null, &mut self.live, &mut self.managers, (applied, applier));
        outcome.map_err(|refusal| refusal.status()["details"]["causes"].clone())
    }
}

#[test]
fn a_field_left_out_is_removed_and_another_managers_stays() {
    let mut world = World::default();
    world.apply("a", &json!({"data": {"x": "1", "y": "2"}}), Conflicts::Refuse).expect("applied");
    world.apply("b", &json!({"data": {"z": "3", "y": "2"}}), Conflicts::Refuse).expect("shared");
    world.apply("a", &json!({"data": {"x": "9"}}), Conflicts::Refuse).expect("applied");
    assert_eq!(world.live, json!({"data": {"x": "9", "y": "2", "z": "3"}}), "y is still b's");
    world.apply("b", &json!({"data": {}}), Conflicts::Refuse).expect("applied");
    assert_eq!(world.live, json!({"data": {"x": "9"}}));
}

#[test]
fn another_managers_value_is_a_conflict_until_it_is_forced() {
    let mut world = World::default();
    world.apply("a", &json!({"data": {"k": "1"}}), Conflicts::Refuse).expect("applied");
    let causes =
        world.apply("b", &json!({"data": {"k": "2"}}), Conflicts::Refuse).expect_err("409");
    assert_eq!(
        causes,
        json!([{
            "reason": "FieldManagerConflict", "message": "conflict with \"a\"", "field": ".data.k",
        }])
    );
    assert_eq!(world.live, json!({"data": {"k": "1"}}), "a refusal changes nothing");
    world.apply("b", &json!({"data": {"k": "2"}}), Conflicts::Take).expect("forced");
    assert_eq!(world.live, json!({"data": {"k": "2"}}));
    let owners: Vec<&str> = world.managers.iter().map(|one| one.name.as_str()).collect();
    assert_eq!(owners, ["b"], "a owns nothing any more");
}

#[test]
fn items_of_a_keyed_list_have_owners_of_their_own() {
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    let mut world = World::default();
    let applied =
        json!({"status": {"conditions": [condition("A", "True"), condition("B", "True")]}});
    world.apply("a", &applied, Conflicts::Refuse).expect("applied");
    let applied = json!({"status": {"conditions": [condition("C", "True")]}});
    world.apply("c", &applied, Conflicts::Refuse).expect("applied");
    let applied = json!({"status": {"conditions": [condition("A", "False")]}});
    world.apply("a", &applied, Conflicts::Refuse).expect("applied");
    let conditions = json!([condition("A", "False"), condition("C", "True")]);
    assert_eq!(world.live, json!({"status": {"conditions": conditions}}));
}

#[test]
fn an_item_that_is_left_out_leaves_nothing_behind() {
    // The key is in the middle of the item's fields, and some of them are deeper than it.
    let schema = json!({"properties": {"listeners": {
        "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
    }}});
    let listener = |name: &str| json!({"attached": 1, "name": name, "of": {"kind": "x"}, "z": []});
    let applier = Applier { manager: "a", subresource: "", conflicts: Conflicts::Refuse };
    let (mut live, mut managers) = (Value::Null, Vec::new());
    for names in [&["one", "two"][..], &["two"], &["two", "three"]] {
        let applied =
            json!({"listeners": names.iter().map(|name| listener(name)).collect::<Vec<_>>()});
        apply(&schema, &mut live, &mut managers, (&applied, applier)).expect("applied");
        assert_eq!(live, applied);
    }
    // What another manager has in an item keeps the item and its key.
    let other = Applier { manager: "b", ..applier };
    let more = json!({"listeners": [{"name": "three", "more": true}]});
    apply(&schema, &mut live, &mut managers, (&more, other)).expect("applied");
    let applied = json!({"listeners": [listener("two")]});
    apply(&schema, &mut live, &mut managers, (&applied, applier)).expect("applied");
    assert_eq!(live, json!({"listeners": [listener("two"), {"name": "three", "more": true}]}));
}

#[test]
fn a_plain_write_takes_what_it_changes() {
    let mut world = World::default();
    world.apply("a", &json!({"data": {"x": "1", "y": "1"}}), Conflicts::Refuse).expect("applied");
    let after = json!({"data": {"x": "2", "y": "1"}});
    take_over(&Value::Null, (&world.live, &after), &mut world.managers, ("kubectl", ""));
    let fields = managed_fields(&world.managers, "v1", "now");
    assert_eq!(fields[0]["fieldsV1"], json!({"f:data": {"f:y": {}}}));
    assert_eq!(fields[1]["fieldsV1"], json!({"f:data": {"f:x": {}}}));
    assert_eq!(
        (&fields[1]["manager"], &fields[1]["operation"]),
        (&json!("kubectl"), &json!("Update"))
    );
}
