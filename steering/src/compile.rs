//! Policy x locale table x latency map -> run tables.
//!
//! The table is looked at once for all policies (`panorama`), and its intervals are passed over
//! once for each distinct one: a leaf is worked out once for what the policy sees, rules' CIDRs and
//! measured prefixes cut the intervals, cuts finer than /24 or /56 fold by majority, and equal
//! neighbours merge.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashMap};
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::Arc;

use geo_data::LocaleTable;
use ipnet::IpNet;
use model::Policy;
use model::policy::LocaleOverrides;
use model::service::{Fallback, GlobalService};
use model::site::SiteId;
use smallvec::SmallVec;

use crate::atlas::Atlas;
use crate::cut::{self, Cuts, NO_OVERLAY, Segments};
use crate::fold::Folder;
use crate::latency::{Index, LatencyMap};
use crate::map::{Leaf, LeafId, Reach, RunTable, ServiceMap, SteeringMap};
use crate::panorama::{Intervals, Panorama, SightId};
use crate::presence;
use crate::rank::{Given, Ranker};
use crate::runs::Key;
use crate::share;
use crate::sight::{Lens, Sight};

mod kept;
#[cfg(test)]
pub(crate) mod tests;

use kept::Kept;

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

/// What an earlier map was made of, and the map itself.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// What went in.
    pub inputs: &'a Inputs<'a>,
    /// What came out.
    pub map: &'a SteeringMap,
}

/// Compiles every service; services with equal steering share one map.
pub fn compile(inputs: &Inputs<'_>) -> SteeringMap {
    make(inputs, None)
}

/// The same as [`compile`], by difference: maps that nothing of what changed has a part in are
/// shared with the map before.
pub fn compile_after(inputs: &Inputs<'_>, before: &Before<'_>) -> SteeringMap {
    make(inputs, Some(before))
}

fn make(inputs: &Inputs<'_>, before: Option<&Before<'_>>) -> SteeringMap {
    let (distinct, of_service) = distinct(&inputs.policy.services);
    let kept = before.and_then(|before| Kept::new(inputs, before));
    let kept_map = |service: &&GlobalService| kept.as_ref()?.map(service).cloned();
    let kept: Vec<Option<Arc<ServiceMap>>> = distinct.iter().map(kept_map).collect();
    let fresh: Vec<&GlobalService> = distinct
        .iter()
        .zip(&kept)
        .filter_map(|(&service, kept)| kept.is_none().then_some(service))
        .collect();
    let atlas = Atlas::new(inputs);
    let mut fresh = compile_services(inputs, &atlas, &fresh).into_iter();
    let maps = kept.into_iter().filter_map(|kept| kept.or_else(|| fresh.next())).collect();
    SteeringMap { policy_generation: inputs.policy_generation, maps, of_service, atlas }
}

/// A map for each of these.
fn compile_services(
    inputs: &Inputs<'_>,
    atlas: &Atlas,
    services: &[&GlobalService],
) -> Vec<Arc<ServiceMap>> {
    if services.is_empty() {
        return Vec::new();
    }
    let residuals = Index::new(inputs.latency);
    let given = Given::of(inputs, atlas);
    let makers: Vec<Leaves<'_>> =
        services.iter().map(|service| Leaves::new(&given, service, &residuals)).collect();
    let lens = Lens::union(makers.iter().map(|maker| &maker.lens));
    let resolvers = Resolvers::new(inputs.policy, inputs.locales);
    let scene = Scene {
        clients: Panorama::new(inputs.locales, &lens),
        resolvers: resolvers.as_ref().map(|it| (Panorama::new(&it.locales, &lens), &it.within)),
    };
    makers.into_iter().map(|maker| Arc::new(maker.compile(&scene))).collect()
}

/// What every policy is compiled against.
struct Scene<'a> {
    clients: Panorama<'a>,
    /// The resolvers' places, and within which prefixes they hold.
    resolvers: Option<(Panorama<'a>, &'a Cuts)>,
}

