//! What an `HttpPolicy`, or an Ingress's annotations, ask for beyond what routes can say.
//!
//! An `HttpPolicy` (`nearside.dev/v1alpha1`) attaches as GEP-713 describes: directly, to Gateways,
//! HTTPRoutes, GRPCRoutes and Ingresses of its own namespace, or to one rule of a route by
//! `sectionName`. The more specific target wins field by field; among equals the older, then the
//! first by name. It never routes.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use ipnet::IpNet;

use super::filter::{Cors, SessionPersistence};
use super::route::BackendTarget;
use super::{Meta, Reference};

/// An HttpPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpPolicy {
    /// Metadata.
    pub meta: Meta,
    /// `spec.targetRefs`, with `sectionName` when given.
    pub targets: Vec<(Reference, Option<Arc<str>>)>,
    /// The rest of `spec`.
    pub settings: HttpSettings,
}

/// Settings for requests; what is `None` or empty is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpSettings {
    /// `addresses`: clients that may come at all.
    pub addresses: Option<AddressRules>,
    /// `rateLimits`: each must have room.
    pub rate_limits: Vec<RateLimit>,
    /// `requestBodyMax` in octets; 413 beyond.
    pub body_octets_max: Option<u64>,
    /// `jwt`.
    pub jwt: Option<Jwt>,
    /// `externalAuth`.
    pub external_auth: Option<ExternalAuth>,
    /// `basicAuth`: a Secret with htpasswd lines under `auth`.
    pub basic_auth: Option<Reference>,
    /// `compression`.
    pub compression: Option<Compression>,
    /// `errorPages`.
    pub error_pages: Vec<ErrorPage>,
    /// `cors`, as the route filter of that name.
    pub cors: Option<Cors>,
    /// `sessionPersistence`, as in a route's rule.
    pub session: Option<SessionPersistence>,
}

/// Allow and deny lists. A denied address is refused (403) even when it is allowed too; with a
/// non-empty allow list everyone else is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AddressRules {
    /// Allowed.
    pub allow: Vec<IpNet>,
    /// Denied.
    pub deny: Vec<IpNet>,
}

/// A token bucket of this gateway, not shared with others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Requests in `per_ms`.
    pub requests: u32,
    /// The window in milliseconds, not zero.
    pub per_ms: u32,
    /// Requests above the rate that may come at once.
    pub burst: u32,
    /// What has a bucket of its own.
    pub key: RateKey,
}

/// What a rate limit counts by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RateKey {
    /// One bucket for all.
    All,
    /// The client's address, IPv6 by /64.
    Address,
    /// A header's value (lower-case name); requests without it share a bucket.
    Header(Arc<str>),
}

/// JSON Web Tokens (RFC 7519) that a request must carry: 401 without, 403 when a claim is missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Jwt {
    /// `iss` must be this, when given.
    pub issuer: Option<Arc<str>>,
    /// `aud` must be one of these, when there are any.
    pub audiences: Vec<Arc<str>>,
    /// A ConfigMap or Secret with a JWK Set (RFC 7517) under `jwks`.
    pub keys: Reference,
    /// The header the token is in (default `authorization`, after `Bearer `).
    pub header: Option<Arc<str>>,
    /// Claims that must have one of the values.
    pub claims: BTreeMap<Arc<str>, Vec<Arc<str>>>,
    /// Claims that are passed on to the backend: claim to header name.
    pub forward: BTreeMap<Arc<str>, Arc<str>>,
    /// Clock difference allowed, seconds (default 30).
    pub leeway_s: u32,
}

/// A service that is asked about each request over HTTP; 2xx lets it pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAuth {
    /// Who is asked.
    pub backend: BackendTarget,
    /// The path it is asked at; the request's own path comes behind it.
    pub path_prefix: Arc<str>,
    /// Headers of the request it sees besides `authorization` and `cookie` (lower case).
    pub request_headers: Vec<Arc<str>>,
    /// Headers of its answer that the backend sees (lower case).
    pub response_headers: Vec<Arc<str>>,
    /// How long it may take, milliseconds.
    pub timeout_ms: u32,
    /// Whether a request passes when nobody answers.
    pub fail: FailMode,
}

/// What happens when somebody who decides does not answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum FailMode {
    /// The request is refused (503).
    #[default]
    Closed,
    /// It passes.
    Open,
}

/// Compression of responses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compression {
    /// Codings in order of preference among what the client takes.
    pub codings: Vec<Coding>,
    /// Bodies with a shorter `content-length` are left alone.
    pub octets_min: u32,
    /// Media types, `text/*` allowed.
    pub types: Vec<Arc<str>>,
}

/// Content codings (RFC 9110, section 8.4.1; RFC 7932; RFC 8878).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// `gzip`.
    Gzip,
    /// `br`.
    Brotli,
    /// `zstd`.
    Zstd,
}

/// A page instead of the gateway's own errors, or of the backends' too.
#[derive(Clone, PartialEq, Eq)]
pub struct ErrorPage {
    /// The statuses it is for, as inclusive ranges.
    pub statuses: Vec<(u16, u16)>,
    /// Whether backends' answers with such a status are replaced too.
    pub backends_too: bool,
    /// `content-type`.
    pub content_type: Arc<str>,
    /// The body.
    pub body: Arc<str>,
}

impl fmt::Debug for ErrorPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ErrorPage").field("statuses", &self.statuses).finish_non_exhaustive()
    }
}
