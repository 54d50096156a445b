//! From single probes to a verdict: misses in a row take a target out, hits in a row bring it back.
//!
//! Why hysteresis: with one watcher and 1 % loss a single miss is noise (engine.md: three misses
//! carry the result). Why damping: a target that flaps moves its clients with every swing, so after
//! a *repeated* failure its return is held back; the first recovery is never held.
//! Rule: a target that stops answering is down after at most `failures x interval + timeout`.

use serde::{Deserialize, Serialize};

use model::observe::Verdict;
use model::service::Probe;

/// First hold of a target that failed again soon after it came back, before doubling.
pub const HOLD_MS: u64 = 10_000;
/// The longest hold (engine.md: 10 s x 2^flaps, at most 10 minutes).
pub const HOLD_MS_MAX: u64 = 600_000;
/// A failure within this time after a recovery is a flap.
pub const FLAP_MEMORY_MS: u64 = 600_000;
/// Doublings stop mattering here: 10 s x 2^6 is over [`HOLD_MS_MAX`].
const FLAPS_MAX: u8 = 6;

/// What one probe saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The target answered as it should.
    Hit,
    /// It did not.
    Miss(MissCause),
    /// The watcher could not try (no descriptor, no route of its own): says nothing of the target.
    Inconclusive,
}

/// Why a probe missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MissCause {
    /// The connection was refused.
    Refused,
    /// No answer in time.
    Timeout,
    /// The host cannot be reached.
    Unreachable,
    /// The connection broke before an answer.
    Broken,
    /// An answer that is not HTTP.
    NotHttp,
    /// A status outside the accepted range.
    Status(u16),
}

impl std::fmt::Display for MissCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("host unreachable"),
            Self::Broken => f.write_str("connection broken before an answer"),
            Self::NotHttp => f.write_str("the answer is not HTTP"),
            Self::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// How many misses and hits in a row change a verdict; at least one each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Thresholds {
    /// Misses until down.
    pub failures: u8,
    /// Hits until up.
    pub successes: u8,
}

impl From<&Probe> for Thresholds {
    fn from(probe: &Probe) -> Self {
        Self { failures: probe.failures.max(1), successes: probe.successes.max(1) }
    }
}

/// One target's history, as much of it as the next step needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// What is said of the target now.
    pub verdict: Verdict,
    /// Since when, in process milliseconds.
    pub since_ms: u64,
    /// Why the last miss missed.
    pub cause: Option<MissCause>,
    misses: u8,
    hits: u8,
    flaps: u8,
    hold_until_ms: u64,
    recovered_ms: Option<u64>,
}

impl State {
    /// A target whose verdict is known from before a restart. It is judged anew from there.
    pub fn resumed(verdict: Verdict, now_ms: u64) -> Self {
        Self { verdict, since_ms: now_ms, ..Self::default() }
    }

    /// Until when a return is held back, if it is.
    pub fn held_until_ms(&self, now_ms: u64) -> Option<u64> {
        (self.verdict == Verdict::Down && self.hold_until_ms > now_ms).then_some(self.hold_until_ms)
    }

    /// The state after one more probe.
    #[must_use]
    pub fn step(self, outcome: Outcome, thresholds: Thresholds, now_ms: u64) -> Self {
        match outcome {
            Outcome::Inconclusive => self,
            Outcome::Hit => self.hit(thresholds, now_ms),
            Outcome::Miss(cause) => Self { cause: Some(cause), ..self.miss(thresholds, now_ms) },
        }
    }

    fn hit(self, thresholds: Thresholds, now_ms: u64) -> Self {
        let next = Self { misses: 0, hits: self.hits.saturating_add(1), ..self };
        let enough = next.hits >= thresholds.successes;
        match self.verdict {
            // Nothing speaks against a target that was never seen failing.
            Verdict::Unknown => next.turn(Verdict::Up, now_ms),
            Verdict::Failing if enough => next.turn(Verdict::Up, now_ms),
            Verdict::Down if enough && now_ms >= self.hold_until_ms => {
                Self { recovered_ms: Some(now_ms), ..next.turn(Verdict::Up, now_ms) }
            }
            Verdict::Up | Verdict::Failing | Verdict::Down => next,
        }
    }

    fn miss(self, thresholds: Thresholds, now_ms: u64) -> Self {
        let next = Self { hits: 0, misses: self.misses.saturating_add(1), ..self };
        match self.verdict {
            Verdict::Unknown | Verdict::Up | Verdict::Failing
                if next.misses >= thresholds.failures =>
            {
                next.fall(now_ms)
            }
            Verdict::Unknown | Verdict::Up => next.turn(Verdict::Failing, now_ms),
            Verdict::Failing | Verdict::Down => next,
        }
    }

    fn fall(self, now_ms: u64) -> Self {
        let again = self.recovered_ms.is_some_and(|at| now_ms.saturating_sub(at) < FLAP_MEMORY_MS);
        let flaps = if again { (self.flaps + 1).min(FLAPS_MAX) } else { 0 };
        let hold_ms = if flaps == 0 { 0 } else { (HOLD_MS << flaps).min(HOLD_MS_MAX) };
        Self { flaps, hold_until_ms: now_ms + hold_ms, ..self.turn(Verdict::Down, now_ms) }
    }

    fn turn(self, verdict: Verdict, now_ms: u64) -> Self {
        Self { verdict, since_ms: now_ms, ..self }
    }
}

#[cfg(test)]
mod tests;
