//! Small worlds in YAML, and what their statuses say. The tests of the first half are named for those
//! of Gateway API's conformance suite, whose worlds they are made after.

use model::document::{self, SourceFile};
use model::gateway::GatewayObjects;

use super::*;
use crate::status::{Condition, Detail};
use crate::tls::Keys;

/// A class and two Services of namespace `ns`.
const WORLD: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: c, generation: 1}
spec: {controllerName: nearside.dev/gateway-controller}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: ns}
spec: {ports: [{name: web, port: 80}, {name: dns, port: 53, protocol: UDP}]}
---
apiVersion: v1
kind: Service
metadata: {name: s, namespace: other}
spec: {ports: [{port: 80}]}
---
";

fn load(text: &str) -> GatewayObjects {
    let file = SourceFile { path: "t.yaml".into(), text: format!("{WORLD}{text}").into() };
    match document::load(&[file]) {
        Ok(documents) => documents.gateway,
        Err(found) => panic!("{}", found.iter().map(ToString::to_string).collect::<String>()),
    }
}

fn show_all(conditions: &[Condition]) -> String {
    let one = |one: &Condition| {
        let sign = if one.holds { "" } else { "!" };
        if one.kind == one.reason {
            format!("{sign}{}", one.kind)
        } else {
            format!("{sign}{}:{}", one.kind, one.reason)
        }
    };
    let shown = conditions.iter().filter(|one| one.reason != "NoConflicts").map(one);
    shown.collect::<Vec<_>>().join(" ")
}

fn show(status: &ObjectStatus) -> String {
    let head = format!("{} {}", status.kind.name(), status.object);
    let listeners = |all: &[crate::status::ListenerStatus]| -> String {
        let one = |one: &crate::status::ListenerStatus| {
            let kinds: Vec<&str> = one.kinds.iter().map(|kind| kind.name()).collect();
            format!(
                "\n  {} [{}] {}: {}",
                one.name,
                kinds.join(","),
                one.attached,
                show_all(&one.conditions)
            )
        };
        all.iter().map(one).collect()
    };
    match &status.detail {
        Detail::GatewayClass(all) => format!("{head}: {}", show_all(all)),
        Detail::Gateway { addresses, sets, conditions, listeners: each } => {
            let sets = if *sets == 0 { String::new() } else { format!(" sets={sets}") };
            format!("{head} {addresses:?}{sets}: {}{}", show_all(conditions), listeners(each))
        }
        Detail::ListenerSet { conditions, listeners: each } => {
            format!("{head}: {}{}", show_all(conditions), listeners(each))
        }
        Detail::Route(parents) => {
            let one = |one: &ParentStatus| {
                format!("\n  {}: {}", one.parent.object, show_all(&one.conditions))
            };
            format!("{head}{}", parents.iter().map(one).collect::<String>())
        }
        Detail::Policy(all) => {
            let one = |(gateway, all): &(ObjectRef, Vec<Condition>)| {
                format!("\n  {gateway}: {}", show_all(all))
            };
            format!("{head}{}", all.iter().map(one).collect::<String>())
        }
        Detail::Ingress(addresses) => format!("{head} {addresses:?}"),
    }
}

fn ground() -> Ground {
    Ground {
        addressing: Addressing::Pool(vec!["127.0.2.1/32".parse().unwrap()]),
        http: vec!["127.0.0.1:8080".parse().unwrap()],
        https: vec!["127.0.0.1:8443".parse().unwrap()],
    }
}

/// The statuses of a world but its class's, one after another.
fn statuses(text: &str) -> String {
    let (objects, ground, keys) = (load(text), ground(), Keys::default());
    let scene = Scene::new(&objects, &ground);
    let found = attach(&scene, &mut Keyring::new(&keys), &Attached::default());
    let shown = found
        .statuses
        .iter()
        .filter(|one| one.kind != ObjectKind::GatewayClass)
        .map(|one| show(one));
    shown.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(statuses(text), expected.trim(), "\n{}", statuses(text));
}

fn gateway(listeners: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: g, namespace: ns}}\n\
         spec: {{gatewayClassName: c, listeners: [{listeners}]}}\n---\n"
    )
}

fn route(kind: &str, name: &str, spec: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: {kind}\nmetadata: {{name: {name}, namespace: ns}}\n\
         spec: {{{spec}}}\n---\n"
    )
}

