//! A thing that changes once.

use super::*;

#[test]
fn a_version_is_right_from_its_sending_until_the_next_is_seen() {
    let line = Timeline::default();
    let early = line.begin();
    assert_eq!(line.right(early), 0..=0);
    assert_eq!(line.send(), 1);
    // On its way: both.
    let between = line.begin();
    assert_eq!(line.right(early), 0..=1);
    assert_eq!(line.right(between), 0..=1);
    line.settle();
    // Who asked before it was seen may still get the old one, who asks now may not.
    assert_eq!(line.right(between), 0..=1);
    assert_eq!(line.right(line.begin()), 1..=1);
}
