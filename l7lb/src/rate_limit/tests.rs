use http::{HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const SECOND: u64 = 1_000_000;

fn buckets(requests: u32, per_ms: u32, burst: u32, key: RateKey) -> Buckets {
    Buckets::new(&RateLimit { requests, per_ms, burst, key })
}

fn take(buckets: &Buckets, client: &str, now_us: u64) -> Result<(), Limited> {
    buckets.take(client.parse().unwrap(), &HeaderMap::new(), now_us)
}

#[test]
fn the_burst_passes_and_then_the_rate() {
    let limit = buckets(2, 1_000, 3, RateKey::Address);
    // One that is due and three ahead of their time.
    for _ in 0..4 {
        assert_eq!(take(&limit, "192.0.2.1", SECOND), Ok(()));
    }
    let refused = Err(Limited { limit: 2, retry_after_s: 1 });
    assert_eq!(take(&limit, "192.0.2.1", SECOND), refused);
    assert_eq!(take(&limit, "192.0.2.2", SECOND), Ok(()), "others have buckets of their own");
    assert_eq!(take(&limit, "192.0.2.1", SECOND * 3 / 2), Ok(()), "half a second, one token");
    assert_eq!(take(&limit, "192.0.2.1", SECOND * 3 / 2), refused);
    for _ in 0..4 {
        assert_eq!(take(&limit, "192.0.2.1", 100 * SECOND), Ok(()), "no more than full");
    }
    assert_eq!(take(&limit, "192.0.2.1", 100 * SECOND), refused);
}

#[test]
fn ipv6_clients_are_their_64() {
    let limit = buckets(1, 60_000, 0, RateKey::Address);
    assert_eq!(take(&limit, "2001:db8::1", SECOND), Ok(()));
    assert_eq!(
        take(&limit, "2001:db8::ffff", SECOND),
        Err(Limited { limit: 1, retry_after_s: 60 })
    );
    assert_eq!(take(&limit, "2001:db8:0:1::1", SECOND), Ok(()));
    assert_eq!(take(&limit, "192.0.2.1", SECOND), Ok(()));
    assert!(take(&limit, "::ffff:192.0.2.1", SECOND).is_err());
}

#[test]
fn headers_are_keys_and_their_absence_is_one() {
    let limit = buckets(1, 1_000, 0, RateKey::Header("x-user".into()));
    let client = "192.0.2.1".parse().unwrap();
    let named = |value: &'static str| {
        HeaderMap::from_iter([(HeaderName::from_static("x-user"), HeaderValue::from_static(value))])
    };
    for headers in [named("a"), named("b"), named(""), HeaderMap::new()] {
        assert_eq!(limit.take(client, &headers, SECOND), Ok(()), "{headers:?}");
        assert!(limit.take(client, &headers, SECOND).is_err(), "{headers:?}");
    }
}

#[test]
fn a_flood_of_keys_stays_within_the_table() {
    let limit = buckets(1, 3_600_000, 0, RateKey::Address);
    for client in 0..200_000_u32 {
        let _ = limit.take(IpAddr::V4(client.into()), &HeaderMap::new(), SECOND);
    }
    for shard in &limit.shards {
        assert!(shard.lock().unwrap().len() <= KEYS_MAX);
    }
    // What is over is forgotten first, so that a live key stays.
    let live = buckets(1, 1_000, 0, RateKey::Address);
    for client in 0..60_000_u32 {
        let _ = live.take(IpAddr::V4(client.into()), &HeaderMap::new(), SECOND);
    }
    assert_eq!(take(&live, "203.0.113.1", 10 * SECOND), Ok(()));
    for client in 0..20_000_u32 {
        let _ = live.take(IpAddr::V4(client.into()), &HeaderMap::new(), 10 * SECOND + 1);
    }
    assert!(take(&live, "203.0.113.1", 10 * SECOND + 2).is_err());
}

#[test]
fn zero_requests_is_nobody() {
    let limit = buckets(0, 1_000, 100, RateKey::All);
    assert_eq!(take(&limit, "192.0.2.1", 1), Err(Limited { limit: 0, retry_after_s: 60 }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_window_passes_more_than_rate_and_burst(
        requests in 1_u32..100, burst in 0_u32..50, steps in prop::collection::vec(0_u64..50_000, 200),
    ) {
        let limit = buckets(requests, 1_000, burst, RateKey::All);
        let mut now = SECOND;
        let passed: Vec<u64> = steps
            .into_iter()
            .filter_map(|step| {
                now += step;
                take(&limit, "192.0.2.1", now).is_ok().then_some(now)
            })
            .collect();
        for (at, first) in passed.iter().enumerate() {
            let within = passed[at..].iter().filter(|time| **time < first + SECOND).count();
            prop_assert!(within as u64 <= u64::from(requests) + u64::from(burst) + 1, "{}", within);
        }
    }
}
