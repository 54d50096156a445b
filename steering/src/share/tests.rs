//! Shares: exact to half a point, sticky, nested, and the same on every machine.

use model::site::SiteId;

use super::{Block, neg_log2, order, seed};
use crate::map::Leaf;

/// Prefixes of which the goals speak.
const PREFIXES: u32 = 100_000;

fn leaf(weights: &[u32]) -> Leaf {
    let ids = (0..4).map(SiteId).take(weights.len());
    Leaf {
        sites: ids.clone().collect(),
        shared: u8::try_from(weights.len()).expect("few"),
        weights: weights.into(),
        seeds: ids.map(|id| seed(&format!("site-{}", id.0))).collect(),
        ..Leaf::default()
    }
}

fn block(number: u32) -> Block {
    Block::new(u64::from(number) << 40, 24)
}

fn first(leaf: &Leaf, number: u32) -> u8 {
    let first = order(leaf, block(number))[0];
    assert_eq!(super::first(leaf, block(number)), usize::from(first));
    first
}

#[test]
fn weights_are_met_within_half_a_point() {
    for weights in [&[1, 1][..], &[100, 300], &[1, 2, 3, 4], &[10, 90, 900], &[1, 99]] {
        let leaf = leaf(weights);
        let mut counts = [0_u32; 4];
        for number in 0..PREFIXES {
            counts[usize::from(first(&leaf, number))] += 1;
        }
        let total: u32 = weights.iter().sum();
        for (&weight, count) in weights.iter().zip(counts) {
            let wanted = f64::from(weight) / f64::from(total);
            let got = f64::from(count) / f64::from(PREFIXES);
            assert!((wanted - got).abs() < 0.005, "{weights:?}: wanted {wanted}, got {got}");
        }
    }
}

#[test]
fn a_site_that_leaves_moves_only_its_own_clients() {
    let four = leaf(&[100, 100, 100, 100]);
    let mut three = four.clone();
    three.sites.remove(3);
    three.seeds.remove(3);
    three.weights.remove(3);
    three.shared = 3;
    for number in 0..PREFIXES {
        let before = order(&four, block(number));
        let after = order(&three, block(number));
        // The others keep their order, with or without the one that left.
        let kept: Vec<u8> = before.into_iter().filter(|&at| at != 3).collect();
        assert_eq!(kept, after[..3]);
    }
}

#[test]
fn a_weight_that_rises_only_attracts() {
    let (light, heavy) = (leaf(&[100, 100, 100]), leaf(&[100, 150, 100]));
    let mut moved = 0;
    for number in 0..PREFIXES {
        let (before, after) = (first(&light, number), first(&heavy, number));
        assert!(before == after || after == 1);
        moved += u32::from(before != after);
    }
    // 3/7 - 1/3 of all.
    let share = f64::from(moved) / f64::from(PREFIXES);
    assert!((share - (3.0 / 7.0 - 1.0 / 3.0)).abs() < 0.005, "{share}");
}

#[test]
fn a_canary_grows_around_itself() {
    let seed = seed("canary");
    for (smaller, greater) in [(0, 1), (500, 1_000), (1_000, 2_000), (9_999, 10_000)] {
        let mut count = 0;
        for number in 0..PREFIXES {
            let is_in = block(number).is_shifted(seed, greater);
            assert!(is_in || !block(number).is_shifted(seed, smaller));
            count += u32::from(is_in);
        }
        let got = f64::from(count) / f64::from(PREFIXES);
        assert!((got - f64::from(greater) / 10_000.0).abs() < 0.005, "{greater}: {got}");
    }
    assert!((0..PREFIXES).all(|number| block(number).is_shifted(seed, 10_000)));
    assert!(!(0..PREFIXES).any(|number| block(number).is_shifted(seed, 0)));
}

#[test]
fn every_machine_and_every_release_shares_alike() {
    // A change here moves every shared client of every user once: think twice.
    let leaf = leaf(&[100, 300, 200]);
    let firsts: String = (0..48).map(|number| char::from(b'0' + first(&leaf, number))).collect();
    assert_eq!(firsts, "112121211121100112101111121221201110021102001111");
    assert_eq!(seed("gz-ct"), 1_648_104_500);
}

#[test]
fn the_logarithm_errs_by_less_than_four_millionths() {
    let mut draw = 1_u64;
    for step in 0..200_000_u64 {
        draw = super::mix(draw.wrapping_add(step)) >> (step % 64);
        #[expect(clippy::cast_precision_loss, reason = "a test's tolerance is wider")]
        let wanted = 64.0 - (draw.max(1) as f64).log2();
        #[expect(clippy::cast_precision_loss, reason = "below 2^31")]
        let got = neg_log2(draw) as f64 / f64::from(1 << 24);
        assert!((wanted - got).abs() < 4e-6, "{draw}: wanted {wanted}, got {got}");
    }
}
