//! Octets of a client that are read and not yet handed over, and what all clients may have there.
//!
//! A connection has a few octets of its own, which is a whole head nearly always. What it needs beyond
//! is booked in a room that all connections of the gateway share: ten thousand clients that never
//! finish their heads then cost what the room has, and not ten thousand times the largest head.
//! Invariant: what is booked is given back when it is handed over or dropped.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::ReadBuf;

/// Octets that every connection has for itself.
pub(super) const OWN_OCTETS: usize = 4096;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Room {
    booked: AtomicUsize,
    octets_max: usize,
}

impl Room {
    /// An empty one.
    pub(crate) fn new(octets_max: usize) -> Self {
        Self { booked: AtomicUsize::new(0), octets_max }
    }

    fn book(&self, octets: usize) -> bool {
        let next = |booked: usize| {
            let next = booked.saturating_add(octets);
            (next <= self.octets_max).then_some(next)
        };
        self.booked.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).is_ok()
    }

    fn give_back(&self, octets: usize) {
        self.booked.fetch_sub(octets, Ordering::Relaxed);
    }
}

/// The octets of one connection.
pub(super) struct Held {
    octets: Vec<u8>,
    /// Those before are handed over.
    from: usize,
    room: Arc<Room>,
    booked: usize,
}

impl Held {
    /// With these to begin with.
    pub(super) fn new(octets: Vec<u8>, room: Arc<Room>) -> Self {
        Self { octets, from: 0, room, booked: 0 }
    }

    /// What is not handed over yet.
    pub(super) fn waiting(&self) -> &[u8] {
        &self.octets[self.from..]
    }

    /// Makes sure that so many more octets may come; false when there is no room for them.
    pub(super) fn admits(&mut self, more: usize) -> bool {
        let beyond = (self.waiting().len() + more).saturating_sub(OWN_OCTETS);
        let missing = beyond.saturating_sub(self.booked).next_multiple_of(OWN_OCTETS);
        if missing == 0 {
            return true;
        }
        let admitted = self.room.book(missing);
        if admitted {
            self.booked += missing;
        }
        admitted
    }

    /// Adds what came.
    pub(super) fn push(&mut self, octets: &[u8]) {
        if self.from > 0 {
            self.octets.drain(..self.from);
            self.from = 0;
        }
        let needed = self.octets.len() + octets.len();
        if needed > self.octets.capacity() {
            // Doubling would take half as much again of what is never used.
            let whole =
                if self.octets.is_empty() { needed } else { needed.next_multiple_of(OWN_OCTETS) };
            self.octets.reserve_exact(whole - self.octets.len());
        }
        self.octets.extend_from_slice(octets);
    }

    /// Hands over up to `most` octets; gives the memory back when nothing is left.
    pub(super) fn hand_over(&mut self, buf: &mut ReadBuf<'_>, most: usize) -> usize {
        let count = self.waiting().len().min(buf.remaining()).min(most);
        buf.put_slice(&self.octets[self.from..self.from + count]);
        self.from += count;
        if self.from == self.octets.len() {
            self.clear();
        }
        count
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.octets = Vec::new();
        self.from = 0;
        if self.booked > 0 {
            self.room.give_back(std::mem::take(&mut self.booked));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests;
