//! Request to answer: `(store, call, now) -> answer`, with no socket and no clock.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::call::{Call, Target};
use crate::openapi;
use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::selector::Selector;
use crate::store::{Key, Store};
use crate::table::table;
use crate::watch::{Form, Start, Watch, show};
use crate::write::{self, Change, Place};

/// What is sent back.
#[derive(Debug)]
pub(crate) enum Answer {
    /// A whole body.
    Document(u16, Value),
    /// Text for people and load balancers.
    Text(&'static str),
    /// A stream of lines.
    Watch(Watch, Start),
}

/// A watch without a timeout of its own ends after this long, as on a real server (30 to 60 minutes).
const WATCH_TIMEOUT_S: u64 = 1_800;

/// Answers a request; a refusal is a `Status` object.
pub(crate) fn answer(store: &mut Store, call: &Call, now_s: i64) -> Answer {
    try_answer(store, call, now_s)
        .unwrap_or_else(|refusal| Answer::Document(refusal.code, refusal.status()))
}

fn try_answer(store: &mut Store, call: &Call, now_s: i64) -> Result<Answer, Refusal> {
    if matches!(call.path.as_str(), "/healthz" | "/livez" | "/readyz") {
        return Ok(Answer::Text("ok"));
    }
    if let Some(rest) = call.path.strip_prefix("/openapi/v3") {
        let parts: Vec<&str> = rest.split('/').filter(|part| !part.is_empty()).collect();
        let found = openapi::document(store, &parts).ok_or_else(Refusal::no_resource)?;
        return Ok(Answer::Document(200, found));
    }
    if let Some(found) = discovery(store, &call.path) {
        return Ok(Answer::Document(200, found));
    }
    let target = Target::parse(&call.path).ok_or_else(Refusal::no_resource)?;
    let resource = store.catalog.find(&target.group, &target.version, &target.plural).cloned();
    let resource = resource.ok_or_else(Refusal::no_resource)?;
    let subresource = target.subresource.clone().unwrap_or_default();
    let is_known = subresource.is_empty() || (subresource == "status" && resource.has_status);
    let in_its_place = resource.namespaced || target.namespace.is_none();
    if !is_known || !in_its_place {
        return Err(Refusal::no_resource());
    }
    if target.name.is_none() && call.method == "GET" {
        return collection(store, call, &target, (resource, now_s));
    }
    if resource.namespaced && target.namespace.is_none() {
        return Err(Refusal::new(
            405,
            "MethodNotAllowed",
            "the server does not allow this method on the requested resource",
        ));
    }
    let key = Key {
        group: target.group,
        plural: target.plural,
        namespace: target.namespace.unwrap_or_default(),
        name: target.name.unwrap_or_default(),
    };
    single(store, call, Place { resource, version: target.version, key, subresource }, now_s)
}

fn single(store: &mut Store, call: &Call, place: Place, now_s: i64) -> Result<Answer, Refusal> {
    let (resource, version) = (Arc::clone(&place.resource), place.version.clone());
    let (is_named, form) = (!place.key.name.is_empty(), form(call, now_s));
    let before = store.version();
    let stored = match call.method.as_str() {
        "GET" => {
            let missing = || Refusal::not_found(&resource.plural, &place.key.name);
            Arc::clone(&store.read(&place.key).ok_or_else(missing)?.object)
        }
        "POST" if !is_named => {
            let created = write::create(store, place, call, now_s)?;
            return Ok(Answer::Document(201, show(&created, &resource, &version, form)));
        }
        "PUT" if is_named => write::change(store, &place, (call, Change::Replace), now_s)?,
        "DELETE" if is_named => write::delete(store, &place, call, now_s)?,
        "PATCH" if is_named => match call.content_type.split(';').next().unwrap_or_default().trim()
        {
            "application/apply-patch+yaml" => {
                let is_new = store.read(&place.key).is_none();
                let applied = write::apply_patch(store, &place, call, now_s)?;
                let code = if is_new && store.version() > before { 201 } else { 200 };
                return Ok(Answer::Document(code, show(&applied, &resource, &version, form)));
            }
            "application/merge-patch+json" | "application/strategic-merge-patch+json" => {
                write::change(store, &place, (call, Change::Merge), now_s)?
            }
            "application/json-patch+json" => {
                write::change(store, &place, (call, Change::Json), now_s)?
            }
            _ => {
                return Err(Refusal::new(
                    415,
                    "UnsupportedMediaType",
                    "the body of the request was in an unknown format",
                ));
            }
        },
        _ => {
            return Err(Refusal::new(
                405,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            ));
        }
    };
    Ok(Answer::Document(200, show(&stored, &resource, &version, form)))
}

fn form(call: &Call, now_s: i64) -> Form {
    if call.wants_table() {
        Form::Table(now_s)
    } else if call.wants_metadata() {
        Form::Metadata
    } else {
        Form::Whole
    }
}

fn collection(
    store: &mut Store,
    call: &Call,
    target: &Target,
    (resource, now_s): (Arc<Resource>, i64),
) -> Result<Answer, Refusal> {
    let selector =
        Selector::parse(call.parameter("labelSelector"), call.parameter("fieldSelector"))?;
    let namespace = target.namespace.clone();
    let version = target.version.clone();
    if !matches!(call.parameter("watch"), "true" | "1") {
        let of = (&*resource, version.as_str(), namespace.as_deref());
        return list(store, call, of, (&selector, now_s));
    }
    let asked = resource_version(call)?;
    let streamed = call.parameter("sendInitialEvents") == "true";
    if streamed && call.parameter("resourceVersionMatch") != "NotOlderThan" {
        return Err(Refusal::new(
            422,
            "Invalid",
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided; NotOlderThan is required with it",
        ));
    }
    let start = match asked {
        _ if streamed => Start::Streamed,
        0 => Start::Now,
        version => Start::After(version),
    };
    let timeout_s = call.parameter("timeoutSeconds").parse().unwrap_or(WATCH_TIMEOUT_S);
    let watch = Watch {
        resource,
        version,
        namespace,
        selector,
        form: form(call, now_s),
        bookmarks: matches!(call.parameter("allowWatchBookmarks"), "true" | "1"),
        timeout_s,
    };
    Ok(Answer::Watch(watch, start))
}

fn resource_version(call: &Call) -> Result<u64, Refusal> {
    let text = call.parameter("resourceVersion");
    let invalid = |_| Refusal::bad_request(format!("Invalid value: \"{text}\": resourceVersion"));
    if text.is_empty() { Ok(0) } else { text.parse().map_err(invalid) }
}

fn list(
    store: &mut Store,
    call: &Call,
    (resource, version, namespace): (&Resource, &str, Option<&str>),
    (selector, now_s): (&Selector, i64),
) -> Result<Answer, Refusal> {
    let asked = resource_version(call)?;
    if asked > store.version() {
        return Err(Refusal::too_large(asked, store.version()));
    }
    let limit = call.parameter("limit").parse().unwrap_or(0);
    let token = call.parameter("continue");
    let (at_version, objects, from) = if token.is_empty() {
        let mut objects = store.list(resource, namespace);
        objects.retain(|object| selector.matches(object));
        (store.version(), objects, 0)
    } else {
        let read = token.split_once('-').and_then(|(version, from)| {
            Some((version.parse::<u64>().ok()?, from.parse::<usize>().ok()?))
        });
        let (at, from) = read.ok_or_else(|| Refusal::bad_request("continue key is not valid"))?;
        let expired = || {
            Refusal::new(
                410,
                "Expired",
                "The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.",
            )
        };
        (at, store.page(at).ok_or_else(expired)?.to_vec(), from)
    };
    let end = if limit == 0 { objects.len() } else { objects.len().min(from + limit) };
    let mut metadata = json!({"resourceVersion": at_version.to_string()});
    let page = objects.get(from..end).unwrap_or_default().to_vec();
    if end < objects.len() {
        metadata["continue"] = format!("{at_version}-{end}").into();
        metadata["remainingItemCount"] = (objects.len() - end).into();
        if token.is_empty() {
            store.keep_page(objects);
        }
    }
    let form = form(call, now_s);
    let (kind, api_version) = match form {
        Form::Whole => (format!("{}List", resource.kind), resource.api_version(version)),
        Form::Metadata => ("PartialObjectMetadataList".to_owned(), "meta.k8s.io/v1".to_owned()),
        Form::Table(now_s) => {
            let rows = page.iter().map(|object| &**object);
            let found = table((resource, version), rows, &metadata, now_s);
            return Ok(Answer::Document(200, found));
        }
    };
    let items: Vec<Value> =
        page.iter().map(|object| show(object, resource, version, form)).collect();
    Ok(Answer::Document(
        200,
        json!({"kind": kind, "apiVersion": api_version, "metadata": metadata, "items": items}),
    ))
}

/// `/version`, `/api`, `/apis`, and the resources of a group's version.
fn discovery(store: &Store, path: &str) -> Option<Value> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match parts[..] {
        ["version"] => Some(json!({"major": "1", "minor": "36", "gitVersion": "v1.36.2-kubesim"})),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"]})),
        ["apis"] => {
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups(store)}))
        }
        ["apis", group] => {
            let found = groups(store).into_iter().find(|one| one["name"] == group)?;
            Some(merge_kind(found))
        }
        ["api", version] => resources(store, "", version),
        ["apis", group, version] => resources(store, group, version),
        _ => None,
    }
}

