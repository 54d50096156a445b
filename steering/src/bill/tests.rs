//! Bills: their sums and how they read.

use super::{Bill, Ms, UNKNOWN_DISTANCE_M};

#[test]
fn the_prior_is_the_fitted_line() {
    assert_eq!(Bill::prior(0).total_us(), 8_200);
    assert_eq!(Bill::prior(1_000_000).total_us(), 8_200 + 18_700);
    // Rounded to the nearest microsecond: 27 m are half of one.
    assert_eq!((Bill::prior(26).distance_us, Bill::prior(27).distance_us), (0, 1));
    assert_eq!(Bill::prior(UNKNOWN_DISTANCE_M).total_us(), 195_341);
}

#[test]
fn a_sum_never_falls_below_zero_nor_wraps() {
    let bill = Bill { residual_us: i32::MIN, ..Bill::prior(0) };
    assert_eq!(bill.total_us(), 0);
    let bill = Bill { carrier_us: u32::MAX, border_us: u32::MAX, ..Bill::prior(0) };
    assert_eq!(bill.total_us(), u32::MAX);
}

#[test]
fn a_bill_reads_as_a_sum() {
    let bill = Bill { carrier_us: 20_000, ..Bill::prior(166_000) };
    assert_eq!(
        bill.to_string(),
        "31.3 ms = 8.2 base + 3.1 distance (166 km) + 0 measured + 20 carrier + 0 border"
    );
    let bill = Bill { residual_us: -4_560, border_us: 10_000, ..Bill::prior(UNKNOWN_DISTANCE_M) };
    assert_eq!(
        bill.to_string(),
        "200.8 ms = 8.2 base + 187.1 distance (place unknown) - 4.6 measured + 0 carrier + 10 border"
    );
}

#[test]
fn milliseconds_have_one_decimal_at_most() {
    let read = |us| Ms(us).to_string();
    assert_eq!(
        [0, 49, 50, 949, 950, -49, -950].map(read),
        ["0", "0", "0.1", "0.9", "1", "0", "-1"]
    );
}
