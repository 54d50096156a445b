//! The server on real sockets: loopback, ports chosen by the system.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use dns::{Config, Server, Spread, StartError};
use model::observe::Verdict;
use model::record::RecordType;
use steering::{Generation, SnapshotCell};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use world::{Ask, healthy, snapshot, text_of, verdicts};

/// Long enough for any machine; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

fn cell() -> Arc<SnapshotCell> {
    Arc::new(SnapshotCell::new(snapshot(healthy())))
}

fn config(listen: &[&str]) -> Config {
    let listen = listen.iter().map(|text| text.parse().expect("an address")).collect();
    Config { listen, workers: Some(2), ..Config::default() }
}

fn over_udp(server: SocketAddr, ask: &Ask) -> String {
    let local = if server.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(local).expect("a socket");
    socket.set_read_timeout(Some(PATIENCE)).expect("a time-out");
    // Connected: an answer from another address than the one asked would not arrive.
    socket.connect(server).expect("connects");
    socket.send(&ask.packet()).expect("sends");
    let mut answer = [0; 4096];
    let octets = socket.recv(&mut answer).expect("an answer");
    text_of(&answer[..octets])
}

fn framed(ask: &Ask) -> Vec<u8> {
    let packet = ask.packet();
    [&u16::try_from(packet.len()).expect("short").to_be_bytes(), packet.as_slice()].concat()
}

async fn read_answer(stream: &mut TcpStream) -> String {
    let octets = stream.read_u16().await.expect("a length");
    let mut answer = vec![0; usize::from(octets)];
    stream.read_exact(&mut answer).await.expect("an answer");
    text_of(&answer)
}

/// Waits until the server closes the connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    let _reset_or_end = read.expect("the server closes it");
}

const HELLO: &str =
    "NOERROR aa\nhello.edge.example. 30 A 198.51.100.2\nedns 1232 ecs=1.2.3.0/24/16";

fn hello() -> Ask {
    Ask::new("hello.edge.example", RecordType::A).subnet("1.2.3.0/24")
}

