//! Gateways: what their listeners say of themselves.

use serde_json::json;

use super::client::ask_tls;
use super::stage::{HTTP, HTTPS, Stage, until_consistent};

/// A certificate for `names` as a Secret; its PEM.
pub(crate) fn certificate(stage: &Stage, name: &str, namespace: &str, names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let made = rcgen::generate_simple_self_signed(names).expect("made");
    let texts = json!({"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()});
    stage.hold("Secret", (name, namespace), &texts);
    made.cert.pem()
}

fn https(reference: &str) -> String {
    format!(
        "
kind: Gateway
name: tls
in: INFRA
spec: {{listeners: [{{name: https, port: 8443, protocol: HTTPS, allowedRoutes: {{kinds: [{{kind: HTTPRoute}}]}}, tls: {{certificateRefs: [{reference}]}}}}]}}
"
    )
}

#[test]
fn gateway_class_observed_generation_bump() {
    let stage = Stage::new("class-generation");
    let path = "/apis/gateway.networking.k8s.io/v1/gatewayclasses/nearside";
    let read = || stage.world.sim.call("GET", path, &serde_json::Value::Null).1;
    let before = read()["metadata"]["generation"].as_u64().expect("a number");
    let change = json!({"spec": {"description": "of another description"}});
    assert_eq!(stage.world.sim.call("PATCH", path, &change).0, 200);
    super::world::eventually("class", || {
        let class = read();
        let conditions = class["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let accepted = conditions.iter().find(|condition| condition["type"] == "Accepted");
        let fits = accepted.is_some_and(|accepted| {
            accepted["status"] == "True" && accepted["observedGeneration"] == before + 1
        });
        if fits { Ok(()) } else { Err(class["status"].to_string()) }
    });
}

#[test]
fn gateway_invalid_parameters_ref() {
    let stage = Stage::new("parameters");
    stage.apply(
        "
kind: Gateway
name: parameters
in: INFRA
spec: {infrastructure: {parametersRef: {group: example.test, kind: Missing, name: none}}, listeners: [{name: http, port: 8080, protocol: HTTP}]}
",
    );
    stage.conditions("Gateway", "parameters", "Accepted=False/InvalidParameters");
}

#[test]
fn gateway_invalid_route_kind() {
    let stage = Stage::new("route-kind");
    for (name, kinds) in [("only", "{kind: Wrong}"), ("also", "{kind: Wrong}, {kind: HTTPRoute}")] {
        stage.apply(&format!(
            "
kind: Gateway
name: {name}
in: INFRA
spec: {{listeners: [{{name: http, port: 8080, protocol: HTTP, allowedRoutes: {{kinds: [{kinds}]}}}}]}}
"
        ));
    }
    let fault = "attached=0 ResolvedRefs=False/InvalidRouteKinds";
    stage.listeners("Gateway", "only", &[&format!("http kinds= {fault}")]);
    stage.listeners("Gateway", "also", &[&format!("http kinds=HTTPRoute {fault}")]);
}

#[test]
fn gateway_invalid_tls_configuration() {
    let stage = Stage::new("tls-configuration");
    stage.apply(
        "
kind: Secret
name: damaged
in: INFRA
type: kubernetes.io/tls
data: {tls.crt: SGVsbG8gd29ybGQK, tls.key: SGVsbG8gd29ybGQK}
",
    );
    for reference in [
        "{name: missing}",
        "{group: example.test, kind: Secret, name: damaged}",
        "{group: '', kind: Wrong, name: damaged}",
        "{name: damaged}",
    ] {
        stage.apply(&https(reference));
        let row = "https kinds=HTTPRoute attached=0 ResolvedRefs=False/InvalidCertificateRef";
        stage.listeners("Gateway", "tls", &[row]);
    }
}

#[test]
fn gateway_listener_unsupported_protocol() {
    let stage = Stage::new("protocol");
    stage.apply(
        "
kind: Gateway
name: only
in: INFRA
spec: {listeners: [{name: invalid, port: 8081, protocol: example.test/Strange}]}
---
kind: Gateway
name: also
in: INFRA
spec: {listeners: [{name: http, port: 8080, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}]}}, {name: invalid, port: 8081, protocol: example.test/Strange}]}
",
    );
    let invalid = "invalid kinds= attached=0 Accepted=False/UnsupportedProtocol";
    stage.conditions("Gateway", "only", "Accepted=False/ListenersNotValid");
    stage.listeners("Gateway", "only", &[invalid]);
    stage.conditions("Gateway", "also", "Accepted=True/ListenersNotValid");
    let good = "http kinds=HTTPRoute attached=0 Accepted=True/Accepted";
    stage.listeners("Gateway", "also", &[good, invalid]);
}

