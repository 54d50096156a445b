//! The latency map: what measurement says beyond the distance model, as residuals level by level.
//!
//! `R_l = R_parent + n/(n+n0) * (mean_l - R_parent)`, from everyone down to a prefix: measurement is
//! believed as far as there is any, and the distance model beneath it never goes away. A residual
//! is in microseconds and may be negative.

use std::collections::HashMap;

use ipnet::IpNet;
use model::geo::{Continent, Country, Isp, Subdivision};
use model::site::SiteId;
use serde::{Deserialize, Serialize};

use crate::sight::Sight;

mod fit;
#[cfg(test)]
mod tests;

pub use fit::{Cell, Fit, PREFIXES_MAX, fit};

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

/// In a [`LatencyMap`]: every site that has no row of its own at a level.
pub const EVERY_OTHER_SITE: SiteId = SiteId(u16::MAX);

/// Shrunken residuals, sorted by level and site.
///
/// A site's row says all: its parents' residuals are in it. The row of [`EVERY_OTHER_SITE`] is
/// added to what the coarser levels say: clients behind a slow access are slow to everyone, and a
/// site must not look better for never having been measured.
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
    /// What is left of the carrier penalty, in thousandths: a guess that measurement wears off.
    pub carrier_permille: u16,
    /// What is left of the border penalty.
    pub border_permille: u16,
}

impl Residual {
    /// A residual that leaves the penalties whole.
    pub fn new(residual_us: i32, samples: u32) -> Self {
        Self { residual_us, samples, carrier_permille: WHOLE, border_permille: WHOLE }
    }
}

/// A penalty that nothing wore off.
pub(crate) const WHOLE: u16 = 1000;

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
    let (country, isp) = (country.named(), isp.named());
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

impl OfLevel<'_> {
    fn of(&self, site: SiteId) -> Option<Residual> {
        let at = self.residuals.binary_search_by_key(&site, |&(id, _)| id).ok()?;
        Some(self.residuals[at].1)
    }
}

/// A client's residual for a site with the finest level that says something: the site's own row at
/// its finest level, and what finer levels add for every other site.
pub(crate) fn finest(chain: &[OfLevel<'_>], site: SiteId) -> Option<(Level, Residual)> {
    let mut finest: Option<(Level, Residual)> = None;
    let mut added_us = 0_i32;
    for of in chain {
        if let Some(own) = of.of(site) {
            let residual_us = own.residual_us.saturating_add(added_us);
            let (level, samples) =
                finest.map_or((of.level, own.samples), |(level, said)| (level, said.samples));
            return Some((level, Residual { residual_us, samples, ..own }));
        }
        if let Some(common) = of.of(EVERY_OTHER_SITE) {
            added_us = added_us.saturating_add(common.residual_us);
            finest.get_or_insert((of.level, common));
        }
    }
    finest.map(|(level, said)| (level, Residual::new(added_us, said.samples)))
}
