use proptest::prelude::*;

use super::*;

const THREE_TWO: Thresholds = Thresholds { failures: 3, successes: 2 };
const REFUSED: Outcome = Outcome::Miss(MissCause::Refused);

/// Runs outcomes one second apart and tells each verdict.
fn check(start: State, outcomes: &[Outcome]) -> Vec<Verdict> {
    let mut state = start;
    let step = |(at, outcome): (usize, &Outcome)| {
        state = state.step(*outcome, THREE_TWO, (at as u64 + 1) * 1000);
        state.verdict
    };
    outcomes.iter().enumerate().map(step).collect()
}

#[test]
fn three_misses_take_it_out_and_two_hits_bring_it_back() {
    use Verdict::{Down, Failing, Up};
    let hit = Outcome::Hit;
    let seen = check(State::default(), &[hit, REFUSED, REFUSED, REFUSED, REFUSED, hit, hit, hit]);
    assert_eq!(seen, [Up, Failing, Failing, Down, Down, Down, Up, Up]);
}

#[test]
fn a_target_never_seen_is_up_with_its_first_hit_and_in_service_until_three_misses() {
    use Verdict::{Down, Failing, Up};
    assert_eq!(check(State::default(), &[Outcome::Hit]), [Up]);
    assert_eq!(check(State::default(), &[REFUSED, REFUSED, REFUSED]), [Failing, Failing, Down]);
}

#[test]
fn what_the_watcher_could_not_try_changes_nothing() {
    let down = State::resumed(Verdict::Down, 0);
    assert_eq!(down.step(Outcome::Inconclusive, THREE_TWO, 9), down);
    let up = State::resumed(Verdict::Up, 0);
    assert_eq!(up.step(Outcome::Inconclusive, THREE_TWO, 9), up);
}

#[test]
fn a_hit_between_misses_starts_the_count_again() {
    use Verdict::{Failing, Up};
    let hit = Outcome::Hit;
    let seen = check(State::resumed(Up, 0), &[REFUSED, REFUSED, hit, REFUSED, REFUSED]);
    assert_eq!(seen, [Failing; 5], "never three in a row, never two hits in a row");
    assert_eq!(check(State::resumed(Up, 0), &[REFUSED, hit, hit]), [Failing, Failing, Up]);
}

/// Fails the target for good until it is down, then lets it recover; tells how long it was held.
fn fail_and_recover(state: &mut State, now_ms: &mut u64) -> u64 {
    while state.verdict != Verdict::Down {
        *now_ms += 1000;
        *state = state.step(REFUSED, THREE_TWO, *now_ms);
    }
    let down_ms = *now_ms;
    while state.verdict != Verdict::Up {
        *now_ms += 1000;
        *state = state.step(Outcome::Hit, THREE_TWO, *now_ms);
    }
    *now_ms - down_ms
}

#[test]
fn the_first_recovery_is_quick_and_each_flap_doubles_the_hold_to_ten_minutes() {
    let (mut state, mut now_ms) = (State::resumed(Verdict::Up, 0), 0);
    let held: Vec<u64> = (0..8).map(|_| fail_and_recover(&mut state, &mut now_ms)).collect();
    let s = 1000;
    assert_eq!(held, [2 * s, 20 * s, 40 * s, 80 * s, 160 * s, 320 * s, 600 * s, 600 * s]);
}

#[test]
fn ten_quiet_minutes_forgive_the_flaps() {
    let (mut state, mut now_ms) = (State::resumed(Verdict::Up, 0), 0);
    fail_and_recover(&mut state, &mut now_ms);
    assert_eq!(fail_and_recover(&mut state, &mut now_ms), 20_000);
    now_ms += FLAP_MEMORY_MS;
    assert_eq!(fail_and_recover(&mut state, &mut now_ms), 2_000);
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        4 => Just(Outcome::Hit),
        5 => Just(REFUSED),
        1 => Just(Outcome::Inconclusive),
    ]
}

proptest! {
    /// Whatever happened before, `failures` misses in a row end in down; fewer never lead there.
    #[test]
    fn down_needs_exactly_the_misses_in_a_row(
        before in prop::collection::vec(outcome(), 0..200),
        failures in 1_u8..6,
        successes in 1_u8..6,
    ) {
        let thresholds = Thresholds { failures, successes };
        let (mut state, mut now_ms, mut row) = (State::default(), 0, 0_u8);
        for outcome in before {
            now_ms += 1000;
            let was = state.verdict;
            state = state.step(outcome, thresholds, now_ms);
            row = match outcome {
                Outcome::Hit => 0,
                Outcome::Miss(_) => row.saturating_add(1),
                Outcome::Inconclusive => row,
            };
            if state.verdict == Verdict::Down && was != Verdict::Down {
                prop_assert!(row >= failures);
            }
            if was == Verdict::Down && state.verdict != Verdict::Down {
                prop_assert_eq!(state.verdict, Verdict::Up);
            }
        }
        for _ in 0..failures {
            now_ms += 1000;
            state = state.step(REFUSED, thresholds, now_ms);
        }
        prop_assert_eq!(state.verdict, Verdict::Down);
    }

    /// Probes start each `interval`; one that gets no answer ends after `timeout`. From the moment
    /// the target dies, wherever in the cycle, to the verdict: failures x interval + timeout.
    #[test]
    fn detection_keeps_its_bound(
        interval_ms in 100_u64..5_000,
        timeout_share in 1_u64..=100,
        failures in 1_u8..6,
        dies_share in 0_u64..100,
    ) {
        let timeout_ms = (interval_ms * timeout_share / 100).max(1);
        let dies_ms = 10 * interval_ms + interval_ms * dies_share / 100;
        let thresholds = Thresholds { failures, successes: 2 };
        let mut state = State::default();
        for started_ms in (0..).map(|n| n * interval_ms) {
            let alive = started_ms < dies_ms;
            let (outcome, ended_ms) = if alive {
                (Outcome::Hit, started_ms + 1)
            } else {
                (Outcome::Miss(MissCause::Timeout), started_ms + timeout_ms)
            };
            state = state.step(outcome, thresholds, ended_ms);
            if state.verdict == Verdict::Down {
                let took_ms = ended_ms - dies_ms;
                prop_assert!(took_ms <= u64::from(failures) * interval_ms + timeout_ms);
                break;
            }
            prop_assert!(started_ms < dies_ms + 10 * interval_ms, "never detected");
        }
    }

    /// A target that swings for ever with any period is let back at most once in ten minutes.
    #[test]
    fn a_flapping_target_settles_to_two_changes_in_ten_minutes(
        up_s in 2_u64..60,
        down_s in 3_u64..60,
    ) {
        let (mut state, mut changes) = (State::resumed(Verdict::Up, 0), Vec::new());
        for now_s in 1..4 * 3600_u64 {
            let alive = now_s % (up_s + down_s) < up_s;
            let outcome = if alive { Outcome::Hit } else { REFUSED };
            let next = state.step(outcome, THREE_TWO, now_s * 1000);
            let out = |state: State| state.verdict == Verdict::Down;
            if out(next) != out(state) {
                changes.push(now_s);
            }
            state = next;
        }
        let first_hour = changes.iter().filter(|&&at| at < 3600).count();
        // Seven holds up to the longest within 20 minutes, then one pair each ten.
        prop_assert!(first_hour <= 24, "{first_hour} changes in the first hour");
        for start in 3600..(4 * 3600 - 600) {
            let within = changes.iter().filter(|&&at| at >= start && at < start + 600).count();
            prop_assert!(within <= 2, "{within} changes after {start} s");
        }
    }
}
