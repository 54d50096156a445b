//! Which certificate a name gets, and what is quarantined.

use model::gateway::{
    Gateway, GatewayObjects, HostPattern, Ingress, IngressTls, Listener, ListenerProtocol,
    ListenerTls, Meta, NamespaceFilter, Reference,
};

use super::*;
use crate::socket::{Place, Plan, TlsAction};
use crate::view::GatewayView;

fn meta(namespace: &str, name: &str) -> Meta {
    Meta {
        object: ObjectRef::new(namespace, name),
        site: None,
        created_s: 0,
        generation: 0,
        origin: format!("{name}.yaml:1").into(),
    }
}

fn secret(name: &str) -> Secret {
    let made = rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    let key = made.signing_key.serialize_pem();
    Secret::tls(meta("ns", name), made.cert.pem().as_bytes(), key.as_bytes())
}

fn listener(hostname: Option<HostPattern>, secrets: &[ObjectRef]) -> Listener {
    Listener {
        name: format!("{hostname:?}").into(),
        port: 443,
        protocol: ListenerProtocol::Https,
        hostname,
        tls: Some(ListenerTls {
            certificates: secrets
                .iter()
                .map(|secret| Reference::new("", "Secret", secret.clone()))
                .collect(),
            ..ListenerTls::default()
        }),
        namespaces: NamespaceFilter::Same,
        kinds: Vec::new(),
    }
}

fn own(name: &str) -> ObjectRef {
    ObjectRef::new("ns", name)
}

fn world(listeners: Vec<Listener>, secrets: Vec<Secret>) -> GatewayObjects {
    GatewayObjects {
        gateways: [Gateway {
            meta: meta("ns", "gw"),
            class: "c".into(),
            listeners,
            ..Gateway::default()
        }]
        .into(),
        secrets: secrets.into(),
        ..GatewayObjects::default()
    }
}

fn compile(objects: &GatewayObjects) -> (GatewayView, Vec<String>) {
    let (view, warnings) = GatewayView::compile(objects, &GatewayView::default());
    let shown = warnings.iter().map(|warning| format!("{}: {}", warning.origin, warning.text));
    (view, shown.collect())
}

/// The certificates of the listener that a client's name meets.
fn find(view: &GatewayView, name: Option<&str>) -> Option<Vec<Arc<CertifiedKey>>> {
    let Some(Plan::Tls(plan)) = view.places.get(&Place::SharedHttps) else { panic!() };
    match plan.find(name)? {
        TlsAction::Http(termination, _) => Some(termination.certificates().to_vec()),
        _ => panic!(),
    }
}

#[test]
fn exact_names_beat_wildcards_and_those_the_default() {
    let suffix = |name: &str| Some(HostPattern::Suffix(name.into()));
    let mut objects = world(
        vec![
            listener(None, &[own("default")]),
            listener(suffix("example"), &[own("wide")]),
            listener(suffix("a.example"), &[own("narrow")]),
        ],
        ["default", "wide", "narrow", "one"].map(secret).into(),
    );
    objects.ingresses.insert(Ingress {
        meta: meta("ns", "ingress"),
        tls: vec![IngressTls {
            hosts: vec![HostPattern::Exact("x.a.example".into())],
            secret: own("one"),
        }],
        ..Ingress::default()
    });
    let (view, warnings) = compile(&objects);
    assert_eq!(warnings, [""; 0]);
    let check = |name: Option<&str>, secret: &str| {
        let expected = objects.secrets.iter().find(|one| &*one.meta.object.name == secret);
        let expected = CertificateDer::from_pem_slice(&expected.unwrap().data["tls.crt"]).unwrap();
        assert_eq!(find(&view, name).unwrap()[0].cert, [expected], "{name:?}");
    };
    check(Some("x.a.example"), "one");
    check(Some("y.a.example"), "narrow");
    check(Some("z.y.a.example"), "narrow");
    check(Some("a.example"), "wide");
    check(Some("example"), "default");
    check(None, "default");
}

#[test]
fn without_a_default_an_unknown_name_gets_nothing() {
    let host = Some(HostPattern::Exact("a.example".into()));
    let (view, _) = compile(&world(vec![listener(host, &[own("s")])], vec![secret("s")]));
    assert!(find(&view, Some("b.example")).is_none());
    assert!(find(&view, None).is_none());
}

#[test]
fn a_bad_secret_is_quarantined_and_its_key_never_shown() {
    let host = |name: &str| Some(HostPattern::Exact(name.into()));
    let with = |name: &str, key: &str, value: Arc<[u8]>| {
        let mut secret = secret(name);
        secret.data.insert(key.into(), value);
        secret
    };
    let empty = with("empty", "tls.crt", Arc::from(&b""[..]));
    let broken = with("broken", "tls.key", Arc::from(&b"hunter2"[..]));
    let mixed = with("mixed", "tls.key", secret("other").data["tls.key"].clone());
    let objects = world(
        vec![
            listener(host("empty"), &[own("empty")]),
            listener(host("broken"), &[own("broken")]),
            listener(host("mixed"), &[own("mixed")]),
            listener(host("missing"), &[own("missing")]),
            listener(host("foreign"), &[ObjectRef::new("other", "good")]),
            listener(host("second"), &[own("broken"), own("good")]),
        ],
        vec![empty, broken, mixed, secret("good")],
    );
    let (view, warnings) = compile(&objects);
    let refs: Vec<&String> =
        warnings.iter().filter(|text| text.contains("InvalidCertificateRef")).collect();
    let told = |text: &str| refs.iter().filter(|found| found.contains(text)).count();
    assert_eq!(told("`ns/empty` is not used: `tls.crt` holds no certificate"), 1, "{refs:?}");
    assert_eq!(told("`ns/broken` is not used: `tls.key` holds no usable private key"), 2);
    assert_eq!(told("`ns/mixed` is not used: the key does not fit the certificate"), 1);
    assert_eq!(told("there is no Secret `ns/missing`"), 1);
    assert_eq!(warnings.iter().filter(|text| text.contains("RefNotPermitted")).count(), 1);
    assert!(warnings.iter().all(|text| !text.contains("hunter2")));
    for name in ["empty", "broken", "mixed", "missing", "foreign"] {
        assert!(find(&view, Some(name)).is_none(), "{name}");
    }
    assert!(find(&view, Some("second")).is_some(), "the next reference is used");
}

#[test]
fn a_reload_parses_only_what_has_changed() {
    let host = |name: &str| Some(HostPattern::Exact(name.into()));
    let listeners = vec![listener(host("a"), &[own("a")]), listener(host("b"), &[own("b")])];
    let mut objects = world(listeners, vec![secret("a"), secret("b")]);
    let (before, _) = compile(&objects);
    objects.secrets[1] = secret("b");
    let (after, _) = GatewayView::compile(&objects, &before);
    let key = |view, name| find(view, Some(name)).unwrap().remove(0);
    let same = |name| Arc::ptr_eq(&key(&before, name), &key(&after, name));
    assert_eq!([same("a"), same("b")], [true, false]);
}
