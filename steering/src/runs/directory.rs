//! The directory: which pages of a table an address can be on.
//!
//! The space is split evenly into sectors, and each sector into as many buckets as its pages are
//! worth: addresses in use crowd in a few corners, most of all those of IPv6. Invariant: the buckets
//! of all sectors lie one after the other in the order of their addresses.

use super::{Key, last_of};

/// The most sectors, as a power of two: 8 KiB a table.
const SECTOR_BITS_MAX: u32 = 10;

/// From an address to a few pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Directory {
    sectors: Vec<Sector>,
    /// By bucket, the page that its lowest address is on; one more at the end.
    buckets: Vec<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Sector {
    /// Its first bucket.
    at: u32,
    /// The bits of an address below those that tell its buckets apart.
    shift: u8,
}

impl Directory {
    /// Of pages that begin with these keys, which rise from 0; fewer than 2^32.
    pub(super) fn new<K: Key>(firsts: &[K]) -> Self {
        let Some(pages_log2) = firsts.len().checked_ilog2() else { return Self::default() };
        let sectors_log2 = pages_log2.min(SECTOR_BITS_MAX);
        let sector_bits = K::DIRECTORY_BITS - sectors_log2;
        let mut directory = Self::default();
        let mut page = 0;
        for sector in 0..1_u64 << sectors_log2 {
            let lowest = K::DIRECTORY_FROM + (sector << sector_bits);
            let after = firsts[page..]
                .partition_point(|&first| inside::<K>(first.into()) >> sector_bits <= sector);
            // One or two buckets a page.
            let bits = after.checked_ilog2().map_or(0, |log2| log2 + 1).min(sector_bits);
            let shift = sector_bits - bits;
            directory
                .sectors
                .push(Sector { at: number(directory.buckets.len()), shift: shift_from(shift) });
            for bucket in 0..1_u64 << bits {
                // The very first bucket also takes everything below it.
                let low = if sector + bucket == 0 { 0 } else { lowest + (bucket << shift) };
                while firsts.get(page + 1).is_some_and(|&next| next.into() <= low) {
                    page += 1;
                }
                directory.buckets.push(number(page));
            }
        }
        // The very last bucket also takes everything above it.
        directory.buckets.push(number(firsts.len() - 1));
        directory
    }

    /// The first and the last page that may hold `x`; `None` when there are no pages.
    #[inline]
    pub(super) fn pages<K: Key>(&self, x: K) -> Option<(usize, usize)> {
        let sectors_log2 = self.sectors.len().checked_ilog2()?;
        let sector_bits = K::DIRECTORY_BITS - sectors_log2;
        let x = inside::<K>(x.into());
        let sector = self.sectors.get(usize::try_from(x >> sector_bits).ok()?)?;
        let bucket = (x & ((1 << sector_bits) - 1)) >> sector.shift;
        let bucket = sector.at as usize + usize::try_from(bucket).ok()?;
        let &[low, high] = self.buckets.get(bucket..bucket + 2)? else { return None };
        Some((low as usize, high as usize))
    }

    pub(super) fn memory_octets(&self) -> usize {
        size_of_val(&*self.sectors) + size_of_val(&*self.buckets)
    }
}

/// An address as an offset into the span of the sectors, which clamps what is outside.
fn inside<K: Key>(x: u64) -> u64 {
    x.saturating_sub(K::DIRECTORY_FROM).min(last_of(K::DIRECTORY_BITS))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn shift_from(bits: u32) -> u8 {
    u8::try_from(bits).unwrap_or(u8::MAX)
}
