//! Evaluates the latency map on a matrix of pings between servers.
//!
//! `cargo run --release -p steering --example latency NODES.csv RTT.csv`
//!
//! NODES: `node,city,country,latitude,longitude`. RTT: `client,site,rtt_min_ms,rtt_avg_ms`. The
//! minimum of both directions counts; servers of which more than 5 % of pairs are faster than light
//! in fibre have a wrong place and are left out. Sites are placed by greedy k-median on half of the
//! servers, or drawn; clients are the other half, and each one's map is fitted without it. Loss is
//! the chosen site's RTT beyond the best site's.

#![allow(clippy::print_stdout, reason = "an example talks to the terminal")]
#![allow(clippy::expect_used, reason = "an example stops at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use geo_data::{Centres, LocaleTable};
use ipnet::{IpNet, Ipv4Net};
use model::geo::{Locale, Point};
use model::name::{ObjectRef, SiteName};
use model::observe::Client;
use model::service::{Answers, Fallback, GlobalService, ServiceId, Steering, Sticky, TierStep};
use model::site::{Binding, Capacity, Site, SiteAddress, SiteId, Tier};
use model::{Country, Policy};
use steering::Health;
use steering::compile::{Inputs, compile};
use steering::decide::{ServiceState, decide};
use steering::latency::{Cell, LatencyMap, fit};
use steering::place::Place;

/// Random halves and site sets.
const SEEDS: u64 = 6;
/// Most impossible pairs of a server whose place is believed, in percent.
const IMPOSSIBLE_PERCENT_MAX: usize = 5;

struct Node {
    city: String,
    country: Option<Country>,
    point: Point,
}

struct World {
    nodes: Vec<Node>,
    /// Microseconds by pair, both ways.
    rtt_us: BTreeMap<(usize, usize), u32>,
}

fn main() {
    let mut args = std::env::args().skip(1);
    let (Some(nodes), Some(rtt)) = (args.next(), args.next()) else {
        println!("usage: latency NODES.csv RTT.csv");
        return;
    };
    let read = |path: &str| std::fs::read_to_string(path).expect("the file is readable");
    let world = World::new(&read(&nodes), &read(&rtt));
    println!("{} servers", world.nodes.len());
    println!("loss in ms, {SEEDS} seeds: geo-nearest, the latency map, their ratio");
    for placed in [true, false] {
        for count in [5, 10, 20, 50] {
            for nearest in [count, 3] {
                world.evaluate(placed, count, nearest);
            }
        }
    }
}

impl World {
    fn new(nodes: &str, rtt: &str) -> Self {
        let rows = nodes.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
        let rows: Vec<Vec<&str>> = rows.collect();
        let by_number: BTreeMap<&str, usize> =
            rows.iter().enumerate().map(|(at, row)| (row[0], at)).collect();
        let nodes: Vec<Node> = rows
            .iter()
            .map(|row| Node {
                city: row[1].to_owned(),
                country: code_of(row[2]).and_then(Country::parse),
                point: Point { lat_cdeg: cdeg(row[3]), lon_cdeg: cdeg(row[4]) },
            })
            .collect();
        let mut rtt_us: BTreeMap<(usize, usize), u32> = BTreeMap::new();
        for line in rtt.lines().skip(1) {
            let row: Vec<&str> = line.split(',').collect();
            let (Some(&a), Some(&b)) = (by_number.get(row[0]), by_number.get(row[1])) else {
                continue;
            };
            if a == b {
                continue;
            }
            let us = micros(row[2]);
            for pair in [(a, b), (b, a)] {
                rtt_us.entry(pair).and_modify(|least| *least = us.min(*least)).or_insert(us);
            }
        }
        let mut world = Self { nodes, rtt_us };
        let fine: Vec<usize> = (0..world.nodes.len()).filter(|&at| world.is_placed(at)).collect();
        let nodes = std::mem::take(&mut world.nodes);
        let kept = nodes.into_iter().enumerate().filter(|(at, _)| fine.contains(at));
        world.nodes = kept.map(|(_, node)| node).collect();
        let place = |old: usize| fine.binary_search(&old).ok();
        let pairs = std::mem::take(&mut world.rtt_us).into_iter();
        world.rtt_us =
            pairs.filter_map(|((a, b), us)| Some(((place(a)?, place(b)?), us))).collect();
        world
    }

