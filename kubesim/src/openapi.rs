//! `/openapi/v3`: as much as kubectl asks for before it writes.
//!
//! kubectl looks there whether the server itself refuses unknown fields (`fieldValidation`); where it
//! does, kubectl needs no schema of its own. Shapes are not given: `kubectl explain` has nothing to tell.

use serde_json::{Map, Value, json};

use crate::resource::Resource;
use crate::store::Store;

/// A document by its path below the root.
pub(crate) fn document(store: &Store, parts: &[&str]) -> Option<Value> {
    match parts {
        [] => Some(index(store)),
        ["api", version] => paths(store, "", version),
        ["apis", group, version] => paths(store, group, version),
        _ => None,
    }
}

fn index(store: &Store) -> Value {
    let mut paths = Map::new();
    for resource in store.catalog.all() {
        for version in &resource.versions {
            let root = root(resource, version);
            let at = json!({"serverRelativeURL": format!("/openapi/v3/{root}")});
            paths.insert(root, at);
        }
    }
    json!({"paths": paths})
}

fn root(resource: &Resource, version: &str) -> String {
    let root = if resource.group.is_empty() { "api" } else { "apis" };
    format!("{root}/{}", resource.api_version(version))
}

fn paths(store: &Store, group: &str, version: &str) -> Option<Value> {
    let mut paths = Map::new();
    for resource in store.catalog.all().iter().filter(|one| one.group == group) {
        if !resource.versions.iter().any(|one| one == version) {
            continue;
        }
        let place = if resource.namespaced { "namespaces/{namespace}/" } else { "" };
        let path = format!("/{}/{place}{}/{{name}}", root(resource, version), resource.plural);
        let kind = json!({"group": group, "version": version, "kind": resource.kind});
        let parameter =
            |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
        let operation = json!({
            "x-kubernetes-group-version-kind": kind,
            "parameters": [parameter("fieldManager"), parameter("fieldValidation")],
            "responses": {"200": {"description": "OK"}},
        });
        paths.insert(path, json!({"patch": operation}));
    }
    let info = json!({"title": "kubesim", "version": "v1.36.2-kubesim"});
    (!paths.is_empty()).then(|| json!({"openapi": "3.0.0", "info": info, "paths": paths}))
}
