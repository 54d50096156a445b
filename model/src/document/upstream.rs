//! Kubernetes' and Gateway API's own kinds, projected to what the gateway uses.
//!
//! Documents copied from their manuals load unchanged: fields of the upstream schema that are not
//! used are listed by name and taken, with a warning where leaving them out changes behaviour; a
//! name that the schema does not have is an error. What the schema allows is kept as it was written,
//! also a reference to a kind that is not served: whoever attaches it says so in a status.

mod backend;
mod backend_tls_policy;
mod config_map;
mod endpoint_slice;
mod filter;
mod gateway;
mod gateway_class;
mod grpc_route;
mod http_policy;
mod http_route;
mod ingress;
mod listener;
mod listener_set;
mod namespace;
mod parent;
mod path;
mod quantity;
mod reference_grant;
mod secret;
mod selector;
mod service;
mod session;
mod stream_route;

use std::sync::Arc;

use super::fields::{self, Fields};
use super::head::{Head, namespace_name};
use super::report::{Report, Spanned};
use super::tree::Node;
use super::value;
use crate::gateway::{GatewayObject, ObjectKind, Reference};
use crate::name::ObjectRef;

/// Reads what follows the head.
pub(super) fn read(
    kind: ObjectKind,
    head: &Head,
    document: &mut Fields<'_, '_>,
    report: &mut Report,
) -> Option<GatewayObject> {
    use GatewayObject as Made;
    document.ignore(&["status"]);
    Some(match kind {
        ObjectKind::IngressClass => {
            Made::IngressClass(Arc::new(ingress::class::read(head, document, report)?))
        }
        ObjectKind::Ingress => Made::Ingress(Arc::new(ingress::read(head, document, report)?)),
        ObjectKind::GatewayClass => {
            Made::GatewayClass(Arc::new(gateway_class::read(head, document, report)?))
        }
        ObjectKind::Gateway => Made::Gateway(Arc::new(gateway::read(head, document, report)?)),
        ObjectKind::ListenerSet => {
            Made::ListenerSet(Arc::new(listener_set::read(head, document, report)?))
        }
        ObjectKind::HttpRoute => {
            Made::HttpRoute(Arc::new(http_route::read(head, document, report)?))
        }
        ObjectKind::GrpcRoute => {
            Made::GrpcRoute(Arc::new(grpc_route::read(head, document, report)?))
        }
        ObjectKind::TlsRoute => {
            Made::TlsRoute(Arc::new(stream_route::read_tls(head, document, report)?))
        }
        ObjectKind::TcpRoute => {
            Made::TcpRoute(Arc::new(stream_route::read_tcp(head, document, report)?))
        }
        ObjectKind::UdpRoute => {
            Made::UdpRoute(Arc::new(stream_route::read_udp(head, document, report)?))
        }
        ObjectKind::ReferenceGrant => {
            Made::ReferenceGrant(Arc::new(reference_grant::read(head, document, report)?))
        }
        ObjectKind::BackendTlsPolicy => {
            Made::BackendTlsPolicy(Arc::new(backend_tls_policy::read(head, document, report)?))
        }
        ObjectKind::HttpPolicy => {
            Made::HttpPolicy(Arc::new(http_policy::read(head, document, report)?))
        }
        ObjectKind::Service => Made::Service(Arc::new(service::read(head, document, report)?)),
        ObjectKind::EndpointSlice => {
            Made::EndpointSlice(Arc::new(endpoint_slice::read(head, document, report)?))
        }
        ObjectKind::Secret => Made::Secret(Arc::new(secret::read(head, document, report)?)),
        ObjectKind::ConfigMap => {
            Made::ConfigMap(Arc::new(config_map::read(head, document, report)?))
        }
        ObjectKind::Namespace => Made::Namespace(Arc::new(namespace::read(head, document, report))),
    })
}

/// A reference of Gateway API: `group`, `kind`, `namespace`, `name`.
struct TargetRef {
    group: Option<Spanned<Arc<str>>>,
    kind: Option<Spanned<Arc<str>>>,
    object: ObjectRef,
}

impl TargetRef {
    /// Takes the four fields out of a mapping that may have others.
    fn read(fields: &mut Fields<'_, '_>, namespace: &str, report: &mut Report) -> Option<Self> {
        let own = fields.optional("namespace", report, namespace_name);
        Self::read_local(fields, own.unwrap_or(namespace), report)
    }

    /// Takes `group`, `kind` and `name` of an object in the referrer's own namespace.
    fn read_local(
        fields: &mut Fields<'_, '_>,
        namespace: &str,
        report: &mut Report,
    ) -> Option<Self> {
        let group = fields.optional("group", report, fields::named);
        let kind = fields.optional("kind", report, fields::named);
        let name = fields.required("name", report, fields::named);
        Some(Self { group, kind, object: ObjectRef::new(namespace, &name?.value) })
    }

    /// The reference, with upstream's defaults where nothing was written.
    fn or(self, group: &str, kind: &str) -> Reference {
        let given = |field: Option<Spanned<Arc<str>>>, default: &str| {
            field.map_or_else(|| default.into(), |field| field.value)
        };
        Reference {
            group: given(self.group, group),
            kind: given(self.kind, kind),
            object: self.object,
        }
    }
}

/// Reads a reference that is a mapping of its own, to a Secret unless it says otherwise.
fn read_secret_ref(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Reference> {
    let mut fields = Fields::open("a reference", node, report)?;
    let target = TargetRef::read(&mut fields, namespace, report);
    fields.finish(report);
    Some(target?.or("", "Secret"))
}

/// Reads a reference that has to say its group and kind.
fn read_full_ref(namespace: &str, node: &Node<'_>, report: &mut Report) -> Option<Reference> {
    let mut fields = Fields::open("a reference", node, report)?;
    let group = fields.required("group", report, value::shared);
    let kind = fields.required("kind", report, value::filled);
    let name = fields.required("name", report, value::filled);
    let own = fields.optional("namespace", report, namespace_name);
    fields.finish(report);
    let object = ObjectRef::new(own.unwrap_or(namespace), &name?);
    Some(Reference { group: group?, kind: kind?, object })
}

/// Opens `spec`, which every upstream kind but slices, Secrets, ConfigMaps and Namespaces has.
fn open_spec<'n, 't>(
    what: &'static str,
    document: &mut Fields<'n, 't>,
    report: &mut Report,
) -> Option<Fields<'n, 't>> {
    let node: &'n Node<'t> = document.required("spec", report, |node, _| Some(node))?;
    Fields::open(what, node, report)
}

/// Reports a list that is longer than upstream's schema allows.
fn check_count(count: usize, max: usize, what: &str, node: &Node<'_>, report: &mut Report) {
    if count > max {
        let message = format!("there are at most {max} {what}, not {count}");
        report.error(node.span, message, "remove some, or split the object into several");
    }
}
