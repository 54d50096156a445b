//! Sight: the fields of a client's locale that one policy can tell apart.
//!
//! Two clients of equal sight have equal leaves, so a policy that names no ASN need not be compiled
//! for 200,000 of them: the compiler ranks each sight once.

use geo_data::LocaleTable;
use model::geo::{Area, Continent, Country, Isp, Locale, Point, Subdivision};
use model::policy::{Fence, Match};
use model::service::{GlobalService, Rung};
use model::site::Site;

use crate::latency::{Index, Level};

/// What a policy sees of a client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct Sight {
    pub(crate) point: Option<Point>,
    pub(crate) continent: Option<Continent>,
    pub(crate) country: Option<Country>,
    pub(crate) subdivision: Option<Subdivision>,
    pub(crate) isp: Option<Isp>,
    pub(crate) area: Option<Area>,
    pub(crate) asn: Option<u32>,
}

/// Which fields make a difference.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lens {
    continent: bool,
    country: bool,
    subdivision: bool,
    isp: bool,
    area: bool,
    asn: bool,
}

impl Lens {
    /// The fields that a service's steering or its residuals look at. `service.rules` may be more
    /// than hold now: that only makes the lens finer than it must be.
    pub(crate) fn new(service: &GlobalService, residuals: &Index) -> Self {
        let mut lens = Self {
            isp: service.steering.carrier_penalty_us > 0,
            country: service.steering.border_penalty_us > 0,
            ..Self::default()
        };
        for rung in &service.steering.prefer {
            lens.add_rung(*rung);
        }
        let ruled = service.rules.iter().filter_map(|rule| match &rule.effect {
            model::policy::Effect::Fence(fence) => Some(fence),
            _ => None,
        });
        for fence in service.fence.iter().chain(ruled) {
            if let Fence::Match(rung) = fence {
                lens.add_rung(*rung);
            }
        }
        for rule in &service.rules {
            lens.add_match(&rule.matches);
        }
        for level in residuals.levels() {
            lens.add_level(level);
        }
        lens
    }

    fn add_rung(&mut self, rung: Rung) {
        self.continent |= rung.continent;
        self.country |= rung.country;
        self.subdivision |= rung.subdivision;
        self.isp |= rung.isp;
    }

    fn add_match(&mut self, matches: &Match) {
        self.continent |= !matches.continents.is_empty();
        self.country |= !matches.countries.is_empty();
        self.subdivision |= !matches.subdivisions.is_empty();
        self.isp |= !matches.isps.is_empty();
        self.area |= !matches.areas.is_empty();
        self.asn |= !matches.asns.is_empty();
    }

    fn add_level(&mut self, level: &Level) {
        match level {
            Level::World | Level::Prefix(_) => {}
            Level::Continent(_) => self.continent = true,
            Level::Country(_) => self.country = true,
            Level::IspCountry(..) => (self.isp, self.country) = (true, true),
            Level::IspSubdivision(..) => (self.isp, self.subdivision) = (true, true),
            Level::AsnSubdivision(..) => (self.asn, self.subdivision) = (true, true),
        }
    }

    /// What is seen of a locale.
    pub(crate) fn look(self, locale: &Locale, locales: &LocaleTable) -> Sight {
        let centre = || locales.centre(locale.country?, locale.subdivision);
        let country = locale.country;
        Sight {
            point: locale.point.or_else(centre),
            continent: country.filter(|_| self.continent).and_then(Country::continent),
            country: country.filter(|_| self.country),
            subdivision: locale.subdivision.filter(|_| self.subdivision),
            isp: locale.isp.filter(|_| self.isp),
            area: locale.area.filter(|_| self.area),
            asn: locale.asn.filter(|_| self.asn),
        }
    }
}

/// Whether a client and a site agree in every field of a rung. An unknown field never agrees.
pub(crate) fn agrees(rung: Rung, sight: &Sight, site: &Site) -> bool {
    let Rung { country, subdivision, isp, continent } = rung;
    (!country || sight.country == Some(site.country))
        && (!subdivision || sight.subdivision.is_some() && sight.subdivision == site.subdivision)
        && (!isp || sight.isp.is_some_and(|isp| site.isps.contains(&isp)))
        && (!continent || sight.continent.is_some() && sight.continent == site.country.continent())
}
