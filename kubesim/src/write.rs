//! What a write makes of an object: creation, replacement, patches, apply, deletion.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::apply::{Applier, Conflicts, apply, take_over};
use crate::call::Call;
use crate::managed::Manager;
use crate::patch;
use crate::refusal::Refusal;
use crate::resource::{CRD_GROUP, Resource};
use crate::schema::{Schema, Violation};
use crate::store::{Key, Store, Stored};
use crate::timestamp::rfc3339;

/// Where a write goes.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) resource: Arc<Resource>,
    pub(crate) version: String,
    pub(crate) key: Key,
    /// `status`, or empty.
    pub(crate) subresource: String,
}

/// How an existing object is changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// PUT.
    Replace,
    /// `application/merge-patch+json` (strategic merge is read as such).
    Merge,
    /// `application/json-patch+json`.
    Json,
}

/// POST.
pub(crate) fn create(
    store: &mut Store,
    mut place: Place,
    call: &Call,
    now_s: i64,
) -> Result<Arc<Value>, Refusal> {
    let mut object = call.document()?;
    refuse_unknown(&place, call, &object)?;
    let prefix = object["metadata"]["generateName"].as_str().unwrap_or_default().to_owned();
    let name = match object["metadata"]["name"].as_str() {
        Some(name) if !name.is_empty() => name.to_owned(),
        _ if !prefix.is_empty() => format!("{prefix}{:05x}", store.version()),
        _ => {
            return Err(Refusal::invalid(
                &place.resource.kind,
                "",
                "metadata.name",
                "Required value: name or generateName is required",
            ));
        }
    };
    object["metadata"]["name"] = name.clone().into();
    place.key.name = name;
    if store.read(&place.key).is_some() {
        return Err(Refusal::exists(&place.resource.plural, &place.key.name));
    }
    object["status"].take();
    let mut managers = Vec::new();
    take_over(root(&place), (&Value::Null, &object), &mut managers, (call.manager(), ""));
    insert(store, &place, (object, managers), now_s)
}

/// PUT and the patches that are no apply.
pub(crate) fn change(
    store: &mut Store,
    place: &Place,
    (call, how): (&Call, Change),
    now_s: i64,
) -> Result<Arc<Value>, Refusal> {
    let (plural, name) = (&place.resource.plural, &place.key.name);
    let live = store.read(&place.key).cloned().ok_or_else(|| Refusal::not_found(plural, name))?;
    let body = match how {
        Change::Json => serde_json::from_slice(&call.body).unwrap_or_default(),
        Change::Replace | Change::Merge => {
            let body = call.document()?;
            refuse_unknown(place, call, &body)?;
            body
        }
    };
    let mut wanted = match how {
        Change::Replace => body,
        Change::Merge => {
            let mut wanted = (*live.object).clone();
            patch::merge(&mut wanted, &body);
            wanted
        }
        Change::Json => {
            let mut wanted = (*live.object).clone();
            patch::json(&mut wanted, &body)?;
            wanted
        }
    };
    let asked = wanted["metadata"]["resourceVersion"].as_str();
    if asked.is_some_and(|asked| live.object["metadata"]["resourceVersion"] != asked) {
        return Err(Refusal::stale(plural, name));
    }
    keep_other_part(place, &live.object, &mut wanted);
    let mut managers = live.managers.clone();
    let writer = (call.manager(), place.subresource.as_str());
    take_over(root(place), (&live.object, &wanted), &mut managers, writer);
    update(store, place, (&live, wanted, managers), now_s)
}

/// PATCH with `application/apply-patch+yaml`.
pub(crate) fn apply_patch(
    store: &mut Store,
    place: &Place,
    call: &Call,
    now_s: i64,
) -> Result<Arc<Value>, Refusal> {
    let manager = call.parameter("fieldManager");
    if manager.is_empty() {
        return Err(Refusal::bad_request("fieldManager is required for apply patch"));
    }
    let mut applied = call.document()?;
    refuse_unknown(place, call, &applied)?;
    if !applied["metadata"]["managedFields"].is_null() {
        return Err(Refusal::bad_request("metadata.managedFields must be nil"));
    }
    let named = applied["metadata"]["name"].as_str();
    if named.is_some_and(|named| named != place.key.name) {
        return Err(Refusal::bad_request("metadata.name must be the name in the path"));
    }
    let conflicts = match call.parameter("force") {
        "true" | "1" => Conflicts::Take,
        _ => Conflicts::Refuse,
    };
    let applier = Applier { manager, subresource: &place.subresource, conflicts };
    let schema = root(place);
    let Some(live) = store.read(&place.key).cloned() else {
        if !place.subresource.is_empty() {
            return Err(Refusal::not_found(&place.resource.plural, &place.key.name));
        }
        if place.resource.has_status {
            applied["status"].take();
        }
        let (mut object, mut managers) = (json!({"metadata": {}}), Vec::new());
        apply(schema, &mut object, &mut managers, (&applied, applier))?;
        return insert(store, place, (object, managers), now_s);
    };
    let asked = applied["metadata"]["resourceVersion"].as_str();
    if asked.is_some_and(|asked| live.object["metadata"]["resourceVersion"] != asked) {
        return Err(Refusal::stale(&place.resource.plural, &place.key.name));
    }
    if let Some(fields) = applied.as_object_mut().filter(|_| place.resource.has_status) {
        let is_status = place.subresource == "status";
        fields.retain(|name, _| {
            matches!(name.as_str(), "apiVersion" | "kind" | "metadata")
                || (name == "status") == is_status
        });
    }
    if let Some(metadata) = applied["metadata"].as_object_mut() {
        metadata.retain(|name, _| {
            matches!(name.as_str(), "name" | "namespace" | "labels" | "annotations" | "finalizers")
        });
    }
    let (mut object, mut managers) = ((*live.object).clone(), live.managers.clone());
    apply(schema, &mut object, &mut managers, (&applied, applier))?;
    update(store, place, (&live, object, managers), now_s)
}

