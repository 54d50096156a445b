use super::{Account, parent, rss_kib, ticks};

const STAT: &str = "42 (a (b) c) S 7 42 42 0 -1 4194560 1 0 0 0 15 3 0 0 20 0 1 0 100 1 1";

#[test]
fn a_name_with_parentheses_does_not_shift_the_fields() {
    assert_eq!(ticks(STAT), Some((15, 3)));
    assert_eq!(parent(STAT), Some(7));
    assert_eq!(ticks("42 (cut"), None);
}

#[test]
fn memory_is_read_from_its_line() {
    assert_eq!(rss_kib("Name:\tx\nVmRSS:\t    5120 kB\nVmSwap:\t 0 kB\n"), Some(5120));
    assert_eq!(rss_kib("Name:\tx\n"), None);
}

#[test]
fn this_process_uses_time() {
    let before = Account::of(std::process::id()).unwrap();
    let sum = (0..20_000_000_u64).fold(0, |sum, at| std::hint::black_box(sum ^ at));
    assert_ne!(std::hint::black_box(sum), 1);
    let spent = Account::of(std::process::id()).unwrap().since(&before);
    assert!(spent.run.as_micros() > 100, "{spent:?}");
    assert!(spent.rss_kib > 0);
}

#[test]
fn a_process_that_never_was_is_an_error() {
    assert!(Account::of(u32::MAX).is_err());
}
