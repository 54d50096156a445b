//! A run table as it travels: gaps between starts, which are small numbers, and leaves.
//!
//! Whoever reads one trusts nothing: gaps are added up and checked, and everything else about the
//! packed form is worked out anew.

use serde::{Deserialize, Serialize, Serializer};

use super::{Key, RunTable, RunsError, last_of};
use crate::map::LeafId;

/// The columns of a table, not yet checked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Bare {
    /// The zero bits that all starts end in.
    zero_bits: u8,
    /// From one start to the next, without those zeros; the first is from 0.
    gaps: Vec<u64>,
    leaves: Vec<LeafId>,
}

impl<K: Key> From<&RunTable<K>> for Bare {
    fn from(table: &RunTable<K>) -> Self {
        let starts = || table.iter().map(|run| run.first.into());
        let zero_bits = starts().filter(|&start| start > 0).map(u64::trailing_zeros).min();
        let zero_bits = zero_bits.unwrap_or(0);
        let mut before = 0;
        let gaps =
            starts().map(|start| (start - std::mem::replace(&mut before, start)) >> zero_bits);
        Self {
            gaps: gaps.collect(),
            leaves: table.iter().map(|run| run.leaf).collect(),
            zero_bits: u8::try_from(zero_bits).unwrap_or(0),
        }
    }
}

impl<K: Key> TryFrom<Bare> for RunTable<K> {
    type Error = RunsError;

    fn try_from(Bare { zero_bits, gaps, leaves }: Bare) -> Result<Self, RunsError> {
        let mut starts = Vec::with_capacity(gaps.len());
        let mut start = 0_u64;
        for (at, gap) in gaps.into_iter().enumerate() {
            let wide = 1_u64.checked_shl(zero_bits.into()).and_then(|unit| gap.checked_mul(unit));
            let next = wide.and_then(|wide| start.checked_add(wide));
            start = next.filter(|&next| next <= last_of(K::BITS)).ok_or(RunsError::PastEnd(at))?;
            starts.push(K::from_u64(start));
        }
        Self::new(starts, leaves)
    }
}

impl<K: Key> Serialize for RunTable<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Bare::from(self).serialize(serializer)
    }
}
