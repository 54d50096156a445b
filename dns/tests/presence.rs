//! What a site is answered by: addresses by carrier, endpoints, other names, from the documents to
//! the wire, with everything an answer says.
#![allow(clippy::expect_used, reason = "a test fails by panicking")]

#[path = "world/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::hash::RandomState;
use std::sync::Arc;

use dns::{Settings, Transport, View};
use geo_data::LocaleTable;
use geo_data::centre::Centres;
use model::document::{SourceFile, load};
use model::geo::{Country, Isp, Locale, Subdivision};
use model::observe::Verdict;
use model::record::RecordType;
use model::site::SiteId;
use steering::compile::{Inputs, compile};
use steering::latency::LatencyMap;
use steering::{Generation, Health, Snapshot};
use world::Ask;

const ZONE: &str = "
apiVersion: nearside.dev/v1alpha1
kind: Zone
metadata: {name: edge-example}
spec:
  apex: edge.example
  negativeTtl: 60
  nameServers: [{name: ns1.edge.example, addresses: [192.0.2.53]}]
  records:
    - {name: pop, type: A, data: [192.0.2.80, 192.0.2.81]}
    - {name: back, type: CNAME, data: hello}
    - {name: '*.wild', type: TXT, data: wild}
";
const SOA: &str =
    "@edge.example. TTL SOA ns1.edge.example. hostmaster.edge.example. 0 3600 600 604800 60";

/// A zone, two sites of Guangdong and Germany with these lines, a service with these.
fn documents(gd: &str, de: &str, service: &str) -> String {
    format!(
        "{ZONE}---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {{name: gd}}
spec:
  tier: core
  location: {{country: CN, subdivision: CN-GD, coordinates: {{lat: 23.13, lon: 113.26}}}}
{gd}
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {{name: de}}
spec:
  tier: core
  location: {{country: DE, coordinates: {{lat: 50.11, lon: 8.68}}}}
{de}
---
apiVersion: nearside.dev/v1alpha1
kind: GlobalService
metadata: {{name: hello}}
spec:
  class: bulk
{service}
"
    )
}

const PLAIN: &str = "  addresses: [198.51.100.1]";
const SERVICE: &str = "  hostnames: [hello.edge.example]";

fn locales() -> LocaleTable {
    let of = |isp: Option<&str>| Locale {
        country: Country::parse("CN"),
        subdivision: Some(Subdivision::parse("CN-GD").expect("one")),
        isp: isp.map(|isp| Isp::parse(isp).expect("one")),
        point: Some(model::Point { lat_cdeg: 2313, lon_cdeg: 11326 }),
        ..Locale::default()
    };
    let net = |text: &str| text.parse().expect("a prefix");
    let prefixes = [
        (net("14.0.0.0/16"), of(Some("cn-ct"))),
        (net("14.1.0.0/16"), of(Some("cn-cu"))),
        (net("14.2.0.0/15"), of(None)),
    ];
    LocaleTable::from_prefixes(&prefixes, Centres::default())
}

