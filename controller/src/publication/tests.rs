use model::observe::Verdict;

use super::*;
use crate::fixture::{self, generation};

fn small() -> Publication {
    fixture::publication(fixture::policy(&["a", "b"], &["x.edge.example"]), [3, 5, 9])
}

#[test]
fn a_part_survives_its_frame_and_nothing_else_does() {
    let part = small().health;
    let read = Part::<Health>::decode(part.frame.clone()).unwrap();
    assert_eq!((read.generation, read.policy_generation), (generation(1, 9), generation(1, 3)));
    assert_eq!(read.value, part.value);
    // Every bit of the frame counts.
    for at in 0..part.frame.len() {
        for bit in 0..8 {
            let mut flipped = part.frame.to_vec();
            flipped[at] ^= 1 << bit;
            Part::<Health>::decode(flipped.into()).unwrap_err();
        }
        Part::<Health>::decode(part.frame.slice(..at)).unwrap_err();
    }
}

#[test]
fn a_frame_of_another_channel_is_not_taken() {
    let publication = small();
    Part::<Policy>::decode(publication.health.frame.clone()).unwrap_err();
    Part::<SteeringMap>::decode(publication.health.frame.clone()).unwrap_err();
    Part::<Health>::decode(publication.map.frame).unwrap_err();
}

#[test]
fn parts_must_belong_together() {
    let good = small();
    good.verify().unwrap();
    let other = fixture::publication(fixture::policy(&["a", "b"], &["x.edge.example"]), [4, 6, 10]);
    let mixed = Publication { policy: other.policy, ..good.clone() };
    let (wanted, found) = (generation(1, 4), generation(1, 3));
    let channel = Channel::Map;
    assert_eq!(mixed.verify(), Err(Mismatch::Policy { channel, wanted, found }));
    let mixed = Publication { map: other.map, ..good.clone() };
    let (wanted, found) = (generation(1, 3), generation(1, 4));
    assert_eq!(mixed.verify(), Err(Mismatch::Policy { channel, wanted, found }));
    let three = Health { sites: vec![Verdict::Up; 3], ..(*good.health.value).clone() };
    let long = fixture::with_health(&good, 10, three);
    assert_eq!(long.verify(), Err(Mismatch::Shape(Channel::Health)));
}

#[test]
fn an_offer_brings_what_is_newer_and_what_a_new_policy_renumbers() {
    let now = small();
    let brings = |have: Have| {
        let offer = now.offer(&have)?;
        Some([offer.policy.is_some(), offer.map.is_some(), offer.health.is_some()])
    };
    assert_eq!(brings(Have::default()), Some([true; 3]));
    assert_eq!(brings(now.have()), None);
    let older_health = Have { health: generation(1, 8), ..now.have() };
    assert_eq!(brings(older_health), Some([false, false, true]));
    let older_policy = Have { policy: generation(1, 2), ..now.have() };
    assert_eq!(brings(older_policy), Some([true; 3]), "ids may have moved");
    let ahead = Have { health: generation(2, 1), ..now.have() };
    assert_eq!(brings(ahead), None, "nobody goes back");
}