/// The services that steer differently, and by service which of them it steers like.
fn distinct(services: &[GlobalService]) -> (Vec<&GlobalService>, Vec<u32>) {
    let mut distinct: Vec<&GlobalService> = Vec::new();
    let mut by_hash: HashMap<u64, Vec<u32>> = HashMap::new();
    let mut of_service = Vec::with_capacity(services.len());
    for service in services {
        let alike = by_hash.entry(steering_hash(service)).or_default();
        let same = |&&number: &&u32| steers_alike(service, distinct[number as usize]);
        let known = alike.iter().find(same).copied();
        of_service.push(known.unwrap_or_else(|| {
            let number = u32::try_from(distinct.len()).unwrap_or(u32::MAX);
            distinct.push(service);
            alike.push(number);
            number
        }));
    }
    (distinct, of_service)
}

/// Whether two services lead every client alike, so that one map does for both.
fn steers_alike(a: &GlobalService, b: &GlobalService) -> bool {
    a.pool == b.pool
        && a.tiers == b.tiers
        && a.fence == b.fence
        && a.steering == b.steering
        && a.rules == b.rules
        && fallback_sites(a) == fallback_sites(b)
        && a.aliases == b.aliases
        && presence::turns(a).eq(presence::turns(b))
        && presence::answered_by_endpoints(a).eq(presence::answered_by_endpoints(b))
}

fn steering_hash(service: &GlobalService) -> u64 {
    let mut hasher = DefaultHasher::new();
    service.pool.hash(&mut hasher);
    service.tiers.hash(&mut hasher);
    service.steering.weights.hash(&mut hasher);
    service.rules.len().hash(&mut hasher);
    hasher.finish()
}

fn fallback_sites(service: &GlobalService) -> &[SiteId] {
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
        let named = || prefixes.iter().map(|&(prefix, _)| prefix);
        // A few prefixes of a large table: what lies outside is never looked up.
        let locales = locales.within(named()).with_overrides(&overrides);
        Some(Self { locales, within: Cuts::new(named()) })
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

/// Works leaves out and numbers them, each sight once.
struct Leaves<'a> {
    service: &'a GlobalService,
    ranker: Ranker<'a>,
    residuals: &'a Index,
    lens: Lens,
    by_sight: HashMap<(Sight, u32), LeafId, BuildHasherDefault<Scatter>>,
    leaves: Interner<Leaf>,
    reaches: Interner<Reach>,
    /// The one reach of everybody, when no fence is about.
    common_reach: Option<u32>,
}

impl<'a> Leaves<'a> {
    fn new(given: &Given<'a>, service: &'a GlobalService, residuals: &'a Index) -> Self {
        let ranker = Ranker::new(given, service, residuals);
        Self {
            service,
            lens: Lens::new(service, ranker.sites(), residuals),
            ranker,
            residuals,
            by_sight: HashMap::default(),
            leaves: Interner::default(),
            reaches: Interner::default(),
            common_reach: None,
        }
    }

    fn compile(mut self, scene: &Scene<'_>) -> ServiceMap {
        let cuts = cuts_of(self.service, self.residuals);
        let mut known = Known::new(&scene.clients, &cuts);
        let v4 = self.table(&scene.clients.v4, &mut known, &cuts.v4);
        let v6 = self.table(&scene.clients.v6, &mut known, &cuts.v6);
        let mut resolver_v4 = RunTable::default();
        let mut resolver_v6 = RunTable::default();
        if let Some((resolvers, within)) = &scene.resolvers {
            let mut known = Known::new(resolvers, &cuts);
            resolver_v4 = self.within(&resolvers.v4, &mut known, (&cuts.v4, &within.v4));
            resolver_v6 = self.within(&resolvers.v6, &mut known, (&cuts.v6, &within.v6));
        }
        let sticky = self.service.steering.sticky;
        let (mut leaves, reaches) = (self.leaves.into_values(), self.reaches.into_values());
        set_blocks(&mut leaves, &v4, sticky.v4_len, |leaf| &mut leaf.block_v4_len);
        set_blocks(&mut leaves, &v6, sticky.v6_len, |leaf| &mut leaf.block_v6_len);
        let near = near(&self.ranker, &leaves);
        ServiceMap { v4, v6, resolver_v4, resolver_v6, leaves, reaches, near }
    }

