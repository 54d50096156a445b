//! What each site is answered by, laid out for the answer path: addresses, endpoints, other names.
//!
//! It depends on the policy alone and is shared by every view of one policy. A service whose sites
//! are all answered by their own addresses, as nearly all are, has nothing here: the sites' table
//! is all it takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Policy;
use model::service::{Fallback, GlobalService, ServiceId};
use model::site::{Alias, Binding, Site, SiteId};
use steering::decide::Decision;
use steering::presence::{self, Window, window};

use crate::alias::{AliasId, AliasNames};
use crate::name::NameBuf;

/// A stretch of one of the arenas.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn of<T>(self, arena: &[T]) -> &[T] {
        let start = self.start as usize;
        arena.get(start..start + self.len as usize).unwrap_or_default()
    }
}

/// The addresses of a site through one uplink, or of its endpoints.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct AddressSet {
    v4: Span,
    v6: Span,
}

/// What sites are answered by.
#[derive(Debug, Default)]
pub(crate) struct Presences {
    /// By site: where its sets begin in `sets`, one for each uplink.
    sites: Vec<u32>,
    sets: Vec<AddressSet>,
    v4: Vec<Ipv4Addr>,
    v6: Vec<Ipv6Addr>,
    /// By site: where its service parameters begin and end in `octets`: the port's, then the ALPN's.
    bindings: Vec<Bound>,
    octets: Vec<u8>,
    /// Names of CNAMEs.
    names: Vec<NameBuf>,
    services: Vec<ServicePresence>,
}

/// What one service's answers need.
#[derive(Debug, Default)]
struct ServicePresence {
    /// Sites that are not answered by their own addresses, in site order.
    others: Vec<(SiteId, Other)>,
    per_site_max: u8,
    kinds: Kinds,
}

/// What any site of a service has, so that what none has need not be decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Kinds {
    /// Some site could be answered with IPv4 addresses.
    pub(crate) v4: bool,
    /// With IPv6 addresses.
    pub(crate) v6: bool,
    /// With a CNAME.
    pub(crate) cname: bool,
    /// With what another name resolves to.
    pub(crate) alias: bool,
}

#[derive(Debug, Clone, Copy)]
enum Other {
    Endpoints(AddressSet),
    Cname(u32),
    Alias(AliasId),
}

/// Parameters of HTTPS and SVCB records that a site adds, whole; empty when it adds none.
#[derive(Debug, Clone, Copy, Default)]
struct Bound {
    port: Span,
    alpn: Span,
}

/// The same, borrowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Params<'a> {
    /// `port`, key and length included.
    pub(crate) port: &'a [u8],
    /// `alpn`, likewise.
    pub(crate) alpn: &'a [u8],
}

/// Service parameter keys (RFC 9460, section 14.3.2).
const KEY_ALPN: u16 = 1;
const KEY_PORT: u16 = 3;

/// A site that is asked about: through an uplink, for a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At {
    pub(crate) service: ServiceId,
    pub(crate) site: SiteId,
    pub(crate) uplink: u8,
}

impl Presences {
    /// Lays a policy out.
    pub(crate) fn new(policy: &Policy, aliases: &AliasNames) -> Self {
        let mut all = Self::default();
        for site in &policy.sites {
            all.add_site(site);
        }
        for (_, service) in policy.services() {
            let service = all.service_of(policy, service, aliases);
            all.services.push(service);
        }
        all
    }

    fn add_site(&mut self, site: &Site) {
        self.sites.push(number(self.sets.len()));
        let uplinks = site.uplinks();
        for isp in std::iter::once(None).chain(uplinks.into_iter().map(Some)) {
            let set = self.add_addresses(site.addresses_for(isp));
            self.sets.push(set);
        }
        let Binding { port, alpn } = &site.binding;
        let port = port.map_or_else(Vec::new, |port| port.to_be_bytes().to_vec());
        let mut protocols = Vec::new();
        for protocol in alpn {
            protocols.push(u8::try_from(protocol.len()).unwrap_or(u8::MAX));
            protocols.extend(protocol.bytes().take(usize::from(u8::MAX)));
        }
        let bound = Bound {
            port: self.add_param(KEY_PORT, &port),
            alpn: self.add_param(KEY_ALPN, &protocols),
        };
        self.bindings.push(bound);
    }

