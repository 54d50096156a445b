//! The estimator: measured cells to shrunken residuals.
//!
//! Groups of clients form a chain from everyone to a prefix. A group has a common part (its access
//! is slow to every site) and a part of each site, both drawn towards the parent by `n / (n + 1)`,
//! where n counts client prefixes: a thousand samples of one prefix are still one prefix's word
//! about its carrier. On public data (latency/README.md's protocol, see `examples/latency.rs`) the
//! continent's level gives most of the gain and the common part helps where few sites are measured.

use std::collections::{BTreeMap, HashMap, HashSet};

use geo_data::LocaleTable;
use ipnet::IpNet;
use model::Policy;
use model::geo::{Country, Locale};
use model::site::SiteId;

use super::{EVERY_OTHER_SITE, LatencyMap, Level, Residual, WHOLE};
use crate::bill::Bill;
use crate::place::Place;

/// Light in fibre goes 200 km a millisecond, so a round trip under km/100 ms is impossible: the
/// sample or the place is wrong. In microseconds that is metres over this.
const IMPOSSIBLE_M_PER_US: u32 = 100;
/// A prefix speaks for itself only from so many samples on.
const PREFIX_SAMPLES_MIN: u64 = 50;
/// And only when it differs from its group by more than this,
const PREFIX_DIFFERENCE_US: i64 = 5_000;
/// or by this part of what was expected, whichever is more.
const PREFIX_DIFFERENCE_PERCENT: i64 = 15;
/// The most prefixes with rows of their own; the most measured ones stay.
pub const PREFIXES_MAX: usize = 65_536;

/// What was measured between one client prefix and one site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cell {
    /// The clients.
    pub prefix: IpNet,
    /// The site.
    pub site: SiteId,
    /// Samples.
    pub count: u64,
    /// Their mean in microseconds.
    pub mean_us: u32,
    /// The least in microseconds.
    pub min_us: u32,
}

/// A fitted map and what was kept out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fit {
    /// The residuals.
    pub map: LatencyMap,
    /// Cells that entered.
    pub used: usize,
    /// Cells faster than light in fibre: the locale or the sample is wrong.
    pub impossible: usize,
    /// Cells whose client or site has no known place, or whose site is not of the policy.
    pub placeless: usize,
}

/// A cell that entered: what it says beyond the prior.
#[derive(Debug, Clone, Copy)]
struct Sample {
    prefix: IpNet,
    site: SiteId,
    count: u64,
    beyond_us: i64,
    prior_us: i64,
}

/// Fits residuals to cells. Each (prefix, site) should be there once.
pub fn fit(policy: &Policy, locales: &LocaleTable, cells: &[Cell]) -> Fit {
    let places = places(policy, locales);
    let mut fitted = Fit::default();
    let mut groups: BTreeMap<Level, Group> = BTreeMap::new();
    let mut prefixes: BTreeMap<IpNet, Prefix> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.count > 0) {
        let locale = locales.lookup(cell.prefix.network()).locale;
        let site = places.get(usize::from(cell.site.0)).copied().flatten();
        let Some((here, there)) = place_of(locale, locales).zip(site) else {
            fitted.placeless += 1;
            continue;
        };
        let distance_m = here.distance_m(there);
        if cell.min_us < distance_m / IMPOSSIBLE_M_PER_US {
            fitted.impossible += 1;
            continue;
        }
        fitted.used += 1;
        let prior_us = i64::from(Bill::prior(distance_m).total_us());
        let beyond_us = i64::from(cell.mean_us) - prior_us;
        let Cell { prefix, site, count, .. } = *cell;
        let sample = Sample { prefix, site, count, beyond_us, prior_us };
        let mut parent = None;
        for level in chain(locale) {
            groups.entry(level).or_insert_with(|| Group::new(parent)).samples.push(sample);
            parent = Some(level);
        }
        let of_prefix = Prefix { parent, samples: Vec::new() };
        prefixes.entry(prefix).or_insert(of_prefix).samples.push(sample);
    }
    fitted.map = solve(groups, prefixes);
    fitted
}

fn places(policy: &Policy, locales: &LocaleTable) -> Vec<Option<Place>> {
    let centre = |site: &model::site::Site| locales.centre(site.country, site.subdivision);
    let point = |site: &model::site::Site| site.point.or_else(|| centre(site));
    policy.sites.iter().map(|site| point(site).map(Place::new)).collect()
}

