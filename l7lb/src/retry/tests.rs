//! The budget under quiet and under failure.

use super::*;

fn spend_all(budget: &Budget, now: Millis) -> u64 {
    let mut count = 0;
    while budget.spend(now) {
        count += 1;
    }
    count
}

#[test]
fn a_full_budget_is_a_hundred_retries() {
    assert_eq!(spend_all(&Budget::new(5), 5), 100);
}

#[test]
fn time_earns_ten_a_second_and_no_more_than_is_saved() {
    let budget = Budget::new(0);
    spend_all(&budget, 0);
    assert_eq!(spend_all(&budget, 1_000), 10);
    assert_eq!(spend_all(&budget, 1_000), 0);
    assert_eq!(spend_all(&budget, 1_000_000), 100);
}

#[test]
fn a_clock_that_seems_to_go_back_earns_nothing() {
    let budget = Budget::new(10_000);
    spend_all(&budget, 10_000);
    assert_eq!(spend_all(&budget, 9_000), 0);
}

#[test]
fn failing_requests_are_amplified_by_a_fifth_at_most() {
    let budget = Budget::new(0);
    spend_all(&budget, 0);
    let mut retries = 0;
    for _ in 0..10_000 {
        budget.earn();
        retries += u32::from(budget.spend(0));
    }
    assert_eq!(retries, 2_000);
}

#[test]
fn a_pause_is_never_shorter_than_the_rule_says_and_grows() {
    let retry = Retry { codes: vec![500, 503], attempts: Some(3), backoff_ms: Some(100) };
    let rule = RetryRule::compile(&retry);
    let pause = |retry, random| u64::try_from(rule.pause(retry, random).as_millis()).unwrap();
    for (retry, least) in [(1, 100), (2, 200), (3, 400), (4, 800), (5, 1_000), (30, 1_000)] {
        assert_eq!(pause(retry, 0), least);
        assert_eq!(pause(retry, u64::MAX), least + least / 2 - 1);
    }
    assert!(rule.covers(503) && !rule.covers(502));
}

#[test]
fn a_rule_bounds_its_retries_and_we_bound_the_rule() {
    let attempts =
        |attempts| retries_of(Some(&RetryRule::compile(&Retry { attempts, ..Retry::default() })));
    assert_eq!(attempts(Some(0)), 0);
    assert_eq!(attempts(Some(5)), 5);
    assert_eq!(attempts(Some(1_000)), RETRIES_MAX);
    assert_eq!(attempts(None), RETRIES);
    assert_eq!(retries_of(None), RETRIES);
}
