//! A site: a place with addresses that runs the gateway; drained or failed as one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geo::{Country, Isp, Point, Subdivision};
use crate::name::{DnsName, SiteName};
use crate::service::Probe;

#[cfg(test)]
mod tests;

/// What kind of place a site is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Tier {
    /// An access room: nearest to the clients, smallest.
    Access,
    /// An aggregation room.
    Aggregation,
    /// The core.
    Core,
}

/// A site's index in [`crate::Policy::sites`]; only meaningful with the policy it came from.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct SiteId(pub u16);

/// The most sites a policy may hold; `SiteId` is 16 bits and `u16::MAX` means none.
pub const SITES_MAX: usize = 10_000;

/// A site as checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Unique name.
    pub name: SiteName,
    /// Access, aggregation or core.
    pub tier: Tier,
    /// ISO country.
    pub country: Country,
    /// ISO subdivision, of `country`.
    pub subdivision: Option<Subdivision>,
    /// City, for people.
    pub city: Option<Arc<str>>,
    /// Coordinates; when absent, the subdivision's or country's centre from the geo table.
    pub point: Option<Point>,
    /// Carriers this site is on; empty means neutral (no carrier penalty to anyone).
    pub isps: Vec<Isp>,
    /// At least one address, unless there is an `alias`.
    pub addresses: Vec<SiteAddress>,
    /// The name that DNS answers with in place of the addresses.
    pub alias: Option<Alias>,
    /// What HTTPS and SVCB answers say of it beside the addresses.
    pub binding: Binding,
    /// What it can take.
    pub capacity: Capacity,
    /// For selectors.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// The document's own drain order (the overlay's is added by the controller).
    pub drain: bool,
    /// `false`: DNS answers with the endpoints' own addresses.
    pub l7: bool,
    /// How the site as a whole is probed, if it is.
    pub health: Option<Probe>,
}

/// One address of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SiteAddress {
    /// The address.
    pub ip: IpAddr,
    /// The carrier it is reached through best; `None` serves everyone.
    pub isp: Option<Isp>,
}

/// A name that a site is answered by in place of its addresses.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Alias {
    /// A CNAME to it: the client's resolver finds the addresses.
    Cname(DnsName),
    /// The addresses it resolves to, found in the background: what stands where a CNAME cannot.
    Resolved(DnsName),
}

impl Alias {
    /// The name.
    pub fn name(&self) -> &DnsName {
        match self {
            Self::Cname(name) | Self::Resolved(name) => name,
        }
    }
}

/// Service parameters of a site (RFC 9460), put into HTTPS and SVCB records that do not give them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Binding {
    /// The port it serves on.
    pub port: Option<u16>,
    /// The protocols it speaks, best first; each 1 to 255 octets.
    pub alpn: Vec<Arc<str>>,
}

impl Site {
    /// The carriers whose clients are answered otherwise than everybody is, in the order of the
    /// addresses. The n-th is uplink n + 1; uplink 0 is everybody.
    pub fn uplinks(&self) -> Vec<Isp> {
        let mut uplinks: Vec<Isp> = Vec::new();
        for isp in self.addresses.iter().filter_map(|address| address.isp) {
            if !uplinks.contains(&isp) {
                uplinks.push(isp);
            }
        }
        let everybody: Vec<IpAddr> = self.addresses_for(None).collect();
        uplinks.retain(|&isp| !self.addresses_for(Some(isp)).eq(everybody.iter().copied()));
        uplinks
    }

    /// The addresses for clients of a carrier, IPv4 first: of each family the carrier's own, else
    /// the neutral ones, else, where nothing is neutral, all.
    pub fn addresses_for(&self, isp: Option<Isp>) -> impl Iterator<Item = IpAddr> {
        [IpAddr::is_ipv4, IpAddr::is_ipv6].into_iter().flat_map(
            move |is_family: fn(&IpAddr) -> bool| {
                let family = || self.addresses.iter().filter(move |address| is_family(&address.ip));
                let owns = isp.is_some() && family().any(|address| address.isp == isp);
                let wanted = if owns { isp } else { None };
                let is_any = !family().any(|address| address.isp == wanted);
                family()
                    .filter(move |address| is_any || address.isp == wanted)
                    .map(|address| address.ip)
            },
        )
    }
}

/// A site's limits; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests per second.
    pub rps: Option<u32>,
    /// Megabits per second.
    pub bandwidth_mbps: Option<u32>,
}