fn view_of(text: &str, down: &[u16]) -> View {
    let file = SourceFile { path: "test.yaml".into(), text: text.into() };
    let loaded = load(&[file]);
    let policy = match loaded {
        Ok(documents) => documents.policy,
        Err(found) => {
            let found: Vec<String> = found.iter().map(ToString::to_string).collect();
            unreachable!("{}", found.join("\n"))
        }
    };
    let mut health = Health { sites: vec![Verdict::Up; policy.sites.len()], ..Health::default() };
    for &site in down {
        health.sites[usize::from(site)] = Verdict::Down;
    }
    let map = compile(&Inputs {
        policy: &policy,
        policy_generation: 0,
        locales: &locales(),
        latency: &LatencyMap::default(),
        drained: &[],
        long_out: &[],
        minute_of_week: 0,
    });
    let generation = Generation::default();
    let snapshot = Snapshot {
        policy_generation: generation,
        map_generation: generation,
        health_generation: generation,
        policy: Arc::new(policy),
        map: Arc::new(map),
        health: Arc::new(health),
    };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

/// The answer's lines below the first, without the EDNS size.
fn answer(view: &View, ask: &Ask) -> String {
    ask.answer(view).replace("edns 1232 ", "")
}

fn ask(name: &str, record_type: RecordType, subnet: &str) -> Ask {
    Ask::new(name, record_type).subnet(subnet)
}

#[track_caller]
fn check(text: &str, (name, record_type, subnet): (&str, RecordType, &str), wanted: &str) {
    let wanted = wanted.replace("@SOA", &SOA.replace("TTL", "60"));
    assert_eq!(answer(&view_of(text, &[]), &ask(name, record_type, subnet)), wanted);
}

const HELLO: &str = "hello.edge.example";

#[test]
fn clients_get_the_addresses_of_their_carrier_and_scopes_end_where_carriers_do() {
    let text = documents(
        "  addresses: [198.51.100.1, {ip: 198.51.100.2, isp: cn-ct}, 198.51.100.3, '2001:db8::1']",
        "  addresses: [198.51.100.9]",
        SERVICE,
    );
    check(
        &text,
        (HELLO, RecordType::A, "14.0.7.0/24"),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.2\necs=14.0.7.0/24/16",
    );
    let neutral = "hello.edge.example. 30 A 198.51.100.1\nhello.edge.example. 30 A 198.51.100.3";
    check(
        &text,
        (HELLO, RecordType::A, "14.1.7.0/24"),
        &format!("NOERROR aa\n{neutral}\necs=14.1.7.0/24/16"),
    );
    check(
        &text,
        (HELLO, RecordType::A, "14.2.7.0/24"),
        &format!("NOERROR aa\n{neutral}\necs=14.2.7.0/24/15"),
    );
    check(
        &text,
        (HELLO, RecordType::AAAA, "14.0.7.0/24"),
        "NOERROR aa\nhello.edge.example. 30 AAAA 2001:db8::1\necs=14.0.7.0/24/16",
    );
    // The source is of two carriers: most of it decides, for nobody who sends more.
    check(
        &text,
        (HELLO, RecordType::A, "14.0.0.0/14"),
        &format!("NOERROR aa\n{neutral}\necs=14.0.0.0/14/24"),
    );
    check(&text, (HELLO, RecordType::HTTPS, "14.0.7.0/24"), "NOERROR aa\n@SOA\necs=14.0.7.0/24/0");
}

#[test]
fn an_answer_takes_so_many_addresses_of_a_site() {
    let addresses: Vec<String> = (1..=6).map(|nth| format!("198.51.100.{nth}")).collect();
    let gd = format!("  addresses: [{}]", addresses.join(", "));
    let lines = |count: usize| {
        let lines: Vec<String> =
            addresses[..count].iter().map(|ip| format!("{HELLO}. 30 A {ip}")).collect();
        lines.join("\n")
    };
    let asked = (HELLO, RecordType::A, "14.0.7.0/24");
    for (service, count) in [
        (SERVICE.to_owned(), 4),
        (format!("{SERVICE}\n  answers: {{perSite: 1}}"), 1),
        (format!("{SERVICE}\n  answers: {{perSite: 8}}"), 6),
    ] {
        let wanted = format!("NOERROR aa\n{}\necs=14.0.7.0/24/14", lines(count));
        check(&documents(&gd, "  addresses: [198.51.100.9]", &service), asked, &wanted);
    }
}

#[test]
fn a_site_that_is_a_cname_is_followed_within_the_zone_and_left_to_the_resolver_outside() {
    let inside = documents("  cname: pop.edge.example", "  addresses: [198.51.100.9]", SERVICE);
    check(
        &inside,
        (HELLO, RecordType::A, "14.0.7.0/24"),
        "NOERROR aa\nhello.edge.example. 30 CNAME pop.edge.example.\n\
         pop.edge.example. 300 A 192.0.2.80\npop.edge.example. 300 A 192.0.2.81\n\
         @edge.example. 300 NS ns1.edge.example.\n+ns1.edge.example. 300 A 192.0.2.53\necs=14.0.7.0/24/14",
    );
    let outside = documents("  cname: pop.cdn.example", "  addresses: [198.51.100.9]", SERVICE);
    let cname = "NOERROR aa\nhello.edge.example. 30 CNAME pop.cdn.example.\necs=14.0.7.0/24/14";
    // A CNAME is alone: every type is answered by it.
    for record_type in [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::HTTPS] {
        check(&outside, (HELLO, record_type, "14.0.7.0/24"), cname);
    }
    check(&outside, (HELLO, RecordType::CNAME, "14.0.7.0/24"), cname);
    check(&outside, (HELLO, RecordType::ANY, "14.0.7.0/24"), cname);
    // Clients of the other site get its addresses, and no other type, as long as they are its.
    check(
        &outside,
        (HELLO, RecordType::A, "91.0.0.0/24"),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.9\necs=91.0.0.0/24/2",
    );
    let soa = SOA.replace("TTL", "30");
    for record_type in [RecordType::AAAA, RecordType::CNAME, RecordType::TXT] {
        let wanted = format!("NOERROR aa\n{soa}\necs=91.0.0.0/24/2");
        check(&outside, (HELLO, record_type, "91.0.0.0/24"), &wanted);
    }
    // Health moves clients from one to the other within the same scope.
    let asked = ask(HELLO, RecordType::A, "14.0.7.0/24");
    assert_eq!(
        answer(&view_of(&outside, &[1]), &asked),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.9\necs=14.0.7.0/24/14"
    );
}

#[test]
fn a_service_has_its_own_name_for_a_site_and_wildcards_have_it_too() {
    let service = "  hostnames: [hello.edge.example, '*.fn.edge.example']\n  \
                   targets: {gd: {cname: x.cdn.example}}";
    let text = documents(PLAIN, "  addresses: [198.51.100.9]", service);
    check(
        &text,
        ("a.fn.edge.example", RecordType::A, "14.0.7.0/24"),
        "NOERROR aa\na.fn.edge.example. 30 CNAME x.cdn.example.\necs=14.0.7.0/24/14",
    );
    check(
        &text,
        ("a.b.fn.edge.example", RecordType::A, "14.0.7.0/24"),
        &format!("NXDOMAIN aa\n{}\necs=14.0.7.0/24/0", SOA.replace("TTL", "60")),
    );
}

#[test]
fn of_a_cname_and_addresses_the_first_site_decides() {
    let service = "  hostnames: [hello.edge.example]\n  answers: {max: 2}";
    let cname = "  cname: pop.cdn.example";
    let asked = (HELLO, RecordType::A, "14.0.7.0/24");
    check(
        &documents(PLAIN, cname, service),
        asked,
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.1\necs=14.0.7.0/24/14",
    );
    check(
        &documents(cname, PLAIN, service),
        asked,
        "NOERROR aa\nhello.edge.example. 30 CNAME pop.cdn.example.\necs=14.0.7.0/24/14",
    );
}

#[test]
fn a_chain_of_steered_names_holds_for_those_for_whom_each_link_does() {
    let second = "
---
apiVersion: nearside.dev/v1alpha1
kind: Site
metadata: {name: fr}
spec:
  tier: core
  location: {country: FR, coordinates: {lat: 48.85, lon: 2.35}}
  addresses: [198.51.100.20, {ip: 198.51.100.21, isp: cn-ct}]
---
apiVersion: nearside.dev/v1alpha1
kind: GlobalService
metadata: {name: second}
spec: {hostnames: [second.edge.example], sites: {names: [fr]}, answers: {ttl: 20}}
";
    let service = "  hostnames: [hello.edge.example]\n  sites: {names: [gd, de]}";
    let text = documents("  cname: second.edge.example", PLAIN, service) + second;
    // The first link holds for 14.0.0.0/14, the second for 14.0.0.0/16 of it.
    check(
        &text,
        (HELLO, RecordType::A, "14.0.7.0/24"),
        "NOERROR aa\nhello.edge.example. 30 CNAME second.edge.example.\n\
         second.edge.example. 20 A 198.51.100.21\necs=14.0.7.0/24/16",
    );
    let looped = documents("  cname: back.edge.example", PLAIN, service);
    check(
        &looped,
        (HELLO, RecordType::A, "14.0.7.0/24"),
        "NOERROR aa\nhello.edge.example. 30 CNAME back.edge.example.\n\
         back.edge.example. 300 CNAME hello.edge.example.\necs=14.0.7.0/24/14",
    );
}

/// EndpointSlices of one Service at `gd`.
fn slices(endpoints: &[(&str, &str)]) -> String {
    let mut text = "
---
apiVersion: v1
kind: Service
metadata: {name: hello}
spec: {ports: [{port: 80}]}
"
    .to_owned();
    for (nth, (ip, conditions)) in endpoints.iter().enumerate() {
        let family = if ip.contains(':') { "IPv6" } else { "IPv4" };
        text.push_str(&format!(
            "---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{name: hello-{nth}, labels: {{kubernetes.io/service-name: hello, nearside.dev/site: gd}}}}
addressType: {family}
endpoints: [{{addresses: ['{ip}'], conditions: {{{conditions}}}}}]
"
        ));
    }
    text
}

#[test]
fn a_site_without_a_gateway_is_answered_by_its_ready_endpoints() {
    let service = "  hostnames: [hello.edge.example]\n  backend: {name: hello, port: 80}\n  \
                   answers: {perSite: 2}";
    let gd = "  addresses: [198.51.100.1]\n  l7: false";
    let text = |endpoints: &[(&str, &str)]| {
        documents(gd, "  addresses: [198.51.100.9]", service) + &slices(endpoints)
    };
    let two = text(&[
        ("10.0.0.2", "ready: true"),
        ("10.0.0.1", ""),
        ("10.0.0.3", "ready: false"),
        ("10.0.0.4", "ready: true, terminating: true"),
        ("2001:db8::5", ""),
    ]);
    check(
        &two,
        (HELLO, RecordType::A, "14.0.7.0/24"),
        "NOERROR aa\nhello.edge.example. 30 A 10.0.0.1\nhello.edge.example. 30 A 10.0.0.2\n\
         ecs=14.0.7.0/24/14",
    );
    check(
        &two,
        (HELLO, RecordType::AAAA, "14.0.7.0/24"),
        "NOERROR aa\nhello.edge.example. 30 AAAA 2001:db8::5\necs=14.0.7.0/24/14",
    );
    let ips: Vec<String> = (1..=9).map(|nth| format!("10.0.0.{nth}")).collect();
    let many: Vec<(&str, &str)> = ips.iter().map(|ip| (ip.as_str(), "")).collect();
    let view = view_of(&text(&many), &[]);
    let mut met = BTreeSet::new();
    for third in 0..64 {
        let subnet = format!("14.0.{third}.0/24");
        let told = answer(&view, &ask(HELLO, RecordType::A, &subnet));
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines.len(), 4, "two addresses: {told}");
        assert_eq!(lines[3], format!("ecs={subnet}/24"), "clients take turns by block");
        met.extend(lines[1..3].iter().map(|line| (*line).to_owned()));
        let finer = ask(HELLO, RecordType::A, &format!("14.0.{third}.9/32"));
        assert_eq!(answer(&view, &finer).lines().nth(1), Some(lines[1]), "the block is one");
    }
    assert_eq!(met.len(), ips.len());
}

