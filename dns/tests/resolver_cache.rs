//! A resolver that keeps to RFC 7871 never gives a client an answer that was not the client's.
//!
//! Simulated resolvers cache what the real answer function says while documents, health and shares
//! change under them. Every answer, also one from a cache, is compared with what the server said to
//! that very client when it was put there: 0 of a million may differ.
#![expect(clippy::expect_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, HashMap};
use std::hash::RandomState;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use dns::{Settings, Transport, View, respond};
use geo_data::LocaleTable;
use geo_data::centre::Centres;
use ipnet::{IpNet, Ipv4Net};
use model::Policy;
use model::geo::{Area, Country, Isp, Locale, Point, Subdivision};
use model::name::{DnsName, ObjectRef, SiteName};
use model::observe::Verdict;
use model::policy::{Effect, Fence, Match, Rule, RuleLevel};
use model::service::{
    Answers, Fallback, GlobalService, Rung, SiteEndpoints, Steering, Sticky, TierStep,
};
use model::site::{Alias, Binding, Capacity, Site, SiteAddress, SiteId, Tier};
use model::zone::{NameServer, Soa, Zone};
use steering::compile::{Inputs, compile};
use steering::latency::LatencyMap;
use steering::{Generation, Health, Snapshot};

const QUERIES: usize = 1_000_000;
/// A change of documents, health or shares every so many simulated seconds, for two hours.
const CHANGE_S: u64 = 6;
const END_S: u64 = 7_200;
const SITES: u16 = 12;
const NAME: &str = "hello.edge.example";

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn roll(&mut self, below: u64) -> u64 {
        self.next() % below.max(1)
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        let at = usize::try_from(self.roll(choices.len() as u64)).expect("small");
        choices[at]
    }

    fn site(&mut self) -> SiteId {
        SiteId(u16::try_from(self.roll(SITES.into())).expect("small"))
    }

    /// Most clients are where the table knows something.
    fn address(&mut self) -> u32 {
        let bits = u32::try_from(self.next() >> 32).expect("32 bits");
        if self.chance(90) { 0x0a00_0000 | (bits & 0x003f_ffff) } else { bits }
    }
}

fn countries() -> [Country; 3] {
    ["CN", "DE", "US"].map(|text| Country::parse(text).expect("a country"))
}

fn isps() -> [Isp; 3] {
    ["cn-ct", "cn-cu", "as3320"].map(|text| Isp::parse(text).expect("an ISP"))
}

fn point(dice: &mut Dice) -> Point {
    let cdeg = |dice: &mut Dice, most: u64| {
        i16::try_from(dice.roll(2 * most)).expect("small") - i16::try_from(most).expect("small")
    };
    Point { lat_cdeg: cdeg(dice, 6_000), lon_cdeg: cdeg(dice, 16_000) }
}

fn locales(dice: &mut Dice) -> LocaleTable {
    let prefixes: Vec<(IpNet, Locale)> = (0..600)
        .map(|_| {
            let len = u8::try_from(12 + dice.roll(15)).expect("small");
            let net = Ipv4Net::new(Ipv4Addr::from_bits(dice.address()), len).expect("a prefix");
            let locale = Locale {
                country: dice.chance(90).then(|| dice.of(&countries())),
                subdivision: dice.chance(30).then(|| Subdivision::parse("CN-GD").expect("one")),
                city: None,
                point: dice.chance(90).then(|| point(dice)),
                asn: dice.chance(50).then(|| dice.of(&[4134, 4837])),
                isp: dice.chance(70).then(|| dice.of(&isps())),
                area: dice.chance(10).then(|| Area::parse("campus").expect("an area")),
            };
            (IpNet::V4(net.trunc()), locale)
        })
        .collect();
    LocaleTable::from_prefixes(&prefixes, Centres::default())
}

