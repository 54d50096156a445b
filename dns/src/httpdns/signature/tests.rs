use super::*;

const NOW_S: u32 = 1_800_000_000;

fn secret() -> Secret {
    Secret::new(b"  0123456789abcdef\n").unwrap()
}

/// The query of a signature over `names`, good for `seconds` from now.
fn sign(names: &str, seconds: i64) -> String {
    let until_s = i64::from(NOW_S) + seconds;
    let tag = ring::hmac::sign(&secret().0, format!("{names}-{until_s}").as_bytes());
    let hex: String = tag.as_ref().iter().map(|octet| format!("{octet:02x}")).collect();
    format!("t={until_s}&s={hex}")
}

#[track_caller]
fn check(target: &str, wanted: Result<(), SignatureError>) {
    let request = Request::parse(target).unwrap();
    assert_eq!(secret().check(&request, NOW_S), wanted);
}

#[test]
fn what_is_signed_for_its_names_and_in_time_is_answered() {
    for seconds in [0, 60, 86_400] {
        let signed = sign("www.example", seconds);
        check(&format!("/resolve?name=WWW.example.&type=AAAA&{signed}"), Ok(()));
        check(&format!("/100000/d?host=www.example&{signed}"), Ok(()));
        check(&format!("/d?dn=www.example&{signed}"), Ok(()));
    }
    let signed = sign("b.example,a.example", 60);
    check(&format!("/1/resolve?host=b.example,A.example,b.example.&{signed}"), Ok(()));
    check("/go/www.example/?t=1", Ok(()));
}

#[test]
fn what_is_not_is_refused() {
    check("/d?dn=www.example", Err(SignatureError::Missing));
    let ask = |signed: &str| format!("/d?dn=www.example&{signed}");
    check(&ask(&sign("www.example", -1)), Err(SignatureError::Expired));
    check(&ask(&sign("www.example", 86_401)), Err(SignatureError::TooFar));
    check(&ask(&sign("ww.example", 60)), Err(SignatureError::Wrong));
    let moved = sign("www.example", 60).replace("t=1800000060", "t=1800000061");
    check(&ask(&moved), Err(SignatureError::Wrong));
    let other = Secret::new(b"another secret of some length").unwrap();
    let request = Request::parse(&ask(&sign("www.example", 60))).unwrap();
    assert_eq!(other.check(&request, NOW_S), Err(SignatureError::Wrong));
}

#[test]
fn a_known_answer() {
    // RFC 4231 has no text of this form; made with another implementation:
    // printf %s www.example-1800000060 | openssl dgst -sha256 -hmac 0123456789abcdef
    let signed = "t=1800000060&s=8618aa8a2a63376a4902deeed31d0faf802f86dbc7f06cc68491cec0017c25a3";
    check(&format!("/d?dn=www.example&{signed}"), Ok(()));
}

#[test]
fn secrets_are_neither_short_nor_shown() {
    assert!(Secret::new(b"0123456789abcde\n").is_none());
    assert!(Secret::new(&[b'x'; SECRET_OCTETS_MAX + 1]).is_none());
    assert_eq!(format!("{:?}", secret()), "Secret(…)");
}
