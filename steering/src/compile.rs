//! Policy x locale table x latency map -> run tables.
//!
//! One pass over the table's intervals for each distinct policy: a class's leaf is worked out once
//! for what the policy sees of it, rules' CIDRs and measured prefixes cut the intervals, cuts finer
//! than /24 or /56 fold by majority, and equal neighbours merge.

use std::collections::HashMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use geo_data::{ClassId, LocaleTable};
use ipnet::IpNet;
use model::Policy;
use model::policy::LocaleOverrides;
use model::service::{Fallback, GlobalService};

use crate::cut::{self, Cuts, NO_OVERLAY, Segments};
use crate::fold::Folder;
use crate::latency::{Index, LatencyMap};
use crate::map::{Leaf, LeafId, Reach, RunTable, ServiceMap, SteeringMap};
use crate::rank::Ranker;
use crate::runs::Key;
use crate::share;
use crate::sight::{Lens, Sight};

#[cfg(test)]
pub(crate) mod tests;

/// A shared block is at most one part in this many of its leaf's addresses (design.md section 4:
/// 0.5 %), so that a share can be met to half a percent.
const BLOCKS_PER_LEAF_MIN: u128 = 200;

/// Everything a compilation depends on.
#[derive(Debug, Clone, Copy)]
pub struct Inputs<'a> {
    /// The checked documents.
    pub policy: &'a Policy,
    /// Its generation's counter, recorded in the result.
    pub policy_generation: u64,
    /// The geo table with the operator's overrides already laid over it.
    pub locales: &'a LocaleTable,
    /// Measurement.
    pub latency: &'a LatencyMap,
    /// By site: drained (document or overlay). Never a candidate.
    pub drained: &'a [bool],
    /// By site: out for so long that a leaf of four dead sites should list others. A guess: when it
    /// leaves a service nothing, it is ignored.
    pub long_out: &'a [bool],
    /// Minute of the week, UTC, Monday 00:00 is 0; for rules with a window.
    pub minute_of_week: u16,
}

/// Compiles every service; services with equal steering share one map.
pub fn compile(inputs: &Inputs<'_>) -> SteeringMap {
    let residuals = Index::new(inputs.latency);
    let resolvers = Resolvers::new(inputs.policy, inputs.locales);
    let mut map = SteeringMap { policy_generation: inputs.policy_generation, ..Default::default() };
    let mut distinct: HashMap<u64, Vec<(u32, &GlobalService)>> = HashMap::new();
    for service in &inputs.policy.services {
        let alike = distinct.entry(steering_hash(service)).or_default();
        let known = alike.iter().find(|(_, other)| steers_alike(service, other));
        let number = if let Some(&(number, _)) = known {
            number
        } else {
            let number = u32::try_from(map.maps.len()).unwrap_or(u32::MAX);
            let compiled = compile_service(inputs, service, &residuals, resolvers.as_ref());
            map.maps.push(Arc::new(compiled));
            alike.push((number, service));
            number
        };
        map.of_service.push(number);
    }
    map
}

/// Whether two services lead every client alike, so that one map does for both.
fn steers_alike(a: &GlobalService, b: &GlobalService) -> bool {
    a.pool == b.pool
        && a.tiers == b.tiers
        && a.fence == b.fence
        && a.steering == b.steering
        && a.rules == b.rules
        && fallback_sites(a) == fallback_sites(b)
}

fn steering_hash(service: &GlobalService) -> u64 {
    let mut hasher = DefaultHasher::new();
    service.pool.hash(&mut hasher);
    service.tiers.hash(&mut hasher);
    service.steering.weights.hash(&mut hasher);
    service.rules.len().hash(&mut hasher);
    hasher.finish()
}

fn fallback_sites(service: &GlobalService) -> &[model::site::SiteId] {
    match &service.fallback {
        Fallback::AnswerSites(sites) => sites,
        Fallback::AnswerAll | Fallback::AnswerNone => &[],
    }
}

/// The resolvers' places: the operator's resolver prefixes laid over the table as if they were
/// clients', so that a field the operator left out is the database's.
#[derive(Debug)]
pub(crate) struct Resolvers {
    locales: LocaleTable,
    within: Cuts,
}

