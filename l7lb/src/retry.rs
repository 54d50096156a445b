//! Retries: which failures a rule tries again, and the budget for all of them.
//!
//! Connections that were never made are tried again for every method, broken ones for idempotent
//! methods; a rule's `retry` (GEP-1731) adds answers with the statuses it names, for every method,
//! because the route's author named them, and a pause before each try. The budget bounds how much
//! extra work failures may cause: a request puts in a fifth of a retry, time puts in ten a second, so that a quiet site can retry
//! too and a failing one is not hit by a multiple of its load (amplification stays under 1.2). Pure
//! but for its two atomics.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::gateway::Retry;
use smallvec::SmallVec;

use crate::breaker::Millis;

/// Thousandths of a retry earned by each request: 20 %.
const EARNED_BY_REQUEST: u64 = 200;
/// Thousandths of a retry earned by each millisecond: 10 a second.
const EARNED_BY_MS: u64 = 10;
/// The most that is saved: ten seconds' worth.
const SAVED_MAX: u64 = 100_000;
/// The price of one retry.
const PRICE: u64 = 1_000;

/// Extra attempts of a request whose rule does not say how many.
const RETRIES: u32 = 2;
/// Extra attempts one request may make, whatever its rule says.
pub(crate) const RETRIES_MAX: u32 = 10;
/// The pause before the first retry of a rule that does not say how long (Envoy's default).
const BACKOFF_MS: u32 = 25;
/// A pause grows up to so many times the first one (Envoy's default), twofold at each retry.
const BACKOFF_GROWTH_MAX: u32 = 10;
/// The longest pause.
const BACKOFF_MS_MAX: u32 = 10_000;

/// `retry` of a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RetryRule {
    codes: SmallVec<[u16; 4]>,
    attempts: u32,
    backoff_ms: u32,
}

impl fmt::Display for RetryRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { codes, attempts, backoff_ms } = self;
        write!(f, "up to {attempts} times after {backoff_ms} ms or more")?;
        let codes: Vec<String> = codes.iter().map(u16::to_string).collect();
        if codes.is_empty() { Ok(()) } else { write!(f, ", also on {}", codes.join(", ")) }
    }
}

impl RetryRule {
    /// Compiles it.
    pub(crate) fn compile(retry: &Retry) -> Self {
        let Retry { codes, attempts, backoff_ms } = retry;
        Self {
            codes: SmallVec::from_slice(codes),
            attempts: attempts.unwrap_or(RETRIES).min(RETRIES_MAX),
            backoff_ms: backoff_ms.unwrap_or(BACKOFF_MS).min(BACKOFF_MS_MAX),
        }
    }

    /// Whether an answer with this status is tried again.
    pub(crate) fn covers(&self, status: u16) -> bool {
        self.codes.contains(&status)
    }

    /// How long to wait before the retry of this number (1 is the first): at least the rule's
    /// backoff, growing, with up to half as much again at random, so that retries spread out.
    pub(crate) fn pause(&self, retry: u32, random: u64) -> Duration {
        let doublings = retry.saturating_sub(1).min(BACKOFF_GROWTH_MAX);
        let growth = (1_u32 << doublings).min(BACKOFF_GROWTH_MAX);
        let least = u64::from(self.backoff_ms.saturating_mul(growth).min(BACKOFF_MS_MAX));
        Duration::from_millis(least + (((random >> 32) * (least / 2)) >> 32))
    }
}

/// How many extra attempts a request may make.
pub(crate) fn retries_of(rule: Option<&RetryRule>) -> u32 {
    rule.map_or(RETRIES, |rule| rule.attempts)
}

/// The budget of a gateway.
#[derive(Debug)]
pub(crate) struct Budget {
    saved: AtomicU64,
    filled: AtomicU64,
}

impl Budget {
    /// A full budget.
    pub(crate) fn new(now: Millis) -> Self {
        Self { saved: AtomicU64::new(SAVED_MAX), filled: AtomicU64::new(now) }
    }

    /// A request came.
    pub(crate) fn earn(&self) {
        self.add(EARNED_BY_REQUEST);
    }

    /// Takes one retry, if there is one.
    pub(crate) fn spend(&self, now: Millis) -> bool {
        let before = self.filled.fetch_max(now, Ordering::Relaxed);
        self.add(now.saturating_sub(before).saturating_mul(EARNED_BY_MS));
        let take = |saved: u64| saved.checked_sub(PRICE);
        self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn add(&self, earned: u64) {
        let add =
            |saved: u64| (saved < SAVED_MAX).then(|| saved.saturating_add(earned).min(SAVED_MAX));
        // An `Err` says that it is full.
        let _ = self.saved.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }
}

#[cfg(test)]
mod tests;
