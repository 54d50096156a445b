//! The live view of a gateway as JSON: sockets, tables, rules, backends, certificates, what is left
//! out and what is said of the documents. Names of fields are an interface (docs/operating.md); keys
//! and secrets are never among the values.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::certificate;
use crate::explain::{self, BackendShown, cluster};
use crate::insight::Insight;
use crate::route::Considered;
use crate::rule::{Action, Rule};
use crate::socket::{Place, PlaceState, Plan, TableId, TlsAction, TlsPlan};
use crate::status::ObjectStatus;
use crate::view::GatewayView;

/// A gateway in a few numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewaySummary {
    /// Whose gateway.
    pub site: String,
    /// Sockets that are open.
    pub sockets_open: usize,
    /// Sockets that documents ask for and that cannot be opened.
    pub sockets_failed: Vec<String>,
    /// Rules of routes and Ingresses.
    pub rules: usize,
    /// Services' ports.
    pub backends: usize,
    /// Endpoints, each once.
    pub endpoints: usize,
    /// Of those, the ones that are down or ejected.
    pub endpoints_out: usize,
    /// Certificates in use.
    pub certificates: usize,
    /// Requests since boot.
    pub requests_total: u64,
    /// Of those, the ones answered with 5xx.
    pub errors_total: u64,
    /// Requests under way.
    pub in_flight: u32,
    /// Heads refused since boot.
    pub refused_total: u64,
    /// Access log lines dropped since boot.
    pub log_lines_dropped_total: u64,
    /// What of the documents is not used.
    pub left_out: Vec<LeftOut>,
}

/// Something in the documents that is not used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// `file:line`, or what the API server calls it.
    pub origin: String,
    /// What, and what happens instead.
    pub text: String,
}

/// Everything about a gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GatewayDump {
    /// The numbers.
    #[serde(flatten)]
    pub summary: GatewaySummary,
    /// Where it listens.
    pub sockets: Vec<SocketDump>,
    /// What is done there.
    pub places: Vec<PlaceDump>,
    /// Rules, as the places' tables name them.
    pub rules_by_id: Vec<RuleDump>,
    /// Services' ports with their endpoints.
    pub clusters: Vec<BackendShown>,
    /// Certificates, without keys.
    pub certificates_by_secret: Vec<CertificateDump>,
    /// What is said in the statuses of documents.
    pub statuses: Vec<StatusDump>,
}

/// One socket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SocketDump {
    /// As `explain-route` names it.
    pub place: String,
    /// Its address, when it is open.
    pub address: Option<String>,
    /// Why it is not.
    pub error: Option<String>,
}

/// What is done at one place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceDump {
    /// As `explain-route` names it.
    pub place: String,
    /// By server name, where TLS is spoken.
    pub server_names: Vec<ServerNameDump>,
    /// The route table, where HTTP is.
    pub table: Vec<EntryDump>,
    /// The stream that everything here belongs to, where there is one.
    pub stream: Option<String>,
}

/// What is done for one server name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerNameDump {
    /// `example.com`, `*.example.com` or `*`.
    pub name: String,
    /// `http`, `stream` or `passthrough`.
    pub action: String,
    /// The listener, where TLS is terminated.
    pub listener: Option<String>,
}

/// One match in a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryDump {
    /// `example.com`, `*.example.com` or `*`.
    pub host: String,
    /// `= /exact`, `~ expression` or `/prefix`.
    pub path: String,
    /// Which rule.
    pub rule: String,
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleDump {
    /// `kind/namespace/name#rule`.
    pub id: String,
    /// `forward` or `redirect`.
    pub action: String,
    /// `backend*weight`; `(none)` for what names nothing.
    pub backends: Vec<String>,
}

/// One certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateDump {
    /// The Secret, `namespace/name`.
    pub secret: String,
    /// What it is for, separated by commas.
    pub names: String,
    /// The end of its time, in seconds since the epoch.
    pub not_after_s: Option<i64>,
}

/// What is said of one document.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StatusDump {
    /// Its kind.
    pub kind: String,
    /// `namespace/name`.
    pub object: String,
    /// `metadata.generation` that it is about.
    pub generation: i64,
    /// `file:line`, or what the API server calls it.
    pub origin: String,
    /// `status` as written.
    pub status: Value,
}

impl Insight {
    /// The numbers.
    #[must_use]
    pub fn summary(&self) -> GatewaySummary {
        let view = self.view.load();
        let now = self.clock.now();
        let load = self.ledger.load();
        let sockets = self.sockets(&view);
        let failed = sockets
            .iter()
            .filter_map(|one| one.error.as_ref().map(|error| format!("{}: {error}", one.place)));
        GatewaySummary {
            site: self.site().to_string(),
            sockets_open: sockets.iter().filter(|one| one.error.is_none()).count(),
            sockets_failed: failed.collect(),
            rules: view.routes.all().count(),
            backends: view.clusters.ports().count(),
            endpoints: view.endpoints.len(),
            endpoints_out: view.endpoints.values().filter(|one| !one.is_healthy(now)).count(),
            certificates: view.keys.all().count(),
            requests_total: load.requests_total,
            errors_total: load.errors_total,
            in_flight: load.in_flight,
            refused_total: self.ledger.refused_total(),
            log_lines_dropped_total: self.ledger.log_lines_dropped(),
            left_out: left_out(&view),
        }
    }