/// DELETE: at once, or marked while finalizers are left.
pub(crate) fn delete(
    store: &mut Store,
    place: &Place,
    call: &Call,
    now_s: i64,
) -> Result<Arc<Value>, Refusal> {
    let (plural, name) = (&place.resource.plural, &place.key.name);
    let live = store.read(&place.key).cloned().ok_or_else(|| Refusal::not_found(plural, name))?;
    let options: Value = serde_json::from_slice(&call.body).unwrap_or_default();
    for part in ["resourceVersion", "uid"] {
        let asked = &options["preconditions"][part];
        if !asked.is_null() && live.object["metadata"][part] != *asked {
            return Err(Refusal::stale(plural, name));
        }
    }
    if has_finalizers(&live.object) {
        if live.object["metadata"]["deletionTimestamp"].is_string() {
            return Ok(live.object);
        }
        let mut object = (*live.object).clone();
        object["metadata"]["deletionTimestamp"] = rfc3339(now_s).into();
        let marked = Stored { object: Arc::new(object), managers: live.managers };
        return Ok(store.write(place.key.clone(), marked, now_s));
    }
    if place.resource.group == CRD_GROUP {
        let spec = &live.object["spec"];
        let (group, plural) = (spec["group"].as_str(), spec["names"]["plural"].as_str());
        store.catalog.remove(group.unwrap_or_default(), plural.unwrap_or_default());
    }
    store.remove(&place.key).ok_or_else(|| Refusal::not_found(plural, name))
}

fn insert(
    store: &mut Store,
    place: &Place,
    (mut object, managers): (Value, Vec<Manager>),
    now_s: i64,
) -> Result<Arc<Value>, Refusal> {
    if place.resource.namespaced {
        let namespace = Key {
            group: String::new(),
            plural: "namespaces".to_owned(),
            namespace: String::new(),
            name: place.key.namespace.clone(),
        };
        if store.read(&namespace).is_none() {
            return Err(Refusal::not_found("namespaces", &place.key.namespace));
        }
    }
    identify(place, &mut object);
    let metadata = &mut object["metadata"];
    metadata["uid"] = store.uid().into();
    metadata["creationTimestamp"] = rfc3339(now_s).into();
    if place.resource.has_generation {
        metadata["generation"] = 1.into();
    }
    if place.resource.plural == "namespaces" {
        metadata["labels"]["kubernetes.io/metadata.name"] = place.key.name.clone().into();
    }
    shape(store, place, &mut object)?;
    if place.resource.group == CRD_GROUP {
        store.catalog.add_crd(&object)?;
        object["status"]["conditions"] = json!([{"type": "Established", "status": "True"}]);
    }
    Ok(store.write(place.key.clone(), Stored { object: Arc::new(object), managers }, now_s))
}

fn update(
    store: &mut Store,
    place: &Place,
    (live, mut object, managers): (&Stored, Value, Vec<Manager>),
    now_s: i64,
) -> Result<Arc<Value>, Refusal> {
    identify(place, &mut object);
    for part in [
        "uid",
        "creationTimestamp",
        "generation",
        "deletionTimestamp",
        "resourceVersion",
        "managedFields",
    ] {
        let before = &live.object["metadata"][part];
        match object["metadata"].as_object_mut() {
            Some(metadata) if before.is_null() => drop(metadata.remove(part)),
            Some(metadata) => drop(metadata.insert(part.to_owned(), before.clone())),
            None => {}
        }
    }
    shape(store, place, &mut object)?;
    if object["metadata"]["deletionTimestamp"].is_string() && !has_finalizers(&object) {
        return Ok(store.remove(&place.key).unwrap_or_else(|| Arc::clone(&live.object)));
    }
    if object == *live.object && managers == live.managers {
        return Ok(Arc::clone(&live.object));
    }
    if place.resource.has_generation && desires(&object) != desires(&live.object) {
        let generation = live.object["metadata"]["generation"].as_i64().unwrap_or_default();
        object["metadata"]["generation"] = (generation + 1).into();
    }
    if place.resource.group == CRD_GROUP {
        store.catalog.add_crd(&object)?;
    }
    Ok(store.write(place.key.clone(), Stored { object: Arc::new(object), managers }, now_s))
}

