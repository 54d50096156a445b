//! The clocks of the shell: monotonic milliseconds for decisions, wall time for the log.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::breaker::Millis;

/// Counts from the gateway's start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts now, at 1 so that 0 stays "never".
    pub(crate) fn start() -> Self {
        Self { start: instant() }
    }

    /// Milliseconds since the start.
    pub(crate) fn now(&self) -> Millis {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Microseconds since the start.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// The monotonic clock.
#[expect(clippy::disallowed_methods, reason = "the one place where this crate reads the clock")]
pub(crate) fn instant() -> Instant {
    Instant::now()
}

/// Wall time since the epoch.
#[expect(clippy::disallowed_methods, reason = "the one place where this crate reads wall time")]
pub(crate) fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
