//! HTTPDNS requests: any path and query is answered with a status and a body of its kind, the same
//! each time, and refused when it is not signed where it must be.
//!
//! The first octet of the input chooses the asker, the rest is the request's target.
#![no_main]

use std::hash::RandomState;
use std::net::IpAddr;
use std::sync::OnceLock;

use dns::httpdns::{Asker, Request, Rules, Secret, Verb, answer};
use dns::{Settings, View};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, target)) = input.split_first() else { return };
    let Ok(target) = std::str::from_utf8(target) else { return };
    // The HTTP parser before us lets no white space and no control character through.
    if target.bytes().any(|octet| octet <= b' ' || octet == 0x7f) {
        return;
    }
    let ip: IpAddr = match choice & 3 {
        0 => [116, 31, 45, 7].into(),
        1 => [8, 8, 8, 8].into(),
        2 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
        _ => [0, 0, 0, 0, 0, 0xffff, 0x741f, 0x2d07].into(),
    };
    let verb = if choice & 4 == 0 { Verb::Read } else { Verb::Write };
    let request = match Request::parse(target) {
        Ok(request) => request,
        Err(error) => {
            assert!(matches!(error.status(), 400 | 404 | 414), "{error}");
            return;
        }
    };
    assert!(request.lookups() >= 1);
    let secret = Secret::new(b"a secret for the fuzzer").expect("long enough");
    // Nobody can guess the code.
    let is_signed = request.signed_names().is_none();
    assert_eq!(secret.check(&request, 1_700_000_000).is_ok(), is_signed);
    let (asker, rules) = (Asker { ip, verb }, Rules::default());
    let given = answer(view(), &request, asker, &rules);
    assert_eq!(given, answer(view(), &request, asker, &rules), "two answers to one request");
    assert!((200..=599).contains(&given.status), "{given:?}");
    assert_eq!(given.location.is_some(), (300..400).contains(&given.status), "{given:?}");
    if let Some(location) = &given.location {
        assert!(!location.bytes().any(|octet| octet <= b' ' || octet == 0x7f), "{location:?}");
    }
});

fn view() -> &'static View {
    static VIEW: OnceLock<View> = OnceLock::new();
    VIEW.get_or_init(|| {
        let view = View::build(&fuzz::world(), Settings::default(), &RandomState::new());
        view.expect("the world is served")
    })
}
