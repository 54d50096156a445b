//! Clients' round-trip times by prefix and site, decayed: the raw material of the latency map.
//!
//! Cells are keyed by the site's name, because ids move with every policy. Weights halve each hour,
//! so that an old measurement fades instead of being argued with. The residuals themselves are
//! fitted by `steering`, with the distance model they correct. Rule: at most [`CELLS_MAX`] cells;
//! the lightest go first.

use std::collections::BTreeMap;

use ipnet::IpNet;
use model::{Policy, SiteName};
use serde::{Deserialize, Serialize};
use steering::latency;

use crate::observe::RttSample;

/// Cells kept: two hundred thousand are about 16 MB.
pub const CELLS_MAX: usize = 200_000;
/// Weights halve in this time (planner.md: half-life 1 h).
const HALF_LIFE_MS: f64 = 3_600_000.0;
/// Below this weight a cell says nothing any more.
const WEIGHT_MIN: f64 = 0.5;
/// A cell's weight saturates here, so that a busy hour does not bind the next one.
const WEIGHT_MAX: f64 = 10_000.0;

/// One prefix as one site sees it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cell {
    /// Decayed count of samples.
    pub weight: f64,
    /// Decayed mean in microseconds.
    pub mean_us: f64,
    /// The least since the cell last faded, in microseconds.
    pub min_us: u32,
    /// When it was last brought up to date, in Unix milliseconds.
    pub at_unix_ms: u64,
}

/// Every cell.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cells {
    cells: BTreeMap<(IpNet, SiteName), Cell>,
}

impl Cells {
    /// Takes a site's samples in.
    pub fn take(&mut self, site: &SiteName, samples: &[RttSample], now_unix_ms: u64) {
        for sample in samples {
            let (count, sum) = (to_f64(sample.count), to_f64(sample.sum_us));
            let key = (sample.prefix, site.clone());
            let cell = self.cells.entry(key).or_insert(Cell {
                weight: 0.0,
                mean_us: 0.0,
                min_us: u32::MAX,
                at_unix_ms: now_unix_ms,
            });
            let old = cell.weight * decay(cell.at_unix_ms, now_unix_ms);
            let faded = old < WEIGHT_MIN;
            cell.min_us = if faded { sample.min_us } else { cell.min_us.min(sample.min_us) };
            let total = old + count;
            cell.mean_us = (cell.mean_us * old + sum) / total;
            cell.weight = total.min(WEIGHT_MAX);
            cell.at_unix_ms = now_unix_ms;
        }
        if self.cells.len() > CELLS_MAX {
            self.thin(now_unix_ms);
        }
    }

    /// The cells of the policy's sites by their ids, with their weights as of now as counts.
    pub fn now(&self, policy: &Policy, now_unix_ms: u64) -> Vec<latency::Cell> {
        let current = |((prefix, site), cell): (&(IpNet, SiteName), &Cell)| {
            let site = policy.site_id(site.as_str())?;
            let weight = cell.weight * decay(cell.at_unix_ms, now_unix_ms);
            (weight >= WEIGHT_MIN).then_some(latency::Cell {
                prefix: *prefix,
                site,
                count: u64::from(whole(weight)),
                mean_us: whole(cell.mean_us),
                min_us: cell.min_us,
            })
        };
        self.cells.iter().filter_map(current).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Drops what has faded and, if that is not enough, the lightest, down to nine tenths.
    fn thin(&mut self, now_unix_ms: u64) {
        let weight = |cell: &Cell| cell.weight * decay(cell.at_unix_ms, now_unix_ms);
        self.cells.retain(|_, cell| weight(cell) >= WEIGHT_MIN);
        if self.cells.len() <= CELLS_MAX {
            return;
        }
        let mut weights: Vec<f64> = self.cells.values().map(weight).collect();
        let excess = self.cells.len() - CELLS_MAX / 10 * 9;
        let (_, &mut bar, _) = weights.select_nth_unstable_by(excess - 1, f64::total_cmp);
        let mut spare = excess;
        self.cells.retain(|_, cell| {
            let drop = spare > 0 && weight(cell) <= bar;
            spare -= usize::from(drop);
            !drop
        });
    }
}

fn decay(since_unix_ms: u64, now_unix_ms: u64) -> f64 {
    let age_ms = to_f64(now_unix_ms.saturating_sub(since_unix_ms));
    (-age_ms / HALF_LIFE_MS).exp2()
}

/// Rounded, and within what a `u32` holds (an RTT of over an hour is none).
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, which is what is wanted"
)]
fn whole(value: f64) -> u32 {
    value.round() as u32
}

#[expect(clippy::cast_precision_loss, reason = "counts and times are far below 2^53")]
fn to_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests;
