//! Numbers for people: rates and ratios of counts, far below 2^52.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "rates and durations of a machine"
)]

use std::time::Duration;

use benches::dns_load::Outcome;

/// Good answers a second.
pub(crate) fn per_second(outcome: &Outcome) -> u64 {
    (outcome.good as f64 / outcome.elapsed.as_secs_f64().max(1e-3)) as u64
}

pub(crate) fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}

pub(crate) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

pub(crate) fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
