//! What a scrape tells of handshakes, refusals, ejections and reloads.

use std::sync::Arc;
use std::time::Duration;

use l7lb::{Config, Limits, metrics_text};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::client::{Http1, get, raw};
use crate::origin::Origin;
use crate::tls::secure;
use crate::world::{World, config, exact, hello, ingress_tls, secret, start};

/// Looks until every line is there: what a connection did is counted a moment after its client knows.
async fn counted(world: &World, lines: &[&str]) {
    let mut text = String::new();
    for _ in 0..400 {
        text = metrics_text(&[world.gateway.insight()]);
        if lines.iter().all(|line| text.lines().any(|one| one == *line)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{lines:?} are not all in\n{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_by_how_they_end() {
    let origin = Origin::start("one").await;
    let mut objects = hello(&[origin.address]);
    let (one, der) = secret("one", &["a.example"]);
    objects.secrets.insert(one);
    objects.ingresses[0].tls = vec![ingress_tls(vec![exact("a.example")], "one")];
    let limits = Limits { head_deadline_ms: 500, ..Limits::default() };
    let https = vec!["127.0.0.1:0".parse().unwrap()];
    let world = start(Config { https, limits, ..config() }, &objects);
    let address = world.gateway.https_addresses()[0];
    let connect = async || TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        let stream =
            secure(connect().await, "a.example", std::slice::from_ref(&der), &[]).await.unwrap();
        let mut client = Http1::over(stream);
        assert_eq!(client.get("a.example", "/").await.unwrap().status, 200);
    }
    // The same client once more, with the ticket it was given.
    let mut roots = RootCertStore::empty();
    roots.add(der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS12])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(client));
    for _ in 0..2 {
        let name = ServerName::try_from("a.example").unwrap();
        let stream = connector.connect(name, connect().await).await.unwrap();
        assert_eq!(Http1::over(stream).get("a.example", "/").await.unwrap().status, 200);
    }
    assert!(secure(connect().await, "b.example", &[der], &[]).await.is_err());
    assert!(secure(connect().await, "a.example", &[], &[]).await.is_err());
    assert_eq!(raw(address, b"GET / HTTP/1.1\r\n").await, "");
    connect().await.write_all(&[22, 3, 1]).await.unwrap();
    let mut slow = connect().await;
    slow.write_all(&[22, 3, 1]).await.unwrap();
    let faults =
        ["client-gone", "not-tls", "refused-by-client", "too-slow", "unknown-name"].map(|reason| {
            format!("nearside_gateway_tls_failures_total{{site=\"test\",reason=\"{reason}\"}} 1")
        });
    let mut lines: Vec<&str> = faults.iter().map(String::as_str).collect();
    lines.extend([
        "nearside_gateway_tls_handshakes_total{site=\"test\",version=\"1.3\",resumed=\"no\"} 2",
        "nearside_gateway_tls_handshakes_total{site=\"test\",version=\"1.2\",resumed=\"no\"} 1",
        "nearside_gateway_tls_handshakes_total{site=\"test\",version=\"1.2\",resumed=\"yes\"} 1",
    ]);
    counted(&world, &lines).await;
    drop(slow);
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_no_backend_settled_by_their_reason() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    raw(world.http, b"GET / HTTP/1.1\n").await;
    raw(world.http, b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(get(world.http, "a", "/").await.status, 200);
    world.gateway.reload(&hello(&[]));
    assert_eq!(get(world.http, "a", "/").await.status, 503);
    counted(
        &world,
        &[
            "nearside_gateway_unforwarded_total{site=\"test\",reason=\"bare-line-end\"} 1",
            "nearside_gateway_unforwarded_total{site=\"test\",reason=\"method-refused\"} 1",
            "nearside_gateway_unforwarded_total{site=\"test\",reason=\"no-endpoints\"} 1",
            "nearside_gateway_reloads_total{site=\"test\",result=\"whole\"} 2",
            "nearside_gateway_reload_seconds_count{site=\"test\"} 2",
        ],
    )
    .await;
    let text = metrics_text(&[world.gateway.insight()]);
    assert!(!text.contains("reason=\"forwarded\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn endpoints_that_are_taken_out_by_what_found_them() {
    let dead = Origin::start("dead").await.die().await;
    let checks = Config { health_interval_ms: 20, ..config() };
    let checked = start(checks, &hello(&[dead]));
    counted(&checked, &["nearside_gateway_ejections_total{site=\"test\",by=\"checks\"} 1"]).await;
    // Nobody checks for an hour here: three requests find out.
    let rarely = Config { health_interval_ms: 3_600_000, ..config() };
    let asked = start(rarely, &hello(&[dead]));
    for _ in 0..3 {
        assert_eq!(get(asked.http, "a", "/").await.status, 502);
    }
    counted(&asked, &["nearside_gateway_ejections_total{site=\"test\",by=\"requests\"} 1"]).await;
}
