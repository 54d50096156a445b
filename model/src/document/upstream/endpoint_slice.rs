//! `discovery.k8s.io/v1` EndpointSlice: the endpoints of a Service.

use std::sync::Arc;

use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{Endpoint, EndpointSlice};
use crate::name::ObjectRef;

/// Names the Service a slice belongs to (Kubernetes well-known labels).
const SERVICE_LABEL: &str = "kubernetes.io/service-name";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AddressType {
    Ip4,
    Ip6,
    Name,
}

const ADDRESS_TYPES: &[(&str, AddressType)] =
    &[("IPv4", AddressType::Ip4), ("IPv6", AddressType::Ip6), ("FQDN", AddressType::Name)];

/// Reads the document; `None` also for slices that are taken but of no use, with a warning.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<EndpointSlice> {
    let address_type = document.required("addressType", report, value::choice(ADDRESS_TYPES));
    let ports = document.list("ports", report, read_port);
    if address_type == Some(AddressType::Name) {
        document.ignore(&["endpoints"]);
        report.warn(head.span, "slices of type `FQDN` are ignored", "list addresses instead");
        return None;
    }
    let endpoints = document
        .list("endpoints", report, |node, report| read_endpoint(address_type, node, report));
    let Some(service) = head.labels.get(SERVICE_LABEL) else {
        let help = format!("add the label `{SERVICE_LABEL}` with the Service's name");
        report.warn(head.span, "this EndpointSlice belongs to no Service and is ignored", help);
        return None;
    };
    Some(EndpointSlice {
        meta: head.meta(),
        service: ObjectRef::new(&head.object.namespace, service),
        ports: ports.into_iter().flatten().collect(),
        endpoints,
    })
}

type SlicePort = (Option<Arc<str>>, u16);

/// A TCP or UDP port; `Some(None)` for the others.
fn read_port(node: &Node<'_>, report: &mut Report) -> Option<Option<SlicePort>> {
    let mut fields = Fields::open("a port", node, report)?;
    fields.ignore(&["appProtocol"]);
    let name = fields.optional("name", report, value::shared).filter(|name| !name.is_empty());
    let port = fields.optional("port", report, value::port);
    let protocol = fields.optional("protocol", report, value::choice(super::service::PROTOCOLS));
    fields.finish(report);
    let is_used = protocol.is_none_or(|protocol| protocol.is_some());
    Some(port.filter(|_| is_used).map(|port| (name, port)))
}

fn read_endpoint(
    address_type: Option<AddressType>,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Endpoint> {
    let mut fields = Fields::open("an endpoint", node, report)?;
    fields.ignore(&["deprecatedTopology", "hostname", "targetRef"]);
    let addresses = fields.required("addresses", report, |node, report| {
        fields::list(node, report, |node, report| {
            let ip = value::host_ip(node, report)?;
            let fits = match address_type {
                Some(AddressType::Ip4) => ip.is_ipv4(),
                Some(AddressType::Ip6) => ip.is_ipv6(),
                Some(AddressType::Name) | None => true,
            };
            if !fits {
                report.error(
                    node.span,
                    format!("`{ip}` is not of the slice's `addressType`"),
                    "put IPv4 and IPv6 addresses into slices of their own",
                );
            }
            Some(ip)
        })
    });
    let conditions = fields.optional("conditions", report, read_conditions).unwrap_or_default();
    let hints = fields.optional("hints", report, read_hints).unwrap_or_default();
    let zone = fields.optional("zone", report, value::shared);
    let node_name = fields.optional("nodeName", report, value::shared);
    fields.finish(report);
    let addresses = addresses?;
    if addresses.is_empty() {
        report.error(
            node.span,
            "an endpoint has at least one address",
            "write `addresses: [192.0.2.1]`, or remove the endpoint",
        );
        return None;
    }
    let ready = conditions.ready.unwrap_or(true);
    Some(Endpoint {
        addresses,
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or(false),
        zone,
        node: node_name,
        for_zones: hints.zones,
        for_nodes: hints.nodes,
    })
}

#[derive(Debug, Default)]
struct Hints {
    zones: Vec<Arc<str>>,
    nodes: Vec<Arc<str>>,
}

fn read_hints(node: &Node<'_>, report: &mut Report) -> Option<Hints> {
    let mut fields = Fields::open("`hints`", node, report)?;
    let name = |node: &Node<'_>, report: &mut Report| {
        let mut fields = Fields::open("a hint", node, report)?;
        let name = fields.required("name", report, value::filled);
        fields.finish(report);
        name
    };
    let zones = fields.list("forZones", report, name);
    let nodes = fields.list("forNodes", report, name);
    fields.finish(report);
    Some(Hints { zones, nodes })
}

#[derive(Debug, Default)]
struct Conditions {
    ready: Option<bool>,
    serving: Option<bool>,
    terminating: Option<bool>,
}

fn read_conditions(node: &Node<'_>, report: &mut Report) -> Option<Conditions> {
    let mut fields = Fields::open("`conditions`", node, report)?;
    let conditions = Conditions {
        ready: fields.optional("ready", report, value::boolean),
        serving: fields.optional("serving", report, value::boolean),
        terminating: fields.optional("terminating", report, value::boolean),
    };
    fields.finish(report);
    Some(conditions)
}
