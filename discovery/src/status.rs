//! Statuses: which part is ours, whether it says something new, and what to write.
//!
//! Pure. Times are no news: a condition keeps its `lastTransitionTime` for as long as its status does.
//! In lists that several controllers share (`parents` of routes, `ancestors` of policies) the entries
//! of others are written back as they were: the lists are atomic, so that leaving one out deletes it.

use model::gateway::GATEWAY_CONTROLLER;
use serde_json::{Map, Value};

use crate::item::digest as digest_octets;

/// Lists with an entry for each controller.
const SHARED: [&str; 2] = ["parents", "ancestors"];
/// The field that says whose an entry is.
const CONTROLLER: &str = "controllerName";
/// The time of a condition's last change.
const TRANSITION: &str = "lastTransitionTime";

/// Digest of our part of an object's status; 0 when there is none.
pub(crate) fn digest_of(object: &Value) -> u64 {
    match &object["status"] {
        Value::Null => 0,
        status => digest(status),
    }
}

/// Digest of our part of a status.
pub(crate) fn digest(status: &Value) -> u64 {
    let mut ours = canonical(status);
    if let Some(fields) = ours.as_object_mut() {
        for list in SHARED {
            if let Some(entries) = fields.get_mut(list).and_then(Value::as_array_mut) {
                entries.retain(is_ours);
                entries.sort_by_key(ToString::to_string);
            }
        }
        fields.retain(|_, value| !is_empty(value));
        if fields.is_empty() {
            return 0;
        }
    }
    digest_octets(ours.to_string().as_bytes())
}

/// The status to write: ours as wanted, and others' entries of shared lists as they are.
pub(crate) fn merge(current: &Value, wanted: &Value, now: &str) -> Value {
    let mut merged = wanted.clone();
    let Some(fields) = merged.as_object_mut() else { return merged };
    for (name, value) in fields.iter_mut() {
        if SHARED.contains(&name.as_str()) {
            share(&current[name], value, now);
        } else {
            date(&current[name], value, now);
        }
    }
    merged
}

fn share(current: &Value, wanted: &mut Value, now: &str) {
    let current = current.as_array().map_or(&[][..], Vec::as_slice);
    let Some(entries) = wanted.as_array_mut() else { return };
    for entry in entries.iter_mut() {
        let same = |one: &&Value| {
            is_ours(one)
                && one["parentRef"] == entry["parentRef"]
                && one["ancestorRef"] == entry["ancestorRef"]
        };
        let before = current.iter().find(same).cloned().unwrap_or_default();
        date(&before, entry, now);
    }
    let others = current.iter().filter(|one| !is_ours(one)).cloned();
    let mut all: Vec<Value> = others.collect();
    all.append(entries);
    *entries = all;
}

/// Gives every condition its time: the one it had while its status is the same, else now.
fn date(current: &Value, wanted: &mut Value, now: &str) {
    match wanted {
        Value::Object(fields) => {
            if fields.contains_key("type") && fields.contains_key("status") {
                let same = current["status"] == fields["status"] && current[TRANSITION].is_string();
                let time = if same { current[TRANSITION].clone() } else { now.into() };
                fields.insert(TRANSITION.to_owned(), time);
            }
            for (name, value) in fields.iter_mut() {
                date(&current[name], value, now);
            }
        }
        Value::Array(items) => {
            for item in items {
                // Conditions are found by type, listeners by name.
                let key = if item["type"].is_string() { "type" } else { "name" };
                let entries = current.as_array().map_or(&[][..], Vec::as_slice);
                let before =
                    entries.iter().find(|one| one[key].is_string() && one[key] == item[key]);
                date(before.unwrap_or(&Value::Null), item, now);
            }
        }
        _ => {}
    }
}

fn is_ours(entry: &Value) -> bool {
    entry[CONTROLLER] == GATEWAY_CONTROLLER
}

/// Without times and without what is empty: an absent list and an empty one say the same.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(name, _)| *name != TRANSITION);
            let kept = kept.map(|(name, value)| (name.clone(), canonical(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect::<Map<_, _>>())
        }
        Value::Array(items) => items.iter().map(canonical).collect(),
        other => other.clone(),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[cfg(test)]
mod tests;
