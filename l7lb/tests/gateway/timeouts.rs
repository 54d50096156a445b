//! Timeouts of a rule: `request` is a total over attempts and bodies, `backendRequest` is per attempt.

use std::net::SocketAddr;
use std::time::Duration;

use model::gateway::{GatewayObjects, ListenerProtocol};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::client::{Http1, PATIENCE, get};
use crate::origin::Origin;
use crate::world::{World, add_service, config, gateway, listener, route, rule, start};

/// A world whose one rule has these timeouts.
fn timed(endpoints: &[SocketAddr], request_ms: Option<u32>, backend_ms: Option<u32>) -> World {
    let mut objects = GatewayObjects::default();
    add_service(&mut objects, "one", endpoints);
    let mut hasty = rule("/", "one", vec![]);
    hasty.request_timeout_ms = request_ms;
    hasty.backend_timeout_ms = backend_ms;
    objects.gateways.insert(gateway(vec![listener("http", ListenerProtocol::Http, None)]));
    objects.http_routes.insert(route("r", vec![], vec![hasty]));
    start(config(), &objects)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_answer_is_504() {
    let origin = Origin::start("one").await;
    for (request_ms, backend_ms) in [(Some(50), None), (None, Some(50)), (Some(0), Some(50))] {
        let world = timed(&[origin.address], request_ms, backend_ms);
        let response = get(world.http, "a.example", "/slow?ms=5000").await;
        assert_eq!(response.body, "504 origin-timeout\n");
        assert_eq!(get(world.http, "a.example", "/").await.status, 200);
    }
    // 0 is no timeout.
    let world = timed(&[origin.address], Some(0), Some(0));
    assert_eq!(get(world.http, "a.example", "/slow?ms=100").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_share_the_total_and_each_has_its_own_limit() {
    // Both break off after 400 ms, so that a second attempt ends 800 ms after the start.
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let both = [one.address, two.address];
    let total = timed(&both, Some(600), None);
    let response = get(total.http, "a.example", "/drop?ms=400").await;
    assert_eq!(response.body, "504 origin-timeout\n");
    assert_eq!((one.hits(), two.hits()), (1, 1));
    let each = timed(&both, None, Some(600));
    let response = get(each.http, "a.example", "/drop?ms=400").await;
    assert_eq!(response.body, "502 origin-broke\n");
}

/// An origin that answers with a chunked body without an end, ten octets a second.
async fn trickle() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
                socket.write_all(head.as_bytes()).await.ok();
                while socket.write_all(b"1\r\nx\r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trickle_in_either_direction_does_not_stretch_the_total() {
    let world = timed(&[trickle().await], Some(300), None);
    let mut socket = tokio::net::TcpStream::connect(world.http).await.unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut answer)).await;
    read.expect("the gateway cuts the answer").ok();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(!answer.ends_with("0\r\n\r\n"), "a cut answer must not look whole: {answer}");
    assert_eq!(world.log.wait(1).await[0]["reason"], "origin-timeout");

    let origin = Origin::start("one").await;
    let world = timed(&[origin.address], Some(300), None);
    let mut client = Http1::connect(world.http).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    client.write(head.as_bytes()).await.unwrap();
    for _ in 0..8 {
        client.write(b"1\r\nx\r\n").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(client.read(true).await.unwrap().body, "504 origin-timeout\n");
    // The endpoint was not to blame: it is asked again at once.
    assert_eq!(get(world.http, "a", "/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_outlives_the_timeout_but_its_answer_does_not() {
    let origin = Origin::start("one").await;
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let world = timed(&[origin.address], Some(200), None);
    let mut tunnel = Http1::connect(world.http).await;
    assert_eq!(tunnel.send(upgrade).await.unwrap().status, 101);
    tokio::time::sleep(Duration::from_millis(400)).await;
    tunnel.write(b"still here").await.unwrap();
    assert_eq!(tunnel.exactly(10).await, b"still here");

    let mute = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = timed(&[mute.local_addr().unwrap()], Some(200), None);
    let mut client = Http1::connect(world.http).await;
    assert_eq!(client.send(upgrade).await.unwrap().body, "504 origin-timeout\n");
}
