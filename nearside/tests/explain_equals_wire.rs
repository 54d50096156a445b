//! `explain` and the wire agree: the same addresses, scope and TTL for random names, clients and health
//! over the built-in world table.

#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use dns::{Settings, Transport, View, respond};
use geo_data::LocaleTable;
use model::document::{SourceFile, load};
use model::observe::{Client, Readiness, Verdict};
use model::service::SiteEndpoints;
use model::site::{Alias, SiteAddress};
use model::{DnsName, Isp, Policy};
use steering::compile::{Inputs, compile};
use steering::explain::{NameShown, explain};
use steering::latency::LatencyMap;
use steering::{Health, Snapshot};

/// Random cases for each of the states of health.
const CASES: usize = 8_400;
/// States of health; the first has everything in service.
const HEALTHS: usize = 12;
const NAMES: [&str; 3] = ["hello.edge.example", "archive.edge.example", "x.fn.edge.example"];

/// SplitMix64, so that a failing case is found again by its seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).expect("small")
    }
}

fn quickstart() -> Policy {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/quickstart");
    let files: Vec<SourceFile> = ["zone.yaml", "sites.yaml", "services.yaml"]
        .into_iter()
        .map(|name| {
            let text = std::fs::read_to_string(directory.join(name)).expect("readable");
            SourceFile { path: name.into(), text: text.into() }
        })
        .collect();
    load(&files).expect("the example loads").policy
}

/// After the first round sites have addresses by carrier, endpoints that take turns, other names.
fn vary(policy: &mut Policy, random: &mut Random, round: usize) {
    if round == 0 {
        return;
    }
    for (third, site) in (1..).zip(&mut policy.sites) {
        let count = u8::try_from(1 + random.below(6)).expect("small");
        let carriers = ["cn-ct", "cn-cu", "cn-cm", "us-comcast"];
        let address = |nth: u8| SiteAddress {
            ip: match random.below(4) {
                0 => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, third, 0, 0, 0, 0, nth.into())),
                _ => IpAddr::V4(Ipv4Addr::new(198, 51, third.to_be_bytes()[1], nth)),
            },
            isp: (random.below(3) > 0)
                .then(|| Isp::parse(carriers[random.below(carriers.len())]).expect("a carrier")),
        };
        site.addresses = (1..=count).map(address).collect();
    }
    for service in &mut policy.services {
        service.answers.sites_max = u8::try_from(1 + random.below(3)).expect("small");
        service.answers.per_site_max = u8::try_from(1 + random.below(4)).expect("small");
        service.endpoints.clear();
        for &site in &service.pool {
            let name = DnsName::parse(&format!("pop{}.cdn.example", site.0)).expect("a name");
            match random.below(8) {
                0 => drop(service.aliases.insert(site, Alias::Cname(name))),
                1 => {
                    let count = u8::try_from(1 + random.below(9)).expect("small");
                    let ip = |nth| IpAddr::V4(Ipv4Addr::new(10, 0, site.0.to_be_bytes()[1], nth));
                    let addresses = (1..=count).map(ip).collect();
                    service.endpoints.push(SiteEndpoints { site, is_ready: true, addresses });
                }
                _ => {}
            }
        }
    }
}

fn health(policy: &Policy, random: &mut Random, round: usize) -> Health {
    let sites = policy.sites.len();
    let mut pick = |chance: usize| round > 0 && random.below(100) < chance;
    let mut services = Vec::new();
    let mut readiness = Vec::new();
    let drained = (0..sites).map(|_| pick(10)).collect();
    let whole = (0..sites).map(|_| if pick(15) { Verdict::Down } else { Verdict::Up }).collect();
    for _ in &policy.services {
        let verdict = |(down, failing)| match (down, failing) {
            (true, _) => Verdict::Down,
            (false, true) => Verdict::Failing,
            (false, false) => Verdict::Unknown,
        };
        services.push((0..sites).map(|_| verdict((pick(20), pick(20)))).collect());
        let ready = |out| if out { Readiness::NotReady } else { Readiness::Ready };
        readiness.push((0..sites).map(|_| ready(pick(25))).collect());
    }
    Health { drained, sites: whole, services, readiness }
}

fn client(random: &mut Random) -> Client {
    let bits = random.next();
    let octets = bits.to_be_bytes();
    if random.below(4) == 0 {
        let len = [32, 48, 56][random.below(3)];
        let wide = u128::from(0x2000_0000_0000_0000 | (bits >> 3)) << 64;
        let kept = wide & (u128::MAX << (128 - u32::from(len)));
        return Client { ip: IpAddr::V6(Ipv6Addr::from(kept)), source_len: Some(len) };
    }
    let len = [8, 16, 20, 24, 24, 24, 32][random.below(7)];
    let ip = u32::from_be_bytes([octets[0], octets[1], octets[2], octets[3]]);
    let kept = ip & (u32::MAX << (32 - u32::from(len)));
    Client { ip: IpAddr::V4(Ipv4Addr::from(kept)), source_len: Some(len) }
}

/// What the wire said: addresses, ECS scope, TTL of the first answer.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    addresses: Vec<IpAddr>,
    cname: Option<String>,
    scope_len: u8,
    ttl_s: Option<u32>,
}

