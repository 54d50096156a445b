use serde_json::{Value, json};

use super::Schema;

fn route_schema() -> Schema {
    Schema::new(&json!({
        "required": ["spec"],
        "properties": {
            "spec": {"type": "object", "required": ["hosts"], "properties": {
                "hosts": {"type": "array", "maxItems": 2, "items": {"type": "string", "minLength": 1}},
                "rules": {"type": "array", "default": [{}], "items": {"type": "object", "properties": {
                    "weight": {"type": "integer", "default": 1, "minimum": 0, "maximum": 10},
                    "kind": {"type": "string", "enum": ["A", "B"]},
                }}},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            }},
        },
    }))
}

fn check(spec: &Value) -> Result<(), String> {
    let object = json!({"apiVersion": "x/v1", "kind": "X", "metadata": {}, "spec": spec});
    route_schema().check(&object).map_err(|found| format!("{}: {}", found.field, found.message))
}

#[test]
fn defaults_are_filled_inside_defaults_and_unknown_fields_are_pruned() {
    let mut object = json!({
        "apiVersion": "x/v1", "kind": "X", "metadata": {"name": "a"}, "other": 1,
        "spec": {"hosts": ["a"], "more": 1, "labels": {"any": "thing"}},
    });
    route_schema().shape(&mut object);
    assert_eq!(
        object,
        json!({
            "apiVersion": "x/v1", "kind": "X", "metadata": {"name": "a"},
            "spec": {"hosts": ["a"], "labels": {"any": "thing"}, "rules": [{"weight": 1}]},
        })
    );
}

#[test]
fn limits_types_and_required_fields_are_refused_by_their_path() {
    for (spec, refusal) in [
        (json!({"hosts": ["a"], "rules": [{"weight": 10, "kind": "B"}]}), ""),
        (json!({}), "spec.hosts: Required value"),
        (json!({"hosts": ["a", "b", "c"]}), "spec.hosts: Invalid value: more than maxItems 2"),
        (json!({"hosts": [""]}), "spec.hosts[0]: Invalid value: less than minLength 1"),
        (json!({"hosts": "a"}), "spec.hosts: Invalid value: must be of type array"),
        (
            json!({"hosts": [], "rules": [{"weight": 11}]}),
            "spec.rules[0].weight: Invalid value: more than maximum 10",
        ),
        (
            json!({"hosts": [], "rules": [{"kind": "C"}]}),
            "spec.rules[0].kind: Unsupported value: \"C\": supported values: \"A\", \"B\"",
        ),
    ] {
        assert_eq!(check(&spec).err().unwrap_or_default(), refusal, "{spec}");
    }
}

#[test]
fn unknown_fields_are_named_by_their_paths() {
    let schema = Schema::new(&serde_json::json!({"properties": {
        "spec": {"properties": {
            "rules": {"items": {"properties": {"name": {}}}},
            "open": {"x-kubernetes-preserve-unknown-fields": true, "properties": {}},
            "labels": {"additionalProperties": {"type": "string"}},
        }},
    }}));
    let object = serde_json::json!({
        "apiVersion": "v", "kind": "k", "metadata": {"anything": 1}, "other": 1,
        "spec": {"rules": [{"name": 1}, {"nam": 1}], "open": {"x": 1}, "labels": {"a": "b"}, "rule": 1},
    });
    assert_eq!(schema.unknown(&object), ["other", "spec.rule", "spec.rules[1].nam"]);
}
