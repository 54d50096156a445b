//! Ingress, with the annotations that people really use.

use std::sync::Arc;

use super::filter::PathRewrite;
use super::route::PathMatch;
use super::settings::HttpSettings;
use super::{HostPattern, Meta, PortRef};
use crate::name::ObjectRef;

/// An Ingress.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ingress {
    /// Metadata.
    pub meta: Meta,
    /// `spec.ingressClassName`, or the older annotation `kubernetes.io/ingress.class`.
    pub class: Option<Arc<str>>,
    /// `spec.defaultBackend`.
    pub default_backend: Option<IngressBackend>,
    /// `spec.tls`.
    pub tls: Vec<IngressTls>,
    /// `spec.rules[].http.paths[]`, flattened in document order.
    pub paths: Vec<IngressPath>,
    /// Annotation `rewrite-target`.
    pub rewrite: Option<PathRewrite>,
    /// Annotation `ssl-redirect` (default: when `tls` names the host) or `force-ssl-redirect`.
    pub https_redirect: Option<bool>,
    /// Annotation `backend-protocol`: `HTTP` when absent.
    pub backend_protocol: Option<Arc<str>>,
    /// Annotations `permanent-redirect` (301) and `temporal-redirect` (302): status and address.
    pub redirect: Option<(u16, Arc<str>)>,
    /// Annotation `upstream-vhost`: the host that backends see.
    pub rewrite_host: Option<Arc<str>>,
    /// Annotations `proxy-read-timeout` and the like, milliseconds between two reads.
    pub read_timeout_ms: Option<u32>,
    /// Annotation `proxy-connect-timeout`, milliseconds.
    pub connect_timeout_ms: Option<u32>,
    /// What the other annotations mean.
    pub settings: HttpSettings,
}

/// One host and path of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressPath {
    /// `None` matches every host. A wildcard covers exactly one label (Ingress semantics).
    pub host: Option<HostPattern>,
    /// The path.
    pub path: PathMatch,
    /// Where it goes.
    pub backend: IngressBackend,
}

/// `backend.service` of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressBackend {
    /// The Service.
    pub service: ObjectRef,
    /// Its port.
    pub port: PortRef,
}

/// `spec.tls[]` of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressTls {
    /// SNI names; empty means the Ingress's hosts.
    pub hosts: Vec<HostPattern>,
    /// The Secret.
    pub secret: ObjectRef,
}
