//! One decision: look up the leaf, share, apply health, take. Allocation-free; also what `explain` calls.
//!
//! Which clients an answer is for (its scope) depends on the leaf alone, never on health, so a cache
//! keyed by scope is right in every state. Rules of scope:
//! - the block of the run around the address, made longer to the share's block where one is;
//! - a source prefix that lies in several runs is answered as most of its addresses would be, with
//!   the full /24 or /56 as scope: "not specific enough" (RFC 7871 section 7.2.1), so that nobody
//!   who sent more bits is served from it;
//! - a source of no bits asks for no tailoring, and its scope is 0.

mod found;
mod state;

use std::borrow::Cow;

use model::observe::Client;
use model::site::SiteId;
use serde::{Deserialize, Serialize};

use crate::map::{LEAF_SITES_MAX, Leaf, Reach, ServiceMap};
use crate::share::{self, Block};

pub(crate) use found::{Found, find};
pub use state::ServiceState;
use state::{FAILING, WhenAllOut, is_fit};

#[cfg(test)]
mod tests;

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

    /// One site, by its flags.
    #[inline]
    fn one((site, uplink): (SiteId, u8), flags: u8, reason: Reason) -> Self {
        let (mut sites, mut uplinks) = ([SiteId::default(); LEAF_SITES_MAX], [0; LEAF_SITES_MAX]);
        (sites[0], uplinks[0]) = (site, uplink);
        let failing = flags & FAILING != 0;
        Self { sites, len: 1, scope_len: 0, reason, failing, uplinks, block: Block::new(0, 0) }
    }

    /// For these clients.
    #[inline]
    fn over(self, scope_len: u8, block: Block) -> Self {
        Self { scope_len, block, ..self }
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

impl ServiceState {
    /// The answer to most clients of most services, which the long way would come to as well: one
    /// site is wanted, nothing is shifted or ignored, and a site of the leaf is fit.
    #[inline]
    fn best(&self, found: &Found<'_>) -> Option<Decision> {
        let leaf = found.leaf;
        if self.sites_max != 1 || self.is_panic {
            return None;
        }
        let &site = leaf.sites.first()?;
        let flags = self.flags(site);
        if leaf.is_split() || !is_fit(flags) {
            return self.next_best(found);
        }
        let uplink = leaf.uplinks.first().copied().unwrap_or(0);
        Some(Decision::one((site, uplink), flags, Reason::Best).over(found.scope_len, found.run))
    }

    /// The same where clients share the leaf's sites, or the first of them is not fit.
    #[inline(never)]
    fn next_best(&self, found: &Found<'_>) -> Option<Decision> {
        let leaf = found.leaf;
        if leaf.shift.is_some() {
            return None;
        }
        let (at, reason) = if leaf.shared > 1 {
            (share::first(leaf, found.block), Reason::Share)
        } else {
            let at = leaf.sites.iter().position(|&site| is_fit(self.flags(site)))?;
            // To the drained nobody was sent; behind a site that is out others fail over.
            let is_first = leaf.sites[..at].iter().all(|&before| self.is_drained(before));
            (at, if is_first { Reason::Best } else { Reason::Failover })
        };
        let &site = leaf.sites.get(at)?;
        let flags = self.flags(site);
        if !is_fit(flags) {
            return None;
        }
        let uplink = leaf.uplinks.get(at).copied().unwrap_or(0);
        // Clients that nothing splits are one run, however many blocks of it there are.
        let block = if leaf.is_split() { found.block } else { found.run };
        Some(Decision::one((site, uplink), flags, reason).over(found.scope_len, block))
    }
}

/// Decides for one client. No allocation, no lock.
pub fn decide(map: &ServiceMap, state: &ServiceState, client: Client) -> Decision {
    let Some(found) = find(map, client) else { return Decision::empty(0, Reason::Fenced) };
    if let Some(decision) = state.best(&found) {
        return decision;
    }
    let nobody = Reach::default();
    let reach = map.reaches.get(found.leaf.reach as usize).unwrap_or(&nobody);
    choose(&found, state, reach, |first| map.near(first).into())
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

/// Decides for clients of a leaf. `near` gives the sites near one, as [`ServiceMap::near`] does; it is
/// asked when the leaf's own are all out.
pub(crate) fn choose<'b>(
    found: &Found<'_>,
    state: &ServiceState,
    reach: &'b Reach,
    near: impl FnOnce(SiteId) -> Cow<'b, [SiteId]>,
) -> Decision {
    with_uplinks(choose_sites(found, state, reach, near), found.leaf)
}

fn choose_sites<'b>(
    found: &Found<'_>,
    state: &ServiceState,
    reach: &'b Reach,
    near: impl FnOnce(SiteId) -> Cow<'b, [SiteId]>,
) -> Decision {
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
    let first = queue.sites().first().or_else(|| leaf.sites.first());
    let near = first.map(|&first| near(first)).unwrap_or_default();
    let beyond = Beyond { near: &near, pool: &reach.pool, run: found.run };
    if state.is_any_usable {
        taken.take(beyond.sites().filter(|&site| state.is_usable(site)));
        if taken.decision.len > 0 {
            taken.decision.reason = if state.is_panic { Reason::Panic } else { Reason::Failover };
            return taken.decision;
        }
    }
    all_out(taken, &queue, &reach.fallback, &beyond)
}

/// Nothing is usable: what guesses took away comes back, what orders took away does not.
fn all_out(
    mut taken: Taken<'_>,
    queue: &Queue,
    fallback: &[SiteId],
    beyond: &Beyond<'_>,
) -> Decision {
    let state = taken.state;
    let stays = |site: &SiteId| !state.is_drained(*site);
    if !beyond.pool.iter().any(stays) {
        taken.decision.reason = Reason::Fenced;
        return taken.decision;
    }
    match state.when_all_out {
        WhenAllOut::None => {
            taken.decision.reason = Reason::FallbackNone;
            return taken.decision;
        }
        WhenAllOut::Sites => {
            let fallback = fallback.iter().copied().filter(stays);
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
        taken.take_if_none(beyond.sites().filter(stays));
        taken.decision.reason = Reason::AllOut;
    }
    taken.decision
}

/// The sites that orders leave to some clients beyond their leaf.
struct Beyond<'b> {
    /// Those near their first one, best first; of the whole pool, whatever orders say.
    near: &'b [SiteId],
    /// In id order.
    pool: &'b [SiteId],
    run: Block,
}

impl Beyond<'_> {
    /// The near ones in their order, then the others once around from a place that depends on the run.
    fn sites(&self) -> impl Iterator<Item = SiteId> {
        let near = self.near.iter().copied().filter(|site| self.pool.binary_search(site).is_ok());
        let (before, from) =
            self.pool.split_at(self.run.spread(self.pool.len()).min(self.pool.len()));
        let around = from.iter().chain(before).copied();
        near.chain(around.filter(|site| !self.near.contains(site)))
    }
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
