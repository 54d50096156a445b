//! HTTPS: certificates by name, swapped live; HTTP/2 by ALPN.

use std::net::SocketAddr;
use std::sync::Arc;

use model::gateway::GatewayObjects;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::{Http1, Http2};
use crate::origin::Origin;
use crate::world::{World, config, exact, hello, ingress_tls, secret, start, suffix};

async fn connect(
    address: SocketAddr,
    name: &str,
    roots: &[CertificateDer<'static>],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    secure(TcpStream::connect(address).await?, name, roots, alpn).await
}

/// The client's side of a handshake.
pub(crate) async fn secure(
    socket: TcpStream,
    name: &str,
    roots: &[CertificateDer<'static>],
    alpn: &[&str],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(root.clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, socket).await
}

fn served(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned()
}

/// The world of `hello` with TLS for these names.
fn start_tls(objects: &GatewayObjects) -> (World, SocketAddr) {
    let config = l7lb::Config { https: vec!["127.0.0.1:0".parse().unwrap()], ..config() };
    let world = start(config, objects);
    let https = world.gateway.https_addresses()[0];
    (world, https)
}

#[tokio::test(flavor = "multi_thread")]
async fn names_get_their_certificates_and_requests_their_scheme() {
    let origin = Origin::start("one").await;
    let mut objects = hello(&[origin.address]);
    let (one, one_der) = secret("one", &["a.example"]);
    let (wild, wild_der) = secret("wild", &["*.b.example"]);
    objects.secrets.extend([one, wild]);
    objects.ingresses[0].tls = vec![
        ingress_tls(vec![exact("a.example")], "one"),
        ingress_tls(vec![suffix("b.example")], "wild"),
    ];
    let (world, https) = start_tls(&objects);
    let roots = [one_der.clone(), wild_der.clone()];
    for (name, der) in [("a.example", &one_der), ("x.b.example", &wild_der)] {
        let stream = connect(https, name, &roots, &["http/1.1"]).await.unwrap();
        assert_eq!(served(&stream), *der, "{name}");
        let mut client = Http1::over(stream);
        for _ in 0..3 {
            let response = client.get(name, "/").await.unwrap();
            assert!(response.body.contains("\r\nx-forwarded-proto: https\r\n"), "{response:?}");
        }
    }
    assert!(connect(https, "c.example", &roots, &[]).await.is_err(), "no certificate, no TLS");
    assert_eq!(world.log.wait(6).await[0]["scheme"], "https");
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_is_chosen_by_alpn() {
    let origin = Origin::start("one").await;
    let mut objects = hello(&[origin.address]);
    let (one, der) = secret("one", &["a.example"]);
    objects.secrets.insert(one);
    objects.ingresses[0].tls = vec![ingress_tls(vec![exact("a.example")], "one")];
    let (world, https) = start_tls(&objects);
    let stream = connect(https, "a.example", &[der], &["h2", "http/1.1"]).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Http2::over(stream).await;
    for _ in 0..5 {
        let response = client.request("GET", "https://a.example/", &[]).await.unwrap();
        assert_eq!((response.status, response.first_line()), (200, "one"));
    }
    let line = world.log.wait(5).await.remove(0);
    assert_eq!((&line["protocol"], &line["scheme"]), (&"HTTP/2".into(), &"https".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_secret_is_served_to_the_next_client_and_cuts_nobody() {
    let origin = Origin::start("one").await;
    let mut objects = hello(&[origin.address]);
    let (old, old_der) = secret("one", &["a.example"]);
    let (new, new_der) = secret("one", &["a.example"]);
    objects.secrets.insert(old);
    objects.ingresses[0].tls = vec![ingress_tls(vec![exact("a.example")], "one")];
    let (world, https) = start_tls(&objects);
    let roots = [old_der.clone(), new_der.clone()];
    let stream = connect(https, "a.example", &roots, &[]).await.unwrap();
    assert_eq!(served(&stream), old_der);
    let mut before = Http1::over(stream);
    assert_eq!(before.get("a.example", "/").await.unwrap().status, 200);
    objects.secrets = [new].into();
    assert_eq!(world.gateway.reload(&objects), []);
    let stream = connect(https, "a.example", &roots, &[]).await.unwrap();
    assert_eq!(served(&stream), new_der);
    assert_eq!(Http1::over(stream).get("a.example", "/").await.unwrap().status, 200);
    assert_eq!(before.get("a.example", "/").await.unwrap().status, 200);
    // A broken Secret is named at each reload, and the certificate before it is served.
    objects.secrets[0].data.insert("tls.key".into(), b"broken".as_slice().into());
    for _ in 0..2 {
        let warnings = world.gateway.reload(&objects);
        assert_eq!(
            warnings[0].text,
            "the Secret `default/one` is not used: `tls.key` holds no usable private key; the \
             certificate before it is kept"
        );
        assert_eq!(warnings.len(), 1);
        let stream = connect(https, "a.example", &roots, &[]).await.unwrap();
        assert_eq!(served(&stream), new_der);
    }
    // A Secret that is gone takes its certificate with it.
    objects.secrets.clear();
    assert_eq!(world.gateway.reload(&objects).len(), 1);
    assert!(connect(https, "a.example", &roots, &[]).await.is_err());
    assert_eq!(before.get("a.example", "/").await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_http_on_the_tls_port_and_silence_are_cut() {
    let limits = l7lb::Limits { head_deadline_ms: 100, ..l7lb::Limits::default() };
    let https = vec!["127.0.0.1:0".parse().unwrap()];
    let world = start(l7lb::Config { limits, https, ..config() }, &hello(&[]));
    let address = world.gateway.https_addresses()[0];
    let answer = crate::client::raw(address, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(!answer.contains("HTTP"), "{answer}");
    assert_eq!(crate::client::raw(address, b"").await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_with_another_certificate_is_misdirected() {
    let origin = Origin::start("one").await;
    let mut objects = hello(&[origin.address]);
    let (one, one_der) = secret("one", &["a.example"]);
    let (wild, wild_der) = secret("wild", &["*.b.example"]);
    objects.secrets.extend([one, wild]);
    objects.ingresses[0].tls = vec![
        ingress_tls(vec![exact("a.example")], "one"),
        ingress_tls(vec![suffix("b.example")], "wild"),
    ];
    let (world, https) = start_tls(&objects);
    let roots = [one_der, wild_der];
    let stream = connect(https, "x.b.example", &roots, &["h2"]).await.unwrap();
    let mut client = Http2::over(stream).await;
    // The same certificate serves another name too; a name that has its own does not.
    for (uri, status) in [
        ("https://x.b.example/", 200),
        ("https://X.b.example:443/", 200),
        ("https://y.b.example/", 200),
        ("https://a.example/", 421),
        ("https://c.example/", 421),
        ("https://x.b.example/", 200),
    ] {
        let response = client.request("GET", uri, &[]).await.unwrap();
        assert_eq!(response.status, status, "{uri}");
    }
    let stream = connect(https, "a.example", &roots, &["http/1.1"]).await.unwrap();
    let mut client = Http1::over(stream);
    let response = client.get("x.b.example", "/").await.unwrap();
    assert_eq!(response.body, "421 misdirected\n");
    assert_eq!(client.get("a.example", "/").await.unwrap().status, 200);
    assert_eq!(origin.hits(), 5);
    let lines = world.log.wait(8).await;
    assert_eq!(lines.iter().filter(|line| line["reason"] == "misdirected").count(), 3);
}
