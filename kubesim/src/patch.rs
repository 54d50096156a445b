//! Merge patch (RFC 7396) and JSON patch (RFC 6902).

use serde_json::{Map, Value};

use crate::refusal::Refusal;

/// Applies a merge patch: objects merge, `null` removes, everything else replaces.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (name, change) in changes {
        if change.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Applies a JSON patch; the target is unspecified after a refusal.
pub(crate) fn json(target: &mut Value, patch: &Value) -> Result<(), Refusal> {
    let malformed = || Refusal::bad_request("the JSON patch is malformed");
    for step in patch.as_array().ok_or_else(malformed)? {
        let path = step["path"].as_str().ok_or_else(malformed)?;
        let from = step["from"].as_str().unwrap_or_default();
        match step["op"].as_str().ok_or_else(malformed)? {
            "add" => add(target, path, step["value"].clone())?,
            "remove" => drop(remove(target, path)?),
            "replace" => {
                remove(target, path)?;
                add(target, path, step["value"].clone())?;
            }
            "move" => {
                let value = remove(target, from)?;
                add(target, path, value)?;
            }
            "copy" => {
                let value = target.pointer(from).cloned().ok_or_else(|| missing(from))?;
                add(target, path, value)?;
            }
            "test" if target.pointer(path) == Some(&step["value"]) => {}
            "test" => {
                let text = format!("testing value {path} failed");
                return Err(Refusal::new(422, "Invalid", text));
            }
            _ => return Err(malformed()),
        }
    }
    Ok(())
}

fn missing(path: &str) -> Refusal {
    Refusal::new(422, "Invalid", format!("the server rejected our request: no value at {path}"))
}

fn parent<'a>(target: &'a mut Value, path: &str) -> Result<(&'a mut Value, String), Refusal> {
    let (above, last) = path.rsplit_once('/').ok_or_else(|| missing(path))?;
    let parent = target.pointer_mut(above).ok_or_else(|| missing(path))?;
    Ok((parent, last.replace("~1", "/").replace("~0", "~")))
}

fn add(target: &mut Value, path: &str, value: Value) -> Result<(), Refusal> {
    if path.is_empty() {
        *target = value;
        return Ok(());
    }
    let (parent, last) = parent(target, path)?;
    match parent {
        Value::Object(fields) => drop(fields.insert(last, value)),
        Value::Array(items) if last == "-" => items.push(value),
        Value::Array(items) => match last.parse::<usize>() {
            Ok(at) if at <= items.len() => items.insert(at, value),
            _ => return Err(missing(path)),
        },
        _ => return Err(missing(path)),
    }
    Ok(())
}

fn remove(target: &mut Value, path: &str) -> Result<Value, Refusal> {
    let (parent, last) = parent(target, path)?;
    let removed = match parent {
        Value::Object(fields) => fields.remove(&last),
        Value::Array(items) => {
            last.parse().ok().filter(|at| *at < items.len()).map(|at: usize| items.remove(at))
        }
        _ => None,
    };
    removed.ok_or_else(|| missing(path))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn a_merge_patch_merges_removes_and_replaces() {
        let mut target = json!({"a": {"b": 1, "c": 2}, "d": [1, 2]});
        super::merge(&mut target, &json!({"a": {"b": null, "e": {"f": 3}}, "d": [9]}));
        assert_eq!(target, json!({"a": {"c": 2, "e": {"f": 3}}, "d": [9]}));
    }

    #[test]
    fn a_json_patch_does_each_operation() {
        let mut target = json!({"a": [1, 2], "b/c": {"d": 3}});
        let patch = json!([
            {"op": "test", "path": "/a/0", "value": 1},
            {"op": "add", "path": "/a/-", "value": 4},
            {"op": "remove", "path": "/a/0"},
            {"op": "replace", "path": "/b~1c/d", "value": 5},
            {"op": "copy", "from": "/b~1c/d", "path": "/e"},
            {"op": "move", "from": "/e", "path": "/f"},
        ]);
        super::json(&mut target, &patch).expect("it applies");
        assert_eq!(target, json!({"a": [2, 4], "b/c": {"d": 5}, "f": 5}));
        for refused in [
            json!([{"op": "test", "path": "/f", "value": 6}]),
            json!([{"op": "remove", "path": "/a/7"}]),
            json!([{"op": "replace", "path": "/gone", "value": 1}]),
            json!([{"op": "jump", "path": "/f"}]),
            json!({}),
        ] {
            assert!(super::json(&mut target.clone(), &refused).is_err(), "{refused}");
        }
    }
}