fn site(dice: &mut Dice, number: u16) -> Site {
    Site {
        name: SiteName::new(&format!("site-{number:02}")).expect("a name"),
        tier: dice.of(&[Tier::Access, Tier::Aggregation, Tier::Core]),
        country: dice.of(&countries()),
        subdivision: None,
        city: None,
        point: Some(point(dice)),
        isps: if dice.chance(50) { vec![dice.of(&isps())] } else { Vec::new() },
        addresses: addresses(dice, number),
        capacity: Capacity::default(),
        labels: BTreeMap::default(),
        drain: false,
        l7: true,
        alias: None,
        binding: Binding::default(),
        health: None,
    }
}

/// One address, or several of which some are a carrier's.
fn addresses(dice: &mut Dice, number: u16) -> Vec<SiteAddress> {
    let count = if dice.chance(30) { 1 + dice.roll(4) } else { 1 };
    let third = u8::try_from(number + 1).expect("small");
    let address = |nth: u64| {
        let ip = IpAddr::from([198, 51, third, u8::try_from(nth).expect("small")]);
        SiteAddress { ip, isp: (count > 1 && dice.chance(60)).then(|| dice.of(&isps())) }
    };
    (0..count).map(address).collect()
}

fn endpoints(dice: &mut Dice, id: u16) -> SiteEndpoints {
    let third = u8::try_from(id).expect("small");
    let ip = |nth: u64| IpAddr::from([10, 0, third, u8::try_from(nth).expect("small")]);
    let addresses = (0..1 + dice.roll(8)).map(ip).collect();
    SiteEndpoints { site: SiteId(id), is_ready: true, addresses }
}

fn cname(id: u16) -> DnsName {
    DnsName::parse(&format!("site-{id}.cdn.example")).expect("a name")
}

fn rule(dice: &mut Dice, number: u64) -> Rule {
    let mut matches = Match::default();
    match dice.roll(4) {
        0 => matches.countries = vec![dice.of(&countries())],
        1 => matches.isps = vec![dice.of(&isps())],
        2 => {
            let len = u8::try_from(10 + dice.roll(17)).expect("small");
            let net = Ipv4Net::new(Ipv4Addr::from_bits(dice.address()), len).expect("a prefix");
            matches.cidrs = vec![IpNet::V4(net.trunc())];
        }
        _ => {}
    }
    let effect = match dice.roll(5) {
        0 => Effect::Pin(vec![dice.site(), dice.site()]),
        1 => Effect::Weights((0..SITES).map(|id| (SiteId(id), dice.of(&[1, 50, 300]))).collect()),
        2 => Effect::Fence(Fence::Sites((0..SITES).filter(|id| id % 3 != 0).map(SiteId).collect())),
        _ => Effect::Shift { to: dice.site(), share_bp: dice.of(&[500, 1_000, 2_000, 10_000]) },
    };
    let origin = format!("ns/policy/{number}").into();
    Rule { origin, level: RuleLevel::default(), matches, effect }
}

fn service(dice: &mut Dice) -> GlobalService {
    let step = |tier, budget_us| TierStep { tier, budget_us };
    let rung = |isp, country| Rung { country, subdivision: false, isp, continent: false };
    GlobalService {
        object: ObjectRef::new("default", "hello"),
        hostnames: vec![DnsName::parse(NAME).expect("a name")],
        protected: false,
        tiers: vec![
            step(Tier::Access, Some(40_000)),
            step(Tier::Aggregation, Some(80_000)),
            step(Tier::Core, None),
        ],
        pool: (0..SITES).map(SiteId).collect(),
        backends: Vec::new(),
        fence: None,
        steering: Steering {
            prefer: if dice.chance(40) {
                vec![rung(true, true), rung(false, true)]
            } else {
                vec![]
            },
            spread_within_us: dice.of(&[0, 0, 30_000, 100_000]),
            sticky: Sticky { v4_len: dice.of(&[24, 24, 20]), v6_len: 56 },
            weights: BTreeMap::default(),
            carrier_penalty_us: 20_000,
            border_penalty_us: 10_000,
        },
        answers: Answers {
            sites_max: dice.of(&[1, 1, 2]),
            per_site_max: dice.of(&[1, 2, 4]),
            ttl_s: 30,
            ttl_min_s: 5,
        },
        health: None,
        panic_below_percent: dice.of(&[0, 0, 40]),
        fallback: Fallback::AnswerAll,
        rules: (0..dice.roll(5)).map(|number| rule(dice, number)).collect(),
        records: Vec::new(),
        aliases: (0..SITES)
            .filter(|_| dice.chance(5))
            .map(|id| (SiteId(id), Alias::Cname(cname(id))))
            .collect(),
        endpoints: {
            let direct: Vec<u16> = (0..SITES).filter(|_| dice.chance(10)).collect();
            direct.into_iter().map(|id| endpoints(dice, id)).collect()
        },
    }
}

