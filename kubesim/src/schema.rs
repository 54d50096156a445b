//! The part of a CRD's structural schema that shapes objects: defaults, pruning, and plain limits.
//!
//! CEL rules and patterns are not evaluated: a test that needs them needs a real server.

use serde_json::Value;

/// A schema as the CRD has it.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    root: Value,
}

/// The first thing that a schema refuses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    /// `spec.rules[0].matches`.
    pub(crate) field: String,
    /// What is wrong.
    pub(crate) message: String,
}

impl Schema {
    pub(crate) fn new(root: &Value) -> Self {
        Self { root: root.clone() }
    }

    /// The node at the top.
    pub(crate) fn root(&self) -> &Value {
        &self.root
    }

    /// Drops what the schema does not know and fills defaults in; `metadata` is the server's.
    pub(crate) fn shape(&self, object: &mut Value) {
        let Some(properties) = self.root["properties"].as_object() else { return };
        let Some(fields) = object.as_object_mut() else { return };
        let own = |name: &str| matches!(name, "apiVersion" | "kind" | "metadata");
        fields.retain(|name, _| own(name) || properties.contains_key(name));
        for (name, schema) in properties.iter().filter(|(name, _)| !own(name)) {
            if let Some(value) = fields.get_mut(name) {
                shape(schema, value);
            } else if let Some(default) = schema.get("default") {
                let mut value = default.clone();
                shape(schema, &mut value);
                fields.insert(name.clone(), value);
            }
        }
    }

    /// The fields that it does not know, as `spec.rules[0].name`.
    pub(crate) fn unknown(&self, object: &Value) -> Vec<String> {
        let (mut found, own) = (Vec::new(), ["apiVersion", "kind", "metadata"]);
        let Some(properties) = self.root["properties"].as_object() else { return found };
        for (name, value) in object.as_object().into_iter().flatten() {
            match properties.get(name) {
                _ if own.contains(&name.as_str()) => {}
                Some(schema) => unknown(schema, value, name, &mut found),
                None => found.push(name.clone()),
            }
        }
        found
    }

    /// Checks types, enumerations, limits and required fields.
    pub(crate) fn check(&self, object: &Value) -> Result<(), Violation> {
        let Some(properties) = self.root["properties"].as_object() else { return Ok(()) };
        for (name, schema) in properties {
            let own = matches!(name.as_str(), "apiVersion" | "kind" | "metadata");
            if let Some(value) = object.get(name).filter(|_| !own) {
                check(schema, value, name)?;
            }
        }
        require(&self.root, object, "")
    }
}

fn shape(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            if let Some(extra) = schema.get("additionalProperties").filter(|one| one.is_object()) {
                fields.values_mut().for_each(|value| shape(extra, value));
            }
            let Some(properties) = schema["properties"].as_object() else { return };
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true
                || schema.get("additionalProperties").is_some();
            fields.retain(|name, _| open || properties.contains_key(name));
            for (name, schema) in properties {
                if let Some(value) = fields.get_mut(name) {
                    shape(schema, value);
                } else if let Some(default) = schema.get("default") {
                    let mut value = default.clone();
                    shape(schema, &mut value);
                    fields.insert(name.clone(), value);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shape(&schema["items"], item)),
        _ => {}
    }
}

fn unknown(schema: &Value, value: &Value, field: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            let Some(properties) = schema["properties"].as_object() else { return };
            let open = schema["x-kubernetes-preserve-unknown-fields"] == true
                || schema.get("additionalProperties").is_some();
            for (name, value) in fields {
                let field = format!("{field}.{name}");
                match properties.get(name) {
                    Some(schema) => unknown(schema, value, &field, found),
                    None if open => {}
                    None => found.push(field),
                }
            }
        }
        Value::Array(items) => items.iter().enumerate().for_each(|(index, item)| {
            unknown(&schema["items"], item, &format!("{field}[{index}]"), found);
        }),
        _ => {}
    }
}

fn check(schema: &Value, value: &Value, field: &str) -> Result<(), Violation> {
    let refuse = |message: String| Err(Violation { field: field.to_owned(), message });
    let may_be_null = value.is_null() && schema["nullable"] == true;
    let wanted = schema["type"].as_str().filter(|wanted| !is_of_type(wanted, value));
    if let Some(wanted) = wanted.filter(|_| !may_be_null) {
        return refuse(format!("Invalid value: must be of type {wanted}"));
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        let allowed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
        return refuse(format!(
            "Unsupported value: {value}: supported values: {}",
            allowed.join(", ")
        ));
    }
    let size = match value {
        Value::Number(number) => number.as_f64().map(|size| (size, "minimum", "maximum")),
        Value::String(text) => Some((count(text.chars().count()), "minLength", "maxLength")),
        Value::Array(items) => Some((count(items.len()), "minItems", "maxItems")),
        Value::Object(fields) => Some((count(fields.len()), "minProperties", "maxProperties")),
        Value::Null | Value::Bool(_) => None,
    };
    if let Some((size, least, most)) = size {
        if schema[least].as_f64().is_some_and(|least| size < least) {
            return refuse(format!("Invalid value: less than {least} {}", schema[least]));
        }
        if schema[most].as_f64().is_some_and(|most| size > most) {
            return refuse(format!("Invalid value: more than {most} {}", schema[most]));
        }
    }
    match value {
        Value::Object(fields) => {
            require(schema, value, field)?;
            fields.iter().try_for_each(|(name, value)| match schema["properties"].get(name) {
                Some(schema) => check(schema, value, &format!("{field}.{name}")),
                None => Ok(()),
            })
        }
        Value::Array(items) => items.iter().enumerate().try_for_each(|(index, item)| {
            check(&schema["items"], item, &format!("{field}[{index}]"))
        }),
        _ => Ok(()),
    }
}

fn require(schema: &Value, value: &Value, field: &str) -> Result<(), Violation> {
    let required = schema["required"].as_array().map_or(&[][..], Vec::as_slice);
    let missing = required.iter().filter_map(Value::as_str).find(|name| value.get(name).is_none());
    missing.map_or(Ok(()), |name| {
        let field = if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
        Err(Violation { field, message: "Required value".to_owned() })
    })
}

#[expect(clippy::cast_precision_loss, reason = "lengths of test documents are small")]
fn count(size: usize) -> f64 {
    size as f64
}

fn is_of_type(wanted: &str, value: &Value) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        _ => true,
    }
}

#[cfg(test)]
mod tests;
