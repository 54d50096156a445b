//! Listeners of Gateways and ListenerSets.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::{read_secret_ref, selector};
use crate::document::fields::{self, Fields};
use crate::document::report::{Report, Spanned};
use crate::document::suggest;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{
    GATEWAY_GROUP, Listener, ListenerProtocol, ListenerTls, NamespaceFilter, Reference, TlsMode,
};

/// Upstream's limits.
const LISTENERS_MAX: usize = 64;
const CERTIFICATES_MAX: usize = 64;

/// Reads `listeners`.
pub(super) fn read_all(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Vec<Listener>> {
    let listeners = fields::list(node, report, |node, report| {
        Some(Spanned { value: read(namespace, node, report)?, span: node.span })
    })?;
    super::check_count(listeners.len(), LISTENERS_MAX, "listeners", node, report);
    let mut seen = HashSet::with_capacity(listeners.len());
    for listener in &listeners {
        let name = &listener.value.name;
        if !seen.insert(name) {
            report.error(
                listener.span,
                format!("the listener `{name}` is given twice"),
                "give each listener a name of its own",
            );
        }
    }
    Some(listeners.into_iter().map(|listener| listener.value).collect())
}

fn read(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Listener> {
    let mut fields = Fields::open("a listener", node, report)?;
    let name = fields.required("name", report, value::filled);
    let port = fields.required("port", report, value::port);
    let protocol = fields.required("protocol", report, read_protocol);
    let hostname = fields.optional("hostname", report, read_hostname).flatten();
    let tls = fields.optional("tls", report, |node, report| read_tls(namespace, node, report));
    let allowed = fields.optional("allowedRoutes", report, read_allowed).unwrap_or_default();
    fields.finish(report);
    let protocol = protocol?;
    let secret = tls.as_ref().is_some_and(|tls| {
        tls.mode == TlsMode::Passthrough || tls.given > 0 || !tls.options.is_empty()
    });
    if protocol == ListenerProtocol::Https && !secret {
        let help = "add `tls: {certificateRefs: [{name: ...}]}` with the name of a Secret";
        report.error(node.span, "an HTTPS listener needs a certificate", help);
    }
    let (namespaces, kinds) = allowed;
    Some(Listener {
        name: name?,
        port: port?,
        protocol,
        hostname,
        tls: tls.map(|tls| ListenerTls {
            mode: tls.mode,
            certificates: tls.certificates,
            options: tls.options,
        }),
        namespaces,
        kinds,
    })
}

const PROTOCOLS: &[(&str, ListenerProtocol)] = &[
    ("HTTP", ListenerProtocol::Http),
    ("HTTPS", ListenerProtocol::Https),
    ("TLS", ListenerProtocol::Tls),
    ("TCP", ListenerProtocol::Tcp),
    ("UDP", ListenerProtocol::Udp),
];

/// A protocol of another implementation has a domain before a slash: it is kept, and refused in the
/// listener's status. In a file anything else is a slip of the pen.
fn read_protocol(node: &Node<'_>, report: &mut Report) -> Option<ListenerProtocol> {
    let name = value::filled(node, report)?;
    if let Some((_, known)) = PROTOCOLS.iter().find(|(known, _)| **known == *name) {
        return Some(known.clone());
    }
    if !report.is_lenient() && !name.contains('/') {
        let help =
            suggest::help_for(&name, "it is one of", PROTOCOLS.iter().map(|(known, _)| *known));
        report.error(node.span, format!("unknown value `{name}`"), help);
        return None;
    }
    Some(ListenerProtocol::Other(name))
}

/// An empty hostname is the same as none.
fn read_hostname(
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Option<crate::gateway::HostPattern>> {
    match value::text(node, report)? {
        "" => Some(None),
        _ => value::host_pattern(node, report).map(Some),
    }
}

struct Tls {
    mode: TlsMode,
    /// How many references there are, right or wrong.
    given: usize,
    certificates: Vec<Reference>,
    options: BTreeMap<Arc<str>, Arc<str>>,
}

fn read_tls(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Tls> {
    const MODES: &[(&str, TlsMode)] =
        &[("Terminate", TlsMode::Terminate), ("Passthrough", TlsMode::Passthrough)];
    let mut fields = Fields::open("`tls`", node, report)?;
    fields.ignore_with_warning(&["frontendValidation"], report);
    let mode = fields.optional("mode", report, value::choice(MODES)).unwrap_or_default();
    let mut given = 0;
    let certificates = fields.list("certificateRefs", report, |node, report| {
        given += 1;
        read_secret_ref(namespace, node, report)
    });
    super::check_count(given, CERTIFICATES_MAX, "certificates", node, report);
    let options = fields.optional("options", report, read_options).unwrap_or_default();
    fields.finish(report);
    Some(Tls { mode, given, certificates, options })
}

/// Reads implementation-specific TLS options.
pub(super) fn read_options(
    node: &Node<'_>,
    report: &mut Report,
) -> Option<BTreeMap<Arc<str>, Arc<str>>> {
    let options = fields::map(node, report, |key, node, report| {
        Some((Arc::from(key.value), value::shared(node, report)?))
    })?;
    Some(options.into_iter().collect())
}

type Allowed = (NamespaceFilter, Vec<(Arc<str>, Arc<str>)>);

/// Whose routes of which kinds may attach.
fn read_allowed(node: &Node<'_>, report: &mut Report) -> Option<Allowed> {
    let mut fields = Fields::open("`allowedRoutes`", node, report)?;
    let kinds = fields.list("kinds", report, |node, report| {
        let mut fields = Fields::open("a kind", node, report)?;
        let group = fields.optional("group", report, value::shared);
        let kind = fields.required("kind", report, value::filled);
        fields.finish(report);
        Some((group.unwrap_or_else(|| GATEWAY_GROUP.into()), kind?))
    });
    let namespaces = fields.optional("namespaces", report, selector::read_namespaces);
    fields.finish(report);
    Some((namespaces.unwrap_or_default(), kinds))
}
