//! Whose turn it is: numbers for weighted choices that are spread evenly instead of at random.
//!
//! Each number is the one before it plus the golden section of the whole range. Among any few hundred
//! in a row every interval gets its share almost exactly, where random draws miss a weight of 70 % by
//! more than five points in one of seventy runs of 500; and no state but one counter is needed.

use std::sync::atomic::{AtomicU32, Ordering};

/// The golden section of 2^32, made odd, so that every number comes once in 2^32.
const STEP: u32 = 2_654_435_769;

/// The turns of one choice.
#[derive(Debug, Default)]
pub(crate) struct Turns(AtomicU32);

impl Turns {
    /// The next number; its upper half is what is spread.
    pub(crate) fn next(&self) -> u64 {
        u64::from(self.0.fetch_add(STEP, Ordering::Relaxed)) << 32
    }
}

/// The place among weights that a number falls on; `None` when all weigh nothing.
pub(crate) fn place(number: u64, weights: impl Iterator<Item = u32> + Clone) -> Option<usize> {
    let total: u64 = weights.clone().map(u64::from).sum();
    // Weights are at most 1,000,000 each, so 32 bits and the total fit in 64.
    let mut left = ((number >> 32) * total) >> 32;
    for (at, weight) in weights.enumerate() {
        match left.checked_sub(u64::from(weight)) {
            Some(rest) => left = rest,
            None => return Some(at),
        }
    }
    None
}

#[cfg(test)]
mod tests;
