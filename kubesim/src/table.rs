//! Objects as a table (`as=Table`): what kubectl shows when it is asked for no other form.

use serde_json::{Value, json};

use crate::resource::{Column, Resource};
use crate::timestamp;

/// A table of objects in a version, as of a moment.
pub(crate) fn table<'v>(
    (resource, version): (&Resource, &str),
    objects: impl IntoIterator<Item = &'v Value>,
    metadata: &Value,
    now_s: i64,
) -> Value {
    let columns = resource.columns(version);
    let defined: Vec<Value> = [Column::new("Name", "string", ".metadata.name")]
        .iter()
        .chain(&columns)
        .map(|column| {
            let format = if column.name == "Name" { "name" } else { "" };
            json!({"name": column.name, "type": column.kind, "format": format, "description": "", "priority": column.priority})
        })
        .collect();
    let rows: Vec<Value> = objects
        .into_iter()
        .map(|object| {
            let own = columns.iter().map(|column| cell(column, object, now_s));
            let cells: Vec<Value> = [object["metadata"]["name"].clone()].into_iter().chain(own).collect();
            let metadata = &object["metadata"];
            let kept = json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": metadata});
            json!({"cells": cells, "object": kept})
        })
        .collect();
    json!({
        "kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
        "columnDefinitions": defined, "rows": rows,
    })
}

fn cell(column: &Column, object: &Value, now_s: i64) -> Value {
    let found = select(object, &column.path);
    if column.kind == "date" {
        let seconds = found.first().and_then(|value| timestamp::seconds(value.as_str()?));
        return match seconds {
            Some(seconds) => age(now_s - seconds).into(),
            None => "<unknown>".into(),
        };
    }
    let texts: Vec<String> = found
        .into_iter()
        .map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        .collect();
    texts.join(",").into()
}

/// `45s`, `12m`, `5h`, `3d`.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..120 => format!("{seconds}s"),
        seconds @ 120..7_200 => format!("{}m", seconds / 60),
        seconds @ 7_200..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// The values at a path as CRDs write them: `.a.b`, `[*]`, and `[?(@.type=="Ready")]`.
fn select<'v>(object: &'v Value, path: &str) -> Vec<&'v Value> {
    let mut found = vec![object];
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('[') {
            let (inside, left) = after.split_once(']').unwrap_or((after, ""));
            let wanted = inside.strip_prefix("?(@.").and_then(|test| {
                let (field, value) = test.strip_suffix(')')?.split_once("==")?;
                Some((field, value.trim_matches(['"', '\''])))
            });
            let fits = |item: &&Value| wanted.is_none_or(|(field, value)| item[field] == value);
            let items = found.into_iter().filter_map(Value::as_array).flatten();
            found = items.filter(fits).collect();
            rest = left;
        } else {
            let name = rest.trim_start_matches('.');
            let end = name.find(['.', '[']).unwrap_or(name.len());
            let (name, left) = name.split_at(end);
            found = found.into_iter().filter_map(|value| value.get(name)).collect();
            rest = left;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{age, select};

    #[test]
    fn paths_of_columns_are_followed() {
        let conditions = json!([{"type": "Accepted", "status": "True"}, {"type": "Programmed", "status": "False"}]);
        let object =
            json!({"spec": {"hostnames": ["a", "b"]}, "status": {"conditions": conditions}});
        for (path, values) in [
            (".spec.hostnames[*]", vec![json!("a"), json!("b")]),
            (".spec.hostnames", vec![json!(["a", "b"])]),
            (".status.conditions[?(@.type==\"Programmed\")].status", vec![json!("False")]),
            (".status.addresses[*].value", vec![]),
            (".spec[", vec![]),
        ] {
            let found: Vec<_> = select(&object, path).into_iter().cloned().collect();
            assert_eq!(found, values, "{path}");
        }
    }

    #[test]
    fn ages_are_short() {
        let shown = [-1, 0, 119, 120, 7_199, 7_200, 172_799, 172_800].map(age);
        assert_eq!(shown, ["0s", "0s", "119s", "2m", "119m", "2h", "47h", "2d"]);
    }
}