fn merge_kind(mut group: Value) -> Value {
    group["kind"] = "APIGroup".into();
    group["apiVersion"] = "v1".into();
    group
}

fn groups(store: &Store) -> Vec<Value> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for resource in store.catalog.all().iter().filter(|resource| !resource.group.is_empty()) {
        let at = found.iter().position(|(group, _)| *group == resource.group);
        let at = at.unwrap_or_else(|| {
            found.push((resource.group.clone(), Vec::new()));
            found.len() - 1
        });
        let versions = &mut found[at].1;
        versions.extend(
            resource
                .versions
                .iter()
                .filter(|one| !versions.contains(one))
                .cloned()
                .collect::<Vec<_>>(),
        );
    }
    let shown = |(group, versions): (String, Vec<String>)| {
        let version = |version: &String| json!({"groupVersion": format!("{group}/{version}"), "version": version});
        let all: Vec<Value> = versions.iter().map(version).collect();
        json!({"name": group, "preferredVersion": all.first(), "versions": all})
    };
    found.into_iter().map(shown).collect()
}

fn resources(store: &Store, group: &str, version: &str) -> Option<Value> {
    const VERBS: [&str; 7] = ["create", "delete", "get", "list", "patch", "update", "watch"];
    let here = |resource: &&Arc<Resource>| {
        resource.group == group && resource.versions.iter().any(|one| one == version)
    };
    let mut shown = Vec::new();
    for resource in store.catalog.all().iter().filter(here) {
        let entry = |name: String, verbs: &[&str]| json!({"name": name, "kind": resource.kind, "namespaced": resource.namespaced, "singularName": resource.kind.to_lowercase(), "verbs": verbs});
        let mut whole = entry(resource.plural.clone(), &VERBS);
        for (field, names) in
            [("shortNames", &resource.short_names), ("categories", &resource.categories)]
        {
            if !names.is_empty() {
                whole[field] = json!(names);
            }
        }
        shown.push(whole);
        if resource.has_status {
            shown.push(entry(format!("{}/status", resource.plural), &["get", "patch", "update"]));
        }
    }
    let group_version =
        if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    let list = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": shown});
    (!list["resources"].as_array()?.is_empty()).then_some(list)
}
