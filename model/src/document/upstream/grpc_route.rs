//! `gateway.networking.k8s.io/v1` GRPCRoute.

use std::sync::Arc;

use super::{backend, check_count, filter, http_route, open_spec, parent, session};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{GrpcMatch, GrpcRoute, GrpcRule, HttpFilter, ValueMatch};

/// Gateway API's limits.
const RULES_MAX: usize = 16;
const MATCHES_MAX: usize = 64;
const HEADERS_MAX: usize = 16;
const HOSTNAMES_MAX: usize = 16;
/// The longest name of a service or method.
const NAME_OCTETS_MAX: usize = 1024;

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<GrpcRoute> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the GRPCRoute", document, report)?;
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
    let hostnames = hostnames.unwrap_or_default();
    Some(GrpcRoute { meta: head.meta(), parents, hostnames, rules: rules.unwrap_or_default() })
}

fn read_rule(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<GrpcRule> {
    let mut fields = Fields::open("a rule", node, report)?;
    let name = fields.optional("name", report, value::filled);
    let matches = fields.list("matches", report, read_match);
    check_count(matches.len(), MATCHES_MAX, "matches of a rule", node, report);
    let filters = filter::read_all(&mut fields, namespace, report);
    let backends = backend::read_all(&mut fields, namespace, report);
    let session = fields.optional("sessionPersistence", report, session::read);
    fields.finish(report);
    let is_http = |filter: &HttpFilter| {
        matches!(
            filter,
            HttpFilter::Redirect { .. } | HttpFilter::Rewrite { .. } | HttpFilter::Cors(_)
        )
    };
    if filters.iter().chain(backends.iter().flat_map(|backend| &backend.filters)).any(is_http) {
        let help = "a GRPCRoute modifies headers and mirrors";
        report.error(node.span, "a filter of this rule is for HTTPRoutes only", help);
    }
    Some(GrpcRule { name, matches, filters, backends, session })
}

fn read_match(node: &Node<'_>, report: &mut Report) -> Option<GrpcMatch> {
    let mut fields = Fields::open("a match", node, report)?;
    let (service, method) = fields.optional("method", report, read_method).unwrap_or_default();
    let headers = fields.list("headers", report, |node, report| {
        filter::read_value_match(node, report, filter::header_name)
    });
    fields.finish(report);
    check_count(headers.len(), HEADERS_MAX, "headers of a match", node, report);
    Some(GrpcMatch { service, method, headers: http_route::firsts(headers) })
}

type Method = (Option<ValueMatch>, Option<ValueMatch>);

/// `service` and `method`, at least one of them.
fn read_method(node: &Node<'_>, report: &mut Report) -> Option<Method> {
    const KINDS: &[(&str, bool)] = &[("Exact", false), ("RegularExpression", true)];
    let mut fields = Fields::open("`method`", node, report)?;
    let is_regex = fields.optional("type", report, value::choice(KINDS)).unwrap_or(false);
    let read = |node: &Node<'_>, report: &mut Report| read_name(is_regex, node, report);
    let service = fields.optional("service", report, read);
    let method = fields.optional("method", report, read);
    let is_empty = fields.take("service").is_none() && fields.take("method").is_none();
    fields.finish(report);
    if is_empty {
        let help = "add `service: package.Service`, or `method: Name`";
        report.error(node.span, "a method match names a service or a method", help);
    }
    let make = |name| if is_regex { ValueMatch::Regex(name) } else { ValueMatch::Exact(name) };
    Some((service.map(make), method.map(make)))
}

fn read_name(is_regex: bool, node: &Node<'_>, report: &mut Report) -> Option<Arc<str>> {
    let name = value::filled(node, report)?;
    let plain = |octet: u8| octet.is_ascii_alphanumeric() || b"_.".contains(&octet);
    if name.len() > NAME_OCTETS_MAX || !(is_regex || name.bytes().all(plain)) {
        let message = format!("`{name}` is not the name of a gRPC service or method");
        report.error(node.span, message, "write `package.Service` or `Method`, without slashes");
        return None;
    }
    Some(name)
}
