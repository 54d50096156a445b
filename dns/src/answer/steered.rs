//! Answers for steered names: the client, the decision, the chosen sites' addresses.
//!
//! Whose answer it is: the client subnet's when there is one; without one, or with a subnet of
//! source 0 by which a client hides (RFC 7871, section 7.1.2), the resolver's own address stands in,
//! as the RFC has it for servers that do not use the option. A hidden client's answer has scope 0.
//! The scope of a steered negative answer is exact too: RFC 7871, section 7.4, wants 0 there because
//! some resolvers cache it for everybody anyway, but 0 would make the careful ones do so as well.

use std::net::IpAddr;

use model::observe::Client;
use model::record::RecordType;
use model::service::{PER_SITE_MAX, ServiceId};
use model::site::SiteId;
use steering::ServiceMap;
use steering::decide::{Decision, decide};
use steering::map::LEAF_SITES_MAX;
use steering::presence::Window;
use steering::whereabouts::Whereabouts;

use super::flattened::Put;
use super::{CHAIN_MAX, Outcome, Walk};
use crate::alias::Kind;
use crate::ede::ExtendedError;
use crate::presence::{At, Kinds};
use crate::response::{Full, Head, Section};
use crate::view::ServiceView;
use crate::zone::{ADDED, Set};

/// Service parameter keys (RFC 9460, section 14.3.2).
const KEY_V4HINT: u16 = 4;
const KEY_V6HINT: u16 = 6;
/// Key and length of a parameter.
const HINTS_HEAD_OCTETS: usize = 4;
const HINTS_OCTETS_MAX: usize = HINTS_HEAD_OCTETS + 16 * LEAF_SITES_MAX * PER_SITE_MAX as usize;

