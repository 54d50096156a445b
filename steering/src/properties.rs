//! Properties of random worlds against the reference: leaves, scopes, orders, explanations.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use model::geo::{Area, Continent, Country, Isp, Locale, Point, Subdivision};
use model::name::DnsName;
use model::observe::{Client, Readiness, Verdict};
use model::policy::{Effect, Fence, LocaleOverrides, Match, Rule, RuleLevel, Window};
use model::service::{Fallback, Rung, ServiceId, SiteEndpoints, TierStep};
use model::site::{Alias, Site, SiteAddress, SiteId, Tier};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::test_runner::TestCaseError;

use crate::decide::{Decision, Queue, Reason, ServiceState, decide, find};
use crate::explain::{OrderShown, explain};
use crate::latency::{EVERY_OTHER_SITE, LatencyMap, Level, Residual};
use crate::presence::{Presence, presence};
use crate::reference::{self, RefLeaf};
use crate::snapshot::Snapshot;
use crate::world::{World, isp, site};

mod beyond;
mod random;

pub(crate) use random::{
    Dice, random_latency, random_locale, random_prefix, random_service, random_site, random_world,
};
use random::{V4_REGION, V6_REGION, random_world_of};

/// Enough to meet every branch of the reference many times; a case is a whole world.
const CASES: u32 = 96;

/// A family of the test's region: `region` tells 256 blocks of truth apart.
#[derive(Debug, Clone, Copy)]
struct Family {
    bits: u32,
    truth_len: u8,
    region: u64,
    address: fn(u64) -> IpAddr,
}

const FAMILIES: [Family; 2] = [
    Family {
        bits: 32,
        truth_len: 24,
        region: V4_REGION as u64,
        address: |x| IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(x).expect("32 bits"))),
    },
    Family {
        bits: 64,
        truth_len: 56,
        region: V6_REGION,
        address: |x| IpAddr::V6(Ipv6Addr::from_bits(u128::from(x) << 64)),
    },
];

/// What the reference says of every block of truth: 256 of them, and everything else.
struct Truth {
    family: Family,
    inside: Vec<usize>,
    outside: usize,
    leaves: Vec<RefLeaf>,
}

impl Truth {
    fn new(world: &World, family: Family) -> Self {
        let mut numbers: HashMap<RefLeaf, usize> = HashMap::new();
        let mut leaves = Vec::new();
        let mut number = |leaf: RefLeaf| {
            *numbers.entry(leaf.clone()).or_insert_with(|| {
                leaves.push(leaf);
                leaves.len() - 1
            })
        };
        let inside = (0..256)
            .map(|block| {
                let samples: Vec<usize> = (0..8)
                    .map(|sample| family.region + block * 256 + sample * 32)
                    .map(|x| number(reference::leaf(world, (family.address)(x))))
                    .collect();
                most_of(&samples)
            })
            .collect();
        let outside = number(reference::leaf(world, (family.address)(0)));
        Self { family, inside, outside, leaves }
    }

    fn at(&self, x: u64) -> usize {
        if x >> 16 == self.family.region >> 16 {
            self.inside[usize::try_from((x >> 8) & 0xff).expect("8 bits")]
        } else {
            self.outside
        }
    }

    fn span(&self, x: u64, len: u8) -> (u64, u64) {
        let all = u64::MAX >> (64 - self.family.bits);
        let host = all.checked_shr(len.into()).unwrap_or(0);
        (x & !host, x | host)
    }

    /// Whether all of a block has one leaf.
    fn is_uniform(&self, x: u64, len: u8) -> bool {
        let (first, last) = self.span(x, len);
        let region = (self.family.region, self.family.region | 0xffff);
        let overlaps = first <= region.1 && region.0 <= last;
        let spills = first < region.0 || last > region.1;
        let wanted = self.at(x);
        let mut blocks = (0..256).map(|block| region.0 + block * 256);
        (!spills || self.outside == wanted)
            && (!overlaps || blocks.all(|at| at < first || at > last || self.at(at) == wanted))
    }

