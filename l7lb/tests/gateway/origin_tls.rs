//! TLS towards origins by BackendTLSPolicy: authorities, names, client certificates.

use std::net::SocketAddr;
use std::sync::Arc;

use model::gateway::{
    BackendTarget, BackendTlsPolicy, ConfigMap, GatewayObjects, HttpFilter, Mirror, Reference,
    Secret, SubjectAltName,
};
use model::name::ObjectRef;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};

use crate::client::{Http1, get};
use crate::origin::Origin;
use crate::world::{add_service, config, meta, routed, rule, start};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A server that shows a certificate for these names, and asks for clients' when it is to.
fn server(by: &Authority, names: &[SanType], clients: Option<&Authority>) -> ServerConfig {
    let (chain, key) = issue(by, names);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    builder.with_single_cert(vec![chain.der().clone()], der).unwrap()
}

fn issue(by: &Authority, names: &[SanType]) -> (rcgen::Certificate, KeyPair) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.subject_alt_names = names.to_vec();
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, by).unwrap(), key)
}

fn dns(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

fn uri(name: &str) -> SanType {
    SanType::URI(name.try_into().unwrap())
}

/// A route to the Service `safe`, whose policy trusts the ConfigMap `ca`.
fn world(endpoint: SocketAddr, trust: &Authority, names: Vec<SubjectAltName>) -> GatewayObjects {
    let mut objects = routed(&[], vec![rule("/", "safe", vec![])]);
    add_service(&mut objects, "safe", &[endpoint]);
    let data = [("ca.crt".into(), trust.pem().into())].into();
    objects.config_maps.insert(ConfigMap { meta: meta("ca"), data });
    let object = |name| ObjectRef::new("default", name);
    objects.backend_tls_policies.insert(BackendTlsPolicy {
        meta: meta("policy"),
        targets: vec![(Reference::new("", "Service", object("safe")), None)],
        authorities: vec![Reference::new("", "ConfigMap", object("ca"))],
        well_known: None,
        hostname: "abc.example.com".into(),
        subject_alt_names: names,
        options: Default::default(),
    });
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_and_the_host_name_are_checked_and_connections_kept() {
    let (mine, other) = (authority(), authority());
    let origin = Origin::start_tls("safe", server(&mine, &[dns("abc.example.com")], None)).await;
    let good = start(config(), &world(origin.address, &mine, vec![]));
    let mut client = Http1::connect(good.http).await;
    for _ in 0..10 {
        assert_eq!(client.get("a", "/").await.unwrap().first_line(), "safe");
    }
    // A request may come before the connection of the one before it is back in the pool.
    assert!(origin.connections() <= 3, "{} connections", origin.connections());
    // A reload that changes nothing keeps them.
    good.gateway.reload(&world(origin.address, &mine, vec![]));
    assert_eq!(client.get("a", "/").await.unwrap().first_line(), "safe");
    assert!(origin.connections() <= 3, "{} connections", origin.connections());
    // A policy that trusts others has connections of its own.
    good.gateway.reload(&world(origin.address, &other, vec![]));
    assert_eq!(client.get("a", "/").await.unwrap().body, "502 origin-tls\n");
    let misnamed =
        Origin::start_tls("misnamed", server(&mine, &[dns("b.example.com")], None)).await;
    let wrong = start(config(), &world(misnamed.address, &mine, vec![]));
    assert_eq!(get(wrong.http, "a", "/").await.body, "502 origin-tls\n");
    assert_eq!((origin.odd(), misnamed.hits()), (vec![], 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn subject_alt_names_are_what_counts_when_there_are_any() {
    let mine = authority();
    let names = [dns("abc.example.com"), uri("spiffe://abc.example.com/test")];
    let origin = Origin::start_tls("safe", server(&mine, &names, None)).await;
    let host = |name: &str| SubjectAltName::Hostname(name.into());
    let id = |name: &str| SubjectAltName::Uri(name.into());
    let cases = [
        (vec![host("abc.example.com")], true),
        (vec![id("spiffe://abc.example.com/test")], true),
        (vec![host("nobody.example.com"), id("spiffe://abc.example.com/test")], true),
        (vec![host("nobody.example.com")], false),
        (vec![id("spiffe://nobody.example.com/test")], false),
        (vec![host("x.example.com"), id("spiffe://x")], false),
    ];
    for (names, passes) in cases {
        let world = start(config(), &world(origin.address, &mine, names.clone()));
        let mut client = Http1::connect(world.http).await;
        for _ in 0..3 {
            let response = client.get("a", "/").await;
            let wanted = if passes { 200 } else { 502 };
            assert_eq!(response.map(|response| response.status), Some(wanted), "{names:?}");
            if !passes {
                client = Http1::connect(world.http).await;
            }
        }
    }
    // The host name is the server name and no more, when there are names.
    let elsewhere = Origin::start_tls("safe", server(&mine, &[dns("x.example.com")], None)).await;
    let named = start(config(), &world(elsewhere.address, &mine, vec![host("x.example.com")]));
    assert_eq!(get(named.http, "a", "/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_go_only_to_whom_they_are_meant_for() {
    let mine = authority();
    let main = Origin::start("main").await;
    let names = [dns("abc.example.com")];
    let right = Origin::start_tls("right", server(&mine, &names, None)).await;
    let wrong = Origin::start_tls("wrong", server(&mine, &names, None)).await;
    for (copy, name, copies) in [(&right, "abc.example.com", 2), (&wrong, "x.example.com", 0)] {
        let wanted = vec![SubjectAltName::Hostname(name.into())];
        let mut objects = world(copy.address, &mine, wanted);
        add_service(&mut objects, "main", &[main.address]);
        let backend = BackendTarget::service(ObjectRef::new("default", "safe"), 80);
        let mirror = HttpFilter::Mirror(Mirror { backend, numerator: 1, denominator: 1 });
        objects.http_routes[0].rules = vec![rule("/", "main", vec![mirror])];
        let world = start(config(), &objects);
        for _ in 0..2 {
            assert_eq!(get(world.http, "a", "/").await.first_line(), "main");
        }
        // The wrong one is connected to, read and left.
        for _ in 0..1_000 {
            if copy.connections() >= 2 && copy.hits() == copies {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        assert!(copy.connections() >= 2);
        assert_eq!(copy.hits(), copies, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_followed_fails_the_backend() {
    let origin = Origin::start("plain").await;
    let mut objects = world(origin.address, &authority(), vec![]);
    objects.config_maps.clear();
    let world = start(config(), &objects);
    assert_eq!(get(world.http, "a", "/").await.body, "500 bad-backend-tls\n");
    assert_eq!(origin.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_shows_its_certificate_to_backends_that_ask() {
    let (mine, clients) = (authority(), authority());
    let config_of = || server(&mine, &[dns("abc.example.com")], Some(&clients));
    let origin = Origin::start_tls("safe", config_of()).await;
    let mut objects = world(origin.address, &mine, vec![]);
    let anonymous = start(config(), &objects);
    assert_eq!(get(anonymous.http, "a", "/").await.status, 502);
    let (chain, key) = issue(&clients, &[dns("gateway.example.com")]);
    let (chain, key) = (chain.pem(), key.serialize_pem());
    objects.secrets.insert(Secret::tls(meta("shown"), chain.as_bytes(), key.as_bytes()));
    let shown = Reference::new("", "Secret", ObjectRef::new("default", "shown"));
    objects.gateways[0].client_certificate = Some(shown);
    let known = start(config(), &objects);
    assert_eq!(get(known.http, "a", "/").await.first_line(), "safe");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_goes_over_tls() {
    let origin =
        Origin::start_tls("safe", server(&authority(), &[dns("any.example.com")], None)).await;
    let mut objects = routed(&[("safe", origin.address)], vec![rule("/", "safe", vec![])]);
    objects.services[0].ports[0].app_protocol = Some("kubernetes.io/wss".into());
    let world = start(config(), &objects);
    assert_eq!(get(world.http, "a", "/").await.first_line(), "safe");
    // Many times, because of the race that `origin_io` describes.
    for _ in 0..40 {
        let mut client = Http1::connect(world.http).await;
        let request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        assert_eq!(client.send(request).await.unwrap().status, 101);
        for size in [1, 100, 200_000] {
            let frame: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
            client.write(&frame).await.unwrap();
            assert_eq!(client.exactly(size).await, frame);
        }
    }
}
