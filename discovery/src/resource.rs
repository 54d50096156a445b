//! How each kind is asked for, and what of its objects is kept.

use model::gateway::ObjectKind;
use serde_json::{Map, Value};

/// Kinds whose objects must be known before a gateway may say that it is ready: all of them, but a
/// kind without a CRD counts as known.
pub(crate) const KINDS: [ObjectKind; 18] = ObjectKind::ALL;

/// Secrets of these types are many or large and never a gateway's.
const SECRETS: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token,\
                       type!=kubernetes.io/dockerconfigjson,type!=bootstrap.kubernetes.io/token";
/// What a gateway reads of Secrets and ConfigMaps: certificates, authorities, passwords, key sets.
/// Nothing else of them comes into memory or onto the disk.
const DATA_KEYS: [&str; 5] = ["tls.crt", "tls.key", "ca.crt", "auth", "jwks"];
/// Fields of `metadata` that are read. The version is not among them: it moves with every status.
const METADATA: [&str; 6] =
    ["name", "namespace", "generation", "creationTimestamp", "labels", "annotations"];
/// The annotation in which `kubectl apply` keeps a copy of the whole object.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The kind's name in paths.
pub(crate) fn plural(kind: ObjectKind) -> &'static str {
    match kind {
        ObjectKind::IngressClass => "ingressclasses",
        ObjectKind::Ingress => "ingresses",
        ObjectKind::GatewayClass => "gatewayclasses",
        ObjectKind::Gateway => "gateways",
        ObjectKind::ListenerSet => "listenersets",
        ObjectKind::HttpRoute => "httproutes",
        ObjectKind::GrpcRoute => "grpcroutes",
        ObjectKind::TlsRoute => "tlsroutes",
        ObjectKind::TcpRoute => "tcproutes",
        ObjectKind::UdpRoute => "udproutes",
        ObjectKind::ReferenceGrant => "referencegrants",
        ObjectKind::BackendTlsPolicy => "backendtlspolicies",
        ObjectKind::HttpPolicy => "httppolicies",
        ObjectKind::Service => "services",
        ObjectKind::EndpointSlice => "endpointslices",
        ObjectKind::Secret => "secrets",
        ObjectKind::ConfigMap => "configmaps",
        ObjectKind::Namespace => "namespaces",
    }
}

/// The field selector of a list or a watch.
pub(crate) fn field_selector(kind: ObjectKind) -> Option<&'static str> {
    (kind == ObjectKind::Secret).then_some(SECRETS)
}

/// `group/version`, or the version alone in the core group.
pub(crate) fn api_version(kind: ObjectKind, version: &str) -> String {
    let group = kind.group();
    if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") }
}

/// The path of all objects of a kind.
pub(crate) fn path(kind: ObjectKind, version: &str) -> String {
    let root = if kind.group().is_empty() { "api" } else { "apis" };
    format!("/{root}/{}/{}", api_version(kind, version), plural(kind))
}

/// The path of one object.
pub(crate) fn object_path(kind: ObjectKind, version: &str, namespace: &str, name: &str) -> String {
    let root = if kind.group().is_empty() { "api" } else { "apis" };
    let (api_version, plural) = (api_version(kind, version), plural(kind));
    if namespace.is_empty() {
        format!("/{root}/{api_version}/{plural}/{name}")
    } else {
        format!("/{root}/{api_version}/namespaces/{namespace}/{plural}/{name}")
    }
}

/// Cuts an object down to what is read of it. `None` when nothing of it is.
pub(crate) fn slim(kind: ObjectKind, mut object: Value) -> Option<Value> {
    let fields = object.as_object_mut()?;
    fields.remove("status");
    let metadata = fields.get_mut("metadata").and_then(Value::as_object_mut)?;
    metadata.retain(|name, _| METADATA.contains(&name.as_str()));
    if let Some(annotations) = metadata.get_mut("annotations").and_then(Value::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    match kind {
        ObjectKind::Secret | ObjectKind::ConfigMap => {
            let is_tls = fields.get("type").is_some_and(|kind| kind == "kubernetes.io/tls");
            let mut kept = 0;
            for part in ["data", "stringData", "binaryData"] {
                if let Some(data) = fields.get_mut(part).and_then(Value::as_object_mut) {
                    data.retain(|key, _| DATA_KEYS.contains(&key.as_str()));
                    kept += data.len();
                }
            }
            (kept > 0 || is_tls).then_some(object)
        }
        ObjectKind::EndpointSlice => {
            let endpoints = fields.get_mut("endpoints").and_then(Value::as_array_mut);
            for endpoint in endpoints.into_iter().flatten().filter_map(Value::as_object_mut) {
                endpoint.remove("targetRef");
                endpoint.remove("hostname");
            }
            Some(object)
        }
        ObjectKind::Namespace => {
            fields.insert("spec".to_owned(), Value::Object(Map::new()));
            Some(object)
        }
        _ => Some(object),
    }
}

#[cfg(test)]
mod tests {
    use model::gateway::ObjectKind;
    use serde_json::json;

    use super::{object_path, path, slim};

    #[test]
    fn paths_are_the_servers() {
        assert_eq!(path(ObjectKind::Service, "v1"), "/api/v1/services");
        assert_eq!(
            object_path(ObjectKind::HttpRoute, "v1beta1", "a", "b"),
            "/apis/gateway.networking.k8s.io/v1beta1/namespaces/a/httproutes/b"
        );
        assert_eq!(object_path(ObjectKind::Namespace, "v1", "", "b"), "/api/v1/namespaces/b");
    }

    #[test]
    fn what_nobody_reads_is_left_out() {
        let object = json!({
            "apiVersion": "v1", "kind": "Service", "spec": {"ports": []}, "status": {"x": 1},
            "metadata": {
                "name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "labels": {"l": "1"},
                "managedFields": [{}], "ownerReferences": [{}],
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"},
            },
        });
        let kept = json!({
            "apiVersion": "v1", "kind": "Service", "spec": {"ports": []},
            "metadata": {
                "name": "a", "namespace": "n", "labels": {"l": "1"}, "annotations": {"mine": "1"},
            },
        });
        assert_eq!(slim(ObjectKind::Service, object), Some(kept));
    }

    #[test]
    fn of_a_secret_only_what_a_gateway_uses_is_kept() {
        let secret = |kind: &str, data: serde_json::Value| json!({"metadata": {"name": "a"}, "type": kind, "data": data});
        let slimmed =
            slim(ObjectKind::Secret, secret("Opaque", json!({"password": "eA==", "auth": "eQ=="})));
        assert_eq!(slimmed, Some(secret("Opaque", json!({"auth": "eQ=="}))));
        assert_eq!(slim(ObjectKind::Secret, secret("Opaque", json!({"password": "eA=="}))), None);
        let empty = secret("kubernetes.io/tls", json!({}));
        assert_eq!(
            slim(ObjectKind::Secret, empty.clone()),
            Some(empty),
            "it is there, without a key"
        );
    }
}
