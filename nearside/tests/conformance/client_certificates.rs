//! Gateways that ask clients for certificates (`tls.frontend`).

use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::json;

use super::client::{Reply, ask_tls_as};
use super::gateway::certificate;
use super::stage::{HTTP, HTTPS, Stage, until_consistent};
use super::world::eventually;

/// The listener whose port has a validation of its own.
const OTHER: u16 = 8444;

/// A certificate and its key, in PEM.
pub(crate) struct Shown {
    chain: String,
    key: String,
}

/// An authority as the ConfigMap `name`, and a client's certificate of it.
fn authority(stage: &Stage, name: &str) -> Shown {
    let (root, client) = signed(name);
    let texts = json!({"ca.crt": root});
    stage.hold("ConfigMap", (name, "INFRA"), &texts);
    client
}

/// An authority, and a client's certificate of it.
pub(crate) fn signed(name: &str) -> (String, Shown) {
    let key = KeyPair::generate().expect("made");
    let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let root = params.self_signed(&key).expect("signed");
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().expect("made");
    let params = CertificateParams::new(vec!["client.test".to_owned()]).expect("a name");
    let client = params.signed_by(&key, &issuer).expect("signed");
    (root.pem(), Shown { chain: client.pem(), key: key.serialize_pem() })
}

/// A Gateway `tls` with listeners on `HTTPS` and `OTHER`, and a route for each; the server's PEM.
fn gateway(stage: &Stage, frontend: &str) -> String {
    let pem = certificate(stage, "cert", "INFRA", &["example.test", "second.test"]);
    stage.apply(&format!(
        "
kind: Gateway
name: tls
in: INFRA
spec:
  tls: {{frontend: {{{frontend}}}}}
  listeners:
  - {{name: https, port: {HTTPS}, protocol: HTTPS, tls: {{certificateRefs: [{{group: '', kind: Secret, name: cert, namespace: INFRA}}]}}}}
  - {{name: with-hostname, port: {OTHER}, protocol: HTTPS, hostname: second.test, tls: {{certificateRefs: [{{name: cert}}]}}}}
---
kind: HTTPRoute
name: first
in: INFRA
spec: {{hostnames: [example.test], parentRefs: [{{name: tls}}], rules: [{{backendRefs: [{{name: infra-v1, port: 8080}}]}}]}}
---
kind: HTTPRoute
name: second
in: INFRA
spec: {{parentRefs: [{{name: tls, sectionName: with-hostname}}], rules: [{{backendRefs: [{{name: infra-v2, port: 8080}}]}}]}}
"
    ));
    let good = "tls Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs";
    stage.parents("HTTPRoute", "first", &[good]);
    stage.parents("HTTPRoute", "second", &[good]);
    pem
}

fn validation(name: &str, mode: &str) -> String {
    format!(
        "validation: {{{mode}caCertificateRefs: [{{group: '', kind: ConfigMap, name: {name}}}]}}"
    )
}

/// Asks at a port for its host, showing a certificate or none.
fn ask(stage: &Stage, pem: &str, port: u16, shown: Option<&Shown>) -> Result<Reply, String> {
    let host = if port == OTHER { "second.test" } else { "example.test" };
    let shown = shown.map(|shown| (shown.chain.as_str(), shown.key.as_str()));
    ask_tls_as(stage.address("tls", port), host, (pem, shown), host)
}

/// Waits until a client is served there.
fn served(stage: &Stage, pem: &str, port: u16, shown: Option<&Shown>) {
    let backend = if port == OTHER { "200 infra-v2" } else { "200 infra-v1" };
    until_consistent(
        backend,
        || ask(stage, pem, port, shown),
        |reply| if reply.brief() == backend { Ok(()) } else { Err(reply.brief()) },
    );
}

