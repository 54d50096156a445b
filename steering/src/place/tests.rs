//! Distances against the haversine and known ones.

use model::geo::Point;
use proptest::prelude::{prop_assert, proptest};

use super::Place;

fn distance_m(a: (i16, i16), b: (i16, i16)) -> u32 {
    let place = |(lat_cdeg, lon_cdeg)| Place::new(Point { lat_cdeg, lon_cdeg });
    place(a).distance_m(place(b))
}

fn haversine_m(a: (i16, i16), b: (i16, i16)) -> f64 {
    let radians = |cdeg: i16| (f64::from(cdeg) / 100.0).to_radians();
    let (lat, other) = (radians(a.0), radians(b.0));
    let half_lat = (other - lat) / 2.0;
    let half_lon = (radians(b.1) - radians(a.1)) / 2.0;
    let h = half_lat.sin().powi(2) + lat.cos() * other.cos() * half_lon.sin().powi(2);
    2.0 * 6_371_008.8 * h.sqrt().min(1.0).asin()
}

#[test]
fn known_distances_hold() {
    // Paris to Kyiv is about 2,025 km; one hundredth of a degree on a meridian 1,112 m.
    let km = distance_m((4886, 235), (5045, 3052)) / 1000;
    assert!((2_015..2_035).contains(&km), "{km}");
    assert_eq!(distance_m((0, 0), (1, 0)), 1_112);
    assert_eq!(distance_m((2313, 11326), (2313, 11326)), 0);
    assert_eq!(distance_m((0, -18_000), (0, 18_000)), 0);
    assert_eq!(distance_m((9_000, 0), (-9_000, 0)), 20_015_114);
}

proptest! {
    #[test]
    fn the_chord_is_the_haversine(
        a in (-9000_i16..=9000, -18_000_i16..=18_000),
        b in (-9000_i16..=9000, -18_000_i16..=18_000),
    ) {
        let (chord, haversine) = (f64::from(distance_m(a, b)), haversine_m(a, b));
        // Near the antipode both lose digits: an ulp there is a tenth of a metre.
        prop_assert!((chord - haversine).abs() <= 1.5, "{} {}", chord, haversine);
        prop_assert!(distance_m(a, b) == distance_m(b, a));
    }
}
