//! `nearside status`: what a running process knows, for people and machines.

use anyhow::{Context as _, bail};
use controller::Status;
use hyper::{Method, StatusCode};
use model::observe::Verdict;

use crate::Outcome;
use crate::cli::StatusArgs;
use crate::client;
use crate::log::to_stdout;

/// Prints the status.
pub(crate) async fn status(args: StatusArgs) -> anyhow::Result<Outcome> {
    let nothing = serde_json::Value::Null;
    let (code, answer) =
        client::call(args.admin.admin, Method::GET, "/v1/status", &nothing).await?;
    if code != StatusCode::OK {
        bail!("{}", client::refusal(&answer));
    }
    if args.json {
        to_stdout(&serde_json::to_string_pretty(&answer)?);
        return Ok(Outcome::Yes);
    }
    let status: Status = serde_json::from_value(answer)
        .context("the running process speaks another version of the status API")?;
    to_stdout(&text(&status));
    Ok(Outcome::Yes)
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
