//! What the gateway tells the controller about clients' round-trip times.
//!
//! Cells are totals since boot by /24 and /48. The table is bounded: when it is full, the quarter
//! with the fewest samples makes room, so a cell may come back smaller than it was; a receiver that
//! sees fewer samples than before starts that cell's differences anew.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use ipnet::IpNet;
use model::observe::{RTT_CELLS_MAX, RttCell};

/// Cells kept; four times what one report carries, so that the busiest are known.
const CELLS_KEPT_MAX: usize = 4 * RTT_CELLS_MAX;

/// RTT samples by client prefix.
#[derive(Debug, Default)]
pub(crate) struct RttTable {
    cells: Mutex<HashMap<IpNet, Samples>>,
}

#[derive(Debug, Clone, Copy)]
struct Samples {
    count: u64,
    sum_us: u64,
    min_us: u32,
}

impl RttTable {
    /// Takes a sample; 0 means that the kernel has none yet.
    pub(crate) fn add(&self, client: IpAddr, rtt_us: u32) {
        let Some(prefix) = prefix_of(client) else { return };
        if rtt_us == 0 {
            return;
        }
        let mut cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        if cells.len() >= CELLS_KEPT_MAX && !cells.contains_key(&prefix) {
            forget_quietest(&mut cells);
        }
        let none = Samples { count: 0, sum_us: 0, min_us: u32::MAX };
        let cell = cells.entry(prefix).or_insert(none);
        cell.count += 1;
        cell.sum_us = cell.sum_us.saturating_add(u64::from(rtt_us));
        cell.min_us = cell.min_us.min(rtt_us);
    }

    /// The busiest cells, at most [`RTT_CELLS_MAX`], in the order of their prefixes.
    pub(crate) fn cells(&self) -> Vec<RttCell> {
        let cells = self.cells.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = |(prefix, samples): (&IpNet, &Samples)| RttCell {
            prefix: *prefix,
            count: samples.count,
            sum_us: samples.sum_us,
            min_us: samples.min_us,
        };
        let mut all: Vec<RttCell> = cells.iter().map(cell).collect();
        drop(cells);
        all.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.prefix.cmp(&b.prefix)));
        all.truncate(RTT_CELLS_MAX);
        all.sort_unstable_by_key(|cell| cell.prefix);
        all
    }
}

fn forget_quietest(cells: &mut HashMap<IpNet, Samples>) {
    let mut counts: Vec<(u64, IpNet)> = cells.iter().map(|(net, s)| (s.count, *net)).collect();
    counts.sort_unstable();
    for (_, net) in &counts[..counts.len() / 4] {
        cells.remove(net);
    }
}

/// The /24 or /48 of a client; IPv4 in IPv6 clothes is IPv4.
fn prefix_of(client: IpAddr) -> Option<IpNet> {
    let client = client.to_canonical();
    let length = if client.is_ipv4() { 24 } else { 48 };
    IpNet::new(client, length).ok().map(|net| net.trunc())
}

#[cfg(test)]
mod tests;
