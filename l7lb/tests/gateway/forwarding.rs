//! What passes through: bodies, forwarding headers, keep-alive, pipelining, WebSockets.

use crate::client::{Http1, get};
use crate::origin::Origin;
use crate::world::{config, hello, start};

#[tokio::test(flavor = "multi_thread")]
async fn the_origin_learns_who_the_client_is_and_not_what_it_claims() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let request = "GET / HTTP/1.1\r\nHost: a.example:8080\r\nX-Forwarded-For: 1.1.1.1\r\n\
                   X-Forwarded-Proto: https\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\n\r\n";
    let response = Http1::connect(world.http).await.send(request).await.unwrap();
    let seen = response.body.to_ascii_lowercase();
    assert!(!seen.contains("1.1.1.1"), "{seen}");
    for line in [
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-proto: http",
        "x-forwarded-host: a.example:8080",
        "x-real-ip: 127.0.0.1",
        "forwarded: for=127.0.0.1;host=\"a.example:8080\";proto=http",
        &format!("x-forwarded-port: {}", world.http.port()),
    ] {
        assert!(seen.contains(&format!("\r\n{line}\r\n")), "{line} is not in {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed() {
    let origin = Origin::start("one").await;
    let trusted = vec!["127.0.0.0/8".parse().unwrap()];
    let config = l7lb::Config { trusted_proxies: trusted, ..config() };
    let world = start(config, &hello(&[origin.address]));
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.9\r\n\r\n";
    let response = Http1::connect(world.http).await.send(request).await.unwrap();
    let seen = response.body.to_ascii_lowercase();
    assert!(seen.contains("\r\nx-forwarded-for: 192.0.2.9, 127.0.0.1\r\n"), "{seen}");
    assert_eq!(world.log.wait(1).await[0]["client"], "192.0.2.9");
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_both_framings_arrive_whole() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http1::connect(world.http).await;
    let body = "0123456789".repeat(20_000);
    let head = format!("POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
    let response = client.send(&format!("{head}{body}")).await.unwrap();
    assert!(response.body.ends_with(&body), "{} octets came back", response.body.len());
    let mut chunked =
        "POST /up HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned();
    for part in body.as_bytes().chunks(7_777) {
        let part = std::str::from_utf8(part).unwrap();
        chunked.push_str(&format!("{:x}\r\n{part}\r\n", part.len()));
    }
    chunked.push_str("0\r\n\r\n");
    let response = client.send(&chunked).await.unwrap();
    assert!(response.body.ends_with(&body), "{} octets came back", response.body.len());
    assert_eq!(origin.hits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_waits_to_be_asked_for_is_asked_for() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http1::connect(world.http).await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";
    client.write(head.as_bytes()).await.unwrap();
    assert_eq!(client.read(false).await.unwrap().status, 100);
    client.write(b"hello").await.unwrap();
    let response = client.read(true).await.unwrap();
    assert!(response.body.ends_with("\r\n\r\nhello"), "{response:?}");
    assert!(!response.body.to_ascii_lowercase().contains("expect"), "{response:?}");
    // An interim answer is no answer: the failure behind it still gets its own.
    let dead = start(config(), &hello(&["127.0.0.1:1".parse().unwrap()]));
    let mut client = Http1::connect(dead.http).await;
    client.write(format!("{head}hello").as_bytes()).await.unwrap();
    assert_eq!(client.read(false).await.unwrap().status, 100);
    assert_eq!(client.read(true).await.unwrap().body, "502 connect-failed\n");
    // What has no route is not asked for.
    let none = start(config(), &model::gateway::GatewayObjects::default());
    let mut client = Http1::connect(none.http).await;
    client.write(head.as_bytes()).await.unwrap();
    assert_eq!(client.read(true).await.unwrap().body, "404 no-route\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_upload_is_not_held_against_the_endpoint() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http1::connect(world.http).await;
    client.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell").await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    client.write(b"o").await.unwrap();
    assert_eq!(client.read(true).await.unwrap().status, 200);
    let line = world.log.wait(1).await.remove(0);
    // The gateway's clock starts a little after the client's; half the wait is its part at least.
    let (whole_us, backend_us) = (line["duration_us"].as_u64(), line["backend_us"].as_u64());
    assert!(whole_us.unwrap() >= backend_us.unwrap() + 150_000, "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http1::connect(world.http).await;
    let mut burst = String::new();
    for at in 0..20 {
        burst.push_str(&format!(
            "POST /{at}?ms=2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nb{at:02}\
             GET /get/{at} HTTP/1.1\r\nHost: a\r\n\r\n"
        ));
    }
    client.write(burst.as_bytes()).await.unwrap();
    for at in 0..20 {
        let post = client.read(true).await.expect("an answer to the POST");
        assert!(post.body.contains(&format!("POST /{at}?ms=2 ")), "{post:?}");
        assert!(post.body.ends_with(&format!("b{at:02}")), "{post:?}");
        let get = client.read(true).await.expect("an answer to the GET");
        assert!(get.body.contains(&format!("GET /get/{at} ")), "{get:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_arrives_octet_by_octet_is_served() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http1::connect(world.http).await;
    for octet in b"GET /drip HTTP/1.1\r\nHost: a\r\n\r\n" {
        client.write(&[*octet]).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(client.read(true).await.unwrap().first_line(), "one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_is_carried_both_ways() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    // Many times, because Pingora alone loses the race that `origin_io` describes now and then.
    for _ in 0..40 {
        carry(world.http).await;
    }
}

async fn carry(address: std::net::SocketAddr) {
    let mut client = Http1::connect(address).await;
    let request = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let response = client.send(request).await.unwrap();
    assert_eq!(response.status, 101);
    for size in [1, 100, 70_000] {
        // Octets that would be refused anywhere else in a request.
        let frame: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).unwrap()).collect();
        client.write(&frame).await.unwrap();
        assert_eq!(client.exactly(size).await, frame);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_http_10_and_absolute_form_are_served() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http1::connect(world.http).await;
    let response = client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!((response.status, response.body.as_str()), (200, ""));
    let absolute = "GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n";
    let response = client.send(absolute).await.unwrap();
    assert!(response.body.contains("GET /x?y HTTP/1.1\r\n"), "{}", response.body);
    let mut old = Http1::connect(world.http).await;
    let response = old.send("GET /old HTTP/1.0\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!(response.status, 200);
    assert!(old.closed().await, "HTTP/1.0 without keep-alive is closed");
    let hostless = Http1::connect(world.http).await.send("GET / HTTP/1.0\r\n\r\n").await.unwrap();
    let seen = hostless.body.to_ascii_lowercase();
    assert!(seen.contains(&format!("\r\nhost: {}\r\n", origin.address)), "{seen}");
    assert!(!seen.contains("x-forwarded-host"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_counts_requests_backends_and_round_trips() {
    let origin = Origin::start("one").await;
    let config = l7lb::Config { health_interval_ms: 20, ..config() };
    let dead = "127.0.0.1:1".parse().unwrap();
    let world = start(config, &hello(&[origin.address, dead]));
    world.gateway.checked().await;
    world.gateway.checked().await;
    assert!(world.gateway.ready());
    for _ in 0..3 {
        assert_eq!(get(world.http, "a", "/").await.status, 200);
    }
    world.log.wait(3).await;
    let (first, second) = (world.gateway.report(), world.gateway.report());
    assert_eq!(first.site.as_str(), "test");
    assert_eq!(first.boot_id, second.boot_id);
    assert_eq!((first.sequence, second.sequence), (1, 2));
    let [backend] = first.backends.as_slice() else { panic!("{first:?}") };
    assert_eq!(backend.backend.object.to_string(), "default/hello");
    assert_eq!((backend.backend.port, backend.ready, backend.total), (80, 1, 2));
    assert_eq!((first.load.requests_total, first.load.errors_total), (3, 0));
    let [cell] = first.rtt.as_slice() else { panic!("{first:?}") };
    assert_eq!(cell.prefix.to_string(), "127.0.0.0/24");
    assert!(cell.count >= 3 && cell.min_us > 0 && cell.sum_us >= cell.count, "{cell:?}");
}
