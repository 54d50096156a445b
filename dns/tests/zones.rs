//! Many zones in one server, zones within zones, and what belongs to which.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::hash::RandomState;
use std::sync::Arc;

use dns::{Settings, View};
use model::Policy;
use model::record::{RecordSet, RecordType};
use model::zone::{NameServer, Zone};
use steering::Snapshot;
use world::{Ask, name, zone};

fn small(apex: &str, records: Vec<RecordSet>) -> Zone {
    let servers = vec![NameServer { name: name("ns.other.net"), addresses: Vec::new() }];
    Zone { apex: name(apex), name_servers: servers, ns_ttl_s: 300, records, ..zone() }
}

fn set(owner: &str, record_type: RecordType, rdata: &[u8]) -> RecordSet {
    RecordSet { owner: name(owner), record_type, ttl_s: 300, rdata: vec![rdata.into()] }
}

fn view(zones: Vec<Zone>) -> View {
    let policy = Arc::new(Policy { zones, ..Policy::default() });
    let snapshot = Snapshot { policy, ..Snapshot::default() };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

#[track_caller]
fn check(view: &View, question: &str, record_type: RecordType, wanted: &str) {
    assert_eq!(Ask::new(question, record_type).answer(view), wanted, "{question}");
}

fn soa(apex: &str) -> String {
    format!("@{apex}. 60 SOA ns1.edge.example. hostmaster.edge.example. 0 7200 900 1209600 60")
}

#[test]
fn twelve_thousand_zones_are_told_apart() {
    let zones = (0..12_000_u32).map(|number| {
        let (apex, rdata) = (format!("z{number}.example"), number.to_be_bytes());
        small(&apex, vec![set(&format!("www.{apex}"), RecordType::A, &rdata)])
    });
    let view = view(zones.collect());
    for number in [0, 1, 77, 11_999_u32] {
        let apex = format!("z{number}.example");
        let ip = std::net::Ipv4Addr::from(number);
        let www = format!("www.{apex}");
        let servers = format!("@{apex}. 300 NS ns.other.net.");
        check(&view, &www, RecordType::A, &format!("NOERROR aa\n{www}. 300 A {ip}\n{servers}"));
        check(
            &view,
            &format!("ftp.{apex}"),
            RecordType::A,
            &format!("NXDOMAIN aa\n{}", soa(&apex)),
        );
    }
    for foreign in ["z12000.example", "example", "www.xz1.example", "z1.example.net"] {
        check(&view, foreign, RecordType::A, "REFUSED");
    }
}

#[test]
fn a_zone_within_a_zone_answers_for_itself_and_its_parent_for_the_cut() {
    let ns = name("ns.other.net");
    let parent = small(
        "example",
        vec![
            set("child.example", RecordType::NS, ns.as_wire()),
            set("child.example", RecordType::DS, &[0, 1, 13, 2, 9]),
            // Below the cut: nobody's but the child's, whatever the parent says.
            set("www.child.example", RecordType::A, &[192, 0, 2, 66]),
            set("only.parent.child.example", RecordType::A, &[192, 0, 2, 66]),
            set("to.example", RecordType::CNAME, name("www.child.example").as_wire()),
            set("alias.example", RecordType::CNAME, name("child.example").as_wire()),
            // In the orphan zone's place, without a cut.
            set("www.orphan.example", RecordType::A, &[192, 0, 2, 66]),
        ],
    );
    let child =
        small("child.example", vec![set("www.child.example", RecordType::A, &[192, 0, 2, 1])]);
    let orphan = small("orphan.example", vec![]);
    let view = view(vec![parent, child, orphan]);
    check(
        &view,
        "www.child.example",
        RecordType::A,
        "NOERROR aa\nwww.child.example. 300 A 192.0.2.1\n@child.example. 300 NS ns.other.net.",
    );
    check(
        &view,
        "only.parent.child.example",
        RecordType::A,
        &format!("NXDOMAIN aa\n{}", soa("child.example")),
    );
    check(
        &view,
        "child.example",
        RecordType::NS,
        "NOERROR aa\nchild.example. 300 NS ns.other.net.",
    );
    check(&view, "child.example", RecordType::DS, "NOERROR aa\nchild.example. 300 DS AAENAgk=");
    check(&view, "orphan.example", RecordType::DS, &format!("NOERROR aa\n{}", soa("example")));
    check(
        &view,
        "www.orphan.example",
        RecordType::A,
        &format!("NXDOMAIN aa\n{}", soa("orphan.example")),
    );
    // A chain ends where the zone does: the resolver asks again and is answered by the child.
    check(
        &view,
        "to.example",
        RecordType::A,
        "NOERROR aa\nto.example. 300 CNAME www.child.example.",
    );
    // Its DS is still the parent's, so the chain goes on for those.
    check(
        &view,
        "alias.example",
        RecordType::DS,
        "NOERROR aa\nalias.example. 300 CNAME child.example.\nchild.example. 300 DS AAENAgk=",
    );
    check(&view, "example", RecordType::DS, &format!("NOERROR aa\n{}", soa("example")));
}

#[test]
fn a_record_out_of_its_zone_is_nobodys() {
    let stray = set("www.other.net", RecordType::A, &[192, 0, 2, 66]);
    let view = view(vec![small("edge.example", vec![stray])]);
    check(&view, "www.other.net", RecordType::A, "REFUSED");
    let none = format!("NXDOMAIN aa\n{}", soa("edge.example"));
    check(&view, "www.edge.example", RecordType::A, &none);
}

#[test]
fn the_root_can_be_served() {
    let view = view(vec![small(".", vec![set("www.example", RecordType::A, &[192, 0, 2, 1])])]);
    check(&view, ".", RecordType::NS, "NOERROR aa\n. 300 NS ns.other.net.");
    check(
        &view,
        "www.example",
        RecordType::A,
        "NOERROR aa\nwww.example. 300 A 192.0.2.1\n@. 300 NS ns.other.net.",
    );
    check(&view, "example", RecordType::A, &format!("NOERROR aa\n{}", soa("")));
}

#[test]
fn a_name_of_127_labels_is_answered() {
    let deepest = format!("{}z", "a.".repeat(126));
    let records = vec![set("*.a.a.z", RecordType::A, &[192, 0, 2, 1])];
    let view = view(vec![small("z", records)]);
    check(
        &view,
        &deepest,
        RecordType::A,
        &format!("NOERROR aa\n{deepest}. 300 A 192.0.2.1\n@z. 300 NS ns.other.net."),
    );
}

/// The rdata of the first answer record, as it stands in the packet, and the packet.
fn rdata_of(view: &View, question: &str, record_type: RecordType) -> (Vec<u8>, Vec<u8>) {
    let ask = Ask::new(question, record_type);
    let mut out = [0; 65_535];
    let client = "192.0.2.200:4000".parse().expect("an address");
    let octets = dns::respond(view, &ask.packet(), client, dns::Transport::Tcp, &mut out);
    let packet = out[..octets.expect("an answer")].to_vec();
    assert_eq!(packet[7], 1, "one answer: {packet:?}");
    // Header, question, owner, type, class and TTL.
    let at = 12 + ask.name.len() + 4 + 2 + 8;
    let length = usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    (packet[at + 2..at + 2 + length].to_vec(), packet)
}

/// Names written out: every pointer is followed within the packet.
fn expanded(packet: &[u8], rdata: &[u8], numbers_before: usize) -> Vec<u8> {
    let (head, mut rest) = rdata.split_at(numbers_before);
    let mut whole = head.to_vec();
    while let [length, tail @ ..] = rest {
        match *length {
            0xc0.. => {
                let at = usize::from(u16::from_be_bytes([length & 0x3f, tail[0]]));
                let end = at + packet[at..].iter().position(|&octet| octet == 0).expect("a root");
                whole.extend_from_slice(&packet[at..=end]);
                rest = &tail[1..];
            }
            length => {
                let end = 1 + usize::from(length);
                whole.extend_from_slice(&rest[..end]);
                rest = &rest[end..];
            }
        }
    }
    whole
}

#[test]
fn only_types_of_rfc_1035_are_compressed_and_all_arrive_as_written() {
    let inside = name("host.a-zone-of-some-length.example");
    let outside = name("a-zone-of-some-length.example.net");
    // Type, octets before its one name, whether its names may be compressed (RFC 3597, section 4).
    let types = [
        (5, 0, true),
        (12, 0, true),
        (15, 2, true),
        (18, 2, false),
        (33, 6, false),
        (36, 2, false),
        (39, 0, false),
        (64, 2, false),
        (65_280, 3, false),
    ];
    for (number, numbers_before, may) in types {
        for (host, is_inside) in [(&inside, true), (&outside, false)] {
            let rdata = [&[1, 2, 3, 4, 5, 6][..numbers_before], host.as_wire()].concat();
            let record_type = RecordType(number);
            let owner = "x.a-zone-of-some-length.example";
            let zone =
                small("a-zone-of-some-length.example", vec![set(owner, record_type, &rdata)]);
            let (sent, packet) = rdata_of(&view(vec![zone]), owner, record_type);
            assert_eq!(sent.len() < rdata.len(), may && is_inside, "TYPE{number} {host}");
            let whole = if may { expanded(&packet, &sent, numbers_before) } else { sent };
            assert_eq!(whole, rdata, "TYPE{number} {host}");
        }
    }
    // What looks like a pointer in unknown data is none.
    let rdata = [0xc0, 0x0c, 0xff, 0x3f, 0];
    let zone = small("example", vec![set("x.example", RecordType(65_281), &rdata)]);
    assert_eq!(rdata_of(&view(vec![zone]), "x.example", RecordType(65_281)).0, rdata);
}

#[test]
fn a_referral_without_its_glue_is_cut_and_one_without_other_addresses_is_not() {
    // Thirteen servers with long names: below the cut, or beside it in the zone.
    let servers = |parent: &str| -> Vec<String> {
        (0..13).map(|nth| format!("a-server-with-a-name-of-some-length-{nth}.{parent}")).collect()
    };
    let zone = |servers: &[String]| {
        let names: Vec<Vec<u8>> =
            servers.iter().map(|server| name(server).as_wire().to_vec()).collect();
        let rdata = names.iter().map(|octets| octets.as_slice().into()).collect();
        let record_type = RecordType::NS;
        let cut = RecordSet { owner: name("cut.example"), record_type, ttl_s: 300, rdata };
        let mut records = vec![cut];
        for server in servers {
            records.push(set(server, RecordType::A, &[192, 0, 2, 1]));
            records.push(set(server, RecordType::AAAA, &[7; 16]));
        }
        view(vec![small("example", records)])
    };
    let check = |parent: &str, udp_octets_max: u16, wanted: &str| {
        let mut ask = Ask::new("www.cut.example", RecordType::A).edns();
        ask.edns.as_mut().expect("EDNS").udp_octets_max = udp_octets_max;
        let answer = ask.answer(&zone(&servers(parent)));
        let lines = |start| answer.lines().filter(|line| line.starts_with(start)).count();
        let head = answer.lines().next().expect("a line");
        assert_eq!(format!("{head}: {} NS, {} addresses", lines('@'), lines('+')), wanted);
    };
    // The servers alone take 12 octets each and their names.
    check("cut.example", 1232, "NOERROR tc: 13 NS, 21 addresses");
    check("example", 1232, "NOERROR: 13 NS, 23 addresses");
    check("cut.example", 512, "NOERROR tc: 0 NS, 0 addresses");
    check("example", 512, "NOERROR tc: 0 NS, 0 addresses");
}

#[test]
fn a_name_servers_addresses_among_the_records_keep_their_ttl() {
    let mut zone = small("example", vec![]);
    zone.name_servers[0].name = name("ns.example");
    let address = set("ns.example", RecordType::A, &[192, 0, 2, 53]);
    zone.records = vec![RecordSet { ttl_s: 60, ..address }];
    let wanted = "NOERROR aa\nexample. 300 NS ns.example.\n+ns.example. 60 A 192.0.2.53";
    check(&view(vec![zone]), "example", RecordType::NS, wanted);
}
