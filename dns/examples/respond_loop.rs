//! Answers N steered queries in a loop, for counting what an answer costs.
//!
//! `cargo run --release -p dns --example respond_loop -- 1000000` times them; under
//! `valgrind --tool=callgrind --toggle-collect='respond_loop::measured*'` the instructions of the
//! answers alone are counted. 1,000 names share one map of 500,000 runs over 24 sites, about what
//! ten sites worldwide compile to; names, subnets and resolvers vary from a fixed seed.
#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measuring tool, run by hand"
)]

use std::collections::BTreeMap;
use std::hash::RandomState;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use dns::{Settings, Transport, View};
use model::Policy;
use model::geo::Country;
use model::name::{DnsName, ObjectRef, SiteName};
use model::record::{RecordSet, RecordType};
use model::service::{Answers, Fallback, GlobalService, Steering, Sticky, TierStep};
use model::site::{Binding, Capacity, Site, SiteAddress, SiteId, Tier};
use model::zone::{NameServer, Soa, Zone};
use steering::map::{LeafId, Reach};
use steering::{Health, Leaf, RunTable, ServiceMap, Snapshot, SteeringMap};

const NAMES: u32 = 1_000;
const SITES: u16 = 24;
const RUNS: usize = 500_000;
const LEAVES: u32 = 4_000;
/// Distinct queries, answered round and round.
const QUERIES: usize = 4_096;

/// What is asked.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Steered,
    Static,
    Missing,
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize =
        arguments.next().map_or(100_000, |text| text.parse().expect("a number of answers"));
    let kind = match arguments.next().as_deref() {
        None | Some("steered") => Kind::Steered,
        Some("static") => Kind::Static,
        Some(_) => Kind::Missing,
    };
    let view = view();
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let queries: Vec<(Vec<u8>, SocketAddr)> =
        (0..QUERIES).map(|_| query(kind, &mut random)).collect();
    let started = Instant::now();
    let octets = measured(&view, &queries, rounds);
    let taken = started.elapsed();
    let each_ns = taken.as_nanos() / rounds.max(1) as u128;
    println!("{rounds} {kind:?} answers, {octets} octets, {each_ns} ns each");
}

/// The part that is counted.
#[inline(never)]
fn measured(view: &View, queries: &[(Vec<u8>, SocketAddr)], rounds: usize) -> usize {
    let mut out = [0; 4096];
    let mut octets = 0;
    for (packet, client) in queries.iter().cycle().take(rounds) {
        octets += dns::respond(view, packet, *client, Transport::Udp, &mut out).unwrap_or(0);
    }
    octets
}

fn query(kind: Kind, random: &mut Random) -> (Vec<u8>, SocketAddr) {
    let number = random.below(NAMES);
    let label = match kind {
        Kind::Steered => format!("svc{number}"),
        Kind::Static => format!("host{number}"),
        Kind::Missing => format!("none{number}"),
    };
    let mut packet = vec![0, 7, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend_from_slice(name(&format!("{label}.edge.example")).as_wire());
    packet.extend_from_slice(&[0, 1, 0, 1]);
    // OPT, 1232 octets, one client subnet of an IPv4 /24.
    packet.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 11, 0, 8, 0, 7, 0, 1, 24, 0]);
    let [a, b, c, _] = random.next().to_be_bytes();
    packet.extend_from_slice(&[a, b, c]);
    let client = SocketAddr::from((Ipv4Addr::from(random.next()), 4000));
    (packet, client)
}

/// A small generator of its own, so that every run asks the same.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let [.., a, b, c, d] = self.0.to_be_bytes();
        u32::from_be_bytes([a, b, c, d])
    }

    fn below(&mut self, end: u32) -> u32 {
        self.next() % end
    }
}

