//! What must hold of everything the gateway reads from strangers, for the fuzz targets.
//!
//! Compiled by `scripts/fuzz` alone (`--cfg fuzzing`), because the parsers are nobody else's
//! business. Each function takes raw octets and asserts what the parsers promise: the same answer
//! however the octets are cut, no octet read beyond the message, and no disagreement with the
//! library that reads the same octets after us.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderValue, header};
use model::gateway::settings::Jwt;
use model::gateway::{ProxyProtocol, Reference};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::server::Acceptor;

use crate::chunk::Chunks;
use crate::client_io::Frames;
use crate::head::{Framing, Head, HeadLimits, HeadScan};
use crate::jwt::{JwtRule, KeySet};
use crate::proxy_protocol::{self, Ends};
use crate::ticket::TicketSecrets;
use crate::{hello, trace};

/// A head this small meets every limit.
const TIGHT: HeadLimits =
    HeadLimits { octets_max: 96, request_line_octets_max: 48, headers_max: 4 };
/// Prefixes of a message that are tried, from its end back.
const PREFIXES_MAX: usize = 64;

/// PROXY headers: complete or not yet, never differently; and what we write, we read.
pub fn proxy_header(octets: &[u8]) {
    let Ok(Some(found)) = proxy_protocol::read(octets) else { return };
    assert!(found.octets <= octets.len());
    assert_eq!(proxy_protocol::read(&octets[..found.octets]), Ok(Some(found)));
    for end in (0..found.octets).rev().take(PREFIXES_MAX) {
        assert_eq!(proxy_protocol::read(&octets[..end]), Ok(None), "of {end} octets");
    }
    let Some(ends) = found.ends else { return };
    let plain = |mut address: std::net::SocketAddr| {
        address.set_ip(address.ip().to_canonical());
        (address.ip(), address.port())
    };
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let written = proxy_protocol::write(version, ends);
        let again = proxy_protocol::read(&written).expect("sound").expect("whole");
        assert_eq!(again.octets, written.len());
        let Ends { source, destination } = again.ends.expect("ends");
        assert_eq!(plain(source), plain(ends.source));
        assert_eq!(plain(destination), plain(ends.destination));
    }
}

/// Hellos: a name that routes a connection is the name that the TLS library finds.
pub fn client_hello(octets: &[u8]) {
    let Ok(Some(found)) = hello::read(octets) else { return };
    for end in (0..octets.len()).rev().take(PREFIXES_MAX) {
        match hello::read(&octets[..end]) {
            Ok(None) => {}
            shorter => assert_eq!(shorter, Ok(Some(found.clone())), "of {end} octets"),
        }
    }
    let mut acceptor = Acceptor::default();
    let mut rest = octets;
    while !rest.is_empty() {
        match acceptor.read_tls(&mut rest) {
            Ok(count) if count > 0 => {}
            _ => return,
        }
    }
    if let Ok(Some(accepted)) = acceptor.accept() {
        let theirs = accepted.client_hello();
        let theirs = theirs.server_name().map(|name| name.trim_end_matches('.').to_owned());
        assert_eq!(found.server_name.as_deref(), theirs.as_deref(), "two names in one hello");
    }
}

/// Heads and chunked bodies: one judgement however they are cut. Gives the octets of a head that is
/// let through, for a comparison with the parser behind us.
pub fn request(octets: &[u8]) -> Option<usize> {
    let loose = HeadLimits::default();
    let whole = HeadScan::default().advance(octets, &loose);
    assert_eq!(whole, head_by_octet(octets, &loose), "cut into octets");
    let tight = HeadScan::default().advance(octets, &TIGHT);
    assert_eq!(tight.ok().flatten(), head_by_octet(octets, &TIGHT).ok().flatten());
    let Ok(Some(head)) = whole else { return None };
    assert!(head.octets <= octets.len());
    if head.body == Framing::Chunked {
        body(&octets[head.octets..]);
    }
    Some(head.octets)
}

