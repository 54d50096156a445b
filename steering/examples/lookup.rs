//! Prints what a compilation and a decision cost over the embedded world table, in processor time.
//!
//! `cargo run --release -p steering --example lookup [SITES [LOOKUPS]]`
//!
//! Instructions a decision, from `callgrind_annotate --inclusive=yes` over the looked-up count:
//! `valgrind --tool=callgrind --toggle-collect='lookup::decide_*' lookup 10 10000`

#![allow(clippy::print_stdout, reason = "an example talks to the terminal")]
#![allow(clippy::expect_used, reason = "an example stops at the first surprise")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::geo::Point;
use model::name::{ObjectRef, SiteName};
use model::observe::Client;
use model::service::{Answers, Fallback, GlobalService, Rung, Steering, Sticky, TierStep};
use model::site::{Binding, Capacity, Site, SiteAddress, SiteId, Tier};
use model::{Country, Isp, Policy};
use steering::compile::{Inputs, compile};
use steering::decide::{ServiceState, decide};
use steering::latency::LatencyMap;
use steering::{Health, ServiceMap, SteeringMap};

/// Where the sites are: name, country, carrier, hundredths of a degree.
const PLACES: [(&str, &str, &str, i16, i16); 20] = [
    ("gz-ct", "CN", "cn-ct", 2313, 11326),
    ("gz-cu", "CN", "cn-cu", 2313, 11326),
    ("xa-ct", "CN", "cn-ct", 3426, 10894),
    ("fra", "DE", "", 5011, 868),
    ("ash", "US", "", 3904, -7749),
    ("sjc", "US", "", 3734, -12189),
    ("gru", "BR", "", -2355, -4663),
    ("sin", "SG", "", 135, 10382),
    ("syd", "AU", "", -3387, 15121),
    ("jnb", "ZA", "", -2620, 2805),
    ("bj-cm", "CN", "cn-cm", 3990, 11641),
    ("sh-ct", "CN", "cn-ct", 3123, 12147),
    ("lon", "GB", "", 5151, -13),
    ("bom", "IN", "", 1908, 7288),
    ("nrt", "JP", "", 3568, 13969),
    ("dxb", "AE", "", 2520, 5527),
    ("mad", "ES", "", 4042, -370),
    ("ord", "US", "", 4188, -8763),
    ("mex", "MX", "", 1943, -9913),
    ("waw", "PL", "", 5223, 2101),
];

/// Look-ups a round; the best of five rounds is printed.
const LOOKUPS_DEFAULT: u32 = 2_000_000;

fn main() {
    let count = std::env::args().nth(1).map_or(10, |text| text.parse().expect("a number"));
    let lookups = std::env::args().nth(2);
    let lookups = lookups.map_or(LOOKUPS_DEFAULT, |text| text.parse().expect("a number"));
    let policy = policy(&PLACES[..count]);
    let (locales, load_ms) = timed(geo_data::LocaleTable::embedded);
    let (runs_v4, runs_v6) = locales.runs_count();
    println!(
        "geo table: {runs_v4} + {runs_v6} runs, {} classes, {load_ms:.0} ms to load",
        locales.classes().len()
    );
    let latency = LatencyMap::default();
    let inputs = Inputs {
        policy: &policy,
        policy_generation: 1,
        locales: &locales,
        latency: &latency,
        drained: &[],
        long_out: &[],
        minute_of_week: 0,
    };
    let (map, best_ms) = best_of(|| compile(&inputs));
    println!("compile: {best_ms:.1} ms for {} distinct policies of {count} sites", map.maps.len());
    for (id, service) in policy.services() {
        let compiled = map.service(id).expect("compiled");
        println!(
            "{}: {} + {} runs, {} leaves, {:.1} MB",
            service.object,
            compiled.v4.len(),
            compiled.v6.len(),
            compiled.leaves.len(),
            megabytes(compiled.memory_octets()),
        );
        measure(compiled, &ServiceState::new(id, service, &Health::default()), lookups);
    }
    show_tiles(&map);
    let many = many(&policy);
    let (map, spent_ms) = timed(|| compile(&Inputs { policy: &many, ..inputs }));
    let count = map.maps.len();
    println!("compile: {spent_ms:.0} ms for {count} distinct policies");
}

fn measure(map: &ServiceMap, state: &ServiceState, lookups: u32) {
    let v4 = random_numbers(lookups).map(|random| {
        let [a, b, c, ..] = random.to_be_bytes();
        Client { ip: IpAddr::V4(Ipv4Addr::new(a, b, c, 0)), source_len: Some(24) }
    });
    let v6 = |top: u64| {
        let ip = Ipv6Addr::from_bits(u128::from(top & !0xff) << 64);
        Client { ip: IpAddr::V6(ip), source_len: Some(56) }
    };
    let anywhere_v6 = random_numbers(lookups).map(|random| v6((0x2000 << 48) | (random >> 3)));
    // Clients are where the runs are: few random addresses of 2000::/3 are anybody's.
    let starts: Vec<u64> = map.v6.iter().map(|run| run.first).collect();
    let used_v6 = random_numbers(lookups).map(|random| {
        let at = (u128::from(random) * starts.len() as u128) >> 64;
        v6(starts[usize::try_from(at).expect("a place")])
    });
    let per_lookup = |clients: Vec<Client>| {
        let (_, best_ms) = best_of(|| decide_all(map, state, &clients));
        best_ms * 1e6 / f64::from(lookups)
    };
    println!(
        "  decide: {:.1} ns for random IPv4 subnets, {:.1} ns for IPv6 in 2000::/3, {:.1} ns in its runs",
        per_lookup(v4.collect()),
        per_lookup(anywhere_v6.collect()),
        per_lookup(used_v6.collect()),
    );
}

