//! Gateway API's table of prefix replacements, and redirects.

use super::*;

fn at(path: &str, matched_octets: usize) -> Location<'_> {
    Location { scheme: Scheme::Http, host: "a.example", path, matched_octets, query: None }
}

#[test]
fn prefixes_are_replaced_as_in_the_specification() {
    // (path, octets matched, replacement, result); the matched prefix is `/foo` or `/`.
    let cases = [
        ("/foo/bar", 4, "/xyz", "/xyz/bar"),
        ("/foo/bar", 4, "/xyz/", "/xyz/bar"),
        ("/foo", 4, "/xyz", "/xyz"),
        ("/foo/", 4, "/xyz", "/xyz/"),
        ("/foo/bar", 4, "", "/bar"),
        ("/foo/", 4, "", "/"),
        ("/foo", 4, "", "/"),
        ("/foo/", 4, "/", "/"),
        ("/foo", 4, "/", "/"),
        ("/bar", 0, "/xyz", "/xyz/bar"),
        ("/", 0, "/xyz", "/xyz/"),
    ];
    for (path, matched, with, result) in cases {
        let rewrite = PathRewrite::ReplacePrefix(with.into());
        assert_eq!(target(&rewrite, None, &at(path, matched)), result, "{path} {with}");
    }
    let full = PathRewrite::ReplaceFull("/one".into());
    let asked = Location { query: Some("q=1"), ..at("/two/three", 4) };
    assert_eq!(target(&full, None, &asked), "/one?q=1");
}

#[test]
fn redirects_name_only_ports_that_need_it() {
    let none = Redirect { scheme: None, hostname: None, port: None, path: None, status: 302 };
    let cases = [
        (none.clone(), "http://a.example:8080/p"),
        (Redirect { scheme: Some("https".into()), ..none.clone() }, "https://a.example/p"),
        (Redirect { port: Some(80), ..none.clone() }, "http://a.example/p"),
        (
            Redirect { scheme: Some("https".into()), port: Some(8443), ..none.clone() },
            "https://a.example:8443/p",
        ),
        (
            Redirect { hostname: Some("b.example".into()), ..none.clone() },
            "http://b.example:8080/p",
        ),
        (
            Redirect { path: Some(PathRewrite::ReplacePrefix("/q".into())), ..none.clone() },
            "http://a.example:8080/q",
        ),
    ];
    assert_eq!(redirect(&none, &at("/p", 2), Some(80)), "http://a.example/p");
    assert_eq!(redirect(&none, &at("/p", 2), None), "http://a.example/p");
    for (document, location) in cases {
        assert_eq!(redirect(&document, &at("/p", 2), Some(8080)), location, "{document:?}");
    }
}

#[test]
fn captures_are_filled_in_as_ingress_controllers_do() {
    let fill = |pattern: &str, text: &str, path: &str| {
        let captures = Captures::compile(pattern).unwrap();
        let rewrite = PathRewrite::ReplaceCaptures(text.into());
        target(&rewrite, Some(&captures), &at(path, 0))
    };
    for (pattern, text, path, result) in [
        ("/something(/|$)(.*)", "/$2", "/something/new", "/new"),
        ("/something(/|$)(.*)", "/$2", "/something", "/"),
        ("/something(/|$)(.*)", "/$2", "/Something/New", "/New"),
        ("/v([0-9]+)/(.*)", "/api/$2/$1/$3/$10", "/v7/a/b", "/api/a/b/7//"),
        ("/x", "/cost$", "/x", "/cost$"),
        ("/x", "no-slash", "/x", "/no-slash"),
        ("/x(.*)", "/$1", "/elsewhere", "/"),
    ] {
        assert_eq!(fill(pattern, text, path), result, "{pattern} {text} {path}");
    }
    assert!(Captures::compile("(").is_none());
    assert!(Captures::compile(&"(a{1000}){1000}".repeat(9)).is_none(), "bounded");
}