fn view() -> View {
    let pool: Vec<SiteId> = (0..SITES).map(SiteId).collect();
    let mut random = Random(0x1234_5678_9abc_def1);
    let leaves = (0..LEAVES).map(|_| leaf(&mut random)).collect();
    let mut starts: Vec<u32> = (1..RUNS).map(|_| random.next() & 0xffff_ff00).collect();
    starts.push(0);
    starts.sort_unstable();
    starts.dedup();
    let of_runs = starts.iter().map(|_| LeafId(random.below(LEAVES))).collect();
    let map = ServiceMap {
        v4: RunTable::new(starts, of_runs).expect("runs"),
        leaves,
        reaches: vec![Reach { pool: pool.clone(), fallback: Vec::new() }],
        ..ServiceMap::default()
    };
    let services = (0..NAMES).map(|number| service(number, &pool)).collect();
    let policy = Policy {
        zones: vec![zone()],
        sites: (0..SITES).map(site).collect(),
        services,
        ..Policy::default()
    };
    let snapshot = Snapshot {
        map: Arc::new(SteeringMap {
            maps: vec![Arc::new(map)],
            of_service: vec![0; NAMES as usize],
            ..SteeringMap::default()
        }),
        health: Arc::new(Health { drained: vec![false; usize::from(SITES)], ..Health::default() }),
        policy: Arc::new(policy),
        ..Snapshot::default()
    };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

/// Half of the leaves share their clients among two sites, as spreading makes them.
fn leaf(random: &mut Random) -> Leaf {
    let first = random.below(u32::from(SITES));
    let sites: Vec<SiteId> = (0..4)
        .map(|nth| u16::try_from((first + nth * 5) % u32::from(SITES)).map(SiteId))
        .collect::<Result<_, _>>()
        .expect("few");
    let shared = if random.below(2) == 0 { 2 } else { 0 };
    Leaf {
        sites: sites.into_iter().collect(),
        shared,
        weights: (0..shared).map(|_| 100).collect(),
        seeds: (0..shared).map(|_| random.next()).collect(),
        block_v4_len: 24,
        block_v6_len: 56,
        ..Leaf::default()
    }
}

fn name(text: &str) -> DnsName {
    DnsName::parse(text).expect("a name")
}

fn zone() -> Zone {
    let host = |number: u32| RecordSet {
        owner: name(&format!("host{number}.edge.example")),
        record_type: RecordType::A,
        ttl_s: 300,
        rdata: vec![Ipv4Addr::from(number).octets().into()],
    };
    Zone {
        apex: name("edge.example"),
        soa: Soa {
            mname: name("ns1.edge.example"),
            rname: name("hostmaster.edge.example"),
            refresh_s: 7200,
            retry_s: 900,
            expire_s: 1_209_600,
            negative_ttl_s: 60,
            ttl_s: 3600,
        },
        name_servers: vec![NameServer {
            name: name("ns1.edge.example"),
            addresses: vec![Ipv4Addr::LOCALHOST.into()],
        }],
        ns_ttl_s: 86_400,
        records: (0..NAMES).map(host).collect(),
    }
}

fn site(number: u16) -> Site {
    let [high, low] = number.to_be_bytes();
    Site {
        name: SiteName::new(&format!("site-{number:02}")).expect("a name"),
        tier: Tier::Core,
        country: Country::parse("CN").expect("a country"),
        subdivision: None,
        city: None,
        point: None,
        isps: Vec::new(),
        addresses: vec![SiteAddress { ip: Ipv4Addr::new(198, 51, high, low).into(), isp: None }],
        capacity: Capacity::default(),
        labels: BTreeMap::default(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    }
}

fn service(number: u32, pool: &[SiteId]) -> GlobalService {
    GlobalService {
        object: ObjectRef::new("default", &format!("svc{number}")),
        hostnames: vec![name(&format!("svc{number}.edge.example"))],
        protected: false,
        tiers: vec![TierStep { tier: Tier::Core, budget_us: None }],
        pool: pool.to_vec(),
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: BTreeMap::default(),
            carrier_penalty_us: 0,
            border_penalty_us: 0,
        },
        answers: Answers { sites_max: 1, per_site_max: 4, ttl_s: 30, ttl_min_s: 5 },
        health: None,
        panic_below_percent: 0,
        fallback: Fallback::AnswerAll,
        rules: Vec::new(),
        records: Vec::new(),
        aliases: BTreeMap::default(),
        endpoints: Vec::new(),
    }
}
