//! Finer runs folded to whole units: the class that most of a unit's addresses have stands for it.
//!
//! Resolvers send /24 and /56 (RFC 7871, section 11.1), so nothing finer can be answered apart.
//! Unknown has no vote: a unit of which a part is known is known.

use crate::table::runs::Key;

/// The unit of IPv4 clients, in prefix bits.
pub const UNIT_V4_LEN: u32 = 24;
/// The unit of IPv6 clients, in prefix bits.
pub const UNIT_V6_LEN: u32 = 56;

/// Folds starts (the first at 0) to units of `unit_len` leading bits. Class 0 is unknown; of classes
/// with equal weight the one that comes first in the unit wins.
pub(crate) fn fold<K: Key>(runs: &[(K, u32)], unit_len: u32) -> Vec<(K, u32)> {
    let unit = 1_u128 << (K::BITS - unit_len);
    let space = 1_u128 << K::BITS;
    let mut out: Vec<(K, u32)> = Vec::new();
    let mut tally: Vec<(u32, u128)> = Vec::new();
    for (at, &(start, class)) in runs.iter().enumerate() {
        let end = runs.get(at + 1).map_or(space, |&(next, _)| u128::from(next.number()));
        let mut from = u128::from(start.number());
        while from < end {
            let unit_start = from / unit * unit;
            if from == unit_start && end - from >= unit {
                put(&mut out, from, class);
                from = end / unit * unit;
                continue;
            }
            let to = end.min(unit_start + unit);
            match tally.iter_mut().find(|(other, _)| *other == class) {
                Some((_, weight)) => *weight += to - from,
                None => tally.push((class, to - from)),
            }
            from = to;
            if to == unit_start + unit {
                put(&mut out, unit_start, heaviest(&tally));
                tally.clear();
            }
        }
    }
    out
}

fn heaviest(tally: &[(u32, u128)]) -> u32 {
    let mut best = (0, 0);
    for &(class, weight) in tally {
        if class != 0 && weight > best.1 {
            best = (class, weight);
        }
    }
    best.0
}

fn put<K: Key>(out: &mut Vec<(K, u32)>, start: u128, class: u32) {
    if out.last().is_some_and(|&(_, last)| last == class) {
        return;
    }
    if let Some(key) = u64::try_from(start).ok().and_then(K::of_number) {
        out.push((key, class));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_is_what_most_of_it_is_and_unknown_has_no_vote() {
        let runs: [(u32, u32); 8] = [
            (0, 0),
            (0x0100, 1),
            (0x0180, 2),
            (0x01c0, 1),
            (0x0200, 0),
            (0x02ff, 3),
            (0x0300, 4),
            (0x0501, 5),
        ];
        assert_eq!(fold(&runs, 24), [(0, 0), (0x0100, 1), (0x0200, 3), (0x0300, 4), (0x0500, 5)]);
    }

    #[test]
    fn runs_of_whole_units_stay_as_they_are() {
        let runs = [(0_u64, 7), (1 << 8, 8), (u64::MAX - 0xff, 9)];
        assert_eq!(fold(&runs, 56), runs);
    }
}
