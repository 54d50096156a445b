//! Heads: what passes, what does not, and that pieces do not matter.

use proptest::prelude::*;

use super::*;

fn check(head: &[u8]) -> Result<Option<Head>, Fault> {
    HeadScan::default().advance(head, &HeadLimits::default())
}

fn passes(head: &str) -> Head {
    check(head.as_bytes()).expect(head).expect(head)
}

#[test]
fn plain_requests_pass_with_their_framing() {
    let head = passes("GET / HTTP/1.1\r\nHost: a.example\r\n\r\nrest");
    assert_eq!(head, Head { octets: 35, body: Framing::Length(0), upgrade: false });
    let head = passes("POST /x?y=1 HTTP/1.1\r\nhost:a:8080\r\nContent-Length: 12 \r\n\r\n");
    assert_eq!(head.body, Framing::Length(12));
    let head = passes("PUT / HTTP/1.1\r\nHost: [::1]\r\nTransfer-Encoding: Chunked\r\n\r\n");
    assert_eq!(head.body, Framing::Chunked);
    let head =
        passes("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert!(head.upgrade);
    passes("GET / HTTP/1.0\r\n\r\n");
    passes("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    passes("GET http://a.example:80/x HTTP/1.1\r\nHost: a.example\r\n\r\n");
    passes("GET / HTTP/1.1\r\nHost: a\r\nX-Latin: \u{fc}\r\nX-Empty:\r\n\r\n");
}

#[test]
fn bad_request_lines_have_their_faults() {
    let cases: &[(&str, Fault)] = &[
        ("GET / HTTP/1.1\nHost: a\n\n", Fault::BareLineEnd),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", Fault::BareLineEnd),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", Fault::BareLineEnd),
        ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET  HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET /\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", Fault::Version),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", Fault::Version),
        ("GET / http/1.1\r\nHost: a\r\n\r\n", Fault::RequestLine),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Method),
        ("track / HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Method),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Method),
        ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET a/b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET /a\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET /a\\b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Target),
        ("GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Path),
        ("GET /%2e%2E/b HTTP/1.1\r\nHost: a\r\n\r\n", Fault::Path),
    ];
    refuse(cases);
}

#[test]
fn bad_headers_have_their_faults() {
    let cases: &[(&str, Fault)] = &[
        ("GET / HTTP/1.1\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost:\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Fault::Host),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Fault::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n folded\r\n\r\n", Fault::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", Fault::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\n: empty\r\n\r\n", Fault::Header),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", Fault::Header),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            Fault::ContentLength,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", Fault::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", Fault::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", Fault::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", Fault::ContentLength),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", Fault::ContentLength),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n",
            Fault::ContentLength,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            Fault::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n",
            Fault::TransferEncoding,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \x0bchunked\r\n\r\n", Fault::Header),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            Fault::TransferEncoding,
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
            Fault::TransferEncoding,
        ),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", Fault::Header),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
            Fault::Framing,
        ),
        ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", Fault::Framing),
        ("POST / HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n", Fault::Expect),
    ];
    refuse(cases);
}

fn refuse(cases: &[(&str, Fault)]) {
    for (head, fault) in cases {
        assert_eq!(check(head.as_bytes()), Err(*fault), "{head:?}");
    }
}

#[test]
fn sizes_are_limited_before_the_end_is_seen() {
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(64 * 1024));
    assert_eq!(check(long.as_bytes()), Err(Fault::TooLarge));
    let path = format!("GET /{}", "x".repeat(17 * 1024));
    assert_eq!(check(path.as_bytes()), Err(Fault::TargetTooLong));
    let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(200));
    assert_eq!(check(many.as_bytes()), Err(Fault::TooLarge));
    assert_eq!(check(b"GET / HTTP/1.1\r\nHost: a\r\n"), Ok(None));
    assert_eq!(check(b""), Ok(None));
}

#[test]
fn statuses_tell_kinds_of_fault_apart() {
    let told = [Fault::Host, Fault::Slow, Fault::TooLarge, Fault::Method, Fault::TransferEncoding];
    assert_eq!(told.map(Fault::status), [400, 408, 431, 405, 501]);
}

proptest! {
    #[test]
    fn pieces_do_not_matter(octets in hostile(), cuts in proptest::collection::vec(0_usize..200, 0..6)) {
        let whole = check(&octets);
        let mut scan = HeadScan::default();
        let mut ends: Vec<usize> = cuts.into_iter().map(|cut| cut.min(octets.len())).collect();
        ends.push(octets.len());
        ends.sort_unstable();
        let mut last = Ok(None);
        for end in ends {
            last = scan.advance(&octets[..end], &HeadLimits::default());
            if last != Ok(None) {
                break;
            }
        }
        prop_assert_eq!(last, whole);
    }

    #[test]
    fn nothing_panics(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = check(&octets);
    }
}

/// A good head with octets replaced here and there.
fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let good =
        b"POST /a/b?c=d HTTP/1.1\r\nHost: a.example\r\nContent-Length: 3\r\nX-Y: z\r\n\r\nabc";
    let odd = prop_oneof![Just(b'\r'), Just(b'\n'), Just(b' '), Just(b':'), any::<u8>()];
    proptest::collection::vec((0..good.len(), odd), 0..3).prop_map(move |edits| {
        let mut octets = good.to_vec();
        for (at, octet) in edits {
            octets[at] = octet;
        }
        octets
    })
}
