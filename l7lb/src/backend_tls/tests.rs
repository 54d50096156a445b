use model::gateway::{ConfigMap, Meta};
use model::name::ObjectRef;

use super::*;

fn meta(name: &str, created_s: i64) -> Meta {
    Meta { object: ObjectRef::new("ns", name), created_s, ..Meta::default() }
}

fn policy(name: &str, created_s: i64, section: Option<&str>, authority: &str) -> BackendTlsPolicy {
    let object = |name| ObjectRef::new("ns", name);
    BackendTlsPolicy {
        meta: meta(name, created_s),
        targets: vec![(Reference::new("", "Service", object("svc")), section.map(Arc::from))],
        authorities: vec![Reference::new("", "ConfigMap", object(authority))],
        well_known: None,
        hostname: format!("{name}.example").into(),
        subject_alt_names: Vec::new(),
        options: Default::default(),
    }
}

fn world(policies: Vec<BackendTlsPolicy>) -> GatewayObjects {
    let made = rcgen::generate_simple_self_signed(vec!["ca.example".to_owned()]).unwrap();
    let data = [(AUTHORITIES.into(), made.cert.pem().into())].into();
    GatewayObjects {
        config_maps: [ConfigMap { meta: meta("ca", 0), data }].into(),
        backend_tls_policies: policies.into(),
        ..GatewayObjects::default()
    }
}

/// Which policy the port meets: its server name, or what else holds.
fn check(objects: &GatewayObjects, app_protocol: Option<&str>) -> String {
    let service = Service { meta: meta("svc", 0), ..Service::default() };
    let app_protocol = app_protocol.map(Arc::from);
    let port =
        ServicePort { name: Some("web".into()), port: 443, app_protocol, ..ServicePort::default() };
    match of_port(objects, &service, &port, &Kept::default()) {
        OriginSecurity::Plain => "plain".to_owned(),
        OriginSecurity::Broken => "broken".to_owned(),
        OriginSecurity::Tls(tls) => tls.server_name().to_owned(),
    }
}

#[test]
fn the_more_specific_then_the_older_then_the_first_by_name_wins() {
    let all = world(vec![
        policy("z-old", 1, None, "ca"),
        policy("b-web", 9, Some("web"), "ca"),
        policy("a-web", 9, Some("web"), "ca"),
        policy("other", 0, Some("other"), "ca"),
    ]);
    assert_eq!(check(&all, None), "a-web.example");
    let whole = world(vec![policy("new", 5, None, "ca"), policy("old", 4, None, "ca")]);
    assert_eq!(check(&whole, None), "old.example");
    assert_eq!(check(&world(vec![policy("other", 0, Some("other"), "ca")]), None), "plain");
}

#[test]
fn a_policy_that_cannot_be_followed_is_not_followed_halfway() {
    assert_eq!(check(&world(vec![policy("p", 0, None, "missing")]), Some("https")), "broken");
    let mut foreign = policy("p", 0, None, "ca");
    foreign.authorities[0].kind = "Certificate".into();
    assert_eq!(check(&world(vec![foreign]), None), "broken");
    let mut system = policy("p", 0, None, "ca");
    system.authorities.clear();
    system.well_known = Some("System".into());
    assert_eq!(check(&world(vec![system.clone()]), None), "p.example");
    system.well_known = Some("Elsewhere".into());
    assert_eq!(check(&world(vec![system]), None), "broken");
}

#[test]
fn protocols_without_a_policy_encrypt() {
    for (protocol, found) in [
        (None, "plain"),
        (Some("http"), "plain"),
        (Some("kubernetes.io/ws"), "plain"),
        (Some("kubernetes.io/h2c"), "plain"),
        (Some("https"), "svc.ns.svc"),
        (Some("kubernetes.io/wss"), "svc.ns.svc"),
    ] {
        assert_eq!(check(&GatewayObjects::default(), protocol), found, "{protocol:?}");
    }
}
