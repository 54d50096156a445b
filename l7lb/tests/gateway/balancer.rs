//! Behind a balancer that sends PROXY headers.

use l7lb::{Config, Gateway};
use model::gateway::ProxyProtocol;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Http1, raw};
use crate::origin::Origin;
use crate::world::{World, config, exact, hello, ingress_tls, secret, start};

fn behind(config: Config, networks: &[&str]) -> Config {
    let proxy_protocol_from = networks.iter().map(|network| network.parse().unwrap()).collect();
    Config { proxy_protocol_from, ..config }
}

/// A version 2 header for this client.
fn header(client: [u8; 4]) -> Vec<u8> {
    let mut octets = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0f".to_vec();
    octets.extend(client);
    octets.extend([198, 51, 100, 2, 0xc3, 0x50, 1, 0xbb]);
    // A type-length-value of nothing.
    octets.extend([4, 0, 0]);
    octets
}

fn samples(gateway: &Gateway) -> u64 {
    gateway.report().rtt.iter().map(|cell| cell.count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_is_whom_the_header_names_and_its_round_trip_is_unknown() {
    let origin = Origin::start("one").await;
    let world: World = start(behind(config(), &["127.0.0.0/8"]), &hello(&[origin.address]));
    for version in
        [b"PROXY TCP4 192.0.2.7 198.51.100.2 50000 80\r\n".to_vec(), header([192, 0, 2, 7])]
    {
        let mut socket = TcpStream::connect(world.http).await.unwrap();
        socket.write_all(&version).await.unwrap();
        let mut client = Http1::over(socket);
        for _ in 0..2 {
            let response = client.get("a.example", "/").await.unwrap();
            assert!(response.body.contains("\r\nx-forwarded-for: 192.0.2.7\r\n"), "{response:?}");
        }
    }
    let lines = world.log.wait(4).await;
    assert!(lines.iter().all(|line| line["client"] == "192.0.2.7"), "{lines:?}");
    assert_eq!(samples(&world.gateway), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_comes_before_tls() {
    let origin = Origin::start("one").await;
    let mut objects = hello(&[origin.address]);
    let (one, der) = secret("one", &["a.example"]);
    objects.secrets.insert(one);
    objects.ingresses[0].tls = vec![ingress_tls(vec![exact("a.example")], "one")];
    let https = vec!["127.0.0.1:0".parse().unwrap()];
    let world = start(behind(Config { https, ..config() }, &["127.0.0.1/32"]), &objects);
    let mut socket = TcpStream::connect(world.gateway.https_addresses()[0]).await.unwrap();
    socket.write_all(&header([192, 0, 2, 7])).await.unwrap();
    let stream = crate::tls::secure(socket, "a.example", &[der], &[]).await.unwrap();
    let response = Http1::over(stream).get("a.example", "/").await.unwrap();
    assert!(response.body.contains("\r\nx-forwarded-for: 192.0.2.7\r\n"), "{response:?}");
    assert!(response.body.contains("\r\nx-forwarded-proto: https\r\n"), "{response:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_balancer_without_a_header_and_a_header_without_a_balancer_are_refused() {
    let origin = Origin::start("one").await;
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let line = "PROXY TCP4 192.0.2.7 198.51.100.2 50000 80\r\n";
    let inside = start(behind(config(), &["127.0.0.1/32"]), &hello(&[origin.address]));
    assert_eq!(raw(inside.http, request.as_bytes()).await, "");
    assert_eq!(raw(inside.http, format!("PROXY TCP4 nobody\r\n{request}").as_bytes()).await, "");
    let outside = start(behind(config(), &["192.0.2.0/24"]), &hello(&[origin.address]));
    let answer = raw(outside.http, format!("{line}{request}").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    assert_eq!(origin.hits(), 0);
    // The balancer's own check.
    let answer = raw(inside.http, format!("PROXY UNKNOWN\r\n{request}").as_bytes()).await;
    assert!(answer.contains("\r\nx-forwarded-for: 127.0.0.1\r\n"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_that_never_ends_is_cut() {
    let limits = l7lb::Limits { head_deadline_ms: 100, ..l7lb::Limits::default() };
    let world = start(behind(Config { limits, ..config() }, &["127.0.0.1/32"]), &hello(&[]));
    assert_eq!(raw(world.http, b"PROXY TCP4 192.0.2.7").await, "");
    assert_eq!(raw(world.http, b"").await, "");
}

/// An origin that answers each request with the first line of its connection, which is not HTTP.
async fn telling() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut lines = BufReader::new(socket).lines();
                let told = lines.next_line().await.unwrap().unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    if line.is_empty() {
                        let length = told.len();
                        let answer =
                            format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{told}");
                        lines.get_mut().write_all(answer.as_bytes()).await.unwrap();
                    }
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_is_told_of_each_client_on_connections_of_its_own() {
    let mut objects = hello(&[telling().await]);
    objects.services[0].proxy_protocol = Some(ProxyProtocol::V1);
    let world = start(config(), &objects);
    let mut clients = Vec::new();
    for _ in 0..3 {
        let socket = TcpStream::connect(world.http).await.unwrap();
        let (client, gateway) = (socket.local_addr().unwrap(), world.http);
        let told = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}", client.port(), gateway.port());
        clients.push((Http1::over(socket), told));
    }
    // In turns: a connection kept for one client is never another's.
    for _ in 0..3 {
        for (client, told) in &mut clients {
            assert_eq!(client.get("a", "/").await.unwrap().body, *told);
        }
    }
}