#[test]
fn gateway_frontend_client_certificate_validation() {
    let stage = Stage::new("clients");
    let (own, other) = (authority(&stage, "ca"), authority(&stage, "ca-other"));
    let frontend = format!(
        "default: {{{}}}, perPort: [{{port: {OTHER}, tls: {{{}}}}}]",
        validation("ca", ""),
        validation("ca-other", "")
    );
    let pem = gateway(&stage, &frontend);
    served(&stage, &pem, HTTPS, Some(&own));
    served(&stage, &pem, OTHER, Some(&other));
    for (port, shown) in [(HTTPS, Some(&other)), (HTTPS, None), (OTHER, Some(&own)), (OTHER, None)]
    {
        assert!(ask(&stage, &pem, port, shown).is_err(), "the handshake fails at {port}");
    }
    // The ConfigMap alone changes: another authority under the same name.
    let next = authority(&stage, "ca");
    served(&stage, &pem, HTTPS, Some(&next));
    assert!(ask(&stage, &pem, HTTPS, Some(&own)).is_err(), "the authority before is gone");
    served(&stage, &pem, OTHER, Some(&other));
}

#[test]
fn gateway_frontend_client_certificate_validation_insecure_fallback() {
    let stage = Stage::new("clients-fallback");
    let (own, other) = (authority(&stage, "ca"), authority(&stage, "ca-other"));
    let mode = "mode: AllowInsecureFallback, ";
    let frontend = format!(
        "default: {{{}}}, perPort: [{{port: {OTHER}, tls: {{{}}}}}]",
        validation("ca", mode),
        validation("ca-other", mode)
    );
    let pem = gateway(&stage, &frontend);
    stage.conditions("Gateway", "tls", "InsecureFrontendValidationMode=True/ConfigurationChanged");
    for port in [HTTPS, OTHER] {
        for shown in [Some(&own), Some(&other), None] {
            served(&stage, &pem, port, shown);
        }
    }
}

