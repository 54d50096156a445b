//! One decision: look up the leaf, share, apply health, take. Allocation-free; also what `explain` calls.
//!
//! Which clients an answer is for (its scope) depends on the leaf alone, never on health, so a cache
//! keyed by scope is right in every state. Rules of scope:
//! - the block of the run around the address, made longer to the share's block where one is;
//! - a source prefix that lies in several runs is answered as most of its addresses would be, with
//!   the full /24 or /56 as scope: "not specific enough" (RFC 7871 section 7.2.1), so that nobody
//!   who sent more bits is served from it;
//! - a source of no bits asks for no tailoring, and its scope is 0.

use std::net::IpAddr;

use model::observe::{Client, Readiness, Verdict};
use model::service::{Fallback, GlobalService, ServiceId};
use model::site::SiteId;
use serde::{Deserialize, Serialize};

use crate::cut::key_v6;
use crate::map::{LEAF_SITES_MAX, Leaf, LeafId, Reach, ServiceMap};
use crate::runs::{Key, Run, RunTable, last_of};
use crate::share::{self, Block};
use crate::snapshot::Health;

#[cfg(test)]
mod tests;

/// Runs of a source prefix that are counted one by one; a prefix of more is sampled at so many
/// places, evenly: a bound on the work that a short prefix can ask of us.
const SOURCE_RUNS_MAX: usize = 256;
/// Distinct leaves that are told apart while counting; further ones are left out.
const SOURCE_LEAVES_MAX: usize = 64;

/// Which step settled a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reason {
    /// The best site of the leaf was usable.
    Best,
    /// Shared among equals by the client's block.
    Share,
    /// A shift sent this block elsewhere.
    Shift,
    /// Better sites were out (down or not ready).
    Failover,
    /// Every candidate was out: health was ignored.
    AllOut,
    /// Too few of the pool are up: health was ignored.
    Panic,
    /// The configured fallback sites.
    FallbackSites,
    /// Orders (fence, drain) leave nothing: NODATA.
    Fenced,
    /// Every candidate was out and the fallback is `none`: NODATA.
    FallbackNone,
}

impl Reason {
    /// The reason as one word, for logs, metrics and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Best => "best",
            Self::Share => "share",
            Self::Shift => "shift",
            Self::Failover => "failover",
            Self::AllOut => "allOut",
            Self::Panic => "panic",
            Self::FallbackSites => "fallbackSites",
            Self::Fenced => "fenced",
            Self::FallbackNone => "fallbackNone",
        }
    }
}

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Sites in order; only the first `len` count.
    pub sites: [SiteId; LEAF_SITES_MAX],
    /// How many.
    pub len: u8,
    /// The prefix length for which this decision holds (ECS scope), in the client's family.
    pub scope_len: u8,
    /// Which step settled it.
    pub reason: Reason,
    /// Whether a chosen site is failing its probes: the TTL is halved.
    pub failing: bool,
    /// Through which uplink of each site these clients are answered, parallel to `sites`.
    pub uplinks: [u8; LEAF_SITES_MAX],
    /// All clients for which the decision holds are in this block.
    block: Block,
}

impl Decision {
    fn empty(scope_len: u8, reason: Reason) -> Self {
        let sites = [SiteId::default(); LEAF_SITES_MAX];
        let (uplinks, block) = ([0; LEAF_SITES_MAX], Block::new(0, 0));
        Self { sites, len: 0, scope_len, reason, failing: false, uplinks, block }
    }

    /// The chosen sites with their uplinks.
    pub fn chosen_with_uplinks(&self) -> impl Iterator<Item = (SiteId, u8)> {
        self.chosen().iter().copied().zip(self.uplinks)
    }

    /// A place in a list of `count` that these clients' block draws, the same for all of them.
    pub fn turn(&self, count: usize) -> usize {
        self.block.spread(count)
    }

    /// The chosen sites.
    pub fn chosen(&self) -> &[SiteId] {
        &self.sites[..usize::from(self.len)]
    }

