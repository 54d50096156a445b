//! HTTPRoutes that cannot be had as they are written: what their statuses say, and what is served.

use super::gateway::grant;
use super::http_route::{apply, attach};
use super::stage::Stage;
use super::world::eventually;

const RULES: &str = "\n  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]";

/// Attaches a route whose only backend cannot be had.
fn apply_wrong(stage: &Stage, backend: &str) {
    apply(
        stage,
        "wrong",
        "same",
        &format!("\n  rules: [{{backendRefs: [{{{backend}, port: 8080}}]}}]"),
    );
}

/// Shows that it is accepted, says why it has no backend, and answers with 500.
fn has_no_backend(stage: &Stage, reason: &str) {
    let parent = format!("same Accepted=True/Accepted ResolvedRefs=False/{reason}");
    stage.parents("HTTPRoute", "wrong", &[&parent]);
    stage.answers("same", &[("a.test/", "500")]);
}

#[test]
fn http_route_disallowed_kind() {
    let stage = Stage::new("kind");
    stage.apply(
        "
kind: Gateway
name: tls-only
in: INFRA
spec: {listeners: [{name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}, allowedRoutes: {kinds: [{kind: TLSRoute}]}}]}
",
    );
    apply(&stage, "wrong", "tls-only", RULES);
    stage.parents("HTTPRoute", "wrong", &["tls-only Accepted=False/NotAllowedByListeners"]);
    stage.listeners("Gateway", "tls-only", &["tls attached=0 kinds=TLSRoute"]);
}

#[test]
fn http_route_invalid_backend_ref_unknown_kind() {
    let stage = Stage::new("backend-kind");
    apply_wrong(&stage, "group: example.test, kind: Wrong, name: any");
    has_no_backend(&stage, "InvalidKind");
}

#[test]
fn http_route_invalid_cross_namespace_backend_ref() {
    let stage = Stage::new("backend-namespace");
    apply_wrong(&stage, "name: web, namespace: WEB");
    has_no_backend(&stage, "RefNotPermitted");
}

#[test]
fn http_route_invalid_cross_namespace_parent_ref() {
    let stage = Stage::new("parent-namespace");
    stage.apply(
        "
kind: HTTPRoute
name: wrong
in: WEB
spec: {parentRefs: [{name: same, namespace: INFRA}], rules: [{backendRefs: [{name: web, port: 8080}]}]}
",
    );
    stage.parents("HTTPRoute", "WEB/wrong", &["same Accepted=False/NotAllowedByListeners"]);
    stage.listeners("Gateway", "same", &["http attached=0"]);
    stage.answers("same", &[("a.test/", "404")]);
}

#[test]
fn http_route_invalid_non_existent_backend_ref() {
    let stage = Stage::new("backend-missing");
    apply_wrong(&stage, "name: missing");
    has_no_backend(&stage, "BackendNotFound");
}

#[test]
fn http_route_invalid_parent_refs() {
    let stage = Stage::new("parents");
    for (name, parent) in [
        ("section", "{name: same, sectionName: other}"),
        ("port", "{name: same, port: 81}"),
        ("both", "{name: same, sectionName: http, port: 81}"),
    ] {
        stage.apply(&format!(
            "
kind: HTTPRoute
name: {name}
in: INFRA
spec: {{parentRefs: [{parent}], rules: [{{backendRefs: [{{name: infra-v1, port: 8080}}]}}]}}
"
        ));
        stage.parents("HTTPRoute", name, &["same Accepted=False/NoMatchingParent"]);
    }
    stage.listeners("Gateway", "same", &["http attached=0"]);
    stage.answers("same", &[("a.test/", "404")]);
}

#[test]
fn http_route_reference_grant() {
    let stage = Stage::new("grant");
    let from = "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: INFRA}";
    grant(&stage, "WEB", from, "{group: '', kind: Service, name: web}");
    attach(
        &stage,
        "granted",
        "same",
        "\n  rules: [{backendRefs: [{name: web, namespace: WEB, port: 8080}]}]",
    );
    stage.answers("same", &[("a.test/", "200 web")]);
    stage.delete("ReferenceGrant", "WEB", "grant");
    stage.parents(
        "HTTPRoute",
        "granted",
        &["same Accepted=True ResolvedRefs=False/RefNotPermitted"],
    );
    stage.answers("same", &[("a.test/", "500")]);
}