#[test]
fn sites_of_one_port_and_protocols_share_an_https_record() {
    let service = "  hostnames: [hello.edge.example]\n  answers: {max: 2}\n  records:\n    \
                   - {type: HTTPS, ttl: 20, data: '1 . ech=AAAA'}\n    \
                   - {type: HTTPS, ttl: 20, data: '2 . alpn=h2 port=444'}";
    let asked = (HELLO, RecordType::HTTPS, "14.0.7.0/24");
    let https = |port: u16| format!("\n  https: {{port: {port}, alpn: [h3, h2]}}");
    let (gd, de) = ("  addresses: [198.51.100.1]", "  addresses: [198.51.100.9]");
    let alike =
        documents(&(gd.to_owned() + &https(8443)), &(de.to_owned() + &https(8443)), service);
    check(
        &alike,
        asked,
        "NOERROR aa\nhello.edge.example. 20 HTTPS 1 . alpn=h3,h2 port=8443 \
         ipv4hint=198.51.100.1,198.51.100.9 ech=\"AAAA\"\n\
         hello.edge.example. 20 HTTPS 2 . alpn=h2 port=444 \
         ipv4hint=198.51.100.1,198.51.100.9\necs=14.0.7.0/24/14",
    );
    let apart = documents(&(gd.to_owned() + &https(8443)), de, service);
    check(
        &apart,
        asked,
        "NOERROR aa\nhello.edge.example. 20 HTTPS 1 . alpn=h3,h2 port=8443 \
         ipv4hint=198.51.100.1 ech=\"AAAA\"\n\
         hello.edge.example. 20 HTTPS 2 . alpn=h2 port=444 ipv4hint=198.51.100.1\n\
         hello.edge.example. 20 HTTPS 1 . ipv4hint=198.51.100.9 ech=\"AAAA\"\n\
         hello.edge.example. 20 HTTPS 2 . alpn=h2 port=444 ipv4hint=198.51.100.9\n\
         ecs=14.0.7.0/24/14",
    );
}

