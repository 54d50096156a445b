//! Sharing clients out: which site a block of clients goes to, the same on every node.
//!
//! Weighted rendezvous hashing: every site draws a number for the block, and the least
//! `-log2(draw) / weight` wins, so that a site that leaves moves its own clients alone and a weight
//! that rises only attracts. Integers throughout: floating logarithms differ between machines, and
//! two nodes that disagree would make each other's caches wrong.

use std::cmp::Ordering;

use crate::map::{LEAF_SITES_MAX, Leaf};

#[cfg(test)]
mod tests;

/// A share is counted in hundredths of a percent.
pub(crate) const SHARE_BP_MAX: u64 = 10_000;
/// Keeps a shift's draw apart from the draws of the share (the digits of pi).
const SHIFT_SALT: u64 = 0x2438_6f35_8885_a308;
/// Fraction bits of a logarithm: 64 << 24 times a 32-bit weight still fits 64 bits.
const LOG_FRACTION_BITS: u32 = 24;
/// Segments of the logarithm's table: linear between them errs by less than 3e-6.
const LOG_SEGMENT_BITS: u32 = 8;
const LOG_SEGMENTS: usize = 1 << LOG_SEGMENT_BITS;
/// log2(1 + i/256) in 1/2^24, from repeated squaring at compile time.
static LOG_TABLE: [u32; LOG_SEGMENTS + 1] = log_table();

/// A block of clients: its first address at the top of 64 bits. It is hashed where somebody asks for
/// a draw: most answers are shared by nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Block(u64);

impl Block {
    /// The block of `len` bits around an address given in the top bits. The families' blocks of the
    /// same bits need not differ: a client has one family.
    pub(crate) fn new(top: u64, len: u8) -> Self {
        let mask = if len == 0 { 0 } else { u64::MAX << (64 - u32::from(len).min(64)) };
        Self(top & mask)
    }

    /// A number that tells blocks apart, for spreading without weights.
    pub(crate) fn spread(self, count: usize) -> usize {
        let wide = u128::from(mix(self.0)) * count as u128;
        usize::try_from(wide >> 64).unwrap_or(0)
    }

    /// Whether this block is among the shifted. Nested: what is shifted at 10 % is so at 20 %.
    pub(crate) fn is_shifted(self, seed: u32, share_bp: u16) -> bool {
        let draw = mix(mix(self.0) ^ SHIFT_SALT ^ u64::from(seed)) >> 32;
        draw * SHARE_BP_MAX < u64::from(share_bp) << 32
    }
}

/// The seed of a site: FNV-1a of its name, so that it holds while ids move.
pub(crate) fn seed(name: &str) -> u32 {
    let step = |hash: u64, octet: u8| (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3);
    let hash = mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, step));
    u32::try_from(hash >> 32).unwrap_or(0)
}

/// The order in which this block sees the sharing sites, as places in the leaf.
pub(crate) fn order(leaf: &Leaf, block: Block) -> [u8; LEAF_SITES_MAX] {
    let mut order = [0, 1, 2, 3];
    let mut tickets = [Ticket::default(); LEAF_SITES_MAX];
    let mut shared = 0;
    for (place, ticket) in tickets.iter_mut().zip(drawn(leaf, block)) {
        *place = ticket;
        shared += 1;
    }
    // Four at most: inserting beats a general sort. Ties keep the leaf's order.
    for end in 1..shared {
        let mut at = end;
        while at > 0 && tickets[at].cmp(&tickets[at - 1]).is_lt() {
            tickets.swap(at, at - 1);
            order.swap(at, at - 1);
            at -= 1;
        }
    }
    order
}

/// The first of [`order`], which is all that most answers want.
pub(crate) fn first(leaf: &Leaf, block: Block) -> usize {
    let mut best = (0, Ticket::default());
    for (at, ticket) in drawn(leaf, block).enumerate() {
        if at == 0 || ticket.cmp(&best.1).is_lt() {
            best = (at, ticket);
        }
    }
    best.0
}

/// What each sharing site draws for a block, in the leaf's order.
fn drawn(leaf: &Leaf, block: Block) -> impl Iterator<Item = Ticket> {
    let hash = mix(block.0);
    let shared = leaf.weights.iter().zip(&leaf.seeds).take(usize::from(leaf.shared));
    shared.take(LEAF_SITES_MAX).map(move |(&weight, &seed)| {
        let draw = mix(hash ^ (u64::from(seed) << 32 | u64::from(seed)));
        Ticket { draw, distance: neg_log2(draw), weight: u64::from(weight) }
    })
}

#[derive(Debug, Clone, Copy, Default)]
struct Ticket {
    draw: u64,
    distance: u64,
    weight: u64,
}

impl Ticket {
    /// The lesser `distance / weight` first.
    fn cmp(&self, other: &Self) -> Ordering {
        (self.distance * other.weight)
            .cmp(&(other.distance * self.weight))
            .then(other.draw.cmp(&self.draw))
    }
}

/// -log2(draw / 2^64) in 1/2^24; a draw of 0 counts as the least positive one.
fn neg_log2(draw: u64) -> u64 {
    let draw = draw.max(1);
    let zeros = draw.leading_zeros();
    // The mantissa's bits below the leading one, left-aligned.
    let fraction = (draw << zeros) << 1;
    let segment = usize::try_from(fraction >> (64 - LOG_SEGMENT_BITS)).unwrap_or(0);
    let within = (fraction << LOG_SEGMENT_BITS) >> 40;
    let (low, high) = (u64::from(LOG_TABLE[segment]), u64::from(LOG_TABLE[segment + 1]));
    let log = low + (((high - low) * within) >> LOG_FRACTION_BITS);
    (u64::from(zeros + 1) << LOG_FRACTION_BITS) - log
}

#[expect(clippy::cast_possible_truncation, reason = "the table's values are at most 2^24")]
const fn log_table() -> [u32; LOG_SEGMENTS + 1] {
    let mut table = [0_u32; LOG_SEGMENTS + 1];
    let mut at = 0;
    while at <= LOG_SEGMENTS {
        // log2 of 1 + at/256, bit by bit: square, and a value of 2 or more gives a bit.
        let mut value = ((LOG_SEGMENTS + at) as u128) << (62 - LOG_SEGMENT_BITS);
        let mut log = 0_u64;
        if at == LOG_SEGMENTS {
            log = 1 << LOG_FRACTION_BITS;
        } else {
            let mut bit = LOG_FRACTION_BITS;
            while bit > 0 {
                bit -= 1;
                value = (value * value) >> 62;
                if value >> 63 != 0 {
                    value >>= 1;
                    log |= 1 << bit;
                }
            }
        }
        table[at] = log as u32;
        at += 1;
    }
    table
}

/// A bijection that scatters (the finaliser of SplitMix64, Stafford's variant 13).
pub(crate) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
