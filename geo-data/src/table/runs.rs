//! Sorted runs of addresses with a class each, packed by the high half of the key.
//!
//! A start is kept as its low half under a directory of high halves: 6 octets a run for IPv4 and 8
//! for IPv6, where plain pairs would take 8 and 16. Slots of neighbouring high halves make a look-up
//! two short binary searches. Invariant: the first start is 0, starts rise strictly, neighbouring
//! runs have different classes.

use std::fmt;

use super::ClassId;

/// An address space's key: all of an IPv4 address, or the top 64 bits of an IPv6 one.
pub(crate) trait Key: Copy + Ord + fmt::Debug {
    /// What of it is kept for each run.
    type Low: Copy + Ord + fmt::Debug;
    /// Bits of the key.
    const BITS: u32;
    /// The first key.
    const ZERO: Self;
    /// The high half, of which there is one directory entry.
    fn high(self) -> u32;
    /// The low half.
    fn low(self) -> Self::Low;
    /// Both halves together.
    fn join(high: u32, low: Self::Low) -> Self;
    /// How many slots there are.
    const SLOTS: usize;
    /// The slot of a high half; rises with it.
    fn slot(high: u32) -> usize;
    /// The key before this one; `None` at the first.
    fn before(self) -> Option<Self>;
    /// How many leading bits two keys share.
    fn common_bits(self, other: Self) -> u32;
    /// The key as a number.
    fn number(self) -> u64;
    /// The key of a number; `None` when it is past the last key.
    fn of_number(number: u64) -> Option<Self>;
}

#[expect(clippy::cast_possible_truncation, reason = "each half is cut out on purpose")]
impl Key for u32 {
    type Low = u16;
    const BITS: Self = 32;
    const ZERO: Self = 0;
    // One per high half: nothing is left to search there.
    const SLOTS: usize = 1 << 16;
    fn high(self) -> u32 {
        self >> 16
    }
    fn low(self) -> u16 {
        self as u16
    }
    fn join(high: u32, low: u16) -> Self {
        (high << 16) | Self::from(low)
    }
    fn slot(high: u32) -> usize {
        high as usize
    }
    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
    fn common_bits(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }
    fn number(self) -> u64 {
        u64::from(self)
    }
    fn of_number(number: u64) -> Option<Self> {
        Self::try_from(number).ok()
    }
}

#[expect(clippy::cast_possible_truncation, reason = "each half is cut out on purpose")]
impl Key for u64 {
    type Low = u32;
    const BITS: u32 = 64;
    const ZERO: Self = 0;
    // All addresses in use are in 2000::/3 (RFC 4291, section 2.4): a slot for each /22 there, which
    // 2 MB of memory allow, and one on either side for the rest.
    const SLOTS: usize = (1 << 19) + 2;
    fn high(self) -> u32 {
        (self >> 32) as u32
    }
    fn low(self) -> u32 {
        self as u32
    }
    fn join(high: u32, low: u32) -> Self {
        (Self::from(high) << 32) | Self::from(low)
    }
    fn slot(high: u32) -> usize {
        match high {
            0..0x2000_0000 => 0,
            0x2000_0000..0x4000_0000 => 1 + ((high - 0x2000_0000) >> 10) as usize,
            _ => Self::SLOTS - 1,
        }
    }
    fn before(self) -> Option<Self> {
        self.checked_sub(1)
    }
    fn common_bits(self, other: Self) -> u32 {
        (self ^ other).leading_zeros()
    }
    fn number(self) -> u64 {
        self
    }
    fn of_number(number: u64) -> Option<Self> {
        Some(number)
    }
}

/// The most runs of one family; the whole of DB-IP City has 4.4 million in IPv6.
pub(crate) const RUNS_MAX: usize = 64_000_000;

/// The runs of one family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runs<K: Key> {
    /// By slot: where its entries begin in `highs`; one more at the end.
    slots: Box<[u32]>,
    /// High halves that have a start, ascending.
    highs: Vec<u32>,
    /// Where each high half's starts begin in `lows`; one more at the end.
    offsets: Vec<u32>,
    /// Low halves of the starts.
    lows: Vec<K::Low>,
    /// The class from each start on.
    classes: Vec<ClassId>,
}

/// A run as found: its class, its first key and the next run's first key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Run<K> {
    pub(crate) class: ClassId,
    pub(crate) start: K,
    pub(crate) next: Option<K>,
}

