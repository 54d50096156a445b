//! What a gateway counts: requests, refusals, round-trip times, and the access log beside them.
//!
//! Totals since the process's boot, so that a lost report is harmless. One ledger per gateway:
//! several gateways share a process and must not mix.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use metrics::Counter;
use model::name::SiteName;
use model::observe::LoadReport;

use crate::access_log::{LogSink, Record, Stamp};
use crate::breaker::Millis;
use crate::clock;
use crate::endpoint::{Endpoint, Outcome, Standing};
use crate::head::Fault;
use crate::meter::Durations;
use crate::relay::Moved;
use crate::report::RttTable;
use crate::stream::{Over, Reason};
use crate::tally::Tally;

/// The counters of one gateway.
pub(crate) struct Ledger {
    /// Whose.
    pub(crate) site: SiteName,
    /// RTT cells.
    pub(crate) rtt: RttTable,
    log: LogSink,
    requests: AtomicU64,
    errors: AtomicU64,
    refused: AtomicU64,
    in_flight: AtomicU32,
    /// Of whole requests.
    pub(crate) durations: Durations,
    /// Of what endpoints took to answer.
    pub(crate) backend_durations: Durations,
    /// Of compiling documents and putting them in force.
    pub(crate) reload_durations: Durations,
    /// Reloads, by whether everything could be used.
    pub(crate) reloads: Tally<1>,
    /// TLS handshakes that came to a good end, by version and whether they were resumed.
    pub(crate) handshakes: Tally<2>,
    /// TLS handshakes that did not.
    pub(crate) handshake_faults: Tally<1>,
    /// Requests that no backend's answer settled, by the access log's reason.
    pub(crate) unforwarded: Tally<1>,
    /// Endpoints taken out, by who found them at fault.
    pub(crate) ejections: Tally<1>,
    /// By the first digit of the status; 0 is no status.
    by_class: [Counter; 6],
    refusals: Counter,
    retries: Counter,
    mirrors_dropped: Counter,
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ledger").field("site", &self.site).finish_non_exhaustive()
    }
}

impl Ledger {
    /// Empty counters.
    pub(crate) fn new(site: SiteName, log: LogSink) -> Self {
        let name = site.as_str().to_owned();
        let class = |class: &'static str| metrics::counter!("nearside_gateway_requests_total", "site" => name.clone(), "class" => class);
        Self {
            by_class: ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            refusals: metrics::counter!("nearside_gateway_refused_total", "site" => name.clone()),
            retries: metrics::counter!("nearside_gateway_retries_total", "site" => name.clone()),
            mirrors_dropped: metrics::counter!("nearside_gateway_mirrors_dropped_total", "site" => name.clone()),
            site,
            rtt: RttTable::default(),
            log,
            requests: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            in_flight: AtomicU32::new(0),
            durations: Durations::default(),
            backend_durations: Durations::default(),
            reload_durations: Durations::default(),
            reloads: Tally::new(["result"]),
            handshakes: Tally::new(["version", "resumed"]),
            handshake_faults: Tally::new(["reason"]),
            unforwarded: Tally::new(["reason"]),
            ejections: Tally::new(["by"]),
        }
    }

    /// A request is under way until the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight { ledger: Arc::clone(self) }
    }

    /// A request came to its end with this status (0: the client left).
    pub(crate) fn finished(&self, status: u16, duration_us: u64, backend_us: Option<u32>) {
        self.durations.observe(duration_us);
        if let Some(backend_us) = backend_us {
            self.backend_durations.observe(u64::from(backend_us));
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        if status >= 500 {
            self.errors.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(counter) = self.by_class.get(usize::from(status / 100)) {
            counter.increment(1);
        }
    }

    /// An attempt after the first.
    pub(crate) fn retried(&self) {
        self.retries.increment(1);
    }

    /// Documents were compiled and are in force; so many things in them are not used.
    pub(crate) fn reloaded(&self, took: Duration, left_out: usize) {
        self.reload_durations.observe(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
        self.reloads.count([if left_out == 0 { "whole" } else { "in-part" }]);
    }

    /// Learns how a request went at an endpoint that it may take out.
    pub(crate) fn observe(&self, endpoint: &Endpoint, outcome: Outcome, now: Millis) {
        if endpoint.observe(outcome, now) == Standing::Ejected {
            self.ejections.count(["requests"]);
        }
    }

    /// A copy for a mirror was not sent.
    pub(crate) fn mirror_dropped(&self) {
        self.mirrors_dropped.increment(1);
    }

    /// A head was refused before it became a request.
    pub(crate) fn refused(&self, client: IpAddr, fault: Fault) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.refusals.increment(1);
        self.unforwarded.count([fault.code()]);
        self.log(|| Record {
            protocol: "HTTP/1.1",
            status: fault.status(),
            reason: fault.code(),
            ..self.blank(client)
        });
    }

    /// A record of now that says nothing yet.
    pub(crate) fn blank<'a>(&'a self, client: IpAddr) -> Record<'a> {
        Record {
            time: Stamp::of(clock::wall()),
            site: self.site.as_str(),
            client,
            method: "",
            host: "",
            path: "",
            scheme: "",
            protocol: "",
            status: 0,
            body_octets: 0,
            duration_us: 0,
            backend_us: None,
            route: None,
            backend: None,
            endpoint: None,
            retries: 0,
            reason: "",
            trace: None,
        }
    }

    /// A connection or flow of octets came to its end.
    pub(crate) fn streamed(&self, over: Over, reason: Reason, moved: Moved) {
        let site = self.site.as_str();
        let labels = [("site", site.to_owned()), ("over", over.as_str().to_owned())];
        let total = metrics::counter!(
            "nearside_gateway_streams_total",
            "site" => site.to_owned(), "over" => over.as_str(), "reason" => reason.code()
        );
        total.increment(1);
        metrics::counter!("nearside_gateway_stream_octets_up_total", &labels).increment(moved.up);
        metrics::counter!("nearside_gateway_stream_octets_down_total", &labels)
            .increment(moved.down);
    }

    /// Writes a line, built only when somebody reads it.
    pub(crate) fn log<'a>(&self, record: impl FnOnce() -> Record<'a>) {
        if self.log.is_on() {
            self.log.write(&record());
        }
    }

    /// Access log lines that were dropped.
    pub(crate) fn log_lines_dropped(&self) -> u64 {
        self.log.dropped()
    }

    /// Heads refused.
    pub(crate) fn refused_total(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The totals.
    pub(crate) fn load(&self) -> LoadReport {
        LoadReport {
            requests_total: self.requests.load(Ordering::Relaxed),
            errors_total: self.errors.load(Ordering::Relaxed),
            in_flight: self.in_flight.load(Ordering::Relaxed),
        }
    }
}

/// Counts a request as under way.
#[derive(Debug)]
pub(crate) struct InFlight {
    ledger: Arc<Ledger>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.ledger.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