fn zone() -> Zone {
    let name = |text: &str| DnsName::parse(text).expect("a name");
    Zone {
        apex: name("edge.example"),
        soa: Soa {
            mname: name("ns.edge.example"),
            rname: name("hostmaster.edge.example"),
            refresh_s: 7200,
            retry_s: 900,
            expire_s: 1_209_600,
            negative_ttl_s: 60,
            ttl_s: 3600,
        },
        name_servers: vec![NameServer {
            name: name("ns.edge.example"),
            addresses: vec![IpAddr::from([192, 0, 2, 53])],
        }],
        ns_ttl_s: 86_400,
        records: Vec::new(),
    }
}

/// The server as it is between two changes.
struct Epochs {
    views: Vec<View>,
}

impl Epochs {
    fn new(dice: &mut Dice) -> Self {
        let locales = locales(dice);
        let mut sites: Vec<Site> = (0..SITES).map(|number| site(dice, number)).collect();
        sites.sort_by(|a, b| a.name.cmp(&b.name));
        let mut policy = Policy { zones: vec![zone()], sites, ..Policy::default() };
        policy.services = vec![service(dice)];
        let mut health = Health::default();
        let count = usize::try_from(END_S / CHANGE_S).expect("small") + 1;
        let views = (0..count)
            .map(|_| {
                if dice.chance(40) {
                    policy.services = vec![service(dice)];
                }
                if dice.chance(60) {
                    let out = dice.of(&[0, 0, 15, 60]);
                    let verdicts = [Verdict::Down, Verdict::Failing];
                    health.sites = (0..SITES)
                        .map(|_| if dice.chance(out) { dice.of(&verdicts) } else { Verdict::Up })
                        .collect();
                    health.drained = (0..SITES).map(|_| dice.chance(5)).collect();
                }
                view(&policy, &locales, &health)
            })
            .collect();
        Self { views }
    }

    fn at(second: u64) -> usize {
        usize::try_from(second / CHANGE_S).expect("small")
    }
}

fn view(policy: &Policy, locales: &LocaleTable, health: &Health) -> View {
    let latency = LatencyMap::default();
    let inputs = Inputs {
        policy,
        policy_generation: 0,
        locales,
        latency: &latency,
        drained: &health.drained,
        long_out: &[],
        minute_of_week: 0,
    };
    let snapshot = Snapshot {
        policy_generation: Generation::default(),
        policy: Arc::new(policy.clone()),
        map: Arc::new(compile(&inputs)),
        health: Arc::new(health.clone()),
        ..Snapshot::default()
    };
    View::build(&snapshot, Settings::default(), &RandomState::new()).expect("a view")
}

/// What the wire said.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    addresses: Vec<Ipv4Addr>,
    cname: Option<Vec<u8>>,
    ttl_s: u32,
    /// `None`: without the option.
    scope_len: Option<u8>,
}

fn masked(ip: u32, len: u8) -> u32 {
    ip & u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0)
}