    /// The time to live of this answer: halved while a chosen site is failing, but not under the
    /// floor (nor over the service's own).
    pub fn ttl_s(&self, answers: &model::service::Answers) -> u32 {
        if self.failing {
            (answers.ttl_s / 2).max(answers.ttl_min_s).min(answers.ttl_s)
        } else {
            answers.ttl_s
        }
    }
}

/// An order: never answered.
const DRAINED: u8 = 1;
/// Has what the service needs.
const READY: u8 = 2;
/// The verdict is down.
const DOWN: u8 = 4;
/// The last probe missed.
const FAILING: u8 = 8;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum WhenAllOut {
    #[default]
    All,
    None,
    Sites,
}

/// A service's orders and guesses folded to one byte a site; built with the view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceState {
    flags: Vec<u8>,
    sites_max: u8,
    when_all_out: WhenAllOut,
    /// Too few of the pool are up for verdicts to be believed.
    is_panic: bool,
    /// Some site of the pool is usable.
    is_any_usable: bool,
}

impl ServiceState {
    /// Folds health for one service.
    pub fn new(id: ServiceId, service: &GlobalService, health: &Health) -> Self {
        let (fallback, when_all_out): (&[SiteId], _) = match &service.fallback {
            Fallback::AnswerAll => (&[], WhenAllOut::All),
            Fallback::AnswerNone => (&[], WhenAllOut::None),
            Fallback::AnswerSites(sites) => (sites, WhenAllOut::Sites),
        };
        let covered = service.pool.iter().chain(fallback).map(|site| usize::from(site.0) + 1).max();
        let flags = (0..covered.unwrap_or(0))
            .map(|at| flags_of(id, SiteId(u16::try_from(at).unwrap_or(u16::MAX)), health))
            .collect();
        let sites_max = service.answers.sites_max.max(1);
        let mut state =
            Self { flags, sites_max, when_all_out, is_panic: false, is_any_usable: false };
        let staying = service.pool.iter().filter(|&&site| !state.is_drained(site));
        let up = staying.clone().filter(|&&site| state.is_up(site)).count();
        let percent_max = usize::from(service.panic_below_percent) * staying.count();
        state.is_panic = up * 100 < percent_max;
        state.is_any_usable = service.pool.iter().any(|&site| state.is_usable(site));
        state
    }

    /// How many sites it covers.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Whether too few of the pool are up, so that verdicts are ignored.
    pub fn is_panic(&self) -> bool {
        self.is_panic
    }

    /// A site out of the covered is one nobody said anything of: ready and up.
    fn flags(&self, site: SiteId) -> u8 {
        self.flags.get(usize::from(site.0)).copied().unwrap_or(READY)
    }

    fn is_drained(&self, site: SiteId) -> bool {
        self.flags(site) & DRAINED != 0
    }

    fn is_ready(&self, site: SiteId) -> bool {
        self.flags(site) & READY != 0
    }

    fn is_up(&self, site: SiteId) -> bool {
        self.flags(site) & DOWN == 0
    }

    fn is_failing(&self, site: SiteId) -> bool {
        self.flags(site) & (FAILING | DOWN) != 0
    }

    /// The answer to most clients of most services, which the long way would come to as well: one
    /// site is wanted, nobody shares, nothing is ignored, and the best site is fit.
    fn best(&self, found: &Found<'_>) -> Option<Decision> {
        let &Found { leaf, scope_len, run: block, .. } = found;
        let &site = leaf.sites.first().filter(|_| self.sites_max == 1 && !leaf.is_split())?;
        let flags = self.flags(site);
        if self.is_panic || flags & (DRAINED | READY | DOWN) != READY {
            return None;
        }
        let mut sites = [SiteId::default(); LEAF_SITES_MAX];
        sites[0] = site;
        let mut uplinks = [0; LEAF_SITES_MAX];
        uplinks[0] = leaf.uplinks.first().copied().unwrap_or(0);
        let failing = flags & FAILING != 0;
        let reason = Reason::Best;
        Some(Decision { sites, len: 1, scope_len, reason, failing, uplinks, block })
    }

