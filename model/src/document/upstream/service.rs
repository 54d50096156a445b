//! `v1` Service: its TCP ports.

use std::sync::Arc;

use super::open_spec;
use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::{Node, ScalarKind, Value};
use crate::document::value;
use crate::gateway::{Service, ServicePort};

/// Reads the document.
pub(in crate::document) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<Service> {
    let mut spec = open_spec("`spec` of the Service", document, report)?;
    spec.ignore(&[
        "allocateLoadBalancerNodePorts",
        "clusterIP",
        "clusterIPs",
        "externalIPs",
        "externalTrafficPolicy",
        "healthCheckNodePort",
        "ipFamilies",
        "ipFamilyPolicy",
        "loadBalancerClass",
        "loadBalancerIP",
        "loadBalancerSourceRanges",
        "publishNotReadyAddresses",
        "selector",
        "sessionAffinityConfig",
        "trafficDistribution",
        "type",
    ]);
    spec.ignore_with_warning(&["externalName"], report);
    let affinity = spec.take("sessionAffinity");
    if let Some(entry) = affinity
        && value::text(&entry.value, report).is_some_and(|found| found != "None")
    {
        let message = "`sessionAffinity` is not supported yet and is ignored";
        report.warn(entry.key_span, message, "requests of one client may go to several endpoints");
    }
    let policy = spec.take("internalTrafficPolicy");
    if let Some(entry) = policy
        && value::text(&entry.value, report).is_some_and(|found| found != "Cluster")
    {
        let message = "`internalTrafficPolicy` is not supported yet and is ignored";
        report.warn(entry.key_span, message, "endpoints on every node are used");
    }
    let ports = spec.list("ports", report, read_port);
    spec.finish(report);
    let ports: Vec<ServicePort> = ports.into_iter().flatten().collect();
    Some(Service { meta: head.meta(), ports, ..Service::default() })
}

/// A TCP port; `Some(None)` for the others, which a layer-7 gateway has no use for.
fn read_port(node: &Node<'_>, report: &mut Report) -> Option<Option<ServicePort>> {
    let mut fields = Fields::open("a port", node, report)?;
    fields.ignore(&["nodePort"]);
    let name = fields.optional("name", report, value::shared).filter(|name| !name.is_empty());
    let port = fields.required("port", report, value::port);
    let protocol = fields.optional("protocol", report, value::choice(PROTOCOLS));
    let app_protocol = fields.optional("appProtocol", report, value::shared);
    // The slices say where the pods listen; `targetPort` is checked and left to them.
    fields.optional("targetPort", report, read_port_or_name);
    fields.finish(report);
    let port = ServicePort { name, port: port?, app_protocol };
    Some(protocol.unwrap_or(true).then_some(port))
}

/// Whether the protocol is TCP.
pub(super) const PROTOCOLS: &[(&str, bool)] = &[("TCP", true), ("UDP", false), ("SCTP", false)];

fn read_port_or_name(node: &Node<'_>, report: &mut Report) -> Option<()> {
    match &node.value {
        Value::Scalar(scalar) if scalar.kind() == ScalarKind::Text => {
            value::filled(node, report).map(|_: Arc<str>| ())
        }
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => value::port(node, report).map(|_| ()),
    }
}
