//! Places on the globe: unit vectors, and the great-circle distance between two of them.
//!
//! A chord between unit vectors costs one square root and one arc sine, where the haversine of
//! angles costs five calls; a compilation makes one vector a class and one a site.

use model::geo::Point;

#[cfg(test)]
mod tests;

/// The Earth's mean radius in metres (IUGG 1980: R1 = 6371.0088 km).
const EARTH_RADIUS_M: f64 = 6_371_008.8;

/// A point as a unit vector.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place([f64; 3]);

impl Place {
    /// The vector of a point.
    pub fn new(point: Point) -> Self {
        let (lat_sin, lat_cos) = radians(point.lat_cdeg).sin_cos();
        let (lon_sin, lon_cos) = radians(point.lon_cdeg).sin_cos();
        Self([lat_cos * lon_cos, lat_cos * lon_sin, lat_sin])
    }

    /// Metres along the great circle.
    pub fn distance_m(self, other: Self) -> u32 {
        let square = |axis: usize| (self.0[axis] - other.0[axis]).powi(2);
        let chord = (square(0) + square(1) + square(2)).sqrt();
        let metres = 2.0 * EARTH_RADIUS_M * (chord / 2.0).min(1.0).asin();
        whole(metres)
    }
}

fn radians(cdeg: i16) -> f64 {
    (f64::from(cdeg) / 100.0).to_radians()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "half the Earth's circumference is 2.1e7 m; `as` saturates and NaN is 0"
)]
fn whole(metres: f64) -> u32 {
    metres.round() as u32
}
