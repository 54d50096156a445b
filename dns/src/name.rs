//! A name as it arrives: lower-cased on the stack, with the offsets of its labels.
//!
//! The hot path looks names up by their suffixes, so it keeps where each label starts and never
//! touches the heap. Length octets are at most 63 and therefore below `A`: lower-casing the whole
//! buffer in one pass cannot damage them.

use model::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};

/// A name has at most 127 labels beside the root: 255 octets, two for each.
const LABELS_MAX: usize = 127;
/// Octets of a label that are hashed at once; eight are read at a time, see `BUFFER_OCTETS`.
const WORD_OCTETS: usize = 7;
/// A word may be read from the last octet on.
const BUFFER_OCTETS: usize = NAME_OCTETS_MAX + 8;

/// A lower-case uncompressed name in wire form, root label included.
///
/// Invariant: `octets[..len]` is a valid name and `starts[..=labels]` are the offsets of its labels,
/// the root's last.
#[derive(Debug, Clone)]
pub struct NameBuf {
    octets: [u8; BUFFER_OCTETS],
    starts: [u8; LABELS_MAX + 1],
    len: u8,
    labels: u8,
}

impl Default for NameBuf {
    /// The root.
    fn default() -> Self {
        Self { octets: [0; BUFFER_OCTETS], starts: [0; LABELS_MAX + 1], len: 1, labels: 0 }
    }
}

impl NameBuf {
    /// Reads the uncompressed name at the start of `octets` in place of the one before. `None`, and
    /// the root in its place, when it is cut short, longer than 255 octets, or holds a compression
    /// pointer or another label type: a question cannot rightly hold one, there is nothing before it
    /// to point at.
    pub fn refill(&mut self, octets: &[u8]) -> Option<()> {
        let read = self.read_labels(octets);
        if read.is_none() {
            *self = Self::default();
        }
        read
    }

    fn read_labels(&mut self, octets: &[u8]) -> Option<()> {
        let mut at = 0_u8;
        let mut labels = 0_u8;
        loop {
            let length = *octets.get(usize::from(at))?;
            if usize::from(length) > LABEL_OCTETS_MAX {
                return None;
            }
            *self.starts.get_mut(usize::from(labels))? = at;
            at = at.checked_add(1 + length)?;
            if length == 0 {
                break;
            }
            labels += 1;
        }
        let name = self.octets.get_mut(..usize::from(at))?;
        name.copy_from_slice(octets.get(..usize::from(at))?);
        name.make_ascii_lowercase();
        (self.len, self.labels) = (at, labels);
        Some(())
    }

    /// Reads the uncompressed name at the start of `octets`, as [`NameBuf::refill`] does.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let mut name = Self::default();
        name.refill(octets)?;
        Some(name)
    }

    /// Puts labels (without a root) before a whole name. `None` when that is longer than 255 octets.
    pub fn join(labels: &[u8], name: &[u8]) -> Option<Self> {
        let mut joined = [0; NAME_OCTETS_MAX];
        let end = labels.len() + name.len();
        joined.get_mut(..labels.len())?.copy_from_slice(labels);
        joined.get_mut(labels.len()..end)?.copy_from_slice(name);
        Self::read(&joined[..end])
    }

    /// The lower-case octets.
    pub fn wire(&self) -> &[u8] {
        &self.octets[..usize::from(self.len)]
    }

    /// Octets in wire form.
    pub fn octet_count(&self) -> usize {
        usize::from(self.len)
    }

    /// Labels without the root.
    pub fn label_count(&self) -> u8 {
        self.labels
    }

    /// The name made of the last `labels` labels; the whole name when it has no more than that.
    pub fn suffix(&self, labels: u8) -> &[u8] {
        let skipped = usize::from(self.labels.saturating_sub(labels));
        &self.octets[usize::from(self.starts[skipped])..usize::from(self.len)]
    }

    /// The label that stands before the last `labels` labels, its length octet included. Empty when
    /// the name has no more than those.
    pub(crate) fn label_before(&self, labels: u8) -> &[u8] {
        let (start, end) = self.bounds_before(labels);
        &self.octets[start..end]
    }

    /// Gives the same label to `take` as numbers of seven octets, the last filled up with zeros.
    pub(crate) fn each_word_before(&self, labels: u8, mut take: impl FnMut(u64)) {
        let (mut at, end) = self.bounds_before(labels);
        while at < end {
            let octets = (end - at).min(WORD_OCTETS);
            let mut word = [0; 8];
            word.copy_from_slice(&self.octets[at..at + 8]);
            take(u64::from_le_bytes(word) & (u64::MAX >> (64 - 8 * octets)));
            at += octets;
        }
    }

    fn bounds_before(&self, labels: u8) -> (usize, usize) {
        match self.labels.checked_sub(labels + 1).map(usize::from) {
            Some(place) => (self.starts[place].into(), self.starts[place + 1].into()),
            None => (0, 0),
        }
    }
}
