//! Which endpoint takes the next request: the cheaper of two at random, by peak-EWMA.
//!
//! The cost of an endpoint is what it has lately cost in time, times the requests it would then
//! hold; the time jumps up at once to a slower answer and decays slowly (Finagle's peak-EWMA).
//! Comparing two random ones instead of taking the best keeps many gateways from rushing to the
//! same endpoint (power of two choices). Pure: time and randomness are arguments.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::breaker::Millis;
use crate::endpoint::Endpoint;

/// The memory of the average: after so long without a request a measurement counts 1/e.
const DECAY_MS: f64 = 10_000.0;
/// The time a failure stands for: slower than any endpoint one would want to keep.
const PENALTY_US: u32 = 5_000_000;
/// What an unmeasured endpoint with a request under way costs: it gets one request to be measured
/// by, not all of them.
const UNMEASURED_COST: u64 = 1 << 40;

/// A decaying peak of response times; 0 µs is unmeasured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Latency {
    us: u32,
    /// When, in units of 16 ms, so that it fits beside the time in one atomic for two years.
    stamp: u32,
}

fn stamp(now: Millis) -> u32 {
    u32::try_from((now >> 4) & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

impl Latency {
    /// Both fields in one word.
    pub(crate) fn pack(self) -> u64 {
        u64::from(self.us) << 32 | u64::from(self.stamp)
    }

    /// The reverse of [`Latency::pack`].
    pub(crate) fn unpack(word: u64) -> Self {
        let low = u32::try_from(word & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        let high = u32::try_from(word >> 32).unwrap_or(u32::MAX);
        Self { us: high, stamp: low }
    }

    /// The peak, decayed to `now`.
    pub(crate) fn decayed(self, now: Millis) -> u32 {
        let elapsed_ms = f64::from(stamp(now).saturating_sub(self.stamp)) * 16.0;
        scale(self.us, (-elapsed_ms / DECAY_MS).exp())
    }

    /// After a response that took `us`.
    pub(crate) fn observe(self, us: u32, now: Millis) -> Self {
        let us = us.max(1);
        if us >= self.us {
            return Self { us, stamp: stamp(now) };
        }
        let elapsed_ms = f64::from(stamp(now).saturating_sub(self.stamp)) * 16.0;
        let keep = (-elapsed_ms / DECAY_MS).exp();
        let mixed = scale(self.us, keep).saturating_add(scale(us, 1.0 - keep)).max(1);
        // Within one stamp nothing decays; the stamp stays, so that it does in the end.
        let stamp = if mixed == self.us { self.stamp } else { stamp(now) };
        Self { us: mixed, stamp }
    }

    /// After a failure.
    pub(crate) fn penalise(self, now: Millis) -> Self {
        Self { us: self.us.max(PENALTY_US), stamp: stamp(now) }
    }

    /// The cost of one more request beside `in_flight`.
    pub(crate) fn cost(self, in_flight: u32, now: Millis) -> u64 {
        match (self.us, in_flight) {
            (0, 0) => 0,
            (0, _) => UNMEASURED_COST + u64::from(in_flight),
            _ => u64::from(self.decayed(now).max(1)) * (u64::from(in_flight) + 1),
        }
    }
}

fn scale(us: u32, factor: f64) -> u32 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the factor is within 0..=1, so the product is within u32"
    )]
    let scaled = (f64::from(us) * factor) as u32;
    scaled
}

/// Chooses among `endpoints`; `None` only when there are none. Endpoints in `tried` and unhealthy
/// ones are avoided while others remain; health is a guess and gives way before nothing is left.
pub(crate) fn pick<'e>(
    endpoints: &'e [Arc<Endpoint>],
    tried: &[SocketAddr],
    now: Millis,
    random: u64,
) -> Option<&'e Arc<Endpoint>> {
    let fresh = |endpoint: &Endpoint| !tried.contains(&endpoint.address);
    two_choices(endpoints, now, random, |e| fresh(e) && e.is_healthy(now))
        .or_else(|| two_choices(endpoints, now, random, |e| e.is_healthy(now)))
        .or_else(|| two_choices(endpoints, now, random, fresh))
        .or_else(|| two_choices(endpoints, now, random, |_| true))
}

/// The cheaper of the first two usable endpoints behind two random places.
fn two_choices(
    endpoints: &[Arc<Endpoint>],
    now: Millis,
    random: u64,
    usable: impl Fn(&Endpoint) -> bool,
) -> Option<&Arc<Endpoint>> {
    let from = |place: u64, skip: Option<usize>| {
        let count = endpoints.len();
        // Multiply-shift maps 32 random bits to a place without a division.
        let start = usize::try_from((place * count as u64) >> 32).unwrap_or(0);
        (start..count).chain(0..start).find(|&at| Some(at) != skip && usable(&endpoints[at]))
    };
    let first = from(random >> 32, None)?;
    let second = from(random & u64::from(u32::MAX), Some(first)).unwrap_or(first);
    let cheaper = endpoints[second].cost(now) < endpoints[first].cost(now);
    Some(&endpoints[if cheaper { second } else { first }])
}

#[cfg(test)]
mod tests;