    /// Everything.
    #[must_use]
    pub fn dump(&self) -> GatewayDump {
        let view = self.view.load();
        let now = self.clock.now();
        let mut certificates: Vec<CertificateDump> = view
            .keys
            .all()
            .map(|(secret, key)| CertificateDump {
                secret: secret.to_string(),
                names: certificate::names(key),
                not_after_s: certificate::not_after_s(key),
            })
            .collect();
        certificates.sort_by(|a, b| a.secret.cmp(&b.secret));
        GatewayDump {
            summary: self.summary(),
            sockets: self.sockets(&view),
            places: view.places.iter().map(|(at, plan)| place(&view, *at, plan)).collect(),
            rules_by_id: view.routes.all().map(|one| rule(&view, one)).collect(),
            clusters: view.clusters.iter().map(|one| cluster::of(one, now)).collect(),
            certificates_by_secret: certificates,
            statuses: view.statuses.iter().map(|one| status(one)).collect(),
        }
    }

    fn sockets(&self, view: &GatewayView) -> Vec<SocketDump> {
        let ground = &view.ground;
        let shared = [(Place::SharedHttp, &ground.http), (Place::SharedHttps, &ground.https)];
        let shared = shared.into_iter().flat_map(|(place, all)| {
            let one = move |address| (place, PlaceState::Open(address));
            all.iter().copied().map(one)
        });
        // A gateway that is gone has none.
        let own = self.sockets.upgrade().map(|sockets| sockets.states()).unwrap_or_default();
        let one = |(place, state)| {
            let (address, error) = match state {
                PlaceState::Open(address) => (Some(address.to_string()), None),
                PlaceState::Failed(error) => (None, Some(error.to_string())),
            };
            SocketDump { place: explain::place_name(place), address, error }
        };
        shared.chain(own).map(one).collect()
    }
}

fn left_out(view: &GatewayView) -> Vec<LeftOut> {
    let one = |origin: &str, text: &str| LeftOut { origin: origin.into(), text: text.into() };
    view.warnings.iter().map(|warning| one(&warning.origin, &warning.text)).collect()
}

fn place(view: &GatewayView, at: Place, plan: &Plan) -> PlaceDump {
    let mut dump = PlaceDump {
        place: explain::place_name(at),
        server_names: Vec::new(),
        table: Vec::new(),
        stream: None,
    };
    match plan {
        Plan::Http(table) => dump.table = entries(view, *table),
        Plan::Tls(plan) => {
            dump.server_names = server_names(plan);
            dump.table = view.routes.table(at).map_or_else(Vec::new, |table| entries(view, table));
        }
        Plan::Stream(plan) => dump.stream = plan.as_ref().map(|plan| plan.id.to_string()),
    }
    dump
}

fn entries(view: &GatewayView, table: TableId) -> Vec<EntryDump> {
    let entry = |Considered { rule, host, path, .. }: Considered| EntryDump {
        host,
        path,
        rule: view.routes.rule(rule).map(|rule| rule.id.to_string()).unwrap_or_default(),
    };
    view.routes.entries(table).into_iter().map(entry).collect()
}

fn server_names(plan: &TlsPlan) -> Vec<ServerNameDump> {
    let one = |name: String, action: &TlsAction| {
        let (what, termination) = match action {
            TlsAction::Http(termination, _) => ("http", Some(termination)),
            TlsAction::Stream(termination, _) => ("stream", Some(termination)),
            TlsAction::Passthrough(_) => ("passthrough", None),
        };
        let listener = termination.map(|termination| termination.listener.to_string());
        ServerNameDump { name, action: what.to_owned(), listener }
    };
    let exact = plan.exact.iter().map(|(name, action)| one(name.to_string(), action));
    let suffix = plan.suffix.iter().map(|(name, action)| one(format!("*.{name}"), action));
    let any = plan.any.iter().map(|action| one("*".to_owned(), action));
    let mut all: Vec<ServerNameDump> = exact.chain(suffix).chain(any).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all
}

fn rule(view: &GatewayView, rule: &Rule) -> RuleDump {
    let (action, branches) = match &rule.action {
        Action::Forward(branches) => ("forward", branches.as_slice()),
        Action::Redirect(_) | Action::Elsewhere(..) => ("redirect", &[][..]),
    };
    let backends = branches.iter().map(|branch| {
        let shown = cluster::backend(view, &branch.share, 0);
        format!("{}*{}", shown.backend, shown.weight)
    });
    RuleDump { id: rule.id.to_string(), action: action.to_owned(), backends: backends.collect() }
}

fn status(status: &ObjectStatus) -> StatusDump {
    let told = status.render();
    StatusDump {
        kind: told.kind.name().to_owned(),
        object: told.object.to_string(),
        generation: told.generation,
        origin: told.origin.to_string(),
        status: told.status,
    }
}

#[cfg(test)]
mod tests;
