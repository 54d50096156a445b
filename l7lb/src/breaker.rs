//! Whether an endpoint is taken out of use: by checks that fail to connect, or by requests that
//! fail one after the other.
//!
//! Both are guesses, so `balance` overrules them when they leave nothing. Pure: every method takes
//! the time.

/// Milliseconds on the gateway's own clock.
pub(crate) type Millis = u64;

/// Failed checks in a row before an endpoint counts as down: one lost SYN is no outage.
const MISSES_TO_FALL: u32 = 2;
/// Failed requests in a row before an ejection. Retries hide each of them from clients.
const FAILURES_TO_EJECT: u32 = 3;
/// The first ejection; each further one doubles it. Short, because active checks run beside it.
const EJECTION_MS: Millis = 2_000;
/// The longest ejection (Envoy's default is 300 s; edge sites have few endpoints to spare).
const EJECTION_MS_MAX: Millis = 30_000;
/// After so long in use without an ejection, one doubling is forgotten.
const FORGIVE_AFTER_MS: Millis = 30_000;

/// The state of one endpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Breaker {
    misses: u32,
    failures: u32,
    ejections: u32,
    ejected_until: Millis,
    last_change: Millis,
}

impl Breaker {
    /// An active check connected.
    pub(crate) fn check_passed(&mut self) {
        self.misses = 0;
    }

    /// An active check did not connect.
    pub(crate) fn check_missed(&mut self) {
        self.misses = self.misses.saturating_add(1);
    }

    /// A request was answered.
    pub(crate) fn succeeded(&mut self, now: Millis) {
        self.failures = 0;
        if self.ejections > 0 && now >= self.last_change + FORGIVE_AFTER_MS {
            self.ejections -= 1;
            self.last_change = now;
        }
    }

    /// A request failed at the endpoint: no connection, a broken one, or 502, 503, 504.
    pub(crate) fn failed(&mut self, now: Millis) {
        self.failures = self.failures.saturating_add(1);
        if self.failures >= FAILURES_TO_EJECT && now >= self.ejected_until {
            let doubled = EJECTION_MS << self.ejections.min(8);
            self.ejected_until = now + doubled.min(EJECTION_MS_MAX);
            self.ejections = self.ejections.saturating_add(1);
            self.last_change = self.ejected_until;
            // One more failure after the ejection ends it again, as in a half-open breaker.
            self.failures = FAILURES_TO_EJECT - 1;
        }
    }

    /// Checks and requests that failed in a row, for people.
    pub(crate) fn in_a_row(&self) -> (u32, u32) {
        (self.misses, self.failures)
    }

    /// Whether the active checks have given it up.
    pub(crate) fn is_down(&self) -> bool {
        self.misses >= MISSES_TO_FALL
    }

    /// The end of the current ejection; in the past when there is none.
    pub(crate) fn ejected_until(&self) -> Millis {
        self.ejected_until
    }
}

#[cfg(test)]
mod tests;
