use crate::document::{SourceFile, load};

#[track_caller]
fn check(text: &str, expected: &str) {
    let files = [SourceFile { path: "a.yaml".into(), text: text.into() }];
    let found = load(&files).unwrap_err();
    let found = found.iter().find(|found| found.message.starts_with("bad YAML")).unwrap();
    assert!(found.help.contains(expected), "{found}");
}

#[test]
fn usual_slips_are_told_by_their_cause() {
    check("a:\n\tb: 1\n", "tabs");
    check("a: \"open\n", "close the quote");
    check("a: 'open\n---\n", "close the quote");
    check("a: \"\\d\"\n", "backslash");
    check("a: {b: 1\n", "`}`");
    check("a: [b\n", "`]`");
    check("a: ]\n", "bracket");
    check("a: b: c\n", "quotes");
    check("a: *b\n", "anchor");
    check("a: @b\n", "quotes");
    check("  a: 1\n b: 2\n", "column");
    check("a: 1\nb\n", "key: value");
}
