//! UDPRoute: flows of datagrams.

use std::collections::BTreeSet;

use tokio::net::UdpSocket;

use super::*;

/// Answers every datagram with its name, the datagram and the sender's port.
async fn udp_backend(name: &'static str) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut space = vec![0; 65_536];
        loop {
            let (count, client) = socket.recv_from(&mut space).await.unwrap();
            let answer = [name.as_bytes(), &space[..count]].concat();
            let _ = socket.send_to(&answer, client).await;
        }
    });
    address
}

/// A client that only hears the address it speaks to.
async fn client(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind((address.ip(), 0)).await.unwrap();
    socket.connect(address).await.unwrap();
    socket
}

async fn ask(socket: &UdpSocket, words: &[u8]) -> Vec<u8> {
    let mut space = vec![0; 65_536];
    socket.send(words).await.unwrap();
    let count = timeout(PATIENCE, socket.recv(&mut space)).await.unwrap().unwrap();
    space.truncate(count);
    space
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_keeps_its_endpoint_and_clients_are_divided() {
    let (one, two) = (udp_backend("1").await, udp_backend("2").await);
    let world = World::start(&[&[one], &[two]]);
    let address = world.serve_one(Wire::Udp, Plan::Stream(to(&[(0, 1), (1, 1)])));
    let mut names = BTreeSet::new();
    for _ in 0..40 {
        let client = client(address).await;
        let first = ask(&client, b"a").await;
        for _ in 0..5 {
            assert_eq!(ask(&client, b"a").await, first);
        }
        names.insert(first);
    }
    assert_eq!(names, BTreeSet::from([b"1a".to_vec(), b"2a".to_vec()]));
    // Datagrams of every size, the empty one among them.
    let client = client(address).await;
    for size in [0, 1, 1_500, 60_000] {
        assert_eq!(ask(&client, &vec![b'x'; size]).await.len(), size + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_from_the_address_that_was_asked() {
    let one = udp_backend("1").await;
    let world = World::start(&[&[one]]);
    let place = Place::Own("0.0.0.0:0".parse().unwrap(), Wire::Udp);
    world.serve([(place, Plan::Stream(to(&[(0, 1)])))]);
    let port = world.address(place).port();
    for ip in ["127.0.0.1", "127.0.0.2", "127.3.2.1"] {
        let client = client(SocketAddr::new(ip.parse().unwrap(), port)).await;
        assert_eq!(ask(&client, b"a").await, b"1a", "{ip}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_flow_is_forgotten_and_logged() {
    let one = udp_backend("1").await;
    let limits = Limits { flow_idle_ms: 100, ..Limits::default() };
    let world = World::start_with(&[&[one]], limits, None);
    let address = world.serve_one(Wire::Udp, Plan::Stream(to(&[(0, 1)])));
    let client = client(address).await;
    assert_eq!(ask(&client, b"abc").await, b"1abc");
    let line = world.lines(1).await.remove(0);
    assert_eq!((&line["scheme"], &line["reason"]), (&"udp".into(), &"forwarded".into()));
    assert_eq!(line["body_octets"], 4);
    assert_eq!(line["endpoint"], one.to_string());
    assert_eq!(ask(&client, b"abc").await, b"1abc", "a new flow begins");
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_have_a_most_and_those_that_are_stay() {
    let one = udp_backend("1").await;
    let limits = Limits { flows_max: 1, ..Limits::default() };
    let world = World::start_with(&[&[one]], limits, None);
    let address = world.serve_one(Wire::Udp, Plan::Stream(to(&[(0, 1)])));
    let (kept, late) = (client(address).await, client(address).await);
    assert_eq!(ask(&kept, b"a").await, b"1a");
    late.send(b"a").await.unwrap();
    assert_eq!(world.lines(1).await[0]["reason"], "too-many-flows");
    assert_eq!(ask(&kept, b"a").await, b"1a");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flow_moves_when_its_endpoint_is_gone() {
    let (one, two) = (udp_backend("1").await, udp_backend("2").await);
    let mut world = World::start(&[&[one]]);
    let place = Place::Own("127.0.0.1:0".parse().unwrap(), Wire::Udp);
    world.serve([(place, Plan::Stream(to(&[(0, 1)])))]);
    let client = client(world.address(place)).await;
    assert_eq!(ask(&client, b"a").await, b"1a");
    world.objects = GatewayObjects::default();
    add_service(&mut world.objects, "s0", &[two]);
    world.serve([(place, Plan::Stream(to(&[(0, 1)])))]);
    assert_eq!(ask(&client, b"a").await, b"2a");
}
