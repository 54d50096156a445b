//! Filters: what is done to a request or a response on its way.

use std::sync::Arc;

use super::route::BackendTarget;

/// A filter of a rule or of a backend.
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
        /// 301, 302, 303, 307 or 308.
        status: u16,
    },
    /// `URLRewrite`.
    Rewrite {
        /// Host header, when changed.
        hostname: Option<Arc<str>>,
        /// Path, when changed.
        path: Option<PathRewrite>,
    },
    /// `RequestMirror`.
    Mirror(Mirror),
    /// `CORS`.
    Cors(Cors),
    /// `ExtensionRef`: group, kind and name in the route's own namespace.
    Extension {
        /// API group.
        group: Arc<str>,
        /// Kind.
        kind: Arc<str>,
        /// Name.
        name: Arc<str>,
    },
}

/// How a path is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PathRewrite {
    /// The whole path.
    ReplaceFull(Arc<str>),
    /// The matched prefix.
    ReplacePrefix(Arc<str>),
    /// The text with `$1`, `$2`, ... standing for the groups of the rule's regular expression
    /// (Ingress annotations only).
    ReplaceCaptures(Arc<str>),
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

/// `requestMirror`: a copy of the request to another backend, whose answer is thrown away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Where the copy goes.
    pub backend: BackendTarget,
    /// How many requests of `denominator` are copied.
    pub numerator: u32,
    /// Not zero.
    pub denominator: u32,
}

/// `cors` (GEP-1767; the Fetch standard, section 3.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cors {
    /// `*`, `scheme://host[:port]`, or with a wildcard as the first labels of the host.
    pub allow_origins: Vec<Arc<str>>,
    /// `access-control-allow-credentials: true`.
    pub allow_credentials: bool,
    /// Methods, `*` for all.
    pub allow_methods: Vec<Arc<str>>,
    /// Request headers, `*` for all.
    pub allow_headers: Vec<Arc<str>>,
    /// Response headers that scripts may read, `*` for all.
    pub expose_headers: Vec<Arc<str>>,
    /// How long a preflight's answer holds, in seconds (upstream's default: 5).
    pub max_age_s: Option<u32>,
}

/// `sessionPersistence` (GEP-1619), or an Ingress's cookie affinity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionPersistence {
    /// Name of the cookie or header; `None` is the gateway's own.
    pub name: Option<Arc<str>>,
    /// Where the session is carried.
    pub carrier: SessionCarrier,
    /// `absoluteTimeout` in seconds.
    pub absolute_timeout_s: Option<u32>,
    /// `idleTimeout` in seconds.
    pub idle_timeout_s: Option<u32>,
}

/// Where a session is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionCarrier {
    /// In a cookie that ends with the browser's session.
    SessionCookie,
    /// In a cookie that lives for the absolute timeout.
    PermanentCookie,
    /// In a header.
    Header,
}