impl<K: Key> Run<K> {
    /// Length of the widest prefix around `key` inside the run: longer than what `key` shares with
    /// the last key before the run and with the first after it.
    pub(crate) fn prefix_len(&self, key: K) -> u32 {
        let left = self.start.before().map_or(0, |before| key.common_bits(before) + 1);
        let right = self.next.map_or(0, |next| key.common_bits(next) + 1);
        left.max(right).min(K::BITS)
    }
}

impl<K: Key> Runs<K> {
    /// Packs starts that rise strictly from [`Key::ZERO`]; equal neighbours are merged. What comes
    /// before the first start has the class 0.
    pub(crate) fn pack(starts: impl IntoIterator<Item = (K, ClassId)>) -> Self {
        let mut runs = Self {
            slots: Box::default(),
            highs: Vec::new(),
            offsets: Vec::new(),
            lows: Vec::new(),
            classes: Vec::new(),
        };
        for (start, class) in starts {
            if runs.lows.is_empty() && start != K::ZERO {
                runs.push(K::ZERO, ClassId(0));
            }
            if runs.classes.last() != Some(&class) {
                runs.push(start, class);
            }
        }
        if runs.lows.is_empty() {
            runs.push(K::ZERO, ClassId(0));
        }
        runs.offsets.push(count(runs.lows.len()));
        runs.lows.shrink_to_fit();
        runs.classes.shrink_to_fit();
        runs.slots = directory::<K>(&runs.highs);
        runs
    }

    fn push(&mut self, start: K, class: ClassId) {
        debug_assert!(
            self.highs.last().is_none_or(|&high| high < start.high())
                || self.lows.last().is_none_or(|&low| low < start.low())
                    && self.highs.last() == Some(&start.high()),
            "starts must rise"
        );
        if self.highs.last() != Some(&start.high()) {
            self.highs.push(start.high());
            self.offsets.push(count(self.lows.len()));
        }
        self.lows.push(start.low());
        self.classes.push(class);
    }

    /// How many runs there are; at least one.
    pub(crate) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The run that holds a key.
    pub(crate) fn find(&self, key: K) -> Run<K> {
        let (high, slot) = (key.high(), K::slot(key.high()));
        let (from, to) = (self.slots[slot] as usize, self.slots[slot + 1] as usize);
        let entry = from + self.highs[from..to].partition_point(|&other| other < high);
        let begin = self.offsets[entry] as usize;
        if entry == to || self.highs[entry] != high {
            return self.run(entry - 1, begin - 1);
        }
        let end = self.offsets[entry + 1] as usize;
        let low = key.low();
        let within = self.lows[begin..end].partition_point(|&other| other <= low);
        // Nothing at or before `key` under its own high half: the run began under an earlier one.
        if within == 0 {
            self.run(entry - 1, begin - 1)
        } else {
            self.run(entry, begin + within - 1)
        }
    }

    /// The run at a position, which lies under directory entry `entry`.
    fn run(&self, entry: usize, at: usize) -> Run<K> {
        let next_entry = if at + 1 == self.offsets[entry + 1] as usize { entry + 1 } else { entry };
        let next = self.highs.get(next_entry).map(|&high| K::join(high, self.lows[at + 1]));
        Run { class: self.classes[at], start: K::join(self.highs[entry], self.lows[at]), next }
    }

    /// Starts and classes in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (K, ClassId)> {
        self.highs.iter().zip(self.offsets.windows(2)).flat_map(|(&high, bounds)| {
            let range = bounds[0] as usize..bounds[1] as usize;
            let lows = self.lows[range.clone()].iter();
            lows.zip(&self.classes[range]).map(move |(&low, &class)| (K::join(high, low), class))
        })
    }

    /// Octets of memory.
    pub(crate) fn memory_octets(&self) -> usize {
        (self.slots.len() + self.highs.len() + self.offsets.len() + self.classes.len()) * 4
            + self.lows.len() * size_of::<K::Low>()
    }
}

/// For each slot where its high halves begin, and one entry for the end.
fn directory<K: Key>(highs: &[u32]) -> Box<[u32]> {
    let mut slots = vec![0_u32; K::SLOTS + 1].into_boxed_slice();
    for &high in highs {
        slots[K::slot(high) + 1] += 1;
    }
    let mut sum = 0;
    for slot in &mut slots {
        sum += *slot;
        *slot = sum;
    }
    slots
}

fn count(len: usize) -> u32 {
    debug_assert!(len <= RUNS_MAX);
    u32::try_from(len).unwrap_or(u32::MAX)
}
