use super::{Histogram, bucket, upper_bound_ns};

#[test]
fn every_value_is_at_most_its_buckets_bound_and_within_a_sixteenth() {
    for value in (0..2_000_u64).chain((11..60).map(|bits| (1 << bits) + 12_345)) {
        let bound = upper_bound_ns(bucket(value));
        assert!(bound >= value && bound - value <= value / 16, "{value}: {bound}");
    }
}

#[test]
fn quantiles_of_a_thousand_different_values() {
    let mut histogram = Histogram::default();
    (1..=1000).for_each(|us| histogram.record(us * 1000));
    let near = |found: u64, wanted: u64| found >= wanted && found - wanted <= wanted / 16;
    assert!(near(histogram.quantile_ns(500), 500_000));
    assert!(near(histogram.quantile_ns(990), 990_000));
    assert!(near(histogram.quantile_ns(1000), 1_000_000));
    assert_eq!(Histogram::default().quantile_ns(500), 0);
}