#[test]
fn gateway_modify_listeners() {
    let stage = Stage::new("modify");
    certificate(&stage, "cert", "INFRA", &["data.test"]);
    let http = "{name: http, hostname: data.test, port: 8080, protocol: HTTP, allowedRoutes: {kinds: [{kind: HTTPRoute}], namespaces: {from: All}}}";
    let https = "{name: https, port: 8443, protocol: HTTPS, allowedRoutes: {kinds: [{kind: HTTPRoute}], namespaces: {from: All}}, tls: {certificateRefs: [{name: cert}]}}";
    let gateway = |listeners: &str| {
        stage.apply(&format!(
            "\nkind: Gateway\nname: modify\nin: INFRA\nspec: {{listeners: [{listeners}]}}\n"
        ));
    };
    let generation =
        || stage.object("Gateway", "INFRA", "modify")["metadata"]["generation"].clone();
    gateway(https);
    stage.apply(
        "
kind: HTTPRoute
name: one
in: INFRA
spec: {hostnames: [data.test], parentRefs: [{name: modify}], rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]}
",
    );
    let row = "kinds=HTTPRoute attached=1 Accepted=True ResolvedRefs=True";
    let (first, second) = (format!("https {row}"), format!("http {row}"));
    stage.listeners("Gateway", "modify", &[&first]);
    let before = generation();
    gateway(&format!("{https}, {http}"));
    stage.listeners("Gateway", "modify", &[&first, &second]);
    stage.answers("modify", &[("data.test/", "200 infra-v1")]);
    assert_ne!(generation(), before, "it counts changes");
    gateway(http);
    stage.listeners("Gateway", "modify", &[&second]);
    stage.conditions("Gateway", "modify", "Accepted=True/Accepted Programmed=True/Programmed");
}

#[test]
fn gateway_observed_generation_bump() {
    let stage = Stage::new("generation");
    stage.conditions("Gateway", "all", "Accepted=True Programmed=True");
    stage.apply(
        "
kind: Gateway
name: all
in: INFRA
spec: {listeners: [{name: http, port: 8080, protocol: HTTP}, {name: more, hostname: more.test, port: 8080, protocol: HTTP}]}
",
    );
    assert_eq!(stage.object("Gateway", "INFRA", "all")["metadata"]["generation"], 2);
    stage.conditions("Gateway", "all", "Accepted=True Programmed=True");
}

#[test]
fn gateway_secret_missing_and_invalid_reference_grant() {
    let stage = Stage::new("secret-refused");
    certificate(&stage, "cert", "WEB", &["grant.test"]);
    let refused = "https kinds=HTTPRoute attached=0 ResolvedRefs=False/RefNotPermitted";
    stage.apply(&https("{name: cert, namespace: WEB}"));
    stage.listeners("Gateway", "tls", &[refused]);
    for (from, to) in [
        (
            "{group: gateway.networking.k8s.io, kind: Gateway, namespace: APP}",
            "{group: '', kind: Secret, name: cert}",
        ),
        (
            "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: INFRA}",
            "{group: '', kind: Secret, name: cert}",
        ),
        (
            "{group: gateway.networking.k8s.io, kind: Gateway, namespace: INFRA}",
            "{group: '', kind: Service, name: cert}",
        ),
        (
            "{group: gateway.networking.k8s.io, kind: Gateway, namespace: INFRA}",
            "{group: '', kind: Secret, name: another}",
        ),
    ] {
        grant(&stage, "WEB", from, to);
        // A change that shows that the grant has been looked at.
        stage.apply(
            &https("{name: cert, namespace: WEB}")
                .replace("HTTPS,", "HTTPS, hostname: grant.test,"),
        );
        stage.listeners("Gateway", "tls", &[refused]);
        stage.apply(&https("{name: cert, namespace: WEB}"));
        stage.listeners("Gateway", "tls", &[refused]);
    }
}

pub(crate) fn grant(stage: &Stage, namespace: &str, from: &str, to: &str) {
    stage.apply(&format!(
        "\nkind: ReferenceGrant\nname: grant\nin: {namespace}\nspec: {{from: [{from}], to: [{to}]}}\n"
    ));
}

#[test]
fn gateway_secret_reference_grant_specific_and_all_in_namespace() {
    let stage = Stage::new("secret-granted");
    let pem = certificate(&stage, "cert", "WEB", &["grant.test"]);
    let from = "{group: gateway.networking.k8s.io, kind: Gateway, namespace: INFRA}";
    for to in ["{group: '', kind: Secret, name: cert}", "{group: '', kind: Secret}"] {
        grant(&stage, "WEB", from, to);
        stage.apply(&https("{name: cert, namespace: WEB}"));
        stage.conditions("Gateway", "tls", "Accepted=True/Accepted Programmed=True/Programmed");
        stage.listeners(
            "Gateway",
            "tls",
            &["https kinds=HTTPRoute attached=0 Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs Programmed=True/Programmed"],
        );
        let to = stage.address("tls", HTTPS);
        until_consistent(
            "grant.test",
            || ask_tls(to, "grant.test", &pem, "grant.test/"),
            |reply| if reply.code == 404 { Ok(()) } else { Err(reply.brief()) },
        );
        stage.delete("ReferenceGrant", "WEB", "grant");
        stage.listeners("Gateway", "tls", &["https ResolvedRefs=False/RefNotPermitted"]);
    }
}

