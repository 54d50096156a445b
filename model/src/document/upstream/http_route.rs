//! `gateway.networking.k8s.io/v1` HTTPRoute.

use std::sync::Arc;

use super::path::{self, PathKind};
use super::{TargetRef, filter, open_spec};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::suggest;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{
    HttpMatch, HttpRoute, HttpRule, ParentKind, ParentRef, PathMatch, RouteBackend, ValueMatch,
};

/// The group of Gateways.
const GROUP: &str = "gateway.networking.k8s.io";
/// Gateway API's limits.
const WEIGHT_MAX: u64 = 1_000_000;
const NAMES_MAX: usize = 16;
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
pub(in crate::document) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<HttpRoute> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the HTTPRoute", document, report)?;
    spec.ignore_with_warning(&["useDefaultGateways"], report);
    let parents =
        spec.list("parentRefs", report, |node, report| read_parent(namespace, node, report));
    let hostnames = spec.list("hostnames", report, value::host_pattern);
    let rules = spec.optional("rules", report, |node, report| {
        fields::list(node, report, |node, report| read_rule(namespace, node, report))
    });
    spec.finish(report);
    // Upstream's default: one rule that matches everything and has no backend.
    let rules = rules.unwrap_or_else(|| {
        vec![HttpRule { matches: vec![HttpMatch::default()], ..HttpRule::default() }]
    });
    let parents = parents.into_iter().flatten().collect();
    Some(HttpRoute { meta: head.meta(), parents, hostnames, rules })
}

/// `Some(None)` for parents that are not Gateways (a Service in GAMMA).
fn read_parent(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Option<ParentRef>> {
    let mut fields = Fields::open("a parent", node, report)?;
    let target = TargetRef::read(&mut fields, namespace, report);
    let section = fields.optional("sectionName", report, value::filled);
    let port = fields.optional("port", report, value::port);
    fields.finish(report);
    let target = target?;
    if !target.is(GROUP, "Gateway") {
        let help = "a route here attaches to Gateways";
        report.warn(node.span, "this parent is not a Gateway and is ignored", help);
        return Some(None);
    }
    Some(Some(ParentRef { kind: ParentKind::Gateway, object: target.object, section, port }))
}

fn read_rule(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<HttpRule> {
    let mut fields = Fields::open("a rule", node, report)?;
    fields.ignore(&["name"]);
    fields.ignore_with_warning(&["retry", "sessionPersistence"], report);
    let matches = fields.list("matches", report, read_match);
    let filters = filter::read_all(&mut fields, report);
    let backends =
        fields.list("backendRefs", report, |node, report| read_backend(namespace, node, report));
    let timeouts = fields.optional("timeouts", report, read_timeouts);
    fields.finish(report);
    let (request_timeout_ms, backend_timeout_ms) = timeouts.unwrap_or((None, None));
    Some(HttpRule {
        matches: if matches.is_empty() { vec![HttpMatch::default()] } else { matches },
        filters,
        backends,
        request_timeout_ms,
        backend_timeout_ms,
        ..HttpRule::default()
    })
}

fn read_match(node: &Node<'_>, report: &mut Report) -> Option<HttpMatch> {
    let mut fields = Fields::open("a match", node, report)?;
    let path = fields.optional("path", report, read_path);
    let method = fields.optional("method", report, value::choice(METHODS)).map(Arc::from);
    let headers = fields.list("headers", report, |node, report| {
        filter::read_exact_match(node, report, filter::header_name)
    });
    let query = fields.list("queryParams", report, |node, report| {
        filter::read_exact_match(node, report, read_param_name)
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
fn firsts(matches: Vec<(Arc<str>, Arc<str>)>) -> Vec<(Arc<str>, ValueMatch)> {
    let mut kept: Vec<(Arc<str>, ValueMatch)> = Vec::with_capacity(matches.len());
    for (found, value) in matches {
        if !kept.iter().any(|(name, _)| *name == found) {
            kept.push((found, ValueMatch::Exact(value)));
        }
    }
    kept
}

fn read_path(node: &Node<'_>, report: &mut Report) -> Option<PathMatch> {
    let mut fields = Fields::open("`path`", node, report)?;
    let kind = fields.take("type").map(|entry| &entry.value);
    // The syntax of an unsupported type is not ours to judge.
    let is_foreign = kind.is_some_and(|node| node.is_text("RegularExpression"));
    let kind = kind.map_or(Some(PathKind::Prefix), |node| read_path_kind(node, report));
    let found = match fields.take("value") {
        Some(_) if is_foreign => None,
        None => Some("/".into()),
        Some(entry) => path::read(&entry.value, report),
    };
    fields.finish(report);
    Some(path::to_match(kind?, &found?))
}

fn read_path_kind(node: &Node<'_>, report: &mut Report) -> Option<PathKind> {
    match value::text(node, report)? {
        "Exact" => Some(PathKind::Exact),
        "PathPrefix" => Some(PathKind::Prefix),
        "RegularExpression" => {
            let help = "use `Exact` or `PathPrefix`";
            report.error(node.span, "`RegularExpression` is not supported", help);
            None
        }
        other => {
            let help = suggest::help_for(other, "it is one of", ["Exact", "PathPrefix"]);
            report.error(node.span, format!("unknown value `{other}`"), help);
            None
        }
    }
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

fn read_backend(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<RouteBackend> {
    let mut fields = Fields::open("a backend", node, report)?;
    fields.ignore_with_warning(&["filters"], report);
    let target = TargetRef::read(&mut fields, namespace, report);
    let weight = fields.optional("weight", report, value::whole(0..=WEIGHT_MAX)).unwrap_or(1);
    let port = fields.take("port");
    let port = port.map(|entry| value::port(&entry.value, report));
    fields.finish(report);
    let target = target?;
    if !target.is("", "Service") {
        report.error(
            node.span,
            "a backend is a Service of the core group",
            "remove `group`, and `kind` or write `kind: Service`",
        );
        return None;
    }
    let Some(port) = port else {
        report.error(
            node.span,
            "a backend that is a Service has a `port`",
            "add the Service's port, for example `port: 80`",
        );
        return None;
    };
    Some(RouteBackend::service(target.object, port?, weight))
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
