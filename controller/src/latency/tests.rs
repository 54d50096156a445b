use proptest::prelude::*;

use super::*;
use crate::fixture::{self, site_name};

const HOUR_MS: u64 = 3_600_000;

fn sample(prefix: &str, count: u64, mean_us: u64) -> RttSample {
    let min_us = u32::try_from(mean_us).unwrap();
    RttSample { prefix: prefix.parse().unwrap(), count, sum_us: count * mean_us, min_us }
}

/// What one cell says at a time, rounded: weight and mean.
fn only(cells: &Cells, now_unix_ms: u64) -> Option<(u64, u64)> {
    let policy = fixture::policy(&["a", "b"], &[]);
    let all = cells.now(&policy, now_unix_ms);
    assert!(all.len() <= 1);
    all.first().map(|cell| (cell.count, u64::from(cell.mean_us)))
}

#[test]
fn weights_halve_each_hour_and_new_samples_outweigh_old_ones() {
    let mut cells = Cells::default();
    cells.take(&site_name("a"), &[sample("198.51.100.0/24", 100, 40_000)], 0);
    assert_eq!(only(&cells, 0), Some((100, 40_000)));
    assert_eq!(only(&cells, HOUR_MS), Some((50, 40_000)));
    cells.take(&site_name("a"), &[sample("198.51.100.0/24", 50, 20_000)], HOUR_MS);
    assert_eq!(only(&cells, HOUR_MS), Some((100, 30_000)));
    assert_eq!(only(&cells, 12 * HOUR_MS), None, "it has faded");
}

#[test]
fn a_site_that_left_the_policy_is_not_measured() {
    let mut cells = Cells::default();
    cells.take(&site_name("gone"), &[sample("198.51.100.0/24", 100, 40_000)], 0);
    assert_eq!(only(&cells, 0), None);
    assert_eq!(cells.len(), 1, "it may come back");
}

#[test]
fn the_lightest_cells_go_first() {
    let mut cells = Cells::default();
    let prefix = |at: u32| -> IpNet {
        let address = std::net::Ipv4Addr::from(at << 8);
        ipnet::Ipv4Net::new(address, 24).unwrap().into()
    };
    let over = u32::try_from(CELLS_MAX).unwrap() + 1;
    let samples: Vec<RttSample> = (0..over)
        .map(|at| {
            let count = if at < 10 { 1_000 } else { 1 + u64::from(at % 7) };
            RttSample { prefix: prefix(at), count, sum_us: count * 500, min_us: 500 }
        })
        .collect();
    cells.take(&site_name("a"), &samples, 0);
    assert_eq!(cells.len(), CELLS_MAX / 10 * 9);
    let kept = cells.now(&fixture::policy(&["a"], &[]), 0);
    let heavy = (0..10).filter(|&at| kept.iter().any(|cell| cell.prefix == prefix(at))).count();
    assert_eq!(heavy, 10);
}

proptest! {
    /// However samples come, the mean stays between the least and the greatest of them.
    #[test]
    fn the_mean_stays_within_what_was_measured(
        samples in prop::collection::vec((1_u64..500, 100_u64..400_000, 0_u64..HOUR_MS), 1..50),
    ) {
        let mut cells = Cells::default();
        let mut now_ms = 0;
        for &(count, mean_us, later_ms) in &samples {
            now_ms += later_ms;
            cells.take(&site_name("a"), &[sample("198.51.100.0/24", count, mean_us)], now_ms);
        }
        let (weight, mean_us) = only(&cells, now_ms).unwrap();
        let least = samples.iter().map(|(_, mean_us, _)| *mean_us).min().unwrap();
        let most = samples.iter().map(|(_, mean_us, _)| *mean_us).max().unwrap();
        prop_assert!((least..=most).contains(&mean_us));
        prop_assert!(weight >= 1);
    }
}
