//! `v1` Service: its ports, and how near its endpoints should be.

use std::sync::Arc;

use super::open_spec;
use crate::document::fields::Fields;
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::{Node, ScalarKind, Value};
use crate::document::value;
use crate::gateway::{ProxyProtocol, Service, ServicePort, Transport};

/// Reads the document.
pub(super) fn read(
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
    ]);
    let kind = spec.optional("type", report, value::shared);
    let name = spec.optional("externalName", report, value::shared);
    let distribution = spec.optional("trafficDistribution", report, value::shared);
    let affinity = spec.take("sessionAffinity");
    if let Some(entry) = affinity
        && value::text(&entry.value, report).is_some_and(|found| found != "None")
    {
        let message = "`sessionAffinity` is not supported yet and is ignored";
        report.warn(entry.key_span, message, "requests of one client may go to several endpoints");
    }
    const POLICIES: &[(&str, bool)] = &[("Cluster", false), ("Local", true)];
    let is_local = spec.optional("internalTrafficPolicy", report, value::choice(POLICIES));
    let ports = spec.list("ports", report, read_port);
    spec.finish(report);
    let named = |key: &str| head.annotation(key).map(|text| Arc::clone(&text.value));
    let topology_keys = named(TOPOLOGY_KEYS).map(|text| split(&text)).unwrap_or_default();
    Some(Service {
        meta: head.meta(),
        ports: ports.into_iter().flatten().collect(),
        external_name: name.filter(|_| kind.as_deref() == Some("ExternalName")),
        is_local: is_local.unwrap_or(false),
        distribution: distribution.or_else(|| named(TOPOLOGY_MODE)),
        topology_keys,
        proxy_protocol: proxy_protocol(head, report),
    })
}

/// Whether endpoints are told of the client, which every one of them must then expect.
const PROXY_PROTOCOL: &str = "nearside.dev/proxy-protocol";

fn proxy_protocol(head: &Head, report: &mut Report) -> Option<ProxyProtocol> {
    let text = head.annotation(PROXY_PROTOCOL)?;
    match &*text.value {
        "v1" => Some(ProxyProtocol::V1),
        "v2" => Some(ProxyProtocol::V2),
        other => {
            let message = format!("`{other}` is no version of the PROXY protocol and is ignored");
            report.warn(text.span, message, "write v1 or v2");
            None
        }
    }
}

/// The annotation before `trafficDistribution` (Kubernetes 1.27), and that of SuperEdge and OpenYurt.
const TOPOLOGY_MODE: &str = "service.kubernetes.io/topology-mode";
const TOPOLOGY_KEYS: &str = "topologyKeys";

/// Keys with commas between, or a JSON list of them.
fn split(text: &str) -> Vec<Arc<str>> {
    let plain = |part: &str| part.trim().trim_matches(['[', ']', '"']).trim().to_owned();
    let parts = text.split(',').map(plain).filter(|part| !part.is_empty());
    parts.map(Into::into).collect()
}

/// A TCP or UDP port; `Some(None)` for the others, which a gateway has no use for.
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
    let port = port?;
    let transport = protocol.unwrap_or(Some(Transport::Tcp));
    Some(transport.map(|transport| ServicePort { name, port, transport, app_protocol }))
}

/// Protocols of ports; of SCTP there is no use.
pub(super) const PROTOCOLS: &[(&str, Option<Transport>)] =
    &[("TCP", Some(Transport::Tcp)), ("UDP", Some(Transport::Udp)), ("SCTP", None)];

fn read_port_or_name(node: &Node<'_>, report: &mut Report) -> Option<()> {
    match &node.value {
        Value::Scalar(scalar) if scalar.kind() == ScalarKind::Text => {
            value::filled(node, report).map(|_: Arc<str>| ())
        }
        Value::Scalar(_) | Value::List(_) | Value::Map(_) => value::port(node, report).map(|_| ()),
    }
}
