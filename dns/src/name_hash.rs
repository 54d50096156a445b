//! The keyed hash of names: a polynomial over the field of 2^61 - 1, at a secret point.
//!
//! Labels go in from the root outwards, seven octets a step, each with its length octet first, so
//! that no two names give the same polynomial and the hash of a name goes on from its parent's. Two
//! different polynomials of degree n agree at n of the 2^61 points at most: whoever does not know
//! the point cannot make names collide better than by chance (Carter and Wegman, "Universal classes
//! of hash functions", 1979). SipHash promises no more here and costs three times as much.

use std::hash::{BuildHasher, RandomState};

use crate::name::NameBuf;

/// The Mersenne prime 2^61 - 1.
const PRIME: u64 = (1 << 61) - 1;

/// The secret: the point, and an odd factor that spreads the value over the high bits
/// (Dietzfelbinger's multiply-shift, universal by itself).
#[derive(Debug, Clone, Copy)]
pub(crate) struct HashKey {
    point: u64,
    spread: u64,
}

/// The value of a name's labels so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NameHash(u64);

impl HashKey {
    /// Takes the secret from a hasher keyed at random.
    pub(crate) fn of(random: &RandomState) -> Self {
        // A point of 0 or 1 would be no point at all; nobody draws it in earnest.
        let point = (random.hash_one("point") % PRIME).max(2);
        Self { point, spread: random.hash_one("spread") | 1 }
    }

    /// The hash of the root.
    pub(crate) fn root() -> NameHash {
        // One and not zero: the leading coefficient tells short names from long ones.
        NameHash(1)
    }

    /// The hash of the last `labels + 1` labels, from that of the last `labels`.
    pub(crate) fn extend(self, hash: NameHash, name: &NameBuf, labels: u8) -> NameHash {
        let mut value = hash.0;
        name.each_word_before(labels, |word| {
            // 2^61 is 1 in this field, so the high part of the product adds to the low one. The
            // value stays below 2^62, which the next product bears.
            let [low, high] = halves(u128::from(value) * u128::from(self.point));
            let sum = (low & PRIME) + (high << 3 | low >> 61) + word;
            value = (sum & PRIME) + (sum >> 61);
        });
        NameHash(value)
    }

    /// The hash of a whole name.
    pub(crate) fn whole(self, name: &NameBuf) -> NameHash {
        (0..name.label_count()).fold(Self::root(), |hash, labels| self.extend(hash, name, labels))
    }

    /// The 32 bits by which a table goes.
    pub(crate) fn bits(self, hash: NameHash) -> u32 {
        let [a, b, c, d, ..] = hash.0.wrapping_mul(self.spread).to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }
}

fn halves(product: u128) -> [u64; 2] {
    let [a, b, c, d, e, f, g, h, high @ ..] = product.to_le_bytes();
    [u64::from_le_bytes([a, b, c, d, e, f, g, h]), u64::from_le_bytes(high)]
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn name(text: &str) -> NameBuf {
        let name = model::DnsName::parse(text).expect("a name");
        NameBuf::read(name.as_wire()).expect("a name")
    }

    #[test]
    fn names_that_differ_in_little_hash_apart_and_equal_ones_alike() {
        let key = HashKey::of(&RandomState::new());
        let close = [
            ".",
            "a",
            "b",
            "a.a",
            "aa",
            "aaaaaaa",
            "aaaaaa.a",
            "a.aaaaaa",
            "aaaaaaaa",
            "example",
            "e.xample",
            "\\000",
            "\\000.\\000",
            "\\000\\000",
            "a.b.c",
            "c.b.a",
            "ab.c",
            "a.bc",
        ];
        let hashes: HashSet<u64> = close.iter().map(|text| key.whole(&name(text)).0).collect();
        assert_eq!(hashes.len(), close.len());
        assert_eq!(key.whole(&name("WWW.Edge.Example")), key.whole(&name("www.edge.example")));
    }

    #[test]
    fn the_table_bits_of_many_names_spread() {
        let key = HashKey::of(&RandomState::new());
        let bits: HashSet<u32> = (0..20_000)
            .map(|number| key.bits(key.whole(&name(&format!("host{number}.edge.example")))))
            .collect();
        // By chance about 0.05 pairs collide in 32 bits; a hundred would be a broken hash.
        assert!(bits.len() > 19_900, "{}", bits.len());
    }
}
