//! Folding: intervals of any fineness to runs of whole /24 (IPv4) or /56 (IPv6) blocks.
//!
//! Resolvers send nothing finer, so truth is defined there: a block that a boundary cuts takes the
//! leaf that most of its addresses have, the lower one of two that tie. Equal neighbours merge.

use crate::map::LeafId;
use crate::runs::{Key, RunTable, RunsError, last_of};

/// Takes intervals in ascending order, the first at 0, and makes a table of them.
#[derive(Debug)]
pub(crate) struct Folder<K> {
    starts: Vec<K>,
    leaves: Vec<LeafId>,
    open: Option<(u64, LeafId)>,
    cut: Vec<(LeafId, u64)>,
    /// The addresses of a block less one: 0 folds nothing.
    within: u64,
}

impl<K: Key> Folder<K> {
    /// Folds to what resolvers send.
    pub(crate) fn to_truth() -> Self {
        Self::new((1 << (K::BITS - u32::from(K::TRUTH_LEN))) - 1)
    }

    /// Merges neighbours and folds nothing.
    pub(crate) fn exact() -> Self {
        Self::new(0)
    }

    fn new(within: u64) -> Self {
        Self { starts: Vec::new(), leaves: Vec::new(), open: None, cut: Vec::new(), within }
    }

    /// From `start` on, until the next, `leaf` holds.
    pub(crate) fn push(&mut self, start: u64, leaf: LeafId) {
        match self.open {
            Some((_, open)) if open == leaf => {}
            Some((first, open)) => {
                self.add(first, start - 1, open);
                self.open = Some((start, leaf));
            }
            None => self.open = Some((start, leaf)),
        }
    }

    /// The table.
    ///
    /// # Errors
    /// When the intervals did not rise from 0.
    pub(crate) fn finish(mut self) -> Result<RunTable<K>, RunsError> {
        if let Some((first, leaf)) = self.open.take() {
            self.add(first, last_of(K::BITS), leaf);
        }
        RunTable::new(self.starts, self.leaves)
    }

    fn add(&mut self, mut first: u64, last: u64, leaf: LeafId) {
        if first & self.within != 0 {
            let block_last = first | self.within;
            self.count(leaf, last.min(block_last) - first + 1);
            if last < block_last {
                return;
            }
            self.settle(first & !self.within);
            if last == block_last {
                return;
            }
            first = block_last + 1;
        }
        if last & self.within == self.within {
            return self.emit(first, leaf);
        }
        let tail = last & !self.within;
        if tail > first {
            self.emit(first, leaf);
        }
        self.count(leaf, last - tail + 1);
    }

    fn count(&mut self, leaf: LeafId, addresses: u64) {
        match self.cut.iter_mut().find(|(known, _)| *known == leaf) {
            Some((_, sum)) => *sum += addresses,
            None => self.cut.push((leaf, addresses)),
        }
    }

    fn settle(&mut self, block: u64) {
        let most = self.cut.iter().map(|&(_, sum)| sum).max();
        let winner = self.cut.iter().find(|&&(_, sum)| Some(sum) == most).map(|&(leaf, _)| leaf);
        self.cut.clear();
        if let Some(winner) = winner {
            self.emit(block, winner);
        }
    }

    fn emit(&mut self, start: u64, leaf: LeafId) {
        if self.leaves.last() != Some(&leaf) {
            self.starts.push(K::from_u64(start));
            self.leaves.push(leaf);
        }
    }
}
