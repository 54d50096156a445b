//! Session persistence: a client keeps its endpoint while that is there.

use std::collections::HashSet;
use std::net::SocketAddr;

use model::gateway::{GatewayObjects, SessionCarrier, SessionPersistence};

use crate::client::Http1;
use crate::origin::Origin;
use crate::world::{add_service, config, routed, rule, start};

fn kept(carrier: SessionCarrier, endpoints: &[SocketAddr]) -> GatewayObjects {
    let mut kept = rule("/", "many", vec![]);
    kept.session = Some(SessionPersistence {
        name: Some("stay".into()),
        carrier,
        absolute_timeout_s: None,
        idle_timeout_s: None,
    });
    let mut objects = routed(&[], vec![kept]);
    add_service(&mut objects, "many", endpoints);
    objects
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cookie_keeps_a_client_at_its_endpoint_until_that_is_gone() {
    let mut origins = Vec::new();
    for name in ["one", "two", "three", "four"] {
        origins.push(Origin::start(name).await);
    }
    let all: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let world = start(config(), &kept(SessionCarrier::SessionCookie, &all));
    let mut client = Http1::connect(world.http).await;
    let mut homes = HashSet::new();
    let mut last = (String::new(), String::new());
    for _ in 0..20 {
        let first = client.get("a", "/").await.unwrap();
        let cookie = first.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
        let home = first.first_line().to_owned();
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: x=1; {cookie}\r\n\r\n");
        for _ in 0..5 {
            let again = client.send(&request).await.unwrap();
            assert_eq!(again.first_line(), home);
            assert_eq!(again.header("set-cookie"), None, "nothing new, nothing said");
        }
        homes.insert(home.clone());
        last = (cookie, home);
    }
    assert!(homes.len() > 1, "{homes:?}");
    // The endpoint leaves: the client gets a new one and is told.
    let (cookie, home) = last;
    let names = ["one", "two", "three", "four"];
    let left = all.iter().zip(names).filter(|(_, name)| *name != home).map(|(address, _)| *address);
    let left: Vec<_> = left.collect();
    world.gateway.reload(&kept(SessionCarrier::SessionCookie, &left));
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n");
    let moved = client.send(&request).await.unwrap();
    assert_ne!(moved.first_line(), home);
    assert!(moved.header("set-cookie").is_some());
    // It comes back: the old cookie still names it, because the key outlives the view.
    world.gateway.reload(&kept(SessionCarrier::SessionCookie, &all));
    assert_eq!(client.send(&request).await.unwrap().first_line(), home);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_keeps_a_client_too_and_a_forged_one_does_not() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let world = start(config(), &kept(SessionCarrier::Header, &[one.address, two.address]));
    let mut client = Http1::connect(world.http).await;
    let first = client.get("a", "/").await.unwrap();
    let token = first.header("stay").unwrap().to_owned();
    let request = format!("GET / HTTP/1.1\r\nHost: a\r\nStay: {token}\r\n\r\n");
    for _ in 0..10 {
        let again = client.send(&request).await.unwrap();
        assert_eq!((again.first_line(), again.header("stay")), (first.first_line(), None));
    }
    let forged = client.send(&request.replace(&token, "AAAA")).await.unwrap();
    assert!(forged.header("stay").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_with_the_same_secrets_keep_each_others_sessions() {
    let mut origins = Vec::new();
    for name in ["one", "two", "three", "four"] {
        origins.push(Origin::start(name).await);
    }
    let all: Vec<_> = origins.iter().map(|origin| origin.address).collect();
    let node = |secret: &str| {
        let ticket_secrets = Some(l7lb::TicketSecrets::parse(&secret.repeat(32)).unwrap());
        let config = l7lb::Config { ticket_secrets, ..config() };
        start(config, &kept(SessionCarrier::Header, &all))
    };
    let (here, there, stranger) = (node("a"), node("a"), node("b"));
    for _ in 0..8 {
        let first = Http1::connect(here.http).await.get("a", "/").await.unwrap();
        let token = first.header("stay").unwrap();
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\nStay: {token}\r\n\r\n");
        let again = Http1::connect(there.http).await.send(&request).await.unwrap();
        assert_eq!((again.first_line(), again.header("stay")), (first.first_line(), None));
        let other = Http1::connect(stranger.http).await.send(&request).await.unwrap();
        assert!(other.header("stay").is_some(), "a session of its own");
    }
}
