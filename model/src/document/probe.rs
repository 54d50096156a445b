//! Health checks of sites and services: `{http: {...}}` or `{tcp: {...}}` and the timing.

use std::sync::Arc;

use super::fields::{self, Fields};
use super::report::{Report, Spanned};
use super::tree::{Node, ScalarKind, Value};
use super::value;
use crate::service::{Probe, ProbeKind};

/// An hour: a probe that comes less often says nothing of now.
const INTERVAL_MS_MAX: u64 = 3_600_000;

/// Timing where a document gives none: 1 s x 3 finds a dead site within 3.5 s (design: figures of
/// the standard loss model), two hits bring it back.
#[derive(Debug, Clone, Copy)]
pub(super) struct ProbeDefaults {
    interval_ms: u32,
    timeout_ms: u32,
    failures: u8,
    successes: u8,
}

impl Default for ProbeDefaults {
    fn default() -> Self {
        Self { interval_ms: 1000, timeout_ms: 500, failures: 3, successes: 2 }
    }
}

/// The `health` of a Site: the probe alone.
pub(super) fn read_site_probe(
    node: &Node<'_>,
    defaults: ProbeDefaults,
    report: &mut Report,
) -> Option<Probe> {
    let mut fields = Fields::open("`health`", node, report)?;
    let probe = read_probe(&mut fields, defaults, report);
    fields.finish(report);
    probe
}

/// The probe's fields among others (a GlobalService's `health` has more).
pub(super) fn read_probe(
    fields: &mut Fields<'_, '_>,
    defaults: ProbeDefaults,
    report: &mut Report,
) -> Option<Probe> {
    let targets = fields.exactly_one(&["http", "tcp"], report);
    let interval = fields.take("intervalMs");
    let interval_ms =
        interval.map(|entry| value::whole(100..=INTERVAL_MS_MAX)(&entry.value, report));
    // The timeout is not judged by an interval that could not be read.
    let is_judged = interval_ms != Some(None);
    let interval_ms = interval_ms.flatten().unwrap_or(defaults.interval_ms);
    let timeout_default_ms = defaults.timeout_ms.min(interval_ms);
    let timeout_ms =
        fields.optional("timeoutMs", report, fields::spanned(value::whole(10..=INTERVAL_MS_MAX)));
    if let Some(Spanned { value, span }) = timeout_ms
        && is_judged
        && value > interval_ms
    {
        let message = format!("the timeout is longer than the interval of {interval_ms} ms");
        let help = format!("write a number from 10 to {interval_ms}, or raise `intervalMs`");
        report.error(span, message, help);
    }
    let timeout_ms = timeout_ms.map_or(timeout_default_ms, |timeout| timeout.value);
    let count = || value::whole::<u8>(1..=100);
    let failures = fields.optional("failures", report, count()).unwrap_or(defaults.failures);
    let successes = fields.optional("successes", report, count()).unwrap_or(defaults.successes);
    let mut target = None;
    for (key, node) in targets {
        target = match key {
            "http" => read_http(node, report),
            _ => read_tcp(node, report).map(|port| (ProbeKind::Tcp, port)),
        };
    }
    let (kind, port) = target?;
    Some(Probe { kind, port, interval_ms, timeout_ms, failures, successes })
}

fn read_tcp(node: &Node<'_>, report: &mut Report) -> Option<u16> {
    let mut fields = Fields::open("`tcp`", node, report)?;
    let port = fields.required("port", report, value::port);
    fields.finish(report);
    port
}

fn read_http(node: &Node<'_>, report: &mut Report) -> Option<(ProbeKind, u16)> {
    let mut fields = Fields::open("`http`", node, report)?;
    let path = fields.optional("path", report, read_path).unwrap_or_else(|| "/".into());
    let port = fields.optional("port", report, value::port).unwrap_or(80);
    let host = fields.optional("host", report, read_host);
    let (status_min, status_max) =
        fields.optional("status", report, read_status).unwrap_or((200, 399));
    fields.finish(report);
    Some((ProbeKind::Http { path, host, status_min, status_max }, port))
}

/// A path that can stand in a request line as it is.
fn read_path(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let path = value::text(node, report)?;
    if !path.starts_with('/') || !path.bytes().all(|octet| octet.is_ascii_graphic()) {
        let message = format!("`{path}` is not a path");
        report.error(
            node.span,
            message,
            "begin it with `/` and write no spaces, for example `/healthz`",
        );
        return None;
    }
    Some(path.into())
}

fn read_host(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let host = value::text(node, report)?;
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.parse::<u16>().is_ok() { name } else { host });
    if name.parse::<std::net::IpAddr>().is_err()
        && let Some(why) = value::not_a_hostname(name)
    {
        report.error(
            node.span,
            format!("`{host}` is not a host: {why}"),
            "write a hostname or an address, with a port or without: `www.edge.example:8080`",
        );
        return None;
    }
    Some(host.into())
}

fn read_status(node: &Node<'_>, report: &mut Report) -> Option<(u16, u16)> {
    let found = match &node.value {
        Value::Scalar(scalar) if scalar.kind() != ScalarKind::Boolean => &*scalar.text,
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => "",
    };
    let (low, high) = found.split_once('-').unwrap_or((found, found));
    match (low.trim().parse(), high.trim().parse()) {
        (Ok(low), Ok(high)) if (100..=599).contains(&low) && (low..=599).contains(&high) => {
            Some((low, high))
        }
        _ => {
            let message = format!("expected a range of statuses, found {}", node.describe());
            report.error(node.span, message, "write `200-399` or `200`");
            None
        }
    }
}
