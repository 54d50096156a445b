//! `gateway.networking.k8s.io/v1` HTTPRoute.

use std::sync::Arc;

use super::path::{self, PathKind};
use super::{backend, check_count, filter, open_spec, parent, session};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{HttpMatch, HttpRoute, HttpRule, PathMatch, Retry, ValueMatch};

/// Gateway API's limits.
const NAMES_MAX: usize = 16;
const RULES_MAX: usize = 16;
const MATCHES_MAX: usize = 64;
const HOSTNAMES_MAX: usize = 16;
const RETRY_CODES_MAX: usize = 64;
/// More tries than this help nobody; each also has the retry budget against it.
const ATTEMPTS_MAX: u64 = 64;
const METHODS: &[(&str, &str)] = &[
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("DELETE", "DELETE"),
    ("CONNECT", "CONNECT"),
    ("OPTIONS", "OPTIONS"),
    ("TRACE", "TRACE"),
    ("PATCH", "PATCH"),
];

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<HttpRoute> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the HTTPRoute", document, report)?;
    spec.ignore_with_warning(&["useDefaultGateways"], report);
    let parents = parent::read_all(&mut spec, namespace, report);
    let hostnames = spec.optional("hostnames", report, |node, report| {
        let all = fields::list(node, report, value::host_pattern)?;
        check_count(all.len(), HOSTNAMES_MAX, "hostnames", node, report);
        Some(all)
    });
    let rules = spec.optional("rules", report, |node, report| {
        let all = fields::list(node, report, |node, report| read_rule(namespace, node, report))?;
        check_count(all.len(), RULES_MAX, "rules", node, report);
        Some(all)
    });
    spec.finish(report);
    // Upstream's default: one rule that matches everything and has no backend.
    let rules = rules.unwrap_or_else(|| {
        vec![HttpRule { matches: vec![HttpMatch::default()], ..HttpRule::default() }]
    });
    let hostnames = hostnames.unwrap_or_default();
    Some(HttpRoute { meta: head.meta(), parents, hostnames, rules })
}

fn read_rule(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<HttpRule> {
    let mut fields = Fields::open("a rule", node, report)?;
    let name = fields.optional("name", report, value::filled);
    let matches = fields.list("matches", report, read_match);
    check_count(matches.len(), MATCHES_MAX, "matches of a rule", node, report);
    let filters = filter::read_all(&mut fields, namespace, report);
    let backends = backend::read_all(&mut fields, namespace, report);
    let timeouts = fields.optional("timeouts", report, read_timeouts);
    let retry = fields.optional("retry", report, read_retry);
    let session = fields.optional("sessionPersistence", report, session::read);
    fields.finish(report);
    let (request_timeout_ms, backend_timeout_ms) = timeouts.unwrap_or((None, None));
    Some(HttpRule {
        name,
        matches: if matches.is_empty() { vec![HttpMatch::default()] } else { matches },
        filters,
        backends,
        request_timeout_ms,
        backend_timeout_ms,
        retry,
        session,
    })
}

fn read_retry(node: &Node<'_>, report: &mut Report) -> Option<Retry> {
    let mut fields = Fields::open("`retry`", node, report)?;
    let codes = fields.list("codes", report, value::whole_again(400..=599));
    check_count(codes.len(), RETRY_CODES_MAX, "codes", node, report);
    let attempts = fields.optional("attempts", report, value::whole(0..=ATTEMPTS_MAX));
    let backoff_ms = fields.optional("backoff", report, value::duration_ms);
    fields.finish(report);
    Some(Retry { codes, attempts, backoff_ms })
}

fn read_match(node: &Node<'_>, report: &mut Report) -> Option<HttpMatch> {
    let mut fields = Fields::open("a match", node, report)?;
    let path = fields.optional("path", report, read_path);
    let method = fields.optional("method", report, value::choice(METHODS)).map(Arc::from);
    let headers = fields.list("headers", report, |node, report| {
        filter::read_value_match(node, report, filter::header_name)
    });
    let query = fields.list("queryParams", report, |node, report| {
        filter::read_value_match(node, report, read_param_name)
    });
    fields.finish(report);
    if headers.len().max(query.len()) > NAMES_MAX {
        let message = format!("a match has at most {NAMES_MAX} headers and query parameters each");
        report.error(node.span, message, "split the match into several rules");
        return None;
    }
    let path = path.unwrap_or_else(|| PathMatch::Prefix("/".into()));
    Some(HttpMatch { path, method, headers: firsts(headers), query: firsts(query) })
}

/// Of several matches on one name the first counts (Gateway API).
pub(super) fn firsts(matches: Vec<(Arc<str>, ValueMatch)>) -> Vec<(Arc<str>, ValueMatch)> {
    let mut kept: Vec<(Arc<str>, ValueMatch)> = Vec::with_capacity(matches.len());
    for (found, value) in matches {
        if !kept.iter().any(|(name, _)| *name == found) {
            kept.push((found, value));
        }
    }
    kept
}

fn read_path(node: &Node<'_>, report: &mut Report) -> Option<PathMatch> {
    const KINDS: &[(&str, PathKind)] = &[
        ("Exact", PathKind::Exact),
        ("PathPrefix", PathKind::Prefix),
        ("RegularExpression", PathKind::Regex),
    ];
    let mut fields = Fields::open("`path`", node, report)?;
    let kind = fields.optional("type", report, |node, report| {
        value::text(node, report)?;
        value::choice(KINDS)(node, report)
    });
    let is_default = fields.take("type").is_none();
    let kind = if is_default { Some(PathKind::Prefix) } else { kind };
    let found = match fields.take("value") {
        None => Some("/".into()),
        Some(entry) if kind == Some(PathKind::Regex) => path::read_regex(&entry.value, report),
        Some(entry) => path::read(&entry.value, report),
    };
    fields.finish(report);
    Some(path::to_match(kind?, &found?))
}

fn read_param_name(node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let name = value::text(node, report)?;
    if !filter::is_token(name) {
        report.error(
            node.span,
            format!("`{name}` is not the name of a query parameter"),
            "write up to 256 letters, digits, `-`, `_` and `.`, for example `page`",
        );
        return None;
    }
    Some(name.into())
}

type Timeouts = (Option<u32>, Option<u32>);

fn read_timeouts(node: &Node<'_>, report: &mut Report) -> Option<Timeouts> {
    let mut fields = Fields::open("`timeouts`", node, report)?;
    let request_ms = fields.optional("request", report, value::duration_ms);
    let backend_ms = fields.optional("backendRequest", report, value::duration_ms);
    fields.finish(report);
    if let (Some(request_ms @ 1..), Some(backend_ms)) = (request_ms, backend_ms)
        && backend_ms > request_ms
    {
        report.error(
            node.span,
            "`backendRequest` cannot be longer than `request`",
            "raise `request`, or lower `backendRequest`",
        );
    }
    Some((request_ms, backend_ms))
}
