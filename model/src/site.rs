//! A site: a place with addresses that runs the gateway; drained or failed as one.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::geo::{Country, Isp, Point, Subdivision};
use crate::name::SiteName;
use crate::service::Probe;

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
    /// At least one address.
    pub addresses: Vec<SiteAddress>,
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

/// A site's limits; `None` is unlimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Capacity {
    /// Requests per second.
    pub rps: Option<u32>,
    /// Megabits per second.
    pub bandwidth_mbps: Option<u32>,
}
