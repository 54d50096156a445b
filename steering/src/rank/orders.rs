//! Orders: what documents say that no measurement overrules. Fences and rules decide here which sites
//! a client may be led to at all, and which of them are named first.

use ipnet::IpNet;
use model::policy::{Effect, Fence, Match, Rule};
use model::site::{Site, SiteId};

use super::Ranker;
use crate::map::Reach;
use crate::sight::{self, Sight};

/// What the rules order for one client: the first match of each effect.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Orders<'a> {
    pub(crate) fence: Option<(usize, &'a Fence)>,
    pub(crate) pin: Option<(usize, &'a [SiteId])>,
    pub(crate) weights: Option<(usize, &'a [(SiteId, u32)])>,
    pub(crate) shift: Option<(usize, (SiteId, u16))>,
}

impl<'a> Ranker<'a> {
    /// The rules that are about a client in these prefixes, with their numbers.
    pub(crate) fn matching<'s>(
        &'s self,
        sight: &'s Sight,
        prefixes: &'s [IpNet],
    ) -> impl Iterator<Item = (usize, &'a Rule)> + 's {
        let all = self.rules.iter().copied();
        all.filter(|(_, rule)| matches(&rule.matches, sight, prefixes))
    }

    /// The rules' orders for a client in these prefixes.
    pub(crate) fn orders(&self, sight: &Sight, prefixes: &[IpNet]) -> Orders<'a> {
        let mut orders = Orders::default();
        for (number, rule) in self.matching(sight, prefixes) {
            match &rule.effect {
                Effect::Fence(fence) => {
                    orders.fence.get_or_insert((number, fence));
                }
                Effect::Pin(sites) => {
                    orders.pin.get_or_insert((number, sites));
                }
                Effect::Weights(weights) => {
                    orders.weights.get_or_insert((number, weights));
                }
                &Effect::Shift { to, share_bp } => {
                    orders.shift.get_or_insert((number, (to, share_bp)));
                }
            }
        }
        orders
    }

    /// Whether both fences, the service's and the rules', let this client to this site.
    pub(crate) fn is_allowed(
        &self,
        id: SiteId,
        site: &Site,
        sight: &Sight,
        orders: &Orders<'_>,
    ) -> bool {
        let ruled = orders.fence.map(|(_, fence)| fence);
        self.service.fence.iter().chain(ruled).all(|fence| match fence {
            Fence::Match(rung) => sight::agrees(*rung, sight, site),
            Fence::Sites(sites) => sites.contains(&id),
        })
    }

    /// What orders leave to a client: candidates in id order and fallback sites in theirs.
    pub(crate) fn reach(&self, sight: &Sight, orders: &Orders<'_>) -> Reach {
        let allowed = |&(id, site): &(SiteId, &Site)| self.is_allowed(id, site, sight, orders);
        let pool = self.candidates.iter().map(|candidate| (candidate.id, candidate.site));
        let mut pool: Vec<SiteId> = pool.filter(allowed).map(|(id, _)| id).collect();
        pool.sort_unstable();
        let fallback = self.fallback.iter().copied().filter(allowed).map(|(id, _)| id).collect();
        Reach { pool, fallback }
    }

    /// Whether every client has the same reach.
    pub(crate) fn is_unfenced(&self) -> bool {
        let fences = |&(_, rule): &(usize, &Rule)| matches!(rule.effect, Effect::Fence(_));
        self.service.fence.is_none() && !self.rules.iter().any(fences)
    }
}

/// Whether a rule is about a client: every given field must hold. `prefixes` are those of the cuts
/// that the client's address lies in.
fn matches(rule: &Match, sight: &Sight, prefixes: &[IpNet]) -> bool {
    let Match { continents, countries, subdivisions, isps, areas, asns, cidrs, window: _ } = rule;
    any(continents, sight.continent)
        && any(countries, sight.country.named())
        && any(subdivisions, sight.subdivision)
        && any(isps, sight.isp.named())
        && any(areas, sight.area)
        && any(asns, sight.asn)
        && (cidrs.is_empty() || cidrs.iter().any(|cidr| prefixes.contains(&cidr.trunc())))
}

fn any<T: PartialEq>(wanted: &[T], known: Option<T>) -> bool {
    wanted.is_empty() || known.is_some_and(|known| wanted.contains(&known))
}
