//! Who owns which field: the leaves of an object and the managers that set them.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Map, Value, json};

/// One step down into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// A field by name.
    Field(String),
    /// An item of a keyed list: the JSON text of its keys.
    Item(String),
}

/// The way to a leaf.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Path(Vec<Step>);

/// How a manager came by its fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Server-side apply.
    Apply,
    /// Anything else.
    Update,
}

/// One manager of an object's fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    /// `status`, or empty.
    pub(crate) subresource: String,
    pub(crate) paths: BTreeSet<Path>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.0 {
            match step {
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(keys) => {
                    let keys: Vec<String> =
                        keys_of(keys).iter().map(|(key, value)| format!("{key}={value}")).collect();
                    write!(f, "[{}]", keys.join(","))?;
                }
            }
        }
        Ok(())
    }
}

impl Path {
    /// Whether one of the two is the other's beginning.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(mine, theirs)| mine == theirs)
    }

    /// What is there in an object.
    pub(crate) fn read<'a>(&self, object: &'a Value) -> Option<&'a Value> {
        self.0.iter().try_fold(object, |at, step| match step {
            Step::Field(name) => at.get(name),
            Step::Item(keys) => at.as_array()?.iter().find(|item| has_keys(item, keys)),
        })
    }

    /// Whether it leads to a key of a list's item.
    pub(crate) fn is_key(&self) -> bool {
        match self.0.as_slice() {
            [.., Step::Item(keys), Step::Field(name)] => keys_of(keys).contains_key(name),
            _ => false,
        }
    }

    /// Takes the leaf out, and what is empty above it then. An item's keys go with its last other
    /// field.
    pub(crate) fn remove(&self, object: &mut Value) {
        remove(&self.0, object);
    }
}

fn remove(steps: &[Step], at: &mut Value) {
    let Some((step, below)) = steps.split_first() else { return };
    match (step, at) {
        (Step::Field(name), Value::Object(fields)) => {
            if !below.is_empty() {
                let Some(value) = fields.get_mut(name) else { return };
                remove(below, value);
                if !is_empty(value) {
                    return;
                }
            }
            fields.remove(name);
        }
        (Step::Item(keys), Value::Array(items)) => {
            let Some(at) = items.iter().position(|item| has_keys(item, keys)) else { return };
            let names = keys_of(keys);
            let is_key = matches!(below, [Step::Field(name)] if names.contains_key(name));
            if !is_key {
                remove(below, &mut items[at]);
            }
            let fields = items[at].as_object();
            let is_bare =
                fields.is_none_or(|fields| fields.keys().all(|name| names.contains_key(name)));
            if below.is_empty() || is_key && is_bare {
                items.remove(at);
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

fn has_keys(item: &Value, keys: &str) -> bool {
    keys_of(keys).iter().all(|(key, value)| item.get(key) == Some(value))
}

fn keys_of(keys: &str) -> Map<String, Value> {
    serde_json::from_str(keys).unwrap_or_default()
}

/// The keys of an item in a list of this schema; `None` for an atomic list. Built-in kinds have no
/// schema here: of their lists only `conditions` is keyed.
pub(crate) fn item_keys(schema: &Value, name: &str, item: &Value) -> Option<String> {
    let by_schema: Vec<&str> = match schema["x-kubernetes-list-type"].as_str() {
        Some("map") => schema["x-kubernetes-list-map-keys"]
            .as_array()?
            .iter()
            .filter_map(Value::as_str)
            .collect(),
        None if name == "conditions" => vec!["type"],
        _ => return None,
    };
    let keys: Map<String, Value> = by_schema
        .iter()
        .filter_map(|key| Some(((*key).to_owned(), item.get(key)?.clone())))
        .collect();
    Some(Value::Object(keys).to_string())
}

/// The leaves of an object that a client sets; identity and bookkeeping are the server's.
pub(crate) fn leaves(schema: &Value, object: &Value) -> BTreeSet<Path> {
    let mut found = BTreeSet::new();
    for (name, value) in object.as_object().into_iter().flatten() {
        if matches!(name.as_str(), "apiVersion" | "kind") {
            continue;
        }
        let mut path = vec![Step::Field(name.clone())];
        if name == "metadata" {
            for part in ["labels", "annotations", "finalizers"] {
                if let Some(value) = value.get(part) {
                    path.push(Step::Field(part.to_owned()));
                    collect((&Value::Null, part), value, &mut path, &mut found);
                    path.pop();
                }
            }
        } else {
            collect((&schema["properties"][name], name), value, &mut path, &mut found);
        }
    }
    found
}

fn collect(
    (schema, name): (&Value, &str),
    value: &Value,
    path: &mut Vec<Step>,
    found: &mut BTreeSet<Path>,
) {
    match value {
        Value::Object(fields)
            if !fields.is_empty() && schema["x-kubernetes-map-type"] != "atomic" =>
        {
            for (name, value) in fields {
                path.push(Step::Field(name.clone()));
                collect((&schema["properties"][name], name), value, path, found);
                path.pop();
            }
        }
        Value::Array(items)
            if items.first().is_some_and(|item| item_keys(schema, name, item).is_some()) =>
        {
            for item in items {
                path.push(Step::Item(item_keys(schema, name, item).unwrap_or_default()));
                collect((&schema["items"], ""), item, path, found);
                path.pop();
            }
        }
        _ => drop(found.insert(Path(path.clone()))),
    }
}

/// `metadata.managedFields`.
pub(crate) fn managed_fields(managers: &[Manager], api_version: &str, time: &str) -> Value {
    let entry = |manager: &Manager| {
        let mut tree = json!({});
        for Path(steps) in &manager.paths {
            let mut at = &mut tree;
            for step in steps {
                let key = match step {
                    Step::Field(name) => format!("f:{name}"),
                    Step::Item(keys) => format!("k:{keys}"),
                };
                at = &mut at[key];
                if at.is_null() {
                    *at = json!({});
                }
            }
        }
        let operation = match manager.operation {
            Operation::Apply => "Apply",
            Operation::Update => "Update",
        };
        let mut entry = json!({
            "manager": manager.name, "operation": operation, "apiVersion": api_version,
            "time": time, "fieldsType": "FieldsV1", "fieldsV1": tree,
        });
        if !manager.subresource.is_empty() {
            entry["subresource"] = manager.subresource.clone().into();
        }
        entry
    };
    managers.iter().map(entry).collect()
}
