//! What is answered, whole: code, flags, every record, EDNS.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use dns::Transport;
use model::observe::Verdict;
use model::record::RecordType;
use world::{Ask, healthy, snapshot, verdicts, view, view_of};

const SOA: &str =
    "@edge.example. 60 SOA ns1.edge.example. hostmaster.edge.example. 7 7200 900 1209600 60";
/// What follows every answer from the zone: its servers and their addresses.
const NS: &str = "@edge.example. 86400 NS ns1.edge.example.\n@edge.example. 86400 NS ns.other.net.\n\
                  +ns1.edge.example. 86400 A 192.0.2.53\n+ns1.edge.example. 86400 AAAA 2001:db8::53";

#[track_caller]
fn check(ask: &Ask, wanted: &str) {
    assert_eq!(ask.answer(&view()), wanted);
}

fn ask(name: &str, record_type: RecordType) -> Ask {
    Ask::new(name, record_type)
}

#[test]
fn a_steered_name_is_answered_for_the_client_subnet_with_its_exact_scope() {
    check(
        &ask("hello.edge.example", RecordType::A).subnet("1.2.3.0/24"),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.2\nedns 1232 ecs=1.2.3.0/24/16",
    );
    check(
        &ask("hello.edge.example", RecordType::A).subnet("1.3.0.0/16"),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.3\nedns 1232 ecs=1.3.0.0/16/16",
    );
    check(
        &ask("hello.edge.example", RecordType::A).subnet("8.8.8.0/24"),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\nedns 1232 ecs=8.8.8.0/24/5",
    );
    check(
        &ask("hello.edge.example", RecordType::AAAA).subnet("2001:db8:ff12:3400::/56"),
        "NOERROR aa\nhello.edge.example. 30 AAAA 2001:db8:2::1\n\
         edns 1232 ecs=2001:db8:ff12:3400::/56/40",
    );
}

#[test]
fn without_a_subnet_the_resolver_stands_for_its_clients() {
    check(
        &ask("hello.edge.example", RecordType::A),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1",
    );
    check(
        &ask("hello.edge.example", RecordType::A).edns(),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\nedns 1232",
    );
    // A client that hides is answered the same, for everybody who hides.
    check(
        &ask("hello.edge.example", RecordType::A).subnet("0.0.0.0/0"),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\nedns 1232 ecs=0.0.0.0/0/0",
    );
}

/// Operators give private prefixes a place in their LocaleMaps (carrier NAT, a campus), so that such
/// subnets are looked up like others; the scope says how far the answer goes in any case.
#[test]
fn subnets_that_nobody_routes_are_answered_as_the_map_has_them() {
    for subnet in
        ["10.1.2.0/24", "100.64.9.0/24", "127.0.0.0/24", "192.168.1.0/24", "169.254.1.0/24"]
    {
        let answer = ask("hello.edge.example", RecordType::A).subnet(subnet).answer(&view());
        let scope = answer.rsplit('/').next().map(str::parse::<u8>);
        assert!(answer.starts_with("NOERROR aa\nhello.edge.example. 30 A 198.51.100."), "{answer}");
        assert!(answer.contains(&format!("ecs={subnet}/")), "{answer}");
        assert!(matches!(scope, Some(Ok(1..=24))), "{answer}");
    }
    let answer = ask("hello.edge.example", RecordType::AAAA).subnet("fe80::/56").answer(&view());
    assert!(answer.ends_with("ecs=fe80::/56/1"), "{answer}");
}

#[test]
fn padding_hides_nothing_in_the_clear_and_is_not_answered() {
    // RFC 7830, section 6; unknown options are ignored alike (RFC 6891, section 6.1.2).
    for code in [12, 65_001] {
        check(
            &ask("hello.edge.example", RecordType::A).option(code, &[0; 96]),
            "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\nedns 1232",
        );
    }
}

#[test]
fn case_is_kept_and_does_not_matter() {
    check(
        &ask("HeLLo.EDGE.exAmple", RecordType::A),
        "NOERROR aa\nHeLLo.EDGE.exAmple. 30 A 198.51.100.1",
    );
}

#[test]
fn a_steered_name_keeps_its_other_types() {
    check(
        &ask("hello.edge.example", RecordType::HTTPS),
        "NOERROR aa\nhello.edge.example. 30 HTTPS 1 . ipv4hint=198.51.100.1",
    );
    check(&ask("hello.edge.example", RecordType::TXT), &format!("NOERROR aa\n{SOA}"));
    // No site of the pool has IPv6: that holds for everybody.
    check(
        &ask("four.edge.example", RecordType::AAAA).subnet("1.2.3.0/24"),
        &format!("NOERROR aa\n{SOA}\nedns 1232 ecs=1.2.3.0/24/0"),
    );
    // The chosen site has none: that holds for those who are sent there, as long as they are.
    check(
        &ask("hello.edge.example", RecordType::AAAA).subnet("8.8.8.0/24"),
        &format!(
            "NOERROR aa\n{}\nedns 1232 ecs=8.8.8.0/24/5",
            SOA.replace("example. 60", "example. 30")
        ),
    );
}

