//! `nearside check --audit NAME`: every client of a name is asked for, and every scope proved.

use anyhow::Context as _;
use model::record::RecordType;
use model::{DnsName, Policy};
use steering::audit::{FamilyReport, Fault, Report, audit as walk, trials};

use crate::Outcome;
use crate::cli::{AuditArgs, GeoSource};
use crate::compiled::Compiled;
use crate::log::{to_stderr, to_stdout};

/// Audits one name of documents that are in order; exit status 1 with the first counter-example, or
/// when the name is not steered.
pub(crate) fn audit(
    policy: Policy,
    name: &str,
    args: &AuditArgs,
    geo: &GeoSource,
) -> anyhow::Result<Outcome> {
    let parsed = DnsName::parse(name).with_context(|| format!("`{name}` is not a domain name"))?;
    let Some(id) = policy.service_for(&parsed) else {
        to_stderr(&format!("`{name}` is not a steered name"));
        return Ok(Outcome::No);
    };
    let compiled = Compiled::of(policy, geo)?;
    let map = compiled.map();
    let map = map.service(id).context("the service was not compiled")?;
    let trials = trials(&compiled.policy, id, compiled.drained());
    let found = walk(&compiled.inputs(), map, id, &trials);
    let record_type = args.record_type.record_type();
    let is_answered = has_addresses(&compiled.policy, id, record_type);
    if args.json {
        to_stdout(&serde_json::to_string_pretty(&json(&found, record_type, is_answered))?);
    }
    match found {
        Ok(report) => {
            if !args.json {
                to_stdout(text(&report, record_type, is_answered).trim_end());
            }
            Ok(Outcome::Yes)
        }
        Err(fault) => {
            to_stderr(&format!("{name}: {fault}"));
            Ok(Outcome::No)
        }
    }
}

/// Whether a client can get an answer of this type at all. Where nobody can, the answer is one for
/// everybody, and its scope is 0.
fn has_addresses(policy: &Policy, id: model::service::ServiceId, record_type: RecordType) -> bool {
    let service = policy.service(id);
    let fallback = match &service.fallback {
        model::service::Fallback::AnswerSites(sites) => sites.as_slice(),
        _ => &[],
    };
    let mut sites = service.pool.iter().chain(fallback).map(|&site| policy.site(site));
    let wants_v4 = record_type == RecordType::A;
    sites.any(|site| site.addresses.iter().any(|address| address.ip.is_ipv4() == wants_v4))
}

fn json(
    found: &Result<Report, Box<Fault>>,
    record_type: RecordType,
    is_answered: bool,
) -> serde_json::Value {
    match found {
        Ok(report) => serde_json::json!({
            "ok": true,
            "type": record_type.to_string(),
            "nodataForAll": !is_answered,
            "report": report,
        }),
        Err(fault) => serde_json::json!({ "ok": false, "fault": fault }),
    }
}

fn text(report: &Report, record_type: RecordType, is_answered: bool) -> String {
    let Report { service, states, families } = report;
    let mut text =
        format!("{service}: scopes are disjoint, right and minimal in {states} states of health\n");
    let head =
        ["", "entries", "minimal", "ratio", "runs", "lists", "answers", "scopes", "decisions"];
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(families.iter().map(row));
    for row in &rows {
        let mut line = String::from(" ");
        for (at, cell) in row.iter().enumerate() {
            let width = rows.iter().map(|row| row[at].len()).max().unwrap_or(0);
            line.push_str(&format!(" {cell:>width$}"));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    if !is_answered {
        text.push_str(&format!("{record_type} is NODATA for everybody: one entry\n"));
    }
    text
}

fn row(family: &FamilyReport) -> [String; 9] {
    let ratio = family.ratio_percent();
    [
        family.family.clone(),
        family.entries.to_string(),
        family.entries_min.to_string(),
        format!("{}.{:02}", ratio / 100, ratio % 100),
        family.runs.to_string(),
        family.leaves.to_string(),
        family.answers.to_string(),
        format!("/{} to /{}", family.scope_len_min, family.scope_len_max),
        family.decisions.to_string(),
    ]
}