const HTTP: &str = "{name: http, port: 80, protocol: HTTP}";
const TO_S: &str = "rules: [{backendRefs: [{name: s, port: 80}]}]";

#[test]
fn http_route_simple_same_namespace() {
    let world =
        gateway(HTTP) + &route("HTTPRoute", "r", &format!("parentRefs: [{{name: g}}], {TO_S}"));
    check(
        &world,
        "
HTTPRoute ns/r
  ns/g: Accepted ResolvedRefs
Gateway ns/g [\"127.0.2.1\"]: Accepted Programmed
  http [HTTPRoute,GRPCRoute] 1: Accepted Programmed ResolvedRefs
",
    );
}

#[test]
fn a_gateway_of_another_class_is_nobodys() {
    let world = gateway(HTTP).replace("gatewayClassName: c", "gatewayClassName: other")
        + &route("HTTPRoute", "r", &format!("parentRefs: [{{name: g}}], {TO_S}"));
    check(&world, "");
}

#[test]
fn http_route_invalid_parents_and_disallowed_kinds() {
    let parents =
        "{name: g, sectionName: nowhere}, {name: g, port: 81}, {name: g, sectionName: tls}";
    let world = gateway(&format!(
        "{HTTP}, {{name: tls, port: 443, protocol: TLS, tls: {{mode: Passthrough}}, \
         allowedRoutes: {{kinds: [{{kind: TLSRoute}}]}}}}"
    )) + &route("HTTPRoute", "r", &format!("parentRefs: [{parents}], {TO_S}"));
    check(
        &world,
        "
HTTPRoute ns/r
  ns/g: !Accepted:NoMatchingParent ResolvedRefs
  ns/g: !Accepted:NoMatchingParent ResolvedRefs
  ns/g: !Accepted:NotAllowedByListeners ResolvedRefs
Gateway ns/g [\"127.0.2.1\"]: Accepted Programmed
  http [HTTPRoute,GRPCRoute] 0: Accepted Programmed ResolvedRefs
  tls [TLSRoute] 0: Accepted Programmed ResolvedRefs
",
    );
}

#[test]
fn http_route_invalid_backends() {
    let rule =
        |backend: &str| format!("parentRefs: [{{name: g}}], rules: [{{backendRefs: [{backend}]}}]");
    let world = gateway(HTTP)
        + &route("HTTPRoute", "a-kind", &rule("{group: odd.example, kind: Odd, name: s}"))
        + &route("HTTPRoute", "b-namespace", &rule("{name: s, namespace: other, port: 80}"))
        + &route("HTTPRoute", "c-missing", &rule("{name: missing, port: 80}"))
        + &route("HTTPRoute", "d-port", &rule("{name: s, port: 81}"));
    check(
        &world,
        "
HTTPRoute ns/a-kind
  ns/g: Accepted !ResolvedRefs:InvalidKind
HTTPRoute ns/b-namespace
  ns/g: Accepted !ResolvedRefs:RefNotPermitted
HTTPRoute ns/c-missing
  ns/g: Accepted !ResolvedRefs:BackendNotFound
HTTPRoute ns/d-port
  ns/g: Accepted !ResolvedRefs:BackendNotFound
Gateway ns/g [\"127.0.2.1\"]: Accepted Programmed
  http [HTTPRoute,GRPCRoute] 4: Accepted Programmed ResolvedRefs
",
    );
}

#[test]
fn http_route_reference_grant() {
    let grant = |to: &str| {
        format!(
            "apiVersion: gateway.networking.k8s.io/v1\nkind: ReferenceGrant\n\
             metadata: {{name: x, namespace: other}}\nspec: {{from: [{{group: gateway.networking.k8s.io, \
             kind: HTTPRoute, namespace: ns}}], to: [{to}]}}\n---\n"
        )
    };
    let world = |to: &str| {
        let spec = "parentRefs: [{name: g}], rules: [{backendRefs: [{name: s, namespace: other, port: 80}]}]";
        statuses(&(gateway(HTTP) + &grant(to) + &route("HTTPRoute", "r", spec)))
    };
    assert!(world("{group: \"\", kind: Service}").contains("ns/g: Accepted ResolvedRefs\n"));
    assert!(
        world("{group: \"\", kind: Service, name: s}").contains("ns/g: Accepted ResolvedRefs\n")
    );
    for wrong in [
        "{group: \"\", kind: Service, name: t}",
        "{group: \"\", kind: Secret}",
        "{group: x, kind: Service}",
    ] {
        assert!(world(wrong).contains("!ResolvedRefs:RefNotPermitted"), "{wrong}");
    }
}

#[test]
fn http_route_listener_hostname_matching() {
    let listener = |name: &str, host: &str| {
        format!("{{name: {name}, port: 80, protocol: HTTP, hostname: \"{host}\"}}")
    };
    let world =
        gateway(&[listener("one", "a.example"), listener("wild", "*.b.example")].join(", "))
            + &route(
                "HTTPRoute",
                "hit",
                &format!("parentRefs: [{{name: g}}], hostnames: [x.b.example, no.example], {TO_S}"),
            )
            + &route(
                "HTTPRoute",
                "miss",
                &format!("parentRefs: [{{name: g}}], hostnames: [b.example], {TO_S}"),
            );
    check(
        &world,
        "
HTTPRoute ns/hit
  ns/g: Accepted ResolvedRefs
HTTPRoute ns/miss
  ns/g: !Accepted:NoMatchingListenerHostname ResolvedRefs
Gateway ns/g [\"127.0.2.1\"]: Accepted Programmed
  one [HTTPRoute,GRPCRoute] 0: Accepted Programmed ResolvedRefs
  wild [HTTPRoute,GRPCRoute] 1: Accepted Programmed ResolvedRefs
",
    );
}

#[test]
fn an_expression_that_is_none_is_not_accepted() {
    let rules = "rules: [{matches: [{path: {type: RegularExpression, value: \"/(\"}}], backendRefs: [{name: s, port: 80}]}]";
    let found = statuses(
        &(gateway(HTTP) + &route("HTTPRoute", "r", &format!("parentRefs: [{{name: g}}], {rules}"))),
    );
    assert!(
        found.starts_with("HTTPRoute ns/r\n  ns/g: !Accepted:UnsupportedValue ResolvedRefs\n"),
        "{found}"
    );
}

#[test]
fn gateway_listener_unsupported_protocol_and_invalid_route_kind() {
    check(
        &gateway("{name: odd, port: 1, protocol: odd.example/x}"),
        "
Gateway ns/g [\"127.0.2.1\"]: !Accepted:ListenersNotValid !Programmed:Invalid
  odd [] 0: !Accepted:UnsupportedProtocol !Programmed:Invalid ResolvedRefs
",
    );
    check(
        &gateway(&format!("{HTTP}, {{name: odd, port: 1, protocol: odd.example/x}}")),
        "
Gateway ns/g [\"127.0.2.1\"]: Accepted:ListenersNotValid Programmed
  http [HTTPRoute,GRPCRoute] 0: Accepted Programmed ResolvedRefs
  odd [] 0: !Accepted:UnsupportedProtocol !Programmed:Invalid ResolvedRefs
",
    );
    check(
        &gateway(
            "{name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}, {kind: OddRoute}]}}",
        ),
        "
Gateway ns/g [\"127.0.2.1\"]: Accepted Programmed
  http [HTTPRoute] 0: Accepted Programmed !ResolvedRefs:InvalidRouteKinds
",
    );
}

#[test]
fn gateway_invalid_tls_configuration_and_missing_grant() {
    let https = |reference: &str| {
        gateway(&format!(
            "{{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{reference}]}}}}"
        ))
    };
    for (reference, reason) in [
        ("{name: missing}", "InvalidCertificateRef"),
        ("{kind: Odd, name: x}", "InvalidCertificateRef"),
        ("{group: odd.example, name: x}", "InvalidCertificateRef"),
        ("{name: missing, namespace: other}", "RefNotPermitted"),
    ] {
        let route = route("HTTPRoute", "r", &format!("parentRefs: [{{name: g}}], {TO_S}"));
        let found = statuses(&(https(reference) + &route));
        let expected = format!(
            "https [HTTPRoute,GRPCRoute] 1: Accepted !Programmed:Invalid !ResolvedRefs:{reason}"
        );
        assert!(found.contains(&expected), "{found}");
    }
}

#[test]
fn a_kind_is_told_with_its_group() {
    let kind = |group| kind_of(&Reference::new(group, "Secret", ObjectRef::default()));
    assert_eq!([kind(""), kind("odd.example")], ["Secret", "Secret.odd.example"]);
}

#[test]
fn gateway_invalid_parameters_ref_and_unsupported_address() {
    let with = |extra: &str| {
        gateway(HTTP).replace("gatewayClassName: c", &format!("gatewayClassName: c, {extra}"))
    };
    let found = statuses(&with(
        "infrastructure: {parametersRef: {group: \"\", kind: ConfigMap, name: missing}}",
    ));
    assert!(found.contains(": !Accepted:InvalidParameters !Programmed:Invalid"), "{found}");
    let found = statuses(&with("addresses: [{type: test/fake, value: x}]"));
    assert!(found.contains(": !Accepted:UnsupportedAddress !Programmed:Invalid"), "{found}");
    let found = statuses(&with("addresses: [{type: IPAddress, value: 192.0.2.9}]"));
    assert!(found.contains("[]: Accepted !Programmed:AddressNotUsable"), "{found}");
}

#[test]
fn client_certificate_validation_of_every_fault() {
    let world = |reference: &str| {
        statuses(
            &gateway(&format!("{HTTP}, {{name: https, port: 443, protocol: HTTPS, tls: {{certificateRefs: [{{name: m}}]}}}}"))
                .replace("gatewayClassName: c", &format!("gatewayClassName: c, tls: {{frontend: {{default: {{validation: {{caCertificateRefs: [{reference}]}}}}}}}}")),
        )
    };
    for (reference, reason) in [
        ("{group: \"\", kind: ConfigMap, name: missing}", "InvalidCertificateRef"),
        ("{group: \"\", kind: Odd, name: x}", "InvalidCertificateRef"),
    ] {
        let found = world(reference);
        assert!(
            found.contains("http [HTTPRoute,GRPCRoute] 0: Accepted Programmed ResolvedRefs"),
            "{found}"
        );
        let expected =
            format!("!Accepted:NoValidCACertificate !Programmed:Invalid !ResolvedRefs:{reason}");
        assert!(found.contains(&expected), "{found}");
    }
}

fn set(name: &str, listeners: &str) -> String {
    route("ListenerSet", name, &format!("parentRef: {{name: g}}, listeners: [{listeners}]"))
}

#[test]
fn listener_set_default_not_allowed() {
    check(
        &(gateway(HTTP) + &set("x", "{name: a, port: 81, protocol: HTTP}")),
        "
Gateway ns/g [\"127.0.2.1\"]: Accepted Programmed
  http [HTTPRoute,GRPCRoute] 0: Accepted Programmed ResolvedRefs
ListenerSet ns/x: !Accepted:NotAllowed !Programmed:NotAllowed
",
    );
}

#[test]
fn listener_set_hostname_and_protocol_conflict() {
    let open = gateway("{name: http, port: 80, protocol: HTTP, hostname: a.example}").replace(
        "gatewayClassName: c",
        "gatewayClassName: c, allowedListeners: {namespaces: {from: Same}}",
    );
    let world = open
        + &set(
            "a",
            "{name: own, port: 80, protocol: HTTP, hostname: b.example}, {name: same, port: 80, protocol: HTTP, hostname: a.example}",
        )
        + &set("b", "{name: tcp, port: 80, protocol: TCP}")
        + &route(
            "HTTPRoute",
            "on-set",
            &format!("parentRefs: [{{kind: ListenerSet, name: a}}], {TO_S}"),
        )
        + &route("HTTPRoute", "on-gateway", &format!("parentRefs: [{{name: g}}], {TO_S}"));
    check(
        &world,
        "
HTTPRoute ns/on-gateway
  ns/g: Accepted ResolvedRefs
HTTPRoute ns/on-set
  ns/a: Accepted ResolvedRefs
Gateway ns/g [\"127.0.2.1\"] sets=1: Accepted Programmed
  http [HTTPRoute,GRPCRoute] 1: Accepted Programmed ResolvedRefs
ListenerSet ns/a: Accepted:ListenersNotValid Programmed
  own [HTTPRoute,GRPCRoute] 1: Accepted Programmed ResolvedRefs
  same [HTTPRoute,GRPCRoute] 0: !Accepted:Conflicted !Programmed:Invalid ResolvedRefs Conflicted:HostnameConflict
ListenerSet ns/b: !Accepted:ListenersNotValid !Programmed:ListenersNotValid
  tcp [TCPRoute] 0: !Accepted:Conflicted !Programmed:Invalid ResolvedRefs Conflicted:ProtocolConflict
",
    );
}

#[test]
fn allowed_routes_by_namespace_selector() {
    let world = |labels: &str| {
        let listener = "{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: Selector, \
                        selector: {matchLabels: {team: a}}}}}";
        let namespace = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata: {{name: other, labels: {{{labels}}}}}\n---\n"
        );
        let foreign =
            route("HTTPRoute", "r", &format!("parentRefs: [{{name: g, namespace: ns}}], {TO_S}"))
                .replace("namespace: ns}\nspec", "namespace: other}\nspec");
        statuses(&(gateway(listener) + &namespace + &foreign))
    };
    assert!(world("team: a").starts_with("HTTPRoute other/r\n  ns/g: Accepted ResolvedRefs\n"));
    let refused = world("team: b");
    assert!(
        refused.starts_with("HTTPRoute other/r\n  ns/g: !Accepted:NotAllowedByListeners"),
        "{refused}"
    );
}

#[test]
fn tls_tcp_and_udp_routes() {
    let world = gateway(
        "{name: tls, port: 443, protocol: TLS, hostname: \"*.example\", tls: {mode: Passthrough}}, \
         {name: tcp, port: 90, protocol: TCP}, {name: udp, port: 53, protocol: UDP}",
    ) + &route(
        "TLSRoute",
        "tls",
        &format!("parentRefs: [{{name: g}}], hostnames: [a.example], {TO_S}"),
    ) + &route(
        "TLSRoute",
        "tls-miss",
        &format!("parentRefs: [{{name: g, sectionName: tls}}], hostnames: [a.other], {TO_S}"),
    ) + &route("TCPRoute", "one", &format!("parentRefs: [{{name: g}}], {TO_S}"))
        + &route(
            "TCPRoute",
            "two",
            &format!("parentRefs: [{{name: g, sectionName: tcp}}], {TO_S}"),
        )
        + &route(
            "UDPRoute",
            "udp",
            "parentRefs: [{name: g}], rules: [{backendRefs: [{name: s, port: 53}]}]",
        )
        + &route(
            "UDPRoute",
            "udp-tcp",
            "parentRefs: [{name: g, sectionName: tcp}], rules: [{backendRefs: [{name: s, port: 53}]}]",
        );
    check(
        &world,
        "
TLSRoute ns/tls
  ns/g: Accepted ResolvedRefs
TLSRoute ns/tls-miss
  ns/g: !Accepted:NoMatchingListenerHostname ResolvedRefs
TCPRoute ns/one
  ns/g: Accepted ResolvedRefs
TCPRoute ns/two
  ns/g: Accepted ResolvedRefs
UDPRoute ns/udp
  ns/g: Accepted ResolvedRefs
UDPRoute ns/udp-tcp
  ns/g: !Accepted:NotAllowedByListeners ResolvedRefs
Gateway ns/g [\"127.0.2.1\"]: Accepted Programmed
  tls [TLSRoute] 1: Accepted Programmed ResolvedRefs
  tcp [TCPRoute] 2: Accepted Programmed ResolvedRefs
  udp [UDPRoute] 1: Accepted Programmed ResolvedRefs
",
    );
}

#[test]
fn tls_route_invalid_no_matching_listener() {
    let listener =
        "{name: http, port: 80, protocol: HTTP, allowedRoutes: {kinds: [{kind: TLSRoute}]}}";
    let world = gateway(listener)
        + &route(
            "TLSRoute",
            "r",
            &format!("parentRefs: [{{name: g}}], hostnames: [a.example], {TO_S}"),
        );
    let found = statuses(&world);
    assert!(
        found.starts_with("TLSRoute ns/r\n  ns/g: !Accepted:NoMatchingParent ResolvedRefs\n"),
        "{found}"
    );
}

fn policy(name: &str, created: &str, authority: &str) -> String {
    format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: BackendTLSPolicy\n\
         metadata: {{name: {name}, namespace: ns, creationTimestamp: \"{created}\"}}\n\
         spec: {{targetRefs: [{{group: \"\", kind: Service, name: s}}], \
         validation: {{hostname: a.example, {authority}}}}}\n---\n"
    )
}

#[test]
fn backend_tls_policy_conflicts_and_invalid_authorities() {
    let used =
        gateway(HTTP) + &route("HTTPRoute", "r", &format!("parentRefs: [{{name: g}}], {TO_S}"));
    let system = "wellKnownCACertificates: System";
    let found = statuses(
        &(used.clone()
            + &policy("new", "2026-01-02T00:00:00Z", system)
            + &policy("old", "2026-01-01T00:00:00Z", system)),
    );
    assert!(
        found.contains("BackendTLSPolicy ns/new\n  ns/g: !Accepted:Conflicted ResolvedRefs"),
        "{found}"
    );
    assert!(found.contains("BackendTLSPolicy ns/old\n  ns/g: Accepted ResolvedRefs"), "{found}");
    for (kind, reason) in [("ConfigMap", "InvalidCACertificateRef"), ("Odd", "InvalidKind")] {
        let authority = format!("caCertificateRefs: [{{group: \"\", kind: {kind}, name: x}}]");
        let found = statuses(&(used.clone() + &policy("p", "2026-01-01T00:00:00Z", &authority)));
        let expected = format!("ns/g: !Accepted:NoValidCACertificate !ResolvedRefs:{reason}");
        assert!(found.contains(&expected), "{found}");
    }
}

#[test]
fn an_ingress_belongs_to_its_class() {
    let class = |name: &str, controller: &str, default: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {name}, annotations: \
             {{ingressclass.kubernetes.io/is-default-class: \"{default}\"}}}}\nspec: {{controller: {controller}}}\n---\n"
        )
    };
    let ingress = |name: &str, class: &str| {
        format!(
            "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {{name: {name}, namespace: ns}}\n\
             spec: {{{class} defaultBackend: {{service: {{name: s, port: {{number: 80}}}}}}}}\n---\n"
        )
    };
    let all = ingress("a", "ingressClassName: ours,")
        + &ingress("b", "ingressClassName: theirs,")
        + &ingress("c", "");
    let both = class("ours", "nearside.dev/ingress-controller", "true")
        + &class("theirs", "x.example/y", "false");
    check(&(all.clone() + &both), "Ingress ns/a [\"127.0.0.1\"]\nIngress ns/c [\"127.0.0.1\"]");
    let not_default = both.replace("\"true\"", "\"false\"");
    check(&(all.clone() + &not_default), "Ingress ns/a [\"127.0.0.1\"]");
    assert_eq!(statuses(&all).lines().count(), 3, "without classes all are ours");
}

#[test]
fn a_status_is_rendered_as_upstream_writes_it() {
    let world = gateway(HTTP).replace("name: g,", "name: g, generation: 3,");
    let (objects, ground, keys) = (load(&world), ground(), Keys::default());
    let scene = Scene::new(&objects, &ground);
    let found = attach(&scene, &mut Keyring::new(&keys), &Attached::default());
    let gateway =
        found.statuses.iter().find(|one| one.kind == ObjectKind::Gateway).unwrap().render();
    let condition = |kind: &str| serde_json::json!({"type": kind, "status": "True", "reason": kind, "message": "", "observedGeneration": 3});
    let conflicted = serde_json::json!({"type": "Conflicted", "status": "False", "reason": "NoConflicts", "message": "", "observedGeneration": 3});
    let group = "gateway.networking.k8s.io";
    assert_eq!(
        gateway.status,
        serde_json::json!({
            "addresses": [{"type": "IPAddress", "value": "127.0.2.1"}],
            "attachedListenerSets": 0,
            "conditions": [condition("Accepted"), condition("Programmed")],
            "listeners": [{
                "name": "http",
                "supportedKinds": [{"group": group, "kind": "HTTPRoute"}, {"group": group, "kind": "GRPCRoute"}],
                "attachedRoutes": 0,
                "conditions": [condition("Accepted"), condition("Programmed"), condition("ResolvedRefs"), conflicted],
            }],
        })
    );
    assert_eq!((gateway.generation, gateway.version, gateway.faults.len()), (3, "v1", 0));
    let class = found.statuses[0].render();
    assert_eq!(
        class.status["supportedFeatures"][0],
        serde_json::json!({"name": "BackendTLSPolicy"})
    );
}
