//! Nearside's documents, as objects of an API server and, the same, as files.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::client::Certificate;

/// A file holds so many routes; one with all of them would be past the limit of a file.
const ROUTES_PER_FILE: usize = 2_000;
const GROUP: &str = "gateway.networking.k8s.io/v1";

/// The name of a route.
pub(crate) fn host(number: usize) -> String {
    format!("h{number}.bench.test")
}

/// Who has the endpoints that routes lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backends {
    /// One Service for all routes.
    Shared,
    /// One for each.
    Own,
}

impl Backends {
    /// The Service of a route.
    pub(crate) fn service(self, route: usize) -> String {
        match self {
            Self::Shared => "s0".to_owned(),
            Self::Own => format!("s{route}"),
        }
    }

    /// As figures are named.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Own => "own",
        }
    }
}

fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": "default"})
}

/// GatewayClass, Gateway with a plain and a TLS listener, and the certificate.
pub(crate) fn ground(certificate: &Certificate) -> Vec<Value> {
    vec![
        json!({
            "apiVersion": GROUP, "kind": "GatewayClass", "metadata": {"name": "nearside"},
            "spec": {"controllerName": "nearside.dev/gateway-controller"},
        }),
        gateway(&[]),
        secret(certificate),
    ]
}

/// The Gateway, with more plain listeners, each for a hostname and of its first label's name.
pub(crate) fn gateway(more: &[&str]) -> Value {
    let tls = json!({"certificateRefs": [{"name": "cert"}]});
    let mut listeners = vec![
        json!({"name": "http", "port": 80, "protocol": "HTTP"}),
        json!({"name": "https", "port": 443, "protocol": "HTTPS", "tls": tls}),
    ];
    for hostname in more {
        let name = hostname.split('.').next();
        listeners.push(json!({"name": name, "port": 80, "protocol": "HTTP", "hostname": hostname}));
    }
    json!({
        "apiVersion": GROUP, "kind": "Gateway", "metadata": meta("edge"),
        "spec": {"gatewayClassName": "nearside", "listeners": listeners},
    })
}

/// The listener's certificate.
pub(crate) fn secret(certificate: &Certificate) -> Value {
    let Certificate { chain_pem, key_pem, .. } = certificate;
    json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": meta("cert"),
        "data": {"tls.crt": STANDARD.encode(chain_pem), "tls.key": STANDARD.encode(key_pem)},
    })
}

/// A Service and its endpoints, all of one port.
pub(crate) fn service(name: &str, endpoints: &[SocketAddr]) -> [Value; 2] {
    let port = endpoints.first().map_or(80, SocketAddr::port);
    let all =
        endpoints.iter().map(|one| json!({"addresses": [one.ip()], "conditions": {"ready": true}}));
    let all: Vec<Value> = all.collect();
    let labels = json!({"kubernetes.io/service-name": name});
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": meta(name),
            "spec": {"ports": [{"name": "http", "port": 80, "targetPort": port}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{name}-1"), "namespace": "default", "labels": labels},
            "ports": [{"name": "http", "port": port}], "endpoints": all,
        }),
    ]
}

/// A route for a hostname; its answers tell the version, when there is one.
pub(crate) fn route(name: &str, hostname: &str, service: &str, version: Option<u64>) -> Value {
    let backends = json!([{"name": service, "port": 80}]);
    let mut rule = json!({"backendRefs": backends});
    if let Some(version) = version {
        let set = json!({"set": [{"name": "x-version", "value": version.to_string()}]});
        let filter = json!({"type": "ResponseHeaderModifier", "responseHeaderModifier": set});
        rule["filters"] = json!([filter]);
    }
    json!({
        "apiVersion": GROUP, "kind": "HTTPRoute", "metadata": meta(name),
        "spec": {"parentRefs": [{"name": "edge"}], "hostnames": [hostname], "rules": [rule]},
    })
}

/// The numbered route; the first one tells its version.
pub(crate) fn numbered(number: usize, backends: Backends, version: u64) -> Value {
    let version = (number == 0).then_some(version);
    route(&format!("r{number}"), &host(number), &backends.service(number), version)
}

/// Services with this endpoint, and the routes to them but for the first.
pub(crate) fn world(routes: usize, backends: Backends, origin: SocketAddr) -> Vec<Value> {
    let services = match backends {
        Backends::Shared => 1,
        Backends::Own => routes.max(1),
    };
    let services = (0..services).flat_map(|one| service(&format!("s{one}"), &[origin]));
    services.chain((1..routes).map(|one| numbered(one, backends, 0))).collect()
}

/// Writes objects into files of a directory.
pub(crate) fn write(directory: &Path, objects: &[Value]) -> anyhow::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (at, part) in objects.chunks(ROUTES_PER_FILE).enumerate() {
        write_one(&directory.join(format!("objects-{at}.yaml")), part)?;
    }
    let site = json!({
        "apiVersion": "nearside.dev/v1alpha1", "kind": "Site", "metadata": {"name": "bench"},
        "spec": {
            "tier": "core", "addresses": ["127.0.0.1"],
            "location": {"country": "DE", "coordinates": {"lat": 50.11, "lon": 8.68}},
        },
    });
    write_one(&directory.join("site.yaml"), &[site])
}

/// Writes objects into one file, at once.
pub(crate) fn write_one(path: &Path, objects: &[Value]) -> anyhow::Result<()> {
    let mut text = String::new();
    for object in objects {
        let _ = writeln!(text, "---\n{object}");
    }
    let aside = path.with_extension("tmp");
    std::fs::write(&aside, text)?;
    Ok(std::fs::rename(&aside, path)?)
}

#[cfg(test)]
mod tests;