    /// The clients' table.
    fn table<K: Key>(
        &mut self,
        intervals: &Intervals<K>,
        known: &mut Known<'_>,
        segments: &Segments,
    ) -> RunTable<K> {
        let mut folder = Folder::to_truth();
        cut::split(intervals.iter(), segments, |start, sight, overlay| {
            folder.push(start, self.leaf_of(sight, overlay, known));
        });
        finish(folder)
    }

    /// The resolvers' table: exact, because its scope is never sent, and with gaps.
    fn within<K: Key>(
        &mut self,
        intervals: &Intervals<K>,
        known: &mut Known<'_>,
        (segments, within): (&Segments, &Segments),
    ) -> RunTable<K> {
        let mut cut_twice = Vec::new();
        let mut folder = Folder::exact();
        cut::split(intervals.iter(), within, |start, sight, inside| {
            cut_twice.push((K::from_u64(start), (sight, inside != NO_OVERLAY)));
        });
        cut::split(cut_twice.into_iter(), segments, |start, (sight, is_named), overlay| {
            let leaf =
                if is_named { self.leaf_of(sight, overlay, known) } else { LeafId::ELSEWHERE };
            folder.push(start, leaf);
        });
        finish(folder)
    }

    #[inline]
    fn leaf_of(&mut self, sight: SightId, overlay: u32, known: &mut Known<'_>) -> LeafId {
        let leaf = known.by_sight[sight.at()];
        if overlay == NO_OVERLAY && leaf != LeafId::ELSEWHERE {
            return leaf;
        }
        self.find_out(sight, overlay, known)
    }

    #[inline(never)]
    fn find_out(&mut self, id: SightId, overlay: u32, known: &mut Known<'_>) -> LeafId {
        // The panorama's sight may be finer than this service's.
        let sight = self.lens.look(known.panorama.locale(id), known.panorama.locales);
        let leaf = self.by_sight.get(&(sight, overlay)).copied().unwrap_or_else(|| {
            let leaf = self.work_out(&sight, known.cuts.prefixes(overlay));
            self.by_sight.insert((sight, overlay), leaf);
            leaf
        });
        if overlay == NO_OVERLAY {
            known.by_sight[id.at()] = leaf;
        }
        leaf
    }

    fn work_out(&mut self, sight: &Sight, prefixes: &[IpNet]) -> LeafId {
        let orders = self.ranker.orders(sight, prefixes);
        let ranked = self.ranker.rank(sight, prefixes, &orders);
        let mut leaf = self.ranker.leaf(sight, &ranked, &orders);
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

/// What [`ServiceMap::near`] tells, of every site that some block sees first.
fn near(ranker: &Ranker<'_>, leaves: &[Leaf]) -> Vec<Vec<SiteId>> {
    let heads = |leaf: &Leaf| {
        let sharing = leaf.sites.iter().take(usize::from(leaf.shared).max(1)).copied();
        sharing.chain(leaf.shift.map(|(to, _)| to)).collect::<SmallVec<[SiteId; 5]>>()
    };
    let first: BTreeSet<SiteId> = leaves.iter().flat_map(heads).collect();
    let count = first.last().map_or(0, |last| usize::from(last.0) + 1);
    let mut near = vec![Vec::new(); count];
    for site in first {
        near[usize::from(site.0)] = ranker.near(site);
    }
    near
}

#[expect(clippy::expect_used, reason = "a locale table covers its space from 0 in rising order")]
fn finish<K: Key>(folder: Folder<K>) -> RunTable<K> {
    folder.finish().expect("the intervals rise from 0")
}

/// The leaves of a panorama's sights as far as they are worked out.
struct Known<'a> {
    panorama: &'a Panorama<'a>,
    cuts: &'a Cuts,
    by_sight: Vec<LeafId>,
}

impl<'a> Known<'a> {
    fn new(panorama: &'a Panorama<'a>, cuts: &'a Cuts) -> Self {
        Self { panorama, cuts, by_sight: vec![LeafId::ELSEWHERE; panorama.len()] }
    }
}

/// A hasher for keys that nobody outside chooses: one multiplication chain a word.
#[derive(Default)]
pub(crate) struct Scatter(u64);

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
    if !leaves.iter().any(Leaf::is_split) {
        return;
    }
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
