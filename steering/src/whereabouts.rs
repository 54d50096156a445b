//! Whereabouts: a client told by its place instead of its address, and the decision for it.
//!
//! An access network knows the cell of a phone long before any database knows its address. The
//! place goes through the same ranking, shares and health as an address; only the look-up of a
//! compiled leaf is replaced by ranking the pool for this one client. Pure like all of it.

use std::net::IpAddr;

use model::geo::{Area, Country, Isp, Locale, Point, Subdivision};
use model::isp::parse_isp;
use model::service::{Class, GlobalService, ServiceId};
use serde::{Deserialize, Serialize};

use crate::atlas::Atlas;
use crate::cut::key_v6;
use crate::decide::{Decision, Found, ServiceState, choose};
use crate::latency::Index;
use crate::map::{Leaf, Reach};
use crate::rank::{Given, Ranker};
use crate::share::Block;
use crate::sight::Sight;
use crate::snapshot::Snapshot;

#[cfg(test)]
mod tests;

/// The longest cell id taken; a 5G one (NCGI) is 36 bits and a network's number.
const CELL_OCTETS_MAX: usize = 64;

/// What a caller says of a client's place, not yet looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claim {
    cell: Option<Box<str>>,
    area: Option<Area>,
    lat_cdeg: Option<i16>,
    lon_cdeg: Option<i16>,
    country: Option<Country>,
    subdivision: Option<Subdivision>,
    isp: Option<Isp>,
    class: Option<Class>,
}

/// Why a claim is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// A value that cannot be read.
    #[error("`{key}` is not {wanted}")]
    Invalid {
        /// Which.
        key: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Half a place.
    #[error("`{missing}` is missing beside `{given}`")]
    Half {
        /// What is there.
        given: &'static str,
        /// What is not.
        missing: &'static str,
    },
    /// Two of which each says where the client is.
    #[error("`{one}` and `{other}` exclude each other")]
    Exclusive {
        /// The first.
        one: &'static str,
        /// The second.
        other: &'static str,
    },
    /// A class or a carrier of nowhere: an address is answered from the compiled map, which has the
    /// service's own class and knows its carrier.
    #[error(
        "`{given}` needs a place; help: give `lat` and `lon`, `cell`, `area`, `subdivision` or `country`"
    )]
    NoPlace {
        /// What is there.
        given: &'static str,
    },
    /// No LocaleMap has the cell.
    #[error("no LocaleMap has the cell `{0}`")]
    UnknownCell(Box<str>),
    /// No LocaleMap has the area.
    #[error("no LocaleMap has the area `{0}`")]
    UnknownArea(Area),
}

impl Claim {
    /// The keys that a claim is made of, as queries and flags have them.
    pub const KEYS: [&'static str; 8] =
        ["lat", "lon", "cell", "area", "country", "subdivision", "isp", "class"];

    /// Reads a claim from its parts; `None` when there are none.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn read(
        mut take: impl FnMut(&'static str) -> Option<String>,
    ) -> Result<Option<Self>, ClaimError> {
        let mut claim = Self::default();
        for key in Self::KEYS {
            if let Some(text) = take(key) {
                claim.set(key, &text)?;
            }
        }
        if claim == Self::default() { Ok(None) } else { claim.checked().map(Some) }
    }

    fn set(&mut self, key: &'static str, text: &str) -> Result<(), ClaimError> {
        let known = match key {
            "lat" => set(&mut self.lat_cdeg, cdeg(text, 90)),
            "lon" => set(&mut self.lon_cdeg, cdeg(text, 180)),
            "cell" => set(&mut self.cell, cell(text)),
            "area" => set(&mut self.area, Area::parse(text).ok()),
            "country" => set(&mut self.country, country(text)),
            "subdivision" => set(&mut self.subdivision, subdivision(text)),
            "isp" => set(&mut self.isp, parse_isp(text)),
            _ => set(&mut self.class, Class::parse(text)),
        };
        let wanted = match key {
            "lat" => "a latitude in degrees, from -90 to 90",
            "lon" => "a longitude in degrees, from -180 to 180",
            "cell" => "a cell id of 1 to 64 octets",
            "area" => "an area of up to 24 letters, digits, `-`, `_` and `.`",
            "country" => "an ISO 3166-1 code, as in `CN`",
            "subdivision" => "an ISO 3166-2 code, as in `CN-GD`",
            "isp" => "a carrier: `ct`, `cu`, `cm`, `edu` or `AS4134`",
            _ => "`realtime`, `interactive` or `bulk`",
        };
        if known { Ok(()) } else { Err(ClaimError::Invalid { key, wanted }) }
    }

    fn checked(self) -> Result<Self, ClaimError> {
        let has_point = match (self.lat_cdeg, self.lon_cdeg) {
            (Some(_), Some(_)) => true,
            (None, None) => false,
            (Some(_), None) => return Err(ClaimError::Half { given: "lat", missing: "lon" }),
            (None, Some(_)) => return Err(ClaimError::Half { given: "lon", missing: "lat" }),
        };
        if self.cell.is_some() && self.area.is_some() {
            return Err(ClaimError::Exclusive { one: "cell", other: "area" });
        }
        let is_somewhere = has_point
            || self.cell.is_some()
            || self.area.is_some()
            || self.country.is_some()
            || self.subdivision.is_some();
        if is_somewhere {
            return Ok(self);
        }
        let given = if self.class.is_some() { "class" } else { "isp" };
        Err(ClaimError::NoPlace { given })
    }
}

fn set<T>(field: &mut Option<T>, value: Option<T>) -> bool {
    *field = value;
    field.is_some()
}

/// Degrees as hundredths of one.
fn cdeg(text: &str, degrees_max: i16) -> Option<i16> {
    let degrees: f64 = text.parse().ok()?;
    if !(-f64::from(degrees_max)..=f64::from(degrees_max)).contains(&degrees) {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, reason = "within 18,000 either way")]
    let cdeg = (degrees * 100.0).round() as i16;
    Some(cdeg)
}

