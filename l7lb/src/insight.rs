//! A look into a running gateway, for whoever shows it to an operator.

use std::fmt::Write as _;
use std::sync::Arc;

use arc_swap::ArcSwap;
use model::name::SiteName;

use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::view::GatewayView;

/// A handle on a running gateway that reads and changes nothing. It may outlive the gateway; what it
/// shows then is the end.
#[derive(Clone)]
pub struct Insight {
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) view: Arc<ArcSwap<GatewayView>>,
    pub(crate) clock: Clock,
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
    let durations: [(&str, &str, Of); 2] = [
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
    ];
    for (name, help, of) in durations {
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} histogram");
        for gateway in gateways {
            of(&gateway.ledger).write(name, gateway.site(), &mut text);
        }
    }
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