#[test]
fn gateway_frontend_invalid_default_client_certificate_validation() {
    let stage = Stage::new("clients-default");
    let pem = certificate(&stage, "cert", "INFRA", &["example.test"]);
    stage.apply(&format!(
        "
kind: Gateway
name: tls
in: INFRA
spec:
  tls: {{frontend: {{default: {{{}}}}}}}
  listeners:
  - {{name: http, port: {HTTP}, protocol: HTTP}}
  - {{name: https, port: {HTTPS}, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}
---
kind: HTTPRoute
name: any
in: INFRA
spec: {{hostnames: [example.test], parentRefs: [{{name: tls}}], rules: [{{backendRefs: [{{name: infra-v1, port: 8080}}]}}]}}
",
        validation("missing", "")
    ));
    stage.listeners(
        "Gateway",
        "tls",
        &[
            "http ResolvedRefs=True Accepted=True Programmed=True",
            "https ResolvedRefs=False/InvalidCACertificateRef Accepted=False/NoValidCACertificate Programmed=False",
        ],
    );
    stage.answers("tls", &[("example.test/", "200 infra-v1")]);
    let refused = ask(&stage, &pem, HTTPS, None);
    assert!(refused.is_err(), "{refused:?}");
}

#[test]
fn gateway_invalid_frontend_client_certificate_validation() {
    let stage = Stage::new("clients-invalid");
    certificate(&stage, "cert", "INFRA", &["example.test"]);
    authority(&stage, "ca");
    let per_port = |port: u16, reference: &str| {
        format!("{{port: {port}, tls: {{validation: {{caCertificateRefs: [{reference}]}}}}}}")
    };
    let ports = [
        per_port(7443, "{group: '', kind: ConfigMap, name: missing}"),
        per_port(8443, "{group: '', kind: Service, name: infra-v2}"),
        per_port(6443, "{group: '', kind: ConfigMap, name: far, namespace: WEB}"),
    ];
    let listener = |name: &str, port: u16| {
        format!(
            "\n  - {{name: {name}, port: {port}, protocol: HTTPS, tls: {{certificateRefs: [{{name: cert}}]}}}}"
        )
    };
    let rows = [("https", 443), ("unresolved", 7443), ("kind", 8443), ("grant", 6443)];
    let listeners: String = rows.iter().map(|(name, port)| listener(name, *port)).collect();
    // Nobody must be root: the first port is another here.
    let listeners = listeners.replace("port: 443,", "port: 9443,");
    stage.apply(&format!(
        "
kind: Gateway
name: invalid
in: INFRA
spec:
  tls: {{frontend: {{default: {{{}}}, perPort: [{}]}}}}
  listeners:{listeners}
",
        validation("ca", ""),
        ports.join(", ")
    ));
    let fault = "Accepted=False/NoValidCACertificate Programmed=False ResolvedRefs=False";
    stage.listeners(
        "Gateway",
        "invalid",
        &[
            "https Accepted=True Programmed=True ResolvedRefs=True",
            &format!("unresolved {fault}/InvalidCACertificateRef"),
            &format!("kind {fault}/InvalidCACertificateKind"),
            &format!("grant {fault}/RefNotPermitted"),
        ],
    );
}

#[test]
fn gateway_tls_backend_client_certificate() {
    let stage = Stage::new("backend-client");
    let (root, shown) = signed("gateways");
    let texts = json!({"tls.crt": shown.chain, "tls.key": shown.key});
    stage.hold("Secret", ("own", "INFRA"), &texts);
    let (pem, port) = super::echo::start_mutual_tls("strict", "abc.test", &root);
    stage.backend("strict", "INFRA", ("TCP", port));
    let texts = json!({"ca.crt": pem});
    stage.hold("ConfigMap", ("ca", "INFRA"), &texts);
    stage.apply(
        "
kind: Gateway
name: shows
in: INFRA
spec: {tls: {backend: {clientCertificateRef: {group: '', kind: Secret, name: own}}}, listeners: [{name: http, port: 8080, protocol: HTTP}]}
---
kind: HTTPRoute
name: strict
in: INFRA
spec: {hostnames: [abc.test], parentRefs: [{name: shows, namespace: INFRA}], rules: [{backendRefs: [{group: '', kind: Service, name: strict, port: 8080}], matches: [{path: {type: Exact, value: /}}]}]}
---
kind: BackendTLSPolicy
name: strict
in: INFRA
spec: {targetRefs: [{group: '', kind: Service, name: strict}], validation: {hostname: abc.test, caCertificateRefs: [{group: '', kind: ConfigMap, name: ca}]}}
",
    );
    stage.parents("HTTPRoute", "strict", &["shows Accepted=True/Accepted ResolvedRefs=True"]);
    stage.conditions("Gateway", "shows", "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs");
    eventually("policy", || {
        let policy = stage.object("BackendTLSPolicy", "INFRA", "strict");
        let accepted = &policy["status"]["ancestors"][0]["conditions"];
        let accepted = accepted.as_array().into_iter().flatten();
        let mut accepted = accepted.filter(|one| one["type"] == "Accepted");
        if accepted.any(|one| one["status"] == "True") { Ok(()) } else { Err(policy.to_string()) }
    });
    let reply = Stage::until(stage.address("shows", HTTP), "abc.test/", |reply| {
        if reply.brief() == "200 strict" { Ok(()) } else { Err(reply.brief()) }
    });
    assert_eq!(reply.asked["client"], super::echo::pem_hex(&shown.chain));
}

#[test]
fn gateway_invalid_tls_backend_configuration() {
    let stage = Stage::new("backend-client-invalid");
    certificate(&stage, "far", "WEB", &["far.test"]);
    stage.apply(
        "
kind: Secret
name: damaged
in: INFRA
type: kubernetes.io/tls
data: {tls.crt: SGVsbG8gd29ybGQK, tls.key: SGVsbG8gd29ybGQK}
",
    );
    for (name, reference, reason) in [
        ("missing", "{group: '', kind: Secret, name: missing}", "InvalidClientCertificateRef"),
        (
            "group",
            "{group: wrong.test, kind: Secret, name: damaged}",
            "InvalidClientCertificateRef",
        ),
        ("kind", "{group: '', kind: Wrong, name: damaged}", "InvalidClientCertificateRef"),
        ("damaged", "{group: '', kind: Secret, name: damaged}", "InvalidClientCertificateRef"),
        ("ungranted", "{group: '', kind: Secret, name: far, namespace: WEB}", "RefNotPermitted"),
    ] {
        stage.apply(&format!(
            "
kind: Gateway
name: {name}
in: INFRA
spec: {{tls: {{backend: {{clientCertificateRef: {reference}}}}}, listeners: [{{name: http, port: 8080, protocol: HTTP}}]}}
"
        ));
        stage.conditions(
            "Gateway",
            name,
            &format!("Accepted=True/Accepted ResolvedRefs=False/{reason}"),
        );
    }
}
