//! Couriers carry snapshots to nodes and reports back; they know nothing of what they carry.
//!
//! Truth is the snapshot itself (generations, hashes), so a transport can be as simple as it likes.
//! Two exist: within one process, and HTTP on loopback. Rule: a courier never reorders or merges.

use std::collections::hash_map::RandomState;
use std::future::Future;
use std::hash::BuildHasher;
use std::time::Duration;

use model::observe::SiteReport;

use crate::publication::{Have, Offer, PartError};

pub mod http;
pub mod local;
pub mod server;
pub mod token;

pub use http::HttpCourier;
pub use local::LocalCourier;
pub use token::Token;

/// The first wait after a failure, and the longest.
const BACKOFF_MIN: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// Why a courier failed.
#[derive(Debug, thiserror::Error)]
pub enum CourierError {
    /// The controller is not there.
    #[error("the controller does not answer: {0}")]
    Unreachable(String),
    /// It ended, in this very process.
    #[error("the controller has ended")]
    Ended,
    /// It answered something else.
    #[error("the controller answered status {0}")]
    Status(u16),
    /// A part did not survive the way.
    #[error(transparent)]
    Part(#[from] PartError),
    /// More octets than an offer may have, or fewer than announced.
    #[error("the answer is not an offer")]
    NotAnOffer,
    /// The controller takes no more reports now; the next one says it all.
    #[error("the controller is busy")]
    Busy,
}

/// Carries snapshots one way and reports the other.
pub trait Courier: Send + Sync + 'static {
    /// What is newer than `have`; waits up to `wait` for news and then brings an empty offer.
    fn fetch(
        &self,
        have: Have,
        wait: Duration,
    ) -> impl Future<Output = Result<Offer, CourierError>> + Send;

    /// Delivers a report. A lost report is made good by the next.
    fn report(&self, report: SiteReport) -> impl Future<Output = Result<(), CourierError>> + Send;
}

/// Exponential back-off with full jitter, so that a thousand nodes do not come back as one.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
    seed: RandomState,
}

impl Backoff {
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Whether the next failure is the first of a row.
    pub(crate) fn is_fresh(&self) -> bool {
        self.failures == 0
    }

    pub(crate) fn next_delay(&mut self) -> Duration {
        let ceiling = BACKOFF_MIN.saturating_mul(1 << self.failures.min(10)).min(BACKOFF_MAX);
        self.failures = self.failures.saturating_add(1);
        // Keyed hashing of a counter is random enough for spreading.
        let fraction = self.seed.hash_one(self.failures) % 1024;
        ceiling * u32::try_from(fraction).unwrap_or(0) / 1024
    }
}

#[cfg(test)]
mod tests;