/// Asks the server as a resolver would: with a prefix of its client's address, or without.
fn ask(view: &View, name: &DnsName, client: Option<(u32, u8)>) -> Said {
    let mut query = vec![1, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend(name.as_wire());
    query.extend([0, 1, 0, 1, 0, 0, 41, 4, 208, 0, 0, 0, 0]);
    match client {
        Some((ip, len)) => {
            let octets = usize::from(len.div_ceil(8));
            let octets_len = u8::try_from(octets).expect("small");
            query.extend([0, octets_len + 8, 0, 8, 0, octets_len + 4, 0, 1, len, 0]);
            query.extend(&masked(ip, len).to_be_bytes()[..octets]);
        }
        None => query.extend([0, 0]),
    }
    let mut out = [0; 1232];
    let from = SocketAddr::from(([9, 9, 9, 9], 5353));
    let len = respond(view, &query, from, Transport::Udp, &mut out).expect("an answer");
    read(&out[..len], name.as_wire().len())
}

/// Address records with pointers for owners, one SOA at most, OPT with one option at most.
fn read(answer: &[u8], name_octets: usize) -> Said {
    let word = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let mut said = Said { addresses: Vec::new(), cname: None, ttl_s: 0, scope_len: None };
    let mut at = 12 + name_octets + 4;
    for nth in 0..word(6) + word(8) {
        let ttl_s = u32::from(word(at + 6)) << 16 | u32::from(word(at + 8));
        said.ttl_s = if nth == 0 { ttl_s } else { said.ttl_s.min(ttl_s) };
        let octets = usize::from(word(at + 10));
        let data = &answer[at + 12..at + 12 + octets];
        if word(at + 2) == 1 {
            said.addresses.push(Ipv4Addr::from(<[u8; 4]>::try_from(data).expect("four")));
        }
        if word(at + 2) == 5 {
            said.cname = Some(data.to_vec());
        }
        at += 12 + octets;
    }
    let mut option = at + 11;
    while option < answer.len() {
        if word(option) == 8 {
            said.scope_len = Some(answer[option + 7]);
        }
        option += 4 + usize::from(word(option + 2));
    }
    said
}

/// Which queries an entry may answer (RFC 7871, section 7.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum For {
    /// Everybody in the network.
    All,
    /// Clients that send a prefix of exactly this length.
    Exactly,
}

#[derive(Debug, Clone)]
struct Entry {
    said: Said,
    epoch: usize,
    until_s: u64,
}

/// A resolver's cache of one name, with the longest prefix it sends; `None`: it does not know ECS.
struct Resolver {
    source_len_max: Option<u8>,
    /// By how many bits it takes scopes for shorter than they are: 0 for one that is in order.
    widens_by: u8,
    entries: HashMap<(u32, u8, For), Entry>,
}

impl Resolver {
    fn new(source_len_max: Option<u8>) -> Self {
        Self { source_len_max, widens_by: 0, entries: HashMap::new() }
    }

    /// What the resolver sends for a client that gave this prefix length, or none.
    fn source(&self, ip: u32, asked_len: Option<u8>) -> Option<(u32, u8)> {
        let len = self.source_len_max?.min(asked_len.unwrap_or(32));
        Some((masked(ip, len), len))
    }

    fn cached(&self, source: Option<(u32, u8)>, now_s: u64) -> Option<&Entry> {
        let fresh =
            |key: (u32, u8, For)| self.entries.get(&key).filter(|entry| now_s < entry.until_s);
        let Some((ip, len)) = source else { return fresh((0, 0, For::All)) };
        // Entries of queries for /0 are for such queries alone.
        let exactly = fresh((ip, len, For::Exactly));
        let longest = || (0..=len).rev().find_map(|len| fresh((masked(ip, len), len, For::All)));
        exactly.or_else(longest)
    }

