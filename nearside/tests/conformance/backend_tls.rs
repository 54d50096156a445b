//! BackendTLSPolicies: TLS towards backends.

use super::echo;
use super::http_route::attach;
use super::stage::{HTTP, Stage};
use super::world::eventually;

/// A policy for a Service of `INFRA`; `validation` as in YAML.
fn policy(stage: &Stage, name: &str, target: &str, validation: &str) {
    stage.apply(&format!(
        "
kind: BackendTLSPolicy
name: {name}
in: INFRA
spec: {{targetRefs: [{{group: '', kind: Service, name: {target}}}], validation: {{{validation}}}}}
"
    ));
}

/// A backend `name` behind TLS for `abc.test`, the ConfigMap `ca` that knows it, and a route to it.
fn behind_tls(stage: &Stage, name: &str) {
    let (pem, port) = echo::start_tls(name, &["abc.test"]);
    stage.backend(name, "INFRA", ("TCP", port));
    serve(stage, name, &pem);
}

/// The ConfigMap `ca` with an authority, and a route to a backend.
fn serve(stage: &Stage, name: &str, pem: &str) {
    let texts = serde_json::json!({"ca.crt": pem});
    stage.hold("ConfigMap", ("ca", "INFRA"), &texts);
    attach(
        stage,
        name,
        "same",
        &format!(
            "\n  hostnames: [{name}.test]\n  rules: [{{backendRefs: [{{name: {name}, port: 8080}}]}}]"
        ),
    );
}

/// Waits until a policy's one ancestor says this.
fn says(stage: &Stage, name: &str, conditions: &[(&str, &str, &str)]) {
    eventually(name, || {
        let policy = stage.object("BackendTLSPolicy", "INFRA", name);
        let ancestors = policy["status"]["ancestors"].as_array().cloned().unwrap_or_default();
        let [ancestor] = ancestors.as_slice() else { return Err(format!("{ancestors:?}")) };
        let fits = ancestor["ancestorRef"]["name"] == "same"
            && ancestor["ancestorRef"]["kind"] == "Gateway"
            && ancestor["controllerName"] == model::gateway::GATEWAY_CONTROLLER;
        let found = ancestor["conditions"].as_array().cloned().unwrap_or_default();
        let told = conditions.iter().all(|(kind, status, reason)| {
            found.iter().any(|one| {
                one["type"] == *kind
                    && one["status"] == *status
                    && one["reason"] == *reason
                    && one["observedGeneration"] == policy["metadata"]["generation"]
            })
        });
        if fits && told { Ok(()) } else { Err(format!("{ancestor:#}")) }
    });
}

const GOOD: [(&str, &str, &str); 2] =
    [("Accepted", "True", "Accepted"), ("ResolvedRefs", "True", "ResolvedRefs")];
const VALID: &str =
    "hostname: abc.test, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]";

/// Waits until a host is answered with a fault of the backend's side.
fn fails(stage: &Stage, host: &str) {
    Stage::until(stage.address("same", HTTP), host, |reply| {
        if matches!(reply.code, 500 | 502 | 503) { Ok(()) } else { Err(reply.brief()) }
    });
}

#[test]
fn backend_tls_policy() {
    let stage = Stage::new("backend-tls");
    behind_tls(&stage, "safe");
    policy(&stage, "safe", "safe", VALID);
    says(&stage, "safe", &GOOD);
    stage.answers("same", &[("safe.test/", "200 safe")]);
    policy(&stage, "safe", "safe", &VALID.replace("abc", "another"));
    assert_eq!(stage.object("BackendTLSPolicy", "INFRA", "safe")["metadata"]["generation"], 2);
    says(&stage, "safe", &GOOD);
    fails(&stage, "safe.test/");
}

