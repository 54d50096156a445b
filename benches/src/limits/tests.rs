use super::{Limits, Verdict};

const TEXT: &str = "# counted with care\nhit 1000\n\nmiss   200 # short\n";

fn check(name: &str, count: u64, wanted: Verdict) {
    assert_eq!(Limits::parse(TEXT).unwrap().judge(name, count), wanted, "{name} {count}");
}

#[test]
fn three_percent_either_way_is_the_tolerance() {
    check("hit", 1030, Verdict::Holds);
    check("hit", 1031, Verdict::Over);
    check("hit", 970, Verdict::Holds);
    check("hit", 969, Verdict::Loose);
    check("miss", 207, Verdict::Over);
    check("other", 1, Verdict::Missing);
}

#[test]
fn what_is_no_limit_is_refused_with_its_line() {
    let message = |text: &str| Limits::parse(text).unwrap_err().to_string();
    assert_eq!(message("hit 1\nhit"), "line 2: `hit` is not a name and a number");
    assert_eq!(message("hit many"), "line 1: `hit many` is not a name and a number");
    assert_eq!(message("hit 1\nhit 2"), "line 2: `hit` comes twice");
}

#[test]
fn rewriting_keeps_comments_and_drops_cases_that_are_gone() {
    let counts = vec![("hit".to_owned(), 900)];
    assert_eq!(Limits::rewrite(TEXT, &counts), "# counted with care\nhit 900\n");
    let limits = Limits::parse(TEXT).unwrap();
    assert_eq!(limits.unused(&counts).collect::<Vec<_>>(), ["miss"]);
}
