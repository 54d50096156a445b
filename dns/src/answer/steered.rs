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
use steering::decide::decide;

use super::{Outcome, Walk};
use crate::ede::ExtendedError;

impl<'v> Walk<'v, '_, '_> {
    /// Answers an A or AAAA question for a steered name.
    pub(super) fn steer(&mut self, id: ServiceId, owner: u16) -> Outcome<'v> {
        let view = self.view;
        let Some((service, map)) =
            view.service(id).and_then(|service| Some((service, service.map.as_deref()?)))
        else {
            self.verdict.extended = Some(ExtendedError::NotReady);
            return Outcome::Failed;
        };
        let wants_v4 = self.query.record_type == RecordType::A;
        if !(if wants_v4 { service.any_v4 } else { service.any_v6 }) {
            return Outcome::NoData(u32::MAX);
        }
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
}
