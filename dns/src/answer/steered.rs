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
use model::service::ServiceId;
use model::site::SiteId;
use steering::ServiceMap;
use steering::decide::{Decision, decide};
use steering::map::LEAF_SITES_MAX;

use super::{Outcome, Walk};
use crate::ede::ExtendedError;
use crate::response::Head;
use crate::view::ServiceView;
use crate::zone::Set;

/// Service parameter keys (RFC 9460, section 14.3.2).
const KEY_V4HINT: u16 = 4;
const KEY_V6HINT: u16 = 6;
/// Key and length of a parameter.
const HINTS_HEAD_OCTETS: usize = 4;
const HINTS_OCTETS_MAX: usize = HINTS_HEAD_OCTETS + 16 * LEAF_SITES_MAX;

impl<'v> Walk<'v, '_, '_> {
    /// Answers an A or AAAA question for a steered name.
    pub(super) fn steer(&mut self, id: ServiceId, owner: u16) -> Outcome<'v> {
        let view = self.view;
        let Some((service, map)) = self.ready(id) else { return Outcome::Failed };
        let wants_v4 = self.query.record_type == RecordType::A;
        if !(if wants_v4 { service.any_v4 } else { service.any_v6 }) {
            return Outcome::NoData(u32::MAX);
        }
        let decision = self.decide(service, map);
        let ttl_s = decision.ttl_s(&service.answers);
        let address = |site: &SiteId| {
            let site = view.site(*site);
            if wants_v4 { site.v4.map(IpAddr::V4) } else { site.v6.map(IpAddr::V6) }
        };
        let chosen = decision.chosen();
        let mut found = false;
        for (nth, site) in chosen.iter().enumerate() {
            let Some(ip) = address(site) else { continue };
            // Two sites may share an address, a set may not repeat one (RFC 2181, section 5).
            if chosen[..nth].iter().any(|earlier| address(earlier) == Some(ip)) {
                continue;
            }
            if self.response.put_address(owner, ttl_s, ip).is_err() {
                return Outcome::Truncated;
            }
            found = true;
        }
        // A negative answer that rests on a decision lives no longer than a positive one.
        if found { Outcome::Done } else { Outcome::NoData(ttl_s) }
    }

    /// Answers an HTTPS or SVCB question for a steered name with the chosen sites' addresses as hints:
    /// the same decision and scope as for A and AAAA, so that a client finds one site by all three.
    #[inline(never)]
    pub(super) fn steer_hints(&mut self, id: ServiceId, set: &Set, owner: u16) -> Outcome<'v> {
        let Some((service, map)) = self.ready(id) else { return Outcome::Failed };
        let decision = self.decide(service, map);
        let ttl_s_max = decision.ttl_s(&service.answers);
        if decision.chosen().is_empty() {
            return Outcome::NoData(ttl_s_max);
        }
        let (mut v4, mut v6) = (Hints::new(KEY_V4HINT), Hints::new(KEY_V6HINT));
        for site in decision.chosen() {
            let site = self.view.site(*site);
            if let Some(ip) = site.v4 {
                v4.add(&ip.octets());
            }
            if let Some(ip) = site.v6 {
                v6.add(&ip.octets());
            }
        }
        for record in self.view.zones.hinted(set) {
            let ttl_s = record.ttl_s.min(ttl_s_max);
            let head = Head { record_type: self.query.record_type.0, ttl_s };
            let v4 = if record.wants_v4 { v4.param() } else { &[] };
            let v6 = if record.wants_v6 { v6.param() } else { &[] };
            let parts = [record.before_v4, v4, record.before_v6, v6, record.rest];
            if self.response.put_parts(owner, head, parts).is_err() {
                return Outcome::Truncated;
            }
        }
        Outcome::Done
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
    fn decide(&mut self, service: &ServiceView, map: &ServiceMap) -> Decision {
        let subnet = self.query.edns.as_ref().and_then(|edns| edns.subnet);
        let hidden = Client { ip: self.client.ip().to_canonical(), source_len: None };
        let client = subnet
            .and_then(|subnet| {
                Some(Client { ip: subnet.ip()?, source_len: Some(subnet.source_len) })
            })
            .unwrap_or(hidden);
        let decision = decide(map, &service.state, client);
        self.reason = Some(decision.reason);
        self.verdict.extended = ExtendedError::of(decision.reason);
        if client.source_len.is_some() {
            self.verdict.scope_len = decision.scope_len;
        }
        decision
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

    fn add(&mut self, ip: &[u8]) {
        let has = self.octets[HINTS_HEAD_OCTETS..self.len].chunks(ip.len()).any(|had| had == ip);
        if let Some(place) = self.octets.get_mut(self.len..self.len + ip.len()).filter(|_| !has) {
            place.copy_from_slice(ip);
            self.len += ip.len();
            // At most four addresses of sixteen octets.
            self.octets[3] += ip.len().to_le_bytes()[0];
        }
    }

    /// The whole parameter; empty without an address, since an empty hint is malformed.
    fn param(&self) -> &[u8] {
        if self.len > HINTS_HEAD_OCTETS { &self.octets[..self.len] } else { &[] }
    }
}
