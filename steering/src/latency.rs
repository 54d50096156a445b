//! The latency map: what measurement says beyond the distance model, as residuals level by level.
//!
//! `R_l = R_parent + n/(n+n0) * (mean_l - R_parent)` (design.md section 4), from country down to
//! prefix. A residual is in microseconds and may be negative.

use ipnet::IpNet;
use model::geo::{Country, Isp, Subdivision};
use model::site::SiteId;
use serde::{Deserialize, Serialize};

/// The clients a residual is about, coarse to fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// All of a country.
    Country(Country),
    /// A carrier in a country.
    IspCountry(Isp, Country),
    /// A carrier in a subdivision.
    IspSubdivision(Isp, Subdivision),
    /// An AS in a subdivision.
    AsnSubdivision(u32, Subdivision),
    /// A prefix, IPv4 /8../24 or IPv6 /16../56.
    Prefix(IpNet),
}

/// Shrunken residuals, sorted by level and site; each already includes its parents'.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LatencyMap {
    /// Sorted, unique keys.
    pub residuals: Vec<(Level, SiteId, Residual)>,
}

/// A residual as it enters the bill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Residual {
    /// Microseconds added to the prior.
    pub residual_us: i32,
    /// Samples behind it at this level.
    pub samples: u32,
}