#[test]
fn a_wildcard_service_stands_for_one_label() {
    check(
        &ask("resize.fn.edge.example", RecordType::A).subnet("1.2.3.0/24"),
        "NOERROR aa\nresize.fn.edge.example. 30 A 198.51.100.2\nedns 1232 ecs=1.2.3.0/24/16",
    );
    check(&ask("a.b.fn.edge.example", RecordType::A), &format!("NXDOMAIN aa\n{SOA}"));
    check(&ask("fn.edge.example", RecordType::A), &format!("NOERROR aa\n{SOA}"));
    check(&ask("resize.fn.edge.example", RecordType::TXT), &format!("NOERROR aa\n{SOA}"));
}

#[test]
fn failing_halves_the_ttl_and_down_moves_the_clients_within_the_same_scope() {
    let check = |health, wanted: &str| {
        let view = view_of(&snapshot(health));
        let ask = ask("hello.edge.example", RecordType::A).subnet("1.2.3.0/24");
        assert_eq!(ask.answer(&view), wanted);
    };
    let (up, failing, down) = (Verdict::Up, Verdict::Failing, Verdict::Down);
    check(
        verdicts([up, failing, up]),
        "NOERROR aa\nhello.edge.example. 15 A 198.51.100.2\nedns 1232 ecs=1.2.3.0/24/16",
    );
    check(
        verdicts([up, down, up]),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\nedns 1232 ecs=1.2.3.0/24/16",
    );
    check(
        verdicts([down; 3]),
        "NOERROR aa\nhello.edge.example. 15 A 198.51.100.2\n\
         edns 1232 ecs=1.2.3.0/24/16 ede=0:every site is out, health ignored",
    );
}

#[test]
fn an_empty_answer_says_why_and_lives_no_longer_than_a_full_one() {
    let soa = SOA.replace("example. 60", "example. 30");
    check(
        &ask("fenced.edge.example", RecordType::A).subnet("1.2.3.0/24"),
        &format!(
            "NOERROR aa\n{soa}\n\
             edns 1232 ecs=1.2.3.0/24/16 ede=18:no site may serve this client"
        ),
    );
    let view = view_of(&snapshot(verdicts([Verdict::Down; 3])));
    assert_eq!(
        ask("none.edge.example", RecordType::A).edns().answer(&view),
        format!("NOERROR aa\n{soa}\nedns 1232 ede=0:every site is out"),
    );
    assert_eq!(
        ask("none.edge.example", RecordType::A).answer(&view),
        format!("NOERROR aa\n{soa}"),
        "no EDE without EDNS"
    );
}

#[test]
fn a_service_without_a_map_fails_and_says_so() {
    let mut snapshot = snapshot(healthy());
    let mut map = world::map();
    map.of_service.truncate(3);
    snapshot.map = map.into();
    assert_eq!(
        ask("hello.edge.example", RecordType::A).edns().answer(&view_of(&snapshot)),
        "SERVFAIL\nedns 1232 ede=14:no map for this service yet",
    );
}

#[test]
fn static_names_hold_for_everybody() {
    check(
        &ask("www.edge.example", RecordType::A).subnet("1.2.3.0/24"),
        &format!(
            "NOERROR aa\nwww.edge.example. 300 A 192.0.2.1\nwww.edge.example. 300 A 192.0.2.2\n\
             {NS}\nedns 1232 ecs=1.2.3.0/24/0"
        ),
    );
    check(&ask("www.edge.example", RecordType::MX), &format!("NOERROR aa\n{SOA}"));
    check(&ask("nobody.edge.example", RecordType::A), &format!("NXDOMAIN aa\n{SOA}"));
    check(&ask("x.www.edge.example", RecordType::A), &format!("NXDOMAIN aa\n{SOA}"));
}

