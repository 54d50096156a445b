use proptest::prelude::*;

use super::*;
use crate::Policy;
use crate::document::{SourceFile, load};

/// A policy with something of everything: the golden run that has every field of every kind.
fn policy() -> Policy {
    let file = |path: &str, text: &str| SourceFile { path: path.into(), text: text.into() };
    let files = [
        file("nearside.yaml", include_str!("../../tests/golden/whole/nearside.yaml")),
        file("edge.example.zone", include_str!("../../tests/golden/whole/edge.example.zone")),
    ];
    load(&files).unwrap().policy
}

#[test]
fn a_policy_comes_back_as_it_was() {
    let policy = policy();
    assert!(!policy.services.is_empty() && !policy.zones.is_empty() && !policy.sites.is_empty());
    let frame = encode(&policy).unwrap();
    assert_eq!(decode::<Policy>(&frame).unwrap(), policy);
}

#[test]
fn every_torn_frame_is_refused() {
    let frame = encode(&policy()).unwrap();
    for length in 0..frame.len() {
        assert!(decode::<Policy>(&frame[..length]).is_err(), "{length}");
    }
    let longer = [&frame[..], b"x"].concat();
    assert!(matches!(decode::<Policy>(&longer), Err(CodecError::Torn { .. })));
}

#[test]
fn refusals_say_why() {
    let frame = encode(&7_u32).unwrap();
    let changed = |at: usize, value: u8| {
        let mut frame = frame.clone();
        frame[at] = value;
        decode::<u32>(&frame)
    };
    assert!(matches!(changed(0, b'X'), Err(CodecError::BadMagic)));
    let newer = changed(8, u8::try_from(FORMAT).unwrap() + 1);
    assert!(matches!(newer, Err(CodecError::BadFormat { found }) if found == FORMAT + 1));
    assert!(matches!(changed(17, 0xff), Err(CodecError::TooLarge)));
    assert!(matches!(changed(10, 200), Err(CodecError::Torn { wanted: 200, .. })));
    assert!(matches!(changed(frame.len() - 1, 8), Err(CodecError::Damaged)));
    assert!(matches!(decode::<u32>(b"{\"json\": true}"), Err(CodecError::BadMagic)));
    assert!(matches!(decode::<u32>(b""), Err(CodecError::Torn { .. })));
    assert!(matches!(decode::<String>(&frame), Err(CodecError::Payload(_))));
}

proptest! {
    #[test]
    fn every_flipped_bit_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut frame = encode(&policy()).unwrap();
        let at = at.index(frame.len());
        frame[at] ^= 1 << bit;
        prop_assert!(decode::<Policy>(&frame).is_err());
    }

    #[test]
    fn any_octets_are_refused(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode::<Policy>(&octets).is_err());
    }
}
