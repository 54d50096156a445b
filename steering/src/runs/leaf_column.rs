//! The leaf column: each run's leaf in one octet, in two where many leaves are common.
//!
//! A few leaves hold most runs, so a run has its leaf's place among the most common ones; the leaf
//! of a run whose place is the greatest number is looked up among the rare.

use crate::map::LeafId;

/// The leaf of each run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum LeafColumn {
    /// At most 255 leaves are common.
    Narrow(Column<u8>),
    /// At most 65,535 are.
    Wide(Column<u16>),
}

/// Leaves by place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Column<P> {
    /// The most common leaves, fewer than `P` has numbers.
    common: Vec<LeafId>,
    /// By run, its leaf's place in `common`; past its end the run is in `rare`.
    places: Vec<P>,
    /// The other runs and their leaves, by run.
    rare: Vec<(u32, LeafId)>,
}

impl Default for LeafColumn {
    fn default() -> Self {
        Self::Narrow(Column::default())
    }
}

impl LeafColumn {
    pub(super) fn pack(leaves: &[LeafId]) -> Self {
        let tally = Tally::new(leaves);
        let narrow = leaves.len() + tally.rare(usize::from(u8::MAX)) * size_of::<(u32, LeafId)>();
        let wide =
            2 * leaves.len() + tally.rare(usize::from(u16::MAX)) * size_of::<(u32, LeafId)>();
        if narrow <= wide {
            Self::Narrow(tally.column(leaves, u8::MAX))
        } else {
            Self::Wide(tally.column(leaves, u16::MAX))
        }
    }

    #[inline]
    pub(super) fn leaf(&self, at: usize) -> LeafId {
        match self {
            Self::Narrow(column) => column.leaf(at),
            Self::Wide(column) => column.leaf(at),
        }
    }

    pub(super) fn memory_octets(&self) -> usize {
        match self {
            Self::Narrow(column) => column.memory_octets(),
            Self::Wide(column) => column.memory_octets(),
        }
    }
}

impl<P: Copy + Into<usize>> Column<P> {
    #[inline]
    fn leaf(&self, at: usize) -> LeafId {
        let place: usize = self.places[at].into();
        self.common.get(place).copied().unwrap_or_else(|| self.rare(at))
    }

    #[cold]
    fn rare(&self, at: usize) -> LeafId {
        let found = self.rare.binary_search_by_key(&at, |&(run, _)| run as usize);
        found.map_or(LeafId::ELSEWHERE, |found| self.rare[found].1)
    }

    fn memory_octets(&self) -> usize {
        size_of_val(&*self.common) + size_of_val(&*self.places) + size_of_val(&*self.rare)
    }
}

/// Leaf numbers that are counted beyond the number of runs: a small table may have few of a map's
/// many leaves. Greater ones, which a map would need as many leaves for, are rare.
const NUMBERS_BESIDE: usize = 4096;

/// Leaves by how many runs they have.
struct Tally {
    /// By leaf's number, its place; [`LeafId::ELSEWHERE`] is the last one.
    places: Vec<usize>,
    /// Most common first.
    counts: Vec<(usize, LeafId)>,
    total: usize,
}

impl Tally {
    fn new(leaves: &[LeafId]) -> Self {
        let elsewhere = leaves.len() + NUMBERS_BESIDE;
        let mut by_leaf = vec![0; elsewhere + 1];
        for &leaf in leaves {
            if let Some(slot) = slot(leaf, elsewhere) {
                by_leaf[slot] += 1;
            }
        }
        let leaf = |slot: usize| match u32::try_from(slot) {
            Ok(number) if slot < elsewhere => LeafId(number),
            _ => LeafId::ELSEWHERE,
        };
        let counted = by_leaf.iter().enumerate().filter(|&(_, &count)| count > 0);
        let mut counts: Vec<(usize, LeafId)> =
            counted.map(|(slot, &count)| (count, leaf(slot))).collect();
        counts.sort_unstable_by_key(|&(count, leaf)| (std::cmp::Reverse(count), leaf));
        let mut places = vec![usize::MAX; elsewhere + 1];
        for (place, &(_, leaf)) in counts.iter().enumerate() {
            if let Some(slot) = slot(leaf, elsewhere) {
                places[slot] = place;
            }
        }
        Self { places, counts, total: leaves.len() }
    }

    /// How many runs are rare when so many leaves are common.
    fn rare(&self, common: usize) -> usize {
        let counted = self.counts.iter().take(common).map(|&(count, _)| count);
        self.total - counted.sum::<usize>()
    }

    /// `rare` is the greatest number of a place.
    fn column<P: Copy + Into<usize> + TryFrom<usize>>(
        &self,
        leaves: &[LeafId],
        rare: P,
    ) -> Column<P> {
        let common = self.counts.iter().take(rare.into()).map(|&(_, leaf)| leaf).collect();
        let mut column =
            Column { common, places: Vec::with_capacity(leaves.len()), rare: Vec::new() };
        for (run, &leaf) in leaves.iter().enumerate() {
            let place = slot(leaf, self.places.len() - 1).map(|slot| self.places[slot]);
            let place = place.and_then(|place| P::try_from(place).ok());
            let place = place.filter(|&place| place.into() < rare.into()).unwrap_or(rare);
            if place.into() == rare.into() {
                column.rare.push((u32::try_from(run).unwrap_or(u32::MAX), leaf));
            }
            column.places.push(place);
        }
        column.rare.shrink_to_fit();
        column
    }
}

/// Where a leaf is counted, if it is.
fn slot(leaf: LeafId, elsewhere: usize) -> Option<usize> {
    let number = leaf.0 as usize;
    if leaf == LeafId::ELSEWHERE {
        Some(elsewhere)
    } else {
        Some(number).filter(|&number| number < elsewhere)
    }
}
