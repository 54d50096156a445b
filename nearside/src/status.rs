//! `nearside status`: what a running process knows, for people and machines.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail};
use controller::Status;
use hyper::{Method, StatusCode};
use l7lb::GatewaySummary;
use model::observe::Verdict;
use serde_json::Value;

use crate::Outcome;
use crate::cli::StatusArgs;
use crate::client;
use crate::log::to_stdout;

/// Lines about documents that are not used; the rest is in `/v1/gateways`.
const LEFT_OUT_SHOWN_MAX: usize = 16;

/// Prints the status of a controller, of the process's gateways, or of both.
pub(crate) async fn status(args: StatusArgs) -> anyhow::Result<Outcome> {
    let nothing = Value::Null;
    let admin = args.admin.admin;
    let (code, answer) = client::call(admin, Method::GET, "/v1/status", &nothing).await?;
    let (found, gateways) = client::call(admin, Method::GET, "/v1/gateways", &nothing).await?;
    let has_some = gateways["gateways"].as_array().is_some_and(|all| !all.is_empty());
    let gateways = (found == StatusCode::OK && has_some).then_some(gateways);
    if code != StatusCode::OK && (code != StatusCode::NOT_IMPLEMENTED || gateways.is_none()) {
        bail!("{}", client::refusal(&answer));
    }
    if args.json {
        let mut all = if code == StatusCode::OK { answer } else { serde_json::json!({}) };
        all["gateways"] = gateways.unwrap_or_default();
        to_stdout(&serde_json::to_string_pretty(&all)?);
        return Ok(Outcome::Yes);
    }
    let mut parts = Vec::new();
    if code == StatusCode::OK {
        let status: Status = serde_json::from_value(answer)
            .context("the running process speaks another version of the status API")?;
        parts.push(text(&status));
    }
    if let Some(gateways) = gateways {
        let summaries: Vec<GatewaySummary> =
            serde_json::from_value(gateways["gateways"].clone())
                .context("the running process speaks another version of the gateways API")?;
        parts.push(gateways_text(&summaries, &gateways));
    }
    to_stdout(&parts.join("\n\n"));
    Ok(Outcome::Yes)
}

fn gateways_text(gateways: &[GatewaySummary], all: &Value) -> String {
    let mut lines = vec![format!(
        "{:<16} {:>7} {:>5} {:>8} {:>9} {:>12} {:>9} {:>6} {:>8}",
        "gateway",
        "sockets",
        "rules",
        "backends",
        "endpoints",
        "certificates",
        "requests",
        "5xx",
        "not used"
    )];
    // Sites share most of their documents: what all say is said once.
    let mut left_out: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for one in gateways {
        lines.push(format!(
            "{:<16} {:>7} {:>5} {:>8} {:>9} {:>12} {:>9} {:>6} {:>8}",
            one.site,
            one.sockets_open,
            one.rules,
            one.backends,
            format!("{}/{}", one.endpoints - one.endpoints_out.min(one.endpoints), one.endpoints),
            one.certificates,
            one.requests_total,
            one.errors_total,
            one.left_out.len(),
        ));
        for failed in &one.sockets_failed {
            left_out.entry(format!("cannot listen: {failed}")).or_default().push(&one.site);
        }
        for left in &one.left_out {
            let text = format!("not used: {}: {}", left.origin, left.text);
            left_out.entry(text).or_default().push(&one.site);
        }
    }
    for (text, sites) in left_out.iter().take(LEFT_OUT_SHOWN_MAX) {
        lines.push(format!("{text} (at {})", sites.join(", ")));
    }
    if left_out.len() > LEFT_OUT_SHOWN_MAX {
        lines.push(format!("and {} more", left_out.len() - LEFT_OUT_SHOWN_MAX));
    }
    for one in all["put_aside"].as_array().into_iter().flatten().take(LEFT_OUT_SHOWN_MAX) {
        let field = |name: &str| one[name].as_str().unwrap_or_default().to_owned();
        let (kind, object, message) = (field("kind"), field("object"), field("message"));
        lines.push(format!("put aside: {kind} `{object}`: {message}"));
    }
    if let Some(refused) = all["refused"].as_str() {
        lines.push(format!("refused, what was served before stays:\n{refused}"));
    }
    lines.join("\n")
}

fn text(status: &Status) -> String {
    let have = status.served;
    let mut lines = vec![format!(
        "nearside {}, up {} s; policy {}, map {}, health {}",
        status.version,
        status.uptime_ms / 1000,
        have.policy.counter,
        have.map.counter,
        have.health.counter,
    )];
    lines.push(String::new());
    lines.push(format!(
        "{:<16} {:<10} {:>8} {:>10}  {}",
        "site", "state", "report", "in flight", "ready backends"
    ));
    for site in &status.sites {
        let state = match (&site.drain, site.verdict) {
            (Some(_), _) => "drained",
            (None, Verdict::Down) => "down",
            (None, Verdict::Failing) => "failing",
            (None, Verdict::Up | Verdict::Unknown) => "in service",
        };
        let (age, load, backends) = match &site.report {
            Some(report) => {
                let ready = report.backends.iter().filter(|backend| backend.ready > 0);
                let ready: Vec<String> =
                    ready.map(|backend| format!("{}={}", backend.backend, backend.ready)).collect();
                (
                    format!("{} ms", report.age_ms),
                    report.load.in_flight.to_string(),
                    ready.join(" "),
                )
            }
            None => ("never".to_owned(), "-".to_owned(), String::new()),
        };
        lines.push(format!(
            "{:<16} {state:<10} {age:>8} {load:>10}  {backends}",
            site.name.to_string()
        ));
    }
    lines.push(String::new());
    for service in &status.services {
        let out: Vec<String> =
            service.out.iter().map(|out| format!("{} ({})", out.site, out.why)).collect();
        let out = if out.is_empty() { String::new() } else { format!("; out: {}", out.join(", ")) };
        lines.push(format!(
            "{} [{}]: {} of {} sites{out}",
            service.service,
            service.hostnames.join(", "),
            service.usable,
            service.pool,
        ));
    }
    if let Some(refused) = &status.refused {
        lines.push(format!("refused: {}", refused.refusals.join("; ")));
    }
    for told in status.changes.iter().take(8) {
        lines.push(format!("  {}", told.text));
    }
    lines.join("\n")
}
