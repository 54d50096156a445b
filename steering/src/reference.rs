//! The reference: steering written as plainly as it can be, one address at a time, for properties.
//!
//! It shares nothing with the compiler but the distance between two points and the block's draw.

use model::geo::{Country, Locale};
use model::policy::{Effect, Fence, Rule};
use model::service::{Fallback, Rung, ServiceId};
use model::site::{Site, SiteId};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::audit::right::{Answer, Case};
use crate::decide::Reason;
use crate::latency::{EVERY_OTHER_SITE, Level};
use crate::place::Place;
use crate::world::World;

/// What steering says to one address before health.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(crate) struct RefLeaf {
    pub(crate) sites: Vec<SiteId>,
    pub(crate) sharing: Vec<(SiteId, u32)>,
    pub(crate) shift: Option<(SiteId, u16)>,
    pub(crate) allowed: Vec<SiteId>,
    pub(crate) fallback: Vec<SiteId>,
    /// What these clients get of each site, the shift's included.
    pub(crate) answered: BTreeMap<SiteId, Vec<IpAddr>>,
    /// Whether one of those has more for them than an answer takes.
    pub(crate) takes_turns: bool,
}

impl RefLeaf {
    pub(crate) fn is_split(&self) -> bool {
        self.sharing.len() > 1 || self.shift.is_some() || self.takes_turns
    }
}

/// The leaf of an address that is looked up in the clients' table.
#[expect(clippy::too_many_lines, reason = "one walk from top to bottom is the point of it")]
pub(crate) fn leaf(world: &World, ip: IpAddr) -> RefLeaf {
    let service = &world.policy.services[0];
    let locale = world.locales.lookup(ip).locale;
    let rules: Vec<&Rule> =
        service.rules.iter().filter(|rule| is_about(world, rule, locale, ip)).collect();
    let first = |pick: fn(&Effect) -> bool| {
        rules.iter().map(|rule| &rule.effect).find(|effect| pick(effect))
    };
    let mut fences: Vec<&Fence> = service.fence.iter().collect();
    if let Some(Effect::Fence(fence)) = first(|effect| matches!(effect, Effect::Fence(_))) {
        fences.push(fence);
    }
    let allowed = |id: SiteId| {
        let site = world.policy.site(id);
        let is_drained = site.drain || world.health.is_drained(id);
        !is_drained
            && fences.iter().all(|fence| match fence {
                Fence::Match(rung) => agree(*rung, locale, site),
                Fence::Sites(sites) => sites.contains(&id),
            })
    };
    let candidates: Vec<SiteId> = service.pool.iter().copied().filter(|&id| allowed(id)).collect();
    let pins: &[SiteId] = match first(|effect| matches!(effect, Effect::Pin(_))) {
        Some(Effect::Pin(sites)) => sites,
        _ => &[],
    };
    let order = order(world, locale, Some(ip), (&candidates, pins));
    let bill = |id: SiteId| bill_us(world, locale, Some(ip), id);
    let rung = |id: SiteId| rung(world, locale, id);
    let gate = |id: SiteId| gate(world, locale, Some(ip), id);
    let pin = |id: SiteId| pins.iter().position(|&pinned| pinned == id).unwrap_or(usize::MAX);

    let mut sharing: Vec<(SiteId, u32)> = Vec::new();
    if let Some(&best) = order.first()
        && service.steering.spread_within_us > 0
        && pin(best) == usize::MAX
    {
        let within = i64::from(service.steering.spread_within_us);
        for &id in &order {
            let same_tier = world.policy.site(id).tier == world.policy.site(best).tier;
            let alike = pin(id) == usize::MAX && rung(id) == rung(best) && gate(id) == gate(best);
            let weight = match first(|effect| matches!(effect, Effect::Weights(_))) {
                Some(Effect::Weights(weights)) => {
                    weights.iter().find(|&&(site, _)| site == id).map(|&(_, weight)| weight)
                }
                _ => None,
            };
            let weight =
                weight.or_else(|| service.steering.weights.get(&id).copied()).unwrap_or(100);
            if alike && same_tier && bill(id) <= bill(best) + within && weight > 0 {
                sharing.push((id, weight));
            }
        }
    }
    let is_sharing = |id: SiteId| sharing.iter().any(|&(sharer, _)| sharer == id);
    let (front, back): (Vec<SiteId>, Vec<SiteId>) = order.iter().partition(|&&id| is_sharing(id));
    let sites = four_of(&[front, back].concat(), &world.long_out);
    let listed = sites.iter().take_while(|&&id| is_sharing(id)).count();
    let weight_of = |id: SiteId| sharing.iter().find(|&&(sharer, _)| sharer == id).copied();
    let mut sharing: Vec<(SiteId, u32)> =
        sites[..listed].iter().filter_map(|&id| weight_of(id)).collect();
    if sharing.len() < 2 {
        sharing.clear();
    }
    let shift = match first(|effect| matches!(effect, Effect::Shift { .. })) {
        Some(&Effect::Shift { to, share_bp }) if share_bp > 0 && candidates.contains(&to) => {
            Some((to, share_bp))
        }
        _ => None,
    };
    let fallback = match &service.fallback {
        Fallback::AnswerSites(sites) => sites.iter().copied().filter(|&id| allowed(id)).collect(),
        _ => Vec::new(),
    };
    let told_apart = || sites.iter().copied().chain(shift.map(|(to, _)| to));
    let answered = told_apart().map(|id| (id, answered(world, locale, id))).collect();
    let takes_turns = told_apart().any(|id| takes_turns(world, id));
    RefLeaf { sites, sharing, shift, allowed: candidates, fallback, answered, takes_turns }
}

