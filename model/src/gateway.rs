//! The gateway's own documents, projected to the fields it uses: Ingress, Gateway API, Services,
//! EndpointSlices and TLS Secrets. The schemas are upstream's.
//!
//! They stay at the site: nothing here is part of a snapshot, because secrets are among them.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{ObjectRef, SiteName};

/// The label that binds an object in a shared directory to one site; without it, every site has it.
pub const SITE_LABEL: &str = "nearside.dev/site";

/// What every object carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Namespace and name.
    pub object: ObjectRef,
    /// From [`SITE_LABEL`].
    pub site: Option<SiteName>,
    /// `metadata.creationTimestamp` in seconds since the epoch, 0 when absent (for precedence).
    pub created_s: i64,
    /// `file:line` of the document, for messages.
    pub origin: Arc<str>,
}

/// Everything a gateway is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayObjects {
    /// `networking.k8s.io/v1` Ingress.
    pub ingresses: Vec<Ingress>,
    /// `gateway.networking.k8s.io/v1` Gateway.
    pub gateways: Vec<Gateway>,
    /// `gateway.networking.k8s.io/v1` HTTPRoute.
    pub http_routes: Vec<HttpRoute>,
    /// `v1` Service.
    pub services: Vec<Service>,
    /// `discovery.k8s.io/v1` EndpointSlice.
    pub endpoint_slices: Vec<EndpointSlice>,
    /// `v1` Secret of type `kubernetes.io/tls`.
    pub tls_secrets: Vec<TlsSecret>,
}

impl GatewayObjects {
    /// The objects that belong to `site`: those bound to it and those bound to none.
    #[must_use]
    pub fn for_site(&self, site: &SiteName) -> Self {
        fn keep<T: Clone>(all: &[T], site: &SiteName, meta: impl Fn(&T) -> &Meta) -> Vec<T> {
            let mine = |object: &&T| meta(object).site.as_ref().is_none_or(|bound| bound == site);
            all.iter().filter(mine).cloned().collect()
        }
        Self {
            ingresses: keep(&self.ingresses, site, |o| &o.meta),
            gateways: keep(&self.gateways, site, |o| &o.meta),
            http_routes: keep(&self.http_routes, site, |o| &o.meta),
            services: keep(&self.services, site, |o| &o.meta),
            endpoint_slices: keep(&self.endpoint_slices, site, |o| &o.meta),
            tls_secrets: keep(&self.tls_secrets, site, |o| &o.meta),
        }
    }
}

/// A hostname of a route or listener: exact, or `*.suffix` (any number of labels in Gateway API).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Lower case, no trailing dot.
    Exact(Arc<str>),
    /// The suffix after `*.`, lower case.
    Suffix(Arc<str>),
}

/// An Ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ingress {
    /// Metadata.
    pub meta: Meta,
    /// `spec.ingressClassName`.
    pub class: Option<Arc<str>>,
    /// `spec.defaultBackend`.
    pub default_backend: Option<IngressBackend>,
    /// `spec.tls`.
    pub tls: Vec<IngressTls>,
    /// `spec.rules[].http.paths[]`, flattened in document order.
    pub paths: Vec<IngressPath>,
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

/// A Service port by number or name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By name.
    Name(Arc<str>),
}

/// `spec.tls[]` of an Ingress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressTls {
    /// SNI names; empty means the Ingress's hosts.
    pub hosts: Vec<HostPattern>,
    /// The Secret.
    pub secret: ObjectRef,
}

/// A path match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Equal.
    Exact(Arc<str>),
    /// Equal or below, by whole elements (`/a` matches `/a` and `/a/b`, not `/ab`).
    Prefix(Arc<str>),
}

/// A Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Metadata.
    pub meta: Meta,
    /// `spec.gatewayClassName`.
    pub class: Arc<str>,
    /// `spec.listeners`.
    pub listeners: Vec<Listener>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Section name.
    pub name: Arc<str>,
    /// Port.
    pub port: u16,
    /// HTTP or HTTPS (terminating).
    pub protocol: ListenerProtocol,
    /// `None` matches every host.
    pub hostname: Option<HostPattern>,
    /// `tls.certificateRefs`.
    pub certificates: Vec<ObjectRef>,
    /// `allowedRoutes.namespaces.from: All` (otherwise the Gateway's own namespace only).
    pub all_namespaces: bool,
}

/// What a listener speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenerProtocol {
    /// HTTP/1.1 and h2c.
    Http,
    /// TLS terminated here, HTTP/1.1 and HTTP/2 by ALPN.
    Https,
}

