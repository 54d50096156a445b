//! Spoiled and random packets: never a panic, never an answer that cannot be read.
#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "world/packets.rs"]
mod packets;
#[path = "world/world.rs"]
mod world;

use model::record::RecordType;
use packets::{Random, check_packet, seeds, spoil};
use proptest::prelude::*;
use world::{Ask, view};

/// Enough to meet every branch of the parser many times in a few seconds of a debug build.
const SPOILED: usize = 100_000;

#[test]
fn spoiled_queries_are_answered_or_dropped() {
    let (view, seeds) = (view(), seeds());
    for seed in &seeds {
        check_packet(&view, seed);
    }
    let mut random = Random(0x5eed_0001);
    for _ in 0..SPOILED {
        let mut packet = seeds[random.below(seeds.len())].clone();
        spoil(&mut packet, &mut random);
        check_packet(&view, &packet);
    }
}

#[test]
fn every_cut_of_every_seed_is_answered_or_dropped() {
    let view = view();
    for seed in seeds() {
        for end in 0..seed.len() {
            check_packet(&view, &seed[..end]);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_octets_are_answered_or_dropped(packet in prop::collection::vec(any::<u8>(), 0..600)) {
        check_packet(&view(), &packet);
    }

    /// Names made of the zone's own labels, so that most of them meet something.
    #[test]
    fn random_questions_are_answered(
        labels in prop::collection::vec(
            prop::sample::select(vec![
                "hello", "www", "sub", "old", "wild", "fn", "*", "alias", "loop", "deep", "empty",
                "ns", "nobody",
            ]),
            0..5,
        ),
        record_type in prop_oneof![any::<u16>(), prop::sample::select(vec![1, 2, 5, 16, 28, 43, 255])],
        subnet in any::<(bool, u32, u8)>(),
    ) {
        let name = format!("{}.edge.example", labels.join("."));
        let mut ask = Ask::new(&name, RecordType(record_type));
        let (has_subnet, ip, len) = subnet;
        if has_subnet {
            let len = len % 33;
            let ip = ip & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
            ask = ask.subnet(&format!("{}/{len}", std::net::Ipv4Addr::from(ip)));
        }
        let view = view();
        check_packet(&view, &ask.packet());
        // Nothing that is asked for properly is a malformed message, and only what is in the zone is ours.
        let answer = ask.answer(&view);
        prop_assert_eq!(answer.starts_with("FORMERR"), record_type == 41, "{}", answer);
    }
}
