//! Sight: the fields of a client's locale that one policy can tell apart.
//!
//! Two clients of equal sight have equal leaves, so a policy that names two carriers need not be
//! compiled for 70,000 of them: the compiler ranks each sight once. Invariant: a value that no
//! site, rule, rung or residual names is never told from another such value.

use geo_data::LocaleTable;
use model::geo::{Area, Continent, Country, Isp, Locale, Point, Subdivision};
use model::policy::{Effect, Fence, Match};
use model::service::{GlobalService, Rung};
use model::site::Site;

use crate::latency::{Index, Level};

/// A field of which some values have names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum Seen<T> {
    /// No source knows it.
    #[default]
    Unknown,
    /// Known, and none of the named.
    Other,
    /// This one.
    Is(T),
}

impl<T: PartialEq + Copy> Seen<T> {
    pub(crate) fn named(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Unknown | Self::Other => None,
        }
    }

    pub(crate) fn is(self, value: T) -> bool {
        self == Self::Is(value)
    }
}

/// What a policy sees of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sight {
    pub(crate) point: Option<Point>,
    pub(crate) continent: Option<Continent>,
    pub(crate) country: Seen<Country>,
    pub(crate) subdivision: Option<Subdivision>,
    pub(crate) isp: Seen<Isp>,
    pub(crate) area: Option<Area>,
    pub(crate) asn: Option<u32>,
}

impl Sight {
    /// All that there is to see of a locale, whether a policy can tell it apart or not.
    pub(crate) fn whole(locale: &Locale, locales: &LocaleTable) -> Self {
        let centre = || locales.centre(locale.country?, locale.subdivision);
        Self { point: locale.point.or_else(centre), ..Self::of_place(locale) }
    }

    /// The same of a locale whose point is as good as it will get.
    pub(crate) fn of_place(locale: &Locale) -> Self {
        fn is<T>(value: Option<T>) -> Seen<T> {
            value.map_or(Seen::Unknown, Seen::Is)
        }
        Self {
            point: locale.point,
            continent: locale.country.and_then(Country::continent),
            country: is(locale.country),
            subdivision: locale.subdivision,
            isp: is(locale.isp),
            area: locale.area,
            asn: locale.asn,
        }
    }
}

/// The values that make a difference, each list sorted.
#[derive(Debug, Default)]
pub(crate) struct Lens {
    has_continents: bool,
    countries: Vec<Country>,
    subdivisions: Vec<Subdivision>,
    isps: Vec<Isp>,
    areas: Vec<Area>,
    asns: Vec<u32>,
}

impl Lens {
    /// The values that the sites of a pool, a service's steering and its residuals name.
    /// `service.rules` may be more than hold now: that only makes the lens finer than it must be.
    pub(crate) fn new<'a>(
        service: &GlobalService,
        sites: impl Iterator<Item = &'a Site>,
        residuals: &Index,
    ) -> Self {
        let mut lens = Self::default();
        for site in sites {
            lens.countries.push(site.country);
            lens.subdivisions.extend(site.subdivision);
            lens.isps.extend(&site.isps);
            lens.isps.extend(site.uplinks());
        }
        let fences = service.rules.iter().filter_map(|rule| match &rule.effect {
            Effect::Fence(Fence::Match(rung)) => Some(rung),
            _ => None,
        });
        let own_fence = service.fence.iter().filter_map(|fence| match fence {
            Fence::Match(rung) => Some(rung),
            Fence::Sites(_) => None,
        });
        let rungs: Vec<Rung> =
            service.steering.prefer.iter().chain(fences).chain(own_fence).copied().collect();
        lens.has_continents = rungs.iter().any(|rung| rung.continent);
        // Without a rung that asks for it, a subdivision of a site tells nobody apart.
        if !rungs.iter().any(|rung| rung.subdivision) {
            lens.subdivisions.clear();
        }
        for rule in &service.rules {
            lens.add_match(&rule.matches);
        }
        for level in residuals.levels() {
            lens.add_level(level);
        }
        lens.sorted()
    }

    /// A lens as fine as each of these.
    pub(crate) fn union<'a>(lenses: impl Iterator<Item = &'a Self>) -> Self {
        let mut union = Self::default();
        for Self { has_continents, countries, subdivisions, isps, areas, asns } in lenses {
            union.has_continents |= has_continents;
            union.countries.extend(countries);
            union.subdivisions.extend(subdivisions);
            union.isps.extend(isps);
            union.areas.extend(areas);
            union.asns.extend(asns);
        }
        union.sorted()
    }

    fn add_match(&mut self, matches: &Match) {
        let Match { continents, countries, subdivisions, isps, areas, asns, cidrs: _, window: _ } =
            matches;
        self.has_continents |= !continents.is_empty();
        self.countries.extend(countries);
        self.subdivisions.extend(subdivisions);
        self.isps.extend(isps);
        self.areas.extend(areas);
        self.asns.extend(asns);
    }

    fn add_level(&mut self, level: &Level) {
        match *level {
            Level::World | Level::Prefix(_) => {}
            Level::Continent(_) => self.has_continents = true,
            Level::Country(country) => self.countries.push(country),
            Level::IspCountry(isp, country) => {
                self.isps.push(isp);
                self.countries.push(country);
            }
            Level::IspSubdivision(isp, subdivision) => {
                self.isps.push(isp);
                self.subdivisions.push(subdivision);
            }
            Level::AsnSubdivision(asn, subdivision) => {
                self.asns.push(asn);
                self.subdivisions.push(subdivision);
            }
        }
    }

    fn sorted(mut self) -> Self {
        fn sort<T: Ord>(values: &mut Vec<T>) {
            values.sort_unstable();
            values.dedup();
        }
        sort(&mut self.countries);
        sort(&mut self.subdivisions);
        sort(&mut self.isps);
        sort(&mut self.areas);
        sort(&mut self.asns);
        self
    }

    /// What is seen of a locale.
    pub(crate) fn look(&self, locale: &Locale, locales: &LocaleTable) -> Sight {
        let centre = || locales.centre(locale.country?, locale.subdivision);
        let continent = locale.country.filter(|_| self.has_continents);
        Sight {
            point: locale.point.or_else(centre),
            continent: continent.and_then(Country::continent),
            country: see(&self.countries, locale.country),
            subdivision: see(&self.subdivisions, locale.subdivision).named(),
            isp: see(&self.isps, locale.isp),
            area: see(&self.areas, locale.area).named(),
            asn: see(&self.asns, locale.asn).named(),
        }
    }
}

fn see<T: Ord + Copy>(named: &[T], value: Option<T>) -> Seen<T> {
    match value {
        None => Seen::Unknown,
        Some(value) if named.binary_search(&value).is_ok() => Seen::Is(value),
        Some(_) => Seen::Other,
    }
}

/// Whether a client and a site agree in every field of a rung. An unknown field never agrees.
pub(crate) fn agrees(rung: Rung, sight: &Sight, site: &Site) -> bool {
    let Rung { country, subdivision, isp, continent } = rung;
    (!country || sight.country.is(site.country))
        && (!subdivision || sight.subdivision.is_some() && sight.subdivision == site.subdivision)
        && (!isp || sight.isp.named().is_some_and(|isp| site.isps.contains(&isp)))
        && (!continent || sight.continent.is_some() && sight.continent == site.country.continent())
}
