use model::gateway::BackendTarget;
use model::name::ObjectRef;

use super::*;

fn compile(
    target: Target,
    (numerator, denominator): (u32, u32),
) -> (Option<MirrorRule>, Vec<String>) {
    let mirror = Mirror {
        backend: BackendTarget::service(ObjectRef::new("ns", "copy"), 80),
        numerator,
        denominator,
    };
    let mut notes = Vec::new();
    let mut around = Surroundings {
        target: &|_| target,
        material: &|_, _| None,
        kept: &crate::kept::Kept::default(),
        notes: &mut notes,
    };
    (MirrorRule::compile(&mirror, &mut around), notes)
}

#[test]
fn the_share_holds_over_all_random_numbers() {
    // 32 bits of randomness, walked in even steps.
    for (numerator, denominator, wanted) in [
        (0, 100, 0),
        (20, 100, 2_000),
        (50, 1_000, 500),
        (100, 100, 10_000),
        (3, 2, 10_000),
        (1, 0, 10_000),
    ] {
        let rule = compile(Target::Cluster(3), (numerator, denominator)).0.unwrap();
        assert_eq!(rule.cluster, 3);
        let drawn =
            (0..10_000_u64).filter(|at| rule.draws((at * (1 << 32) / 10_000) << 32)).count();
        // The steps are rounded, so the one at the edge may fall on either side.
        assert!(drawn.abs_diff(wanted) <= 1, "{numerator}/{denominator}: {drawn}");
    }
}

#[test]
fn a_mirror_to_nothing_is_left_out_and_said() {
    let (rule, notes) = compile(Target::Broken, (1, 1));
    assert_eq!(rule, None);
    assert_eq!(notes, ["requests are not mirrored to `ns/copy`, which cannot be used"]);
}

#[test]
fn bodies_are_copied_up_to_the_limit() {
    let request = RequestHeader::build("POST", b"/", None).unwrap();
    let mut copying = Copying::new(request, SmallVec::from_slice(&[1, 2]));
    let piece = Bytes::from(vec![7; BODY_OCTETS_MAX / 2]);
    assert!(copying.take(&piece));
    assert!(copying.take(&piece));
    assert!(!copying.take(&Bytes::from_static(b"x")));
    assert_eq!(copying.into_parts().1.len(), BODY_OCTETS_MAX);
}
