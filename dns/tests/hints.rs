//! HTTPS and SVCB at steered names: the same sites as the A record, by hint (RFC 9460).
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::sync::Arc;

use dns::View;
use model::observe::Verdict;
use model::record::{RecordSet, RecordType};
use steering::Health;
use world::{Ask, healthy, name, snapshot, verdicts, view_of};

/// A world whose services have these records; HTTPS of `hello` and of the wildcard service.
fn view(health: Health, ttl_s: u32, records: &[&[u8]]) -> View {
    let mut snapshot = snapshot(health);
    let mut policy = (*snapshot.policy).clone();
    for (service, owner) in [(0, "fenced"), (1, "*.fn"), (3, "hello")] {
        let rdata = records.iter().map(|&rdata| rdata.into()).collect();
        let owner = name(&format!("{owner}.edge.example"));
        let set = RecordSet { owner, record_type: RecordType::HTTPS, ttl_s, rdata };
        policy.services[service].records = vec![set];
    }
    policy.services[3].answers.sites_max = 2;
    snapshot.policy = Arc::new(policy);
    view_of(&snapshot)
}

fn ask(label: &str, subnet: &str) -> Ask {
    Ask::new(&format!("{label}.edge.example"), RecordType::HTTPS).subnet(subnet)
}

#[track_caller]
fn check(records: &[&[u8]], ask: &Ask, wanted: &str) {
    assert_eq!(ask.answer(&view(healthy(), 20, records)), wanted);
}

#[test]
fn the_hints_are_the_chosen_sites_with_the_same_scope() {
    check(
        &[b"\0\x01\0"],
        &ask("x.fn", "1.2.3.0/24"),
        "NOERROR aa\nx.fn.edge.example. 20 HTTPS 1 . ipv4hint=198.51.100.2 ipv6hint=2001:db8:2::1\n\
         edns 1232 ecs=1.2.3.0/24/16",
    );
    // A site without IPv6 gives no such hint, and an empty one would be malformed.
    check(
        &[b"\0\x01\0"],
        &ask("x.fn", "8.8.8.0/24"),
        "NOERROR aa\nx.fn.edge.example. 20 HTTPS 1 . ipv4hint=198.51.100.1\n\
         edns 1232 ecs=8.8.8.0/24/5",
    );
    check(
        &[b"\0\x01\0"],
        &ask("x.fn", "2001:db8:ff12:3400::/56"),
        "NOERROR aa\nx.fn.edge.example. 20 HTTPS 1 . ipv4hint=198.51.100.2 ipv6hint=2001:db8:2::1\n\
         edns 1232 ecs=2001:db8:ff12:3400::/56/40",
    );
}

#[test]
fn several_sites_stand_in_one_hint_in_their_order() {
    check(
        &[b"\0\x01\0"],
        &ask("hello", "1.2.3.0/24"),
        "NOERROR aa\nhello.edge.example. 20 HTTPS 1 . ipv4hint=198.51.100.2,198.51.100.1 \
         ipv6hint=2001:db8:2::1\nedns 1232 ecs=1.2.3.0/24/16",
    );
}

#[test]
fn parameters_stay_in_the_order_of_their_keys() {
    // alpn=h3 (1), port=8443 (3), ech (5), dohpath (7): hints go in at 4 and at 6.
    let rdata = b"\0\x01\0\0\x01\0\x03\x02h3\0\x03\0\x02\x20\xfb\0\x05\0\x01E\0\x07\0\x02/d";
    let ask = ask("x.fn", "1.2.3.0/24");
    let mut out = [0; 512];
    let client = world::RESOLVER.parse().expect("an address");
    let view = view(healthy(), 20, &[rdata]);
    let octets = dns::respond(&view, &ask.packet(), client, dns::Transport::Udp, &mut out);
    let answer = &out[..octets.expect("an answer")];
    let hints = [
        b"\0\x01\0\0\x01\0\x03\x02h3\0\x03\0\x02\x20\xfb".as_slice(),
        b"\0\x04\0\x04\xc6\x33\x64\x02\0\x05\0\x01E\0\x06\0\x10\x20\x01\x0d\xb8\0\x02\0\0",
        b"\0\0\0\0\0\0\0\x01\0\x07\0\x02/d",
    ]
    .concat();
    let length = u16::try_from(hints.len()).expect("short").to_be_bytes();
    let wanted = [length.as_slice(), &hints].concat();
    assert!(answer.windows(wanted.len()).any(|octets| octets == wanted), "{answer:02x?}");
}

