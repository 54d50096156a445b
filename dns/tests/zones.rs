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
