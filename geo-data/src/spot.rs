//! Spots: the few points that stand for a large subdivision's cities in a table without cities.
//!
//! A subdivision whose addresses lie within [`RADIUS_KM`] of its centre has one point, the centre.
//! In a larger one (Texas, Queensland, São Paulo) spots are added where most addresses are still
//! further away than that, until all but a twentieth are near one. 150 km are about 1.5 ms of
//! round trip on fibre, less than what tells two sites apart.

use std::collections::{BTreeMap, HashMap};

use model::geo::{Country, Locale, Point, Subdivision};

use crate::centre::Centres;

/// Addresses nearer than this to a spot need no other.
const RADIUS_KM: f64 = 150.0;
/// The most spots of a subdivision.
const SPOTS_MAX: usize = 12;
/// Addresses are counted by cells of this size, in hundredths of a degree (about 25 km).
const CELL_CDEG: i16 = 25;

type Key = (Country, Option<Subdivision>);

/// Spots by country and subdivision.
#[derive(Debug, Default)]
pub(crate) struct Spots {
    by_key: HashMap<Key, Vec<Point>>,
}

impl Spots {
    /// Finds spots for facts with the number of addresses each has. Countries in `plain` keep one
    /// point per subdivision: their cities are not to be trusted.
    pub(crate) fn find<'a>(
        facts: impl Iterator<Item = (&'a Locale, u128)>,
        centres: &Centres,
        plain: &[Country],
    ) -> Self {
        let mut cells: BTreeMap<Key, BTreeMap<(i16, i16), Cell>> = BTreeMap::new();
        for (fact, weight) in facts {
            let (Some(country), Some(point)) = (fact.country, fact.point) else { continue };
            if weight > 0 && !plain.contains(&country) {
                let at =
                    (point.lat_cdeg.div_euclid(CELL_CDEG), point.lon_cdeg.div_euclid(CELL_CDEG));
                let cell =
                    cells.entry((country, fact.subdivision)).or_default().entry(at).or_default();
                cell.add(point, weight);
            }
        }
        let mut by_key = HashMap::new();
        for (key, cells) in cells {
            let Some(centre) = centres.of(key.0, key.1) else { continue };
            let cells: Vec<(Point, u128)> =
                cells.into_values().filter_map(Cell::heaviest).collect();
            let spots = cover(centre, &cells);
            if spots.len() > 1 {
                by_key.insert(key, spots);
            }
        }
        Self { by_key }
    }

    /// The spot for a fact's point; `None` when its subdivision's centre will do.
    pub(crate) fn nearest(&self, fact: &Locale) -> Option<Point> {
        let (country, point) = (fact.country?, fact.point?);
        let spots = self.by_key.get(&(country, fact.subdivision))?;
        let nearest = spots
            .iter()
            .enumerate()
            .min_by(|(_, a), (_, b)| square_km(point, **a).total_cmp(&square_km(point, **b)));
        nearest.filter(|&(at, _)| at > 0).map(|(_, &spot)| spot)
    }
}

/// The addresses of one cell by exact point.
#[derive(Debug, Default)]
struct Cell {
    weight: u128,
    points: BTreeMap<Point, u128>,
}

impl Cell {
    fn add(&mut self, point: Point, weight: u128) {
        self.weight += weight;
        *self.points.entry(point).or_default() += weight;
    }

    /// The point with most addresses, with the weight of the whole cell.
    fn heaviest(self) -> Option<(Point, u128)> {
        let (&point, _) = self.points.iter().max_by_key(|&(&point, &weight)| (weight, point))?;
        Some((point, self.weight))
    }
}

