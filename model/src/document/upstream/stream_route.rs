//! `gateway.networking.k8s.io/v1` TLSRoute, TCPRoute and UDPRoute: connections to backends.

use super::{backend, check_count, open_spec, parent};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{HostPattern, StreamRoute, StreamRule};

/// Upstream's limits. Older versions allowed 16 rules, of which only the first could ever match.
const RULES_MAX: usize = 16;
const HOSTNAMES_MAX: usize = 1024;

/// Reads a TLSRoute.
pub(super) fn read_tls(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<StreamRoute> {
    let mut spec = open_spec("`spec` of the TLSRoute", document, report)?;
    let hostnames = spec.list("hostnames", report, value::host_pattern);
    if hostnames.len() > HOSTNAMES_MAX {
        let message = format!("a TLSRoute has at most {HOSTNAMES_MAX} hostnames");
        report.error(spec.span(), message, "split the route into several");
    }
    read(head, spec, hostnames, report)
}

/// Reads a TCPRoute.
pub(super) fn read_tcp(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<StreamRoute> {
    let spec = open_spec("`spec` of the TCPRoute", document, report)?;
    read(head, spec, Vec::new(), report)
}

/// Reads a UDPRoute.
pub(super) fn read_udp(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<StreamRoute> {
    let spec = open_spec("`spec` of the UDPRoute", document, report)?;
    read(head, spec, Vec::new(), report)
}

fn read(
    head: &Head,
    mut spec: Fields<'_, '_>,
    hostnames: Vec<HostPattern>,
    report: &mut Report,
) -> Option<StreamRoute> {
    let namespace = &*head.object.namespace;
    spec.ignore_with_warning(&["useDefaultGateways"], report);
    let parents = parent::read_all(&mut spec, namespace, report);
    let rules = spec.required("rules", report, |node, report| {
        let all = fields::list(node, report, |node, report| read_rule(namespace, node, report))?;
        check_count(all.len(), RULES_MAX, "rules", node, report);
        Some(all)
    });
    spec.finish(report);
    Some(StreamRoute { meta: head.meta(), parents, hostnames, rules: rules? })
}

fn read_rule(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<StreamRule> {
    let mut fields = Fields::open("a rule", node, report)?;
    let name = fields.optional("name", report, value::filled);
    let backends = backend::read_all_plain(&mut fields, namespace, report);
    fields.finish(report);
    Some(StreamRule { name, backends })
}
