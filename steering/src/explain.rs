//! The same decision, told in full: every candidate with its bill, the step that settled it, the scope.
//!
//! Nothing is decided here a second time: the answer is [`decide`]'s, and the bills are those of the
//! ranking that made the leaf. Where a block of clients was folded, the locale shown is one that the
//! block's answer was made for, and the explanation says so.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use geo_data::LocaleTable;
use ipnet::IpNet;
use model::geo::Locale;
use model::observe::Client;
use model::policy::Effect;
use model::service::{GlobalService, ServiceId};
use model::site::{Alias, Site, SiteId, Tier};

use crate::atlas::Atlas;
use crate::compile::{Inputs, Resolvers, cuts_of};
use crate::cut::{Cuts, Segments, key_v6};
use crate::decide::{Decision, Found, ServiceState, decide, find};
use crate::latency::Index;
use crate::map::{Leaf, ServiceMap};
use crate::presence::{Presence, Window, presence, window};
use crate::rank::{Given, Orders, Ranked, Ranker};
use crate::runs::Key;
use crate::sight::{Lens, Sight};
use crate::snapshot::Snapshot;
use crate::whereabouts::{Spot, Whereabouts};

mod show;
mod shown;
#[cfg(test)]
mod tests;

pub use shown::{
    CandidateShown, ClientShown, Explanation, FoundBy, LocaleShown, NameShown, OrderShown,
    RuleShown, ShareShown,
};

/// Places of a folded block that are tried until one shows the block's leaf.
const SAMPLES_MAX: usize = 1024;

/// Explains what [`crate::decide::decide`] answers. `inputs` must be those of `snapshot`'s map.
///
/// `None` when the snapshot has no such service.
pub fn explain(
    inputs: &Inputs<'_>,
    snapshot: &Snapshot,
    service: ServiceId,
    client: Client,
) -> Option<Explanation> {
    let map = snapshot.map.service(service)?;
    let spec = snapshot.policy.services.get(service.0 as usize)?;
    let state = ServiceState::new(service, spec, &snapshot.health);
    let decision = decide(map, &state, client);
    let found = find(map, client)?;
    let (residuals, atlas) = (Index::new(inputs.latency), Atlas::new(inputs));
    let (id, place) = (service, None);
    let told = Telling { inputs, snapshot, map, id, spec, found, decision, client, place };
    let ranker = Ranker::new(&Given::of(inputs, &atlas), spec, &residuals);
    let cuts = cuts_of(spec, &residuals);
    let lens = Lens::new(spec, ranker.sites(), &residuals);
    let shown =
        told.representative(&ranker, &See { locales: inputs.locales, cuts: &cuts, lens: &lens });
    Some(told.explanation(&ranker, &shown))
}

/// Explains what [`crate::whereabouts::Locator::decide`] answers to a client at a place.
///
/// `None` when the snapshot has no such service.
pub fn explain_at(
    inputs: &Inputs<'_>,
    snapshot: &Snapshot,
    service: ServiceId,
    (place, caller): (&Whereabouts, IpAddr),
) -> Option<Explanation> {
    let map = snapshot.map.service(service)?;
    let spec = snapshot.policy.services.get(service.0 as usize)?;
    let state = ServiceState::new(service, spec, &snapshot.health);
    let residuals = Index::new(&snapshot.map.atlas.latency);
    let ranker = Ranker::at_place(snapshot, spec, &residuals, place);
    let sight = Sight::of_place(&place.locale);
    let spot = Spot::new(&ranker, &sight, caller);
    let (decision, found) = (spot.decide(&ranker, &state), spot.found());
    let client = Client { ip: caller, source_len: None };
    let (id, locale) = (service, place.locale.clone());
    let place = Some(place);
    let told = Telling { inputs, snapshot, map, id, spec, found, decision, client, place };
    let shown = Representative { of: None, locale, sight, prefixes: Vec::new() };
    Some(told.explanation(&ranker, &shown))
}

/// One decision and what it was made of.
struct Telling<'a> {
    inputs: &'a Inputs<'a>,
    snapshot: &'a Snapshot,
    map: &'a ServiceMap,
    id: ServiceId,
    spec: &'a GlobalService,
    found: Found<'a>,
    decision: Decision,
    client: Client,
    /// Where it is, when it was told by that.
    place: Option<&'a Whereabouts>,
}

/// A client that the leaf was made for.
struct Representative {
    of: Option<IpAddr>,
    locale: Locale,
    sight: Sight,
    prefixes: Vec<IpNet>,
}

