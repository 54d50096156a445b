//! Random worlds and random edits: what is compiled out of the view before and out of the edited
//! objects is what is compiled out of the objects alone, in everything that anybody can see.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::OnceLock;

use http::HeaderMap;
use model::document::gateway_object;
use model::gateway::{GatewayObject, ObjectKind};
use proptest::prelude::*;
use regex::{Captures, Regex};
use serde_json::{Value, json};

use super::*;
use crate::attach::Addressing;
use crate::route::Considered;

/// Objects of each kind that a world may have, by number.
const KINDS: [(ObjectKind, u8); 18] = [
    (ObjectKind::GatewayClass, 2),
    (ObjectKind::Gateway, 2),
    (ObjectKind::ListenerSet, 2),
    (ObjectKind::HttpRoute, 4),
    (ObjectKind::GrpcRoute, 2),
    (ObjectKind::TlsRoute, 2),
    (ObjectKind::TcpRoute, 2),
    (ObjectKind::UdpRoute, 1),
    (ObjectKind::Ingress, 3),
    (ObjectKind::IngressClass, 2),
    (ObjectKind::Service, 4),
    (ObjectKind::EndpointSlice, 4),
    (ObjectKind::ReferenceGrant, 1),
    (ObjectKind::HttpPolicy, 2),
    (ObjectKind::BackendTlsPolicy, 1),
    (ObjectKind::ConfigMap, 1),
    (ObjectKind::Namespace, 2),
    (ObjectKind::Secret, 1),
];

/// All of them.
const OBJECTS: usize = 38;

fn namespace(number: u8) -> &'static str {
    if number.is_multiple_of(2) { "a" } else { "b" }
}