    /// The shortest prefix around `x` with one leaf.
    fn run_len(&self, x: u64) -> u8 {
        (0..=self.family.truth_len).find(|&len| self.is_uniform(x, len)).expect("a block is")
    }

    /// How long the shared blocks of a leaf are: at least as asked, at most 1/200 of it.
    fn block_len(&self, world: &World, leaf: usize) -> u8 {
        let steering = &world.policy.services[0].steering;
        let sticky =
            if self.family.bits == 32 { steering.sticky.v4_len } else { steering.sticky.v6_len };
        let inside = self.inside.iter().filter(|&&at| at == leaf).count() as u128 * 256;
        let outside = if self.outside == leaf { (1 << self.family.bits) - (1 << 16) } else { 0 };
        let size = inside + outside;
        let fits = |len: &u8| (1_u128 << (self.family.bits - u32::from(*len))) * 200 <= size;
        let needed = (0..=self.family.truth_len).find(fits).unwrap_or(self.family.truth_len);
        sticky.max(needed)
    }
}

/// The most frequent; the first of those that tie.
fn most_of(samples: &[usize]) -> usize {
    let count = |of: usize| samples.iter().filter(|&&sample| sample == of).count();
    let most = samples.iter().map(|&sample| count(sample)).max().expect("some");
    *samples.iter().find(|&&sample| count(sample) == most).expect("some")
}

struct Compiled {
    world: World,
    snapshot: Snapshot,
    state: ServiceState,
}

impl Compiled {
    fn new(world: World) -> Self {
        let snapshot = world.snapshot();
        let state = ServiceState::new(ServiceId(0), &world.policy.services[0], &world.health);
        Self { world, snapshot, state }
    }

    fn decide(&self, client: Client) -> Decision {
        decide(self.snapshot.map.service(ServiceId(0)).expect("compiled"), &self.state, client)
    }

    /// Checks an answer against the reference's leaf, and the explanation against the answer.
    fn check(&self, client: Client, leaf: &RefLeaf) -> Result<Decision, TestCaseError> {
        let map = self.snapshot.map.service(ServiceId(0)).expect("compiled");
        let decision = self.decide(client);
        let found = find(map, client).expect("the tables cover everything");
        let queue = Queue::new(found.leaf, found.block, &self.state);
        let mut listed = queue.sites().to_vec();
        if queue.is_shifted {
            prop_assert_eq!(Some(listed[0]), leaf.shift.map(|(to, _)| to));
            prop_assert!(leaf.shift.is_some_and(|(_, share_bp)| share_bp > 0));
        }
        if leaf.sharing.is_empty() && !queue.is_shifted {
            prop_assert_eq!(&listed, &leaf.sites);
        }
        listed.sort_unstable();
        let mut sites = leaf.sites.clone();
        sites.extend(leaf.shift.filter(|_| queue.is_shifted).map(|(to, _)| to));
        sites.sort_unstable();
        sites.dedup();
        prop_assert_eq!(&listed, &sites);
        let (reason, right) = reference::answer(&self.world, leaf, queue.sites(), queue.is_shifted);
        prop_assert_eq!(decision.reason, reason);
        prop_assert!(right.is_met_by(decision.chosen()), "{:?} is not {:?}", decision, right);
        for &site in decision.chosen() {
            prop_assert!(leaf.allowed.contains(&site) || leaf.fallback.contains(&site));
            prop_assert!(!self.world.health.is_drained(site));
            prop_assert!(!self.world.policy.site(site).drain);
        }
        for at in decision.chosen_with_uplinks() {
            let service = &self.world.policy.services[0];
            let answered = match presence(&self.world.policy, service, at) {
                Presence::Addresses(all) => all,
                Presence::Endpoints(all) => all.to_vec(),
                Presence::Alias(_) => Vec::new(),
            };
            // A site that the leaf does not list is answered as to everybody.
            let everybodys = || reference::answered(&self.world, &Locale::default(), at.0);
            let right = leaf.answered.get(&at.0).cloned().unwrap_or_else(everybodys);
            prop_assert_eq!(answered, right);
        }
        self.check_explanation(client, &decision)?;
        Ok(decision)
    }

