//! The admin listener: the controller's API where there is a controller, `/metrics` everywhere.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::gateway_api;
use crate::gateways::Board;

/// Installs the process's metrics recorder.
pub(crate) fn install_metrics() -> anyhow::Result<PrometheusHandle> {
    PrometheusBuilder::new().install_recorder().context("cannot install the metrics recorder")
}

/// Binds the admin address; done first, so that a port in use is found before anything starts.
pub(crate) async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let in_use = || {
        format!(
            "cannot listen on the admin address `{address}`\n  help: another nearside may be running; \
             stop it, or choose another address with --admin"
        )
    };
    let listener = TcpListener::bind(address).await.with_context(in_use)?;
    if !address.ip().is_loopback() {
        tracing::warn!(%address, "the admin API is not on loopback: whoever reaches it can drain sites");
    }
    Ok(listener)
}

/// What the admin listener shows beside the controller's API.
#[derive(Debug)]
pub(crate) struct Shown {
    /// The recorder's handle.
    pub(crate) metrics: PrometheusHandle,
    /// The DNS server, where one runs.
    pub(crate) dns: Option<Arc<dns::Server>>,
    /// The HTTPDNS server, where one runs.
    pub(crate) httpdns: Option<Arc<dns::httpdns::Server>>,
    /// The gateways, where there may be some.
    pub(crate) gateways: Arc<Board>,
}

/// Serves until the task is aborted.
pub(crate) fn serve(listener: TcpListener, api: Router, shown: Shown) -> JoinHandle<()> {
    let of_gateways = gateway_api::router(Arc::clone(&shown.gateways));
    let shown = Arc::new(shown);
    let app = api.merge(controller::api::guarded(of_gateways)).route(
        "/metrics",
        get(move || {
            let shown = Arc::clone(&shown);
            async move {
                if let Some(server) = &shown.dns {
                    count_dns(&server.stats());
                }
                if let Some(server) = &shown.httpdns {
                    count_httpdns(&server.stats());
                }
                measure_documents(&shown.gateways);
                shown.metrics.render() + &l7lb::metrics_text(&shown.gateways.all())
            }
        }),
    );
    tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the admin listener stopped");
        }
    })
}

/// The routes of a process without a controller.
pub(crate) fn plain() -> Router {
    let elsewhere = || async {
        let error = "this process has no controller; help: ask the controller's admin address";
        (StatusCode::NOT_IMPLEMENTED, Json(serde_json::json!({ "error": error })))
    };
    Router::new().route("/healthz", get(|| async { "ok\n" })).fallback(elsewhere)
}

/// Whether the process may be sent traffic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Readiness {
    /// It may.
    Ready,
    /// Not before this is known.
    Waiting(String),
}

/// `/readyz`: 200 when the process may be sent traffic, else 503 and what it waits for.
pub(crate) fn readyz(api: Router, readiness: watch::Receiver<Readiness>) -> Router {
    let answer = move || {
        let now = readiness.borrow().clone();
        async move {
            match now {
                Readiness::Ready => (StatusCode::OK, "ok\n".to_owned()),
                Readiness::Waiting(what) => (StatusCode::SERVICE_UNAVAILABLE, format!("{what}\n")),
            }
        }
    };
    api.route("/readyz", get(answer))
}

/// What of the gateways' documents is not in force.
fn measure_documents(board: &Board) {
    let put_aside = u32::try_from(board.put_aside().len()).unwrap_or(u32::MAX);
    gauge!("nearside_objects_put_aside").set(put_aside);
    gauge!("nearside_directory_edit_refused").set(u32::from(board.refused().is_some()));
}

fn count_httpdns(stats: &dns::httpdns::Stats) {
    for (outcome, total) in [
        ("answered", stats.answered),
        ("redirected", stats.redirected),
        ("refused", stats.refused),
        ("limited", stats.limited),
        ("failed", stats.failed),
    ] {
        counter!("nearside_httpdns_requests_total", "outcome" => outcome).absolute(total);
    }
    counter!("nearside_httpdns_turned_away_total").absolute(stats.turned_away);
}

/// Brings the DNS workers' own totals into the recorder, at each scrape.
fn count_dns(stats: &dns::Stats) {
    for (transport, tally) in [("udp", &stats.udp), ("tcp", &stats.tcp)] {
        for (rcode, total) in dns::stats::RCODES.into_iter().zip(tally.rcodes) {
            counter!("nearside_dns_answers_total", "transport" => transport, "rcode" => rcode)
                .absolute(total);
        }
        for (reason, total) in dns::stats::REASONS.into_iter().zip(tally.reasons) {
            counter!("nearside_dns_steered_total", "transport" => transport, "reason" => reason)
                .absolute(total);
        }
        for (name, total) in [
            ("nearside_dns_dropped_total", tally.dropped),
            ("nearside_dns_truncated_total", tally.truncated),
            ("nearside_dns_with_subnet_total", tally.with_subnet),
            ("nearside_dns_unsent_total", tally.unsent),
        ] {
            counter!(name, "transport" => transport).absolute(total);
        }
    }
    counter!("nearside_dns_tcp_refused_total").absolute(stats.tcp_refused);
    counter!("nearside_dns_tcp_cut_total").absolute(stats.tcp_cut);
    counter!("nearside_dns_views_total").absolute(stats.views);
    counter!("nearside_dns_views_refused_total").absolute(stats.views_refused);
}