/// Spots, the centre first, that have all but a twentieth of the weight within the radius.
fn cover(centre: Point, cells: &[(Point, u128)]) -> Vec<Point> {
    let near = |a: Point, b: Point| square_km(a, b) <= RADIUS_KM * RADIUS_KM;
    let total: u128 = cells.iter().map(|&(_, weight)| weight).sum();
    let mut spots = vec![centre];
    while spots.len() < SPOTS_MAX {
        let far: Vec<&(Point, u128)> = cells
            .iter()
            .filter(|(point, _)| !spots.iter().any(|&spot| near(*point, spot)))
            .collect();
        if far.iter().map(|(_, weight)| weight).sum::<u128>() * 20 <= total {
            break;
        }
        let gain = |at: Point| -> u128 {
            far.iter().filter(|(point, _)| near(*point, at)).map(|(_, weight)| weight).sum()
        };
        // Of two that gain the same the heavier, then the one further south and west.
        let best = far
            .iter()
            .max_by_key(|(point, weight)| (gain(*point), *weight, std::cmp::Reverse(*point)));
        let Some(&&(best, _)) = best else { break };
        spots.push(best);
    }
    spots
}

/// Square of the distance, taking the ground between as flat: good enough to compare a few hundred
/// kilometres. Only sums and products, so that every machine builds the same table.
fn square_km(a: Point, b: Point) -> f64 {
    /// A hundredth of a degree of latitude.
    const KM_PER_CDEG: f64 = 1.112;
    let (lat_a, lat_b) = (f64::from(a.lat_cdeg), f64::from(b.lat_cdeg));
    let mut east = (f64::from(a.lon_cdeg) - f64::from(b.lon_cdeg)).abs();
    if east > 18_000.0 {
        east = 36_000.0 - east;
    }
    let (north, east) = ((lat_a - lat_b) * KM_PER_CDEG, east * KM_PER_CDEG);
    let shrink = cosine((lat_a + lat_b) / 2.0);
    north * north + east * east * shrink * shrink
}

/// Cosine by its series to the eighth power: exact to 0.0001 on the globe.
fn cosine(cdeg: f64) -> f64 {
    let x = cdeg / 100.0 * std::f64::consts::PI / 180.0;
    let square = x * x;
    1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(cc: &str, lat_cdeg: i16, lon_cdeg: i16) -> Locale {
        let point = Some(Point { lat_cdeg, lon_cdeg });
        Locale { country: Country::parse(cc), point, ..Locale::default() }
    }

    fn check(rows: &[(Locale, u128)], asked: &Locale) -> Option<(i16, i16)> {
        let centre = rows[0].0.point.unwrap();
        let centres =
            Centres::new(vec![(Country(*b"US"), centre), (Country(*b"CN"), centre)], vec![]);
        let spots =
            Spots::find(rows.iter().map(|(fact, n)| (fact, *n)), &centres, &[Country(*b"CN")]);
        spots.nearest(asked).map(|point| (point.lat_cdeg, point.lon_cdeg))
    }

    #[test]
    fn a_far_city_with_many_addresses_gets_a_spot() {
        let rows = [(fact("US", 3000, -9700), 900), (fact("US", 3180, -10640), 90)];
        assert_eq!(check(&rows, &rows[1].0), Some((3180, -10640)));
        assert_eq!(check(&rows, &rows[0].0), None);
        assert_eq!(check(&rows, &fact("US", 3100, -10600)), Some((3180, -10640)));
    }

    #[test]
    fn near_or_thin_addresses_do_not_nor_do_plain_countries() {
        let near = [(fact("US", 3000, -9700), 900), (fact("US", 3080, -9740), 900)];
        assert_eq!(check(&near, &near[1].0), None);
        let thin = [(fact("US", 3000, -9700), 990), (fact("US", 3180, -10640), 9)];
        assert_eq!(check(&thin, &thin[1].0), None);
        let plain = [(fact("CN", 3000, 9700), 900), (fact("CN", 3180, 10640), 900)];
        assert_eq!(check(&plain, &plain[1].0), None);
    }

    #[test]
    fn the_date_line_is_no_distance() {
        let a = Point { lat_cdeg: -1700, lon_cdeg: 17_990 };
        let b = Point { lat_cdeg: -1700, lon_cdeg: -17_990 };
        assert!(square_km(a, b) < 25.0 * 25.0);
        assert!((cosine(6000.0) - 0.5).abs() < 0.001);
    }
}