#[test]
fn the_apex_has_its_own_records() {
    check(
        &ask("edge.example", RecordType::SOA),
        &format!(
            "NOERROR aa\n{}\n{NS}",
            SOA.replace("@", "").replace("example. 60", "example. 3600")
        ),
    );
    check(&ask("edge.example", RecordType::NS), &format!("NOERROR aa\n{}", NS.replace('@', "")));
    check(
        &ask("edge.example", RecordType::MX),
        &format!(
            "NOERROR aa\nedge.example. 300 MX 10 mail.edge.example.\n{}",
            NS.replacen('+', "+mail.edge.example. 300 A 192.0.2.25\n+", 1)
        ),
    );
    check(
        &ask("ns1.edge.example", RecordType::A),
        // And nothing stands there twice.
        &format!(
            "NOERROR aa\nns1.edge.example. 86400 A 192.0.2.53\n{}",
            NS.replace("+ns1.edge.example. 86400 A 192.0.2.53\n", "")
        ),
    );
}

#[test]
fn names_that_exist_for_others_alone_are_empty_not_missing() {
    check(&ask("empty.edge.example", RecordType::TXT), &format!("NOERROR aa\n{SOA}"));
    check(&ask("other.empty.edge.example", RecordType::TXT), &format!("NXDOMAIN aa\n{SOA}"));
}

#[test]
fn wildcards_stand_for_what_does_not_exist_below_them() {
    let wild = |name: &str| format!("NOERROR aa\n{name}. 300 TXT wild\n{NS}");
    for name in ["a.wild.edge.example", "a.b.wild.edge.example", "*.wild.edge.example"] {
        check(&ask(name, RecordType::TXT), &wild(name));
    }
    check(&ask("a.wild.edge.example", RecordType::A), &format!("NOERROR aa\n{SOA}"));
    check(&ask("taken.wild.edge.example", RecordType::TXT), &format!("NOERROR aa\n{SOA}"));
    check(&ask("x.taken.wild.edge.example", RecordType::TXT), &format!("NXDOMAIN aa\n{SOA}"));
    check(&ask("wild.edge.example", RecordType::TXT), &format!("NOERROR aa\n{SOA}"));
}

#[test]
fn aliases_are_followed_within_the_zone() {
    check(
        &ask("alias2.edge.example", RecordType::A).subnet("1.2.3.0/24"),
        "NOERROR aa\nalias2.edge.example. 300 CNAME alias.edge.example.\n\
         alias.edge.example. 300 CNAME hello.edge.example.\n\
         hello.edge.example. 30 A 198.51.100.2\nedns 1232 ecs=1.2.3.0/24/16",
    );
    check(
        &ask("out.edge.example", RecordType::A),
        "NOERROR aa\nout.edge.example. 300 CNAME www.other.net.",
    );
    check(
        &ask("out.edge.example", RecordType::CNAME),
        &format!("NOERROR aa\nout.edge.example. 300 CNAME www.other.net.\n{NS}"),
    );
    check(
        &ask("dead.edge.example", RecordType::A),
        &format!("NXDOMAIN aa\ndead.edge.example. 300 CNAME nobody.edge.example.\n{SOA}"),
    );
    check(
        &ask("loop.edge.example", RecordType::A),
        "NOERROR aa\nloop.edge.example. 300 CNAME loop2.edge.example.\n\
         loop2.edge.example. 300 CNAME loop.edge.example.",
    );
}

#[test]
fn a_dname_moves_everything_below_it() {
    check(
        &ask("Hello.old.edge.example", RecordType::A),
        "NOERROR aa\nold.edge.example. 300 DNAME edge.example.\n\
         Hello.old.edge.example. 300 CNAME hello.edge.example.\n\
         hello.edge.example. 30 A 198.51.100.1",
    );
    check(&ask("old.edge.example", RecordType::A), &format!("NOERROR aa\n{SOA}"));
    // Who asks for a CNAME below it has it with the one that is made.
    for record_type in [RecordType::CNAME, RecordType::ANY] {
        check(
            &ask("hello.old.edge.example", record_type),
            "NOERROR aa\nold.edge.example. 300 DNAME edge.example.\n\
             hello.old.edge.example. 300 CNAME hello.edge.example.",
        );
    }
    check(
        &ask("x.old.old.edge.example", RecordType::A),
        &format!(
            "NXDOMAIN aa\nold.edge.example. 300 DNAME edge.example.\n\
             x.old.old.edge.example. 300 CNAME x.old.edge.example.\n\
             x.old.edge.example. 300 CNAME x.edge.example.\n{SOA}"
        ),
    );
}

