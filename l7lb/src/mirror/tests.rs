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
    (MirrorRule::compile(&mirror, (&"rule".into(), 0), &mut around), notes)
}

#[test]
fn the_share_holds_over_any_few_hundred_requests() {
    for (numerator, denominator, wanted) in [
        (0, 100, 0),
        (20, 100, 100),
        (35, 100, 175),
        (25, 50, 250),
        (100, 100, 500),
        (3, 2, 500),
        (1, 0, 500),
    ] {
        let rule = compile(Target::Cluster(3), (numerator, denominator)).0.unwrap();
        assert_eq!(rule.cluster, 3);
        for round in 0..100 {
            let drawn = (0..500).filter(|_| rule.draws()).count();
            assert!(drawn.abs_diff(wanted) <= 2, "{numerator}/{denominator} {round}: {drawn}");
        }
    }
}

#[test]
fn a_mirror_to_nothing_is_left_out_and_said() {
    let (rule, notes) = compile(Target::Broken, (1, 1));
    assert!(rule.is_none());
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
