//! Forwarding headers towards the origin.

use super::*;

fn check(hop: &Hop<'_>, claims: &[(&'static str, &str)]) -> Vec<(String, String)> {
    let mut request = RequestHeader::build("GET", b"/", None).unwrap();
    for (name, value) in claims {
        request.append_header(*name, *value).unwrap();
    }
    apply(&mut request, hop).unwrap();
    let pair = |(name, value): (&http::HeaderName, &http::HeaderValue)| {
        (name.to_string(), value.to_str().unwrap().to_owned())
    };
    let mut pairs: Vec<_> = request.headers.iter().map(pair).collect();
    pairs.sort();
    pairs
}

fn hop(peer: &str, trust: Trust) -> Hop<'_> {
    let peer = peer.parse().unwrap();
    Hop { peer, trust, scheme: Scheme::Https, host: "a.example:8443", port: 8443 }
}

const LIES: [(&str, &str); 6] = [
    ("x-forwarded-for", "1.1.1.1"),
    ("x-forwarded-for", "2.2.2.2"),
    ("x-forwarded-proto", "gopher"),
    ("forwarded", "for=3.3.3.3"),
    ("x-real-ip", "4.4.4.4"),
    ("x-forwarded-host", "bank.example"),
];

fn expect(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn a_clients_claims_are_replaced() {
    assert_eq!(
        check(&hop("192.0.2.7", Trust::Replace), &LIES),
        expect(&[
            ("forwarded", "for=192.0.2.7;host=\"a.example:8443\";proto=https"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-host", "a.example:8443"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-proto", "https"),
            ("x-real-ip", "192.0.2.7"),
        ]),
    );
}

#[test]
fn a_trusted_proxys_claims_are_kept_and_it_is_appended() {
    assert_eq!(
        check(&hop("2001:db8::7", Trust::Append), &LIES),
        expect(&[
            ("forwarded", "for=3.3.3.3, for=\"[2001:db8::7]\";host=\"a.example:8443\";proto=https"),
            ("x-forwarded-for", "1.1.1.1, 2.2.2.2, 2001:db8::7"),
            ("x-forwarded-host", "bank.example"),
            ("x-forwarded-port", "8443"),
            ("x-forwarded-proto", "gopher"),
            ("x-real-ip", "4.4.4.4"),
        ]),
    );
}

#[test]
fn the_client_is_the_last_one_that_is_not_a_proxy_of_ours() {
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let client_of = |peer: &str, lines: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", http::HeaderValue::from_static(line));
        }
        client(peer.parse().unwrap(), &headers, &trusted).to_string()
    };
    assert_eq!(client_of("192.0.2.7", &["1.1.1.1"]), "192.0.2.7");
    assert_eq!(client_of("10.0.0.1", &["9.9.9.9, 1.1.1.1, 10.0.0.2"]), "1.1.1.1");
    assert_eq!(client_of("10.0.0.1", &["1.1.1.1", "10.0.0.3"]), "1.1.1.1");
    assert_eq!(client_of("10.0.0.1", &["1.1.1.1, nonsense"]), "10.0.0.1");
    assert_eq!(client_of("::ffff:10.0.0.1", &["1.1.1.1"]), "1.1.1.1");
    assert_eq!(client_of("10.0.0.1", &[]), "10.0.0.1");
}
