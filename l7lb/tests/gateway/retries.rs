//! `retry` of a rule (GEP-1731), as HTTPRouteRetry asks it and beyond.

use std::net::SocketAddr;

use model::gateway::Retry;

use crate::client::Http1;
use crate::origin::Origin;
use crate::world::{World, config, routed, rule, start};

fn retrying(endpoint: SocketAddr, retry: Option<Retry>, attempt_ms: Option<u32>) -> World {
    let mut tried = rule("/", "one", vec![]);
    tried.retry = retry;
    tried.backend_timeout_ms = attempt_ms;
    start(config(), &routed(&[("one", endpoint)], vec![tried]))
}

fn retry(codes: &[u16], attempts: u32, backoff_ms: u32) -> Option<Retry> {
    Some(Retry { codes: codes.to_vec(), attempts: Some(attempts), backoff_ms: Some(backoff_ms) })
}

#[tokio::test(flavor = "multi_thread")]
async fn named_statuses_are_tried_again_as_often_as_the_rule_says() {
    let origin = Origin::start("one").await;
    let all = [500, 502, 503, 504];
    // The rule, what fails how often, what the client sees, how many requests the origin.
    let cases: [(&[u16], u32, &str, u16, usize); 9] = [
        (&[500], 3, "/fail/500/2/a", 200, 3),
        (&[500], 3, "/fail/500/4/b", 500, 4),
        (&[500], 3, "/fail/503/2/c", 503, 1),
        (&all, 2, "/fail/500/1/d", 200, 2),
        (&all, 2, "/fail/502/3/e", 502, 3),
        (&all, 2, "/fail/503/1/f", 200, 2),
        (&all, 2, "/fail/504/3/g", 504, 3),
        (&all, 0, "/fail/500/1/h", 500, 1),
        (&all, 2, "/drop", 502, 3),
    ];
    for (codes, attempts, path, status, requests) in cases {
        let world = retrying(origin.address, retry(codes, attempts, 1), None);
        let before = origin.hits();
        let response = Http1::connect(world.http).await.get("a", path).await.unwrap();
        assert_eq!((response.status, origin.hits() - before), (status, requests), "{path}");
        let line = world.log.wait(1).await.remove(0);
        assert_eq!(line["retries"], requests - 1, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_retry_no_answer_is_tried_again() {
    let origin = Origin::start("one").await;
    let world = retrying(origin.address, None, None);
    let response = Http1::connect(world.http).await.get("a", "/fail/500/1/x").await.unwrap();
    assert_eq!((response.status, origin.hits()), (500, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_replayed_up_to_the_limit() {
    let origin = Origin::start("one").await;
    let world = retrying(origin.address, retry(&[503], 2, 1), None);
    let mut client = Http1::connect(world.http).await;
    for (octets, id, status) in [(10, "small", 200), (60_000, "large", 200), (90_000, "big", 503)] {
        let body = "b".repeat(octets);
        let request = format!(
            "POST /fail/503/1/{id} HTTP/1.1\r\nHost: a\r\nContent-Length: {octets}\r\n\r\n{body}"
        );
        let response = client.send(&request).await.unwrap();
        assert_eq!(response.status, status, "{id}");
        assert!(response.body.ends_with(&format!("\r\n\r\n{body}")), "{id}");
    }
    // What broke on the way may have been done: a POST is not sent twice unless an answer said so.
    let before = origin.hits();
    let lost = "POST /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(Http1::connect(world.http).await.send(lost).await.unwrap().status, 502);
    assert_eq!(origin.hits() - before, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_waits_as_long_as_the_rule_says() {
    let origin = Origin::start("one").await;
    let world = retrying(origin.address, retry(&[500], 2, 100), None);
    let response = Http1::connect(world.http).await.get("a", "/fail/500/2/w").await.unwrap();
    assert_eq!(response.status, 200);
    let line = world.log.wait(1).await.remove(0);
    assert!(line["duration_us"].as_u64().unwrap() >= 300_000, "100 ms and 200 ms: {line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_that_took_too_long_is_tried_again_where_the_rule_limits_each() {
    let origin = Origin::start("one").await;
    let world = retrying(origin.address, retry(&[], 1, 1), Some(100));
    let response = Http1::connect(world.http).await.get("a", "/slow?ms=5000").await.unwrap();
    assert_eq!(response.body, "504 origin-timeout\n");
    assert_eq!(origin.wait(2).await.len(), 2);
}
