//! The appendix of RFC 9018, and everything that must not be taken for a cookie of ours.

use super::*;

const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const CLIENT: &str = "198.51.100.100";
const BORN_S: u32 = 1_559_731_985;
const COOKIE: &str = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";

fn octets(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex"))
        .collect()
}

fn text(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Shows a cookie at a time; gives the one in the answer, and whether the client is known by it.
fn show(secrets: &str, sent: &str, client: &str, now_s: u32) -> (String, bool) {
    let secrets = CookieSecrets::parse(secrets).expect("secrets");
    let client = client.parse().expect("an address");
    let reply = secrets.reply(&octets(sent), client, now_s).expect("a cookie");
    (text(&reply.octets), reply.is_known)
}

#[track_caller]
fn check(sent: &str, now_s: u32, wanted: (&str, bool)) {
    let (cookie, is_known) = show(SECRET, sent, CLIENT, now_s);
    assert_eq!((cookie.as_str(), is_known), wanted);
}

#[test]
fn the_appendix_of_rfc_9018_comes_out() {
    check("2464c4abcf10c957", BORN_S, (COOKIE, false));
    let renewed = "2464c4abcf10c957010000005cf7a871d4a564a1442aca77";
    check(COOKIE, 1_559_734_385, (renewed, true));
    // Reserved octets that are set are hashed as they are, and not repeated.
    let reserved = "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5";
    let (cookie, is_known) = show(SECRET, reserved, "203.0.113.203", 1_559_727_985 + 3_600);
    assert_eq!((&cookie[16..24], is_known), ("01000000", true));
    // IPv6, and a secret that was rolled over: accepted, and renewed with the new one.
    assert_eq!(
        show(
            "445536bcd2513298075a5d379663c962\ndd3bdf9344b678b185a6f5cb60fca715\n",
            "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
            "2001:db8:220:1:59de:d0f4:8769:82b8",
            1_559_741_961,
        ),
        ("22681ab97d52c298010000005cf7c609a6bb79d16625507a".to_owned(), true)
    );
}

#[test]
fn the_third_example_is_renewed_though_it_is_older_than_an_hour_allows() {
    // The RFC's own example shows a cookie of 6,715 s and calls the reply fresh; by its section 4.3
    // the client is not known by it. The new cookie is the same either way.
    assert_eq!(
        show(
            SECRET,
            "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
            "203.0.113.203",
            1_559_734_700,
        ),
        ("fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e".to_owned(), false)
    );
}

#[test]
fn a_cookie_is_kept_for_half_an_hour_and_good_for_an_hour() {
    let now = |after_s: u32| BORN_S.wrapping_add(after_s);
    for after_s in [0, 1_800, 0_u32.wrapping_sub(300)] {
        check(COOKIE, now(after_s), (COOKIE, true));
    }
    for (after_s, is_known) in [(1_801, true), (3_600, true), (3_601, false), (1 << 31, false)] {
        let (cookie, known) = show(SECRET, COOKIE, CLIENT, now(after_s));
        assert_eq!(
            (cookie[24..32].to_owned(), known),
            (text(&now(after_s).to_be_bytes()), is_known)
        );
    }
    let (_, is_known) = show(SECRET, COOKIE, CLIENT, BORN_S - 301);
    assert!(!is_known, "further ahead than clocks may differ");
}

#[test]
fn the_clock_may_pass_the_end_of_32_bits() {
    let (cookie, _) = show(SECRET, "2464c4abcf10c957", CLIENT, u32::MAX - 5);
    assert_eq!(show(SECRET, &cookie, CLIENT, 100), (cookie.clone(), true));
}

#[test]
fn nothing_else_is_a_cookie_of_ours() {
    let fresh = |sent: &str, client: &str| {
        let (cookie, is_known) = show(SECRET, sent, client, BORN_S + 1);
        assert!(!is_known, "{sent} {client}");
        assert_eq!((&cookie[..16], &cookie[16..32]), (&sent[..16], "010000005cf79f12"));
    };
    for at in 0..24 {
        let mut spoiled = octets(COOKIE);
        spoiled[at] ^= 1;
        fresh(&text(&spoiled), CLIENT);
    }
    fresh(COOKIE, "198.51.100.101");
    fresh(COOKIE, "2001:db8::1");
    // Server cookies of other lengths are other servers' (RFC 7873: 8 to 32 octets).
    fresh(&COOKIE[..32], CLIENT);
    fresh(&format!("{COOKIE}00"), CLIENT);
    let (_, is_known) = show("445536bcd2513298075a5d379663c962", COOKIE, CLIENT, BORN_S);
    assert!(!is_known, "made with another secret");
}

#[test]
fn an_ipv4_client_is_itself_however_its_address_is_written() {
    let (cookie, _) = show(SECRET, "2464c4abcf10c957", "::ffff:198.51.100.100", BORN_S);
    assert_eq!(cookie, COOKIE);
}

#[test]
fn secrets_are_read_by_line_and_never_shown() {
    let parse = |text: &str| CookieSecrets::parse(text);
    let two = parse(&format!("# nodes\n\n {SECRET} \n{}\n", SECRET.to_uppercase()));
    let key = octets(SECRET).try_into().expect("16 octets");
    assert_eq!(two, Ok(CookieSecrets::new(key, Some(key))));
    assert_eq!(format!("{two:?}"), "Ok(CookieSecrets { .. })");
    assert_eq!(parse("# none\n"), Err(SecretsError::Empty));
    for bad in
        [&SECRET[1..], "e5e973e5a6b2a43f48e7dc849e37bfcg", "+5e973e5a6b2a43f48e7dc849e37bfcf"]
    {
        assert_eq!(parse(&format!("\n{bad}")), Err(SecretsError::Line { line: 2 }));
    }
    let three = [SECRET; 3].join("\n");
    assert_eq!(parse(&three), Err(SecretsError::TooMany { line: 3 }));
    assert_eq!(parse(&"#".repeat(5_000)), Err(SecretsError::TooLong));
    let message = SecretsError::Line { line: 2 }.to_string();
    let wanted = "line 2 is not a secret of 32 hexadecimal digits; help: `openssl rand -hex 16`";
    assert_eq!(message, wanted);
}

#[test]
fn random_secrets_differ() {
    assert_ne!(CookieSecrets::random().expect("octets"), CookieSecrets::random().expect("octets"));
}