/// Decides for each client. Not inlined, so that callgrind can count it alone.
#[inline(never)]
fn decide_all(map: &ServiceMap, state: &ServiceState, clients: &[Client]) -> u32 {
    let first = |client: &Client| u32::from(decide(map, state, *client).sites[0].0);
    std::hint::black_box(clients.iter().map(first).fold(0, u32::wrapping_add))
}

fn random_numbers(count: u32) -> impl Iterator<Item = u64> {
    (0..count).map(|at| {
        let random = u64::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        random ^ (random >> 29)
    })
}

/// How many scopes it takes to cover all of IPv4: a resolver's cache entries for one name.
fn show_tiles(map: &SteeringMap) {
    for compiled in &map.maps {
        let mut tiles = 0_u64;
        for run in compiled.v4.iter() {
            let mut at = run.first;
            loop {
                tiles += 1;
                let len = run.block_len(at);
                let last = at | u32::MAX.checked_shr(len.into()).unwrap_or(0);
                if last >= run.last {
                    break;
                }
                at = last + 1;
            }
        }
        println!("resolver cache entries to cover IPv4: {tiles}");
    }
}

/// Milliseconds of processor time, so that other work on the machine does not count.
fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let start_ns = cpu_ns();
    let value = work();
    let spent_us = u32::try_from((cpu_ns() - start_ns) / 1_000).expect("under an hour");
    (value, f64::from(spent_us) / 1e3)
}

/// What the scheduler gave this process so far (Linux alone).
fn cpu_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("Linux has schedstat");
    let spent = text.split(' ').next().expect("a field");
    spent.parse().expect("nanoseconds")
}

fn best_of<T>(mut work: impl FnMut() -> T) -> (T, f64) {
    let (mut value, mut best_ms) = timed(&mut work);
    for _ in 0..4 {
        let (again, ms) = timed(&mut work);
        (value, best_ms) = (again, best_ms.min(ms));
    }
    (value, best_ms)
}

#[expect(clippy::cast_precision_loss, reason = "megabytes with one decimal")]
fn megabytes(octets: usize) -> f64 {
    octets as f64 / 1e6
}

/// Two services: the bill alone, and a ladder with shares.
fn policy(places: &[(&str, &str, &str, i16, i16)]) -> Policy {
    let mut sites: Vec<Site> = places.iter().map(site).collect();
    sites.sort_by(|a, b| a.name.cmp(&b.name));
    let pool: Vec<SiteId> =
        (0..sites.len()).filter_map(|at| u16::try_from(at).ok()).map(SiteId).collect();
    let plain = service("plain", pool);
    let mut shared = GlobalService { object: ObjectRef::new("bench", "shared"), ..plain.clone() };
    shared.steering.spread_within_us = 5_000;
    shared.steering.prefer =
        vec![Rung { country: true, subdivision: false, isp: true, continent: false }];
    Policy { sites, services: vec![plain, shared], ..Policy::default() }
}

/// Services of all sites but one each and of other penalties: no two steer alike, nor see alike.
fn many(policy: &Policy) -> Policy {
    let mut many = Policy { services: Vec::new(), ..policy.clone() };
    for number in 0..100 {
        let mut service = policy.services[number % policy.services.len()].clone();
        let skipped = number % service.pool.len();
        service.pool.remove(skipped);
        service.steering.border_penalty_us += u32::try_from(number).expect("small") * 100;
        service.object = ObjectRef::new("bench", &format!("service-{number}"));
        many.services.push(service);
    }
    many
}

fn site(&(name, country, isp, lat_cdeg, lon_cdeg): &(&str, &str, &str, i16, i16)) -> Site {
    Site {
        name: SiteName::new(name).expect("a name"),
        tier: Tier::Core,
        country: Country::parse(country).expect("a country"),
        subdivision: None,
        city: None,
        point: Some(Point { lat_cdeg, lon_cdeg }),
        isps: Isp::parse(isp).into_iter().collect(),
        addresses: vec![SiteAddress { ip: IpAddr::from([127, 0, 0, 1]), isp: None }],
        capacity: Capacity::default(),
        labels: std::collections::BTreeMap::default(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    }
}

fn service(name: &str, pool: Vec<SiteId>) -> GlobalService {
    GlobalService {
        object: ObjectRef::new("bench", name),
        hostnames: Vec::new(),
        protected: false,
        tiers: vec![TierStep { tier: Tier::Core, budget_us: None }],
        pool,
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: Vec::new(),
            spread_within_us: 0,
            sticky: Sticky { v4_len: 24, v6_len: 56 },
            weights: std::collections::BTreeMap::default(),
            carrier_penalty_us: 20_000,
            border_penalty_us: 10_000,
        },
        answers: Answers { sites_max: 1, per_site_max: 4, ttl_s: 30, ttl_min_s: 5 },
        health: None,
        panic_below_percent: 0,
        fallback: Fallback::AnswerAll,
        rules: Vec::new(),
        records: Vec::new(),
        aliases: std::collections::BTreeMap::default(),
        endpoints: Vec::new(),
    }
}