    fn add_param(&mut self, key: u16, value: &[u8]) -> Span {
        let start = number(self.octets.len());
        if !value.is_empty() {
            self.octets.extend(key.to_be_bytes());
            self.octets.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_be_bytes());
            self.octets.extend(value);
        }
        Span { start, len: number(self.octets.len()) - start }
    }

    fn add_addresses(&mut self, addresses: impl Iterator<Item = IpAddr>) -> AddressSet {
        let (v4_start, v6_start) = (number(self.v4.len()), number(self.v6.len()));
        for ip in addresses {
            match ip {
                IpAddr::V4(ip) => self.v4.push(ip),
                IpAddr::V6(ip) => self.v6.push(ip),
            }
        }
        AddressSet {
            v4: Span { start: v4_start, len: number(self.v4.len()) - v4_start },
            v6: Span { start: v6_start, len: number(self.v6.len()) - v6_start },
        }
    }

    fn service_of(
        &mut self,
        policy: &Policy,
        service: &GlobalService,
        aliases: &AliasNames,
    ) -> ServicePresence {
        let fallback = match &service.fallback {
            Fallback::AnswerSites(sites) => sites.as_slice(),
            Fallback::AnswerAll | Fallback::AnswerNone => &[],
        };
        let mut of_service = ServicePresence {
            others: Vec::new(),
            per_site_max: service.answers.per_site_max.max(1),
            kinds: Kinds::default(),
        };
        for &id in service.pool.iter().chain(fallback) {
            let other = match presence::presence(policy, service, (id, 0)) {
                presence::Presence::Addresses(_) => None,
                presence::Presence::Endpoints(all) => {
                    Some(Other::Endpoints(self.add_addresses(all.iter().copied())))
                }
                presence::Presence::Alias(Alias::Cname(name)) => {
                    NameBuf::read(name.as_wire()).map(|name| {
                        self.names.push(name);
                        Other::Cname(number(self.names.len() - 1))
                    })
                }
                presence::Presence::Alias(Alias::Resolved(name)) => {
                    aliases.id(name).map(Other::Alias)
                }
            };
            let set = match other {
                None => self.set(id, 0),
                Some(Other::Endpoints(set)) => set,
                Some(Other::Cname(_) | Other::Alias(_)) => AddressSet::default(),
            };
            let kinds = &mut of_service.kinds;
            // What an alias resolves to may be of any kind.
            let is_alias = matches!(other, Some(Other::Alias(_)));
            kinds.v4 |= set.v4.len > 0 || is_alias;
            kinds.v6 |= set.v6.len > 0 || is_alias;
            kinds.alias |= is_alias;
            kinds.cname |= matches!(other, Some(Other::Cname(_)));
            of_service.others.extend(other.map(|other| (id, other)));
        }
        of_service.others.sort_by_key(|&(id, _)| id);
        of_service.others.dedup_by_key(|&mut (id, _)| id);
        of_service
    }

    /// What any site of a service has.
    pub(crate) fn kinds(&self, id: ServiceId) -> Kinds {
        self.services.get(id.0 as usize).map(|service| service.kinds).unwrap_or_default()
    }

    /// The IPv4 addresses that clients of a decision get of a site.
    #[inline]
    pub(crate) fn v4(&self, at: At, decision: &Decision) -> Window<'_, Ipv4Addr> {
        self.window(at, decision, |set| set.v4.of(&self.v4))
    }

    /// The IPv6 addresses.
    #[inline]
    pub(crate) fn v6(&self, at: At, decision: &Decision) -> Window<'_, Ipv6Addr> {
        self.window(at, decision, |set| set.v6.of(&self.v6))
    }

    #[inline]
    fn window<'p, T>(
        &'p self,
        at: At,
        decision: &Decision,
        of: impl Fn(AddressSet) -> &'p [T],
    ) -> Window<'p, T> {
        let Some(service) = self.services.get(at.service.0 as usize) else {
            return Window::first(&[], 0);
        };
        let most = usize::from(service.per_site_max);
        match service.other(at.site) {
            None => Window::first(of(self.set(at.site, at.uplink)), most),
            Some(Other::Endpoints(set)) => window(of(set), most, decision),
            Some(Other::Cname(_) | Other::Alias(_)) => Window::first(&[], 0),
        }
    }

    /// The name that a site is a CNAME to.
    pub(crate) fn cname(&self, at: At) -> Option<&NameBuf> {
        match self.services.get(at.service.0 as usize)?.other(at.site)? {
            Other::Cname(name) => self.names.get(name as usize),
            Other::Endpoints(_) | Other::Alias(_) => None,
        }
    }

    /// The name whose addresses a site is answered by, and how many of a kind at most.
    pub(crate) fn alias(&self, at: At) -> Option<(AliasId, usize)> {
        let service = self.services.get(at.service.0 as usize)?;
        match service.other(at.site)? {
            Other::Alias(alias) => Some((alias, service.per_site_max.into())),
            Other::Endpoints(_) | Other::Cname(_) => None,
        }
    }

    /// What HTTPS and SVCB answers say of a site beside its addresses.
    pub(crate) fn params(&self, site: SiteId) -> Params<'_> {
        let bound = self.bindings.get(usize::from(site.0)).copied().unwrap_or_default();
        Params { port: bound.port.of(&self.octets), alpn: bound.alpn.of(&self.octets) }
    }

    fn set(&self, site: SiteId, uplink: u8) -> AddressSet {
        let first = self.sites.get(usize::from(site.0)).copied().unwrap_or(u32::MAX);
        let at = first.saturating_add(uplink.into());
        self.sets.get(at as usize).copied().unwrap_or_default()
    }
}

impl ServicePresence {
    #[inline]
    fn other(&self, site: SiteId) -> Option<Other> {
        if self.others.is_empty() {
            return None;
        }
        let at = self.others.binary_search_by_key(&site, |&(id, _)| id).ok()?;
        self.others.get(at).map(|&(_, other)| other)
    }
}

/// 10,000 sites of 64 addresses are far below 2^32; endpoints are bounded by the documents.
fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
