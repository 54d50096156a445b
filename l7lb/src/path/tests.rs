//! Paths: refused spellings and the normal form.

use proptest::prelude::*;

use super::*;

#[test]
fn dot_segments_are_refused_in_every_spelling() {
    let refused = [
        "/..",
        "/.",
        "/../",
        "/./a",
        "/a/..",
        "/a/../b",
        "/%2e",
        "/%2E%2e/",
        "/.%2e/a",
        "/a/%2e./b",
        "/a%2f..",
        "/..%2fa",
        "/..%5ca",
        "/a/..;x=y/b",
        "/.;/a",
        "/%00",
        "/a%0",
        "/a%zz",
        "/%",
    ];
    for path in refused {
        assert_eq!(judge(path), Err(Fault::Path), "{path}");
    }
    for path in ["/a b", "/a\\b", "/a\"", "/a<b>", "/a#b", "/\u{e9}", "/a\u{7f}"] {
        assert_eq!(judge(path), Err(Fault::Target), "{path}");
    }
}

#[test]
fn honest_paths_pass() {
    let honest = [
        "/",
        "",
        "/.well-known/acme",
        "/a.b/..c/c..",
        "/...",
        "/a%20b",
        "/a%2fb",
        "//double",
        "/web/https://example.com/",
        "/a?x=../..&y=%zz",
        "/a;v=1/b",
        "/{id}|x^y`z",
        "/%25",
    ];
    for path in honest {
        assert_eq!(judge(path), Ok(()), "{path}");
    }
}

#[test]
fn the_normal_form_undoes_what_means_nothing() {
    let cases = [
        ("/a/b", "/a/b"),
        ("//a///b/", "/a/b/"),
        ("/%61dmin", "/admin"),
        ("/a%2fb", "/a%2fb"),
        ("/a%20%7e", "/a%20~"),
        ("/%2e_%2D", "/._-"),
    ];
    for (path, normal) in cases {
        assert_eq!(normalise(path), normal, "{path}");
    }
    assert!(matches!(normalise("/plain"), Cow::Borrowed(_)));
}

proptest! {
    #[test]
    fn a_normal_form_is_its_own(path in "/([a-c./%;]|%2[eEfF]|%6[1-5]|//){0,12}") {
        if judge(&path).is_ok() {
            let once = normalise(&path).into_owned();
            prop_assert_eq!(normalise(&once), once.as_str());
            prop_assert_eq!(judge(&once), Ok(()));
        }
    }

    #[test]
    fn nothing_panics(path in any::<String>()) {
        let _ = judge(&path);
        let _ = normalise(&path);
    }
}