impl Resolvers {
    /// `None` when the operator names no resolver.
    pub(crate) fn new(policy: &Policy, locales: &LocaleTable) -> Option<Self> {
        let prefixes = &policy.locale_overrides.resolvers;
        if prefixes.is_empty() {
            return None;
        }
        let overrides = LocaleOverrides { clients: prefixes.clone(), ..LocaleOverrides::default() };
        let within = Cuts::new(prefixes.iter().map(|&(prefix, _)| prefix));
        Some(Self { locales: locales.with_overrides(&overrides), within })
    }

    /// The table to look a resolver up in, when it is one of the named.
    pub(crate) fn locales_of(&self, ip: std::net::IpAddr) -> Option<&LocaleTable> {
        let overlay = match ip.to_canonical() {
            std::net::IpAddr::V4(ip) => self.within.v4.at(ip.to_bits().into()),
            std::net::IpAddr::V6(ip) => self.within.v6.at(cut::key_v6(ip)),
        };
        (overlay != NO_OVERLAY).then_some(&self.locales)
    }
}

/// The prefixes at which this service's leaves may change inside one locale.
pub(crate) fn cuts_of(service: &GlobalService, residuals: &Index) -> Cuts {
    let ruled = service.rules.iter().flat_map(|rule| rule.matches.cidrs.iter().copied());
    Cuts::new(ruled.chain(residuals.prefixes()))
}

fn compile_service(
    inputs: &Inputs<'_>,
    service: &GlobalService,
    residuals: &Index,
    resolvers: Option<&Resolvers>,
) -> ServiceMap {
    let cuts = cuts_of(service, residuals);
    let mut leaves = Leaves::new(inputs, service, residuals, &cuts);
    let locales = inputs.locales;
    let mut known = Known::new(locales);
    let v4 = leaves.table(locales.runs_v4(), &mut known, &cuts.v4);
    let v6 = leaves.table(locales.runs_v6(), &mut known, &cuts.v6);
    let mut resolver_v4 = RunTable::default();
    let mut resolver_v6 = RunTable::default();
    if let Some(Resolvers { locales, within }) = resolvers {
        let mut known = Known::new(locales);
        resolver_v4 = leaves.within(locales.runs_v4(), &mut known, (&cuts.v4, &within.v4));
        resolver_v6 = leaves.within(locales.runs_v6(), &mut known, (&cuts.v6, &within.v6));
    }
    let (mut leaves, reaches) = (leaves.leaves.into_values(), leaves.reaches.into_values());
    set_blocks(&mut leaves, &v4, service.steering.sticky.v4_len, |leaf| &mut leaf.block_v4_len);
    set_blocks(&mut leaves, &v6, service.steering.sticky.v6_len, |leaf| &mut leaf.block_v6_len);
    ServiceMap { v4, v6, resolver_v4, resolver_v6, leaves, reaches }
}

/// Works leaves out and numbers them, each sight once.
struct Leaves<'a> {
    ranker: Ranker<'a>,
    lens: Lens,
    cuts: &'a Cuts,
    by_sight: HashMap<(Sight, u32), LeafId, BuildHasherDefault<Scatter>>,
    leaves: Interner<Leaf>,
    reaches: Interner<Reach>,
    /// The one reach of everybody, when no fence is about.
    common_reach: Option<u32>,
}

impl<'a> Leaves<'a> {
    fn new(
        inputs: &Inputs<'a>,
        service: &'a GlobalService,
        residuals: &'a Index,
        cuts: &'a Cuts,
    ) -> Self {
        let ranker = Ranker::new(inputs, service, residuals);
        Self {
            lens: Lens::new(service, ranker.sites(), residuals),
            ranker,
            cuts,
            by_sight: HashMap::default(),
            leaves: Interner::default(),
            reaches: Interner::default(),
            common_reach: None,
        }
    }

    /// The clients' table.
    fn table<K: Key>(
        &mut self,
        runs: impl Iterator<Item = (K, ClassId)>,
        known: &mut Known<'_>,
        segments: &Segments,
    ) -> RunTable<K> {
        let mut folder = Folder::to_truth();
        cut::split(runs, segments, |start, class, overlay| {
            folder.push(start, self.leaf_of(class, overlay, known));
        });
        finish(folder)
    }

    /// The resolvers' table: exact, because its scope is never sent, and with gaps.
    fn within<K: Key>(
        &mut self,
        runs: impl Iterator<Item = (K, ClassId)>,
        known: &mut Known<'_>,
        (segments, within): (&Segments, &Segments),
    ) -> RunTable<K> {
        let mut cut_twice = Vec::new();
        let mut folder = Folder::exact();
        cut::split(runs, within, |start, class, inside| {
            cut_twice.push((K::from_u64(start), (class, inside != NO_OVERLAY)));
        });
        cut::split(cut_twice.into_iter(), segments, |start, (class, is_named), overlay| {
            let leaf =
                if is_named { self.leaf_of(class, overlay, known) } else { LeafId::ELSEWHERE };
            folder.push(start, leaf);
        });
        finish(folder)
    }