#[tokio::test(flavor = "multi_thread")]
async fn udp_and_tcp_answer_on_both_families_and_everything_is_counted() {
    let server = Server::start(config(&["127.0.0.1:0", "[::1]:0"]), cell()).expect("starts");
    for &address in server.local_addrs() {
        assert_eq!(over_udp(address, &hello()), HELLO);
        // Too large for UDP, whole over TCP.
        let big = Ask::new("big.edge.example", RecordType::TXT).edns();
        assert_eq!(over_udp(address, &big), "NOERROR aa tc\nedns 1232");
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(&framed(&big)).await.expect("writes");
        let whole = read_answer(&mut stream).await;
        assert_eq!(whole.lines().filter(|line| line.contains(" TXT ")).count(), 26);
    }
    // A worker counts a batch after it has sent it.
    wait_for(|| server.stats().udp.answered() == 4).await;
    let stats = server.stats();
    assert_eq!((stats.udp.answered(), stats.udp.steered(), stats.udp.truncated), (4, 2, 2));
    assert_eq!((stats.udp.with_subnet, stats.udp.unsent, stats.udp.dropped), (2, 0, 0));
    assert_eq!((stats.tcp.answered(), stats.tcp.truncated), (2, 0));
    assert_eq!((stats.views, stats.views_refused, stats.receive_errors), (1, 0, 0));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_worker_and_transport_knows_the_servers_cookies() {
    let server = Server::start(config(&["127.0.0.1:0"]), cell()).expect("starts");
    let address = server.local_addrs()[0];
    let first = over_udp(address, &hello().option(10, b"a client"));
    let (answer, cookie) = first.split_once(" cookie=").expect("a cookie");
    assert_eq!((answer, &cookie[..24]), (HELLO, "6120636c69656e7401000000"));
    let digit = |at: usize| u8::from_str_radix(&cookie[at..at + 2], 16).expect("hex");
    let cookie: Vec<u8> = (0..48).step_by(2).map(digit).collect();
    let known = hello().option(10, &cookie);
    // Other sockets of ours reach other workers.
    for _ in 0..8 {
        assert_eq!(over_udp(address, &known), first);
    }
    let mut stream = TcpStream::connect(address).await.expect("connects");
    stream.write_all(&framed(&known)).await.expect("writes");
    assert_eq!(read_answer(&mut stream).await, first);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_is_answered_however_they_are_spread() {
    for (spread, workers) in [(Spread::Hash, Some(3)), (Spread::Cpu, None), (Spread::Cpu, Some(3))]
    {
        let config = Config { spread, workers, ..config(&["127.0.0.1:0"]) };
        let server = Server::start(config, cell()).expect("starts");
        let address = server.local_addrs()[0];
        let clients: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    (0..25).filter(|_| over_udp(address, &hello().edns()) == HELLO).count()
                })
            })
            .collect();
        let good: usize = clients.into_iter().map(|client| client.join().expect("no panic")).sum();
        assert_eq!(good, 100, "{spread:?} {workers:?}");
        wait_for(|| server.stats().udp.answered() == 100).await;
        server.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_clients_are_told_how_long_they_may_idle_when_they_ask() {
    let mut config = config(&["127.0.0.1:0"]);
    config.tcp.idle = Duration::from_secs(30);
    let server = Server::start(config, cell()).expect("starts");
    let address = server.local_addrs()[0];
    let ask = hello().option(11, b"");
    assert_eq!(over_udp(address, &ask), HELLO, "it means nothing over UDP");
    let mut stream = TcpStream::connect(address).await.expect("connects");
    // A client that says for how long is answered like one that only asks.
    for ask in [ask, hello().option(11, &[0xff, 0xff])] {
        stream.write_all(&framed(&ask)).await.expect("writes");
        assert_eq!(read_answer(&mut stream).await, format!("{HELLO} keepalive=012c"));
    }
    stream.write_all(&framed(&hello())).await.expect("writes");
    assert_eq!(read_answer(&mut stream).await, HELLO, "who does not ask is not told");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_socket_answers_from_the_address_that_was_asked() {
    let server = Server::start(config(&["0.0.0.0:0", "[::]:0"]), cell()).expect("starts");
    let ports: Vec<u16> = server.local_addrs().iter().map(SocketAddr::port).collect();
    for asked in [
        SocketAddr::from(([127, 0, 0, 1], ports[0])),
        SocketAddr::from(([127, 0, 0, 77], ports[0])),
        SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, ports[1])),
    ] {
        assert_eq!(over_udp(asked, &hello()), HELLO);
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tcp_queries_may_come_many_at_once_and_octet_by_octet() {
    let server = Server::start(config(&["127.0.0.1:0"]), cell()).expect("starts");
    let mut stream = TcpStream::connect(server.local_addrs()[0]).await.expect("connects");
    stream.set_nodelay(true).expect("no delay");
    stream.write_all(&framed(&hello()).repeat(100)).await.expect("writes");
    for _ in 0..100 {
        assert_eq!(read_answer(&mut stream).await, HELLO);
    }
    for octet in framed(&hello()) {
        stream.write_all(&[octet]).await.expect("writes");
    }
    assert_eq!(read_answer(&mut stream).await, HELLO);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_longest_frame_is_read_whole_and_answered() {
    let server = Server::start(config(&["127.0.0.1:0"]), cell()).expect("starts");
    let mut stream = TcpStream::connect(server.local_addrs()[0]).await.expect("connects");
    let short = hello().option(12, b"").packet().len();
    let long = hello().option(12, &vec![0; 65_535 - short]);
    assert_eq!(long.packet().len(), 65_535);
    let frames = [framed(&long), framed(&long), framed(&hello())].concat();
    stream.write_all(&frames).await.expect("writes");
    for _ in 0..3 {
        assert_eq!(read_answer(&mut stream).await, HELLO);
    }
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_half_sent_and_senseless_connections_are_cut() {
    let mut config = config(&["127.0.0.1:0"]);
    config.tcp.idle = Duration::from_millis(50);
    config.tcp.frame = Duration::from_millis(50);
    let server = Server::start(config, cell()).expect("starts");
    let address = server.local_addrs()[0];
    let connect = || async { TcpStream::connect(address).await.expect("connects") };
    closed(connect().await).await;
    let mut half = connect().await;
    half.write_all(&framed(&hello())[..20]).await.expect("writes");
    closed(half).await;
    let mut short = connect().await;
    short.write_all(&[0, 3, 1, 2, 3]).await.expect("writes");
    closed(short).await;
    let mut answer = connect().await;
    let mut response = hello();
    response.flags = 0x8000;
    answer.write_all(&framed(&response)).await.expect("writes");
    closed(answer).await;
    assert_eq!(server.stats().tcp_cut, 4);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_is_cut() {
    let mut config = config(&["127.0.0.1:0"]);
    config.tcp.write = Duration::from_millis(50);
    let server = Server::start(config, cell()).expect("starts");
    let mut stream = TcpStream::connect(server.local_addrs()[0]).await.expect("connects");
    let big = framed(&Ask::new("big.edge.example", RecordType::TXT)).repeat(100);
    // Nobody reads the answers, so sooner or later nothing can be written either.
    let wrote =
        tokio::time::timeout(PATIENCE, async { while stream.write_all(&big).await.is_ok() {} });
    wrote.await.expect("the server gives up");
    assert_eq!(server.stats().tcp_cut, 1);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_makes_room() {
    let mut config = config(&["127.0.0.1:0"]);
    config.tcp.connections_max = 1;
    config.tcp.write = PATIENCE * 10;
    let server = Server::start(config, cell()).expect("starts");
    let address = server.local_addrs()[0];
    let mut deaf = TcpStream::connect(address).await.expect("connects");
    let big = framed(&Ask::new("big.edge.example", RecordType::TXT)).repeat(100);
    // Time-outs of both buffers tell that the server is stuck in a write.
    let full = Duration::from_millis(200);
    while tokio::time::timeout(full, deaf.write_all(&big)).await.is_ok() {}
    let mut other = TcpStream::connect(address).await.expect("connects");
    other.write_all(&framed(&hello())).await.expect("writes");
    assert_eq!(read_answer(&mut other).await, HELLO);
    let stats = server.stats();
    assert_eq!((stats.tcp_open, stats.tcp_refused), (1, 0));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_for_each_client() {
    let mut config = config(&["127.0.0.1:0"]);
    config.tcp.connections_per_client_max = 2;
    let server = Server::start(config, cell()).expect("starts");
    let address = server.local_addrs()[0];
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(&framed(&hello())).await.expect("writes");
        assert_eq!(read_answer(&mut stream).await, HELLO);
        held.push(stream);
    }
    // The third took the place of the first.
    closed(held.remove(0)).await;
    let stats = server.stats();
    assert_eq!((stats.tcp_open, stats.tcp_refused, stats.tcp_cut), (2, 0, 1));
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_lets_go_of_who_was_answered_longest_ago() {
    let mut config = config(&["127.0.0.1:0"]);
    config.tcp.connections_max = 2;
    // Only being made to leave ends an idle connection here.
    config.tcp.idle = PATIENCE * 10;
    config.tcp.frame = PATIENCE * 10;
    let server = Server::start(config, cell()).expect("starts");
    let address = server.local_addrs()[0];
    let connect = || async {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(&framed(&hello())).await.expect("writes");
        assert_eq!(read_answer(&mut stream).await, HELLO);
        stream
    };
    let mut first = connect().await;
    let second = TcpStream::connect(address).await.expect("connects");
    wait_for(|| server.stats().tcp_open == 2).await;
    // The second has never asked, and the first asks again: the second idles longer.
    first.write_all(&framed(&hello())).await.expect("writes");
    assert_eq!(read_answer(&mut first).await, HELLO);
    let mut third = connect().await;
    closed(second).await;
    assert_eq!(server.stats().tcp_open, 2);
    // Half a query makes nobody of use: the third asks again, so the first, in the middle of a query,
    // makes room for the fourth.
    first.write_all(&framed(&hello())[..20]).await.expect("writes");
    third.write_all(&framed(&hello())).await.expect("writes");
    assert_eq!(read_answer(&mut third).await, HELLO);
    let _fourth = connect().await;
    closed(first).await;
    let stats = server.stats();
    assert_eq!((stats.tcp_open, stats.tcp_refused), (2, 0));
    third.write_all(&framed(&hello())).await.expect("writes");
    assert_eq!(read_answer(&mut third).await, HELLO);
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_published_snapshot_is_served_and_a_mismatched_one_is_not() {
    let cell = cell();
    let server = Server::start(config(&["127.0.0.1:0"]), Arc::clone(&cell)).expect("starts");
    let address = server.local_addrs()[0];
    let mut next = (*cell.load()).clone();
    next.health = Arc::new(verdicts([Verdict::Up, Verdict::Down, Verdict::Up]));
    next.health_generation.counter += 1;
    assert!(cell.publish(Arc::new(next.clone())));
    wait_for(|| server.stats().views == 2).await;
    let moved = HELLO.replace("198.51.100.2", "198.51.100.1");
    assert_eq!(over_udp(address, &hello()), moved);

    next.policy_generation = Generation { epoch: 0, counter: 8 };
    assert!(cell.publish(Arc::new(next)));
    wait_for(|| server.stats().views_refused == 1).await;
    assert_eq!(over_udp(address, &hello()), moved, "the last good one stays");
    server.shutdown().await;
}

async fn wait_for(held: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !held() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.expect("comes true in time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_named() {
    let first = Server::start(config(&["127.0.0.1:0"]), cell()).expect("starts");
    let taken = first.local_addrs()[0];
    let error = Server::start(config(&[&taken.to_string()]), cell()).expect_err("in use");
    assert!(matches!(error, StartError::InUse { address } if address == taken), "{error}");
    assert_eq!(
        error.to_string(),
        format!("`{taken}` is in use; help: stop what listens there, or choose another port")
    );
    first.shutdown().await;
    // And free again once it has stopped.
    Server::start(config(&[&taken.to_string()]), cell()).expect("starts").shutdown().await;
}

#[test]
fn a_server_needs_an_address_and_a_runtime() {
    let error = Server::start(config(&[]), cell()).expect_err("no address");
    assert!(matches!(error, StartError::NoAddress), "{error}");
    let error = Server::start(config(&["127.0.0.1:0"]), cell()).expect_err("no runtime");
    assert!(matches!(error, StartError::NoRuntime), "{error}");
}
