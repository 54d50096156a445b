//! Hosts and what is none.

use super::*;

fn check(authority: &str) -> Option<(String, Option<u16>)> {
    parse(authority).map(|host| (host.name.into_owned(), host.port))
}

#[test]
fn hosts_come_out_in_one_spelling() {
    let cases = [
        ("a.example", "a.example", None),
        ("A.Example:8080", "a.example", Some(8080)),
        ("a.example.", "a.example", None),
        ("a_b.example:1", "a_b.example", Some(1)),
        ("127.0.0.1:80", "127.0.0.1", Some(80)),
        ("[2001:DB8::1]:443", "[2001:db8::1]", Some(443)),
    ];
    for (authority, name, port) in cases {
        assert_eq!(check(authority), Some((name.to_owned(), port)), "{authority}");
    }
}

#[test]
fn what_parsers_disagree_on_is_no_host() {
    let long = "a".repeat(300);
    let cases = [
        "",
        ":80",
        "a:",
        "a:80:90",
        "a:x",
        "a:99999",
        "u@a",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "a,b",
        "a%2eb",
        "a..b",
        ".",
        "[::1",
        "[::1]x",
        "[a]",
        "\u{e9}.example",
        "a\\b",
        &long,
    ];
    for authority in cases {
        assert_eq!(check(authority), None, "{authority}");
    }
}