#[test]
fn backend_tls_policy_san_validation() {
    let stage = Stage::new("backend-san");
    let uri = "spiffe://abc.test/identity";
    let (pem, port) = echo::start_tls("safe", &["abc.test", uri]);
    stage.backend("safe", "INFRA", ("TCP", port));
    serve(&stage, "safe", &pem);
    let host = |name: &str| format!("{{type: Hostname, hostname: {name}}}");
    let uri_of = |uri: &str| format!("{{type: URI, uri: '{uri}'}}");
    let wrong = uri_of("spiffe://def.test/identity");
    // With alternative names the hostname is for SNI alone.
    for (hostname, names, fits) in [
        ("sni.test", host("abc.test"), true),
        ("abc.test", host("def.test"), false),
        ("abc.test", uri_of(uri), true),
        ("abc.test", wrong.clone(), false),
        ("abc.test", format!("{}, {}", uri_of(uri), host("abc.test")), true),
        ("abc.test", format!("{wrong}, {}", host("abc.test")), true),
        ("abc.test", format!("{wrong}, {}", host("def.test")), false),
    ] {
        let validation = VALID.replace("hostname: abc.test", &format!("hostname: {hostname}"));
        policy(&stage, "safe", "safe", &format!("{validation}, subjectAltNames: [{names}]"));
        says(&stage, "safe", &GOOD);
        if fits {
            stage.answers("same", &[("safe.test/", "200 safe")]);
        } else {
            fails(&stage, "safe.test/");
        }
    }
}

#[test]
fn backend_tls_policy_invalid_authorities() {
    let stage = Stage::new("backend-ca");
    behind_tls(&stage, "safe");
    stage.apply("\nkind: ConfigMap\nname: damaged\nin: INFRA\ndata: {ca.crt: 'no certificate'}\n");
    for (reference, reason) in [
        ("{group: '', kind: ConfigMap, name: missing}", "InvalidCACertificateRef"),
        ("{group: '', kind: ConfigMap, name: damaged}", "InvalidCACertificateRef"),
        ("{group: example.test, kind: Wrong, name: ca}", "InvalidKind"),
    ] {
        policy(
            &stage,
            "safe",
            "safe",
            &format!("hostname: abc.test, caCertificateRefs: [{reference}]"),
        );
        let fault =
            [("Accepted", "False", "NoValidCACertificate"), ("ResolvedRefs", "False", reason)];
        says(&stage, "safe", &fault);
        fails(&stage, "safe.test/");
    }
}

/// A policy for a port comes before one for the whole Service, and is none of its rivals.
#[test]
fn backend_tls_policy_conflict_resolution_by_section() {
    let stage = Stage::new("backend-sections");
    behind_tls(&stage, "safe");
    let sectioned = |name: &str, validation: &str| {
        stage.apply(&format!(
            "
kind: BackendTLSPolicy
name: {name}
in: INFRA
spec: {{targetRefs: [{{group: '', kind: Service, name: safe, sectionName: first}}], validation: {{{validation}}}}}
"
        ));
    };
    policy(&stage, "a-whole", "safe", &VALID.replace("abc", "another"));
    sectioned("b-section", VALID);
    says(&stage, "a-whole", &GOOD);
    says(&stage, "b-section", &GOOD);
    stage.answers("same", &[("safe.test/", "200 safe")]);
    sectioned("c-section", &VALID.replace("abc", "another"));
    says(&stage, "c-section", &[("Accepted", "False", "Conflicted")]);
    says(&stage, "b-section", &GOOD);
    stage.answers("same", &[("safe.test/", "200 safe")]);
}

#[test]
fn backend_tls_policy_conflict_resolution() {
    let stage = Stage::new("backend-conflict");
    behind_tls(&stage, "safe");
    policy(&stage, "a-first", "safe", VALID);
    says(&stage, "a-first", &GOOD);
    policy(&stage, "b-second", "safe", &VALID.replace("abc", "another"));
    says(&stage, "b-second", &[("Accepted", "False", "Conflicted")]);
    says(&stage, "a-first", &GOOD);
    stage.answers("same", &[("safe.test/", "200 safe")]);
}