/// These sites as a client of a locale is led to them, best first.
fn order(
    world: &World,
    locale: &Locale,
    ip: Option<IpAddr>,
    (candidates, pins): (&[SiteId], &[SiteId]),
) -> Vec<SiteId> {
    let tiers = &world.policy.services[0].tiers;
    let rung = |id: SiteId| rung(world, locale, id);
    let gate = |id: SiteId| gate(world, locale, ip, id);
    let pin = |id: SiteId| pins.iter().position(|&pinned| pinned == id).unwrap_or(usize::MAX);
    let stage = |id: SiteId| {
        let peers = candidates.iter().filter(|&&peer| pin(peer) == usize::MAX);
        let first = peers.filter(|&&peer| rung(peer) == rung(id)).map(|&peer| gate(peer)).min();
        let step = gate(id);
        if step == usize::MAX {
            return usize::MAX;
        }
        if Some(step) == first {
            return 0;
        }
        let has_budget = |step: &model::service::TierStep| step.budget_us.is_some();
        let is_last_resort = !has_budget(&tiers[step]) && tiers[..step].iter().any(has_budget);
        if is_last_resort { usize::MAX } else { step + 1 }
    };
    let mut order = candidates.to_vec();
    order.sort_by_key(|&id| {
        let tier = Reverse(world.policy.site(id).tier);
        let bill = bill_us(world, locale, ip, id);
        (pin(id), rung(id), stage(id), bill, distance_m(world, locale, id), tier, id)
    });
    order
}

fn rung(world: &World, locale: &Locale, id: SiteId) -> usize {
    let agrees = |rung: &Rung| agree(*rung, locale, world.policy.site(id));
    let prefer = &world.policy.services[0].steering.prefer;
    prefer.iter().position(agrees).unwrap_or(usize::MAX)
}

fn gate(world: &World, locale: &Locale, ip: Option<IpAddr>, id: SiteId) -> usize {
    let tier = world.policy.site(id).tier;
    let bill = bill_us(world, locale, ip, id);
    let mut steps = world.policy.services[0].tiers.iter().enumerate();
    let step = steps.find(|(_, step)| {
        step.tier == tier && step.budget_us.is_none_or(|budget| bill <= i64::from(budget))
    });
    step.map_or(usize::MAX, |(place, _)| place)
}