impl Telling<'_> {
    fn explanation(&self, ranker: &Ranker<'_>, shown: &Representative) -> Explanation {
        let orders = ranker.orders(&shown.sight, &shown.prefixes);
        let ranked = ranker.rank(&shown.sight, &shown.prefixes, &orders);
        let decision = &self.decision;
        Explanation {
            service: self.spec.object.to_string(),
            client: self.client(),
            locale: locale_shown(&shown.locale, shown.of),
            rules: self.rules(ranker, shown),
            candidates: self.candidates(&ranked),
            leaf: self.names(&self.found.leaf.sites),
            share: self.share(),
            sites: self.names(decision.chosen()),
            addresses: self.presences().map(|presence| self.addresses(&presence)).collect(),
            names: self.answered_names(),
            scope: self.prefix(decision.scope_len),
            reason: decision.reason,
            failing: decision.failing,
            ttl_s: decision.ttl_s(&self.spec.answers),
        }
    }

    /// The client itself, unless its block was folded to another's leaf: then the first address of
    /// the block that has that leaf.
    fn representative(&self, ranker: &Ranker<'_>, see: &See<'_>) -> Representative {
        if self.found.is_resolver {
            let resolvers = Resolvers::new(self.inputs.policy, self.inputs.locales);
            let placed = resolvers.as_ref().and_then(|table| table.locales_of(self.client.ip));
            return See { locales: placed.unwrap_or(see.locales), ..*see }.at(self.ip());
        }
        let own = see.at(self.ip());
        if self.is_leaf_of(ranker, &own) {
            return own;
        }
        let others = self.block_addresses(see).take(SAMPLES_MAX).map(|ip| see.at(ip));
        let mut others = others.filter(|other| self.is_leaf_of(ranker, other));
        others.next().unwrap_or(own)
    }

    fn is_leaf_of(&self, ranker: &Ranker<'_>, seen: &Representative) -> bool {
        let orders = ranker.orders(&seen.sight, &seen.prefixes);
        let ranked = ranker.rank(&seen.sight, &seen.prefixes, &orders);
        let actual = self.found.leaf;
        let leaf = Leaf {
            reach: actual.reach,
            block_v4_len: actual.block_v4_len,
            block_v6_len: actual.block_v6_len,
            ..ranker.leaf(&seen.sight, &ranked, &orders)
        };
        leaf == *actual
            && self.map.reaches.get(actual.reach as usize)
                == Some(&ranker.reach(&seen.sight, &orders))
    }

    /// An address of each interval of the folded block, in order.
    fn block_addresses(&self, see: &See<'_>) -> impl Iterator<Item = IpAddr> {
        let shortest = |truth_len: u8| self.client.source_len.unwrap_or(truth_len).min(truth_len);
        match self.ip() {
            IpAddr::V4(ip) => {
                let span = block_of(ip.to_bits(), shortest(u32::TRUTH_LEN));
                see.steps(span, &see.cuts.v4, |x| IpAddr::V4(Ipv4Addr::from_bits(u32::from_u64(x))))
            }
            IpAddr::V6(ip) => {
                let span = block_of(key_v6(ip), shortest(u64::TRUTH_LEN));
                see.steps(span, &see.cuts.v6, |x| {
                    IpAddr::V6(Ipv6Addr::from_bits(u128::from(x) << 64))
                })
            }
        }
    }

    /// The address as it was looked up: a subnet keeps its family, and the tables know the top 64
    /// bits of IPv6 alone.
    fn ip(&self) -> IpAddr {
        match (self.client.ip, self.client.source_len) {
            (IpAddr::V6(ip), Some(_)) => {
                IpAddr::V6(Ipv6Addr::from_bits(u128::from(key_v6(ip)) << 64))
            }
            (ip, _) => ip.to_canonical(),
        }
    }

    fn client(&self) -> ClientShown {
        let found_by = match self.client.source_len {
            _ if self.place.is_some() => FoundBy::Place,
            Some(_) if self.found.is_mixed => FoundBy::MostOfClientSubnet,
            Some(_) => FoundBy::ClientSubnet,
            None if self.found.is_resolver => FoundBy::ResolverTable,
            None => FoundBy::ResolverAddress,
        };
        let subnet = self.client.source_len.map(|len| show::prefix(self.client.ip, len));
        let class = self.place.and_then(|place| place.class);
        ClientShown { ip: self.client.ip, subnet, found_by, class }
    }

    fn rules(&self, ranker: &Ranker<'_>, shown: &Representative) -> Vec<RuleShown> {
        let Orders { fence, pin, weights, shift } = ranker.orders(&shown.sight, &shown.prefixes);
        let matching = ranker.matching(&shown.sight, &shown.prefixes);
        let rules = matching.map(|(number, rule)| {
            let first = match &rule.effect {
                Effect::Fence(_) => fence.map(|(first, _)| first),
                Effect::Pin(_) => pin.map(|(first, _)| first),
                Effect::Weights(_) => weights.map(|(first, _)| first),
                Effect::Shift { .. } => shift.map(|(first, _)| first),
            };
            let other = first.filter(|&first| first != number);
            let other = other.and_then(|first| self.spec.rules.get(first));
            RuleShown {
                origin: rule.origin.to_string(),
                level: rule.level,
                effect: self.effect(&rule.effect),
                yields_to: other.map(|rule| rule.origin.to_string()),
            }
        });
        rules.collect()
    }

    fn effect(&self, effect: &Effect) -> String {
        match effect {
            Effect::Fence(fence) => format!("fence {}", show::fence(fence, |id| self.name(id))),
            Effect::Pin(sites) => format!("pin {}", self.names(sites).join(" ")),
            Effect::Weights(weights) => {
                let words =
                    weights.iter().map(|&(id, weight)| format!("{}={weight}", self.name(id)));
                format!("weights {}", words.collect::<Vec<_>>().join(" "))
            }
            &Effect::Shift { to, share_bp } => {
                format!("shift {} to {}", show::percent(share_bp), self.name(to))
            }
        }
    }

    fn candidates(&self, ranked: &[Ranked]) -> Vec<CandidateShown> {
        let mut shown: Vec<CandidateShown> = ranked
            .iter()
            .map(|one| CandidateShown {
                pin: one.pin,
                rung: Some(one.rung),
                gate: one.gate,
                bill: Some(one.bill),
                total_us: Some(one.bill.total_us()),
                measured: one.level.map(|(level, samples)| show::measured(&level, samples)),
                ..self.candidate(one.site, OrderShown::Candidate)
            })
            .collect();
        let others = self.spec.pool.iter().filter(|&id| !ranked.iter().any(|one| one.site == *id));
        shown.extend(others.map(|&id| self.candidate(id, OrderShown::Fenced)));
        shown
    }

    fn candidate(&self, id: SiteId, order: OrderShown) -> CandidateShown {
        let is_drained = self.site(id).is_some_and(|site| site.drain)
            || self.snapshot.health.is_drained(id)
            || self.inputs.drained.get(usize::from(id.0)) == Some(&true);
        let place = self.found.leaf.sites.iter().position(|&listed| listed == id);
        CandidateShown {
            site: self.name(id),
            tier: self.site(id).map_or(Tier::Core, |site| site.tier),
            order: if is_drained { OrderShown::Drained } else { order },
            readiness: self.snapshot.health.readiness(self.id, id),
            verdict: self.snapshot.health.verdict(self.id, id),
            pin: None,
            rung: None,
            gate: None,
            bill: None,
            total_us: None,
            measured: None,
            leaf_place: place.and_then(|place| u8::try_from(place).ok()),
            chosen: self.decision.chosen().contains(&id),
        }
    }

    fn share(&self) -> Option<ShareShown> {
        let leaf = self.found.leaf;
        let block_len = match self.ip() {
            IpAddr::V4(_) => leaf.block_v4_len,
            IpAddr::V6(_) => leaf.block_v6_len,
        };
        let weights = leaf.sites.iter().zip(&leaf.weights);
        leaf.is_split().then(|| ShareShown {
            block: self.prefix(block_len),
            weights: weights.map(|(&id, &weight)| (self.name(id), weight)).collect(),
            shift: leaf.shift.map(|(to, share_bp)| (self.name(to), share_bp)),
        })
    }

    fn prefix(&self, len: u8) -> String {
        show::prefix(self.ip(), len)
    }

    fn site(&self, id: SiteId) -> Option<&Site> {
        self.snapshot.policy.sites.get(usize::from(id.0))
    }

    fn name(&self, id: SiteId) -> String {
        self.site(id).map_or_else(|| format!("#{}", id.0), |site| site.name.to_string())
    }

    fn names(&self, ids: &[SiteId]) -> Vec<String> {
        ids.iter().map(|&id| self.name(id)).collect()
    }

    fn presences(&self) -> impl Iterator<Item = Presence<'_>> {
        let policy = &self.snapshot.policy;
        self.decision.chosen_with_uplinks().map(|at| presence(policy, self.spec, at))
    }

    fn is_cname(&self) -> bool {
        matches!(self.presences().next(), Some(Presence::Alias(Alias::Cname(_))))
    }

    /// The addresses that an answer takes of a chosen site, IPv4 first.
    fn addresses(&self, presence: &Presence<'_>) -> Vec<IpAddr> {
        let most = usize::from(self.spec.answers.per_site_max.max(1));
        let families = |all: &[IpAddr]| {
            let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = all.iter().partition(|ip| ip.is_ipv4());
            [v4, v6]
        };
        match presence {
            _ if self.is_cname() => Vec::new(),
            Presence::Addresses(all) => {
                let families = families(all);
                families.iter().flat_map(|all| Window::first(all, most).iter()).copied().collect()
            }
            Presence::Endpoints(all) => {
                let families = families(all);
                let answered =
                    families.iter().flat_map(|all| window(all, most, &self.decision).iter());
                answered.copied().collect()
            }
            Presence::Alias(_) => Vec::new(),
        }
    }

    /// The names that stand for chosen sites: a first one that is a CNAME is the whole answer, and
    /// a later one is no answer.
    fn answered_names(&self) -> Vec<Option<NameShown>> {
        let is_cname = self.is_cname();
        let shown = |(nth, presence): (usize, Presence<'_>)| match presence {
            Presence::Alias(Alias::Cname(name)) if nth == 0 => {
                Some(NameShown::Cname(name.to_string()))
            }
            Presence::Alias(Alias::Resolved(name)) if !is_cname => {
                Some(NameShown::Alias(name.to_string()))
            }
            Presence::Alias(alias) => Some(NameShown::LeftOut(alias.name().to_string())),
            Presence::Addresses(_) | Presence::Endpoints(_) => None,
        };
        self.presences().enumerate().map(shown).collect()
    }
}

