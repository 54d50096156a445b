use super::total;

#[test]
fn the_total_is_the_last_one_or_the_summary() {
    assert_eq!(total("events: Ir\nsummary: 12\nfn=(1) a\n+1 5\ntotals: 34\n"), Some(34));
    assert_eq!(total("events: Ir\nsummary: 12\n"), Some(12));
    assert_eq!(total("events: Ir\n"), None);
    assert_eq!(total("totals: many\n"), None);
}
