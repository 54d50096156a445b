use serde_json::{Map, Value, json};

use crate::document::{Refused, gateway_object};
use crate::gateway::settings::RateKey;
use crate::gateway::{GatewayObject, Ingress, PathMatch, PathRewrite, SessionCarrier};

fn ingress(annotations: &[(&str, &str)], path: &str) -> Value {
    let annotations: Map<String, Value> = annotations
        .iter()
        .map(|(key, text)| {
            let prefix = if key.contains('/') { "" } else { super::PREFIX };
            (format!("{prefix}{key}"), json!(text))
        })
        .collect();
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"name": "i", "namespace": "n", "annotations": annotations},
        "spec": {"rules": [{"host": "a.example", "http": {"paths": [{
            "path": path, "pathType": "Prefix",
            "backend": {"service": {"name": "s", "port": {"number": 80}}}}]}}]},
    })
}

#[track_caller]
fn check(annotations: &[(&str, &str)], path: &str) -> (Ingress, Vec<String>) {
    match gateway_object(&ingress(annotations, path)) {
        Ok(read) => {
            let GatewayObject::Ingress(ingress) = read.object else { panic!() };
            ((*ingress).clone(), read.warnings)
        }
        Err(refused) => panic!("{refused}"),
    }
}

#[track_caller]
fn refused(annotations: &[(&str, &str)]) -> Vec<String> {
    let Refused { faults, .. } = *gateway_object(&ingress(annotations, "/")).unwrap_err();
    faults
}

#[test]
fn a_rewrite_makes_expressions_of_paths() {
    let (ingress, warnings) = check(&[("rewrite-target", "/$2")], "/api(/|$)(.*)");
    assert_eq!(ingress.rewrite, Some(PathRewrite::ReplaceCaptures("/$2".into())));
    assert_eq!(ingress.paths[0].path, PathMatch::Regex("(?i:/api(/|$)(.*)).*".into()));
    assert_eq!(warnings, [""; 0]);
    let (ingress, _) = check(&[("use-regex", "true")], "/[a-z]+");
    assert_eq!(ingress.paths[0].path, PathMatch::Regex("(?i:/[a-z]+).*".into()));
    assert_eq!(ingress.rewrite, None);
}

#[test]
fn settings_are_those_of_ingress_nginx() {
    let (ingress, warnings) = check(
        &[
            ("kubernetes.io/ingress.class", "edge"),
            ("force-ssl-redirect", "true"),
            ("proxy-connect-timeout", "5"),
            ("proxy-read-timeout", "120"),
            ("proxy-body-size", "8m"),
            ("affinity", "cookie"),
            ("session-cookie-name", "route"),
            ("session-cookie-max-age", "3600"),
            ("limit-rps", "10"),
            ("limit-rpm", "100"),
            ("limit-burst-multiplier", "2"),
            ("whitelist-source-range", "10.0.0.0/8, 192.0.2.7"),
            ("denylist-source-range", "10.9.0.0/16"),
            ("backend-protocol", "grpcs"),
            ("upstream-vhost", "inner.example"),
            ("auth-type", "basic"),
            ("auth-secret", "users"),
        ],
        "/",
    );
    assert_eq!(warnings, [""; 0]);
    assert_eq!(ingress.class.as_deref(), Some("edge"));
    assert_eq!(ingress.https_redirect, Some(true));
    assert_eq!((ingress.connect_timeout_ms, ingress.read_timeout_ms), (Some(5_000), Some(120_000)));
    assert_eq!(ingress.backend_protocol.as_deref(), Some("GRPCS"));
    assert_eq!(ingress.rewrite_host.as_deref(), Some("inner.example"));
    let settings = ingress.settings;
    assert_eq!(settings.body_octets_max, Some(8 << 20));
    let session = settings.session.unwrap();
    assert_eq!((session.name.as_deref(), session.absolute_timeout_s), (Some("route"), Some(3600)));
    assert_eq!(session.carrier, SessionCarrier::PermanentCookie);
    let limits: Vec<_> =
        settings.rate_limits.iter().map(|one| (one.requests, one.per_ms, one.burst)).collect();
    assert_eq!(limits, [(10, 1_000, 20), (100, 60_000, 200)]);
    assert!(settings.rate_limits.iter().all(|one| one.key == RateKey::Address));
    let addresses = settings.addresses.unwrap();
    assert_eq!(addresses.allow, ["10.0.0.0/8".parse().unwrap(), "192.0.2.7/32".parse().unwrap()]);
    assert_eq!(addresses.deny, ["10.9.0.0/16".parse().unwrap()]);
    assert_eq!(settings.basic_auth.unwrap().object.to_string(), "n/users");
}

#[test]
fn cors_has_the_defaults_of_ingress_nginx() {
    let (ingress, _) = check(&[("enable-cors", "true")], "/");
    let cors = ingress.settings.cors.unwrap();
    assert_eq!(cors.allow_origins, ["*".into()]);
    assert_eq!((cors.allow_credentials, cors.max_age_s), (true, Some(1_728_000)));
    assert_eq!((cors.allow_methods.len(), cors.allow_headers.len()), (6, 9));
    assert_eq!(check(&[("enable-cors", "false")], "/").0.settings.cors, None);
}

#[test]
fn redirects_take_the_temporal_one_first() {
    let to = |annotations: &[(&str, &str)]| check(annotations, "/").0.redirect;
    let both = [("permanent-redirect", "https://a"), ("temporal-redirect", "https://b")];
    assert_eq!(to(&both), Some((302, "https://b".into())));
    let coded = [("permanent-redirect", "https://a"), ("permanent-redirect-code", "308")];
    assert_eq!(to(&coded), Some((308, "https://a".into())));
}

#[test]
fn what_has_no_effect_is_warned_of_by_name() {
    let (_, warnings) = check(&[("configuration-snippet", "return 200;"), ("odd", "1")], "/");
    let names: Vec<&str> = warnings.iter().filter_map(|text| text.split('`').nth(3)).collect();
    assert_eq!(
        names,
        ["nginx.ingress.kubernetes.io/configuration-snippet", "nginx.ingress.kubernetes.io/odd"]
    );
}

#[test]
fn a_guard_that_is_not_understood_refuses_the_ingress() {
    for (key, value) in [
        ("auth-url", "http://auth.example/check"),
        ("auth-tls-secret", "n/ca"),
        ("auth-type", "digest"),
        ("whitelist-source-range", "office"),
        ("whitelist-source-range", "10.0.0.0/33"),
        ("limit-rps", "many"),
        ("ssl-redirect", "yes"),
    ] {
        assert_eq!(refused(&[(key, value)]).len(), 1, "{key}");
    }
    let alone = refused(&[("auth-type", "basic")]);
    assert!(alone[0].contains("has no `nginx.ingress.kubernetes.io/auth-secret`"), "{alone:?}");
}

#[test]
fn a_canary_takes_no_traffic() {
    let (ingress, warnings) = check(&[("canary", "true"), ("canary-weight", "10")], "/");
    assert!(ingress.paths.is_empty() && ingress.default_backend.is_none());
    assert_eq!(warnings.len(), 2);
}
