use hickory_proto::rr::{RData, RecordType as OracleType};
use hickory_proto::serialize::binary::{BinEncodable, BinEncoder, NameEncoding};

use super::super::master::Lexer;
use super::*;

fn encode_text(record_type: &str, text: &str) -> Result<Vec<u8>, RdataError> {
    let origin = DnsName::parse("edge.example").unwrap();
    let line = Lexer::new(text).next_line().unwrap().unwrap();
    encode(RecordType::parse(record_type).unwrap(), &line.words, &origin).map(Vec::from)
}

fn oracle(record_type: &str, text: &str) -> Vec<u8> {
    let record_type: OracleType = record_type.parse().unwrap();
    let rdata = RData::try_from_str(record_type, text).unwrap();
    let mut octets = Vec::new();
    let mut encoder = BinEncoder::new(&mut octets);
    encoder.set_name_encoding(NameEncoding::Uncompressed);
    rdata.emit(&mut encoder).unwrap();
    octets
}

#[test]
fn hickory_agrees() {
    let records = [
        ("A", "192.0.2.1"),
        ("AAAA", "2001:db8::1"),
        ("NS", "ns1.edge.example."),
        ("CNAME", "a.b.example."),
        ("PTR", "host.example."),
        ("MX", "10 mail.example."),
        ("TXT", "\"hello world\" second"),
        ("SRV", "1 2 443 host.example."),
        ("NAPTR", "100 50 \"s\" \"z3950+I2L+I2C\" \"\" _z3950._tcp.gatech.edu."),
        ("CAA", "0 issue \"letsencrypt.org\""),
        ("SSHFP", "1 1 dd465c09cfa51fb45020cc83316fff21b9ec74ac"),
        ("TLSA", "3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971"),
        ("HTTPS", "1 . alpn=h2,h3 port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1"),
        (
            "SVCB",
            "16 foo.example.org. mandatory=alpn,ipv4hint alpn=\"h2,h3-19\" ipv4hint=192.0.2.1",
        ),
        ("HTTPS", "0 svc.example.net."),
        ("SOA", "ns1.example. hostmaster.example. 7 3600 600 604800 30"),
        ("HINFO", "DEC-2060 TOPS20"),
        ("OPENPGPKEY", "dHJ1c3RfZG5zIGlzIGF3ZXNvbWU="),
    ];
    for (record_type, text) in records {
        let ours = encode_text(record_type, text);
        assert_eq!(ours.as_deref(), Ok(&*oracle(record_type, text)), "{record_type} {text}");
    }
}

#[test]
fn names_are_relative_to_the_origin() {
    assert_eq!(encode_text("MX", "10 mail"), encode_text("MX", "10 mail.edge.example."));
    assert_eq!(encode_text("CNAME", "@"), encode_text("CNAME", "edge.example."));
}

#[test]
fn octet_escapes_are_octets() {
    assert_eq!(encode_text("TXT", r#""\255\"" x"#).unwrap(), b"\x02\xff\"\x01x");
    assert_eq!(encode_text("TXT", "\"电信\"").unwrap(), b"\x06\xe7\x94\xb5\xe4\xbf\xa1");
}

/// RFC 9460, appendix D: the vectors that are ours to encode.
#[test]
fn service_parameters_follow_the_rfc() {
    let check = |text: &str, expected: &[u8]| {
        assert_eq!(encode_text("SVCB", text).unwrap(), expected, "{text}");
    };
    check("1 . key667=hello", b"\0\x01\0\x02\x9b\0\x05hello");
    check(r#"1 . key667="hello\210qoo""#, b"\0\x01\0\x02\x9b\0\x09hello\xd2qoo");
    check(r#"16 . alpn="f\\\\oo\\,bar,h2""#, b"\0\x10\0\0\x01\0\x0c\x08f\\oo,bar\x02h2");
    check(r"16 . alpn=f\\\092oo\092,bar,h2", b"\0\x10\0\0\x01\0\x0c\x08f\\oo,bar\x02h2");
    for bad in [
        "1 . key123=abc key123=def",
        "1 . mandatory",
        "1 . alpn",
        "1 . port",
        "1 . ipv4hint",
        "1 . no-default-alpn=abc alpn=h2",
        "1 . no-default-alpn",
        "1 . mandatory=key123",
        "1 . mandatory=mandatory",
        "1 . mandatory=key123,key123 key123=abc",
        "1 . key65535=x",
        "1 . colour=red",
        "0 . alpn=h2",
    ] {
        assert!(encode_text("SVCB", bad).is_err(), "{bad}");
    }
}

#[test]
fn generic_form_is_checked_against_the_type() {
    assert_eq!(encode_text("TYPE65280", r"\# 3 abcdef").unwrap(), [0xab, 0xcd, 0xef]);
    assert!(encode_text("TYPE65280", r"\# 0").unwrap().is_empty());
    assert_eq!(encode_text("A", r"\# 4 7f 000001").unwrap(), [127, 0, 0, 1]);
    for (record_type, bad) in [
        ("TYPE65280", "abcdef"),
        ("TYPE65280", r"\# 2 abcdef"),
        ("TYPE65280", r"\# 3 abcde"),
        ("TYPE65280", r"\#"),
        ("A", r"\# 3 7f0000"),
        ("CNAME", r"\# 3 0261c0"),
        ("CNAME", r"\# 2 c000"),
        ("MX", r"\# 2 0001"),
        ("TXT", r"\# 0"),
        ("TXT", r"\# 2 0261"),
        ("HTTPS", r"\# 7 0001 00 0003 0002"),
    ] {
        assert!(encode_text(record_type, bad).is_err(), "{record_type} {bad}");
    }
}

#[test]
fn mistakes_name_their_word() {
    let check = |record_type: &str, text: &str, word: Option<usize>| {
        assert_eq!(encode_text(record_type, text).unwrap_err().word, word, "{record_type} {text}");
    };
    check("A", "192.0.2.256", Some(0));
    check("A", "192.0.2.1 192.0.2.2", Some(1));
    check("MX", "10", None);
    check("MX", "ten mail", Some(0));
    check("SRV", "1 2 65536 x", Some(2));
    check("TXT", &format!("a {}", "x".repeat(256)), Some(1));
    check("DS", "1 8 2 xyz", Some(3));
    check("HTTPS", "1 . alpn=h2 port=x", Some(3));
}

#[test]
fn ttls_may_have_units() {
    for (text, expected) in [("0", Some(0)), ("1h30m", Some(5400)), ("1W", Some(604_800))] {
        assert_eq!(parse_ttl_s(text), expected, "{text}");
    }
    for bad in ["", "h", "-1", "1x", "2147483648", "4000w", "99999999999"] {
        assert_eq!(parse_ttl_s(bad), None, "{bad}");
    }
}
