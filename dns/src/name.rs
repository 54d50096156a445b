//! A name as it arrives: lower-cased on the stack, with the offsets of its labels.
//!
//! The hot path looks names up by their suffixes, so it keeps where each label starts and never
//! touches the heap. Length octets are at most 63 and therefore below `A`: lower-casing the whole
//! buffer in one pass cannot damage them.

use model::name::{LABEL_OCTETS_MAX, NAME_OCTETS_MAX};

/// A name has at most 127 labels beside the root: 255 octets, two for each.
const LABELS_MAX: usize = 127;

/// A lower-case uncompressed name in wire form, root label included.
///
/// Invariant: `octets[..len]` is a valid name and `starts[..=labels]` are the offsets of its labels,
/// the root's last.
#[derive(Debug, Clone)]
pub struct NameBuf {
    octets: [u8; NAME_OCTETS_MAX],
    starts: [u8; LABELS_MAX + 1],
    len: u8,
    labels: u8,
}

impl NameBuf {
    /// Reads the uncompressed name at the start of `octets`. `None` when it is cut short, longer
    /// than 255 octets, or holds a compression pointer or another label type: a question cannot
    /// rightly hold one, there is nothing before it to point at.
    pub fn read(octets: &[u8]) -> Option<Self> {
        let mut starts = [0; LABELS_MAX + 1];
        let mut at = 0_u8;
        let mut labels = 0_u8;
        loop {
            let length = *octets.get(usize::from(at))?;
            if usize::from(length) > LABEL_OCTETS_MAX {
                return None;
            }
            *starts.get_mut(usize::from(labels))? = at;
            at = at.checked_add(1 + length)?;
            if length == 0 {
                break;
            }
            labels += 1;
        }
        let mut name = Self { octets: [0; NAME_OCTETS_MAX], starts, len: at, labels };
        let wire = name.octets.get_mut(..usize::from(at))?;
        wire.copy_from_slice(octets.get(..usize::from(at))?);
        wire.make_ascii_lowercase();
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
}
