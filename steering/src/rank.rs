//! Ranking: one client's candidates in order, and the leaf they make.
//!
//! Orders first (pool, fences, drains: what they remove never comes back), then pins, the `prefer`
//! ladder, the tier gate and the bill. All of them are one sort key, so there is one order and it
//! is total. Health and readiness are not known here; they are applied after the look-up.

use std::borrow::Cow;
use std::cmp::Reverse;

use ipnet::IpNet;
use model::Policy;
use model::geo::{Isp, Locale, Point};
use model::policy::Rule;
use model::service::{Class, GlobalService, TierStep};
use model::site::{Site, SiteId, Tier};
use smallvec::SmallVec;

use crate::atlas::Atlas;
use crate::bill::{Bill, UNKNOWN_DISTANCE_M};
use crate::compile::Inputs;
use crate::latency::{self, Index, Level, OfLevel, Residual};
use crate::map::{LEAF_SITES_MAX, Leaf, NEAR_SITES_MAX};
use crate::place::Place;
use crate::presence;
use crate::share;
use crate::sight::{self, Seen, Sight};

mod orders;
#[cfg(test)]
mod tests;

pub(crate) use orders::Orders;

/// Weight of a site that no document gives one.
pub(crate) const WEIGHT_DEFAULT: u32 = 100;
/// How many of a leaf's sites may be out for long while others could be listed: their clients come
/// back at once when they return, and two failover sites are left meanwhile.
const LONG_OUT_LISTED_MAX: usize = 2;

/// What sites are ranked by, whatever the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    pub(crate) policy: &'a Policy,
    pub(crate) atlas: &'a Atlas,
    /// By site: never a candidate.
    pub(crate) drained: &'a [bool],
    /// By site: not worth more than [`LONG_OUT_LISTED_MAX`] places of a leaf.
    pub(crate) long_out: &'a [bool],
}

impl<'a> Given<'a> {
    /// What a compilation ranks by.
    pub(crate) fn of(inputs: &Inputs<'a>, atlas: &'a Atlas) -> Self {
        let &Inputs { policy, drained, long_out, .. } = inputs;
        Self { policy, atlas, drained, long_out }
    }
}

/// A policy made ready to rank clients.
#[derive(Debug)]
pub(crate) struct Ranker<'a> {
    service: &'a GlobalService,
    /// The order of tiers: the service's own, or that of a class a client asked for.
    tiers: Cow<'a, [TierStep]>,
    residuals: &'a Index,
    /// Rules whose window holds now, with their place in the service's list.
    rules: Vec<(usize, &'a Rule)>,
    /// The pool without the drained.
    candidates: Vec<Candidate<'a>>,
    /// Fallback sites without the drained.
    fallback: Vec<(SiteId, &'a Site)>,
}

#[derive(Debug)]
struct Candidate<'a> {
    id: SiteId,
    site: &'a Site,
    point: Option<Point>,
    place: Option<Place>,
    seed: u32,
    weight: u32,
    is_long_out: bool,
    /// Its uplinks; a place in the list and 1 is an uplink's number.
    uplinks: Vec<Isp>,
    /// See [`Leaf::takes_turns`].
    takes_turns: bool,
}

impl Candidate<'_> {
    fn uplink(&self, isp: Seen<Isp>) -> u8 {
        let known = isp.named().and_then(|isp| self.uplinks.iter().position(|&own| own == isp));
        known.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0)
    }
}

/// A candidate with what decided its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ranked {
    pub(crate) site: SiteId,
    /// Place among the pinned.
    pub(crate) pin: Option<u16>,
    /// The first rung of the ladder on which client and site agree; past the last: none.
    pub(crate) rung: u16,
    /// The first step of the tier order that accepts it; `None`: over every budget.
    pub(crate) gate: Option<u16>,
    /// Its place after the gate: see [`Ranker::pass_gate`].
    stage: u16,
    pub(crate) bill: Bill,
    /// The level of the bill's residual.
    pub(crate) level: Option<(Level, u32)>,
    tier: Tier,
    at: u16,
}

impl Ranked {
    /// Lesser is better. Bills that tie go by metres, then to the site made for strangers (core
    /// before access: clients of unknown place tie everywhere), then by name.
    fn key(&self) -> impl Ord + use<> {
        (
            self.pin.unwrap_or(u16::MAX),
            self.rung,
            self.stage,
            self.bill.total_us(),
            self.bill.distance_m,
            Reverse(self.tier),
            self.site,
        )
    }
}