/// Certificates are slow to make: one for all.
fn certificate() -> &'static (String, String) {
    static MADE: OnceLock<(String, String)> = OnceLock::new();
    MADE.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["x.test".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    })
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
/// One of the things that an object may say, chosen by the bits of `variant`.
fn spec(kind: ObjectKind, number: u8, variant: u16) -> Value {
    let bit = |at: u32| variant >> at & 1 == 1;
    let of = |at: u32, all: &[&str]| all[usize::from(variant >> at & 3) % all.len()].to_owned();
    let service = |at: u32| format!("s{}", variant >> at & 1);
    let backend = |at: u32| {
        let port = if bit(at + 1) { 80 } else { 81 };
        json!({"name": service(at), "namespace": namespace(u8::from(bit(at + 2))), "port": port})
    };
    let parents = || {
        if bit(0) {
            json!([{"name": format!("g{}", variant >> 1 & 1), "namespace": "a"}])
        } else {
            json!([
                {"name": "g0", "namespace": "a", "sectionName": of(1, &["web", "tls", "raw", "udp"])},
                {"name": "l0", "namespace": "b", "kind": "ListenerSet"},
            ])
        }
    };
    let hosts = || match variant >> 3 & 3 {
        0 => json!([]),
        1 => json!([format!("h{number}.x.test")]),
        2 => json!(["same.x.test"]),
        _ => json!(["*.x.test", "same.x.test"]),
    };
    let listener = |name: &str, port: u16, protocol: &str, host: Option<&str>| {
        let from = match variant & 3 {
            0 => json!({"from": "Same"}),
            1 => json!({"from": "All"}),
            _ => {
                json!({"from": "Selector", "selector": {"matchLabels": {"team": "blue"}}})
            }
        };
        let mut one = json!({
            "name": name, "port": port, "protocol": protocol, "allowedRoutes": {"namespaces": from},
        });
        if let Some(host) = host {
            one["hostname"] = host.into();
        }
        if protocol == "HTTPS" {
            one["tls"] = json!({"certificateRefs": [{"name": "cert"}]});
        }
        if protocol == "TLS" {
            one["tls"] = json!({"mode": "Passthrough"});
        }
        one
    };
    match kind {
        ObjectKind::GatewayClass => {
            let ours =
                if bit(0) || bit(1) { "nearside.dev/gateway-controller" } else { "x.test/c" };
            json!({"controllerName": ours})
        }
        ObjectKind::Gateway => {
            let mut all = vec![listener("web", 80, "HTTP", bit(2).then_some("*.x.test"))];
            if bit(7) {
                all.push(listener("tls", 443, "HTTPS", None));
            }
            if bit(3) {
                all.push(listener("more", 80, "HTTP", Some("same.x.test")));
            }
            if bit(4) {
                all.push(listener("raw", 7000, "TCP", None));
                all.push(listener("sni", 7001, "TLS", None));
                all.push(listener("udp", 7002, "UDP", None));
            }
            let mut spec = json!({
                "gatewayClassName": format!("c{}", variant >> 5 & 1), "listeners": all,
                "allowedListeners": {"namespaces": {"from": if bit(6) { "All" } else { "None" }}},
            });
            if bit(8) {
                let authorities = json!([{"group": "", "kind": "ConfigMap", "name": "m0"}]);
                spec["tls"] = json!({"frontend": {"default": {"validation": {"caCertificateRefs": authorities}}}});
            }
            spec
        }
        ObjectKind::ListenerSet => json!({
            "parentRef": {"name": format!("g{}", variant >> 4 & 1), "namespace": "a"},
            "listeners": [listener("set", 80, "HTTP", Some(&format!("l{number}.x.test")))],
        }),
        ObjectKind::HttpRoute => {
            let path = of(5, &["/", "/p", "/p/q", "/P"]);
            let by = of(7, &["Exact", "PathPrefix", "RegularExpression", "PathPrefix"]);
            let mut matches = json!([{"path": {"type": by, "value": path}}]);
            if bit(9) {
                matches[0]["method"] = "GET".into();
            }
            let filters = if bit(10) {
                json!([{"type": "RequestMirror", "requestMirror": {"backendRef": backend(11)}}])
            } else {
                json!([])
            };
            json!({"parentRefs": parents(), "hostnames": hosts(), "rules": [
                {"name": "one", "matches": matches, "filters": filters, "backendRefs": [backend(12)]},
                {"backendRefs": [backend(13)], "matches": [{"headers": [{"name": "x", "value": "1"}]}]},
            ]})
        }
        ObjectKind::GrpcRoute => json!({
            "parentRefs": parents(), "hostnames": hosts(),
            "rules": [{"matches": [{"method": {"service": of(5, &["s", "t"])}}], "backendRefs": [backend(12)]}],
        }),
        ObjectKind::TlsRoute => json!({
            "parentRefs": [{"name": "g0", "namespace": "a"}],
            "hostnames": [of(3, &["x.test", "h.x.test"])], "rules": [{"backendRefs": [backend(12)]}],
        }),
        ObjectKind::TcpRoute | ObjectKind::UdpRoute => json!({
            "parentRefs": [{"name": "g0", "namespace": "a"}], "rules": [{"backendRefs": [backend(12)]}],
        }),
        ObjectKind::Ingress => {
            let backend = |at: u32| {
                let port = if bit(at + 1) { json!({"number": 80}) } else { json!({"name": "web"}) };
                json!({"service": {"name": service(at), "port": port}})
            };
            let host = of(3, &["same.x.test", "*.x.test", "i.x.test"]);
            let mut spec = json!({"rules": [
                {"host": host, "http": {"paths": [{"path": of(5, &["/", "/p"]), "pathType": "Prefix", "backend": backend(12)}]}},
            ]});
            if bit(0) {
                spec["ingressClassName"] = format!("k{}", variant >> 1 & 1).into();
            }
            if bit(2) {
                spec["defaultBackend"] = backend(13);
            }
            if bit(7) {
                spec["tls"] = json!([{"hosts": [host], "secretName": "cert"}]);
            }
            spec
        }
        ObjectKind::IngressClass => {
            let ours = if bit(0) { "nearside.dev/ingress-controller" } else { "x.test/c" };
            json!({"controller": ours})
        }
        ObjectKind::Service => {
            let mut ports = vec![json!({"name": "web", "port": 80})];
            if bit(0) {
                ports.push(json!({"name": "h2", "port": 81, "appProtocol": "kubernetes.io/h2c"}));
            }
            if bit(1) {
                ports.reverse();
                ports.push(json!({"name": "dns", "port": 53, "protocol": "UDP"}));
            }
            json!({"ports": ports})
        }
        ObjectKind::HttpPolicy => {
            let target = match variant & 3 {
                0 => json!({"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g0"}),
                1 => json!({"group": "networking.k8s.io", "kind": "Ingress", "name": "i0"}),
                2 => {
                    json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r0", "sectionName": "one"})
                }
                _ => {
                    json!({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "r0"})
                }
            };
            let mut spec =
                json!({"targetRefs": [target], "requestBodyMax": 10 + (variant >> 4 & 1)});
            if bit(2) {
                spec["externalAuth"] = json!({"backendRef": {"name": service(5), "port": 80}});
            }
            if bit(3) {
                spec["jwt"] = json!({"keysRef": {"kind": "ConfigMap", "name": "m0"}});
            }
            spec
        }
        ObjectKind::BackendTlsPolicy => json!({
            "targetRefs": [{"group": "", "kind": "Service", "name": service(0)}],
            "validation": {
                "hostname": "x.test",
                "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "m0"}],
            },
        }),
        ObjectKind::ReferenceGrant => {
            let from = if bit(0) { "HTTPRoute" } else { "TCPRoute" };
            json!({
                "from": [{"group": "gateway.networking.k8s.io", "kind": from, "namespace": "a"}],
                "to": [{"group": "", "kind": "Service"}],
            })
        }
        _ => Value::Null,
    }
}