fn cell(text: &str) -> Option<Box<str>> {
    (1..=CELL_OCTETS_MAX).contains(&text.len()).then(|| text.into())
}

fn country(text: &str) -> Option<Country> {
    Country::parse(text).filter(|country| country.continent().is_some())
}

fn subdivision(text: &str) -> Option<Subdivision> {
    let upper = text.to_ascii_uppercase();
    country(upper.split_once('-')?.0)?;
    Subdivision::parse(&upper).ok()
}

/// A client's place, and the class that it wants instead of the service's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Whereabouts {
    /// What is known of it.
    pub locale: Locale,
    /// The order of tiers; `None`: the service's own.
    pub class: Option<Class>,
}

impl Whereabouts {
    /// Looks a claim up. What it says itself goes before what its cell or area says.
    ///
    /// # Errors
    /// When nobody declared the cell or area.
    pub fn find(atlas: &Atlas, claim: &Claim) -> Result<Self, ClaimError> {
        let Claim { cell, area, lat_cdeg, lon_cdeg, country, subdivision, isp, class } = claim;
        let known = match (cell, *area) {
            (Some(id), _) => {
                Some(atlas.cell(id).ok_or_else(|| ClaimError::UnknownCell(id.clone()))?)
            }
            (None, Some(area)) => Some(atlas.area(area).ok_or(ClaimError::UnknownArea(area))?),
            (None, None) => None,
        };
        let mut locale = known.cloned().unwrap_or_default();
        if let Some(subdivision) = subdivision {
            locale.subdivision = Some(*subdivision);
            // A subdivision's code names its country.
            locale.country = subdivision.as_str().get(..2).and_then(Country::parse);
        }
        if let Some(country) = country {
            let is_inside = |of: &Subdivision| of.as_str().starts_with(country.as_str());
            locale.subdivision = locale.subdivision.filter(is_inside);
            locale.country = Some(*country);
        }
        locale.isp = isp.or(locale.isp);
        if let (Some(lat_cdeg), Some(lon_cdeg)) = (*lat_cdeg, *lon_cdeg) {
            locale.point = Some(Point { lat_cdeg, lon_cdeg });
        }
        Ok(Self { locale, class: *class })
    }
}

/// A snapshot made ready to decide by place.
#[derive(Debug)]
pub struct Locator {
    snapshot: Snapshot,
    residuals: Index,
}

impl Locator {
    /// Indexes a snapshot's measurement.
    pub fn new(snapshot: &Snapshot) -> Self {
        let residuals = Index::new(&snapshot.map.atlas.latency);
        Self { snapshot: snapshot.clone(), residuals }
    }

    /// The places that it knows.
    pub fn atlas(&self) -> &Atlas {
        &self.snapshot.map.atlas
    }

    /// Decides for a client at a place; `None` when there is no such service. `caller` is whose block
    /// of addresses shares and shifts go by.
    pub fn decide(
        &self,
        id: ServiceId,
        state: &ServiceState,
        at: &Whereabouts,
        caller: IpAddr,
    ) -> Option<Decision> {
        let service = self.snapshot.policy.services.get(id.0 as usize)?;
        let ranker = Ranker::at_place(&self.snapshot, service, &self.residuals, at);
        let sight = Sight::of_place(&at.locale);
        Some(Spot::new(&ranker, &sight, caller).decide(&ranker, state))
    }
}

/// A leaf made for one place.
pub(crate) struct Spot {
    pub(crate) leaf: Leaf,
    reach: Reach,
    block: Block,
    run: Block,
    scope_len: u8,
}

impl Spot {
    pub(crate) fn new(ranker: &Ranker<'_>, sight: &Sight, caller: IpAddr) -> Self {
        let orders = ranker.orders(sight, &[]);
        let ranked = ranker.rank(sight, &[], &orders);
        let sticky = ranker.service().steering.sticky;
        let mut leaf = ranker.leaf(sight, &ranked, &orders);
        (leaf.block_v4_len, leaf.block_v6_len) = (sticky.v4_len, sticky.v6_len);
        let (top, block_len, scope_len) = match caller.to_canonical() {
            IpAddr::V4(ip) => (u64::from(ip.to_bits()) << 32, sticky.v4_len, 32),
            IpAddr::V6(ip) => (key_v6(ip), sticky.v6_len, 128),
        };
        Self {
            leaf,
            reach: ranker.reach(sight, &orders),
            block: Block::new(top, block_len),
            run: Block::new(top, block_len),
            scope_len,
        }
    }

    pub(crate) fn decide(&self, ranker: &Ranker<'_>, state: &ServiceState) -> Decision {
        choose(&self.found(), state, &self.reach, |first| ranker.near(first).into())
    }

    /// As if it had been looked up.
    pub(crate) fn found(&self) -> Found<'_> {
        Found::at_place(&self.leaf, self.block, self.run, self.scope_len)
    }
}

impl<'a> Ranker<'a> {
    /// The ranker of clients at places, by what is served now. Sites that are out for long are
    /// passed over at the decision, as others are.
    pub(crate) fn at_place(
        snapshot: &'a Snapshot,
        service: &'a GlobalService,
        residuals: &'a Index,
        at: &Whereabouts,
    ) -> Self {
        let (policy, atlas) = (&*snapshot.policy, &snapshot.map.atlas);
        let given = Given { policy, atlas, drained: &snapshot.health.drained, long_out: &[] };
        Ranker::new(&given, service, residuals).with_class(at.class)
    }
}
