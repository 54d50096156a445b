//! When an endpoint is out, and when it is back.

use super::*;

#[test]
fn one_missed_check_is_forgiven_and_two_are_not() {
    let mut breaker = Breaker::default();
    breaker.check_missed();
    assert!(!breaker.is_down());
    breaker.check_missed();
    assert!(breaker.is_down());
    breaker.check_passed();
    assert!(!breaker.is_down());
}

#[test]
fn failures_in_a_row_eject_and_a_success_between_does_not_count() {
    let mut breaker = Breaker::default();
    for now in [10, 11] {
        breaker.failed(now);
    }
    breaker.succeeded(12);
    breaker.failed(13);
    breaker.failed(14);
    assert_eq!(breaker.ejected_until(), 0);
    breaker.failed(15);
    assert_eq!(breaker.ejected_until(), 15 + EJECTION_MS);
}

#[test]
fn ejections_double_up_to_a_limit_and_are_forgotten_in_time() {
    let mut breaker = Breaker::default();
    let mut now = 0;
    let mut lengths = Vec::new();
    for _ in 0..7 {
        while breaker.ejected_until() <= now {
            breaker.failed(now);
        }
        lengths.push(breaker.ejected_until() - now);
        now = breaker.ejected_until();
    }
    assert_eq!(lengths, [2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
    for _ in 0..7 {
        now += FORGIVE_AFTER_MS;
        breaker.succeeded(now);
    }
    assert_eq!(breaker.ejections, 0);
}

#[test]
fn after_an_ejection_one_failure_is_enough() {
    let mut breaker = Breaker::default();
    for _ in 0..3 {
        breaker.failed(0);
    }
    let back = breaker.ejected_until();
    breaker.failed(back);
    assert_eq!(breaker.ejected_until(), back + 2 * EJECTION_MS);
}

#[test]
fn failures_during_an_ejection_do_not_lengthen_it() {
    let mut breaker = Breaker::default();
    for now in 0..20 {
        breaker.failed(now);
    }
    assert_eq!(breaker.ejected_until(), 2 + EJECTION_MS);
}
