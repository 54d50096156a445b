//! `networking.k8s.io/v1` Ingress.

mod annotation;
pub(super) mod class;

use super::open_spec;
use super::path::{self, PathKind};
use crate::document::fields::{self, Fields};
use crate::document::head::Head;
use crate::document::report::Report;
use crate::document::tree::Node;
use crate::document::value;
use crate::gateway::{
    HostPattern, Ingress, IngressBackend, IngressPath, IngressTls, PathMatch, PortRef,
};
use crate::name::ObjectRef;

const PATH_TYPES: &[(&str, PathKind)] = &[
    ("Exact", PathKind::Exact),
    ("Prefix", PathKind::Prefix),
    ("ImplementationSpecific", PathKind::Prefix),
];

/// Reads the document.
pub(super) fn read(
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<Ingress> {
    let namespace = &*head.object.namespace;
    let paths = if annotation::uses_regex(head) { Paths::Expressions } else { Paths::Plain };
    let mut spec = open_spec("`spec` of the Ingress", document, report)?;
    let class = spec.optional("ingressClassName", report, value::filled);
    let default_backend = spec
        .optional("defaultBackend", report, |node, report| read_backend(namespace, node, report))
        .flatten();
    let tls = spec.list("tls", report, |node, report| read_tls(namespace, node, report));
    let rules =
        spec.list("rules", report, |node, report| read_rule((namespace, paths), node, report));
    spec.finish(report);
    let mut ingress = Ingress {
        meta: head.meta(),
        class,
        default_backend,
        tls: tls.into_iter().flatten().collect(),
        paths: rules.into_iter().flatten().collect(),
        ..Ingress::default()
    };
    annotation::apply(&mut ingress, head, report);
    Some(ingress)
}

/// What paths are in one Ingress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Paths {
    Plain,
    /// ingress-nginx: an expression that the path begins with, whatever the case.
    Expressions,
}

type Context<'n> = (&'n str, Paths);

fn read_rule(
    context: Context<'_>,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Vec<IngressPath>> {
    let mut fields = Fields::open("a rule", node, report)?;
    let host = fields.optional("host", report, read_host);
    let paths = fields.optional("http", report, |node, report| {
        let mut fields = Fields::open("`http`", node, report)?;
        let paths = fields.required("paths", report, |node, report| {
            fields::list(node, report, |node, report| read_path(context, node, report))
        });
        fields.finish(report);
        paths
    });
    fields.finish(report);
    let host = host.flatten();
    let paths = paths.unwrap_or_default().into_iter().flatten();
    Some(paths.map(|(path, backend)| IngressPath { host: host.clone(), path, backend }).collect())
}

/// An empty host is the same as none.
fn read_host(node: &Node<'_>, report: &mut Report) -> Option<Option<HostPattern>> {
    match value::text(node, report)? {
        "" => Some(None),
        _ => value::host_pattern(node, report).map(Some),
    }
}

type PathAndBackend = (PathMatch, IngressBackend);

/// `Some(None)` when the backend is not a Service.
fn read_path(
    (namespace, paths): Context<'_>,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Option<PathAndBackend>> {
    let mut fields = Fields::open("a path", node, report)?;
    let kind = fields.required("pathType", report, value::choice(PATH_TYPES));
    let path = match fields.take("path") {
        Some(entry) if paths == Paths::Plain => path::read(&entry.value, report),
        Some(entry) => path::read_regex(&entry.value, report),
        None => Some("/".into()),
    };
    let backend =
        fields.required("backend", report, |node, report| read_backend(namespace, node, report));
    fields.finish(report);
    let path = match paths {
        Paths::Plain => path::to_match(kind?, &path?),
        Paths::Expressions => PathMatch::Regex(format!("(?i:{}).*", path?).into()),
    };
    Some(backend?.map(|backend| (path, backend)))
}

/// `Some(None)` for a `resource` backend, which is taken with a warning.
fn read_backend(
    namespace: &str,
    node: &Node<'_>,
    report: &mut Report,
) -> Option<Option<IngressBackend>> {
    let mut fields = Fields::open("a backend", node, report)?;
    let found = fields.exactly_one(&["service", "resource"], report);
    fields.finish(report);
    let mut backend = None;
    for (key, node) in found {
        backend = match key {
            "resource" => {
                let help = "name a Service instead";
                report.warn(node.span, "`resource` backends are ignored", help);
                Some(None)
            }
            _ => read_service(namespace, node, report).map(Some),
        };
    }
    backend
}

fn read_service(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<IngressBackend> {
    let mut fields = Fields::open("`service`", node, report)?;
    let name = fields.required("name", report, fields::named);
    let port = fields.required("port", report, read_port);
    fields.finish(report);
    let service = ObjectRef::new(namespace, &name?.value);
    Some(IngressBackend { service, port: port? })
}

fn read_port(node: &Node<'_>, report: &mut Report) -> Option<PortRef> {
    let mut fields = Fields::open("`port`", node, report)?;
    let found = fields.exactly_one(&["number", "name"], report);
    fields.finish(report);
    let mut port = None;
    for (key, node) in found {
        port = match key {
            "number" => value::port(node, report).map(PortRef::Number),
            _ => value::filled(node, report).map(PortRef::Name),
        };
    }
    port
}

/// `Some(None)` without a Secret: upstream takes it, and there is nothing to serve.
fn read_tls(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Option<IngressTls>> {
    let mut fields = Fields::open("a `tls` item", node, report)?;
    let hosts = fields.list("hosts", report, value::host_pattern);
    let secret = fields.optional("secretName", report, value::filled);
    fields.finish(report);
    let Some(secret) = secret else {
        let help = "add `secretName` to serve these hosts over TLS";
        report.warn(node.span, "this `tls` item names no Secret and is ignored", help);
        return Some(None);
    };
    Some(Some(IngressTls { hosts, secret: ObjectRef::new(namespace, &secret) }))
}
