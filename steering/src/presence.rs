//! What a site is answered by, for a service: its addresses, its endpoints' or another name.
//!
//! The data plane lays the same out beforehand for speed; this is the plain form that the compiler,
//! explanations and that layout share. Which clients are told apart by it is part of a leaf, so an
//! answer's scope is exact here too.

use std::net::IpAddr;

use model::Policy;
use model::geo::Isp;
use model::service::{GlobalService, SiteEndpoints};
use model::site::{Alias, SiteId};

use crate::decide::Decision;

#[cfg(test)]
mod tests;

/// What a site is answered by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presence<'p> {
    /// The addresses of one of its uplinks, IPv4 first. Of more than fit an answer the first go.
    Addresses(Vec<IpAddr>),
    /// Its endpoints' own addresses, IPv4 first. Of more than fit an answer blocks of clients get
    /// different ones.
    Endpoints(&'p [IpAddr]),
    /// Another name.
    Alias(&'p Alias),
}

/// What a site is answered by for a service through an uplink.
pub fn presence<'p>(
    policy: &'p Policy,
    service: &'p GlobalService,
    (id, uplink): (SiteId, u8),
) -> Presence<'p> {
    if let Some(alias) = policy.alias_at(service, id) {
        return Presence::Alias(alias);
    }
    if let Some(endpoints) = endpoints(service, id) {
        return Presence::Endpoints(&endpoints.addresses);
    }
    let Some(site) = policy.sites.get(usize::from(id.0)) else {
        return Presence::Addresses(Vec::new());
    };
    let isp = usize::from(uplink).checked_sub(1).and_then(|at| site.uplinks().get(at).copied());
    Presence::Addresses(site.addresses_for(isp).collect())
}

/// Endpoints that are answered: without any the site's own addresses are.
fn endpoints(service: &GlobalService, id: SiteId) -> Option<&SiteEndpoints> {
    service.endpoints_at(id).filter(|endpoints| !endpoints.addresses.is_empty())
}

/// The uplinks that tell a service's clients apart at a site.
pub(crate) fn uplinks(policy: &Policy, service: &GlobalService, id: SiteId) -> Vec<Isp> {
    let is_own = policy.alias_at(service, id).is_none() && endpoints(service, id).is_none();
    let site = policy.sites.get(usize::from(id.0)).filter(|_| is_own);
    site.map_or_else(Vec::new, |site| site.uplinks())
}

/// Whether a service's clients take turns at a site that is no name: it has more endpoints than one
/// answer takes.
pub(crate) fn takes_turns(service: &GlobalService, id: SiteId) -> bool {
    endpoints(service, id).is_some_and(|endpoints| {
        let most = usize::from(service.answers.per_site_max.max(1));
        let v4 = endpoints.addresses.iter().filter(|ip| ip.is_ipv4()).count();
        v4.max(endpoints.addresses.len() - v4) > most
    })
}

/// The sites at which a service's clients take turns.
pub(crate) fn turns(service: &GlobalService) -> impl Iterator<Item = SiteId> {
    let sites = service.endpoints.iter().map(|endpoints| endpoints.site);
    sites.filter(|&id| takes_turns(service, id))
}

/// The sites that are answered by their endpoints.
pub(crate) fn answered_by_endpoints(service: &GlobalService) -> impl Iterator<Item = SiteId> {
    let sites = service.endpoints.iter().map(|endpoints| endpoints.site);
    sites.filter(|&id| endpoints(service, id).is_some())
}

/// The part of one kind of a site's endpoints that a decision's clients are answered with: a window
/// of at most `most` around the list, from a place that their block draws.
pub fn window<'a, T>(all: &'a [T], most: usize, decision: &Decision) -> Window<'a, T> {
    if all.len() <= most {
        return Window { head: all, tail: &[] };
    }
    let (before, from) = all.split_at(decision.turn(all.len()).min(all.len()));
    let head = from.get(..most).unwrap_or(from);
    Window { head, tail: before.get(..most - head.len()).unwrap_or(before) }
}

/// A window into a list, perhaps around its end.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a, T> {
    head: &'a [T],
    tail: &'a [T],
}

impl<'a, T> Window<'a, T> {
    /// The first of a list.
    pub fn first(all: &'a [T], most: usize) -> Self {
        Self { head: all.get(..most).unwrap_or(all), tail: &[] }
    }

    /// What is in it, in order.
    pub fn iter(self) -> impl Iterator<Item = &'a T> {
        self.head.iter().chain(self.tail)
    }
}
