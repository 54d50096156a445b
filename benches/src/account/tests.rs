use super::{Account, forget_peak, kib, parent, peak_rss_kib, reaped_ticks, ticks};

const STAT: &str = "42 (a (b) c) S 7 42 42 0 -1 4194560 1 0 0 0 15 3 40 2 20 0 1 0 100 1 1";

#[test]
fn a_name_with_parentheses_does_not_shift_the_fields() {
    assert_eq!(ticks(STAT), Some((15, 3)));
    assert_eq!(reaped_ticks(STAT), Some(42));
    assert_eq!(parent(STAT), Some(7));
    assert_eq!(ticks("42 (cut"), None);
}

#[test]
fn memory_is_read_from_its_line() {
    assert_eq!(kib("Name:\tx\nVmRSS:\t    5120 kB\nVmSwap:\t 0 kB\n", "VmRSS:"), Some(5120));
    assert_eq!(kib("Name:\tx\n", "VmRSS:"), None);
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

#[test]
fn a_peak_is_forgotten_when_asked() {
    let pid = std::process::id();
    let octets = 64 << 20;
    let filled = vec![1_u8; octets];
    assert_eq!(
        filled.iter().step_by(4096).map(|&one| usize::from(one)).sum::<usize>(),
        octets >> 12
    );
    drop(filled);
    let before = peak_rss_kib(pid).unwrap();
    assert!(before >= 64 << 10);
    forget_peak(pid).unwrap();
    assert!(peak_rss_kib(pid).unwrap() < before, "the block was given back");
}