fn place_of(locale: &Locale, locales: &LocaleTable) -> Option<Place> {
    let centre = || locales.centre(locale.country?, locale.subdivision);
    locale.point.or_else(centre).map(Place::new)
}

/// The groups of a client, coarse to fine; those of unknown fields are left out.
fn chain(locale: &Locale) -> impl Iterator<Item = Level> {
    let Locale { country, subdivision, isp, asn, city: _, point: _, area: _ } = locale;
    let (country, subdivision, isp, asn) = (*country, *subdivision, *isp, *asn);
    [
        Some(Level::World),
        country.and_then(Country::continent).map(Level::Continent),
        country.map(Level::Country),
        isp.zip(country).map(|(isp, country)| Level::IspCountry(isp, country)),
        isp.zip(subdivision).map(|(isp, subdivision)| Level::IspSubdivision(isp, subdivision)),
        asn.zip(subdivision).map(|(asn, subdivision)| Level::AsnSubdivision(asn, subdivision)),
    ]
    .into_iter()
    .flatten()
}

/// The clients of one level.
#[derive(Debug)]
struct Group {
    parent: Option<Level>,
    samples: Vec<Sample>,
}

impl Group {
    fn new(parent: Option<Level>) -> Self {
        Self { parent, samples: Vec::new() }
    }
}

/// One prefix's cells and the group it belongs to.
#[derive(Debug)]
struct Prefix {
    parent: Option<Level>,
    samples: Vec<Sample>,
}

/// A level that is solved.
#[derive(Debug, Default)]
struct Solved {
    parent: Option<Level>,
    common_us: i64,
    common_samples: u64,
    own: BTreeMap<SiteId, Own>,
}

/// A site's part of a level.
#[derive(Debug, Clone, Copy)]
struct Own {
    residual_us: i64,
    samples: u64,
    carrier_permille: u16,
    border_permille: u16,
}

/// Parents before children: the order of [`Level`] is coarse to fine.
fn solve(groups: BTreeMap<Level, Group>, prefixes: BTreeMap<IpNet, Prefix>) -> LatencyMap {
    let mut solved: HashMap<Level, Solved> = HashMap::new();
    for (level, Group { parent, samples }) in groups {
        let distinct: HashSet<IpNet> = samples.iter().map(|sample| sample.prefix).collect();
        let weight = |_: &Sample| 1;
        let of_level = Step { level, parent, solved: &solved };
        let fresh = of_level.solve(&samples, distinct.len() as u64, weight);
        solved.insert(level, fresh);
    }
    let mut own_voice: Vec<(u64, IpNet, Solved)> = Vec::new();
    for (prefix, Prefix { parent, samples }) in prefixes {
        let step = Step { level: Level::Prefix(prefix), parent, solved: &solved };
        let heard: Vec<Sample> =
            samples.into_iter().filter(|sample| sample.count >= PREFIX_SAMPLES_MIN).collect();
        if heard.iter().any(|sample| step.is_different(sample)) {
            let count = heard.iter().map(|sample| sample.count).sum();
            let fresh = step.solve(&heard, heard.len() as u64, |sample| sample.count);
            own_voice.push((count, prefix, fresh));
        }
    }
    own_voice.sort_by_key(|&(count, prefix, _)| (std::cmp::Reverse(count), prefix));
    own_voice.truncate(PREFIXES_MAX);
    let of_prefixes =
        own_voice.into_iter().map(|(_, prefix, fresh)| (Level::Prefix(prefix), fresh));
    rows(solved.into_iter().chain(of_prefixes))
}

/// One level being solved on top of its parents.
struct Step<'a> {
    level: Level,
    parent: Option<Level>,
    solved: &'a HashMap<Level, Solved>,
}

