//! Hashes as `htpasswd` and `openssl passwd` write them.

use http::HeaderValue;

use super::*;

fn credentials(user: &str, password: &str) -> Credentials {
    let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
    let value = HeaderValue::from_str(&text).unwrap();
    Credentials::of(&HeaderMap::from_iter([(header::AUTHORIZATION, value)])).unwrap()
}

fn file() -> BasicAuth {
    let bcrypt = bcrypt::hash("secret", 4).unwrap();
    let file = format!(
        "# users\n\nann:{bcrypt}\n\
         bob:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n\
         cid:{{SHA}}W6ph5Mm5Pz8GgiULbPgzG37mj9g=\n"
    );
    BasicAuth::parse(file.as_bytes()).unwrap()
}

#[test]
fn the_three_kinds_of_hashes_are_checked() {
    let file = file();
    for (user, password, passes) in [
        ("ann", "secret", true),
        ("ann", "Secret", false),
        ("bob", "myPassword", true),
        ("bob", "mypassword", false),
        ("cid", "password", true),
        ("cid", "", false),
        ("dan", "secret", false),
        ("", "secret", false),
    ] {
        let given = credentials(user, password);
        assert_eq!(file.verify(&given), passes, "{user}:{password}");
        assert_eq!(file.remembers(&given), passes, "{user}:{password}");
    }
}

#[test]
fn apr1_agrees_with_openssl() {
    // openssl passwd -apr1 -salt SALT PASSWORD
    for (password, hash) in [
        ("", "$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie."),
        ("password", "$apr1$abcdefgh$FBwExRW4dCc8aL.OvjpIE1"),
        ("a longer password than sixteen octets", "$apr1$x$m8/8MGH6nxhELJ1cl5PHq1"),
    ] {
        assert_eq!(apr1::hash(password.as_bytes(), hash).as_deref(), Some(hash), "{password}");
    }
    assert_eq!(apr1::salt("$apr1$$HqJZimcKQFAMYayBlzkrA/"), None);
    assert_eq!(apr1::salt("$apr1$ninechars$HqJZimcKQFAMYayBlzkrA/"), None);
    assert_eq!(apr1::salt("$apr1$r31.....$short"), None);
}

#[test]
fn a_file_with_a_line_that_is_not_understood_is_refused() {
    let parse = |text: &[u8]| BasicAuth::parse(text).map(|_| ()).unwrap_err();
    for line in ["ann:secret", "ann", ":$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/", "ann:{SHA}AAAA"] {
        assert_eq!(parse(format!("\n{line}\n").as_bytes()), HtpasswdError::Line(2), "{line}");
    }
    // 2^31 rounds for every stranger.
    let costly = "ann:$2y$31$abcdefghijklmnopqrstuuxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
    assert_eq!(parse(costly.as_bytes()), HtpasswdError::Line(1));
    assert_eq!(parse(b"# nobody"), HtpasswdError::Empty);
    assert_eq!(parse(b"\xff"), HtpasswdError::Text);
}

#[test]
fn one_basic_credential_is_read() {
    let of = |lines: &[&str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::AUTHORIZATION, HeaderValue::from_str(line).unwrap());
        }
        Credentials::of(&headers).map(|given| (given.user, given.password))
    };
    let pair = |user: &str, password: &str| Some((user.to_owned(), password.as_bytes().to_vec()));
    assert_eq!(of(&["Basic YTpi"]), pair("a", "b"));
    assert_eq!(of(&["bAsIc YTpiOmM="]), pair("a", "b:c"));
    for none in [&[][..], &["Bearer YTpi"], &["Basic"], &["Basic !"], &["Basic YQ=="]] {
        assert_eq!(of(none), None, "{none:?}");
    }
    assert_eq!(of(&["Basic YTpi", "Basic YTpi"]), None);
    assert_eq!(of(&[&format!("Basic {}", STANDARD.encode("a:".repeat(600)))]), None);
}

#[test]
fn nothing_secret_is_shown() {
    assert_eq!(format!("{:?}", file()), "BasicAuth(3 users)");
    assert_eq!(format!("{:?}", credentials("ann", "secret")), "Credentials(..)");
}
