//! Routes: where they attach, what they match, where it goes.

use std::sync::Arc;

use super::filter::{HttpFilter, SessionPersistence};
use super::{HostPattern, Meta};
use crate::name::ObjectRef;

/// An HTTPRoute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRoute {
    /// Metadata.
    pub meta: Meta,
    /// `spec.parentRefs`.
    pub parents: Vec<ParentRef>,
    /// `spec.hostnames`; empty matches every host of the listener.
    pub hostnames: Vec<HostPattern>,
    /// `spec.rules`.
    pub rules: Vec<HttpRule>,
}

/// A GRPCRoute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GrpcRoute {
    /// Metadata.
    pub meta: Meta,
    /// `spec.parentRefs`.
    pub parents: Vec<ParentRef>,
    /// `spec.hostnames`; empty matches every host of the listener.
    pub hostnames: Vec<HostPattern>,
    /// `spec.rules`.
    pub rules: Vec<GrpcRule>,
}

/// A TLSRoute, TCPRoute or UDPRoute: connections (or flows) to backends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamRoute {
    /// Metadata.
    pub meta: Meta,
    /// `spec.parentRefs`.
    pub parents: Vec<ParentRef>,
    /// `spec.hostnames` of a TLSRoute, compared with the SNI; empty in the other kinds.
    pub hostnames: Vec<HostPattern>,
    /// `spec.rules`.
    pub rules: Vec<StreamRule>,
}

/// A reference to what a route attaches to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentRef {
    /// What kind of object it is.
    pub kind: ParentKind,
    /// Its namespace (the route's own when none was written) and name.
    pub object: ObjectRef,
    /// `sectionName`.
    pub section: Option<Arc<str>>,
    /// `port`.
    pub port: Option<u16>,
}

/// What a route can attach to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ParentKind {
    /// A Gateway.
    Gateway,
    /// A ListenerSet.
    ListenerSet,
    /// Something that is not ours to serve: group and kind.
    Other(Arc<str>, Arc<str>),
}

/// One rule of an HTTPRoute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpRule {
    /// `name`.
    pub name: Option<Arc<str>>,
    /// Any of these; never empty (the default match is prefix `/`).
    pub matches: Vec<HttpMatch>,
    /// Filters in document order.
    pub filters: Vec<HttpFilter>,
    /// Weighted backends; empty answers 500 unless a filter answers.
    pub backends: Vec<RouteBackend>,
    /// `timeouts.request` in milliseconds; 0 means no timeout.
    pub request_timeout_ms: Option<u32>,
    /// `timeouts.backendRequest` in milliseconds; 0 means no timeout.
    pub backend_timeout_ms: Option<u32>,
    /// `retry`.
    pub retry: Option<Retry>,
    /// `sessionPersistence`.
    pub session: Option<SessionPersistence>,
}

/// `retry` of a rule (GEP-1731).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retry {
    /// Answers that are tried again; connection errors always are.
    pub codes: Vec<u16>,
    /// Tries after the first; `None` is the gateway's own default.
    pub attempts: Option<u32>,
    /// The least time between two tries, milliseconds.
    pub backoff_ms: Option<u32>,
}

/// One match: all of it must hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpMatch {
    /// Path.
    pub path: PathMatch,
    /// Method, upper case.
    pub method: Option<Arc<str>>,
    /// Headers: lower-case name, value.
    pub headers: Vec<(Arc<str>, ValueMatch)>,
    /// Query parameters: name, value.
    pub query: Vec<(Arc<str>, ValueMatch)>,
}

impl Default for HttpMatch {
    /// Upstream's default: everything.
    fn default() -> Self {
        Self {
            path: PathMatch::Prefix("/".into()),
            method: None,
            headers: Vec::new(),
            query: Vec::new(),
        }
    }
}

/// A path match.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PathMatch {
    /// Equal.
    Exact(Arc<str>),
    /// Equal or below, by whole elements (`/a` matches `/a` and `/a/b`, not `/ab`).
    Prefix(Arc<str>),
    /// A regular expression of the `regex` crate's syntax, over the whole path.
    Regex(Arc<str>),
}

/// How a header's, parameter's or method's value is compared.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ValueMatch {
    /// Equal.
    Exact(Arc<str>),
    /// A regular expression over the whole value.
    Regex(Arc<str>),
}

/// One rule of a GRPCRoute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcRule {
    /// `name`.
    pub name: Option<Arc<str>>,
    /// Any of these; empty matches every call.
    pub matches: Vec<GrpcMatch>,
    /// Filters in document order.
    pub filters: Vec<HttpFilter>,
    /// Weighted backends.
    pub backends: Vec<RouteBackend>,
    /// `sessionPersistence`.
    pub session: Option<SessionPersistence>,
}

/// One match of a GRPCRoute: all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GrpcMatch {
    /// The service, with its package.
    pub service: Option<ValueMatch>,
    /// The method.
    pub method: Option<ValueMatch>,
    /// Headers: lower-case name, value.
    pub headers: Vec<(Arc<str>, ValueMatch)>,
}

/// One rule of a TLSRoute, TCPRoute or UDPRoute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StreamRule {
    /// `name`.
    pub name: Option<Arc<str>>,
    /// Weighted backends.
    pub backends: Vec<RouteBackend>,
}

/// A backend of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteBackend {
    /// What it names.
    pub target: BackendTarget,
    /// 0..=1,000,000, default 1.
    pub weight: u32,
    /// Filters for requests to this backend alone.
    pub filters: Vec<HttpFilter>,
}

/// What a backend reference names, whether or not that exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct BackendTarget {
    /// API group; empty is the core group.
    pub group: Arc<str>,
    /// Kind, `Service` by default.
    pub kind: Arc<str>,
    /// Namespace (the route's own when none was written) and name.
    pub object: ObjectRef,
    /// Port; a Service needs one.
    pub port: Option<u16>,
}

impl BackendTarget {
    /// A Service's port.
    #[must_use]
    pub fn service(object: ObjectRef, port: u16) -> Self {
        Self { group: "".into(), kind: "Service".into(), object, port: Some(port) }
    }

    /// Whether it names a Service.
    #[must_use]
    pub fn is_service(&self) -> bool {
        self.group.is_empty() && &*self.kind == "Service"
    }
}

impl RouteBackend {
    /// A Service's port with a weight and no filters.
    #[must_use]
    pub fn service(object: ObjectRef, port: u16, weight: u32) -> Self {
        Self { target: BackendTarget::service(object, port), weight, filters: Vec::new() }
    }
}