    /// Neither ordered out nor guessed to be out.
    fn is_usable(&self, site: SiteId) -> bool {
        let flags = self.flags(site);
        let wanted = if self.is_panic { flags & !DOWN } else { flags };
        wanted & (DRAINED | READY | DOWN) == READY
    }
}

fn flags_of(id: ServiceId, site: SiteId, health: &Health) -> u8 {
    let drained = if health.is_drained(site) { DRAINED } else { 0 };
    let ready = match health.readiness(id, site) {
        Readiness::Ready => READY,
        Readiness::NeverReported | Readiness::NotReady => 0,
    };
    let verdict = match health.verdict(id, site) {
        Verdict::Unknown | Verdict::Up => 0,
        Verdict::Failing => FAILING,
        Verdict::Down => DOWN,
    };
    drained | ready | verdict
}

/// Decides for one client. No allocation, no lock.
pub fn decide(map: &ServiceMap, state: &ServiceState, client: Client) -> Decision {
    let Some(found) = find(map, client) else { return Decision::empty(0, Reason::Fenced) };
    if let Some(decision) = state.best(&found) {
        return decision;
    }
    let nobody = Reach::default();
    choose(&found, map.reaches.get(found.leaf.reach as usize).unwrap_or(&nobody), state)
}

/// Tells through which uplink of each site these clients are answered.
#[inline]
fn with_uplinks(mut decision: Decision, leaf: &Leaf) -> Decision {
    if !leaf.uplinks.is_empty() || leaf.shift_uplink > 0 {
        for (uplink, site) in decision.uplinks.iter_mut().zip(decision.sites) {
            *uplink = leaf.uplink(site);
        }
    }
    decision
}

/// A client's leaf, and for whom the answer holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Found<'m> {
    pub(crate) leaf: &'m Leaf,
    pub(crate) scope_len: u8,
    /// The block that shares and shifts go by.
    pub(crate) block: Block,
    /// The run, for spreading what no leaf foresaw.
    run: Block,
    /// Whether the source prefix lies in several runs.
    pub(crate) is_mixed: bool,
    /// Whether the resolver's own table knew it.
    pub(crate) is_resolver: bool,
}

impl<'m> Found<'m> {
    /// A leaf that was made for one client, and holds for nobody else.
    pub(crate) fn at_place(leaf: &'m Leaf, block: Block, run: Block, scope_len: u8) -> Self {
        Self { leaf, scope_len, block, run, is_mixed: false, is_resolver: false }
    }
}

/// Looks a client up.
pub(crate) fn find(map: &ServiceMap, client: Client) -> Option<Found<'_>> {
    let source_len = client.source_len.map(u32::from);
    let ip = if source_len.is_none() { client.ip.to_canonical() } else { client.ip };
    match ip {
        IpAddr::V4(ip) => {
            let tables = (&map.v4, &map.resolver_v4);
            find_in(map, tables, (ip.to_bits(), source_len), |leaf| leaf.block_v4_len)
        }
        IpAddr::V6(ip) => {
            let tables = (&map.v6, &map.resolver_v6);
            find_in(map, tables, (key_v6(ip), source_len), |leaf| leaf.block_v6_len)
        }
    }
}

fn find_in<'m, K: Key>(
    map: &'m ServiceMap,
    (clients, resolvers): (&RunTable<K>, &RunTable<K>),
    (x, source_len): (K, Option<u32>),
    block_len: impl Fn(&Leaf) -> u8,
) -> Option<Found<'m>> {
    let named = if source_len.is_none() { resolvers.find(x) } else { None };
    let named = named.filter(|run| run.leaf != LeafId::ELSEWHERE);
    let run = named.or_else(|| clients.find(x))?;
    let run_len = run.block_len(x).min(K::TRUTH_LEN);
    let is_mixed = source_len.is_some_and(|source_len| source_len < u32::from(run_len));
    let leaf = match source_len.filter(|_| is_mixed) {
        Some(source_len) => majority(clients, x, source_len),
        None => run.leaf,
    };
    let leaf = map.leaves.get(leaf.0 as usize)?;
    let block_len = if leaf.is_split() { block_len(leaf) } else { 0 };
    let scope_len = match source_len {
        Some(0) => 0,
        _ if is_mixed => K::TRUTH_LEN,
        _ => run_len.max(block_len).min(K::TRUTH_LEN),
    };
    let top = |x: K| x.into() << (64 - K::BITS);
    Some(Found {
        leaf,
        scope_len,
        block: Block::new(top(x), block_len),
        run: Block::new(top(run.first), 64),
        is_mixed,
        is_resolver: named.is_some(),
    })
}

