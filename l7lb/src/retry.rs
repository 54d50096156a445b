//! The retry budget: how much extra work failures may cause.
//!
//! A request puts in a fifth of a retry, time puts in ten a second, so that a quiet site can retry
//! too and a failing one is not hit by a multiple of its load (amplification stays under 1.2). Pure
//! but for its two atomics.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::breaker::Millis;

/// Thousandths of a retry earned by each request: 20 %.
const EARNED_BY_REQUEST: u64 = 200;
/// Thousandths of a retry earned by each millisecond: 10 a second.
const EARNED_BY_MS: u64 = 10;
/// The most that is saved: ten seconds' worth.
const SAVED_MAX: u64 = 100_000;
/// The price of one retry.
const PRICE: u64 = 1_000;

/// Extra attempts one request may make.
pub(crate) const RETRIES_MAX: u32 = 2;

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