    fn check_explanation(&self, client: Client, decision: &Decision) -> Result<(), TestCaseError> {
        let inputs = self.world.inputs();
        let told = explain(&inputs, &self.snapshot, ServiceId(0), client).expect("a service");
        let name = |id: &SiteId| self.world.policy.site(*id).name.to_string();
        let chosen: Vec<String> = decision.chosen().iter().map(name).collect();
        prop_assert_eq!(&told.sites, &chosen);
        prop_assert_eq!(told.reason, decision.reason);
        prop_assert_eq!(told.failing, decision.failing);
        let scope_len = told.scope.rsplit('/').next().expect("a length").parse::<u8>();
        prop_assert_eq!(scope_len, Ok(decision.scope_len));
        // The ranking that is shown is the one that made the leaf.
        let candidates = told.candidates.iter().filter(|one| one.order == OrderShown::Candidate);
        let mut in_leaf: Vec<(u8, &str)> = told
            .candidates
            .iter()
            .filter_map(|one| Some((one.leaf_place?, one.site.as_str())))
            .collect();
        in_leaf.sort_unstable();
        let in_leaf: Vec<&str> = in_leaf.into_iter().map(|(_, name)| name).collect();
        prop_assert_eq!(&in_leaf, &told.leaf);
        if let (Some(first), true, None) =
            (in_leaf.first(), self.world.long_out.is_empty(), &told.share)
        {
            prop_assert_eq!(candidates.clone().next().map(|one| one.site.as_str()), Some(*first));
        }
        if decision.reason != Reason::FallbackSites {
            prop_assert_eq!(candidates.filter(|one| one.chosen).count(), usize::from(decision.len));
        }
        prop_assert!(!told.to_string().is_empty());
        Ok(())
    }
}

/// Walks all addresses by the scopes of the answers: they tile the space, each with the right leaf,
/// each as wide as truth allows.
fn walk(compiled: &Compiled, family: Family) -> Result<(), TestCaseError> {
    let truth = Truth::new(&compiled.world, family);
    let everything = u64::MAX >> (64 - family.bits);
    let mut x = 0_u64;
    // A split leaf outside the region has millions of blocks: after these the walk leaps.
    let mut blocks_left_outside = 64;
    loop {
        let leaf = &truth.leaves[truth.at(x)];
        let client = Client { ip: (family.address)(x), source_len: Some(family.truth_len) };
        let decision = compiled.check(client, leaf)?;
        let run_len = truth.run_len(x);
        let block_len = truth.block_len(&compiled.world, truth.at(x));
        let scope_len = if leaf.is_split() { run_len.max(block_len) } else { run_len };
        prop_assert_eq!(decision.scope_len, scope_len, "at {}", client.ip);
        let (first, last) = truth.span(x, scope_len);
        prop_assert_eq!(first, x, "scopes overlap");
        // The other end of the scope has the same answer.
        let end = Client { ip: (family.address)(last), source_len: Some(family.truth_len) };
        prop_assert_eq!(compiled.decide(end), decision);
        if last == everything {
            return Ok(());
        }
        x = last + 1;
        if leaf.is_split() && x >> 16 != family.region >> 16 {
            blocks_left_outside -= 1;
            if blocks_left_outside < 0 {
                if x > family.region {
                    return Ok(());
                }
                let ip = (family.address)(family.region);
                let client = Client { ip, source_len: Some(family.truth_len) };
                x = truth.span(family.region, compiled.decide(client).scope_len).0;
            }
        }
    }
}

