//! Cookies in whole answers (RFC 7873): who gets one, who must have one.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::hash::RandomState;

use dns::{Arrival, CookiePolicy, CookieSecrets, Settings, Transport, View};
use model::record::RecordType;
use world::{Ask, healthy, snapshot};

/// The first example of RFC 9018, appendix A.
const SECRET: [u8; 16] = [
    0xe5, 0xe9, 0x73, 0xe5, 0xa6, 0xb2, 0xa4, 0x3f, 0x48, 0xe7, 0xdc, 0x84, 0x9e, 0x37, 0xbf, 0xcf,
];
const OF_CLIENT: [u8; 8] = [0x24, 0x64, 0xc4, 0xab, 0xcf, 0x10, 0xc9, 0x57];
const OF_SERVER: [u8; 16] = [
    0x01, 0x00, 0x00, 0x00, 0x5c, 0xf7, 0x9f, 0x11, 0x1f, 0x81, 0x30, 0xc3, 0xee, 0xe2, 0x94, 0x80,
];
const BOTH: &str = "cookie=2464c4abcf10c957010000005cf79f111f8130c3eee29480";
const BORN_S: u32 = 1_559_731_985;
const HELLO: &str = "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\nedns 1232";

fn check(policy: CookiePolicy, transport: Transport, ask: &Ask, wanted: &str) {
    let settings = Settings {
        cookie_secrets: Some(CookieSecrets::new(SECRET, None)),
        cookie_policy: policy,
        ..Settings::default()
    };
    let view = View::build(&snapshot(healthy()), settings, &RandomState::new()).expect("a view");
    let client = "198.51.100.100:53".parse().expect("an address");
    assert_eq!(ask.answer_to(&view, Arrival { client, transport, now_s: BORN_S }), wanted);
}

fn hello() -> Ask {
    Ask::new("hello.edge.example", RecordType::A)
}

fn known() -> Ask {
    hello().option(10, &[OF_CLIENT.as_slice(), &OF_SERVER].concat())
}

#[test]
fn who_sends_a_cookie_gets_one_and_nobody_else() {
    let check = |ask: Ask, wanted: &str| check(CookiePolicy::Offer, Transport::Udp, &ask, wanted);
    check(hello().option(10, &OF_CLIENT), &format!("{HELLO} {BOTH}"));
    check(known(), &format!("{HELLO} {BOTH}"));
    check(hello().edns(), HELLO);
    check(hello(), "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1");
    // A forged one is answered like none.
    let forged = [OF_CLIENT.as_slice(), &[1; 16]].concat();
    check(hello().option(10, &forged), &format!("{HELLO} {BOTH}"));
    let mut refused = Ask::new("www.other.net", RecordType::A).option(10, &OF_CLIENT);
    check(refused.clone(), &format!("REFUSED\nedns 1232 {BOTH} ede=20:"));
    refused.class = 3;
    check(refused, &format!("REFUSED\nedns 1232 {BOTH}"));
}

#[test]
fn a_view_without_a_secret_gives_no_cookies() {
    assert_eq!(hello().option(10, &OF_CLIENT).answer(&world::view()), HELLO);
}

#[test]
fn a_cookie_that_cannot_be_is_malformed_unless_another_came_first() {
    let check = |ask: Ask, wanted: &str| check(CookiePolicy::Offer, Transport::Udp, &ask, wanted);
    for length in [0, 7, 9, 15, 41] {
        check(hello().option(10, &vec![1; length]), "FORMERR\nedns 1232");
    }
    check(known().option(10, b"second!").option(10, &[0; 16]), &format!("{HELLO} {BOTH}"));
}

#[test]
fn where_cookies_are_required_a_client_that_can_must_show_one() {
    let check = |transport, ask: Ask, wanted: &str| {
        check(CookiePolicy::Require, transport, &ask, wanted);
    };
    let new = || hello().option(10, &OF_CLIENT);
    check(Transport::Udp, new(), &format!("23\nedns 1232 {BOTH}"));
    check(Transport::Udp, known(), &format!("{HELLO} {BOTH}"));
    // Who came over TCP receives at its address, and who knows no cookies cannot learn of them.
    check(Transport::Tcp, new(), &format!("{HELLO} {BOTH}"));
    check(Transport::Udp, hello().edns(), HELLO);
}

