//! Which fields of a record mean what.
//!
//! One list of paths per field holds every layout we know at once; the first path that is there wins:
//! MaxMind (nested maps), DB-IP (nested like MaxMind, or flat as in ip-location-db), IPinfo (flat,
//! `asn: "AS123"`, `loc: "lat,lon"`) and Chinese ones (`province`, `isp`).

use std::sync::Arc;

use model::geo::{Country, Locale, Point};

use crate::{isp, subdivision};

/// Paths to the fields of a record, most telling first; `.` goes into a map or, by number, a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldMap {
    /// ISO 3166-1 alpha-2.
    pub country: Vec<String>,
    /// ISO 3166-2, whole or the half after the `-`.
    pub subdivision_code: Vec<String>,
    /// The subdivision's name, English or Chinese.
    pub subdivision_name: Vec<String>,
    /// The city's name.
    pub city: Vec<String>,
    /// Degrees north.
    pub latitude: Vec<String>,
    /// Degrees east.
    pub longitude: Vec<String>,
    /// `latitude,longitude` in one text.
    pub location: Vec<String>,
    /// A number, or `AS` and a number.
    pub asn: Vec<String>,
    /// A carrier's name; only China's carriers' names are used, others follow from the ASN.
    pub isp: Vec<String>,
}

impl Default for FieldMap {
    /// Every layout we know.
    fn default() -> Self {
        let paths = |list: &[&str]| list.iter().map(|&path| path.to_owned()).collect();
        Self {
            country: paths(&[
                "country.iso_code",
                "country_code",
                "country",
                "country_iso_code",
                "registered_country.iso_code",
            ]),
            subdivision_code: paths(&[
                "subdivisions.0.iso_code",
                "region_code",
                "subdivision_1_iso_code",
                "provinceCode",
            ]),
            subdivision_name: paths(&[
                "subdivisions.0.names.en",
                "state1",
                "region",
                "stateprov",
                "region_name",
                "province",
            ]),
            city: paths(&["city.names.en", "city", "city_name"]),
            latitude: paths(&["location.latitude", "latitude", "lat"]),
            longitude: paths(&["location.longitude", "longitude", "lng", "lon"]),
            location: paths(&["loc"]),
            asn: paths(&[
                "autonomous_system_number",
                "asn",
                "traits.autonomous_system_number",
                "as_number",
            ]),
            isp: paths(&["isp"]),
        }
    }
}

impl FieldMap {
    /// Every path, for the search of columns.
    pub(super) fn all(&self) -> impl Iterator<Item = &String> {
        let Self {
            country,
            subdivision_code,
            subdivision_name,
            city,
            latitude,
            longitude,
            location,
            asn,
            isp,
        } = self;
        [country, subdivision_code, subdivision_name, city, latitude, longitude, location, asn, isp]
            .into_iter()
            .flatten()
    }

    /// Reads a record through `text`, which gives the text at a path. Values that make no sense
    /// (a country of three letters, a latitude of 200) are taken as missing.
    pub(super) fn locale<'r>(
        &self,
        text: impl Fn(&str) -> Option<std::borrow::Cow<'r, str>>,
    ) -> Locale {
        let first = |paths: &[String]| {
            paths.iter().filter_map(|path| text(path)).find(|value| !value.is_empty())
        };
        let country = first(&self.country).and_then(|value| Country::parse(&value));
        let mut locale = Locale { country, ..Locale::default() };
        if let Some(country) = locale.country {
            let coded =
                first(&self.subdivision_code).and_then(|value| subdivision::coded(country, &value));
            let region = coded.or_else(|| {
                first(&self.subdivision_name).and_then(|value| subdivision::named(country, &value))
            });
            if let Some(region) = region {
                locale.country = Some(region.country);
                locale.subdivision = region.subdivision;
            }
        } else if let Some(region) =
            first(&self.subdivision_name).and_then(|value| subdivision::chinese(&value))
        {
            // Databases of China alone have no column for the country.
            locale.country = Some(region.country);
            locale.subdivision = region.subdivision;
        }
        locale.city = first(&self.city).map(|value| Arc::from(value.as_ref()));
        let degrees = first(&self.latitude).zip(first(&self.longitude));
        locale.point = match degrees {
            Some((lat, lon)) => point(&lat, &lon),
            None => first(&self.location)
                .and_then(|value| value.split_once(',').and_then(|(lat, lon)| point(lat, lon))),
        };
        locale.asn = first(&self.asn).and_then(|value| asn(&value));
        locale.isp = first(&self.isp).and_then(|value| isp::named(&value));
        locale
    }
}

/// `AS4134`, `as4134` or `4134`; 0 is no AS (RFC 7607).
pub(super) fn asn(text: &str) -> Option<u32> {
    let text = text.trim();
    let digits = match text.get(..2) {
        Some(prefix) if prefix.eq_ignore_ascii_case("as") => &text[2..],
        _ => text,
    };
    digits.parse().ok().filter(|&number| number != 0)
}

fn point(lat: &str, lon: &str) -> Option<Point> {
    let cdeg = |text: &str, most: f64| {
        let degrees: f64 = text.trim().parse().ok()?;
        if degrees.abs() > most {
            return None;
        }
        #[expect(clippy::cast_possible_truncation, reason = "at most 18,000 either way")]
        Some((degrees * 100.0).round() as i16)
    };
    Some(Point { lat_cdeg: cdeg(lat, 90.0)?, lon_cdeg: cdeg(lon, 180.0)? })
}
