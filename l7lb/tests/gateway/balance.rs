//! Endpoints that die, and what clients see of it: nothing.

use std::time::Duration;

use l7lb::Config;

use crate::client::{Http1, get};
use crate::origin::Origin;
use crate::world::{config, hello, start};

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_costs_no_request_and_is_ejected() {
    let alive = Origin::start("alive").await;
    let dead = Origin::start("dead").await.die().await;
    let world = start(config(), &hello(&[dead, alive.address]));
    let mut client = Http1::connect(world.http).await;
    for _ in 0..300 {
        assert_eq!(client.get("a", "/").await.unwrap().first_line(), "alive");
    }
    let lines = world.log.wait(300).await;
    let retried = lines.iter().filter(|line| line["retries"] == 1).count();
    // The failure makes it expensive at once, so it is hardly tried again.
    assert!((1..=3).contains(&retried), "{retried} retries");
    assert_eq!(world.gateway.report().load.errors_total, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_dies_under_load_costs_no_request() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let checks = Config { health_interval_ms: 50, ..config() };
    let world = start(checks, &hello(&[one.address, two.address]));
    let address = world.http;
    let load = |count: usize| {
        tokio::spawn(async move {
            let mut client = Http1::connect(address).await;
            for _ in 0..count {
                let response = client.get("a", "/?ms=1").await.expect("an answer");
                assert_eq!(response.status, 200, "{response:?}");
            }
        })
    };
    let clients: Vec<_> = (0..8).map(|_| load(300)).collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let back = two.die().await;
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(world.gateway.report().load.errors_total, 0);
    // It returns, is seen by the checks, and works again.
    while world.gateway.report().backends[0].ready != 1 {
        world.gateway.checked().await;
    }
    let two = Origin::start_on("two", back).await;
    while world.gateway.report().backends[0].ready != 2 {
        world.gateway.checked().await;
    }
    drop(one);
    for _ in 0..20 {
        if get(world.http, "a", "/").await.first_line() == "two" {
            break;
        }
    }
    assert!(two.hits() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_may_have_had_an_effect_is_not_repeated() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let world = start(config(), &hello(&[one.address, two.address]));
    let mut client = Http1::connect(world.http).await;
    let post = "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
    let response = client.send(post).await.unwrap();
    assert_eq!(response.body, "502 origin-broke\n");
    assert_eq!(one.hits() + two.hits(), 1);
    // GET may be repeated: each origin is tried once.
    let response = get(world.http, "a", "/drop").await;
    assert_eq!(response.body, "502 origin-broke\n");
    assert_eq!(one.hits() + two.hits(), 3);
    assert!(world.log.wait(2).await.iter().all(|line| line["reason"] == "origin-broke"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_budget_bounds_retries() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let world = start(config(), &hello(&[one.address, two.address]));
    for _ in 0..600 {
        assert_eq!(get(world.http, "a", "/drop").await.status, 502);
    }
    // 100 saved, 120 earned by requests, ten a second by time (under 10 s).
    let hits = one.hits() + two.hits();
    assert!((700..=920).contains(&hits), "{hits} attempts of 600 requests");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_only_endpoint_is_used_however_bad_it_looks() {
    let origin = Origin::start("one").await;
    let checks = Config { health_interval_ms: 20, ..config() };
    let world = start(checks, &hello(&[origin.address]));
    for _ in 0..10 {
        assert_eq!(get(world.http, "a", "/503").await.status, 503);
    }
    assert_eq!(get(world.http, "a", "/").await.first_line(), "one");
    let address = origin.die().await;
    while world.gateway.report().backends[0].ready != 0 {
        world.gateway.checked().await;
    }
    assert_eq!(get(world.http, "a", "/").await.body, "502 connect-failed\n");
    let _back = Origin::start_on("one", address).await;
    assert_eq!(get(world.http, "a", "/").await.first_line(), "one");
}
