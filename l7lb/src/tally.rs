//! Events counted by kind, for the operator: handshakes, refusals, ejections, reloads.
//!
//! Kinds are names out of this program, never out of a request, so that their number is known when it
//! is compiled. Nothing here is on the way of a request that a backend answers.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use model::name::SiteName;

/// Counts with `N` labels.
#[derive(Debug)]
pub(crate) struct Tally<const N: usize> {
    labels: [&'static str; N],
    counts: Mutex<BTreeMap<[&'static str; N], u64>>,
}

impl<const N: usize> Tally<N> {
    /// None yet.
    pub(crate) fn new(labels: [&'static str; N]) -> Self {
        Self { labels, counts: Mutex::default() }
    }

    /// One more of a kind.
    pub(crate) fn count(&self, kind: [&'static str; N]) {
        // What a panic left behind are numbers like any other.
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(kind).or_default() += 1;
    }

    /// The series of one site, in Prometheus' text format.
    pub(crate) fn write(&self, name: &str, site: &SiteName, text: &mut String) {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for (kind, count) in &*counts {
            let _ = write!(text, "{name}{{site=\"{site}\"");
            for (label, value) in self.labels.iter().zip(kind) {
                let _ = write!(text, ",{label}=\"{value}\"");
            }
            let _ = writeln!(text, "}} {count}");
        }
    }
}

#[cfg(test)]
mod tests;