#[test]
fn the_apex_is_steered_beside_its_own_records() {
    let text = documents(PLAIN, "  addresses: [198.51.100.9]", "  hostnames: [edge.example]");
    check(
        &text,
        ("edge.example", RecordType::A, "14.0.7.0/24"),
        "NOERROR aa\nedge.example. 30 A 198.51.100.1\necs=14.0.7.0/24/14",
    );
    check(
        &text,
        ("edge.example", RecordType::NS, "14.0.7.0/24"),
        "NOERROR aa\nedge.example. 300 NS ns1.edge.example.\n\
         +ns1.edge.example. 300 A 192.0.2.53\necs=14.0.7.0/24/0",
    );
}

#[test]
fn a_steered_name_has_static_records_of_every_other_type() {
    let service = "  hostnames: [hello.edge.example, '*.fn.edge.example']\n  records:
    - {type: MX, data: 10 mail.elsewhere.example.}
    - {type: TXT, data: '\"v=spf1 -all\"'}
    - {type: CAA, data: '0 issue \"ca.example\"'}
    - {type: SRV, data: 1 2 443 sip.elsewhere.example.}
    - {type: NAPTR, data: '100 50 \"s\" \"SIP+D2T\" \"\" _sip._tcp'}";
    let view = view_of(&documents(PLAIN, "  addresses: [198.51.100.9]", service), &[]);
    let servers = "@edge.example. 300 NS ns1.edge.example.\n+ns1.edge.example. 300 A 192.0.2.53";
    for name in [HELLO, "a.fn.edge.example"] {
        for (record_type, data) in [
            (RecordType::MX, "MX 10 mail.elsewhere.example."),
            (RecordType::TXT, "TXT v=spf1 -all"),
            (RecordType(257), "CAA 0 issue \"ca.example\""),
            (RecordType::SRV, "SRV 1 2 443 sip.elsewhere.example."),
            (RecordType(35), "NAPTR 100 50 \"s\" \"SIP+D2T\" \"\" _sip._tcp.edge.example."),
        ] {
            let told = answer(&view, &ask(name, record_type, "14.0.7.0/24"));
            let wanted = format!("NOERROR aa\n{name}. 300 {data}\n{servers}\necs=14.0.7.0/24/0");
            assert_eq!(told, wanted);
        }
    }
}