#[test]
fn a_delegation_is_referred_without_aa() {
    let referral = "@sub.edge.example. 300 NS ns.sub.edge.example.\n\
                    +ns.sub.edge.example. 300 A 192.0.2.99";
    for (name, record_type) in [
        ("sub.edge.example", RecordType::A),
        ("sub.edge.example", RecordType::NS),
        ("a.b.sub.edge.example", RecordType::A),
        ("ns.sub.edge.example", RecordType::A),
    ] {
        check(&ask(name, record_type), &format!("NOERROR\n{referral}"));
    }
    check(
        &ask("sub.edge.example", RecordType::DS),
        "NOERROR aa\nsub.edge.example. 300 DS AAENAgECAwQ=",
    );
    check(
        &ask("tosub.edge.example", RecordType::A),
        &format!("NOERROR aa\ntosub.edge.example. 300 CNAME x.sub.edge.example.\n{referral}"),
    );
}

#[test]
fn a_wildcard_makes_no_delegation() {
    check(&ask("x.cuts.edge.example", RecordType::A), &format!("NOERROR aa\n{SOA}"));
    check(
        &ask("x.cuts.edge.example", RecordType::NS),
        "NOERROR aa\nx.cuts.edge.example. 300 NS ns.other.net.",
    );
    for name in ["*.cuts.edge.example", "x.*.cuts.edge.example"] {
        check(&ask(name, RecordType::A), "NOERROR\n@*.cuts.edge.example. 300 NS ns.other.net.");
    }
}

#[test]
fn any_gets_one_small_set() {
    for name in ["www.edge.example", "hello.edge.example", "edge.example"] {
        check(&ask(name, RecordType::ANY), &format!("NOERROR aa\n{name}. 3600 HINFO RFC8482 "));
    }
    check(&ask("empty.edge.example", RecordType::ANY), &format!("NOERROR aa\n{SOA}"));
    check(
        &ask("alias.edge.example", RecordType::ANY),
        "NOERROR aa\nalias.edge.example. 300 CNAME hello.edge.example.",
    );
}

#[test]
fn what_is_not_ours_is_refused() {
    check(&ask("www.other.net", RecordType::A), "REFUSED");
    check(&ask("example", RecordType::A).edns(), "REFUSED\nedns 1232 ede=20:");
    check(&ask("notedge.example", RecordType::A), "REFUSED");
    check(&ask(".", RecordType::NS), "REFUSED");
    check(&ask("edge.example", RecordType(252)), "REFUSED");
    check(&ask("edge.example", RecordType(251)), "REFUSED");
    let mut chaos = ask("version.bind", RecordType::TXT);
    chaos.class = 3;
    check(&chaos, "REFUSED");
}

#[test]
fn what_does_not_fit_is_cut_whole_and_comes_over_tcp() {
    let big = ask("big.edge.example", RecordType::TXT);
    check(&big, "NOERROR aa tc");
    check(&big.clone().edns(), "NOERROR aa tc\nedns 1232");
    let whole = big.edns().answer_over(&view(), Transport::Tcp);
    assert_eq!(whole.lines().filter(|line| line.contains(" TXT ")).count(), 26);
    assert!(whole.starts_with("NOERROR aa\nbig."), "{whole}");
}

#[test]
fn edns_is_spoken_as_asked() {
    let mut version = ask("www.edge.example", RecordType::MX).edns();
    version.edns.as_mut().expect("EDNS").version = 1;
    check(&version, "16\nedns 1232");
    let mut dnssec = ask("www.edge.example", RecordType::MX).edns();
    dnssec.edns.as_mut().expect("EDNS").dnssec_ok = true;
    check(&dnssec, &format!("NOERROR aa\n{SOA}\nedns 1232 do"));
    check(
        &ask("www.edge.example", RecordType::MX).option(3, b""),
        &format!("NOERROR aa\n{SOA}\nedns 1232 nsid=node-1"),
    );
    check(
        &ask("www.edge.example", RecordType::MX).option(4000, b"whatever").option(12, &[0; 50]),
        &format!("NOERROR aa\n{SOA}\nedns 1232"),
    );
}

#[test]
fn rd_is_echoed_and_nothing_else_of_the_flags() {
    let mut all = ask("www.edge.example", RecordType::MX);
    all.flags = 0x07f0;
    check(&all, &format!("NOERROR aa rd\n{SOA}"));
}

#[test]
fn what_is_no_query_is_refused_or_dropped() {
    let mut response = ask("www.edge.example", RecordType::A);
    response.flags = 0x8000;
    check(&response, "silence");
    let mut update = ask("www.edge.example", RecordType::A);
    update.flags = 5 << 11;
    check(&update, "NOTIMP");
    check(&ask("www.edge.example", RecordType(41)), "FORMERR");
    check(&ask("www.edge.example", RecordType(249)), "NOTIMP");
    check(&ask("www.edge.example", RecordType(65_280)), &format!("NOERROR aa\n{SOA}"));
}