    fn is_placed(&self, at: usize) -> bool {
        let others = (0..self.nodes.len()).filter(|&other| other != at);
        let pairs: Vec<bool> = others
            .filter_map(|other| {
                let us = self.rtt_us.get(&(at, other))?;
                Some(*us < self.distance_m(at, other) / 100)
            })
            .collect();
        let impossible = pairs.iter().filter(|&&is_impossible| is_impossible).count();
        !pairs.is_empty() && impossible * 100 <= pairs.len() * IMPOSSIBLE_PERCENT_MAX
    }

    fn distance_m(&self, a: usize, b: usize) -> u32 {
        Place::new(self.nodes[a].point).distance_m(Place::new(self.nodes[b].point))
    }

    fn rtt(&self, a: usize, b: usize) -> Option<u32> {
        if a == b { Some(0) } else { self.rtt_us.get(&(a, b)).copied() }
    }

    /// One line: mean, p95 and p99 of the loss, with `nearest` sites measured by each client.
    fn evaluate(&self, placed: bool, count: usize, nearest: usize) {
        let (mut geo, mut map) = (Vec::new(), Vec::new());
        for seed in 0..SEEDS {
            let order = shuffled(self.nodes.len(), seed);
            let (half, others) = order.split_at(order.len() / 2);
            let sites = if placed { self.place(half, count) } else { self.draw(&order, count) };
            let trial = Trial::new(self, &sites, nearest);
            for &client in others.iter().filter(|client| !sites.contains(client)) {
                let best = sites.iter().filter_map(|&site| self.rtt(client, site)).min();
                let Some(best) = best else { continue };
                let measured = |site: &&usize| self.rtt(client, **site).is_some();
                let near = sites
                    .iter()
                    .filter(measured)
                    .min_by_key(|&&site| self.distance_m(client, site))
                    .expect("one is measured");
                let loss = |site: usize| self.rtt(client, site).map(|us| us - best);
                geo.extend(loss(*near));
                map.extend(loss(trial.choose(client)).or_else(|| loss(*near)));
            }
        }
        let kind = if placed { "placed" } else { "drawn" };
        let (geo, map) = (Loss::new(geo), Loss::new(map));
        let ratio = map.mean_ms / geo.mean_ms;
        println!("{kind:<6} N={count:<3} measured {nearest:<2}  {geo}   {map}   {ratio:.2} x");
    }

    /// Greedy k-median over the half, distinct cities.
    fn place(&self, half: &[usize], count: usize) -> Vec<usize> {
        let mut best = vec![u64::from(u32::MAX); half.len()];
        let mut sites: Vec<usize> = Vec::new();
        let mut cities: BTreeSet<&str> = BTreeSet::new();
        while sites.len() < count {
            let with = |site: usize, best: &[u64]| -> Vec<u64> {
                let to = |client: usize| self.rtt(client, site).map_or(u64::MAX, u64::from);
                half.iter().zip(best).map(|(&client, &now)| now.min(to(client))).collect()
            };
            let free = half.iter().filter(|&&site| !cities.contains(&*self.nodes[site].city));
            let next = *free
                .min_by_key(|&&site| with(site, &best).iter().sum::<u64>())
                .expect("there are enough cities");
            best = with(next, &best);
            sites.push(next);
            cities.insert(&self.nodes[next].city);
        }
        sites
    }

