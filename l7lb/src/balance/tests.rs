//! Who is chosen.

use super::*;
use crate::endpoint::{Connected, Outcome};

fn endpoints(count: u16) -> Vec<Arc<Endpoint>> {
    let address = |at| SocketAddr::from(([127, 0, 0, 1], 1000 + at));
    (0..count).map(|at| Arc::new(Endpoint::new(address(at)))).collect()
}

/// A reproducible stream of randomness (splitmix64).
fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

fn shares(endpoints: &[Arc<Endpoint>], tried: &[SocketAddr], now: Millis) -> Vec<u32> {
    let mut counts = vec![0; endpoints.len()];
    let mut seed = 42;
    for _ in 0..1_000 {
        if let Some(chosen) = pick(endpoints, tried, now, random(&mut seed)) {
            counts[usize::from(chosen.address.port() - 1000)] += 1;
        }
    }
    counts
}

#[test]
fn nothing_is_chosen_from_nothing() {
    assert!(pick(&[], &[], 1, 7).is_none());
}

#[test]
fn equals_share_evenly() {
    let all = endpoints(4);
    for one in &all {
        one.observe(Outcome::Answered(1_000), 1);
    }
    for count in shares(&all, &[], 1) {
        assert!((180..=330).contains(&count), "{count}");
    }
}

#[test]
fn a_slow_one_of_ten_gets_hardly_anything() {
    let all = endpoints(10);
    for (at, one) in all.iter().enumerate() {
        one.observe(Outcome::Answered(if at == 3 { 10_000 } else { 1_000 }), 1);
    }
    let counts = shares(&all, &[], 1);
    // It is chosen only when both choices fall on it, which two distinct places never do.
    assert_eq!(counts[3], 0);
}

#[test]
fn requests_under_way_count() {
    let all = endpoints(2);
    for one in &all {
        one.observe(Outcome::Answered(1_000), 1);
    }
    let _leases: Vec<_> = (0..5).map(|_| all[0].lease()).collect();
    assert_eq!(shares(&all, &[], 1), [0, 1_000]);
}

#[test]
fn an_unmeasured_endpoint_gets_one_request_to_be_measured_by() {
    let all = endpoints(2);
    all[0].observe(Outcome::Answered(1_000), 1);
    assert_eq!(shares(&all, &[], 1), [0, 1_000]);
    let _lease = all[1].lease();
    assert_eq!(shares(&all, &[], 1), [1_000, 0]);
}

#[test]
fn a_failure_costs_until_it_has_decayed() {
    let all = endpoints(2);
    for one in &all {
        one.observe(Outcome::Answered(1_000), 1);
    }
    all[0].observe(Outcome::Failed, 1);
    assert_eq!(shares(&all, &[], 100), [0, 1_000]);
    // 5 s decay below 1 ms after ten times 8.6 decay constants; the other decays as well.
    all[1].observe(Outcome::Answered(1_000), 100_000);
    assert_eq!(shares(&all, &[], 100_000), [1_000, 0]);
}

#[test]
fn the_down_the_ejected_and_the_tried_are_avoided() {
    let all = endpoints(4);
    for _ in 0..2 {
        all[0].checked(Connected::No);
    }
    for _ in 0..3 {
        all[1].observe(Outcome::Failed, 10);
    }
    let counts = shares(&all, &[all[2].address], 10);
    assert_eq!(counts, [0, 0, 0, 1_000]);
}

#[test]
fn health_gives_way_before_nothing_is_left() {
    let all = endpoints(2);
    for one in &all {
        for _ in 0..2 {
            one.checked(Connected::No);
        }
    }
    assert_eq!(shares(&all, &[], 1).iter().sum::<u32>(), 1_000);
    // A retry still avoids the one it has just tried, and takes it when it is the last.
    assert_eq!(shares(&all, &[all[0].address], 1), [0, 1_000]);
    assert_eq!(shares(&all[..1], &[all[0].address], 1), [1_000]);
}

#[test]
fn the_peak_rises_at_once_and_falls_slowly() {
    let fast = Latency::default().observe(1_000, 0);
    let slow = fast.observe(50_000, 160);
    assert_eq!(slow.us, 50_000);
    let later = slow.observe(1_000, 160 + 1_600);
    // e^-0.16 of the old peak and the rest of the new value.
    assert!((42_000..44_000).contains(&later.us), "{later:?}");
    assert_eq!(Latency::unpack(later.pack()), later);
    assert_eq!(later.cost(0, 1_760), u64::from(later.us));
    assert_eq!(later.cost(2, 1_760), 3 * u64::from(later.us));
}
