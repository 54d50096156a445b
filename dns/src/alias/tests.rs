//! What one client is told of an alias.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::*;
use crate::message::{self, Query};
use crate::name::NameBuf;

const ID: AliasId = AliasId(0);

fn found(ip: &str, is_stale: bool) -> Found {
    let addresses = Arc::new([ip.parse().expect("an address")]);
    Found { addresses, ttl_s: 60, is_stale, used: Arc::default() }
}

fn v4(ip: [u8; 4], len: u8) -> Block {
    Block { is_v6: false, first: u64::from(Ipv4Addr::from(ip).to_bits()) << 32, len }
}

fn v6(ip: &str, len: u8) -> Block {
    let ip: Ipv6Addr = ip.parse().expect("an address");
    Block { is_v6: true, first: u64::try_from(ip.to_bits() >> 64).expect("64 bits"), len }
}

/// One name: everybody's, 10.1.0.0/16's, 10.2.2.0/24's (stale), 2001:db8::/32's.
fn resolved(notes: Option<SyncSender<Note>>) -> Resolved {
    let names = Arc::new(AliasNames(vec![DnsName::parse("a.example").expect("a name")]));
    let tailored = vec![
        (v4([10, 1, 0, 0], 16), found("192.0.2.16", false)),
        (v4([10, 2, 2, 0], 24), found("192.0.2.24", true)),
        (v6("2001:db8::", 32), found("192.0.2.32", false)),
    ];
    assert!(tailored.is_sorted_by(|a, b| a.0 < b.0));
    let v4 = OfKind { everybody: Some(found("192.0.2.1", false)), tailored };
    let answers = Arc::new(Answers { v4, v6: OfKind::default() });
    let table = Table::from([(names.all()[0].clone(), answers)]);
    Resolved::new(&names, &Learned { table: Arc::new(table), notes })
}

/// Address, TTL and scope for a client subnet, or none.
fn told(resolved: &Resolved, subnet: Option<(u8, u8, &[u8])>) -> String {
    let hit = match subnet {
        None => resolved.look_up(ID, Kind::V4, None),
        Some((family, source_len, octets)) => {
            let option = [&[0, family, source_len, 0], octets].concat();
            let mut packet =
                b"\0\x01\0\0\0\x01\0\0\0\0\0\x01\x01a\0\0\x01\0\x01\0\0\x29\x04\xd0\0\0\0\0"
                    .to_vec();
            let len = u8::try_from(option.len()).expect("short");
            packet.extend([0, len + 4, 0, 8, 0, len]);
            packet.extend(&option);
            let mut name = NameBuf::default();
            let query: Query<'_> = message::parse(&packet, &mut name).expect("a query");
            let subnet = query.edns.expect("EDNS").subnet.expect("a subnet");
            resolved.look_up(ID, Kind::V4, Some(&subnet))
        }
    };
    let Some(hit) = hit else { return "nothing".to_owned() };
    let stale = if hit.is_stale { " stale" } else { "" };
    format!("{:?} {} /{}{stale}", hit.addresses, hit.ttl_s, hit.scope_len)
}

#[test]
fn a_client_gets_its_blocks_answer_and_everybodys_for_itself_until_then() {
    let (sender, notes) = notes();
    let resolved = resolved(Some(sender));
    assert_eq!(told(&resolved, None), "[192.0.2.1] 60 /0");
    assert_eq!(told(&resolved, Some((1, 0, &[]))), "[192.0.2.1] 60 /0");
    assert_eq!(told(&resolved, Some((1, 24, &[10, 1, 77]))), "[192.0.2.16] 60 /16");
    assert_eq!(told(&resolved, Some((1, 32, &[10, 1, 77, 9]))), "[192.0.2.16] 60 /16");
    assert_eq!(told(&resolved, Some((1, 32, &[10, 2, 2, 9]))), "[192.0.2.24] 30 /24 stale");
    assert_eq!(
        told(&resolved, Some((2, 56, &[0x20, 1, 0xd, 0xb8, 0, 0, 1]))),
        "[192.0.2.32] 60 /32"
    );
    // A part of it has its own answer: nobody who sends more is to be served from this one.
    assert_eq!(told(&resolved, Some((1, 8, &[10]))), "[192.0.2.1] 5 /24");
    assert!(notes.try_recv().is_err(), "nothing was missing so far");

    assert_eq!(told(&resolved, Some((1, 32, &[10, 3, 3, 9]))), "[192.0.2.1] 5 /24");
    assert_eq!(notes.try_recv().map(|note| note.block), Ok(v4([10, 3, 3, 0], 24)));
    assert_eq!(told(&resolved, Some((1, 16, &[172, 16]))), "[192.0.2.1] 5 /16");
    assert_eq!(notes.try_recv().map(|note| note.block), Ok(v4([172, 16, 0, 0], 16)));
    assert!(notes.try_recv().is_err());
}

#[test]
fn a_full_channel_loses_notes_and_answers_on() {
    let (sender, notes) = notes();
    let resolved = resolved(Some(sender));
    for nth in 0..2 * NOTES_MAX {
        let [.., a, b] = nth.to_be_bytes();
        assert_eq!(told(&resolved, Some((1, 24, &[11, a, b]))), "[192.0.2.1] 5 /24");
    }
    assert_eq!(notes.try_iter().count(), NOTES_MAX);
}

#[test]
fn a_name_that_was_never_resolved_is_nothing() {
    let resolved = resolved(None);
    assert!(resolved.look_up(ID, Kind::V6, None).is_none());
    assert!(resolved.look_up(AliasId(1), Kind::V4, None).is_none());
    assert_eq!(told(&resolved, Some((1, 24, &[11, 0, 0]))), "[192.0.2.1] 5 /24");
}