    fn keep(&mut self, source: Option<(u32, u8)>, said: Said, epoch: usize, now_s: u64) {
        let key = match (source, said.scope_len) {
            // Without the option an answer is for everybody.
            (None, _) | (_, None) => (0, 0, For::All),
            (Some((_, 0)), _) => (0, 0, For::Exactly),
            (Some((ip, len)), Some(scope_len)) if scope_len <= len => {
                let kept_len = scope_len.saturating_sub(self.widens_by);
                (masked(ip, kept_len), kept_len, For::All)
            }
            // Not specific enough, and this resolver never sends more: it is for all of them.
            (Some((ip, len)), Some(_)) if Some(len) == self.source_len_max => (ip, len, For::All),
            (Some((ip, len)), Some(_)) => (ip, len, For::Exactly),
        };
        let until_s = now_s + u64::from(said.ttl_s);
        self.entries.insert(key, Entry { said, epoch, until_s });
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    asked: usize,
    hits: usize,
    wrong: Vec<String>,
}

/// Random clients of random resolvers, over all the changes.
fn simulate(
    dice: &mut Dice,
    epochs: &Epochs,
    mut resolvers: Vec<Resolver>,
    queries: usize,
) -> Tally {
    let name = DnsName::parse(NAME).expect("a name");
    let mut tally = Tally::default();
    for nth in 0..queries {
        let now_s = nth as u64 * END_S / queries as u64;
        let epoch = Epochs::at(now_s);
        let at = usize::try_from(dice.roll(resolvers.len() as u64)).expect("small");
        let resolver = &mut resolvers[at];
        let lens = [None, None, None, Some(0), Some(12), Some(16), Some(24), Some(32)];
        let asked_len = dice.of(&lens);
        let ip = dice.address();
        let source = resolver.source(ip, asked_len);
        tally.asked += 1;
        let Some(entry) = resolver.cached(source, now_s) else {
            let said = ask(&epochs.views[epoch], &name, source);
            resolver.keep(source, said, epoch, now_s);
            continue;
        };
        tally.hits += 1;
        let right = ask(&epochs.views[entry.epoch], &name, source);
        let is_right = entry.said.addresses == right.addresses && entry.said.cname == right.cname;
        if !is_right || now_s >= entry.until_s {
            tally.wrong.push(format!("{source:?} at {now_s}: {:?}, not {right:?}", entry.said));
        }
    }
    tally
}

#[test]
fn no_cache_gives_a_client_what_was_another_clients() {
    let dice = &mut Dice(7871);
    let epochs = Epochs::new(dice);
    let resolvers = [Some(24), Some(24), Some(32), Some(16), None].map(Resolver::new).into();
    let tally = simulate(dice, &epochs, resolvers, QUERIES);
    assert_eq!(tally.wrong, Vec::<String>::new());
    // The caches were used, and the changes went through them.
    assert!(tally.hits > QUERIES / 5, "{} hits", tally.hits);
    assert!(tally.asked - tally.hits > QUERIES / 50, "{} misses", tally.asked - tally.hits);

    // Scopes a bit too wide would have been noticed.
    let mut careless = Resolver::new(Some(24));
    careless.widens_by = 1;
    let tally = simulate(dice, &epochs, vec![careless], QUERIES / 20);
    assert!(tally.wrong.len() > 100, "{} of {} hits are wrong", tally.wrong.len(), tally.hits);
}

#[test]
fn after_its_time_no_answer_of_before_a_change_is_left() {
    let dice = &mut Dice(1);
    let epochs = Epochs::new(dice);
    let name = DnsName::parse(NAME).expect("a name");
    let mut resolver = Resolver::new(Some(24));
    let clients: Vec<u32> = (0..500).map(|_| dice.address()).collect();
    let (mut told_before, mut changed) = (HashMap::new(), 0);
    for (epoch, view) in epochs.views.iter().enumerate().step_by(10) {
        // Ten epochs are a minute, and no answer lives longer than 30 s.
        let now_s = epoch as u64 * CHANGE_S;
        for &ip in &clients {
            let source = resolver.source(ip, None);
            let right = ask(view, &name, source);
            let told = match resolver.cached(source, now_s) {
                Some(entry) => {
                    assert_eq!(entry.epoch, epoch, "an entry of before");
                    entry.said.clone()
                }
                None => right.clone(),
            };
            assert_eq!(told.addresses, right.addresses);
            let before = told_before.insert(ip, told.addresses.clone());
            changed += usize::from(before.is_some_and(|before| before != told.addresses));
            resolver.keep(source, right, epoch, now_s);
        }
    }
    assert!(changed > 1_000, "{changed}");
}