/// An HTTPRoute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// Metadata.
    pub meta: Meta,
    /// `spec.parentRefs` that name a Gateway.
    pub parents: Vec<ParentRef>,
    /// `spec.hostnames`; empty matches every host of the listener.
    pub hostnames: Vec<HostPattern>,
    /// `spec.rules`.
    pub rules: Vec<HttpRule>,
}

/// A reference to a Gateway's listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentRef {
    /// The Gateway.
    pub gateway: ObjectRef,
    /// `sectionName`.
    pub section: Option<Arc<str>>,
    /// `port`.
    pub port: Option<u16>,
}

/// One rule of an HTTPRoute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// Any of these; never empty (the default match is prefix `/`).
    pub matches: Vec<HttpMatch>,
    /// Filters in document order.
    pub filters: Vec<HttpFilter>,
    /// Weighted backends; empty answers 500 unless a filter answers.
    pub backends: Vec<WeightedBackend>,
    /// `timeouts.request` in milliseconds; 0 means no timeout.
    pub request_timeout_ms: Option<u32>,
    /// `timeouts.backendRequest` in milliseconds; 0 means no timeout.
    pub backend_timeout_ms: Option<u32>,
}

/// One match: all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpMatch {
    /// Path.
    pub path: PathMatch,
    /// Method, upper case.
    pub method: Option<Arc<str>>,
    /// Headers: lower-case name, exact value.
    pub headers: Vec<(Arc<str>, Arc<str>)>,
    /// Query parameters: name, exact value.
    pub query: Vec<(Arc<str>, Arc<str>)>,
}

/// Filters of the first slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpFilter {
    /// `RequestHeaderModifier`.
    ModifyRequestHeaders(HeaderEdit),
    /// `ResponseHeaderModifier`.
    ModifyResponseHeaders(HeaderEdit),
    /// `RequestRedirect`.
    Redirect {
        /// Scheme, when changed.
        scheme: Option<Arc<str>>,
        /// Host, when changed.
        hostname: Option<Arc<str>>,
        /// Port, when changed.
        port: Option<u16>,
        /// Path, when changed.
        path: Option<PathRewrite>,
        /// 301 or 302 (303, 307, 308 as extensions).
        status: u16,
    },
    /// `URLRewrite`.
    Rewrite {
        /// Host header, when changed.
        hostname: Option<Arc<str>>,
        /// Path, when changed.
        path: Option<PathRewrite>,
    },
}

/// How a path is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// The whole path.
    ReplaceFull(Arc<str>),
    /// The matched prefix.
    ReplacePrefix(Arc<str>),
}

/// Header changes, applied set, add, remove.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeaderEdit {
    /// Set.
    pub set: Vec<(Arc<str>, Arc<str>)>,
    /// Add.
    pub add: Vec<(Arc<str>, Arc<str>)>,
    /// Remove.
    pub remove: Vec<Arc<str>>,
}

/// A backend with its weight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WeightedBackend {
    /// The Service.
    pub service: ObjectRef,
    /// Its port.
    pub port: u16,
    /// 0..=1,000,000, default 1.
    pub weight: u32,
}

/// A Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Metadata.
    pub meta: Meta,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, which links it to the EndpointSlice's port of the same name.
    pub name: Option<Arc<str>>,
    /// Number.
    pub port: u16,
    /// `appProtocol` (`kubernetes.io/h2c`, `kubernetes.io/ws`, ...).
    pub app_protocol: Option<Arc<str>>,
}

/// An EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Metadata.
    pub meta: Meta,
    /// From the label `kubernetes.io/service-name`.
    pub service: ObjectRef,
    /// Ports by name.
    pub ports: Vec<(Option<Arc<str>>, u16)>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses; the first is used.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`, default true.
    pub ready: bool,
    /// `conditions.serving`, default `ready`.
    pub serving: bool,
    /// `conditions.terminating`, default false.
    pub terminating: bool,
    /// `zone`.
    pub zone: Option<Arc<str>>,
    /// `nodeName`.
    pub node: Option<Arc<str>>,
}

/// A TLS Secret. Its `Debug` never shows the key.
#[derive(Clone, PartialEq, Eq)]
pub struct TlsSecret {
    /// Metadata.
    pub meta: Meta,
    /// `tls.crt`, PEM.
    pub certificate_pem: Arc<[u8]>,
    /// `tls.key`, PEM.
    pub key_pem: Arc<[u8]>,
}

impl fmt::Debug for TlsSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSecret").field("meta", &self.meta).finish_non_exhaustive()
    }
}
