//! What was true when: versions of one thing that is changed again and again.
//!
//! A version counts from the moment its change is sent, and must be served to everyone who asks
//! after it was first seen in effect. In between both are right.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};

/// The versions of one thing; each is one above the one before.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    sent: AtomicU64,
    settled: AtomicU64,
}

/// The oldest version that may be served to a request that begins now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Since(u64);

impl Timeline {
    /// The next version; said before its change is sent.
    pub(crate) fn send(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The version sent last has been seen in effect.
    pub(crate) fn settle(&self) {
        self.settled.store(self.sent.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// Asked before a request is sent.
    pub(crate) fn begin(&self) -> Since {
        Since(self.settled.load(Ordering::SeqCst))
    }

    /// The versions that are right in an answer that has come whole.
    pub(crate) fn right(&self, since: Since) -> RangeInclusive<u64> {
        since.0..=self.sent.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests;
