//! A look into a running gateway, for whoever shows it to an operator.

use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use arc_swap::ArcSwap;
use model::name::SiteName;

use crate::certificate;
use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::listen::Sockets;
use crate::view::GatewayView;

/// Certificates of one site with a series of their own, those that end first.
const CERTIFICATE_SERIES_MAX: usize = 1_000;

/// A handle on a running gateway that reads and changes nothing. It may outlive the gateway; what it
/// shows then is the end.
#[derive(Clone)]
pub struct Insight {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) view: Arc<ArcSwap<GatewayView>>,
    pub(crate) clock: Clock,
    /// Not held: they are the gateway's to close.
    pub(crate) sockets: Weak<Sockets>,
}

impl std::fmt::Debug for Insight {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Insight").field("site", self.site()).finish_non_exhaustive()
    }
}

impl Insight {
    /// Whose gateway it is.
    #[must_use]
    pub fn site(&self) -> &SiteName {
        &self.ledger.site
    }
}

/// What the gateways of a process count beside what goes through the `metrics` facade, in Prometheus'
/// text format.
#[must_use]
pub fn metrics_text(gateways: &[Insight]) -> String {
    let mut text = String::new();
    type Of = fn(&Ledger) -> &crate::meter::Durations;
    let durations: [(&str, &str, Of); 3] = [
        (
            "nearside_gateway_request_seconds",
            "From the end of a request's head to the end of its response.",
            |ledger| &ledger.durations,
        ),
        (
            "nearside_gateway_backend_seconds",
            "From the choice of the endpoint that answered to its response's head.",
            |ledger| &ledger.backend_durations,
        ),
        (
            "nearside_gateway_reload_seconds",
            "From new documents to their being in force.",
            |ledger| &ledger.reload_durations,
        ),
    ];
    for (name, help, of) in durations {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for gateway in gateways {
            of(&gateway.ledger).write(name, gateway.site(), &mut text);
        }
    }
    tallies(gateways, &mut text);
    gauges(gateways, &mut text);
    let views: Vec<_> = gateways.iter().map(|one| (one.site(), one.view.load())).collect();
    if views.iter().any(|(_, view)| view.meters.is_on()) {
        text.push_str("# TYPE nearside_route_requests_total counter\n");
        text.push_str("# TYPE nearside_route_request_seconds_sum counter\n");
        for (site, view) in &views {
            view.meters.write(site, &mut text);
        }
    }
    text
}

/// What happened, by kind.
fn tallies(gateways: &[Insight], text: &mut String) {
    type Write = fn(&Ledger, &str, &SiteName, &mut String);
    let all: [(&str, &str, Write); 5] = [
        (
            "nearside_gateway_unforwarded_total",
            "Requests that no backend's answer settled, by the access log's reason.",
            |ledger, name, site, text| ledger.unforwarded.write(name, site, text),
        ),
        (
            "nearside_gateway_tls_handshakes_total",
            "TLS handshakes with clients that came to a good end.",
            |ledger, name, site, text| ledger.handshakes.write(name, site, text),
        ),
        (
            "nearside_gateway_tls_failures_total",
            "TLS handshakes with clients that failed.",
            |ledger, name, site, text| ledger.handshake_faults.write(name, site, text),
        ),
        (
            "nearside_gateway_ejections_total",
            "Endpoints taken out, by what found them at fault.",
            |ledger, name, site, text| ledger.ejections.write(name, site, text),
        ),
        (
            "nearside_gateway_reloads_total",
            "Documents put in force, by whether everything in them is used.",
            |ledger, name, site, text| ledger.reloads.write(name, site, text),
        ),
    ];
    for (name, help, write) in all {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} counter");
        for gateway in gateways {
            write(&gateway.ledger, name, gateway.site(), text);
        }
    }
}

/// What there is now. Certificates beyond the limit have no series of their own.
fn gauges(gateways: &[Insight], text: &mut String) {
    let mut gauge = |name: &str, help: &str, lines: &dyn Fn(&Insight) -> Vec<(String, i64)>| {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for gateway in gateways {
            let site = gateway.site();
            for (labels, value) in lines(gateway) {
                let _ = writeln!(text, "{name}{{site=\"{site}\"{labels}}} {value}");
            }
        }
    };
    gauge("nearside_gateway_endpoints", "Endpoints by state.", &|gateway| {
        let (view, now) = (gateway.view.load(), gateway.clock.now());
        let healthy = view.endpoints.values().filter(|one| one.is_healthy(now)).count();
        let out = view.endpoints.len() - healthy;
        vec![state("healthy", healthy), state("out", out)]
    });
    gauge("nearside_gateway_left_out", "Things in the documents that are not used.", &|gateway| {
        vec![(String::new(), count(gateway.view.load().warnings.len()))]
    });
    gauge("nearside_gateway_sockets", "Sockets by state.", &|gateway| {
        let summary = gateway.summary();
        vec![state("open", summary.sockets_open), state("failed", summary.sockets_failed.len())]
    });
    gauge(
        "nearside_certificate_not_after_seconds",
        "The end of a certificate's time, since the epoch, by its Secret.",
        &|gateway| {
            let view = gateway.view.load();
            let mut ends: Vec<(String, i64)> = view
                .keys
                .all()
                .filter_map(|(secret, key)| {
                    Some((format!(",name=\"{secret}\""), certificate::not_after_s(key)?))
                })
                .collect();
            // The ones that end first are the ones to know of.
            ends.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
            ends.truncate(CERTIFICATE_SERIES_MAX);
            ends
        },
    );
}

fn state(name: &str, number: usize) -> (String, i64) {
    (format!(",state=\"{name}\""), count(number))
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