/// The leaf of most addresses of a prefix, the lower one of two that tie.
fn majority<K: Key>(table: &RunTable<K>, x: K, source_len: u32) -> LeafId {
    let size_less_one = last_of(K::BITS).checked_shr(source_len).unwrap_or(0);
    let first = x.into() & !size_less_one;
    let last = first | size_less_one;
    let mut votes = Votes::default();
    let runs = table.between(K::from_u64(first), K::from_u64(last));
    if runs.len() <= SOURCE_RUNS_MAX {
        for Run { leaf, first: from, last: to } in runs {
            votes.add(leaf, to.into().min(last) - from.into().max(first) + 1);
        }
    } else {
        let step = size_less_one / SOURCE_RUNS_MAX as u64 + 1;
        for sample in 0..SOURCE_RUNS_MAX as u64 {
            let at = (first + sample * step + step / 2).min(last);
            if let Some(run) = table.find(K::from_u64(at)) {
                votes.add(run.leaf, 1);
            }
        }
    }
    votes.winner()
}

/// A count of leaves that needs no heap.
struct Votes {
    counts: [(LeafId, u64); SOURCE_LEAVES_MAX],
    len: usize,
}

impl Default for Votes {
    fn default() -> Self {
        Self { counts: [(LeafId::ELSEWHERE, 0); SOURCE_LEAVES_MAX], len: 0 }
    }
}

impl Votes {
    fn add(&mut self, leaf: LeafId, weight: u64) {
        let known = self.counts[..self.len].iter_mut().find(|(known, _)| *known == leaf);
        if let Some((_, count)) = known {
            *count = count.saturating_add(weight);
        } else if let Some(free) = self.counts.get_mut(self.len) {
            *free = (leaf, weight);
            self.len += 1;
        }
    }

    fn winner(&self) -> LeafId {
        let most = self.counts.iter().map(|&(_, count)| count).max().unwrap_or(0);
        let first = self.counts.iter().find(|&&(_, count)| count == most);
        first.map_or(LeafId::ELSEWHERE, |&(leaf, _)| leaf)
    }
}

/// A leaf's sites as one block of clients sees them: the shift's site, the sharing ones in the
/// block's order, the rest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Queue {
    sites: [SiteId; LEAF_SITES_MAX + 1],
    len: usize,
    pub(crate) is_shifted: bool,
}

impl Queue {
    pub(crate) fn new(leaf: &Leaf, block: Block, state: &ServiceState) -> Self {
        let mut queue =
            Self { sites: [SiteId::default(); LEAF_SITES_MAX + 1], len: 0, is_shifted: false };
        let shifted = leaf.shift.filter(|&(to, share_bp)| {
            block.is_shifted(leaf.shift_seed, share_bp) && !state.is_drained(to)
        });
        if let Some((to, _)) = shifted {
            queue.push(to);
            queue.is_shifted = true;
        }
        let order = if leaf.shared > 1 { share::order(leaf, block) } else { [0, 1, 2, 3] };
        for at in order {
            if let Some(&site) = leaf.sites.get(usize::from(at))
                && !state.is_drained(site)
                && shifted.is_none_or(|(to, _)| to != site)
            {
                queue.push(site);
            }
        }
        queue
    }

    fn push(&mut self, site: SiteId) {
        if let Some(free) = self.sites.get_mut(self.len) {
            *free = site;
            self.len += 1;
        }
    }

