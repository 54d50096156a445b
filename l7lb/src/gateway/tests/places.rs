//! Sockets come and go with the documents.

use model::document::SourceFile;
use model::gateway::ObjectKind;

use super::*;

fn own(address: &str, wire: Wire) -> Place {
    Place::Own(address.parse().unwrap(), wire)
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_open_stay_and_close() {
    let one = backend("one").await;
    let limits = Limits { drain_grace_ms: 10, closed_socket_ms: 300, ..Limits::default() };
    let world = World::start_with(&[&[one]], limits, None);
    assert_eq!(world.gateway.places(), BTreeMap::new());
    let (a, b) = (own("127.0.0.1:0", Wire::Tcp), own("127.0.0.2:0", Wire::Tcp));
    let plan = || Plan::Stream(to(&[(0, 1)]));
    world.serve([(a, plan()), (b, plan())]);
    let (at_a, at_b) = (world.address(a), world.address(b));
    assert_eq!(talk(at_a, b" hi ").await, "one hi bye");
    let mut staying = TcpStream::connect(at_b).await.unwrap();
    assert_eq!(hear(&mut staying, 3).await, "one");
    let mut leaving = TcpStream::connect(at_a).await.unwrap();
    assert_eq!(hear(&mut leaving, 3).await, "one");
    // `a` goes: it refuses, its tunnel works on until the deadline, `b` is not touched.
    world.serve([(b, plan())]);
    assert_eq!(world.gateway.places().len(), 1);
    assert_eq!(world.address(b), at_b);
    let mut refused = false;
    for _ in 0..500 {
        refused = TcpStream::connect(at_a).await.is_err();
        if refused {
            break;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(refused, "the socket is closed");
    leaving.write_all(b"on").await.unwrap();
    assert_eq!(hear(&mut leaving, 2).await, "on");
    assert!(is_closed(&mut leaving).await, "cut at the deadline");
    staying.write_all(b"still").await.unwrap();
    assert_eq!(hear(&mut staying, 5).await, "still");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_stays_when_something_else_is_spoken_there() {
    let one = backend("one").await;
    let world = World::start(&[&[one]]);
    let (tcp, tls) = (own("127.0.0.1:0", Wire::Tcp), own("127.0.0.1:0", Wire::Tls));
    world.serve([(tcp, Plan::Stream(to(&[(0, 1)])))]);
    let address = world.address(tcp);
    let mut tunnel = TcpStream::connect(address).await.unwrap();
    assert_eq!(hear(&mut tunnel, 3).await, "one");
    world.serve([(tls, Plan::Tls(crate::socket::TlsPlan::default()))]);
    assert_eq!(world.address(tls), address);
    let mut hello = TcpStream::connect(address).await.unwrap();
    hello.write_all(b"not a hello").await.unwrap();
    assert!(is_closed(&mut hello).await);
    tunnel.write_all(b"on").await.unwrap();
    assert_eq!(hear(&mut tunnel, 2).await, "on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_said_and_tried_again() {
    let one = backend("one").await;
    let world = World::start(&[&[one]]);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let place = Place::Own(taken.local_addr().unwrap(), Wire::Tcp);
    let free = own("127.0.0.1:0", Wire::Tcp);
    let plan = || Plan::Stream(to(&[(0, 1)]));
    world.serve([(place, plan()), (free, plan())]);
    let PlaceState::Failed(why) = &world.gateway.places()[&place] else { panic!("not taken") };
    assert!(why.starts_with("Address already in use"), "{why}");
    assert_eq!(talk(world.address(free), b"").await, "onebye", "others are not held up");
    let address = taken.local_addr().unwrap();
    drop(taken);
    let open = PlaceState::Open(address);
    for _ in 0..1_000 {
        if world.gateway.places()[&place] == open {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.gateway.places()[&place], open);
    assert_eq!(talk(address, b"").await, "onebye");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_closes_own_sockets_too_and_opens_none() {
    let one = backend("one").await;
    let world = World::start(&[&[one]]);
    let address = world.serve_one(Wire::Tcp, Plan::Stream(to(&[(0, 1)])));
    let mut tunnel = TcpStream::connect(address).await.unwrap();
    assert_eq!(hear(&mut tunnel, 3).await, "one");
    assert_eq!(world.gateway.shutdown(Duration::from_millis(100)).await, 1);
    assert!(is_closed(&mut tunnel).await);
    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_are_taken_over_and_what_nobody_wants_is_closed() {
    let (one, two) = (backend("one").await, backend("two").await);
    let before = World::start(&[&[one]]);
    let (a, b) = (own("127.0.0.1:0", Wire::Tcp), own("127.0.0.2:0", Wire::Tcp));
    let udp = own("127.0.0.1:0", Wire::Udp);
    let plan = || Plan::Stream(to(&[(0, 1)]));
    before.serve([(a, plan()), (b, plan()), (udp, plan())]);
    let (at_a, at_b) = (before.address(a), before.address(b));
    let at_udp = before.address(udp);
    let sockets = before.gateway.duplicate_sockets().unwrap();
    let inherited = Inherited::new(sockets);
    assert_eq!(inherited.len(), 3);
    let after = World::start(&[&[two]]);
    after.gateway.sockets.inherit(inherited);
    let place = |address, wire| Place::Own(address, wire);
    after.serve([(place(at_a, Wire::Tcp), plan()), (place(at_udp, Wire::Udp), plan())]);
    assert_eq!(after.address(place(at_a, Wire::Tcp)), at_a);
    assert_eq!(after.address(place(at_udp, Wire::Udp)), at_udp);
    assert_eq!(before.gateway.shutdown(Duration::from_millis(100)).await, 0);
    for _ in 0..20 {
        assert_eq!(talk(at_a, b"").await, "twobye");
    }
    assert!(TcpStream::connect(at_b).await.is_err(), "nobody asked for it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_address_is_in_the_listeners_status_until_it_is_free() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let port = address.port();
    let text = format!(
        "apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {{name: g, namespace: n}}\n\
         spec: {{gatewayClassName: any, listeners: [{{name: raw, port: {port}, protocol: TCP}}]}}\n"
    );
    let file = SourceFile { path: "t.yaml".into(), text: text.into() };
    let objects = model::document::load(&[file]).unwrap().gateway;
    let config = Config {
        http: vec!["127.0.0.1:0".parse().unwrap()],
        ..Config::new(SiteName::new("test").unwrap())
    };
    let gateway = Gateway::start(config, &objects).unwrap();
    let mut changed = gateway.places_changed();
    let programmed = |at: &str| {
        let all = gateway.statuses();
        let told = all.iter().find(|one| one.kind() == ObjectKind::Gateway).unwrap().render();
        let conditions = told.status.pointer(at).unwrap().as_array().unwrap().clone();
        let one = conditions.iter().find(|one| one["type"] == "Programmed").unwrap();
        let text = |key: &str| one[key].as_str().unwrap().to_owned();
        (text("status"), text("reason"), text("message"))
    };
    let (status, reason, message) = programmed("/listeners/0/conditions");
    assert_eq!((&*status, &*reason), ("False", "Invalid"));
    assert!(message.starts_with(&format!("cannot listen on `{address}`: ")), "{message}");
    let (status, reason, message) = programmed("/conditions");
    assert_eq!((&*status, &*reason, &*message), ("False", "Invalid", "no listener can be opened"));
    drop(taken);
    timeout(PATIENCE, changed.changed()).await.unwrap().unwrap();
    let yes = ("True".to_owned(), "Programmed".to_owned(), String::new());
    assert_eq!(
        (programmed("/listeners/0/conditions"), programmed("/conditions")),
        (yes.clone(), yes)
    );
}
