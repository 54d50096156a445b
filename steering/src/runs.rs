//! Runs: sorted intervals of addresses with equal leaves, and the scope of an address in them.
//!
//! A run [A, B) is maximal, so the widest aligned block around x inside it is the exact and minimal
//! ECS scope: 2^k addresses with k = min(msb(x ^ (A-1)), msb(x ^ B)). Two XORs and two leading-zero
//! counts, no tree, and the blocks of all x are disjoint by construction.
//!
//! A policy over the whole world has a million runs a family, so they are packed: about two octets
//! for a start (`starts`) and one for a leaf (`leaf_column`).

use serde::Deserialize;

use crate::map::LeafId;

mod directory;
mod leaf_column;
mod starts;
#[cfg(test)]
mod tests;
mod travel;

use leaf_column::LeafColumn;
use starts::{Place, Starts};

/// An address as the tables know it: `u32` for IPv4, the top 64 bits for IPv6.
pub trait Key: Copy + Ord + Into<u64> + std::fmt::Debug {
    /// Width in bits.
    const BITS: u32;
    /// The longest prefix at which leaves may differ: what resolvers send (/24 and /56).
    const TRUTH_LEN: u8;
    /// Where the directory begins: IPv6 in use lies in 2000::/3.
    const DIRECTORY_FROM: u64;
    /// How many bits of address the directory spans.
    const DIRECTORY_BITS: u32;
    /// The key of this number.
    ///
    /// Numbers beyond the key's width become the greatest key.
    fn from_u64(number: u64) -> Self;
}

impl Key for u32 {
    const BITS: Self = 32;
    const TRUTH_LEN: u8 = 24;
    const DIRECTORY_FROM: u64 = 0;
    const DIRECTORY_BITS: Self = 32;
    fn from_u64(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl Key for u64 {
    const BITS: u32 = 64;
    const TRUTH_LEN: u8 = 56;
    const DIRECTORY_FROM: Self = 0x2000_0000_0000_0000;
    const DIRECTORY_BITS: u32 = 61;
    fn from_u64(number: u64) -> Self {
        number
    }
}

/// The greatest key as a number.
pub(crate) const fn last_of(bits: u32) -> u64 {
    u64::MAX >> (64 - bits)
}

/// Why starts and leaves do not make a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RunsError {
    /// Every run has exactly one leaf.
    #[error("the table has {starts} runs and {leaves} leaves")]
    Uneven {
        /// Runs.
        starts: usize,
        /// Leaves.
        leaves: usize,
    },
    /// The whole address space is covered.
    #[error("the first run does not start at zero")]
    NotFromZero,
    /// Strictly rising.
    #[error("run {0} does not start after the one before it")]
    NotRising(usize),
    /// The address space is 32 or 64 bits wide.
    #[error("run {0} starts past the end of the address space")]
    PastEnd(usize),
    /// Indexes are 32 bits.
    #[error("the table has more than 2^32 runs")]
    TooMany,
}

/// Sorted run starts and the leaf of each.
///
/// Invariant: empty, or the first start is 0 and starts rise strictly; as many leaves as starts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "travel::Bare")]
#[serde(bound(deserialize = "K: Key"))]
pub struct RunTable<K> {
    starts: Starts<K>,
    leaves: LeafColumn,
}

impl<K> Default for RunTable<K> {
    /// The empty table, in which nothing is found.
    fn default() -> Self {
        Self { starts: Starts::default(), leaves: LeafColumn::default() }
    }
}

/// A run that was found: both ends belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run<K> {
    /// Its leaf.
    pub leaf: LeafId,
    /// Its lowest address.
    pub first: K,
    /// Its highest address.
    pub last: K,
}

impl<K: Key> Run<K> {
    /// The prefix length of the widest aligned block around `x` inside the run.
    pub fn block_len(&self, x: K) -> u8 {
        let (x, first, last): (u64, u64, u64) = (x.into(), self.first.into(), self.last.into());
        debug_assert!(first <= x && x <= last, "the run holds x");
        let below = if first == 0 { K::BITS } else { msb(x ^ (first - 1)) };
        let above = if last == last_of(K::BITS) { K::BITS } else { msb(x ^ (last + 1)) };
        u8::try_from(K::BITS - below.min(above)).unwrap_or(u8::MAX)
    }
}

/// The place of the highest bit that is set; at least one is.
fn msb(bits: u64) -> u32 {
    63 - bits.leading_zeros().min(63)
}

impl<K: Key> RunTable<K> {
    /// Checks the runs and packs them.
    ///
    /// # Errors
    /// When the invariant does not hold.
    #[expect(clippy::needless_pass_by_value, reason = "a maker gives its columns away")]
    pub fn new(starts: Vec<K>, leaves: Vec<LeafId>) -> Result<Self, RunsError> {
        if starts.len() != leaves.len() {
            return Err(RunsError::Uneven { starts: starts.len(), leaves: leaves.len() });
        }
        if starts.first().is_some_and(|&first| first.into() != 0) {
            return Err(RunsError::NotFromZero);
        }
        if let Some(at) = starts.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(RunsError::NotRising(at + 1));
        }
        if u32::try_from(starts.len()).is_err() {
            return Err(RunsError::TooMany);
        }
        Ok(Self { starts: Starts::pack(&starts), leaves: LeafColumn::pack(&leaves) })
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no run, so that nothing is found.
    pub fn is_empty(&self) -> bool {
        self.starts.len() == 0
    }

    /// Every run in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Run<K>> {
        Runs { table: self, next: self.starts.first_place(), end: self.len() }
    }

    /// The run that holds `x`; `None` in the empty table alone.
    #[inline]
    pub fn find(&self, x: K) -> Option<Run<K>> {
        Some(self.run(self.starts.place(x)?))
    }

    /// The runs from the one that holds `first` to the one that holds `last`.
    pub fn between(&self, first: K, last: K) -> impl ExactSizeIterator<Item = Run<K>> {
        let from = self.starts.place(first).unwrap_or_default();
        let end = self.starts.place(last).map_or(0, |to| to.at + 1);
        Runs { table: self, next: from, end: end.max(from.at) }
    }

    /// Octets of memory the table takes.
    pub fn memory_octets(&self) -> usize {
        self.starts.memory_octets() + self.leaves.memory_octets()
    }

    #[inline]
    fn run(&self, place: Place) -> Run<K> {
        let (first, last) = self.starts.bounds(place);
        let leaf = self.leaves.leaf(place.at);
        Run { leaf, first: K::from_u64(first), last: K::from_u64(last) }
    }
}

/// Runs one after the other.
struct Runs<'t, K> {
    table: &'t RunTable<K>,
    next: Place,
    end: usize,
}

impl<K: Key> Iterator for Runs<'_, K> {
    type Item = Run<K>;

    fn next(&mut self) -> Option<Run<K>> {
        let place = self.next;
        if place.at >= self.end {
            return None;
        }
        self.next = self.table.starts.after(place);
        Some(self.table.run(place))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.end.saturating_sub(self.next.at);
        (left, Some(left))
    }
}

impl<K: Key> ExactSizeIterator for Runs<'_, K> {}
