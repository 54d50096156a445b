//! Starts: where runs begin, packed in pages.
//!
//! A page is up to 64 runs in a row whose distances from its first one fit 16 bits once the zeros
//! that all of them end in are cut off: truth is /24 and /56, so there are zeros. Two octets a start
//! where plain numbers take four and eight, and still a random access: a directory leads to a page, and
//! the rest is a search in 128 octets. Invariant: pages and the starts in them rise strictly; the
//! first start of a page is the page's own and its distance is 0.

use super::directory::Directory;
use super::{Key, last_of};

/// The most runs of a page: two cache lines of distances.
const PAGE_RUNS_MAX: usize = 64;
/// Sorted starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Starts<K> {
    pages: Vec<Page<K>>,
    /// Distances from the first start of the page, in units of `1 << page.shift`; a page's worth of
    /// nothing at the end, so that the last page is searched like any other.
    distances: Vec<u16>,
    runs: usize,
    directory: Directory,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page<K> {
    first: K,
    /// The place of its first run among all.
    at: u32,
    shift: u8,
}

/// A run's number among all, the page it is on and where that one ends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    page: usize,
    pub(super) at: usize,
    end: usize,
}

impl<K> Default for Starts<K> {
    fn default() -> Self {
        Self { pages: Vec::new(), distances: Vec::new(), runs: 0, directory: Directory::default() }
    }
}

impl<K: Key> Starts<K> {
    /// Packs starts that rise strictly from 0, fewer than 2^32.
    pub(super) fn pack(starts: &[K]) -> Self {
        if starts.is_empty() {
            return Self::default();
        }
        let mut pages = Vec::with_capacity(starts.len() / PAGE_RUNS_MAX + 1);
        let mut distances = Vec::with_capacity(starts.len() + PAGE_RUNS_MAX);
        let mut rest = starts;
        while let Some(&first) = rest.first() {
            let (len, shift) = page_of(rest);
            let at = u32::try_from(distances.len()).unwrap_or(u32::MAX);
            pages.push(Page { first, at, shift });
            let (page, after) = rest.split_at(len);
            distances.extend(page.iter().map(|&start| distance(first, start, shift)));
            rest = after;
        }
        distances.extend([0; PAGE_RUNS_MAX]);
        pages.shrink_to_fit();
        let firsts: Vec<K> = pages.iter().map(|page| page.first).collect();
        let directory = Directory::new(&firsts);
        Self { pages, distances, runs: starts.len(), directory }
    }

    pub(super) fn len(&self) -> usize {
        self.runs
    }

    /// Where the run that holds `x` is; `None` when there is none at all.
    #[inline]
    pub(super) fn place(&self, x: K) -> Option<Place> {
        let (low, high) = self.directory.pages(x)?;
        let later = self.pages.get(low + 1..=high)?;
        let number = low + later.partition_point(|page| page.first <= x);
        let page = *self.pages.get(number)?;
        let (begin, end) = (page.at as usize, self.end(number));
        let wanted = distance(page.first, x, page.shift);
        let distances = self.distances.get(begin..)?.first_chunk()?;
        let at = begin + last_within(distances, end - begin, wanted);
        Some(Place { page: number, at, end })
    }

    /// Where the first run is.
    pub(super) fn first_place(&self) -> Place {
        Place { page: 0, at: 0, end: self.end(0) }
    }

    /// The lowest and the highest address of a run.
    #[inline]
    pub(super) fn bounds(&self, place: Place) -> (u64, u64) {
        let page = &self.pages[place.page];
        let at = |distance: u16| page.first.into() + (u64::from(distance) << page.shift);
        let next = if place.at + 1 < place.end {
            Some(at(self.distances[place.at + 1]))
        } else {
            self.pages.get(place.page + 1).map(|next| next.first.into())
        };
        (at(self.distances[place.at]), next.map_or(last_of(K::BITS), |next| next - 1))
    }

    /// Where the run after one is.
    #[inline]
    pub(super) fn after(&self, place: Place) -> Place {
        let at = place.at + 1;
        if at < place.end {
            return Place { at, ..place };
        }
        let page = place.page + 1;
        Place { page, at, end: self.end(page) }
    }

    pub(super) fn memory_octets(&self) -> usize {
        size_of_val(&*self.pages) + size_of_val(&*self.distances) + self.directory.memory_octets()
    }

    /// The place of the first run after a page.
    #[inline]
    fn end(&self, page: usize) -> usize {
        self.pages.get(page + 1).map_or(self.runs, |next| next.at as usize)
    }
}

/// The last of a page's distances that is not greater; the first one, 0, never is.
///
/// Counts instead of halving: no step waits for another, no branch depends on the address, and eight
/// are compared at once. What follows the page's `len` runs is another page's.
#[inline]
fn last_within(distances: &[u16; PAGE_RUNS_MAX], len: usize, wanted: u16) -> usize {
    let len = u16::try_from(len).unwrap_or(u16::MAX);
    let mut count = 0_u16;
    for (at, &distance) in (0_u16..).zip(distances) {
        count += u16::from(distance <= wanted) & u16::from(at < len);
    }
    usize::from(count.saturating_sub(1))
}

/// How many of the first starts make a page, and the zeros that their distances end in.
fn page_of<K: Key>(starts: &[K]) -> (usize, u8) {
    let first: u64 = starts[0].into();
    let mut zeros = u64::BITS - 1;
    for (at, &start) in starts.iter().enumerate().take(PAGE_RUNS_MAX).skip(1) {
        let distance = start.into() - first;
        let fewer = zeros.min(distance.trailing_zeros());
        if distance >> fewer > u64::from(u16::MAX) {
            return (at, shift_from(zeros));
        }
        zeros = fewer;
    }
    (starts.len().min(PAGE_RUNS_MAX), shift_from(zeros))
}

fn shift_from(zeros: u32) -> u8 {
    u8::try_from(zeros).unwrap_or(u8::MAX)
}

/// The distance from a page's first start; what is past the page's reach is its greatest.
#[inline]
fn distance<K: Key>(first: K, x: K, shift: u8) -> u16 {
    u16::try_from((x.into() - first.into()) >> shift).unwrap_or(u16::MAX)
}