#[test]
fn every_site_down_is_answered_as_configured() {
    let addresses = "  addresses: [198.51.100.1]";
    let told = |fallback: &str| {
        let service =
            format!("  hostnames: [hello.edge.example]\n  sites: {{names: [gd]}}\n  {fallback}");
        let text = documents(addresses, "  addresses: [198.51.100.9]", &service);
        answer(&view_of(&text, &[1]), &ask(HELLO, RecordType::A, "14.0.7.0/24"))
    };
    assert_eq!(
        told("fallback: all"),
        "NOERROR aa\nhello.edge.example. 15 A 198.51.100.1\n\
         ecs=14.0.7.0/24/0 ede=0:every site is out, health ignored"
    );
    assert_eq!(
        told("fallback: none"),
        format!(
            "NOERROR aa\n{}\necs=14.0.7.0/24/0 ede=0:every site is out",
            SOA.replace("TTL", "30")
        )
    );
    assert_eq!(
        told("fallback: {sites: [de]}"),
        "NOERROR aa\nhello.edge.example. 30 A 198.51.100.9\n\
         ecs=14.0.7.0/24/0 ede=0:every site is out, fallback sites"
    );
    // The floor of the halved TTL.
    assert_eq!(
        told("answers: {ttl: 20, ttlMin: 12}").lines().nth(1),
        Some("hello.edge.example. 12 A 198.51.100.1")
    );
    // A fallback site that is a CNAME.
    let service = "  hostnames: [hello.edge.example]\n  sites: {names: [gd]}\n  \
                   fallback: {sites: [de]}\n  targets: {de: {cname: sorry.cdn.example}}";
    let text = documents(addresses, "  addresses: [198.51.100.9]", service);
    assert_eq!(
        answer(&view_of(&text, &[1]), &ask(HELLO, RecordType::A, "14.0.7.0/24")),
        "NOERROR aa\nhello.edge.example. 30 CNAME sorry.cdn.example.\n\
         ecs=14.0.7.0/24/0 ede=0:every site is out, fallback sites"
    );
}

#[test]
fn what_a_site_is_answered_by_fits_or_is_cut_whole() {
    let ips: Vec<String> = (1..=8).map(|nth| format!("'2001:db8::{nth}'")).collect();
    let gd = format!("  addresses: [{}]", ips.join(", "));
    let text = documents(&gd, PLAIN, "  hostnames: [hello.edge.example]\n  answers: {perSite: 8}");
    let view = view_of(&text, &[]);
    let plain = Ask::new(HELLO, RecordType::AAAA);
    assert!(plain.answer(&view).starts_with("NOERROR aa\n"), "eight fit 512 octets");
    let asked = ask(HELLO, RecordType::AAAA, "14.0.7.0/24");
    assert_eq!(asked.answer_over(&view, Transport::Tcp).lines().count(), 10);
    assert_eq!(view.snapshot().policy.site_id("gd"), Some(SiteId(1)));
}
