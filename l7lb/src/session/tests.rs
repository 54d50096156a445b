use proptest::prelude::*;

use super::*;

fn rule(carrier: SessionCarrier, absolute_s: Option<u32>, idle_s: Option<u32>) -> SessionRule {
    let session = SessionPersistence {
        name: Some("stay".into()),
        carrier,
        absolute_timeout_s: absolute_s,
        idle_timeout_s: idle_s,
    };
    SessionRule::compile(&session, &"httproute/ns/r#0".into()).unwrap()
}

fn cookies(line: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_str(line).unwrap())])
}

/// The cookie pair of a `Set-Cookie`.
fn pair(written: Option<(HeaderName, HeaderValue)>) -> String {
    let (name, value) = written.unwrap();
    assert_eq!(name, header::SET_COOKIE);
    value.to_str().unwrap().split(';').next().unwrap().to_owned()
}

const ONE: &str = "192.0.2.7:8080";

#[test]
fn a_session_comes_back_to_its_endpoint_until_it_is_over() {
    let key = SessionKey::default();
    let tag = key.tag(ONE.parse().unwrap());
    let rule = rule(SessionCarrier::PermanentCookie, Some(1_000), Some(100));
    let first = rule.write(None, tag, &key, (5_000, true)).unwrap().1;
    let first = first.to_str().unwrap();
    assert!(first.ends_with("; Path=/; HttpOnly; Max-Age=1000; Secure"), "{first}");
    assert!(!first.contains("192.0.2.7"), "{first}");
    let line = pair(rule.write(None, tag, &key, (5_000, true)));
    let read = |line: &str, now| rule.read(&cookies(line), &key, now);
    let session = Session { tag, issued_s: 5_000, seen_s: 5_000 };
    assert_eq!(read(&format!("other=1; {line}"), 5_100), Some(session));
    assert_eq!(read(&line, 5_101), None, "idle for too long");
    // Renewed once a tenth of the idle time has passed; the absolute end stays.
    assert_eq!(rule.write(Some(session), tag, &key, (5_009, true)), None);
    let renewed = pair(rule.write(Some(session), tag, &key, (5_950, true)));
    assert_eq!(read(&renewed, 6_000).map(|s| (s.issued_s, s.seen_s)), Some((5_000, 5_950)));
    assert_eq!(read(&renewed, 6_001), None, "older than the absolute timeout");
    // Another endpoint served: a new session.
    let other = key.tag("192.0.2.8:8080".parse().unwrap());
    let moved = pair(rule.write(Some(session), other, &key, (5_050, true)));
    assert_eq!(read(&moved, 5_060).map(|s| (s.tag, s.issued_s)), Some((other, 5_050)));
}

#[test]
fn a_session_cookie_lives_without_timeouts_and_is_written_once() {
    let key = SessionKey::default();
    let tag = key.tag(ONE.parse().unwrap());
    let rule = rule(SessionCarrier::SessionCookie, None, None);
    let line = pair(rule.write(None, tag, &key, (1, false)));
    let session = rule.read(&cookies(&line), &key, u32::MAX);
    assert_eq!(session.map(|s| s.tag), Some(tag));
    assert_eq!(rule.write(session, tag, &key, (u32::MAX, false)), None);
}

#[test]
fn a_header_carries_the_bare_token() {
    let key = SessionKey::default();
    let tag = key.tag(ONE.parse().unwrap());
    let rule = rule(SessionCarrier::Header, None, None);
    let (name, value) = rule.write(None, tag, &key, (1, false)).unwrap();
    assert_eq!(name, "stay");
    let headers = HeaderMap::from_iter([(name, value)]);
    assert_eq!(rule.read(&headers, &key, 2).map(|s| s.tag), Some(tag));
}

#[test]
fn tokens_of_other_keys_and_rules_are_none() {
    let (key, other_key) = (SessionKey::default(), SessionKey::default());
    let tag = key.tag(ONE.parse().unwrap());
    let mine = rule(SessionCarrier::SessionCookie, None, None);
    let line = pair(mine.write(None, tag, &key, (1, false)));
    assert!(mine.read(&cookies(&line), &key, 1).is_some());
    assert_eq!(mine.read(&cookies(&line), &other_key, 1), None);
    let other = SessionRule { scope: "httproute/ns/r#1".into(), ..mine };
    assert_eq!(other.read(&cookies(&line), &key, 1), None);
}

#[test]
fn names_that_are_no_tokens_are_refused() {
    for name in ["", "a b", "a;b", "a=b", "ü"] {
        let session = SessionPersistence {
            name: Some(name.into()),
            carrier: SessionCarrier::SessionCookie,
            absolute_timeout_s: None,
            idle_timeout_s: None,
        };
        assert_eq!(SessionRule::compile(&session, &"r".into()), None, "{name:?}");
    }
}

proptest! {
    #[test]
    fn no_forged_token_is_a_session(token in "[A-Za-z0-9_=-]{0,60}", flip in 0_usize..43) {
        let key = SessionKey::default();
        let rule = rule(SessionCarrier::SessionCookie, None, None);
        prop_assert_eq!(rule.read(&cookies(&format!("stay={token}")), &key, 1), None);
        let genuine = pair(rule.write(None, key.tag(ONE.parse().unwrap()), &key, (1, false)));
        let mut octets = genuine.into_bytes();
        let at = "stay=".len() + flip;
        octets[at] = if octets[at] == b'A' { b'B' } else { b'A' };
        let line = String::from_utf8(octets).unwrap();
        prop_assert_eq!(rule.read(&cookies(&line), &key, 1), None);
    }
}
