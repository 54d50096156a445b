//! Headers as balancers write them, cut and damaged.

use proptest::prelude::*;

use super::*;

fn ends(source: &str, destination: &str) -> Ends {
    Ends { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

fn told(source: &str, destination: &str, octets: usize) -> Result<Option<Header>, HeaderFault> {
    Ok(Some(Header { ends: Some(ends(source, destination)), octets }))
}

/// A version 2 header of any content.
fn binary(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [&SIGNATURE[..], &[command, family], &length, body].concat()
}

#[test]
fn lines_are_read() {
    let line = b"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\nGET /";
    assert_eq!(read(line), told("192.0.2.1:56324", "198.51.100.2:443", 45));
    let line = b"PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n";
    assert_eq!(read(line), told("[2001:db8::1]:1", "[2001:db8::2]:65535", 44));
    // An IPv4 client of a v6 socket is the IPv4 client that rules name.
    let line = b"PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 1 2\r\n";
    assert_eq!(read(line), told("192.0.2.1:1", "198.51.100.2:2", 53));
    let unknown = Ok(Some(Header { ends: None, octets: 15 }));
    assert_eq!(read(b"PROXY UNKNOWN\r\n"), unknown);
    let long = b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n";
    assert_eq!(read(long), Ok(Some(Header { ends: None, octets: long.len() })));
}

#[test]
fn lines_that_lie_are_refused() {
    for line in [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP5 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        "PROXY TCP6 192.0.2.1 198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1  198.51.100.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 198.51.100.2 1 2\n\r\n",
    ] {
        assert_eq!(read(line.as_bytes()), Err(HeaderFault::Malformed), "{line}");
    }
    assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(HeaderFault::Absent));
    assert_eq!(read(&[b"PROXY ", &[b'x'; 200][..]].concat()), Err(HeaderFault::TooLong));
}

#[test]
fn binary_headers_are_read_with_their_values() {
    let mut body = vec![192, 0, 2, 1, 198, 51, 100, 2, 0, 80, 1, 187];
    assert_eq!(read(&binary(0x21, 0x11, &body)), told("192.0.2.1:80", "198.51.100.2:443", 28));
    // ALPN, a unique id and padding, as balancers add them.
    body.extend([1, 0, 2, b'h', b'2', 5, 0, 1, 9, 4, 0, 0]);
    assert_eq!(read(&binary(0x21, 0x11, &body)), told("192.0.2.1:80", "198.51.100.2:443", 40));
    body.push(3);
    assert_eq!(read(&binary(0x21, 0x11, &body)), Err(HeaderFault::Malformed));
    let nobody = |octets| Ok(Some(Header { ends: None, octets }));
    assert_eq!(read(&binary(0x20, 0, &[])), nobody(16));
    assert_eq!(read(&binary(0x20, 0x11, &[7; 12])), nobody(28));
    assert_eq!(read(&binary(0x21, 0, &[])), nobody(16));
    assert_eq!(read(&binary(0x21, 0x31, &[0; 216])), nobody(232));
}

#[test]
fn binary_headers_that_lie_are_refused() {
    assert_eq!(read(&binary(0x21, 0x11, &[0; 11])), Err(HeaderFault::Malformed));
    assert_eq!(read(&binary(0x21, 0x21, &[0; 35])), Err(HeaderFault::Malformed));
    assert_eq!(read(&binary(0x22, 0x11, &[0; 12])), Err(HeaderFault::Malformed));
    assert_eq!(read(&binary(0x11, 0x11, &[0; 12])), Err(HeaderFault::Malformed));
    assert_eq!(read(&binary(0x21, 0x41, &[0; 12])), Err(HeaderFault::Malformed));
    // Refused by its length already, before anything is buffered.
    let long = binary(0x21, 0x11, &vec![0; HEADER_OCTETS_MAX]);
    assert_eq!(read(&long[..FIXED]), Err(HeaderFault::TooLong));
}

#[test]
fn what_is_written_is_read_again() {
    for (source, destination) in
        [("192.0.2.1:1", "198.51.100.2:443"), ("[2001:db8::1]:65535", "[2001:db8::2]:80")]
    {
        let told_of = ends(source, destination);
        for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
            let octets = write(version, told_of);
            assert_eq!(read(&octets), told(source, destination, octets.len()));
        }
    }
    let mixed = ends("192.0.2.1:1", "[2001:db8::2]:80");
    let line = String::from_utf8(write(ProxyProtocol::V1, mixed)).unwrap();
    assert_eq!(line, "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 80\r\n");
    let octets = write(ProxyProtocol::V2, mixed);
    assert_eq!(read(&octets), told("192.0.2.1:1", "[2001:db8::2]:80", 52));
}

#[test]
fn every_cut_asks_for_more() {
    let told_of = ends("192.0.2.1:1", "198.51.100.2:443");
    for version in [ProxyProtocol::V1, ProxyProtocol::V2] {
        let octets = write(version, told_of);
        for end in 0..octets.len() {
            assert_eq!(read(&octets[..end]), Ok(None), "{version:?} {end}");
        }
    }
}

proptest! {
    #[test]
    fn noise_is_never_a_panic_and_never_read_beyond(octets: Vec<u8>, cut in 0_usize..16, line: bool) {
        let begin = if line { &b"PROXY TCP4 "[..] } else { &SIGNATURE[..12 - cut.min(12)] };
        let octets = [begin, &octets].concat();
        if let Ok(Some(header)) = read(&octets) {
            prop_assert!(header.octets <= octets.len());
        }
    }
}
