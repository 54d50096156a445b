//! Reloads and drains lose nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use l7lb::{Config, Limits};
use tokio::net::TcpStream;

use crate::client::{Http1, Http2};
use crate::origin::Origin;
use crate::world::{config, hello, start};

#[tokio::test(flavor = "multi_thread")]
async fn reloads_under_load_lose_nothing() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let worlds = [hello(&[one.address]), hello(&[two.address])];
    let world = start(config(), &worlds[0]);
    let address = world.http;
    let stop = Arc::new(AtomicBool::new(false));
    let client = || {
        let stop = Arc::clone(&stop);
        tokio::spawn(async move {
            let mut client = Http1::connect(address).await;
            let mut answered = 0;
            while !stop.load(Ordering::Relaxed) {
                let response = client.get("a", "/").await.expect("an answer");
                assert_eq!(response.status, 200);
                answered += 1;
            }
            answered
        })
    };
    let clients: Vec<_> = (0..4).map(|_| client()).collect();
    for round in 0..100 {
        assert_eq!(world.gateway.reload(&worlds[(round + 1) % 2]), []);
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    stop.store(true, Ordering::Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert!(one.hits() > 0 && two.hits() > 0);
    assert_eq!(one.hits() + two.hits(), answered);
    assert_eq!(world.gateway.report().load.errors_total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_answers_everything_and_takes_nothing_new() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let address = world.http;
    let answered = Arc::new(AtomicUsize::new(0));
    let client = || {
        let answered = Arc::clone(&answered);
        tokio::spawn(async move {
            let mut client = Http1::connect(address).await;
            loop {
                let Some(response) = client.get("a", "/?ms=5").await else {
                    // A connection may end only after an answer said so.
                    panic!("a request was lost");
                };
                assert_eq!(response.status, 200);
                answered.fetch_add(1, Ordering::SeqCst);
                if response.header("connection") == Some("close") {
                    return;
                }
            }
        })
    };
    let clients: Vec<_> = (0..8).map(|_| client()).collect();
    let mut h2 = Http2::over(TcpStream::connect(address).await.unwrap()).await;
    let stream = tokio::spawn(async move { h2.request("GET", "http://a/?ms=200", &[]).await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    let cut = world.gateway.shutdown(Duration::from_secs(10)).await;
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(stream.await.unwrap().unwrap().status, 200);
    assert_eq!(cut, 0);
    assert_eq!(origin.hits(), answered.load(Ordering::SeqCst) + 1);
    assert!(TcpStream::connect(address).await.is_err(), "the port is closed");
    assert_eq!(world.log.lines().len(), origin.hits(), "the log was written to its end");
}

/// Asks one after the other until the connection takes no more; panics when an answer is cut.
async fn ask_until_goaway(mut sender: h2::client::SendRequest<bytes::Bytes>) -> usize {
    let mut answered = 0;
    loop {
        // A connection that is going away refuses here, before anything is sent.
        let Ok(ready) = sender.ready().await else { return answered };
        sender = ready;
        let request = http::Request::get("http://a/?ms=3").body(()).unwrap();
        let Ok((response, _)) = sender.send_request(request, true) else { return answered };
        let response = match response.await {
            Ok(response) => response,
            // Sent while GOAWAY was on its way: it says that this one was not processed and may be
            // sent again (RFC 9113, section 6.8). That it is so, the origin's count shows.
            Err(error) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => {
                return answered;
            }
            Err(error) => panic!("a request was lost: {error}"),
        };
        let (parts, mut body) = response.into_parts();
        assert_eq!(parts.status, 200);
        while let Some(data) = body.data().await {
            let data = data.expect("an answer was cut");
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        answered += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_http_2_load_loses_nothing() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut clients = Vec::new();
    for _ in 0..4 {
        let socket = TcpStream::connect(world.http).await.unwrap();
        let (sender, connection) = h2::client::handshake(socket).await.unwrap();
        tokio::spawn(connection);
        clients.extend((0..8).map(|_| tokio::spawn(ask_until_goaway(sender.clone()))));
    }
    while origin.hits() < 200 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.gateway.shutdown(Duration::from_secs(10)).await, 0);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert_eq!(origin.hits(), answered);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_and_tunnels_cut_at_the_deadline() {
    let origin = Origin::start("one").await;
    let limits = Limits { drain_grace_ms: 20, ..Limits::default() };
    let world = start(Config { limits, ..config() }, &hello(&[origin.address]));
    let mut idle = Http1::connect(world.http).await;
    assert_eq!(idle.get("a", "/").await.unwrap().status, 200);
    let mut tunnel = Http1::connect(world.http).await;
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    assert_eq!(tunnel.send(upgrade).await.unwrap().status, 101);
    let drain = tokio::spawn(world.gateway.shutdown(Duration::from_millis(300)));
    assert!(idle.closed().await);
    // The tunnel works until the deadline.
    tunnel.write(b"still here").await.unwrap();
    assert_eq!(tunnel.exactly(10).await, b"still here");
    assert_eq!(drain.await.unwrap(), 1);
    assert!(tunnel.closed().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_an_error_that_names_it() {
    let world = start(config(), &hello(&[]));
    let again = Config { http: vec![world.http], ..config() };
    let error = l7lb::Gateway::start(again, &hello(&[])).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot listen on `{}`", world.http));
}