#[test]
fn written_hints_alias_mode_and_other_targets_stay_as_they_are() {
    let v4 = b"\0\x01\0\0\x04\0\x04\xc0\0\x02\x09".as_slice();
    let both = [v4, b"\0\x06\0\x10\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x09"].concat();
    let elsewhere = [b"\0\x02".as_slice(), name("www.other.net").as_wire()].concat();
    let alias = [b"\0\0".as_slice(), name("www.other.net").as_wire()].concat();
    let ask = ask("x.fn", "1.2.3.0/24");
    let wire = |records: &[&[u8]]| ask.answer(&view(healthy(), 20, records));
    for (rdata, shown) in [
        (&both, "1 . ipv4hint=192.0.2.9 ipv6hint=2001:db8::9"),
        (&elsewhere, "2 www.other.net."),
        (&alias, "0 www.other.net."),
    ] {
        let answer = wire(&[rdata]);
        let record = format!("NOERROR aa\nx.fn.edge.example. 20 HTTPS {shown}\n@edge.example.");
        assert!(answer.starts_with(&record), "{answer}");
        assert!(answer.ends_with("ecs=1.2.3.0/24/0"), "for everybody: {answer}");
    }
    // The one that is missing is added, and the records beside it are whole.
    check(
        &[v4, &elsewhere],
        &ask,
        "NOERROR aa\n\
         x.fn.edge.example. 20 HTTPS 1 . ipv4hint=192.0.2.9 ipv6hint=2001:db8:2::1\n\
         x.fn.edge.example. 20 HTTPS 2 www.other.net.\nedns 1232 ecs=1.2.3.0/24/16",
    );
}

#[test]
fn a_target_that_is_the_name_itself_is_hinted() {
    let own = [b"\0\x01".as_slice(), name("hello.edge.example").as_wire()].concat();
    check(
        &[&own],
        &ask("hello", "8.8.8.0/24"),
        "NOERROR aa\nhello.edge.example. 20 HTTPS 1 hello.edge.example. \
         ipv4hint=198.51.100.1,198.51.100.2 ipv6hint=2001:db8:2::1\nedns 1232 ecs=8.8.8.0/24/5",
    );
}

#[test]
fn health_orders_and_time_hold_for_hints_too() {
    let answer = |health, ask: &Ask| ask.answer(&view(health, 300, &[b"\0\x01\0"]));
    let client = ask("x.fn", "1.2.3.0/24");
    assert_eq!(
        answer(verdicts([Verdict::Up, Verdict::Down, Verdict::Up]), &client),
        "NOERROR aa\nx.fn.edge.example. 30 HTTPS 1 . ipv4hint=198.51.100.1\n\
         edns 1232 ecs=1.2.3.0/24/16"
    );
    assert_eq!(
        answer(verdicts([Verdict::Up, Verdict::Failing, Verdict::Up]), &client),
        "NOERROR aa\nx.fn.edge.example. 15 HTTPS 1 . ipv4hint=198.51.100.2 \
         ipv6hint=2001:db8:2::1\nedns 1232 ecs=1.2.3.0/24/16"
    );
    assert_eq!(
        answer(healthy(), &ask("fenced", "1.2.3.0/24")),
        "NOERROR aa\n@edge.example. 30 SOA ns1.edge.example. hostmaster.edge.example. 7 7200 900 \
         1209600 60\nedns 1232 ecs=1.2.3.0/24/16 ede=18:no site may serve this client"
    );
}

#[test]
fn what_does_not_fit_is_cut_whole() {
    let large = [b"\0\x01\0\x80\0\x01\x90".as_slice(), &[7; 400]].concat();
    let records: Vec<Vec<u8>> = (1..4).map(|nth| [&[0, nth], &large[2..]].concat()).collect();
    let records: Vec<&[u8]> = records.iter().map(Vec::as_slice).collect();
    check(&records, &ask("x.fn", "1.2.3.0/24"), "NOERROR aa tc\nedns 1232 ecs=1.2.3.0/24/16");
}