fn short_sources(compiled: &Compiled, family: Family) -> Result<(), TestCaseError> {
    let truth = Truth::new(&compiled.world, family);
    for short in 1..=8_u8 {
        let source_len = family.truth_len - short;
        for at in 0..256 >> short {
            let x = family.region + (at << (8 + short));
            let (first, last) = truth.span(x, source_len);
            let blocks: Vec<usize> = (first..=last).step_by(256).map(|at| truth.at(at)).collect();
            let leaf = most_of(&blocks);
            let client = Client { ip: (family.address)(x), source_len: Some(source_len) };
            let decision = compiled.check(client, &truth.leaves[leaf])?;
            if decision.scope_len <= source_len {
                // Whoever is inside the scope may be served from a cache.
                prop_assert!(truth.is_uniform(x, decision.scope_len));
            }
            if !truth.is_uniform(x, source_len) {
                prop_assert_eq!(decision.scope_len, family.truth_len);
            }
        }
    }
    Ok(())
}

/// Resolvers in the operator's table are placed by it, exactly; others by their own address.
fn resolvers(compiled: &Compiled, family: Family) -> Result<(), TestCaseError> {
    let truth = Truth::new(&compiled.world, family);
    let overrides = &compiled.world.policy.locale_overrides;
    let clients = LocaleOverrides { clients: overrides.resolvers.clone(), ..Default::default() };
    let mut placed = compiled.world.clone();
    placed.locales = placed.locales.with_overrides(&clients);
    for block in (0..256).step_by(5) {
        let x = family.region + block * 256 + 77;
        let ip = (family.address)(x);
        let client = Client { ip, source_len: None };
        if overrides.resolvers.iter().any(|(prefix, _)| prefix.contains(&ip)) {
            compiled.check(client, &reference::leaf(&placed, ip))?;
        } else {
            compiled.check(client, &truth.leaves[truth.at(x)])?;
        }
    }
    Ok(())
}

#[test]
fn random_worlds_meet_every_reason() {
    let mut met = HashMap::new();
    for seed in 0..400 {
        let compiled = Compiled::new(random_world(seed));
        for family in FAMILIES {
            for block in (0..256).step_by(16) {
                let ip = (family.address)(family.region + block * 256);
                let client = Client { ip, source_len: Some(family.truth_len) };
                *met.entry(compiled.decide(client).reason).or_insert(0) += 1;
            }
        }
    }
    let reasons = [
        Reason::Best,
        Reason::Share,
        Reason::Shift,
        Reason::Failover,
        Reason::AllOut,
        Reason::Panic,
        Reason::FallbackSites,
        Reason::Fenced,
        Reason::FallbackNone,
    ];
    for reason in reasons {
        let times = met.get(&reason).copied().unwrap_or(0);
        assert!(times >= 100, "{reason:?} met {times} times");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn scopes_tile_the_space_and_answers_are_the_reference(seed in any::<u64>()) {
        let compiled = Compiled::new(random_world(seed));
        for family in FAMILIES {
            walk(&compiled, family)?;
        }
    }

    #[test]
    fn a_short_source_is_answered_as_most_of_it(seed in any::<u64>()) {
        let compiled = Compiled::new(random_world(seed));
        for family in FAMILIES {
            short_sources(&compiled, family)?;
        }
    }

    #[test]
    fn a_resolver_is_answered_by_its_place(seed in any::<u64>()) {
        let compiled = Compiled::new(random_world(seed));
        for family in FAMILIES {
            resolvers(&compiled, family)?;
        }
    }

    #[test]
    fn the_map_is_the_same_after_a_trip_through_a_snapshot(seed in any::<u64>()) {
        let compiled = Compiled::new(random_world(seed));
        let text = serde_json::to_string(&*compiled.snapshot.map).expect("encodes");
        let back: crate::SteeringMap = serde_json::from_str(&text).expect("decodes");
        prop_assert_eq!(&back, &*compiled.snapshot.map);
    }
}

/// Worlds that found something: a site that is a name, with endpoints of its own all the same, told
/// clients apart who all get the name.
#[test]
fn worlds_that_once_failed() {
    for seed in [5_515_918_565_941_272_636] {
        let compiled = Compiled::new(random_world(seed));
        for family in FAMILIES {
            walk(&compiled, family).expect("as the reference");
        }
    }
}
