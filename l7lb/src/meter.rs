//! Rate, errors and duration: of the whole gateway always, of each route when asked for.
//!
//! Counters of our own and not the exporter's: a route that is gone must leave no series behind, and
//! nothing may pile up between two scrapes. A route has at most five series, and at most so many
//! routes as the operator allows have series of their own; the others share `route="other"`.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::name::SiteName;

/// Upper bounds of the duration buckets: the client library's defaults, and two below them, because a
/// site nearby answers in a millisecond.
const BOUNDS_US: [u64; 13] = [
    1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000,
];
/// What routes without series of their own are counted under.
const OTHER: &str = "other";
/// Answers by the first digit of their status; a client that left before one is none of them.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// Durations in fixed buckets.
#[derive(Debug, Default)]
pub(crate) struct Durations {
    /// The last is for what is above every bound.
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Durations {
    /// Counts one.
    pub(crate) fn observe(&self, duration_us: u64) {
        let at = BOUNDS_US.partition_point(|&bound| bound < duration_us);
        self.buckets[at].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(duration_us, Ordering::Relaxed);
    }

    /// The series of one site, in Prometheus' text format.
    pub(crate) fn write(&self, name: &str, site: &SiteName, text: &mut String) {
        let mut below = 0;
        for (at, bucket) in self.buckets.iter().enumerate() {
            below += bucket.load(Ordering::Relaxed);
            let bound = BOUNDS_US.get(at).map_or_else(|| "+Inf".to_owned(), |&us| seconds(us));
            let _ = writeln!(text, "{name}_bucket{{site=\"{site}\",le=\"{bound}\"}} {below}");
        }
        let sum = seconds(self.sum_us.load(Ordering::Relaxed));
        let _ = writeln!(text, "{name}_sum{{site=\"{site}\"}} {sum}");
        let _ = writeln!(text, "{name}_count{{site=\"{site}\"}} {below}");
    }
}

/// Microseconds as seconds, without trailing zeros.
fn seconds(us: u64) -> String {
    let text = format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// What one route is counted by.
#[derive(Debug, Default)]
pub(crate) struct RouteMeter {
    by_class: [AtomicU64; CLASSES.len()],
    duration_us: AtomicU64,
}

impl RouteMeter {
    fn observe(&self, status: u16, duration: Duration) {
        let class = usize::from(status / 100).checked_sub(2).and_then(|at| self.by_class.get(at));
        if let Some(class) = class {
            class.fetch_add(1, Ordering::Relaxed);
            let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
            self.duration_us.fetch_add(us, Ordering::Relaxed);
        }
    }
}

/// The meters of a view's rules; empty when routes are not counted.
#[derive(Debug, Default)]
pub(crate) struct RouteMeters {
    /// As the view numbers its rules.
    by_rule: Vec<Arc<RouteMeter>>,
    by_id: HashMap<Arc<str>, Arc<RouteMeter>>,
    other: Arc<RouteMeter>,
}

impl RouteMeters {
    /// Meters for these rules by their numbers (some of which nothing has), the first `routes_max` with series of their own; one that was counted
    /// before goes on counting.
    pub(crate) fn follow<'r>(
        ids: impl Iterator<Item = Option<&'r Arc<str>>>,
        routes_max: usize,
        before: &Self,
    ) -> Self {
        let mut meters = Self { other: Arc::clone(&before.other), ..Self::default() };
        for id in ids {
            let Some(id) = id else {
                meters.by_rule.push(Arc::clone(&meters.other));
                continue;
            };
            let known = meters.by_id.get(id).map(Arc::clone);
            let kept = || before.by_id.get(id).map(Arc::clone);
            let meter = match known {
                Some(known) => known,
                None if meters.by_id.len() >= routes_max => Arc::clone(&meters.other),
                None => {
                    let meter = kept().unwrap_or_default();
                    meters.by_id.insert(Arc::clone(id), Arc::clone(&meter));
                    meter
                }
            };
            meters.by_rule.push(meter);
        }
        meters
    }

    /// Counts a request that met a rule.
    pub(crate) fn observe(&self, rule: u32, status: u16, duration: Duration) {
        if let Some(meter) = self.by_rule.get(rule as usize) {
            meter.observe(status, duration);
        }
    }

    /// Whether anything is counted.
    pub(crate) fn is_on(&self) -> bool {
        !self.by_rule.is_empty()
    }

    /// The series of one site's routes, in Prometheus' text format, in the order of their ids.
    pub(crate) fn write(&self, site: &SiteName, text: &mut String) {
        let mut routes: Vec<(&str, &RouteMeter)> =
            self.by_id.iter().map(|(id, meter)| (&**id, &**meter)).collect();
        routes.sort_unstable_by_key(|(id, _)| *id);
        if self.by_rule.iter().any(|meter| Arc::ptr_eq(meter, &self.other)) {
            routes.push((OTHER, &self.other));
        }
        for (id, meter) in &routes {
            for (class, count) in CLASSES.iter().zip(&meter.by_class) {
                let count = count.load(Ordering::Relaxed);
                let _ = writeln!(
                    text,
                    "nearside_route_requests_total{{site=\"{site}\",route=\"{id}\",class=\"{class}\"}} \
                     {count}"
                );
            }
        }
        for (id, meter) in &routes {
            let sum = seconds(meter.duration_us.load(Ordering::Relaxed));
            let _ = writeln!(
                text,
                "nearside_route_request_seconds_sum{{site=\"{site}\",route=\"{id}\"}} {sum}"
            );
        }
    }
}

#[cfg(test)]
mod tests;