impl<'v> Walk<'v, '_, '_> {
    /// Answers an A or AAAA question for a steered name.
    pub(super) fn steer(&mut self, id: ServiceId, owner: u16) -> Outcome<'v> {
        let view = self.view;
        let Some((service, map)) = self.ready(id) else { return Outcome::Failed };
        let wants_v4 = self.query.record_type == RecordType::A;
        let kinds = view.presences.kinds(id);
        if !(if wants_v4 { kinds.v4 } else { kinds.v6 }) && !kinds.cname {
            return Outcome::NoData(u32::MAX);
        }
        let decision = self.decide(id, service, map);
        let ttl_s = decision.ttl_s(&service.answers);
        if kinds.cname
            && let Some(outcome) = self.put_cname(id, &decision, (owner, ttl_s))
        {
            return outcome;
        }
        let chosen = Chosen { id, decision: &decision, owner, ttl_s };
        let presences = &*view.presences;
        let from = self.response.place();
        let put = if wants_v4 {
            self.put_sites(&chosen, kinds, |at| presences.v4(at, &decision))
        } else {
            self.put_sites(&chosen, kinds, |at| presences.v6(at, &decision))
        };
        match put {
            Put::Full => Outcome::Truncated,
            _ if self.response.place() > from => Outcome::Done,
            Put::Unknown => {
                self.verdict.extended = Some(ExtendedError::NotResolved);
                Outcome::Failed
            }
            // A negative answer that rests on a decision lives no longer than a positive one.
            Put::Written => Outcome::NoData(ttl_s),
        }
    }

    /// Writes the chosen sites' addresses of one kind.
    #[inline]
    fn put_sites<T: Copy + Into<IpAddr> + 'v>(
        &mut self,
        chosen: &Chosen<'_>,
        kinds: Kinds,
        of: impl Fn(At) -> Window<'v, T>,
    ) -> Put {
        let from = self.response.place();
        let mut put = Put::Written;
        for (nth, at) in chosen.sites().enumerate() {
            for &ip in of(at).iter() {
                let ip = ip.into();
                // Two sites may share an address, a set may not repeat one (RFC 2181, section 5).
                if nth > 0 && self.response.has_address(from, ip) {
                    continue;
                }
                if self.response.put_address(chosen.owner, chosen.ttl_s, ip).is_err() {
                    return Put::Full;
                }
            }
            if kinds.alias
                && let Some(alias) = self.view.presences.alias(at)
            {
                match self.put_resolved(alias, (chosen.owner, chosen.ttl_s), from) {
                    Put::Full => return Put::Full,
                    Put::Unknown => put = Put::Unknown,
                    Put::Written => {}
                }
            }
        }
        if kinds.alias {
            self.response.level_ttl(from);
        }
        put
    }

    /// Answers a question of another type for a steered name of which a site is a CNAME: whoever is
    /// sent there gets the CNAME, and for all others the type does not exist, as long as they are.
    #[inline(never)]
    pub(super) fn steer_cname(&mut self, id: ServiceId, owner: u16) -> Outcome<'v> {
        let Some((service, map)) = self.ready(id) else { return Outcome::Failed };
        let decision = self.decide(id, service, map);
        let ttl_s = decision.ttl_s(&service.answers);
        let put = self.put_cname(id, &decision, (owner, ttl_s));
        put.unwrap_or(Outcome::NoData(ttl_s))
    }

    /// Writes a CNAME where the first chosen site is one, and says where the walk goes on.
    #[inline(never)]
    fn put_cname(
        &mut self,
        service: ServiceId,
        decision: &Decision,
        (owner, ttl_s): (u16, u32),
    ) -> Option<Outcome<'v>> {
        let (site, uplink) = decision.chosen_with_uplinks().next()?;
        let name = self.view.presences.cname(At { service, site, uplink })?;
        if self.chain == CHAIN_MAX {
            return Some(Outcome::Done);
        }
        let head = Head { record_type: RecordType::CNAME.0, ttl_s };
        let put = self.response.put_record(Section::Answer, owner, head, name.wire());
        let Ok(offset) = put else { return Some(Outcome::Truncated) };
        self.chain += 1;
        let is_asked = matches!(self.query.record_type, RecordType::CNAME | RecordType::ANY);
        Some(if is_asked { Outcome::Done } else { Outcome::Follow(name.clone(), offset) })
    }

    /// Answers an HTTPS or SVCB question for a steered name with the chosen sites' addresses as hints:
    /// the same decision and scope as for A and AAAA, so that a client finds one site by all three.
    /// Sites of equal port and protocols share a record, others have one each.
    #[inline(never)]
    pub(super) fn steer_hints(&mut self, id: ServiceId, set: &Set, owner: u16) -> Outcome<'v> {
        let Some((service, map)) = self.ready(id) else { return Outcome::Failed };
        let decision = self.decide(id, service, map);
        let mut ttl_s = decision.ttl_s(&service.answers);
        if decision.chosen().is_empty() {
            return Outcome::NoData(ttl_s);
        }
        let chosen = Chosen { id, decision: &decision, owner, ttl_s };
        let presences = &*self.view.presences;
        for (nth, first) in chosen.sites().enumerate() {
            let params = presences.params(first.site);
            let is_alike = |at: &At| presences.params(at.site) == params;
            if chosen.sites().take(nth).any(|at| is_alike(&at)) {
                continue;
            }
            let (mut v4, mut v6) = (Hints::new(KEY_V4HINT), Hints::new(KEY_V6HINT));
            for at in chosen.sites().filter(is_alike) {
                presences.v4(at, &decision).iter().for_each(|ip| v4.add(&ip.octets()));
                presences.v6(at, &decision).iter().for_each(|ip| v6.add(&ip.octets()));
                let Some((alias, most)) = presences.alias(at) else { continue };
                for (kind, hints) in [(Kind::V4, &mut v4), (Kind::V6, &mut v6)] {
                    if let Some(hit) = self.resolved(alias, kind) {
                        ttl_s = ttl_s.min(hit.ttl_s);
                        hit.addresses.iter().take(most).for_each(|ip| hints.add_ip(*ip));
                    }
                }
            }
            let added = [params.alpn, params.port, v4.param(), v6.param()];
            if self.put_hinted(set, (&Chosen { ttl_s, ..chosen }, first.site), added).is_err() {
                return Outcome::Truncated;
            }
        }
        Outcome::Done
    }

    /// Writes every record of a set with these parameters. Records that take none are written once.
    fn put_hinted(
        &mut self,
        set: &Set,
        (chosen, site): (&Chosen<'_>, SiteId),
        added: [&[u8]; ADDED],
    ) -> Result<(), Full> {
        let is_first = chosen.sites().next().is_some_and(|first| first.site == site);
        for record in self.view.zones.hinted(set) {
            if !is_first && record.wants == [false; ADDED] {
                continue;
            }
            let ttl_s = record.ttl_s.min(chosen.ttl_s);
            let head = Head { record_type: self.query.record_type.0, ttl_s };
            let mut parts: [&[u8]; 2 * ADDED + 1] = [&[]; 2 * ADDED + 1];
            for (nth, before) in record.before.into_iter().enumerate() {
                parts[2 * nth] = before;
                parts[2 * nth + 1] = if record.wants[nth] { added[nth] } else { &[] };
            }
            parts[2 * ADDED] = record.rest;
            self.response.put_parts(chosen.owner, head, &parts)?;
        }
        Ok(())
    }

    /// The service with its map. Without one nothing can be said.
    #[inline]
    fn ready(&mut self, id: ServiceId) -> Option<(&'v ServiceView, &'v ServiceMap)> {
        let service = self.view.service(id);
        let ready = service.and_then(|service| Some((service, service.map.as_deref()?)));
        if ready.is_none() {
            self.verdict.extended = Some(ExtendedError::NotReady);
        }
        ready
    }

    /// Decides for this client, and notes why and for whom.
    #[inline]
    fn decide(&mut self, id: ServiceId, service: &ServiceView, map: &ServiceMap) -> Decision {
        let client = self.asking();
        let decision = match self.place {
            None => decide(map, &service.state, client),
            Some(place) => self.decide_at((id, service), (place, client), map),
        };
        self.reason = Some(decision.reason);
        if self.verdict.extended.is_none() {
            self.verdict.extended = ExtendedError::of(decision.reason);
        }
        if client.source_len.is_some() {
            // An answer of several decisions holds for those for whom all of them do.
            self.verdict.scope_len = self.verdict.scope_len.max(decision.scope_len);
        }
        decision
    }

    /// For whom the answer is: the client's subnet, or the resolver where there is none.
    #[inline]
    fn asking(&self) -> Client {
        if let Some(edns) = &self.query.edns
            && let Some(subnet) = &edns.subnet
            && let Some(ip) = subnet.ip()
        {
            return Client { ip, source_len: Some(subnet.source_len) };
        }
        Client { ip: self.client.ip().to_canonical(), source_len: None }
    }

    /// Decides for a place, by the address where nothing is known of it.
    #[inline(never)]
    fn decide_at(
        &self,
        (id, service): (ServiceId, &ServiceView),
        (place, client): (&Whereabouts, Client),
        map: &ServiceMap,
    ) -> Decision {
        let by_place = self.view.locator().decide(id, &service.state, place, client.ip);
        by_place.unwrap_or_else(|| decide(map, &service.state, client))
    }
}

