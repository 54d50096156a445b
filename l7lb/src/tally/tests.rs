//! What a scrape sees.

use super::*;

#[test]
fn kinds_are_counted_apart_and_written_in_order() {
    let tally = Tally::new(["version", "resumed"]);
    for kind in [["1.3", "no"], ["1.2", "no"], ["1.3", "yes"], ["1.3", "no"]] {
        tally.count(kind);
    }
    let mut text = String::new();
    tally.write("x_total", &SiteName::new("here").unwrap(), &mut text);
    assert_eq!(
        text,
        "x_total{site=\"here\",version=\"1.2\",resumed=\"no\"} 1\n\
         x_total{site=\"here\",version=\"1.3\",resumed=\"no\"} 2\n\
         x_total{site=\"here\",version=\"1.3\",resumed=\"yes\"} 1\n"
    );
}
