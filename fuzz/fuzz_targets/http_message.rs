//! Requests of HTTP/1: one judgement however they are cut, and a head that is let through is read
//! to the same end by the parser behind us.
#![no_main]

use libfuzzer_sys::fuzz_target;

/// As many as `HeadLimits` lets through.
const HEADERS_MAX: usize = 128;

fuzz_target!(|input: &[u8]| {
    let Some(octets) = l7lb::fuzzing::request(input) else { return };
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(input).expect("Pingora's parser takes what we let through");
    assert_eq!(parsed, httparse::Status::Complete(octets));
    // What smuggling is made of: each at most once, and never both.
    let count = |name: &str| {
        let named = request.headers.iter().filter(|one| one.name.eq_ignore_ascii_case(name));
        named.count()
    };
    assert!(count("host") <= 1);
    assert!(count("content-length") + count("transfer-encoding") <= 1);
});