/// The chosen sites of a service, and what to write of them.
#[derive(Clone, Copy)]
struct Chosen<'d> {
    id: ServiceId,
    decision: &'d Decision,
    owner: u16,
    ttl_s: u32,
}

impl Chosen<'_> {
    fn sites(&self) -> impl Iterator<Item = At> {
        let at = |(site, uplink)| At { service: self.id, site, uplink };
        self.decision.chosen_with_uplinks().map(at)
    }
}

/// One hint parameter under way: key, length, addresses, none of them twice.
struct Hints {
    octets: [u8; HINTS_OCTETS_MAX],
    len: usize,
}

impl Hints {
    fn new(key: u16) -> Self {
        let mut octets = [0; HINTS_OCTETS_MAX];
        octets[..2].copy_from_slice(&key.to_be_bytes());
        Self { octets, len: HINTS_HEAD_OCTETS }
    }

    fn add_ip(&mut self, ip: IpAddr) {
        match ip {
            IpAddr::V4(ip) => self.add(&ip.octets()),
            IpAddr::V6(ip) => self.add(&ip.octets()),
        }
    }

    fn add(&mut self, ip: &[u8]) {
        let has = self.octets[HINTS_HEAD_OCTETS..self.len].chunks(ip.len()).any(|had| had == ip);
        if let Some(place) = self.octets.get_mut(self.len..self.len + ip.len()).filter(|_| !has) {
            place.copy_from_slice(ip);
            self.len += ip.len();
            // At most 512 octets.
            let octets = u16::try_from(self.len - HINTS_HEAD_OCTETS).unwrap_or(0).to_be_bytes();
            self.octets[2..HINTS_HEAD_OCTETS].copy_from_slice(&octets);
        }
    }

    /// The whole parameter; empty without an address, since an empty hint is malformed.
    fn param(&self) -> &[u8] {
        if self.len > HINTS_HEAD_OCTETS { &self.octets[..self.len] } else { &[] }
    }
}
