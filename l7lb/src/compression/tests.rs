use std::io::Read as _;

use proptest::prelude::*;

use super::*;

fn rule(codings: &[Coding]) -> CompressionRule {
    CompressionRule::compile(&Compression {
        codings: codings.to_vec(),
        octets_min: 100,
        types: vec!["text/*".into(), "application/json".into()],
    })
}

const ALL: [Coding; 3] = [Coding::Brotli, Coding::Zstd, Coding::Gzip];

fn asked(line: &str) -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_str(line).unwrap())])
}

fn response(headers: &[(&'static str, &str)]) -> ResponseHeader {
    let mut response = ResponseHeader::build(200, None).unwrap();
    response.insert_header("content-type", "text/html; charset=utf-8").unwrap();
    for (name, value) in headers {
        response.insert_header(*name, *value).unwrap();
    }
    response
}

#[test]
fn the_clients_weights_choose_and_the_rules_order_decides_between_equals() {
    let choose = |codings: &[Coding], line: &str| rule(codings).choose(&asked(line)).map(name);
    for (line, chosen) in [
        ("gzip, deflate, br, zstd", Some("br")),
        ("gzip, zstd", Some("zstd")),
        ("GZIP", Some("gzip")),
        ("br;q=0.5, gzip;q=0.8", Some("gzip")),
        ("br;q=0, *", Some("zstd")),
        ("*;q=0.1", Some("br")),
        ("*;q=0, gzip;q=0.001", Some("gzip")),
        ("identity", None),
        ("identity;q=1, gzip;q=0.5", None),
        ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
        ("gzip;q=0", None),
        ("gzip;q=2", None),
        ("gzip;q=nonsense", None),
        ("deflate", None),
        ("", None),
    ] {
        assert_eq!(choose(&ALL, line), chosen, "{line}");
    }
    assert_eq!(choose(&[Coding::Gzip, Coding::Brotli], "br, gzip"), Some("gzip"));
    assert_eq!(rule(&ALL).choose(&HeaderMap::new()).map(name), None);
}

#[test]
fn what_is_no_plain_whole_text_is_left_alone() {
    let suited = |response: &ResponseHeader| rule(&ALL).is_suited(response);
    assert!(suited(&response(&[])));
    assert!(suited(&response(&[("content-length", "100"), ("content-encoding", "identity")])));
    assert!(suited(&response(&[("content-type", "Application/JSON")])));
    for unsuited in [
        ("content-length", "99"),
        ("content-encoding", "gzip"),
        ("cache-control", "public, No-Transform"),
        ("content-type", "image/png"),
        ("content-type", "application/json-seq"),
        ("content-type", "application/grpc"),
        ("content-type", ""),
        ("trailer", "x-sum"),
    ] {
        assert!(!suited(&response(&[unsuited])), "{unsuited:?}");
    }
    for status in [101, 204, 206, 304] {
        let mut other = response(&[]);
        other.set_status(status).unwrap();
        assert!(!suited(&other), "{status}");
    }
}

#[test]
fn the_head_says_what_the_body_became() {
    let mut head = response(&[
        ("content-length", "5000"),
        ("etag", "\"one\""),
        ("accept-ranges", "bytes"),
        ("vary", "origin"),
    ]);
    let begun = rule(&ALL).begin(&Method::GET, &asked("gzip"), &mut head).unwrap();
    assert!(begun.is_some_and(|encoder| !encoder.is_stream));
    let mut lines: Vec<String> = head
        .headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
        .collect();
    lines.sort();
    assert_eq!(
        lines,
        [
            "content-encoding: gzip",
            "content-type: text/html; charset=utf-8",
            "etag: W/\"one\"",
            "transfer-encoding: chunked",
            "vary: accept-encoding",
            "vary: origin",
        ]
    );
    // Not for this client, but caches must know.
    let mut plain = response(&[("content-length", "5000")]);
    assert!(rule(&ALL).begin(&Method::GET, &asked("deflate"), &mut plain).unwrap().is_none());
    assert_eq!(plain.headers["vary"], "accept-encoding");
    assert_eq!(plain.headers["content-length"], "5000");
    let mut head = response(&[("content-length", "5000")]);
    assert!(rule(&ALL).begin(&Method::HEAD, &asked("gzip"), &mut head).unwrap().is_none());
}

/// What a client makes of it.
fn decoded(coding: Coding, octets: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        Coding::Gzip => {
            // A stream that is not over yet ends in an error, behind all that was flushed.
            let _ = flate2::read::GzDecoder::new(octets).read_to_end(&mut plain);
        }
        Coding::Brotli => {
            let _ = brotli::Decompressor::new(octets, 4096).read_to_end(&mut plain);
        }
        Coding::Zstd => {
            let _ = zstd::stream::read::Decoder::new(octets).unwrap().read_to_end(&mut plain);
        }
    }
    plain
}

#[test]
fn every_piece_of_a_stream_can_be_read_at_once() {
    for coding in ALL {
        let mut encoder = Encoder::new(coding, true).unwrap();
        let mut sent = Vec::new();
        for event in ["data: one\n\n", "data: two\n\n"] {
            sent.extend_from_slice(&encoder.feed(event.as_bytes()).unwrap());
            assert!(decoded(coding, &sent).ends_with(event.as_bytes()), "{coding:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn what_goes_in_comes_out(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5_000), 0..8),
        is_stream: bool,
    ) {
        for coding in ALL {
            let mut encoder = Encoder::new(coding, is_stream).unwrap();
            let mut sent = Vec::new();
            for piece in &pieces {
                sent.extend_from_slice(&encoder.feed(piece).unwrap());
            }
            sent.extend_from_slice(&encoder.finish().unwrap());
            prop_assert_eq!(decoded(coding, &sent), pieces.concat());
            prop_assert_eq!(encoder.finish().unwrap(), Bytes::new());
        }
    }
}