/// Where clients go whose sites are all out: as a client at the first of these sites would, as far as
/// that one's own view of the fences lets it.
pub(crate) fn near(world: &World, first: SiteId) -> Vec<SiteId> {
    let service = &world.policy.services[0];
    let site = world.policy.site(first);
    let locale = Locale {
        country: Some(site.country),
        subdivision: site.subdivision,
        isp: site.isps.first().copied(),
        point: site.point,
        ..Locale::default()
    };
    let is_candidate = |id: &SiteId| {
        let to = world.policy.site(*id);
        let is_drained = to.drain || world.health.is_drained(*id);
        let is_inside = match &service.fence {
            None => true,
            Some(Fence::Match(rung)) => agree(*rung, &locale, to),
            Some(Fence::Sites(sites)) => sites.contains(id),
        };
        !is_drained && is_inside
    };
    let candidates: Vec<SiteId> = service.pool.iter().copied().filter(is_candidate).collect();
    if !candidates.contains(&first) {
        return Vec::new();
    }
    let mut order = order(world, &locale, None, (&candidates, &[]));
    order.retain(|&id| id != first);
    order
}

/// The addresses that stand for a site, before an answer takes its part of them.
pub(crate) fn answered(world: &World, locale: &Locale, id: SiteId) -> Vec<IpAddr> {
    let (site, service) = (world.policy.site(id), &world.policy.services[0]);
    if site.alias.is_some() || service.aliases.contains_key(&id) {
        return Vec::new();
    }
    if let Some(own) =
        service.endpoints.iter().find(|own| own.site == id && !own.addresses.is_empty())
    {
        return own.addresses.clone();
    }
    let mut answered = Vec::new();
    for family in [true, false] {
        let mut of_family = site.addresses.clone();
        of_family.retain(|address| address.ip.is_ipv4() == family);
        for isp in [locale.isp.map(Some), Some(None)].into_iter().flatten() {
            if of_family.iter().any(|address| address.isp == isp) {
                of_family.retain(|address| address.isp == isp);
                break;
            }
        }
        answered.extend(of_family.iter().map(|address| address.ip));
    }
    answered
}

fn takes_turns(world: &World, id: SiteId) -> bool {
    let service = &world.policy.services[0];
    if world.policy.site(id).alias.is_some() || service.aliases.contains_key(&id) {
        return false;
    }
    let own = service.endpoints.iter().filter(|own| own.site == id);
    own.flat_map(|own| {
        [true, false].map(|v4| own.addresses.iter().filter(|ip| ip.is_ipv4() == v4).count())
    })
    .any(|count| count > usize::from(service.answers.per_site_max))
}

/// The first four, at most two of them long out while others are left.
fn four_of(order: &[SiteId], long_out: &[bool]) -> Vec<SiteId> {
    let is_out = |id: SiteId| long_out.get(usize::from(id.0)) == Some(&true);
    let out: Vec<SiteId> = order.iter().copied().filter(|&id| is_out(id)).collect();
    let passed = out.get(2..).unwrap_or(&[]);
    let mut four: Vec<SiteId> =
        order.iter().copied().filter(|id| !passed.contains(id)).take(4).collect();
    let room = 4 - four.len();
    four.extend(passed.iter().take(room));
    four
}

fn is_about(world: &World, rule: &Rule, locale: &Locale, ip: IpAddr) -> bool {
    let matches = &rule.matches;
    let continent = locale.country.and_then(Country::continent);
    let in_time = matches.window.as_ref().is_none_or(|window| {
        // Every minute of the week at which the window holds, one by one.
        (0..7_u32).filter(|day| window.days >> day & 1 == 1).any(|day| {
            let start = day * 1440 + u32::from(window.start_min);
            (start..start + u32::from(window.length_min))
                .any(|minute| minute % 10_080 == u32::from(world.minute_of_week))
        })
    });
    in_time
        && (matches.continents.is_empty()
            || continent.is_some_and(|c| matches.continents.contains(&c)))
        && (matches.countries.is_empty()
            || locale.country.is_some_and(|c| matches.countries.contains(&c)))
        && (matches.subdivisions.is_empty()
            || locale.subdivision.is_some_and(|s| matches.subdivisions.contains(&s)))
        && (matches.isps.is_empty() || locale.isp.is_some_and(|i| matches.isps.contains(&i)))
        && (matches.areas.is_empty() || locale.area.is_some_and(|a| matches.areas.contains(&a)))
        && (matches.asns.is_empty() || locale.asn.is_some_and(|a| matches.asns.contains(&a)))
        && (matches.cidrs.is_empty() || matches.cidrs.iter().any(|cidr| cidr.contains(&ip)))
}

