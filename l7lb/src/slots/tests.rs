use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[test]
fn an_edit_copies_one_chunk() {
    let mut slots = Slots::default();
    for thing in 0..200_u32 {
        assert_eq!(slots.insert(thing), thing);
    }
    let before = slots.clone();
    slots.replace(70, 7);
    let shared: Vec<bool> =
        slots.chunks.iter().zip(&before.chunks).map(|(a, b)| Arc::ptr_eq(a, b)).collect();
    assert_eq!(shared, [true, false, true, true]);
    assert_eq!((slots.get(70), before.get(70), slots.get(71)), (Some(&7), Some(&70), Some(&71)));
    assert_eq!((slots.get(200), slots.get(u32::MAX)), (None, None));
}

proptest! {
    #[test]
    fn numbers_stay_while_their_things_do(
        steps in proptest::collection::vec((any::<bool>(), 0..200_u32), 0..300),
    ) {
        let (mut slots, mut held) = (Slots::default(), BTreeMap::new());
        for (thing, (is_removal, number)) in (0_u32..).zip(steps) {
            if is_removal {
                slots.remove(number);
                held.remove(&number);
            } else {
                let number = slots.insert(thing);
                prop_assert_eq!(held.insert(number, thing), None, "the number was free");
            }
        }
        prop_assert_eq!(slots.iter().copied().collect::<Vec<_>>(), held.values().copied().collect::<Vec<_>>());
        for (number, thing) in &held {
            prop_assert_eq!(slots.get(*number), Some(thing));
        }
    }
}