fn head_by_octet(octets: &[u8], limits: &HeadLimits) -> Result<Option<Head>, crate::head::Fault> {
    let mut scan = HeadScan::default();
    for end in 0..=octets.len() {
        if let Some(head) = scan.advance(&octets[..end], limits)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

fn body(octets: &[u8]) {
    let mut whole = Chunks::after_head(0);
    let taken = whole.advance(octets);
    let mut cut = Chunks::after_head(0);
    let mut count = Ok(0);
    for octet in octets {
        let step = cut.advance(std::slice::from_ref(octet));
        count = count.and_then(|sum| step.map(|step| sum + step));
        if count.is_err() {
            break;
        }
    }
    assert_eq!(taken, count, "cut into octets");
    if taken.is_ok() {
        assert_eq!(whole.is_done(), cut.is_done());
        assert!(whole.is_done() || taken == Ok(octets.len()));
    }
}

/// Frames of HTTP/2: one judgement however they are cut.
pub fn frames(octets: &[u8]) {
    let now = tokio::time::Instant::now();
    let (mut whole, mut cut) = (Frames::new(now), Frames::new(now));
    let judged = whole.receive(octets, now);
    let mut one_by_one = Ok(());
    for octet in octets {
        one_by_one = one_by_one.and_then(|()| cut.receive(std::slice::from_ref(octet), now));
    }
    assert_eq!(judged, one_by_one);
    if judged.is_ok() {
        assert_eq!(whole.is_inside_head(), cut.is_inside_head());
    }
}

/// Tokens: this head over these claims, rightly signed, is judged; with another signature it never
/// passes. And what follows is read as a whole `Authorization` header.
pub fn token(head: &[u8], claims: &[u8], raw: &[u8]) {
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).expect("32 octets");
    let signed = [URL_SAFE_NO_PAD.encode(head), URL_SAFE_NO_PAD.encode(claims)].join(".");
    let mut signature = pair.sign(signed.as_bytes()).as_ref().to_vec();
    let rule = rule(&pair);
    let judge = |line: &[u8]| {
        let value = HeaderValue::from_bytes(line).ok()?;
        Some(rule.judge(&HeaderMap::from_iter([(header::AUTHORIZATION, value)]), 700))
    };
    let whole = |signature: &[u8]| {
        format!("Bearer {signed}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
    };
    judge(&whole(&signature));
    signature[0] ^= 1;
    assert!(judge(&whole(&signature)).is_none_or(|judged| judged.is_err()), "forged");
    assert!(judge(raw).is_none_or(|judged| judged.is_err()), "signed by nobody");
}

/// Key sets: read or refused; what is read verifies nothing that it did not sign.
pub fn key_set(octets: &[u8]) {
    let Ok(keys) = KeySet::parse(octets) else { return };
    let rule = JwtRule::compile(&settings(), Arc::new(keys)).expect("names of headers");
    for algorithm in ["RS256", "PS512", "ES256", "ES384", "EdDSA"] {
        let head = URL_SAFE_NO_PAD.encode(format!("{{\"alg\":\"{algorithm}\"}}"));
        let line = format!("Bearer {head}.e30.{}", URL_SAFE_NO_PAD.encode([1; 64]));
        let value = HeaderValue::try_from(line).expect("visible octets");
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        assert!(rule.judge(&headers, 700).is_err(), "a signature of ones");
    }
}

fn rule(pair: &Ed25519KeyPair) -> &'static JwtRule {
    static RULE: OnceLock<JwtRule> = OnceLock::new();
    RULE.get_or_init(|| {
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let keys = format!(
            r#"{{"keys": [{{"kty": "OKP", "crv": "Ed25519", "kid": "one", "x": "{x}"}}]}}"#
        );
        let keys = KeySet::parse(keys.as_bytes()).expect("a key");
        JwtRule::compile(&settings(), Arc::new(keys)).expect("names of headers")
    })
}

fn settings() -> Jwt {
    Jwt {
        issuer: Some("https://issuer.example".into()),
        audiences: vec!["shop".into()],
        keys: Reference::new("", "Secret", Default::default()),
        header: None,
        claims: BTreeMap::from([("role".into(), vec!["buyer".into()])]),
        forward: BTreeMap::from([("sub".into(), "x-user".into())]),
        leeway_s: 30,
    }
}

/// Files of ticket secrets and headers of traces: read or refused.
pub fn small_texts(octets: &[u8]) {
    if let Ok(text) = std::str::from_utf8(octets)
        && let Ok(secrets) = TicketSecrets::parse(text)
    {
        assert!(text.lines().any(|line| line.trim().len() >= 32));
        // Debug must not quote a secret.
        assert!(format!("{secrets:?}").len() < 32);
    }
    let _ = trace::TraceId::parse(octets);
}
