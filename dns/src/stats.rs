//! What the server counts: plain totals since it started, read by the shell.
//!
//! A worker counts a batch in plain integers ([`Tally`]) and adds them up once per batch
//! (`Counters`, one cache-line group per worker), so that counting costs nothing per query.

use std::sync::atomic::{AtomicU64, Ordering};

use steering::decide::Reason;

use crate::answer::Handled;
use crate::message::rcode;

/// The response codes counted, by name; the last takes every other one.
pub const RCODES: [&str; 10] = [
    "NOERROR",
    "FORMERR",
    "SERVFAIL",
    "NXDOMAIN",
    "NOTIMP",
    "REFUSED",
    "YXDOMAIN",
    "BADVERS",
    "BADCOOKIE",
    "other",
];
/// The reasons of decisions counted, named as [`Reason::as_str`] names them.
pub const REASONS: [&str; 9] = [
    "best",
    "share",
    "shift",
    "failover",
    "allOut",
    "panic",
    "fallbackSites",
    "fenced",
    "fallbackNone",
];
/// Beside the two arrays: dropped, truncated, with a client subnet, not sent.
const SINGLES: usize = 4;
const COUNTERS: usize = RCODES.len() + REASONS.len() + SINGLES;

/// Totals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers by response code, in the order of [`RCODES`].
    pub rcodes: [u64; RCODES.len()],
    /// Steered answers by reason, in the order of [`REASONS`].
    pub reasons: [u64; REASONS.len()],
    /// Packets that deserved no answer.
    pub dropped: u64,
    /// Answers cut for their transport.
    pub truncated: u64,
    /// Queries with a client subnet.
    pub with_subnet: u64,
    /// Answers that the system would not send.
    pub unsent: u64,
}

impl Tally {
    /// Counts one packet.
    pub(crate) fn count(&mut self, handled: Option<&Handled>) {
        let Some(handled) = handled else {
            self.dropped += 1;
            return;
        };
        self.rcodes[rcode_place(handled.rcode)] += 1;
        self.truncated += u64::from(handled.truncated);
        self.with_subnet += u64::from(handled.with_subnet);
        if let Some(reason) = handled.reason {
            self.reasons[reason_place(reason)] += 1;
        }
    }

    /// Answers made.
    pub fn answered(&self) -> u64 {
        self.rcodes.iter().sum()
    }

    /// Steered answers made.
    pub fn steered(&self) -> u64 {
        self.reasons.iter().sum()
    }

    fn to_array(self) -> [u64; COUNTERS] {
        let Self { rcodes, reasons, dropped, truncated, with_subnet, unsent } = self;
        let mut all = [0; COUNTERS];
        let singles = [dropped, truncated, with_subnet, unsent];
        for (to, from) in all.iter_mut().zip(rcodes.into_iter().chain(reasons).chain(singles)) {
            *to = from;
        }
        all
    }

    fn add(&mut self, all: &[u64; COUNTERS]) {
        let singles =
            [&mut self.dropped, &mut self.truncated, &mut self.with_subnet, &mut self.unsent];
        let mine = self.rcodes.iter_mut().chain(&mut self.reasons).chain(singles);
        for (to, from) in mine.zip(all) {
            *to += from;
        }
    }
}

/// Totals shared between a worker and its readers. Aligned so that no two workers share a line.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Counters([AtomicU64; COUNTERS]);

impl Default for Counters {
    fn default() -> Self {
        Self([const { AtomicU64::new(0) }; COUNTERS])
    }
}

impl Counters {
    /// Adds a batch's counts.
    pub(crate) fn add(&self, tally: &Tally) {
        for (to, from) in self.0.iter().zip(tally.to_array()) {
            if from != 0 {
                to.fetch_add(from, Ordering::Relaxed);
            }
        }
    }

    /// Adds these totals to a tally.
    pub(crate) fn sum_into(&self, tally: &mut Tally) {
        let mut all = [0; COUNTERS];
        for (to, from) in all.iter_mut().zip(&self.0) {
            *to = from.load(Ordering::Relaxed);
        }
        tally.add(&all);
    }
}

/// Everything the server counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Over UDP.
    pub udp: Tally,
    /// Over TCP.
    pub tcp: Tally,
    /// TCP connections open now.
    pub tcp_open: u64,
    /// TCP connections turned away by a limit.
    pub tcp_refused: u64,
    /// TCP connections cut for being idle, slow or malformed.
    pub tcp_cut: u64,
    /// Receives that failed.
    pub receive_errors: u64,
    /// Views put in use, the first included.
    pub views: u64,
    /// Snapshots that could not be compiled.
    pub views_refused: u64,
}

fn rcode_place(code: u16) -> usize {
    match code {
        rcode::BADVERS => 7,
        rcode::BADCOOKIE => 8,
        0..=6 => usize::from(code),
        _ => RCODES.len() - 1,
    }
}

fn reason_place(reason: Reason) -> usize {
    match reason {
        Reason::Best => 0,
        Reason::Share => 1,
        Reason::Shift => 2,
        Reason::Failover => 3,
        Reason::AllOut => 4,
        Reason::Panic => 5,
        Reason::FallbackSites => 6,
        Reason::Fenced => 7,
        Reason::FallbackNone => 8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_counted_under_its_own_name() {
        for reason in [
            Reason::Best,
            Reason::Share,
            Reason::Shift,
            Reason::Failover,
            Reason::AllOut,
            Reason::Panic,
            Reason::FallbackSites,
            Reason::Fenced,
            Reason::FallbackNone,
        ] {
            assert_eq!(REASONS[reason_place(reason)], reason.as_str());
        }
    }

    #[test]
    fn counts_arrive_under_their_own_names() {
        let handled = Handled {
            octets: 40,
            rcode: rcode::BADVERS,
            truncated: true,
            reason: Some(Reason::FallbackNone),
            with_subnet: true,
        };
        let mut batch = Tally::default();
        batch.count(Some(&handled));
        batch.count(None);
        batch.unsent = 3;
        let counters = Counters::default();
        counters.add(&batch);
        counters.add(&batch);
        let mut read = Tally::default();
        counters.sum_into(&mut read);
        let mut wanted =
            Tally { dropped: 2, truncated: 2, with_subnet: 2, unsent: 6, ..Tally::default() };
        wanted.rcodes[7] = 2;
        wanted.reasons[8] = 2;
        assert_eq!(read, wanted);
        assert_eq!((read.answered(), read.steered()), (2, 2));
    }
}
