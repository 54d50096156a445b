//! The atlas: what a decision by place needs of a compilation beside the documents.
//!
//! A node has no geo table, so the places of sites, cells and areas travel with the map, as do the
//! measurement by locale and the windows that were open. Drains come with health. Invariant: a place
//! is told what an address of its locale is told by the map that the atlas came with.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::Policy;
use model::geo::{Area, Locale, Point};
use model::policy::Window;
use model::site::SiteId;
use serde::{Deserialize, Serialize};

use crate::compile::Inputs;
use crate::latency::{LatencyMap, Level};

#[cfg(test)]
mod tests;

/// Minutes of a week.
const WEEK_MIN: u16 = 7 * 24 * 60;

/// Places, measurement and open windows of one compilation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Atlas {
    /// By site: its coordinates, or else its subdivision's or country's centre.
    pub site_points: Vec<Option<Point>>,
    /// A minute of the week in which just those windows of rules were open that were open then. It is
    /// the first such minute, so that two maps of one state are equal.
    pub minute_of_week: u16,
    /// The operator's cells by id.
    pub cells: Vec<(Arc<str>, Locale)>,
    /// The operator's areas: what all that is said to be in one agrees on.
    pub areas: Vec<(Area, Locale)>,
    /// Measurement, but for what is known of single prefixes.
    pub latency: LatencyMap,
}

impl Atlas {
    /// The atlas of a compilation.
    pub(crate) fn new(inputs: &Inputs<'_>) -> Self {
        let Inputs { policy, policy_generation: _, locales, latency, .. } = *inputs;
        let point_of = |site: &model::site::Site| {
            site.point.or_else(|| locales.centre(site.country, site.subdivision))
        };
        let placed = |locale: &Locale| {
            let centre = || locales.centre(locale.country?, locale.subdivision);
            Locale { point: locale.point.or_else(centre), ..locale.clone() }
        };
        let cells = &policy.locale_overrides.cells;
        let by_locale = |(level, ..): &&(Level, SiteId, _)| !matches!(level, Level::Prefix(_));
        Self {
            site_points: policy.sites.iter().map(point_of).collect(),
            minute_of_week: first_minute_alike(policy, inputs.minute_of_week),
            cells: cells.iter().map(|(id, locale)| (Arc::clone(id), placed(locale))).collect(),
            areas: areas(policy).into_iter().map(|(area, it)| (area, placed(&it))).collect(),
            latency: LatencyMap {
                residuals: latency.residuals.iter().filter(by_locale).copied().collect(),
            },
        }
    }

    /// The locale of a cell.
    pub fn cell(&self, id: &str) -> Option<&Locale> {
        let at = self.cells.binary_search_by(|(known, _)| (**known).cmp(id)).ok()?;
        Some(&self.cells[at].1)
    }

    /// The locale of an area.
    pub fn area(&self, area: Area) -> Option<&Locale> {
        let at = self.areas.binary_search_by(|(known, _)| known.cmp(&area)).ok()?;
        Some(&self.areas[at].1)
    }
}

/// What the operator says of each area: the fields in which its prefixes and cells agree.
fn areas(policy: &Policy) -> BTreeMap<Area, Locale> {
    let overrides = &policy.locale_overrides;
    let clients = overrides.clients.iter().map(|(_, locale)| locale);
    let cells = overrides.cells.iter().map(|(_, locale)| locale);
    let mut areas: BTreeMap<Area, Locale> = BTreeMap::new();
    for locale in clients.chain(cells) {
        let Some(area) = locale.area else { continue };
        let agreed = areas.entry(area).or_insert_with(|| locale.clone());
        *agreed = common(agreed, locale);
    }
    areas
}

fn common(a: &Locale, b: &Locale) -> Locale {
    fn same<T: Clone + PartialEq>(a: &Option<T>, b: &Option<T>) -> Option<T> {
        a.clone().filter(|_| a == b)
    }
    Locale {
        country: same(&a.country, &b.country),
        subdivision: same(&a.subdivision, &b.subdivision),
        city: same(&a.city, &b.city),
        point: same(&a.point, &b.point),
        asn: same(&a.asn, &b.asn),
        isp: same(&a.isp, &b.isp),
        area: same(&a.area, &b.area),
    }
}

/// The first minute since which no window opened or closed.
fn first_minute_alike(policy: &Policy, minute_of_week: u16) -> u16 {
    let rules = policy.services.iter().flat_map(|service| &service.rules);
    let windows = rules.filter_map(|rule| rule.matches.window.as_ref());
    let since = |bound: u16| (minute_of_week + WEEK_MIN - bound) % WEEK_MIN;
    windows.flat_map(bounds).min_by_key(|&bound| since(bound)).unwrap_or(0)
}

/// Minutes of the week at which a window opens or closes.
fn bounds(window: &Window) -> impl Iterator<Item = u16> {
    let Window { days, start_min, length_min } = *window;
    let starts = (0..7).filter(move |day| days & (1 << day) != 0);
    starts.flat_map(move |day| {
        let start = day * 24 * 60 + start_min;
        [start % WEEK_MIN, (start + length_min) % WEEK_MIN]
    })
}