impl<'a> Ranker<'a> {
    pub(crate) fn new(given: &Given<'a>, service: &'a GlobalService, residuals: &'a Index) -> Self {
        let &Given { policy, atlas, drained, long_out } = given;
        let flag = |flags: &[bool], id: SiteId| flags.get(usize::from(id.0)) == Some(&true);
        let known = |id: SiteId| Some((id, policy.sites.get(usize::from(id.0))?));
        let stays = |&(id, site): &(SiteId, &Site)| !site.drain && !flag(drained, id);
        let point = |id: SiteId| atlas.site_points.get(usize::from(id.0)).copied().flatten();
        let candidate = |(id, site): (SiteId, &'a Site)| Candidate {
            id,
            site,
            point: point(id),
            place: point(id).map(Place::new),
            seed: share::seed(site.name.as_str()),
            weight: service.steering.weights.get(&id).copied().unwrap_or(WEIGHT_DEFAULT),
            is_long_out: flag(long_out, id),
            uplinks: presence::uplinks(policy, service, id),
            takes_turns: policy.alias_at(service, id).is_none()
                && presence::takes_turns(service, id),
        };
        let fallback = match &service.fallback {
            model::service::Fallback::AnswerSites(sites) => sites.as_slice(),
            _ => &[],
        };
        let holds = |rule: &Rule| {
            let window = rule.matches.window.as_ref();
            window.is_none_or(|window| window.holds(atlas.minute_of_week))
        };
        Self {
            service,
            tiers: Cow::Borrowed(&service.tiers),
            residuals,
            rules: service.rules.iter().enumerate().filter(|(_, rule)| holds(rule)).collect(),
            candidates: service
                .pool
                .iter()
                .filter_map(|&id| known(id))
                .filter(stays)
                .map(candidate)
                .collect(),
            fallback: fallback.iter().filter_map(|&id| known(id)).filter(stays).collect(),
        }
    }

    /// The same for a client that needs something else than the service's class gives.
    pub(crate) fn with_class(self, class: Option<Class>) -> Self {
        let tiers = class.map_or(self.tiers, |class| Cow::Owned(class.tiers()));
        Self { tiers, ..self }
    }

