use super::{Round, Slice, judge, median};

fn slice(cpu_us_each: u64) -> Slice {
    Slice {
        operations: 1000,
        cpu_ns: cpu_us_each * 1_000_000,
        user_ns: cpu_us_each * 250_000,
        failed: 1,
        wrong: 0,
        elapsed_ns: 500_000_000,
    }
}

#[test]
fn a_ratio_is_against_the_slices_around_it() {
    // The machine becomes twice as slow from round to round; the ratio does not move.
    let round = |weather: u64| Round {
        reference: vec![slice(2 * weather), slice(4 * weather), slice(4 * weather)],
        contenders: vec![
            ("a".to_owned(), slice(6 * weather)),
            ("b".to_owned(), slice(2 * weather)),
        ],
    };
    let verdicts = judge(&[round(1), round(2), round(4)], "floor");
    assert_eq!(verdicts["a"].ratio.to_bits(), 2.0_f64.to_bits());
    assert_eq!(verdicts["a"].ratio_range, (2.0, 2.0));
    assert_eq!(verdicts["b"].ratio.to_bits(), 0.5_f64.to_bits());
    assert_eq!(verdicts["a"].cpu_ns_each.to_bits(), 12_000.0_f64.to_bits());
    assert_eq!(verdicts["a"].user_ns_each.to_bits(), 3_500.0_f64.to_bits());
    assert_eq!(verdicts["a"].per_second.to_bits(), 2_000.0_f64.to_bits());
    let a = &verdicts["a"];
    assert_eq!((a.operations, a.failed, a.wrong, a.slices), (3000, 3, 0, 3));
    assert_eq!(verdicts["floor"].slices, 6);
    assert_eq!(verdicts["floor"].ratio_range, (0.5, 1.0));
}

#[test]
fn medians() {
    assert_eq!(median(&[3.0, 1.0, 2.0]).to_bits(), 2.0_f64.to_bits());
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]).to_bits(), 2.5_f64.to_bits());
    assert!(median(&[]).is_nan());
}
