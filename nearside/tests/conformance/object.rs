//! Objects of the API server as the tests write them: YAML without the parts that never differ.

use serde_json::{Map, Value, json};

/// The objects of a text: documents with `kind`, `name`, `in` (the namespace), `labels` and the rest
/// as it is.
pub(crate) fn objects(yaml: &str) -> Vec<Value> {
    let documents = yaml.split("\n---").filter(|text| !text.trim().is_empty());
    documents.map(object).collect()
}

fn object(yaml: &str) -> Value {
    let mut fields: Map<String, Value> =
        serde_saphyr::from_str(yaml).map_err(|error| format!("{error}\n{yaml}")).expect("YAML");
    let mut metadata = Map::new();
    for (short, long) in [("name", "name"), ("in", "namespace"), ("labels", "labels")] {
        if let Some(value) = fields.remove(short) {
            metadata.insert(long.to_owned(), value);
        }
    }
    let kind = fields["kind"].as_str().expect("a kind").to_owned();
    fields.insert("apiVersion".to_owned(), json!(version_of(&kind)));
    fields.insert("metadata".to_owned(), metadata.into());
    if kind == "Gateway" {
        fields["spec"]["gatewayClassName"] = json!("nearside");
    }
    fields.into()
}

fn version_of(kind: &str) -> &'static str {
    match kind {
        "Namespace" | "Service" | "Secret" | "ConfigMap" => "v1",
        "EndpointSlice" => "discovery.k8s.io/v1",
        _ => "gateway.networking.k8s.io/v1",
    }
}

/// The path of an object.
pub(crate) fn path_of(kind: &str, namespace: &str, name: &str) -> String {
    let version = version_of(kind);
    let root = if version.contains('/') { "apis" } else { "api" };
    let plural = match kind.to_lowercase() {
        kind if kind.ends_with("policy") => kind.replace("policy", "policies"),
        kind if kind.ends_with("class") => return format!("/{root}/{version}/{kind}es/{name}"),
        kind => format!("{kind}s"),
    };
    format!("/{root}/{version}/namespaces/{namespace}/{plural}/{name}")
}
