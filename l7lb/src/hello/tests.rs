//! Hellos of a real client, whole, cut, fragmented and damaged.

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use super::*;

/// What rustls says first to this host.
fn client_hello(host: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut octets = Vec::new();
    client.write_tls(&mut octets).unwrap();
    octets
}

fn named(name: &str) -> Result<Option<Hello>, HelloFault> {
    Ok(Some(Hello { server_name: Some(name.into()) }))
}

/// The same message in records of so many octets.
fn in_fragments(octets: &[u8], size: usize) -> Vec<u8> {
    let fragment = |piece: &[u8]| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&[HANDSHAKE, 3, 1], &length[..], piece].concat()
    };
    octets[RECORD_HEADER..].chunks(size).flat_map(fragment).collect()
}

/// A hello with these extensions.
fn with_extensions(extensions: &[u8]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([0; 32]);
    body.extend([0, 0, 2, 0x13, 0x01, 1, 0]);
    body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
    body.extend(extensions);
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[CLIENT_HELLO], &length[1..], &body].concat();
    let length = u16::try_from(message.len()).unwrap().to_be_bytes();
    [&[HANDSHAKE, 3, 1], &length[..], &message].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(name.len() + more).unwrap().to_be_bytes();
    [&[0, 0], &length(5)[..], &length(3)[..], &[0], &length(0)[..], name].concat()
}

#[test]
fn a_name_is_found_and_lower_case() {
    assert_eq!(read(&client_hello("a.example")), named("a.example"));
    assert_eq!(read(&with_extensions(&server_name(b"A.Example."))), named("a.example"));
}

#[test]
fn an_address_or_nothing_is_no_name() {
    let nameless = Ok(Some(Hello { server_name: None }));
    assert_eq!(read(&client_hello("127.0.0.1")), nameless);
    assert_eq!(read(&with_extensions(&server_name(b"127.0.0.1"))), nameless);
    assert_eq!(read(&with_extensions(&[])), nameless);
}

#[test]
fn every_cut_asks_for_more() {
    let whole = client_hello("a.example");
    for end in 0..whole.len() {
        assert_eq!(read(&whole[..end]), Ok(None), "{end}");
    }
    // What follows the hello does not matter.
    assert_eq!(read(&[&whole[..], b"anything"].concat()), named("a.example"));
}

#[test]
fn fragments_are_put_together() {
    let whole = client_hello("a.example");
    for size in [1, 2, 3, 7, 100] {
        let pieces = in_fragments(&whole, size);
        assert_eq!(read(&pieces), named("a.example"), "{size}");
        assert_eq!(read(&pieces[..pieces.len() - 1]), Ok(None), "{size}");
    }
}

#[test]
fn what_is_no_hello_is_refused_at_once() {
    assert_eq!(read(b"GET / HTTP/1.1\r\n"), Err(HelloFault::NotHello));
    assert_eq!(read(b"\x16\x02"), Err(HelloFault::NotHello));
    assert_eq!(read(&[HANDSHAKE, 3, 1, 0, 1, 2]), Err(HelloFault::NotHello));
    assert_eq!(read(&[HANDSHAKE, 3, 1, 0, 0]), Err(HelloFault::Malformed));
    assert_eq!(read(&[HANDSHAKE, 3, 1, 0x40, 1]), Err(HelloFault::Malformed));
    // A hello that announces more than we take, and one that never ends.
    assert_eq!(read(&[HANDSHAKE, 3, 1, 0, 4, 1, 1, 0, 0]), Err(HelloFault::TooLong));
    let endless = [HANDSHAKE, 3, 1, 0x40, 0, 1, 0, 0x3f, 0xff];
    let mut octets = endless.to_vec();
    octets.resize(HELLO_OCTETS_MAX, 0);
    assert_eq!(read(&octets), Err(HelloFault::TooLong));
}

#[test]
fn names_that_servers_could_read_differently_are_refused() {
    let twice = [server_name(b"a.example"), server_name(b"b.example")].concat();
    assert_eq!(read(&with_extensions(&twice)), Err(HelloFault::Malformed));
    for name in [&b""[..], b"a\0b", b"a b", "\u{e4}.example".as_bytes(), &[b'a'; 254]] {
        let hello = with_extensions(&server_name(name));
        assert_eq!(read(&hello), Err(HelloFault::Malformed), "{name:?}");
    }
}

proptest! {
    #[test]
    fn damage_is_never_a_panic(at in 0_usize..300, octet: u8, size in 1_usize..64, cut in 0_usize..600) {
        let mut octets = in_fragments(&client_hello("a.example"), size);
        let at = at % octets.len();
        octets[at] = octet;
        octets.truncate(cut.max(1));
        let _ = read(&octets);
    }

    #[test]
    fn noise_is_never_a_panic(octets: Vec<u8>) {
        let _ = read(&octets);
    }
}