    fn draw(&self, order: &[usize], count: usize) -> Vec<usize> {
        let mut cities: BTreeSet<&str> = BTreeSet::new();
        let fresh = order.iter().copied().filter(|&site| cities.insert(&self.nodes[site].city));
        fresh.take(count).collect()
    }

    /// Each server is a /24 of its own.
    fn prefix(at: usize) -> Ipv4Net {
        let at = u32::try_from(at).expect("few");
        Ipv4Net::new(Ipv4Addr::from_bits(0x0a00_0000 | at << 8), 24).expect("a length")
    }
}

/// One set of sites with what was measured.
struct Trial<'w> {
    world: &'w World,
    sites: Vec<usize>,
    policy: Policy,
    cells: Vec<Cell>,
}

impl<'w> Trial<'w> {
    fn new(world: &'w World, sites: &[usize], nearest: usize) -> Self {
        // Ids follow names, and names follow the nodes' numbers.
        let mut sites = sites.to_vec();
        sites.sort_unstable();
        let policy = policy(world, &sites);
        let mut cells = Vec::new();
        for client in (0..world.nodes.len()).filter(|client| !sites.contains(client)) {
            let mut near: Vec<usize> = (0..sites.len()).collect();
            near.sort_by_key(|&at| world.distance_m(client, sites[at]));
            for at in near.into_iter().take(nearest) {
                if let Some(us) = world.rtt(client, sites[at]) {
                    let prefix = IpNet::V4(World::prefix(client));
                    let site = SiteId(u16::try_from(at).expect("few"));
                    cells.push(Cell { prefix, site, count: 10, mean_us: us, min_us: us });
                }
            }
        }
        Self { world, sites, policy, cells }
    }

    /// The site the map leads a client to, fitted without it.
    fn choose(&self, client: usize) -> usize {
        let prefix = World::prefix(client);
        let others: Vec<Cell> =
            self.cells.iter().copied().filter(|cell| cell.prefix != IpNet::V4(prefix)).collect();
        let locales = self.locales();
        let fitted = fit(&self.policy, &locales, &others);
        let decision = self.decide(&locales, &fitted.map, prefix);
        self.sites[usize::from(decision.0)]
    }

    fn decide(&self, locales: &LocaleTable, latency: &LatencyMap, prefix: Ipv4Net) -> SiteId {
        let inputs = Inputs {
            policy: &self.policy,
            policy_generation: 1,
            locales,
            latency,
            drained: &[],
            long_out: &[],
            minute_of_week: 0,
        };
        let map = compile(&inputs);
        let id = ServiceId(0);
        let state = ServiceState::new(id, self.policy.service(id), &Health::default());
        let client = Client { ip: IpAddr::V4(prefix.network()), source_len: Some(24) };
        decide(map.service(id).expect("compiled"), &state, client).sites[0]
    }

    fn locales(&self) -> LocaleTable {
        let known = self.world.nodes.iter().enumerate().map(|(at, node)| {
            let locale =
                Locale { country: node.country, point: Some(node.point), ..Locale::default() };
            (IpNet::V4(World::prefix(at)), locale)
        });
        LocaleTable::from_prefixes(&known.collect::<Vec<_>>(), Centres::default())
    }
}