#[test]
fn http_route_invalid_reference_grant() {
    let stage = Stage::new("grant-wrong");
    apply_wrong(&stage, "name: web, namespace: WEB");
    for (from, to) in [
        (
            "{group: gateway.networking.k8s.io, kind: Gateway, namespace: INFRA}",
            "{group: '', kind: Service, name: web}",
        ),
        (
            "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: APP}",
            "{group: '', kind: Service, name: web}",
        ),
        (
            "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: INFRA}",
            "{group: '', kind: Secret, name: web}",
        ),
        (
            "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: INFRA}",
            "{group: '', kind: Service, name: another}",
        ),
    ] {
        grant(&stage, "WEB", from, to);
        has_no_backend(&stage, "RefNotPermitted");
    }
}

#[test]
fn http_route_partially_invalid_via_invalid_reference_grant() {
    let stage = Stage::new("partial");
    grant(
        &stage,
        "APP",
        "{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: INFRA}",
        "{group: '', kind: Service, name: app-v1}",
    );
    apply(
        &stage,
        "partial",
        "same",
        "
  rules:
  - {matches: [{path: {value: /v1}}], backendRefs: [{name: app-v1, namespace: APP, port: 8080}]}
  - {matches: [{path: {value: /v2}}], backendRefs: [{name: app-v2, namespace: APP, port: 8080}]}",
    );
    stage.parents(
        "HTTPRoute",
        "partial",
        &["same Accepted=True/Accepted ResolvedRefs=False/RefNotPermitted"],
    );
    stage.answers("same", &[("a.test/v2", "500"), ("a.test/v1", "200 app-v1")]);
}

#[test]
fn http_route_no_backend_refs() {
    let stage = Stage::new("no-backends");
    attach(&stage, "none", "same", "\n  rules: [{matches: [{path: {value: /none}}]}]");
    stage.answers("same", &[("a.test/none", "500"), ("a.test/", "404")]);
}

#[test]
fn http_route_observed_generation_bump() {
    let stage = Stage::new("route-generation");
    attach(&stage, "bump", "same", RULES);
    apply(&stage, "bump", "same", "\n  rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]");
    assert_eq!(stage.object("HTTPRoute", "INFRA", "bump")["metadata"]["generation"], 2);
    stage.parents(
        "HTTPRoute",
        "bump",
        &["same Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs"],
    );
    stage.answers("same", &[("a.test/", "200 infra-v2")]);
}

#[test]
fn a_status_of_another_controller_stays() {
    let stage = Stage::new("foreign");
    attach(&stage, "shared", "same", RULES);
    let path = stage.real("/apis/gateway.networking.k8s.io/v1/namespaces/INFRA/httproutes/shared");
    let mut route = stage.object("HTTPRoute", "INFRA", "shared");
    let mut foreign = route["status"]["parents"][0].clone();
    foreign["controllerName"] = "example.test/other".into();
    route["status"]["parents"].as_array_mut().expect("a list").push(foreign);
    assert_eq!(stage.world.sim.call("PUT", &format!("{path}/status"), &route).0, 200);
    apply(&stage, "shared", "same", "\n  rules: [{backendRefs: [{name: missing, port: 8080}]}]");
    eventually("shared", || {
        let route = stage.object("HTTPRoute", "INFRA", "shared");
        let parents = route["status"]["parents"].as_array().cloned().unwrap_or_default();
        let ours =
            parents.iter().find(|one| one["controllerName"] == model::gateway::GATEWAY_CONTROLLER);
        let foreign = parents.iter().any(|one| one["controllerName"] == "example.test/other");
        let conditions =
            ours.and_then(|one| one["conditions"].as_array()).cloned().unwrap_or_default();
        let told = conditions.iter().any(|one| one["reason"] == "BackendNotFound");
        if told && foreign && parents.len() == 2 { Ok(()) } else { Err(format!("{parents:?}")) }
    });
}
