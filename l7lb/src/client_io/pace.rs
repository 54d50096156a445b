//! How slowly a request's body may come.
//!
//! Only the time spent waiting for the client counts, not the time in which nobody asked for more
//! because the origin was slow. Pure: the time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The slowest body that is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PaceLimits {
    /// Waiting that is always allowed.
    pub(crate) grace: Duration,
    /// Octets that must have come for each further second of waiting.
    pub(crate) octets_per_s_min: u32,
}

/// The pace of one body.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    octets: u64,
    waited: Duration,
    since: Option<Instant>,
}

impl Pace {
    /// The clock runs from now on; every moment counts as waiting until the first piece.
    pub(crate) fn since(now: Instant) -> Self {
        Self { since: Some(now), ..Self::default() }
    }

    /// Nothing is there: how long it may stay so.
    pub(crate) fn starve(&mut self, now: Instant, limits: &PaceLimits) -> Duration {
        let since = *self.since.get_or_insert(now);
        let rate = u64::from(limits.octets_per_s_min.max(1));
        let earned = Duration::from_millis(self.octets.saturating_mul(1_000) / rate);
        let spent = self.waited.saturating_add(now.saturating_duration_since(since));
        limits.grace.saturating_add(earned).saturating_sub(spent)
    }

    /// So many octets have come.
    pub(crate) fn feed(&mut self, now: Instant, octets: usize) {
        if let Some(since) = self.since.take() {
            self.waited = self.waited.saturating_add(now.saturating_duration_since(since));
        }
        self.octets = self.octets.saturating_add(octets as u64);
    }
}

#[cfg(test)]
mod tests;
