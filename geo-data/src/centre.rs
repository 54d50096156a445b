//! Centres of countries and subdivisions: where to put a client of whom nothing finer is known.
//!
//! They are centres of addresses, not of land: Alaska hardly moves the United States'.

use model::geo::{Country, Point, Subdivision};

/// Centres, looked up by subdivision and country.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Centres {
    countries: Vec<(Country, Point)>,
    subdivisions: Vec<(Subdivision, Point)>,
}

impl Centres {
    /// Takes centres in any order; of a key given twice the first stands.
    pub fn new(
        mut countries: Vec<(Country, Point)>,
        mut subdivisions: Vec<(Subdivision, Point)>,
    ) -> Self {
        countries.sort_by_key(|&(country, _)| country);
        countries.dedup_by_key(|&mut (country, _)| country);
        subdivisions.sort_by_key(|&(subdivision, _)| subdivision);
        subdivisions.dedup_by_key(|&mut (subdivision, _)| subdivision);
        Self { countries, subdivisions }
    }

    /// The centre of the subdivision, else of the country.
    pub fn of(&self, country: Country, subdivision: Option<Subdivision>) -> Option<Point> {
        subdivision
            .and_then(|wanted| find(&self.subdivisions, wanted))
            .or_else(|| find(&self.countries, country))
    }

    /// Whether the subdivision has a centre of its own.
    pub fn has(&self, subdivision: Subdivision) -> bool {
        find(&self.subdivisions, subdivision).is_some()
    }

    /// Countries in order.
    pub fn countries(&self) -> &[(Country, Point)] {
        &self.countries
    }

    /// Subdivisions in order.
    pub fn subdivisions(&self) -> &[(Subdivision, Point)] {
        &self.subdivisions
    }
}

fn find<T: Ord + Copy>(sorted: &[(T, Point)], wanted: T) -> Option<Point> {
    let at = sorted.binary_search_by_key(&wanted, |&(key, _)| key).ok()?;
    Some(sorted[at].1)
}
