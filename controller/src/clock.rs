//! The controller's clocks: the only place of this crate that asks what time it is.
//!
//! Decisions run on milliseconds since the process started (they never jump); people, audit records
//! and weekly windows get the wall clock. Everything else takes a [`Now`] as an argument.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Minutes of a week.
const WEEK_MINUTES: u64 = 7 * 24 * 60;
/// 1 January 1970 was a Thursday: three days after Monday.
const EPOCH_WEEKDAY: u64 = 3;

/// One moment on both clocks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the process started; never falls.
    pub ms: u64,
    /// Milliseconds since the Unix epoch; may jump.
    pub unix_ms: u64,
}

impl Now {
    /// Minute of the week in UTC, Monday 00:00 is 0.
    pub fn minute_of_week(self) -> u16 {
        let minutes = self.unix_ms / 60_000 + EPOCH_WEEKDAY * 24 * 60;
        u16::try_from(minutes % WEEK_MINUTES).unwrap_or(0)
    }
}

/// Reads both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock of the shell")]
    pub(crate) fn start() -> Self {
        Self { started: Instant::now() }
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock of the shell")]
    pub(crate) fn now(self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { ms: millis(self.started.elapsed()), unix_ms: millis(unix) }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_minute_of_the_week_starts_on_monday() {
        let at = |unix_s: u64| Now { ms: 0, unix_ms: unix_s * 1000 }.minute_of_week();
        assert_eq!(at(0), 3 * 24 * 60, "the epoch was a Thursday, midnight");
        // 2024-01-01 00:00:00 UTC was a Monday.
        assert_eq!(at(1_704_067_200), 0);
        assert_eq!(at(1_704_067_199), 7 * 24 * 60 - 1);
    }
}