    fn leaf_of(&mut self, class: ClassId, overlay: u32, known: &mut Known<'_>) -> LeafId {
        let at = class.0 as usize;
        if overlay == NO_OVERLAY && known.by_class[at] != LeafId::ELSEWHERE {
            return known.by_class[at];
        }
        let sight = self.lens.look(&known.locales.classes()[at], known.locales);
        let leaf = self.by_sight.get(&(sight, overlay)).copied().unwrap_or_else(|| {
            let leaf = self.work_out(&sight, self.cuts.prefixes(overlay));
            self.by_sight.insert((sight, overlay), leaf);
            leaf
        });
        if overlay == NO_OVERLAY {
            known.by_class[at] = leaf;
        }
        leaf
    }

    fn work_out(&mut self, sight: &Sight, prefixes: &[IpNet]) -> LeafId {
        let orders = self.ranker.orders(sight, prefixes);
        let ranked = self.ranker.rank(sight, prefixes, &orders);
        let mut leaf = self.ranker.leaf(&ranked, &orders);
        leaf.reach = self.common_reach.unwrap_or_else(|| {
            let reach = self.reaches.number(self.ranker.reach(sight, &orders));
            if self.ranker.is_unfenced() {
                self.common_reach = Some(reach);
            }
            reach
        });
        LeafId(self.leaves.number(leaf))
    }
}

#[expect(clippy::expect_used, reason = "a locale table covers its space from 0 in rising order")]
fn finish<K: Key>(folder: Folder<K>) -> RunTable<K> {
    folder.finish().expect("the intervals rise from 0")
}

/// The leaves of a table's classes as far as they are worked out.
struct Known<'a> {
    locales: &'a LocaleTable,
    by_class: Vec<LeafId>,
}

impl<'a> Known<'a> {
    fn new(locales: &'a LocaleTable) -> Self {
        Self { locales, by_class: vec![LeafId::ELSEWHERE; locales.classes().len()] }
    }
}

/// A hasher for keys that nobody outside chooses: one multiplication chain a word.
#[derive(Default)]
struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for chunk in octets.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = share::mix(self.0 ^ u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = share::mix(self.0.rotate_left(7) ^ value);
    }
}

/// Gives equal values one number.
struct Interner<T> {
    numbers: HashMap<T, u32>,
}

impl<T> Default for Interner<T> {
    fn default() -> Self {
        Self { numbers: HashMap::new() }
    }
}

impl<T: Hash + Eq> Interner<T> {
    fn number(&mut self, value: T) -> u32 {
        let fresh = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        *self.numbers.entry(value).or_insert(fresh)
    }

    fn into_values(self) -> Vec<T> {
        let mut numbered: Vec<(T, u32)> = self.numbers.into_iter().collect();
        numbered.sort_unstable_by_key(|&(_, number)| number);
        numbered.into_iter().map(|(value, _)| value).collect()
    }
}

/// Sets how long the shared blocks of each leaf are: as sticky as asked, but no block may be more
/// than its part of the leaf ([`BLOCKS_PER_LEAF_MIN`]), nor finer than what resolvers send.
fn set_blocks<K: Key>(
    leaves: &mut [Leaf],
    table: &RunTable<K>,
    sticky_len: u8,
    block_len: impl Fn(&mut Leaf) -> &mut u8,
) {
    let mut sizes = vec![0_u128; leaves.len()];
    for run in table.iter() {
        let (first, last): (u64, u64) = (run.first.into(), run.last.into());
        sizes[run.leaf.0 as usize] += u128::from(last - first) + 1;
    }
    for (leaf, size) in leaves.iter_mut().zip(sizes) {
        let block_max = (size / BLOCKS_PER_LEAF_MIN).max(1);
        let needed = K::BITS.saturating_sub(block_max.ilog2());
        let needed = if size == 0 { 0 } else { u8::try_from(needed).unwrap_or(u8::MAX) };
        if leaf.is_split() {
            *block_len(leaf) = needed.max(sticky_len).min(K::TRUTH_LEN);
        }
    }
}
