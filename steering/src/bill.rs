//! The bill: what a site costs a client in expected round-trip time, term by term.
//!
//! Integer microseconds, so that every node adds up the same and a printed bill is exact. The
//! prior is the modelled RTT of a distance; the residual is what measurement says beyond it.
//!
//! An unknown place is billed the mean distance between two places on the globe, the same for all
//! sites, so that the other terms decide; an unknown carrier or country costs no penalty.

use std::fmt;

use serde::{Deserialize, Serialize};

#[cfg(test)]
mod tests;

/// `a` of the prior: 8.2 ms. Least squares over the WonderProxy pings of 2020-07-19/20 between 246
/// servers (GeoDecConsensus/geodec, minimum of both directions, misplaced servers left out).
pub const PRIOR_BASE_US: u32 = 8_200;
/// `b` of the prior in nanoseconds per metre: 0.0187 ms a kilometre, from the same fit.
pub const PRIOR_NS_PER_M_TENTHS: u64 = 187;
/// Billed when a place is unknown: the mean great-circle distance between two random points of a
/// sphere, a quarter of the Earth's circumference.
pub const UNKNOWN_DISTANCE_M: u32 = 10_007_557;

/// What a site costs a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    /// The prior's constant.
    pub base_us: u32,
    /// The prior's distance term.
    pub distance_us: u32,
    /// The distance, or [`UNKNOWN_DISTANCE_M`].
    pub distance_m: u32,
    /// What measurement says beyond the prior; may be negative.
    pub residual_us: i32,
    /// The client's carrier is none of the site's.
    pub carrier_us: u32,
    /// The countries differ.
    pub border_us: u32,
}

impl Bill {
    /// The modelled part alone.
    pub fn prior(distance_m: u32) -> Self {
        let distance_us = (u64::from(distance_m) * PRIOR_NS_PER_M_TENTHS + 5_000) / 10_000;
        Self {
            base_us: PRIOR_BASE_US,
            distance_us: u32::try_from(distance_us).unwrap_or(u32::MAX),
            distance_m,
            ..Self::default()
        }
    }

    /// The sum, never below zero.
    pub fn total_us(&self) -> u32 {
        let terms = [self.base_us, self.distance_us, self.carrier_us, self.border_us];
        let sum = terms.into_iter().map(i64::from).sum::<i64>() + i64::from(self.residual_us);
        u32::try_from(sum.max(0)).unwrap_or(u32::MAX)
    }
}

/// Microseconds printed as milliseconds with one decimal, without a trailing `.0`.
pub(crate) struct Ms(pub(crate) i64);

impl fmt::Display for Ms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (self.0.abs() + 50) / 100;
        let sign = if self.0 < 0 && tenths > 0 { "-" } else { "" };
        if tenths % 10 == 0 {
            f.pad(&format!("{sign}{}", tenths / 10))
        } else {
            f.pad(&format!("{sign}{}.{}", tenths / 10, tenths % 10))
        }
    }
}

impl fmt::Display for Bill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = Ms(self.total_us().into());
        let (base, distance) = (Ms(self.base_us.into()), Ms(self.distance_us.into()));
        write!(f, "{total} ms = {base} base + {distance} distance ")?;
        if self.distance_m == UNKNOWN_DISTANCE_M {
            f.write_str("(place unknown)")?;
        } else {
            write!(f, "({} km)", (self.distance_m + 500) / 1000)?;
        }
        let sign = if self.residual_us < 0 { '-' } else { '+' };
        write!(f, " {sign} {} measured", Ms(i64::from(self.residual_us).abs()))?;
        let (carrier, border) = (Ms(self.carrier_us.into()), Ms(self.border_us.into()));
        write!(f, " + {carrier} carrier + {border} border")
    }
}