/// How a policy sees addresses.
#[derive(Clone, Copy)]
struct See<'a> {
    locales: &'a LocaleTable,
    cuts: &'a Cuts,
    lens: &'a Lens,
}

impl See<'_> {
    fn at(&self, ip: IpAddr) -> Representative {
        let locale = self.locales.lookup(ip).locale.clone();
        let overlay = match ip {
            IpAddr::V4(ip) => self.cuts.v4.at(ip.to_bits().into()),
            IpAddr::V6(ip) => self.cuts.v6.at(key_v6(ip)),
        };
        Representative {
            of: Some(ip),
            sight: self.lens.look(&locale, self.locales),
            prefixes: self.cuts.prefixes(overlay).to_vec(),
            locale,
        }
    }

    /// The starts of the table's intervals and of the cuts within a span.
    fn steps<'s>(
        &'s self,
        (first, last): (u64, u64),
        segments: &'s Segments,
        address: fn(u64) -> IpAddr,
    ) -> Box<dyn Iterator<Item = IpAddr> + 's> {
        let mut next = Some(first);
        Box::new(std::iter::from_fn(move || {
            let x = next.filter(|&x| x <= last)?;
            let ip = address(x);
            let width = if ip.is_ipv4() { u32::BITS } else { u64::BITS };
            let host_bits = width.saturating_sub(self.locales.lookup(ip).prefix_len.into());
            let interval_last = x | u64::MAX.checked_shr(64 - host_bits).unwrap_or(0);
            let ends = [interval_last.checked_add(1), segments.next_after(x)];
            next = ends.into_iter().flatten().min();
            Some(ip)
        }))
    }
}

/// The block of a prefix length around an address, both ends inside.
fn block_of<K: Key>(x: K, len: u8) -> (u64, u64) {
    let host = crate::runs::last_of(K::BITS).checked_shr(len.into()).unwrap_or(0);
    (x.into() & !host, x.into() | host)
}

fn locale_shown(locale: &Locale, of: Option<IpAddr>) -> LocaleShown {
    let Locale { country, subdivision, city, point, asn, isp, area } = locale;
    LocaleShown {
        of,
        country: country.map(|country| country.to_string()),
        subdivision: subdivision.map(|subdivision| subdivision.to_string()),
        city: city.as_ref().map(ToString::to_string),
        point_cdeg: point.map(|point| (point.lat_cdeg, point.lon_cdeg)),
        asn: *asn,
        isp: isp.map(|isp| isp.to_string()),
        area: area.map(|area| area.to_string()),
    }
}