fn agree(rung: Rung, locale: &Locale, site: &Site) -> bool {
    if rung.country && locale.country != Some(site.country) {
        return false;
    }
    if rung.subdivision && (locale.subdivision.is_none() || locale.subdivision != site.subdivision)
    {
        return false;
    }
    if rung.isp && !locale.isp.is_some_and(|isp| site.isps.contains(&isp)) {
        return false;
    }
    let continent = locale.country.and_then(Country::continent);
    !rung.continent || continent.is_some() && continent == site.country.continent()
}

fn distance_m(world: &World, locale: &Locale, id: SiteId) -> u32 {
    match (locale.point, world.policy.site(id).point) {
        (Some(a), Some(b)) => Place::new(a).distance_m(Place::new(b)),
        _ => 10_007_557,
    }
}

fn bill_us(world: &World, locale: &Locale, ip: Option<IpAddr>, id: SiteId) -> i64 {
    let site = world.policy.site(id);
    let steering = &world.policy.services[0].steering;
    let mut bill = 8_200 + (i64::from(distance_m(world, locale, id)) * 187 + 5_000) / 10_000;
    // The finest row of the site's own, and what finer levels say of every other site.
    let rows_of = |wanted: SiteId| {
        let rows = world.latency.residuals.iter().filter(move |(_, site, _)| *site == wanted);
        rows.filter_map(|(level, _, residual)| Some((fineness(level, locale, ip)?, *residual)))
    };
    let own = rows_of(id).max_by_key(|&(fineness, _)| fineness);
    let common = rows_of(EVERY_OTHER_SITE)
        .filter(|&(fineness, _)| own.is_none_or(|(of_own, _)| fineness > of_own));
    bill += common.map(|(_, residual)| i64::from(residual.residual_us)).sum::<i64>();
    bill += own.map_or(0, |(_, residual)| i64::from(residual.residual_us));
    if locale.isp.is_some_and(|isp| !site.isps.is_empty() && !site.isps.contains(&isp)) {
        let left = own.map_or(1000, |(_, residual)| i64::from(residual.carrier_permille));
        bill += i64::from(steering.carrier_penalty_us) * left / 1000;
    }
    if locale.country.is_some_and(|country| country != site.country) {
        let left = own.map_or(1000, |(_, residual)| i64::from(residual.border_permille));
        bill += i64::from(steering.border_penalty_us) * left / 1000;
    }
    bill.max(0)
}

/// How fine a level is, when the client is of it.
fn fineness(level: &Level, locale: &Locale, ip: Option<IpAddr>) -> Option<u32> {
    match *level {
        Level::World => Some(0),
        Level::Continent(continent) => {
            (locale.country.and_then(Country::continent) == Some(continent)).then_some(1)
        }
        Level::Country(country) => (locale.country == Some(country)).then_some(2),
        Level::IspCountry(isp, country) => {
            (locale.isp == Some(isp) && locale.country == Some(country)).then_some(3)
        }
        Level::IspSubdivision(isp, subdivision) => {
            (locale.isp == Some(isp) && locale.subdivision == Some(subdivision)).then_some(4)
        }
        Level::AsnSubdivision(asn, subdivision) => {
            (locale.asn == Some(asn) && locale.subdivision == Some(subdivision)).then_some(5)
        }
        Level::Prefix(prefix) => {
            ip.is_some_and(|ip| prefix.contains(&ip)).then_some(6 + u32::from(prefix.prefix_len()))
        }
    }
}

/// What may be answered in this order of the leaf's sites.
pub(crate) fn answer(
    world: &World,
    leaf: &RefLeaf,
    order: &[SiteId],
    is_shifted: bool,
) -> (Reason, Answer) {
    let case = Case {
        id: ServiceId(0),
        service: &world.policy.services[0],
        health: &world.health,
        allowed: &leaf.allowed,
        fallback: &leaf.fallback,
        is_shared: !leaf.sharing.is_empty(),
    };
    case.answer(order, is_shifted)
}
