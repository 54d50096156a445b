//! The latency map: what measurement says beyond the distance model, as residuals level by level.
//!
//! `R_l = R_parent + n/(n+n0) * (mean_l - R_parent)` (design.md section 4), from country down to
//! prefix. A residual is in microseconds and may be negative.

use std::collections::HashMap;

use ipnet::IpNet;
use model::geo::{Continent, Country, Isp, Subdivision};
use model::site::SiteId;
use serde::{Deserialize, Serialize};

use crate::sight::Sight;

/// The clients a residual is about, coarse to fine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Everyone: how much slower or faster the site itself is than its distance.
    World,
    /// A continent.
    Continent(Continent),
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

/// Residuals by level, for looking up a client's.
#[derive(Debug, Default)]
pub(crate) struct Index {
    by_level: HashMap<Level, Vec<(SiteId, Residual)>>,
}

impl Index {
    pub(crate) fn new(map: &LatencyMap) -> Self {
        let mut by_level: HashMap<Level, Vec<(SiteId, Residual)>> = HashMap::new();
        for &(level, site, residual) in &map.residuals {
            by_level.entry(level).or_default().push((site, residual));
        }
        for of_level in by_level.values_mut() {
            of_level.sort_by_key(|&(site, _)| site);
        }
        Self { by_level }
    }

    pub(crate) fn levels(&self) -> impl Iterator<Item = &Level> {
        self.by_level.keys()
    }

    pub(crate) fn prefixes(&self) -> impl Iterator<Item = IpNet> {
        self.by_level.keys().filter_map(|level| match level {
            Level::Prefix(prefix) => Some(*prefix),
            _ => None,
        })
    }

    /// The levels with data that a client belongs to, finest first; `prefixes` finest last.
    pub(crate) fn chain(&self, sight: &Sight, prefixes: &[IpNet]) -> Vec<OfLevel<'_>> {
        if self.by_level.is_empty() {
            return Vec::new();
        }
        let prefixes = prefixes.iter().rev().map(|&prefix| Some(Level::Prefix(prefix)));
        let coarser = levels_of(sight);
        let known = prefixes.chain(coarser).flatten();
        known
            .filter_map(|level| Some(OfLevel { level, residuals: self.by_level.get(&level)? }))
            .collect()
    }
}

/// The levels above prefixes that a client belongs to, finest first.
fn levels_of(sight: &Sight) -> [Option<Level>; 6] {
    let Sight { point: _, area: _, continent, country, subdivision, isp, asn } = *sight;
    [
        asn.zip(subdivision).map(|(asn, subdivision)| Level::AsnSubdivision(asn, subdivision)),
        isp.zip(subdivision).map(|(isp, subdivision)| Level::IspSubdivision(isp, subdivision)),
        isp.zip(country).map(|(isp, country)| Level::IspCountry(isp, country)),
        country.map(Level::Country),
        continent.map(Level::Continent),
        Some(Level::World),
    ]
}

/// The residuals of one level, by site.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OfLevel<'a> {
    level: Level,
    residuals: &'a [(SiteId, Residual)],
}

/// A client's residual for a site: the finest level's that has one.
pub(crate) fn finest(chain: &[OfLevel<'_>], site: SiteId) -> Option<(Level, Residual)> {
    chain.iter().find_map(|of| {
        let at = of.residuals.binary_search_by_key(&site, |&(id, _)| id).ok()?;
        Some((of.level, of.residuals[at].1))
    })
}