    /// Best first, without the drained.
    pub(crate) fn sites(&self) -> &[SiteId] {
        &self.sites[..self.len]
    }
}

/// Decides for clients of a leaf.
pub(crate) fn choose(found: &Found<'_>, reach: &Reach, state: &ServiceState) -> Decision {
    with_uplinks(choose_sites(found, reach, state), found.leaf)
}

fn choose_sites(found: &Found<'_>, reach: &Reach, state: &ServiceState) -> Decision {
    let leaf = found.leaf;
    let queue = Queue::new(leaf, found.block, state);
    let mut taken = Taken { decision: Decision::empty(found.scope_len, Reason::Best), state };
    // Clients that nothing splits are one run, however many blocks of it there are.
    taken.decision.block = if leaf.is_split() { found.block } else { found.run };
    taken.take(queue.sites().iter().copied().filter(|&site| state.is_usable(site)));
    if taken.decision.len > 0 {
        let is_first = queue.sites().first() == taken.decision.sites.first();
        taken.decision.reason = match leaf.shared {
            _ if state.is_panic => Reason::Panic,
            _ if !is_first => Reason::Failover,
            _ if queue.is_shifted => Reason::Shift,
            0 | 1 => Reason::Best,
            _ => Reason::Share,
        };
        return taken.decision;
    }
    if state.is_any_usable {
        taken.take(around(&reach.pool, found.run).filter(|&site| state.is_usable(site)));
        if taken.decision.len > 0 {
            taken.decision.reason = if state.is_panic { Reason::Panic } else { Reason::Failover };
            return taken.decision;
        }
    }
    all_out(taken, &queue, reach, found.run)
}

/// Nothing is usable: what guesses took away comes back, what orders took away does not.
fn all_out(mut taken: Taken<'_>, queue: &Queue, reach: &Reach, run: Block) -> Decision {
    let state = taken.state;
    let stays = |site: &SiteId| !state.is_drained(*site);
    if !reach.pool.iter().any(stays) {
        taken.decision.reason = Reason::Fenced;
        return taken.decision;
    }
    match state.when_all_out {
        WhenAllOut::None => {
            taken.decision.reason = Reason::FallbackNone;
            return taken.decision;
        }
        WhenAllOut::Sites => {
            let fallback = reach.fallback.iter().copied().filter(stays);
            taken.take(fallback.clone().filter(|&site| state.is_up(site)));
            taken.take_if_none(fallback);
            taken.decision.reason = Reason::FallbackSites;
        }
        WhenAllOut::All => {}
    }
    if taken.decision.len == 0 {
        // Readiness is reported, a verdict is inferred: of sites that are all out, the ready first.
        let listed = queue.sites().iter().copied();
        taken.take(listed.clone().filter(|&site| state.is_ready(site)));
        taken.take_if_none(listed);
        taken.take_if_none(around(&reach.pool, run).filter(stays));
        taken.decision.reason = Reason::AllOut;
    }
    taken.decision
}

/// A list from a place that depends on the block, once around.
fn around(sites: &[SiteId], block: Block) -> impl Iterator<Item = SiteId> {
    let (before, from) = sites.split_at(block.spread(sites.len()).min(sites.len()));
    from.iter().chain(before).copied()
}

/// Fills a decision up to the service's `answers.max`.
struct Taken<'s> {
    decision: Decision,
    state: &'s ServiceState,
}

impl Taken<'_> {
    fn take(&mut self, sites: impl Iterator<Item = SiteId>) {
        let most = usize::from(self.state.sites_max).clamp(1, LEAF_SITES_MAX);
        for site in sites.take(most) {
            self.decision.sites[usize::from(self.decision.len)] = site;
            self.decision.len += 1;
            self.decision.failing |= self.state.is_failing(site);
        }
    }

    fn take_if_none(&mut self, sites: impl Iterator<Item = SiteId>) {
        if self.decision.len == 0 {
            self.take(sites);
        }
    }
}