#[expect(clippy::too_many_lines, reason = "one arm for each kind")]
fn object(kind: ObjectKind, number: u8, variant: u16) -> GatewayObject {
    let name = match kind {
        ObjectKind::GatewayClass => format!("c{number}"),
        ObjectKind::Gateway => format!("g{number}"),
        ObjectKind::ListenerSet => format!("l{number}"),
        ObjectKind::Ingress => format!("i{number}"),
        ObjectKind::IngressClass => format!("k{number}"),
        ObjectKind::Service => format!("s{}", number / 2),
        ObjectKind::ConfigMap => format!("m{number}"),
        ObjectKind::Secret => "cert".to_owned(),
        ObjectKind::Namespace => namespace(number).to_owned(),
        _ => format!("r{number}"),
    };
    let space = match kind {
        ObjectKind::Gateway | ObjectKind::ConfigMap => "a",
        ObjectKind::ListenerSet | ObjectKind::ReferenceGrant => "b",
        _ => namespace(number),
    };
    let api = match (kind.group(), kind.versions()[0]) {
        ("", version) => version.to_owned(),
        (group, version) => format!("{group}/{version}"),
    };
    let created = format!("2026-01-0{}T00:00:00Z", 1 + (variant >> 15));
    let mut document = json!({
        "apiVersion": api, "kind": kind.name(), "spec": spec(kind, number, variant),
        "metadata": {"name": name, "creationTimestamp": created, "generation": i64::from(variant)},
    });
    if !kind.is_cluster_scoped() {
        document["metadata"]["namespace"] = space.into();
    }
    let fields = document.as_object_mut().unwrap();
    match kind {
        ObjectKind::EndpointSlice => {
            fields.remove("spec");
            let ready = variant & 1 == 1;
            fields["metadata"]["labels"] =
                json!({"kubernetes.io/service-name": format!("s{}", number / 2)});
            fields.insert("addressType".to_owned(), "IPv4".into());
            fields.insert(
                "ports".to_owned(),
                json!([{"name": "web", "port": 8080}, {"name": "h2", "port": 8081}]),
            );
            let ip = format!("10.0.{number}.{}", variant >> 1 & 3);
            fields.insert(
                "endpoints".to_owned(),
                json!([{"addresses": [ip], "conditions": {"ready": ready}}]),
            );
        }
        ObjectKind::ConfigMap => {
            fields.remove("spec");
            let (chain, _) = certificate();
            let data = match variant & 3 {
                0 => json!({"ca.crt": chain}),
                1 => json!({"jwks": r#"{"keys": []}"#}),
                2 => {
                    json!({"ca.crt": chain, "jwks": r#"{"keys": [{"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U"}]}"#})
                }
                _ => json!({}),
            };
            fields.insert("data".to_owned(), data);
        }
        ObjectKind::Secret => {
            fields.remove("spec");
            let (chain, key) = certificate();
            let encode = |text: &str| {
                use base64::Engine as _;
                base64::engine::general_purpose::STANDARD.encode(text)
            };
            fields.insert("type".to_owned(), "kubernetes.io/tls".into());
            let data = json!({"tls.crt": encode(chain), "tls.key": encode(key)});
            fields.insert("data".to_owned(), data);
        }
        ObjectKind::Namespace => {
            fields.remove("spec");
            let team = if variant & 1 == 1 { "blue" } else { "red" };
            fields["metadata"]["labels"] = json!({"team": team});
        }
        ObjectKind::Ingress if variant >> 8 & 1 == 1 => {
            let protocol = if variant >> 9 & 1 == 1 { "HTTPS" } else { "GRPCS" };
            fields["metadata"]["annotations"] =
                json!({"nginx.ingress.kubernetes.io/backend-protocol": protocol});
        }
        _ => {}
    }
    gateway_object(&document).unwrap_or_else(|error| panic!("{document}: {error}")).object
}

/// Everything that can be seen of a view, numbers replaced by what they stand for.
fn show(view: &GatewayView) -> String {
    static NUMBER: OnceLock<Regex> = OnceLock::new();
    let number = NUMBER.get_or_init(|| Regex::new(r"(Cluster\(|cluster: )(\d+)").unwrap());
    let named = |found: &Captures<'_>| {
        let cluster = view.clusters.get(found[2].parse().unwrap());
        format!("{}{}", &found[1], cluster.map_or_else(|| "?".to_owned(), cluster_text))
    };
    let mut text = String::new();
    for (place, plan) in &*view.places {
        let plan = match plan {
            Plan::Tls(plan) => tls_text(plan),
            plan => format!("{plan:?}"),
        };
        let _ = writeln!(text, "{place:?}: {}", number.replace_all(&plan, named));
        let Some(table) = view.routes.table(*place) else { continue };
        for Considered { rule, host, path, .. } in view.routes.entries(table) {
            let rule = format!("{:?}", view.routes.rule(rule));
            let _ = writeln!(text, "  {host} {path} {}", number.replace_all(&rule, named));
        }
        for host in ["same.x.test", "h0.x.test", "l0.x.test", "none.test"] {
            let headers = HeaderMap::new();
            let request =
                RequestParts { host, path: "/p/q", query: None, method: "GET", headers: &headers };
            let found = view.routes.find(table, &request);
            let found = found.and_then(|one| view.routes.rule(one.rule)).map(|rule| &rule.id);
            let _ = writeln!(
                text,
                "  {host} -> {found:?} {:?}",
                view.routes.listener_port(*place, host)
            );
        }
    }
    let mut lines: Vec<String> = view.clusters.ports().map(cluster_text).collect();
    lines.extend(view.endpoints.keys().map(|address| format!("endpoint {address}")));
    lines.extend(view.keys.all().map(|(secret, _)| format!("key {secret}")));
    lines.extend(view.statuses.iter().map(|one| format!("{:?}", one.render())));
    lines.extend(view.routes.all().map(|rule| format!("rule {}", rule.id)));
    lines.sort();
    let _ = writeln!(text, "{}\n{:#?}", lines.join("\n"), view.warnings);
    text
}

fn tls_text(plan: &crate::socket::TlsPlan) -> String {
    let action = |action: &TlsAction| match action {
        TlsAction::Http(by, table) => format!("{by:?} {table:?}"),
        TlsAction::Stream(by, stream) => format!("{by:?} {stream:?}"),
        TlsAction::Passthrough(stream) => format!("{stream:?}"),
    };
    let all = |names: &HashMap<Box<str>, TlsAction>| {
        let named = names.iter().map(|(name, one)| (name.clone(), action(one)));
        named.collect::<BTreeMap<_, _>>()
    };
    format!("{:?} {:?} {:?}", all(&plan.exact), all(&plan.suffix), plan.any.as_ref().map(action))
}

fn cluster_text(cluster: &Cluster) -> String {
    let Cluster { backend, protocol, security, endpoints, near, proxy_protocol, total, .. } =
        cluster;
    let endpoints: Vec<SocketAddr> = endpoints.iter().map(|one| one.address).collect();
    format!(
        "<{}:{} {protocol:?} {security:?} {endpoints:?} {near} {proxy_protocol:?} {total}>",
        backend.object, backend.port
    )
}

fn empty() -> GatewayView {
    let ground = Ground {
        addressing: Addressing::Shared,
        http: vec!["127.0.0.1:80".parse().unwrap()],
        https: vec!["127.0.0.1:443".parse().unwrap()],
    };
    GatewayView { ground: Arc::new(ground), ..GatewayView::default() }
}

type Change = (usize, u8, Option<u16>);

fn change() -> impl Strategy<Value = Change> {
    (0..KINDS.len(), any::<u8>(), proptest::option::weighted(0.75, any::<u16>()))
}

fn edit(objects: &mut GatewayObjects, (kind, number, variant): Change) {
    let (kind, count) = KINDS[kind];
    let number = number % count;
    match variant {
        Some(variant) => objects.put(object(kind, number, variant)),
        None => {
            let gone = object(kind, number, 0);
            objects.remove(kind, &gone.meta().object);
        }
    }
}

/// Compiles a world, edits one object and gives whether that can be seen; what is kept must be what
/// would be made.
fn is_seen(
    world: &[(ObjectKind, u8, u16)],
    (kind, number, variant): (ObjectKind, u8, u16),
) -> bool {
    let mut objects = GatewayObjects::default();
    for (kind, number, variant) in world {
        objects.put(object(*kind, *number, *variant));
    }
    let (before, _) = GatewayView::compile(&objects, &empty());
    objects.put(object(kind, number, variant));
    let (after, _) = GatewayView::compile(&objects, &before);
    let nothing = GatewayView { kept: Arc::clone(&before.kept), ..empty() };
    let (anew, _) = GatewayView::compile(&objects, &nothing);
    assert_eq!(show(&after), show(&anew), "after an edit of a {}", kind.name());
    show(&after) != show(&before)
}

/// What random edits meet too rarely.
#[test]
fn what_is_looked_at_from_afar_is_not_forgotten() {
    let class = (ObjectKind::GatewayClass, 0, 1);
    // A Service that a policy's `externalAuth` names and the route does not.
    let route = (ObjectKind::HttpRoute, 0, 1 | 1 << 12 | 1 << 13);
    let world = [class, (ObjectKind::Gateway, 0, 0), route, (ObjectKind::HttpPolicy, 0, 7)];
    assert!(is_seen(&world, (ObjectKind::Service, 0, 0)));
    // A ListenerSet that admits routes of another namespace.
    let sets = [class, (ObjectKind::Gateway, 0, 1 << 6), (ObjectKind::ListenerSet, 0, 0)];
    let world = [sets.as_slice(), &[(ObjectKind::HttpRoute, 0, 0)]].concat();
    assert!(is_seen(&world, (ObjectKind::ListenerSet, 0, 1)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn what_is_kept_is_what_would_be_made(
        first in proptest::collection::vec((any::<u16>(), 0..8_u8), OBJECTS),
        edits in proptest::collection::vec(proptest::collection::vec(change(), 1..3), 1..24),
    ) {
        let mut objects = GatewayObjects::default();
        let all = KINDS.iter().enumerate();
        let all = all.flat_map(|(kind, (_, count))| (0..*count).map(move |number| (kind, number)));
        // Most of what there can be is there.
        for ((kind, number), (variant, rest)) in all.zip(first) {
            edit(&mut objects, (kind, number, (rest > 0).then_some(variant)));
        }
        let (mut view, _) = GatewayView::compile(&objects, &empty());
        for step in edits {
            for one in step.clone() {
                edit(&mut objects, one);
            }
            view = GatewayView::compile(&objects, &view).0;
            let nothing = GatewayView { kept: Arc::clone(&view.kept), ..empty() };
            let (anew, _) = GatewayView::compile(&objects, &nothing);
            let (kept, made) = (show(&view), show(&anew));
            let first = kept.lines().zip(made.lines()).find(|(a, b)| a != b);
            prop_assert!(kept == made, "after {step:?}: {first:#?}");
        }
    }
}