fn ask(view: &View, name: &str, client: Client) -> Said {
    let mut query = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    let name = DnsName::parse(name).expect("a name");
    query.extend(name.as_wire());
    query.extend([0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0]);
    let source_len = client.source_len.expect("a subnet");
    let octets = usize::from(source_len.div_ceil(8));
    let (family, address) = match client.ip {
        IpAddr::V4(ip) => (1, ip.octets().to_vec()),
        IpAddr::V6(ip) => (2, ip.octets().to_vec()),
    };
    let octets_len = u8::try_from(octets).expect("small");
    query.extend([0, octets_len + 8, 0, 8, 0, octets_len + 4, 0, family, source_len, 0]);
    query.extend(&address[..octets]);
    let mut out = [0; 1232];
    let from = SocketAddr::from(([127, 0, 0, 1], 5353));
    let len = respond(view, &query, from, Transport::Udp, &mut out).expect("an answer");
    read(&out[..len], name.as_wire().len())
}

fn read(answer: &[u8], name_octets: usize) -> Said {
    let word = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let mut at = 12 + name_octets + 4;
    let (mut addresses, mut cname) = (Vec::new(), None);
    let (mut ttl_s, mut scope_len) = (None, None);
    for _ in 0..word(6) + word(8) + word(10) {
        at += if answer[at] & 0xc0 == 0xc0 {
            2
        } else {
            let mut octets = 1;
            while answer[at + octets - 1] != 0 {
                octets += 1 + usize::from(answer[at + octets - 1]);
                assert!(octets < 255, "no name");
                if answer[at + octets - 1] & 0xc0 == 0xc0 {
                    octets += 1;
                    break;
                }
            }
            octets
        };
        let (kind, octets) = (word(at), usize::from(word(at + 8)));
        let data = &answer[at + 10..at + 10 + octets];
        if kind == 5 {
            cname = Some(DnsName::from_wire(data).expect("a whole name").to_string());
        }
        if kind == 1 {
            addresses.push(IpAddr::from([data[0], data[1], data[2], data[3]]));
        }
        if kind == 1 || kind == 5 {
            ttl_s = ttl_s.or_else(|| Some(u32::from(word(at + 4)) << 16 | u32::from(word(at + 6))));
        }
        if kind == 41 {
            scope_len = options(data);
        }
        at += 10 + octets;
    }
    assert_eq!(at, answer.len(), "octets left over");
    let scope_len = scope_len.expect("an ECS option");
    Said { addresses, cname, scope_len, ttl_s }
}

/// The scope of the client-subnet option.
fn options(mut data: &[u8]) -> Option<u8> {
    while let [a, b, c, d, rest @ ..] = data {
        let octets = usize::from(u16::from_be_bytes([*c, *d]));
        if (*a, *b) == (0, 8) {
            return rest.get(3).copied();
        }
        data = &rest[octets..];
    }
    None
}

#[test]
fn explain_says_what_the_wire_says() {
    let locales = LocaleTable::embedded();
    let latency = LatencyMap::default();
    let mut reasons = std::collections::BTreeSet::new();
    let mut with_cname = 0;
    for round in 0..HEALTHS {
        let mut random = Random(0x6e65_6172 + round as u64);
        let mut policy = quickstart();
        vary(&mut policy, &mut random, round);
        let health = health(&policy, &mut random, round);
        let inputs = Inputs {
            policy: &policy,
            policy_generation: 0,
            locales: &locales,
            latency: &latency,
            drained: &health.drained,
            long_out: &[],
            minute_of_week: 0,
        };
        let snapshot = Snapshot {
            map: Arc::new(compile(&inputs)),
            policy: Arc::new(policy.clone()),
            health: Arc::new(health.clone()),
            ..Snapshot::default()
        };
        let view =
            View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view");
        for case in 0..CASES {
            let (name, client) = (NAMES[random.below(NAMES.len())], client(&mut random));
            let wire = ask(&view, name, client);
            let parsed = DnsName::parse(name).expect("a name");
            let service = policy.service_for(&parsed).expect("steered");
            let told = explain(&inputs, &snapshot, service, client).expect("explained");
            reasons.insert(told.reason.as_str());
            let scope_len =
                told.scope.rsplit_once('/').expect("a prefix").1.parse().expect("a number");
            let mut addresses = told.addresses.concat();
            // A was asked.
            addresses.retain(IpAddr::is_ipv4);
            let cname = told.names.iter().flatten().find_map(|name| match name {
                NameShown::Cname(name) => Some(name.clone()),
                NameShown::Alias(_) | NameShown::LeftOut(_) => None,
            });
            with_cname += usize::from(cname.is_some());
            let ttl_s = (!addresses.is_empty() || cname.is_some()).then_some(told.ttl_s);
            let explained = Said { addresses, cname, scope_len, ttl_s };
            assert_eq!(
                wire, explained,
                "round {round}, case {case}: {name} for {client:?}\n{told}"
            );
        }
    }
    assert!(with_cname > 100, "{with_cname} answers were a CNAME");
    let met: Vec<&str> = reasons.into_iter().collect();
    assert!(met.contains(&"best") && met.contains(&"failover"), "too little was tried: {met:?}");
}
