//! TCPRoute and TLSRoute: octets to backends and back.

use std::collections::BTreeMap;

use model::gateway::ProxyProtocol;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn octets_go_both_ways_and_each_side_ends_by_itself() {
    let one = backend("one").await;
    let world = World::start(&[&[one]]);
    let address = world.serve_one(Wire::Tcp, Plan::Stream(to(&[(0, 1)])));
    // The client's end arrives before the backend's last words leave.
    assert_eq!(talk(address, b" and back ").await, "one and back bye");
    let line = world.lines(1).await.remove(0);
    assert_eq!(line["reason"], "forwarded");
    assert_eq!(line["scheme"], "tcp");
    assert_eq!(line["protocol"], "TCP");
    assert_eq!(line["route"], "TCPRoute/default/test#0");
    assert_eq!(line["endpoint"], one.to_string());
    assert_eq!(line["body_octets"], "one and back bye".len());
}

#[tokio::test(flavor = "multi_thread")]
async fn much_is_carried_whole() {
    let one = backend("").await;
    let world = World::start(&[&[one]]);
    let address = world.serve_one(Wire::Tcp, Plan::Stream(to(&[(0, 1)])));
    let (mut read, mut write) = TcpStream::connect(address).await.unwrap().into_split();
    let sent: Vec<u8> = (0..4_000_000_u32).map(|at| (at % 251) as u8).collect();
    let mut expected = sent.clone();
    expected.extend(b"bye");
    let writing = tokio::spawn(async move {
        write.write_all(&sent).await.unwrap();
        write.shutdown().await.unwrap();
    });
    let mut received = Vec::new();
    timeout(PATIENCE, read.read_to_end(&mut received)).await.unwrap().unwrap();
    writing.await.unwrap();
    assert!(received == expected, "{} octets came back", received.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_divided_by_weight() {
    let (one, two) = (backend("one").await, backend("two").await);
    let world = World::start(&[&[one], &[two]]);
    let address = world.serve_one(Wire::Tcp, Plan::Stream(to(&[(0, 3), (1, 1)])));
    let mut counts = BTreeMap::<String, usize>::new();
    for _ in 0..200 {
        *counts.entry(talk(address, b"").await).or_default() += 1;
    }
    // 200 draws at 3/4: five standard deviations are 31.
    let ones = counts["onebye"];
    assert!((119..=181).contains(&ones), "{counts:?}");
    assert_eq!(ones + counts["twobye"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_refuses_costs_the_client_nothing() {
    let (one, gone) = (backend("one").await, nobody().await);
    let world = World::start(&[&[gone, one]]);
    let address = world.serve_one(Wire::Tcp, Plan::Stream(to(&[(0, 1)])));
    for _ in 0..10 {
        assert_eq!(talk(address, b"").await, "onebye");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_have_no_backend_has_its_reason() {
    let gone = nobody().await;
    let world = World::start(&[&[gone], &[]]);
    let plans = [None, to(&[(0, 1)]), to(&[(1, 1)]), to(&[(7, 1)])];
    let reasons = ["no-route", "connect-failed", "no-endpoints", "bad-backend"];
    for (at, (plan, reason)) in plans.into_iter().zip(reasons).enumerate() {
        let address = world.serve_one(Wire::Tcp, Plan::Stream(plan));
        assert_eq!(talk(address, b"").await, "");
        assert_eq!(world.lines(at + 1).await[at]["reason"], reason);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_ends_a_stream_and_words_keep_it() {
    let one = backend("one").await;
    let limits = Limits { stream_idle_ms: 400, ..Limits::default() };
    let world = World::start_with(&[&[one]], limits, None);
    let address = world.serve_one(Wire::Tcp, Plan::Stream(to(&[(0, 1)])));
    let mut socket = TcpStream::connect(address).await.unwrap();
    assert_eq!(hear(&mut socket, 3).await, "one");
    let begun = tokio::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(800) {
        socket.write_all(b".").await.unwrap();
        assert_eq!(hear(&mut socket, 1).await, ".");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_closed(&mut socket).await);
    assert_eq!(world.lines(1).await[0]["reason"], "idle-timeout");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_is_told_of_the_client_where_it_wants_to_know() {
    let one = backend("").await;
    let mut world = World::start(&[&[one]]);
    for (version, begins) in [
        (ProxyProtocol::V1, "PROXY TCP4 127.0.0.1 127.0.0.1 "),
        (ProxyProtocol::V2, "\r\n\r\n\0\r\nQUIT\n!"),
    ] {
        world.objects.services[0].proxy_protocol = Some(version);
        let address = world.serve_one(Wire::Tcp, Plan::Stream(to(&[(0, 1)])));
        let mut socket = TcpStream::connect(address).await.unwrap();
        let client = socket.local_addr().unwrap();
        socket.write_all(b"words").await.unwrap();
        socket.shutdown().await.unwrap();
        let mut echoed = Vec::new();
        timeout(PATIENCE, socket.read_to_end(&mut echoed)).await.unwrap().unwrap();
        assert!(echoed.starts_with(begins.as_bytes()), "{echoed:?}");
        let header = crate::proxy_protocol::read(&echoed).unwrap().unwrap();
        let ends = header.ends.unwrap();
        assert_eq!((ends.source, ends.destination), (client, address));
        assert_eq!(&echoed[header.octets..], b"wordsbye");
    }
    let lines = world.lines(2).await;
    assert_eq!(lines.len(), 2);
}