fn policy(world: &World, sites: &[usize]) -> Policy {
    let site = |&at: &usize| Site {
        name: SiteName::new(&format!("site-{at:05}")).expect("a name"),
        tier: Tier::Core,
        country: world.nodes[at].country.unwrap_or(Country(*b"ZZ")),
        subdivision: None,
        city: None,
        point: Some(world.nodes[at].point),
        isps: Vec::new(),
        addresses: vec![SiteAddress { ip: IpAddr::from([127, 0, 0, 1]), isp: None }],
        capacity: Capacity::default(),
        labels: BTreeMap::default(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    };
    let pool = (0..sites.len()).map(|at| SiteId(u16::try_from(at).expect("few"))).collect();
    let service = GlobalService {
        object: ObjectRef::new("bench", "latency"),
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
    };
    let sites = sites.iter().map(site).collect();
    Policy { sites, services: vec![service], ..Policy::default() }
}

struct Loss {
    mean_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

impl Loss {
    fn new(mut losses_us: Vec<u32>) -> Self {
        losses_us.sort_unstable();
        let count = losses_us.len();
        let ms = |us: u32| f64::from(us) / 1e3;
        let at = |percent: usize| ms(losses_us[(count * percent / 100).min(count - 1)]);
        let sum: f64 = losses_us.iter().copied().map(ms).sum();
        let count = f64::from(u32::try_from(count).expect("few"));
        Self { mean_ms: sum / count, p95_ms: at(95), p99_ms: at(99) }
    }
}

impl std::fmt::Display for Loss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { mean_ms, p95_ms, p99_ms } = self;
        write!(f, "mean {mean_ms:5.2} p95 {p95_ms:5.1} p99 {p99_ms:5.1}")
    }
}

/// Fisher and Yates, from a small generator (SplitMix64).
fn shuffled(count: usize, seed: u64) -> Vec<usize> {
    let mut state = seed;
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let other = usize::try_from((mixed ^ (mixed >> 31)) % (at as u64 + 1)).expect("small");
        order.swap(at, other);
    }
    order
}

#[expect(clippy::cast_possible_truncation, reason = "a coordinate in hundredths fits 16 bits")]
fn cdeg(text: &str) -> i16 {
    (text.parse::<f64>().expect("degrees") * 100.0).round() as i16
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a ping in us")]
fn micros(text: &str) -> u32 {
    (text.parse::<f64>().expect("milliseconds") * 1e3).round() as u32
}

/// ISO codes of the countries of the data set, by its names.
fn code_of(name: &str) -> Option<&'static str> {
    const CODES: &str = "United States=US;United Kingdom=GB;Canada=CA;Netherlands=NL;\
        Switzerland=CH;Italy=IT;India=IN;Germany=DE;Australia=AU;Russia=RU;Turkey=TR;Japan=JP;\
        France=FR;China=CN;Belgium=BE;Spain=ES;New Zealand=NZ;Czech Republic=CZ;Brazil=BR;\
        Vietnam=VN;Sweden=SE;South Africa=ZA;Poland=PL;Philippines=PH;Norway=NO;Mexico=MX;\
        Lithuania=LT;Israel=IL;Ireland=IE;Greece=GR;Colombia=CO;Bulgaria=BG;Austria=AT;\
        Venezuela=VE;Uruguay=UY;United Arab Emirates=AE;Ukraine=UA;Uganda=UG;Tunisia=TN;\
        Thailand=TH;Tanzania=TZ;Taiwan=TW;Suriname=SR;South Korea=KR;Slovenia=SI;Slovakia=SK;\
        Singapore=SG;Serbia=RS;Saudi Arabia=SA;Romania=RO;Puerto Rico=PR;Portugal=PT;Peru=PE;\
        Panama=PA;Pakistan=PK;Nigeria=NG;Morocco=MA;Moldova=MD;Malta=MT;Malaysia=MY;\
        Luxembourg=LU;Lebanon=LB;Latvia=LV;Kosovo=XK;Kenya=KE;Kazakhstan=KZ;Isle of Man=IM;\
        Indonesia=ID;Iceland=IS;Hungary=HU;Hong Kong=HK;Honduras=HN;Guatemala=GT;Ghana=GH;\
        Georgia=GE;Finland=FI;Estonia=EE;Egypt=EG;Ecuador=EC;Denmark=DK;Cyprus=CY;Croatia=HR;\
        Costa Rica=CR;Chile=CL;Cambodia=KH;Bangladesh=BD;Argentina=AR;Algeria=DZ;Albania=AL";
    let pairs = CODES.split(';').filter_map(|pair| pair.split_once('='));
    pairs.into_iter().find(|(known, _)| known.trim() == name).map(|(_, code)| code)
}