    /// The service whose sites are ranked.
    pub(crate) fn service(&self) -> &'a GlobalService {
        self.service
    }

    /// The candidates inside every fence, best first.
    pub(crate) fn rank(
        &self,
        sight: &Sight,
        prefixes: &[IpNet],
        orders: &Orders<'_>,
    ) -> Vec<Ranked> {
        let chain = self.residuals.chain(sight, prefixes);
        let place = sight.point.map(Place::new);
        let mut ranked: Vec<Ranked> = self
            .candidates
            .iter()
            .enumerate()
            .filter(|(_, candidate)| self.is_allowed(candidate.id, candidate.site, sight, orders))
            .map(|(at, candidate)| {
                let client = Client { sight, place, chain: &chain, pin: orders.pin };
                let at = u16::try_from(at).unwrap_or(u16::MAX);
                self.assess(candidate, &client, at)
            })
            .collect();
        self.pass_gate(&mut ranked);
        ranked.sort_unstable_by_key(Ranked::key);
        ranked
    }

    /// The other candidates as a client at one of them would be led to them, by no rule.
    pub(crate) fn near(&self, from: SiteId) -> Vec<SiteId> {
        let Some(here) = self.candidates.iter().find(|candidate| candidate.id == from) else {
            return Vec::new();
        };
        let locale = Locale {
            country: Some(here.site.country),
            subdivision: here.site.subdivision,
            isp: here.site.isps.first().copied(),
            point: here.point,
            ..Locale::default()
        };
        let ranked = self.rank(&Sight::of_place(&locale), &[], &Orders::default());
        let others = ranked.iter().map(|one| one.site).filter(|&site| site != from);
        others.take(NEAR_SITES_MAX).collect()
    }

    /// Stages the tier order, rung by rung. The gate is the first step that accepts a site: its
    /// sites go first. They are followed by the steps after it, and by the rest by bill alone. A
    /// step without a budget behind one that has a budget is a last resort: if it is not the gate,
    /// its sites are of the rest, so that a room that fails sends nobody round the world while a
    /// neighbour is a millisecond over its budget.
    fn pass_gate(&self, ranked: &mut [Ranked]) {
        let rungs = self.service.steering.prefer.len() + 1;
        let mut gates: SmallVec<[u16; 4]> = SmallVec::from_elem(u16::MAX, rungs);
        for one in ranked.iter().filter(|one| one.pin.is_none()) {
            let gate = &mut gates[usize::from(one.rung)];
            *gate = one.gate.map_or(*gate, |step| step.min(*gate));
        }
        let steps = &self.tiers;
        let budgeted = steps.iter().position(|step| step.budget_us.is_some());
        let is_last_resort = |step: usize| {
            steps[step].budget_us.is_none() && budgeted.is_some_and(|first| first < step)
        };
        for one in ranked {
            one.stage = match one.gate {
                Some(step) if step == gates[usize::from(one.rung)] => 0,
                Some(step) if !is_last_resort(usize::from(step)) => step.saturating_add(1),
                _ => u16::MAX,
            };
        }
    }

    fn assess(&self, candidate: &Candidate<'_>, client: &Client<'_>, at: u16) -> Ranked {
        let site = candidate.site;
        let (bill, level) = self.bill(candidate, client);
        let total_us = bill.total_us();
        let rungs = &self.service.steering.prefer;
        let rung = rungs.iter().position(|&rung| sight::agrees(rung, client.sight, site));
        let gate = self.tiers.iter().position(|step| {
            step.tier == site.tier && step.budget_us.is_none_or(|budget| total_us <= budget)
        });
        let pinned = client.pin.map_or(&[][..], |(_, sites)| sites);
        let pin = pinned.iter().position(|&id| id == candidate.id);
        let short = |place: usize| u16::try_from(place).unwrap_or(u16::MAX);
        Ranked {
            site: candidate.id,
            pin: pin.map(short),
            rung: short(rung.unwrap_or(rungs.len())),
            gate: gate.map(short),
            stage: 0,
            bill,
            level,
            tier: site.tier,
            at,
        }
    }

    fn bill(&self, candidate: &Candidate<'_>, client: &Client<'_>) -> (Bill, Option<(Level, u32)>) {
        let site = candidate.site;
        let distance_m = match (client.place, candidate.place) {
            (Some(here), Some(there)) => here.distance_m(there),
            _ => UNKNOWN_DISTANCE_M,
        };
        let residual = latency::finest(client.chain, candidate.id);
        let is_foreign = !site.isps.is_empty()
            && match client.sight.isp {
                Seen::Unknown => false,
                Seen::Other => true,
                Seen::Is(isp) => !site.isps.contains(&isp),
            };
        let is_abroad =
            client.sight.country != Seen::Unknown && !client.sight.country.is(site.country);
        let steering = &self.service.steering;
        let left = |penalty_us: u32, permille: fn(&Residual) -> u16| {
            let permille = residual.as_ref().map_or(latency::WHOLE, |(_, of)| permille(of));
            worn(penalty_us, permille)
        };
        let carrier_us = left(steering.carrier_penalty_us, |of| of.carrier_permille);
        let border_us = left(steering.border_penalty_us, |of| of.border_permille);
        let bill = Bill {
            residual_us: residual.map_or(0, |(_, residual)| residual.residual_us),
            carrier_us: if is_foreign { carrier_us } else { 0 },
            border_us: if is_abroad { border_us } else { 0 },
            ..Bill::prior(distance_m)
        };
        (bill, residual.map(|(level, residual)| (level, residual.samples)))
    }

    /// The sites that clients are compared with.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &'a Site> {
        let candidates = self.candidates.iter().map(|candidate| candidate.site);
        candidates.chain(self.fallback.iter().map(|&(_, site)| site))
    }

    /// The leaf of ranked candidates. Its block lengths and reach are the compiler's to fill in.
    pub(crate) fn leaf(&self, sight: &Sight, ranked: &[Ranked], orders: &Orders<'_>) -> Leaf {
        let sharing = self.sharing(ranked, orders);
        let is_sharing = |one: &Ranked| sharing.iter().any(|&(site, _)| site == one.site);
        let front = ranked.iter().filter(|one| is_sharing(one));
        let back = ranked.iter().filter(|one| !is_sharing(one));
        let listed = self.list(front.chain(back));
        let mut leaf =
            Leaf { sites: listed.iter().map(|one| one.site).collect(), ..Leaf::default() };
        let shared = listed.iter().take_while(|one| is_sharing(one)).count();
        if shared > 1 {
            leaf.shared = u8::try_from(shared).unwrap_or(0);
            for one in &listed[..shared] {
                let weight = sharing.iter().find(|&&(site, _)| site == one.site);
                leaf.weights.push(weight.map_or(0, |&(_, weight)| weight));
                leaf.seeds.push(self.candidates[usize::from(one.at)].seed);
            }
        }
        let target = orders.shift.and_then(|(_, (to, share_bp))| {
            let target = ranked.iter().find(|one| one.site == to && share_bp > 0)?;
            Some((target, share_bp))
        });
        if let Some((target, share_bp)) = target {
            leaf.shift = Some((target.site, share_bp));
            leaf.shift_seed = self.candidates[usize::from(target.at)].seed;
        }
        let told_apart = listed.into_iter().chain(target.map(|(target, _)| target));
        self.tell_apart(&mut leaf, sight.isp, told_apart);
        leaf
    }

    /// What a leaf's clients are told of the addresses of its sites, the shift's last if there is
    /// one: by which uplinks, and whether they take turns.
    fn tell_apart<'r>(
        &self,
        leaf: &mut Leaf,
        isp: Seen<Isp>,
        sites: impl Iterator<Item = &'r Ranked>,
    ) {
        let mut uplinks: SmallVec<[u8; LEAF_SITES_MAX + 1]> = SmallVec::new();
        for one in sites {
            let candidate = &self.candidates[usize::from(one.at)];
            uplinks.push(candidate.uplink(isp));
            leaf.takes_turns |= candidate.takes_turns;
        }
        if leaf.shift.is_some() {
            leaf.shift_uplink = uplinks.pop().unwrap_or(0);
        }
        if uplinks.iter().any(|&uplink| uplink > 0) {
            leaf.uplinks = uplinks.into_iter().collect();
        }
    }

    /// The sites that share these clients with their weights: within the spread of the best, on
    /// its rung, through its gate, of its tier, and of positive weight. Nobody when it is pinned.
    pub(crate) fn sharing(
        &self,
        ranked: &[Ranked],
        orders: &Orders<'_>,
    ) -> SmallVec<[(SiteId, u32); 8]> {
        let within_us = self.service.steering.spread_within_us;
        let Some(best) = ranked.first().filter(|best| within_us > 0 && best.pin.is_none()) else {
            return SmallVec::new();
        };
        let limit_us = best.bill.total_us().saturating_add(within_us);
        ranked
            .iter()
            .filter(|one| one.rung == best.rung && one.gate == best.gate && one.tier == best.tier)
            .filter(|one| one.bill.total_us() <= limit_us)
            .map(|one| (one.site, self.weight(one, orders)))
            .filter(|&(_, weight)| weight > 0)
            .collect()
    }

    /// The rule's weight where it names the site, else the service's.
    pub(crate) fn weight(&self, one: &Ranked, orders: &Orders<'_>) -> u32 {
        let ruled = orders.weights.and_then(|(_, weights)| {
            weights.iter().find(|&&(site, _)| site == one.site).map(|&(_, weight)| weight)
        });
        ruled.unwrap_or_else(|| self.candidates[usize::from(one.at)].weight)
    }

    /// The first four, of which at most [`LONG_OUT_LISTED_MAX`] are out for long if others are left.
    fn list<'r>(
        &self,
        ordered: impl Iterator<Item = &'r Ranked>,
    ) -> SmallVec<[&'r Ranked; LEAF_SITES_MAX]> {
        let mut listed: SmallVec<[&Ranked; LEAF_SITES_MAX]> = SmallVec::new();
        let mut passed: SmallVec<[&Ranked; LEAF_SITES_MAX]> = SmallVec::new();
        let mut long_out = 0;
        for one in ordered {
            if listed.len() == LEAF_SITES_MAX {
                break;
            }
            if self.candidates[usize::from(one.at)].is_long_out {
                long_out += 1;
                if long_out > LONG_OUT_LISTED_MAX {
                    passed.push(one);
                    continue;
                }
            }
            listed.push(one);
        }
        let room = LEAF_SITES_MAX - listed.len();
        listed.extend(passed.into_iter().take(room));
        listed
    }
}

/// What is looked up once a client.
#[derive(Clone, Copy)]
struct Client<'c> {
    sight: &'c Sight,
    place: Option<Place>,
    chain: &'c [OfLevel<'c>],
    pin: Option<(usize, &'c [SiteId])>,
}

/// What measurement leaves of a penalty.
fn worn(penalty_us: u32, permille: u16) -> u32 {
    let left_us = u64::from(penalty_us) * u64::from(permille) / u64::from(latency::WHOLE);
    u32::try_from(left_us).unwrap_or(u32::MAX)
}