#[test]
fn gateway_optional_address_value() {
    let stage = Stage::new("address-empty");
    stage.apply(
        "
kind: Gateway
name: open
in: INFRA
spec: {addresses: [{type: IPAddress}], listeners: [{name: http, port: 8080, protocol: HTTP}]}
",
    );
    stage.conditions("Gateway", "open", "Accepted=True Programmed=True");
    assert!(stage.address("open", HTTP).ip().is_loopback());
}

#[test]
fn gateway_with_attached_routes() {
    let stage = Stage::new("attached");
    let gateway = |name: &str, port: u16| {
        stage.apply(&format!(
            "
kind: Gateway
name: {name}
in: INFRA
spec: {{listeners: [{{name: other, port: {port}, protocol: HTTP, hostname: other.test, allowedRoutes: {{kinds: [{{kind: HTTPRoute}}]}}}}, {{name: http, port: 8080, protocol: HTTP, allowedRoutes: {{kinds: [{{kind: HTTPRoute}}], namespaces: {{from: Selector, selector: {{matchLabels: {{kubernetes.io/metadata.name: INFRA}}}}}}}}}}]}}
"
        ));
    };
    let route = |name: &str, parent: &str, backend: &str| {
        stage.apply(&format!(
            "
kind: HTTPRoute
name: {name}
in: INFRA
spec: {{parentRefs: [{{name: {parent}, sectionName: http}}], rules: [{{backendRefs: [{{name: {backend}, port: 8080}}]}}]}}
"
        ));
    };
    gateway("one", 8080);
    gateway("two", 8081);
    route("first", "one", "infra-v1");
    route("second", "two", "infra-v1");
    // A route whose backend is missing is attached as well.
    route("third", "two", "missing");
    let row = "kinds=HTTPRoute Accepted=True ResolvedRefs=True";
    for (name, count) in [("one", 1), ("two", 2)] {
        let rows = [format!("other attached=0 {row}"), format!("http attached={count} {row}")];
        stage.listeners("Gateway", name, &[&rows[0], &rows[1]]);
    }
    stage.parents("HTTPRoute", "third", &["two Accepted=True ResolvedRefs=False/BackendNotFound"]);
    stage.delete("HTTPRoute", "INFRA", "third");
    stage.listeners("Gateway", "two", &["other attached=0", "http attached=1"]);
}

#[test]
fn gateway_http_listener_isolation() {
    let stage = Stage::new("isolation");
    stage.apply(
        "
kind: Gateway
name: isolated
in: INFRA
spec:
  listeners:
  - {name: empty, port: 8080, protocol: HTTP}
  - {name: wild, port: 8080, protocol: HTTP, hostname: '*.example.test'}
  - {name: deep, port: 8080, protocol: HTTP, hostname: '*.foo.example.test'}
  - {name: exact, port: 8080, protocol: HTTP, hostname: abc.foo.example.test}
",
    );
    for name in ["empty", "wild", "deep", "exact"] {
        stage.apply(&format!(
            "
kind: HTTPRoute
name: {name}
in: INFRA
spec: {{parentRefs: [{{name: isolated, sectionName: {name}}}], rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: infra-v1, port: 8080}}]}}]}}
"
        ));
    }
    let hosts = [
        ("bar.test", "empty"),
        ("bar.example.test", "wild"),
        ("bar.foo.example.test", "deep"),
        ("abc.foo.example.test", "exact"),
    ];
    for (host, own) in hosts {
        for path in ["empty", "wild", "deep", "exact"] {
            let answer = if path == own { "200 infra-v1" } else { "404" };
            stage.answers("isolated", &[(&format!("{host}/{path}"), answer)]);
        }
    }
}

/// The suite is told an address that can be had and one that cannot: one of the pool, and one outside.
#[test]
fn gateway_static_addresses() {
    let stage = Stage::new("static");
    let gateway = |addresses: &str| {
        stage.apply(&format!(
            "
kind: Gateway
name: static
in: INFRA
spec: {{addresses: [{addresses}], listeners: [{{name: http, port: 8080, protocol: HTTP, allowedRoutes: {{kinds: [{{kind: HTTPRoute}}]}}}}]}}
"
        ));
    };
    let strange = "{type: example.test/strange, value: 'no address'}";
    let (unusable, usable) = ("{value: 192.0.2.1}", "{value: POOL.77}");
    gateway(&[strange, unusable, usable].join(", "));
    stage.conditions("Gateway", "static", "Accepted=False/UnsupportedAddress");
    gateway(&[unusable, usable].join(", "));
    stage.conditions(
        "Gateway",
        "static",
        "Accepted=True/Accepted Programmed=False/AddressNotUsable",
    );
    gateway(usable);
    stage.conditions("Gateway", "static", "Accepted=True/Accepted Programmed=True/Programmed");
    let good = "http attached=0 kinds=HTTPRoute Accepted=True ResolvedRefs=True";
    stage.listeners("Gateway", "static", &[good]);
    let status = stage.object("Gateway", "INFRA", "static")["status"]["addresses"].clone();
    let wanted = json!([{"type": "IPAddress", "value": stage.real("POOL.77")}]);
    assert_eq!(status, wanted);
    stage.answers("static", &[("a.test/", "404")]);
}