/// What an object asks for: all of it but metadata and status.
fn desires(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| !matches!(name.as_str(), "metadata" | "status" | "apiVersion"))
        .collect()
}

/// A write to the object leaves its status alone, and a write to the status leaves the rest alone.
fn keep_other_part(place: &Place, live: &Value, wanted: &mut Value) {
    if !place.resource.has_status {
        return;
    }
    if place.subresource == "status" {
        let status = wanted["status"].take();
        *wanted = live.clone();
        put_status(wanted, status);
    } else {
        put_status(wanted, live["status"].clone());
    }
}

fn put_status(object: &mut Value, status: Value) {
    if let Some(fields) = object.as_object_mut() {
        if status.is_null() {
            fields.remove("status");
        } else {
            fields.insert("status".to_owned(), status);
        }
    }
}

fn identify(place: &Place, object: &mut Value) {
    object["apiVersion"] = place.resource.api_version(&place.version).into();
    object["kind"] = place.resource.kind.clone().into();
    object["metadata"]["name"] = place.key.name.clone().into();
    if place.resource.namespaced {
        object["metadata"]["namespace"] = place.key.namespace.clone().into();
    }
}

fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|left| !left.is_empty())
}

fn root(place: &Place) -> &Value {
    static UNKNOWN: Value = Value::Null;
    place.resource.schema(&place.version).map_or(&UNKNOWN, Schema::root)
}

/// `fieldValidation=Strict`: what the schema would drop is refused instead.
fn refuse_unknown(place: &Place, call: &Call, object: &Value) -> Result<(), Refusal> {
    let schema = place.resource.schema(&place.version);
    let Some(schema) = schema.filter(|_| call.parameter("fieldValidation") == "Strict") else {
        return Ok(());
    };
    let named =
        schema.unknown(object).into_iter().map(|field| format!("unknown field \"{field}\""));
    let named: Vec<String> = named.collect();
    if named.is_empty() {
        return Ok(());
    }
    Err(Refusal::bad_request(format!("strict decoding error: {}", named.join(", "))))
}

fn shape(store: &Store, place: &Place, object: &mut Value) -> Result<(), Refusal> {
    if object["status"].is_null() {
        put_status(object, Value::Null);
    }
    if place.resource.plural == "secrets" {
        take_texts(object);
    }
    let (kind, name) = (&place.resource.kind, &place.key.name);
    if let Some(schema) = place.resource.schema(&place.version) {
        schema.shape(object);
        schema.check(object).map_err(|Violation { field, message }| {
            Refusal::invalid(kind, name, &field, &message)
        })?;
    }
    if kind == "EndpointSlice" && !store.allow_loopback {
        refuse_loopback(name, object)?;
    }
    Ok(())
}

/// `stringData` of a Secret is for writing only: it goes into `data`.
fn take_texts(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else { return };
    let Some(Value::Object(texts)) = fields.remove("stringData") else { return };
    for (key, text) in texts {
        let encoded = base64(text.as_str().unwrap_or_default().as_bytes());
        secret["data"][key] = encoded.into();
    }
}

/// RFC 4648, section 4.
fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in octets.chunks(3) {
        let at = |index: usize| u32::from(chunk.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for place in 0..4 {
            let index = (bits >> (18 - 6 * place)) & 63;
            let is_padding = place > chunk.len();
            text.push(if is_padding { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    text
}

fn refuse_loopback(name: &str, object: &Value) -> Result<(), Refusal> {
    let endpoints = object["endpoints"].as_array().into_iter().flatten();
    for (at, endpoint) in endpoints.enumerate() {
        for (nth, address) in endpoint["addresses"].as_array().into_iter().flatten().enumerate() {
            let ip: Option<std::net::IpAddr> = address.as_str().and_then(|text| text.parse().ok());
            if ip.is_some_and(|ip| ip.is_loopback()) {
                let field = format!("endpoints[{at}].addresses[{nth}]");
                let message = format!(
                    "Invalid value: {address}: may not be in the loopback range (127.0.0.0/8, ::1/128)"
                );
                return Err(Refusal::invalid("EndpointSlice", name, &field, &message));
            }
        }
    }
    Ok(())
}
