use model::ObjectRef;
use model::observe::BackendReport;
use proptest::prelude::*;

use super::*;

fn backend(name: &str) -> BackendRef {
    BackendRef { object: ObjectRef::new("default", name), port: 80 }
}

fn site() -> SiteName {
    SiteName::new("gd-ct").unwrap()
}

fn report(boot_id: u64, sequence: u64, ready: &[(&str, u32)]) -> SiteReport {
    let backends = ready
        .iter()
        .map(|&(name, ready)| BackendReport { backend: backend(name), ready, total: 3 })
        .collect();
    let load = LoadReport::default();
    SiteReport { site: site(), boot_id, sequence, backends, load, rtt: Vec::new() }
}

fn cell(prefix: &str, count: u64, sum_us: u64) -> RttCell {
    RttCell { prefix: prefix.parse().unwrap(), count, sum_us, min_us: 100 }
}

#[test]
fn readiness_needs_every_backend_and_holds_when_stale() {
    let mut reports = Reports::default();
    let both = [backend("hello"), backend("db")];
    assert_eq!(reports.readiness(&site(), &both), Readiness::NeverReported);
    reports.merge(&report(1, 1, &[("hello", 2), ("db", 0)]), 0);
    assert_eq!(reports.readiness(&site(), &both), Readiness::NotReady);
    assert_eq!(reports.readiness(&site(), &both[..1]), Readiness::Ready);
    reports.merge(&report(1, 2, &[("hello", 2), ("db", 1)]), 1_000);
    assert_eq!(reports.readiness(&site(), &both), Readiness::Ready);
    assert_eq!(reports.last(&site()).unwrap().received_ms, 1_000, "nothing since: it holds");
    let unknown = [backend("never-named")];
    assert_eq!(reports.readiness(&site(), &unknown), Readiness::NotReady);
}

#[test]
fn what_is_not_newer_is_ignored() {
    let mut reports = Reports::default();
    let taken = Merged::Taken { samples: Vec::new(), ready_changed: true };
    let same = Merged::Taken { samples: Vec::new(), ready_changed: false };
    assert_eq!(reports.merge(&report(1, 5, &[("hello", 1)]), 0), taken);
    assert_eq!(reports.merge(&report(1, 5, &[("hello", 0)]), 1), Merged::Older);
    assert_eq!(reports.merge(&report(1, 4, &[("hello", 0)]), 2), Merged::Older);
    assert_eq!(reports.merge(&report(1, 6, &[("hello", 3)]), 3), same, "2 -> 3 is still ready");
    assert_eq!(reports.merge(&report(2, 1, &[("hello", 0)]), 4), taken, "a new boot counts anew");
    assert_eq!(reports.merge(&report(1, 7, &[("hello", 1)]), 5), Merged::Older, "a straggler");
    assert_eq!(reports.readiness(&site(), &[backend("hello")]), Readiness::NotReady);
}

#[test]
fn totals_become_differences_and_a_lost_report_costs_nothing() {
    let mut reports = Reports::default();
    let mut send = |boot_id, sequence, cells: &[RttCell]| {
        let mut report = report(boot_id, sequence, &[]);
        report.rtt = cells.to_vec();
        match reports.merge(&report, sequence * 1000) {
            Merged::Taken { samples, .. } => {
                samples.iter().map(|s| (s.prefix.to_string(), s.count, s.sum_us)).collect()
            }
            other => panic!("{other:?}"),
        }
    };
    let sample = |prefix: &str, count, sum_us| (prefix.to_owned(), count, sum_us);
    let first: Vec<_> = send(1, 1, &[cell("198.51.100.0/24", 10, 5_000)]);
    assert_eq!(first, [sample("198.51.100.0/24", 10, 5_000)]);
    // Report 2 was lost; 3 says it all.
    let third = send(1, 3, &[cell("198.51.100.0/24", 30, 25_000)]);
    assert_eq!(third, [sample("198.51.100.0/24", 20, 20_000)]);
    assert_eq!(send(1, 4, &[cell("198.51.100.0/24", 30, 25_000)]), [], "nothing new");
    assert_eq!(send(1, 5, &[cell("198.51.100.0/24", 3, 900)]), [], "totals never fall");
    let rebooted = send(2, 1, &[cell("198.51.100.0/24", 2, 400)]);
    assert_eq!(rebooted, [sample("198.51.100.0/24", 2, 400)]);
    // A finer prefix is folded; one that names no client, or a mean under the minimum, is dropped.
    let odd =
        [cell("203.0.113.7/32", 1, 300), cell("0.0.0.0/0", 1, 300), cell("192.0.2.0/24", 9, 9)];
    assert_eq!(send(2, 2, &odd), [sample("203.0.113.0/24", 1, 300)]);
}

#[test]
fn the_rate_is_per_second_between_two_reports() {
    let mut reports = Reports::default();
    let mut at = |sequence, requests_total, now_ms| {
        let mut report = report(1, sequence, &[]);
        report.load.requests_total = requests_total;
        reports.merge(&report, now_ms);
        reports.last(&site()).unwrap().rate_rps
    };
    assert_eq!(at(1, 1_000, 0), None);
    assert_eq!(at(2, 1_500, 2_000), Some(250));
    assert_eq!(at(3, 100, 3_000), None, "a total that fell says nothing");
}

#[test]
fn what_was_known_before_a_restart_stands_until_the_site_speaks() {
    let mut reports = Reports::default();
    let hello = [backend("hello")];
    reports.seed(&site(), &hello, Readiness::Ready);
    assert_eq!(reports.readiness(&site(), &hello), Readiness::Ready);
    assert_eq!(reports.readiness(&site(), &[backend("other")]), Readiness::NeverReported);
    reports.merge(&report(1, 1, &[("hello", 0)]), 0);
    assert_eq!(reports.readiness(&site(), &hello), Readiness::NotReady);
}

#[test]
fn an_oversized_report_changes_nothing() {
    let mut reports = Reports::default();
    let mut big = report(1, 1, &[]);
    big.rtt = vec![cell("198.51.100.0/24", 1, 200); RTT_CELLS_MAX + 1];
    assert_eq!(reports.merge(&big, 0), Merged::TooLarge);
    assert!(reports.last(&site()).is_none());
}

proptest! {
    /// However reports are lost, doubled and reordered, the sum of the differences is the newest
    /// total that arrived.
    #[test]
    fn differences_add_up_to_the_newest_total(
        steps in prop::collection::vec(0_u64..50, 1..40),
        arrivals in prop::collection::vec(any::<prop::sample::Index>(), 1..80),
    ) {
        let totals: Vec<u64> = steps.iter().scan(0, |sum, step| { *sum += step; Some(*sum) }).collect();
        let mut reports = Reports::default();
        let (mut sum, mut newest) = (0, None);
        for at in arrivals {
            let at = at.index(totals.len());
            let mut report = report(7, at as u64 + 1, &[]);
            report.rtt = vec![cell("198.51.100.0/24", totals[at], totals[at] * 500)];
            if let Merged::Taken { samples, .. } = reports.merge(&report, 0) {
                sum += samples.iter().map(|sample| sample.count).sum::<u64>();
                prop_assert!(newest.is_none_or(|n| at > n));
                newest = Some(at);
            }
        }
        prop_assert_eq!(sum, totals[newest.unwrap()]);
    }
}
