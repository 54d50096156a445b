//! `backendRefs`: where a route's requests and connections go.

use super::{TargetRef, filter};
use crate::document::fields::Fields;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{BackendTarget, RouteBackend};

/// Gateway API's limits.
const WEIGHT_MAX: u64 = 1_000_000;
const BACKENDS_MAX: usize = 16;

/// Takes the backends of an HTTPRoute's or GRPCRoute's rule.
pub(super) fn read_all(
    rule: &mut Fields<'_, '_>,
    namespace: &str,
    report: &mut Report,
) -> Vec<RouteBackend> {
    let read = |node: &Node<'_>, report: &mut Report| {
        let mut fields = Fields::open("a backend", node, report)?;
        let filters = filter::read_all(&mut fields, namespace, report);
        read_weighted(fields, node, namespace, report)
            .map(|backend| RouteBackend { filters, ..backend })
    };
    let span = rule.span();
    let backends = rule.list("backendRefs", report, read);
    limit(backends, span, report)
}

/// Takes the backends of a TLSRoute's, TCPRoute's or UDPRoute's rule, which have no filters.
pub(super) fn read_all_plain(
    rule: &mut Fields<'_, '_>,
    namespace: &str,
    report: &mut Report,
) -> Vec<RouteBackend> {
    let read = |node: &Node<'_>, report: &mut Report| {
        let fields = Fields::open("a backend", node, report)?;
        read_weighted(fields, node, namespace, report)
    };
    let span = rule.span();
    let backends = rule.list("backendRefs", report, read);
    limit(backends, span, report)
}

fn limit(
    backends: Vec<RouteBackend>,
    span: crate::document::report::Span,
    report: &mut Report,
) -> Vec<RouteBackend> {
    if backends.len() > BACKENDS_MAX {
        let message = format!("a rule has at most {BACKENDS_MAX} backends, not {}", backends.len());
        report.error(span, message, "put some of them into one Service");
    }
    backends
}

fn read_weighted(
    mut fields: Fields<'_, '_>,
    node: &Node<'_>,
    namespace: &str,
    report: &mut Report,
) -> Option<RouteBackend> {
    let weight = fields.optional("weight", report, value::whole(0..=WEIGHT_MAX)).unwrap_or(1);
    let target = read_target(&mut fields, node, namespace, report);
    fields.finish(report);
    Some(RouteBackend { target: target?, weight, filters: Vec::new() })
}

/// A mapping that is a backend reference and nothing else.
pub(super) fn read_one(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<BackendTarget> {
    let mut fields = Fields::open("a backend", node, report)?;
    let target = read_target(&mut fields, node, namespace, report);
    fields.finish(report);
    target
}

fn read_target(
    fields: &mut Fields<'_, '_>,
    node: &Node<'_>,
    namespace: &str,
    report: &mut Report,
) -> Option<BackendTarget> {
    let target = TargetRef::read(fields, namespace, report);
    let port = fields.take("port");
    let port = port.map(|entry| value::port(&entry.value, report));
    let target = target?.or("", "Service");
    if target.is("", "Service") && port.is_none() {
        report.error(
            node.span,
            "a backend that is a Service has a `port`",
            "add the Service's port, for example `port: 80`",
        );
        return None;
    }
    let port = match port {
        Some(read) => Some(read?),
        None => None,
    };
    Some(BackendTarget { group: target.group, kind: target.kind, object: target.object, port })
}
