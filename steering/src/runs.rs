//! Runs: sorted intervals of addresses with equal leaves, and the scope of an address in them.
//!
//! A run [A, B) is maximal, so the widest aligned block around x inside it is the exact and minimal
//! ECS scope: 2^k addresses with k = min(msb(x ^ (A-1)), msb(x ^ B)). Two XORs and two leading-zero
//! counts, no tree, and the blocks of all x are disjoint by construction.

use serde::{Deserialize, Serialize};

use crate::map::LeafId;

#[cfg(test)]
mod tests;

/// The most buckets of the look-up index, as a power of two: 256 KiB a table, a few runs in each.
const BUCKET_BITS_MAX: u32 = 16;

/// An address as the tables know it: `u32` for IPv4, the top 64 bits for IPv6.
pub trait Key: Copy + Ord + Into<u64> + std::fmt::Debug {
    /// Width in bits.
    const BITS: u32;
    /// The longest prefix at which leaves may differ: what resolvers send (/24 and /56).
    const TRUTH_LEN: u8;
    /// Where the index's buckets begin: IPv6 in use lies in 2000::/3.
    const BUCKETS_FROM: u64;
    /// How many bits of address the buckets span.
    const BUCKETS_SPAN_BITS: u32;
    /// The key of this number.
    ///
    /// Numbers beyond the key's width become the greatest key.
    fn from_u64(number: u64) -> Self;
}

impl Key for u32 {
    const BITS: Self = 32;
    const TRUTH_LEN: u8 = 24;
    const BUCKETS_FROM: u64 = 0;
    const BUCKETS_SPAN_BITS: Self = 32;
    fn from_u64(number: u64) -> Self {
        Self::try_from(number).unwrap_or(Self::MAX)
    }
}

impl Key for u64 {
    const BITS: u32 = 64;
    const TRUTH_LEN: u8 = 56;
    const BUCKETS_FROM: Self = 0x2000_0000_0000_0000;
    const BUCKETS_SPAN_BITS: u32 = 61;
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
    /// Indexes are 32 bits.
    #[error("the table has more than 2^32 runs")]
    TooMany,
}

/// Sorted run starts and the leaf of each.
///
/// Invariant: empty, or the first start is 0 and starts rise strictly; the index is of these starts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Bare<K>")]
#[serde(bound(deserialize = "K: Key + Deserialize<'de>"))]
pub struct RunTable<K> {
    starts: Vec<K>,
    leaves: Vec<LeafId>,
    /// By bucket, the run that its lowest address is in; one more at the end.
    #[serde(skip_serializing)]
    index: Vec<u32>,
}

/// A table as it travels: without its index, not yet checked.
#[derive(Deserialize)]
struct Bare<K> {
    starts: Vec<K>,
    leaves: Vec<LeafId>,
}

impl<K: Key> TryFrom<Bare<K>> for RunTable<K> {
    type Error = RunsError;
    fn try_from(bare: Bare<K>) -> Result<Self, RunsError> {
        Self::new(bare.starts, bare.leaves)
    }
}

impl<K> Default for RunTable<K> {
    /// The empty table, in which nothing is found.
    fn default() -> Self {
        Self { starts: Vec::new(), leaves: Vec::new(), index: Vec::new() }
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
    /// Checks the runs and builds their index.
    ///
    /// # Errors
    /// When the invariant does not hold.
    pub fn new(starts: Vec<K>, leaves: Vec<LeafId>) -> Result<Self, RunsError> {
        if starts.len() != leaves.len() {
            return Err(RunsError::Uneven { starts: starts.len(), leaves: leaves.len() });
        }
        let Some(&first) = starts.first() else {
            return Ok(Self::default());
        };
        if first.into() != 0 {
            return Err(RunsError::NotFromZero);
        }
        if let Some(at) = starts.windows(2).position(|pair| pair[0] >= pair[1]) {
            return Err(RunsError::NotRising(at + 1));
        }
        let index = index_of(&starts)?;
        Ok(Self { starts, leaves, index })
    }

    /// How many runs there are.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is no run, so that nothing is found.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Every run in order.
    pub fn iter(&self) -> impl Iterator<Item = Run<K>> {
        (0..self.len()).map(|at| self.run(at))
    }

    /// The run that holds `x`; `None` in the empty table alone.
    pub fn find(&self, x: K) -> Option<Run<K>> {
        Some(self.run(self.position(x)?))
    }

    /// The runs from the one that holds `first` to the one that holds `last`.
    pub fn between(&self, first: K, last: K) -> impl ExactSizeIterator<Item = Run<K>> {
        let range = match (self.position(first), self.position(last)) {
            (Some(from), Some(to)) if from <= to => from..to + 1,
            _ => 0..0,
        };
        range.map(|at| self.run(at))
    }

    /// Octets of memory the table takes.
    pub fn memory_octets(&self) -> usize {
        size_of_val(&*self.starts) + size_of_val(&*self.leaves) + size_of_val(&*self.index)
    }

    fn run(&self, at: usize) -> Run<K> {
        let last = match self.starts.get(at + 1) {
            Some(&next) => K::from_u64(next.into() - 1),
            None => K::from_u64(last_of(K::BITS)),
        };
        Run { leaf: self.leaves[at], first: self.starts[at], last }
    }

    fn position(&self, x: K) -> Option<usize> {
        let buckets = self.index.len().checked_sub(1)?;
        let bucket = bucket_of::<K>(x.into(), shift_of::<K>(buckets));
        let low = *self.index.get(bucket)? as usize;
        let high = *self.index.get(bucket + 1)? as usize;
        let later = self.starts.get(low + 1..=high)?;
        Some(low + later.partition_point(|&start| start <= x))
    }
}

/// `buckets` is a power of two.
fn shift_of<K: Key>(buckets: usize) -> u32 {
    K::BUCKETS_SPAN_BITS - buckets.trailing_zeros()
}

fn bucket_of<K: Key>(x: u64, shift: u32) -> usize {
    let inside = x.saturating_sub(K::BUCKETS_FROM).min(last_of(K::BUCKETS_SPAN_BITS));
    usize::try_from(inside >> shift).unwrap_or(usize::MAX)
}

fn index_of<K: Key>(starts: &[K]) -> Result<Vec<u32>, RunsError> {
    let buckets = 1_usize << starts.len().ilog2().min(BUCKET_BITS_MAX);
    let shift = shift_of::<K>(buckets);
    let mut index = Vec::with_capacity(buckets + 1);
    let mut at = 0_usize;
    for bucket in 0..buckets as u64 {
        // The first bucket also takes everything below it.
        let low = if bucket == 0 { 0 } else { K::BUCKETS_FROM + (bucket << shift) };
        while starts.get(at + 1).is_some_and(|&next| next.into() <= low) {
            at += 1;
        }
        index.push(u32::try_from(at).map_err(|_| RunsError::TooMany)?);
    }
    // The last bucket also takes everything above it.
    index.push(u32::try_from(starts.len() - 1).map_err(|_| RunsError::TooMany)?);
    Ok(index)
}