#[test]
fn the_cookie_has_its_room_when_an_answer_is_cut() {
    let big = Ask::new("big.edge.example", RecordType::TXT).option(10, &OF_CLIENT);
    let wanted = format!("NOERROR aa tc\nedns 1232 {BOTH}");
    check(CookiePolicy::Offer, Transport::Udp, &big, &wanted);
}

#[test]
fn a_cookie_may_be_had_without_a_question() {
    let client = "198.51.100.100:53".parse().expect("an address");
    let answer = |secret: Option<[u8; 16]>, cookie: &[u8]| {
        let settings = Settings {
            cookie_secrets: secret.map(|secret| CookieSecrets::new(secret, None)),
            ..Settings::default()
        };
        let view = View::build(&snapshot(healthy()), settings, &RandomState::new());
        let mut packet =
            vec![0x12, 0x34, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0, 0];
        let length = u8::try_from(cookie.len()).expect("short");
        packet.extend([length + 4, 0, 10, 0, length]);
        packet.extend(cookie);
        let arrival = Arrival { client, transport: Transport::Udp, now_s: BORN_S };
        let mut out = [0; 512];
        let handled = dns::answer::handle(&view.expect("a view"), &packet, &arrival, &mut out);
        world::text_of(&out[..handled.expect("an answer").octets])
    };
    let known = [OF_CLIENT.as_slice(), &OF_SERVER].concat();
    let forged = [OF_CLIENT.as_slice(), &[1; 16]].concat();
    assert_eq!(answer(Some(SECRET), &OF_CLIENT), format!("NOERROR\nedns 1232 {BOTH}"));
    assert_eq!(answer(Some(SECRET), &known), format!("NOERROR\nedns 1232 {BOTH}"));
    assert_eq!(answer(Some(SECRET), &forged), format!("23\nedns 1232 {BOTH}"));
    assert_eq!(answer(Some(SECRET), b"short"), "FORMERR\nedns 1232");
    assert_eq!(answer(None, &OF_CLIENT), "FORMERR\nedns 1232");
}

#[test]
fn nodes_roll_over_from_one_secret_to_the_next_without_a_stranger() {
    let next = [7; 16];
    let cookie = |secrets: CookieSecrets, sent: &[u8]| {
        let settings = Settings {
            cookie_secrets: Some(secrets),
            cookie_policy: CookiePolicy::Require,
            ..Settings::default()
        };
        let view = View::build(&snapshot(healthy()), settings, &RandomState::new());
        let client = "198.51.100.100:53".parse().expect("an address");
        let arrival = Arrival { client, transport: Transport::Udp, now_s: BORN_S };
        hello().option(10, sent).answer_to(&view.expect("a view"), arrival)
    };
    let octets = |answer: &str| -> Vec<u8> {
        let (_, hex) = answer.split_once("cookie=").expect("a cookie");
        let digits = hex.as_bytes().chunks(2).map(|pair| str::from_utf8(pair).expect("digits"));
        digits.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
    };
    let steps = [
        CookieSecrets::new(SECRET, None),
        CookieSecrets::new(SECRET, Some(next)),
        CookieSecrets::new(next, Some(SECRET)),
        CookieSecrets::new(next, None),
    ];
    // Nodes are at most one step apart, and a client goes from any to any.
    for pair in steps.windows(2) {
        for (here, there) in [(0, 1), (1, 0)] {
            let first = cookie(pair[here].clone(), &OF_CLIENT);
            assert!(first.starts_with("23\n"), "{first}");
            let again = cookie(pair[there].clone(), &octets(&first));
            assert!(again.starts_with(HELLO), "{again}");
        }
    }
    // Two steps are too many: the secret of before is forgotten.
    let first = cookie(steps[0].clone(), &OF_CLIENT);
    assert!(cookie(steps[3].clone(), &octets(&first)).starts_with("23\n"));
}
