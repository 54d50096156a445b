use super::*;

fn check(word: &str, expected: Option<&str>) {
    let known = ["tier", "location", "isps", "addresses", "capacity", "drain", "l7", "gd-ct-1"];
    assert_eq!(nearest(word, known.into_iter()), expected, "{word}");
}

#[test]
fn slips_find_their_word() {
    check("teir", Some("tier"));
    check("Tier", Some("tier"));
    check("adresses", Some("addresses"));
    check("locations", Some("location"));
    check("gd-ct-2", Some("gd-ct-1"));
}

#[test]
fn other_words_find_nothing() {
    check("colour", None);
    check("x", None);
    check("", None);
    check(&"a".repeat(100_000), None);
}

#[test]
fn without_a_near_word_all_are_listed() {
    assert_eq!(help_for("zzz", "fields here", ["a", "b"]), "fields here: `a`, `b`");
    assert_eq!(help_for("zzz", "sites", []), "sites: none");
}
