use proptest::prelude::*;

use super::*;

#[test]
fn weights_of_nothing_have_no_place() {
    assert_eq!(place(0, [].into_iter()), None);
    assert_eq!(place(u64::MAX, [0, 0].into_iter()), None);
    assert_eq!(place(u64::MAX, [1, 0].into_iter()), Some(0));
    assert_eq!(place(0, [0, 1].into_iter()), Some(1));
}

proptest! {
    /// The conformance suite sends 500 requests and allows five points; half of that is kept here.
    #[test]
    fn five_hundred_turns_in_a_row_keep_to_the_weights(
        weights in prop::collection::vec(0_u32..1_000_000, 1..6), start: u32,
    ) {
        let total: u64 = weights.iter().copied().map(u64::from).sum();
        prop_assume!(total > 0);
        let turns = Turns(AtomicU32::new(start));
        let mut counts = vec![0_u32; weights.len()];
        for _ in 0..500 {
            counts[place(turns.next(), weights.iter().copied()).unwrap()] += 1;
        }
        for (weight, count) in weights.iter().zip(counts) {
            let wanted = f64::from(*weight) * 500.0 / f64::from(u32::try_from(total).unwrap());
            prop_assert!((f64::from(count) - wanted).abs() <= 12.5, "{} for {}", count, wanted);
        }
    }
}
