use steering::Health;

use super::*;

fn snapshot() -> Snapshot {
    Snapshot { policy: Arc::default(), map: Arc::default(), ..Snapshot::default() }
}

fn build(snapshot: &Snapshot) -> View {
    View::build(snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

#[test]
fn zones_are_rendered_again_for_another_policy_alone() {
    let first = snapshot();
    let view = build(&first);
    let healthier = Snapshot { health: Arc::new(Health::default()), ..first };
    let next = view.next(&healthier).expect("a view");
    assert!(Arc::ptr_eq(&next.zones, &view.zones));
    assert!(Arc::ptr_eq(&next.snapshot().health, &healthier.health));

    let remapped = Snapshot { map: Arc::default(), ..healthier };
    assert!(Arc::ptr_eq(&next.next(&remapped).expect("a view").zones, &view.zones));

    let changed = Snapshot { policy: Arc::default(), ..remapped };
    assert!(!Arc::ptr_eq(&next.next(&changed).expect("a view").zones, &view.zones));
}

#[test]
fn a_map_of_another_policy_is_not_served() {
    let mut mismatched = snapshot();
    mismatched.policy_generation.counter = 3;
    let wanted = ViewError::OtherPolicy { map: 0, policy: 3 };
    let built = View::build(&mismatched, Settings::default(), &RandomState::new());
    assert_eq!(built.expect_err("a mismatch"), wanted);
    assert_eq!(build(&snapshot()).next(&mismatched).expect_err("a mismatch"), wanted);
    assert_eq!(wanted.to_string(), "the map is of policy generation 0, the policy of 3");
}

#[test]
fn serials_rise_with_generations() {
    let generations = [(0, 1), (0, 2), (0, 1 << 20), (1, 0), (1, 7), (2, 0), (100, 1 << 33)];
    let serials: Vec<u32> =
        generations.map(|(epoch, counter)| serial(Generation { epoch, counter })).to_vec();
    assert_eq!(serials[..2], [1, 2]);
    assert_eq!(serials[4], (1 << 24) + 7);
    assert!(serials.is_sorted_by(|a, b| a < b), "{serials:?}");
}

#[test]
fn settings_are_kept_within_their_bounds() {
    let bounded = |udp_octets_max, nsid: usize| {
        let settings = Settings { udp_octets_max, nsid: vec![b'n'; nsid], ..Settings::default() };
        let view = View::build(&snapshot(), settings, &RandomState::new()).expect("a view");
        (view.settings.udp_octets_max, view.settings.nsid.len())
    };
    assert_eq!(bounded(100, 0), (512, 0));
    assert_eq!(bounded(65_535, 1_000), (4096, 64));
    assert_eq!(bounded(1400, 10), (1400, 10));
}