impl Step<'_> {
    /// `common_n` is the n of the common part; a sample's weight is its share in n of its site's.
    fn solve(&self, samples: &[Sample], common_n: u64, weight: impl Fn(&Sample) -> u64) -> Solved {
        let beyond_parent =
            samples.iter().map(|sample| sample.beyond_us - self.parent_us(sample.site));
        let count = i64::try_from(samples.len()).unwrap_or(i64::MAX).max(1);
        let mean_us = beyond_parent.sum::<i64>() / count;
        let common_us = shrink(0, mean_us, common_n);
        let mut sums: BTreeMap<SiteId, (i128, u64, u64)> = BTreeMap::new();
        for sample in samples {
            let (sum, n, seen) = sums.entry(sample.site).or_default();
            let weight = weight(sample);
            *sum += i128::from(sample.beyond_us) * i128::from(weight);
            *n += weight;
            *seen += sample.count;
        }
        let own = sums.into_iter().map(|(site, (sum, n, seen))| {
            let mean_us = i64::try_from(sum / i128::from(n.max(1))).unwrap_or(0);
            (site, self.own(site, (mean_us, n, seen), common_us))
        });
        Solved {
            parent: self.parent,
            common_us,
            common_samples: samples.iter().map(|sample| sample.count).sum(),
            own: own.collect(),
        }
    }

    fn own(&self, site: SiteId, (mean_us, n, samples): (i64, u64, u64), common_us: i64) -> Own {
        let before = self.parent.and_then(|parent| own_of(self.solved, parent, site));
        let wear = |level_from: bool, before: Option<u16>| {
            let before = before.unwrap_or(WHOLE);
            let left = u64::from(before) / if level_from { n.saturating_add(1) } else { 1 };
            u16::try_from(left).unwrap_or(WHOLE)
        };
        let is_of_country = !matches!(self.level, Level::World | Level::Continent(_));
        let is_of_carrier = is_of_country && !matches!(self.level, Level::Country(_));
        Own {
            residual_us: shrink(self.parent_us(site) + common_us, mean_us, n),
            samples,
            carrier_permille: wear(is_of_carrier, before.map(|own| own.carrier_permille)),
            border_permille: wear(is_of_country, before.map(|own| own.border_permille)),
        }
    }

    fn parent_us(&self, site: SiteId) -> i64 {
        self.parent.map_or(0, |parent| resolve(self.solved, parent, site))
    }

    /// Whether a prefix's cell is worth a word of its own.
    fn is_different(&self, sample: &Sample) -> bool {
        let parent_us = self.parent_us(sample.site);
        let difference_us = (sample.beyond_us - parent_us).abs();
        let expected_us = (sample.prior_us + parent_us).max(0);
        difference_us > PREFIX_DIFFERENCE_US.max(expected_us * PREFIX_DIFFERENCE_PERCENT / 100)
    }
}

/// What a solved level says of a site.
fn resolve(solved: &HashMap<Level, Solved>, level: Level, site: SiteId) -> i64 {
    let mut sum_us = 0;
    let mut at = Some(level);
    while let Some(of) = at.and_then(|level| solved.get(&level)) {
        if let Some(own) = of.own.get(&site) {
            return sum_us + own.residual_us;
        }
        sum_us += of.common_us;
        at = of.parent;
    }
    sum_us
}

/// The site's finest row from a level upwards.
fn own_of(solved: &HashMap<Level, Solved>, level: Level, site: SiteId) -> Option<Own> {
    let mut at = Some(level);
    while let Some(of) = at.and_then(|level| solved.get(&level)) {
        if let Some(own) = of.own.get(&site) {
            return Some(*own);
        }
        at = of.parent;
    }
    None
}

/// `parent + n/(n+1) * (mean - parent)`.
fn shrink(parent_us: i64, mean_us: i64, n: u64) -> i64 {
    let n = i128::from(n);
    let step = i128::from(mean_us - parent_us) * n / (n + 1);
    parent_us.saturating_add(i64::try_from(step).unwrap_or(0))
}

fn rows(solved: impl Iterator<Item = (Level, Solved)>) -> LatencyMap {
    let narrow = |us: i64| i32::try_from(us.clamp(i32::MIN.into(), i32::MAX.into())).unwrap_or(0);
    let count = |samples: u64| u32::try_from(samples).unwrap_or(u32::MAX);
    let mut residuals = Vec::new();
    for (level, of) in solved {
        residuals.extend(of.own.iter().map(|(&site, own)| {
            let Own { residual_us, samples, carrier_permille, border_permille } = *own;
            let residual_us = narrow(residual_us);
            let samples = count(samples);
            (level, site, Residual { residual_us, samples, carrier_permille, border_permille })
        }));
        if of.common_us != 0 {
            let common = Residual::new(narrow(of.common_us), count(of.common_samples));
            residuals.push((level, EVERY_OTHER_SITE, common));
        }
    }
    residuals.sort_unstable_by_key(|&(level, site, _)| (level, site));
    LatencyMap { residuals }
}
