//! `gateway.networking.k8s.io/v1` Gateway: its HTTP and HTTPS listeners.

use std::collections::HashSet;

use super::{TargetRef, open_spec};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::{Report, Spanned};
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{
    Gateway, Listener, ListenerProtocol, ListenerTls, NamespaceFilter, Reference, TlsMode,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    Http,
    Https,
    Other,
}

const PROTOCOLS: &[(&str, Protocol)] = &[
    ("HTTP", Protocol::Http),
    ("HTTPS", Protocol::Https),
    ("TLS", Protocol::Other),
    ("TCP", Protocol::Other),
    ("UDP", Protocol::Other),
];

/// Reads the document.
pub(in crate::document) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<Gateway> {
    let namespace = &*head.object.namespace;
    let mut spec = open_spec("`spec` of the Gateway", document, report)?;
    spec.ignore(&["infrastructure"]);
    spec.ignore_with_warning(
        &["addresses", "allowedListeners", "backendTLS", "defaultScope", "tls"],
        report,
    );
    let class = spec.required("gatewayClassName", report, value::filled);
    let listeners = spec.required("listeners", report, |node, report| {
        fields::list(node, report, |node, report| {
            Some(Spanned { value: read_listener(namespace, node, report)?, span: node.span })
        })
    });
    spec.finish(report);
    let served: Vec<_> = listeners?
        .into_iter()
        .filter_map(|listener| Some(Spanned { value: listener.value?, span: listener.span }))
        .collect();
    let mut seen = HashSet::with_capacity(served.len());
    for listener in &served {
        let name = &listener.value.name;
        if !seen.insert(name) {
            report.error(
                listener.span,
                format!("the listener `{name}` is given twice"),
                "give each listener a name of its own",
            );
        }
    }
    let listeners = served.into_iter().map(|listener| listener.value).collect();
    Some(Gateway { meta: head.meta(), class: class?, listeners, ..Gateway::default() })
}

/// `Some(None)` for listeners of protocols that are not served.
fn read_listener(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Option<Listener>> {
    let mut fields = Fields::open("a listener", node, report)?;
    let name = fields.required("name", report, value::filled);
    let port = fields.required("port", report, value::port);
    let protocol = fields.required("protocol", report, fields::spanned(value::choice(PROTOCOLS)));
    let hostname = fields.optional("hostname", report, value::host_pattern);
    let tls = fields.optional("tls", report, |node, report| read_tls(namespace, node, report));
    let all_namespaces = fields.optional("allowedRoutes", report, read_allowed).unwrap_or(false);
    fields.finish(report);
    let protocol = protocol?;
    let served = match protocol.value {
        Protocol::Http => ListenerProtocol::Http,
        Protocol::Https => ListenerProtocol::Https,
        Protocol::Other => {
            let help = "only HTTP and HTTPS are served";
            report.warn(protocol.span, "a listener of this protocol is ignored", help);
            return Some(None);
        }
    };
    let terminates = tls.as_ref().is_none_or(|tls| tls.terminates);
    if !terminates {
        report.warn(node.span, "a listener that passes TLS through is ignored", "use `Terminate`");
        return Some(None);
    }
    let given = tls.as_ref().is_some_and(|tls| tls.given > 0);
    if served == ListenerProtocol::Https && !given {
        let help = "add `tls: {certificateRefs: [{name: ...}]}` with the name of a Secret";
        report.error(node.span, "an HTTPS listener needs a certificate", help);
    }
    let certificates = tls.map(|tls| tls.certificates).unwrap_or_default();
    Some(Some(Listener {
        name: name?,
        port: port?,
        hostname,
        tls: (served == ListenerProtocol::Https).then(|| ListenerTls {
            mode: TlsMode::Terminate,
            certificates,
            ..ListenerTls::default()
        }),
        protocol: served,
        namespaces: if all_namespaces { NamespaceFilter::All } else { NamespaceFilter::Same },
        kinds: Vec::new(),
    }))
}

struct Tls {
    terminates: bool,
    /// How many references there are, right or wrong.
    given: usize,
    certificates: Vec<Reference>,
}

fn read_tls(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Tls> {
    const MODES: &[(&str, bool)] = &[("Terminate", true), ("Passthrough", false)];
    let mut fields = Fields::open("`tls`", node, report)?;
    fields.ignore_with_warning(&["frontendValidation", "options"], report);
    let terminates = fields.optional("mode", report, value::choice(MODES)).unwrap_or(true);
    let mut given = 0;
    let certificates = fields.list("certificateRefs", report, |node, report| {
        given += 1;
        let mut fields = Fields::open("a certificate", node, report)?;
        let target = TargetRef::read(&mut fields, namespace, report);
        fields.finish(report);
        let target = target?;
        if !target.is("", "Secret") {
            report.error(
                node.span,
                "a certificate is a Secret of the core group",
                "remove `group`, and `kind` or write `kind: Secret`",
            );
            return None;
        }
        Some(Reference::new("", "Secret", target.object))
    });
    fields.finish(report);
    Some(Tls { terminates, given, certificates })
}

/// Whether routes of every namespace may attach.
fn read_allowed(node: &Node<'_>, report: &mut Report) -> Option<bool> {
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum From {
        All,
        Own,
        Other,
    }
    const FROM: &[(&str, From)] = &[
        ("All", From::All),
        ("Same", From::Own),
        ("Selector", From::Other),
        ("None", From::Other),
    ];
    let mut fields = Fields::open("`allowedRoutes`", node, report)?;
    fields.optional("kinds", report, read_route_kinds);
    let from = fields.optional("namespaces", report, |node, report| {
        let mut fields = Fields::open("`namespaces`", node, report)?;
        fields.ignore(&["selector"]);
        let from = fields.optional("from", report, fields::spanned(value::choice(FROM)));
        fields.finish(report);
        from
    });
    fields.finish(report);
    if let Some(Spanned { value: From::Other, span }) = from {
        let help = "only routes of the Gateway's own namespace attach";
        report.warn(span, "this way to choose namespaces is not supported yet", help);
    }
    Some(from.is_some_and(|from| from.value == From::All))
}

/// HTTPRoutes are what attaches here: a list that leaves them out would be broken by them.
fn read_route_kinds(node: &Node<'_>, report: &mut Report) -> Option<()> {
    let kinds = fields::list(node, report, |node, report| {
        let mut fields = Fields::open("a kind", node, report)?;
        let group = fields.optional("group", report, value::shared);
        let kind = fields.required("kind", report, value::filled);
        fields.finish(report);
        Some((group, kind?))
    })?;
    if !kinds.iter().any(|(_, kind)| &**kind == "HTTPRoute") {
        let help = "only HTTPRoutes are read, and they attach all the same";
        report.warn(node.span, "these kinds of routes are not supported yet", help);
    }
    Some(())
}
