//! What a rule does with the requests it meets: the filters, timeouts, retries and settings of a
//! route or an Ingress, compiled once per view.
//!
//! Everything a request needs is ready here: header names are parsed, references are indices. Plain
//! rules carry nothing beyond their backends, so that what is not asked for costs nothing.

mod extras;

use std::sync::Arc;

use http::header;
use model::gateway::{
    BackendTarget, HttpFilter, HttpSettings, Ingress, IngressPath, IngressTls, ObjectKind,
    PathMatch, PathRewrite, Reference, Retry, SessionPersistence,
};
use model::name::ObjectRef;
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

pub(crate) use self::extras::Extras;
use crate::header_edit::Edits;
use crate::kept::Kept;
use crate::origin_tls::OriginClient;
use crate::retry::RetryRule;
use crate::rewrite::{self, Captures, Location};
use crate::turn::Turns;

/// What to do with a matched request.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `kind/namespace/name#rule`, for the access log.
    pub(crate) id: Arc<str>,
    /// Its place among rules of equal matches.
    pub(crate) order: Order,
    /// Forward or redirect.
    pub(crate) action: Action,
    /// What the rule changes on the way.
    pub(crate) changes: Changes,
    /// Whose turn among several backends it is.
    pub(crate) turns: Option<Arc<Turns>>,
    /// How long things may take.
    pub(crate) timeouts: Timeouts,
    /// Which failures are tried again, when the rule says so.
    pub(crate) retry: Option<RetryRule>,
    /// The certificate that its Gateway shows backends.
    pub(crate) client: Option<Arc<OriginClient>>,
    /// What most rules do not ask for.
    pub(crate) extras: Option<Box<Extras>>,
}

/// What decides between rules whose matches are equal: the older document, then its name, then the
/// rule's place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// `metadata.creationTimestamp`.
    pub(crate) created_s: i64,
    /// The document.
    pub(crate) object: ObjectRef,
    /// The rule's place in it.
    pub(crate) place: u32,
    /// The document's kind: names are unique within one only.
    pub(crate) kind: ObjectKind,
}

/// The end of a rule.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// To one of these by weight; empty or all weights zero answers 500 (Gateway API).
    Forward(Vec<Branch>),
    /// Answer with a redirect.
    Redirect(Redirect),
    /// Answer with a redirect to one address (an Ingress's annotation): status and address.
    Elsewhere(u16, Arc<str>),
}

/// One backend of a rule.
#[derive(Debug, PartialEq)]
pub(crate) struct Branch {
    /// Where, and how much of the traffic.
    pub(crate) share: Share,
    /// What is changed for this backend alone, after the rule's own changes.
    pub(crate) changes: Option<Box<Changes>>,
}

/// A weighted target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Share {
    /// Index into the view's clusters.
    pub(crate) target: Target,
    /// Its weight, never 0.
    pub(crate) weight: u32,
}

/// Where a share goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// Index into the view's clusters.
    Cluster(u32),
    /// An HTTPRoute's reference that names nothing, or nothing it may use: 500 (Gateway API).
    Broken,
    /// An Ingress's reference that names nothing: 503, as ingress controllers answer.
    Absent,
}

/// Changes to requests and responses.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// To the request's headers, in order.
    pub(crate) request: Vec<Edits>,
    /// To the response's headers, in order.
    pub(crate) response: Vec<Edits>,
    /// The host that the origin sees instead of the client's.
    pub(crate) rewrite_host: Option<Arc<str>>,
    /// The path that the origin sees instead.
    pub(crate) rewrite_path: Option<PathRewrite>,
    /// Where the groups of a rewrite with captures come from.
    pub(crate) captures: Option<Captures>,
}

/// Time limits of a rule; 0 switches one off (Gateway API).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// How long the whole request may take.
    pub(crate) request_ms: Option<u32>,
    /// How long one attempt may take.
    pub(crate) attempt_ms: Option<u32>,
    /// How long an origin may be silent, where the rule does not limit attempts.
    pub(crate) read_ms: Option<u32>,
    /// How long connecting may take.
    pub(crate) connect_ms: Option<u32>,
}

/// A redirect filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Redirect {
    /// Scheme, when changed.
    pub(crate) scheme: Option<Arc<str>>,
    /// Host, when changed.
    pub(crate) hostname: Option<Arc<str>>,
    /// Port, when changed.
    pub(crate) port: Option<u16>,
    /// Path, when changed.
    pub(crate) path: Option<PathRewrite>,
    /// 301, 302, 303, 307 or 308.
    pub(crate) status: u16,
}

/// A rule as the documents say it, its own backends resolved.
#[derive(Debug)]
pub(crate) struct RuleSource<'a> {
    /// `kind/namespace/name#rule`.
    pub(crate) id: Arc<str>,
    /// Its place among others.
    pub(crate) order: Order,
    /// The rule's filters in document order.
    pub(crate) filters: &'a [HttpFilter],
    /// Its backends with a weight above 0, each with its own filters.
    pub(crate) backends: Vec<(Share, &'a [HttpFilter])>,
    /// Time limits.
    pub(crate) timeouts: Timeouts,
    /// `retry`.
    pub(crate) retry: Option<&'a Retry>,
    /// `sessionPersistence`.
    pub(crate) session: Option<&'a SessionPersistence>,
    /// The certificate that the rule's Gateway shows backends (`Kept::client` parses it).
    pub(crate) client: Option<Arc<OriginClient>>,
    /// What HttpPolicies or annotations add, already merged for this rule.
    pub(crate) settings: &'a HttpSettings,
    /// The Ingress that the rule comes from, if any: its own annotations.
    pub(crate) ingress: Option<IngressSource<'a>>,
}

/// The Ingress of a rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IngressSource<'a> {
    /// The whole of it.
    pub(crate) ingress: &'a Ingress,
    /// The path that is compiled; `None` for the default backend.
    pub(crate) path: Option<&'a IngressPath>,
}

/// What a rule is compiled among.
pub(crate) struct Surroundings<'a> {
    /// Resolves a backend that a filter names (grants of the rule's namespace included).
    pub(crate) target: &'a dyn Fn(&BackendTarget) -> Target,
    /// The octets under a key of a Secret or ConfigMap that the rule may read.
    pub(crate) material: &'a dyn Fn(&Reference, &str) -> Option<&'a [u8]>,
    /// What outlives views.
    pub(crate) kept: &'a Kept,
    /// What was left out, one sentence each.
    pub(crate) notes: &'a mut Vec<String>,
}

impl Rule {
    /// Compiles a rule. Never fails: what cannot be used is left out and said in the notes.
    pub(crate) fn compile(source: RuleSource<'_>, around: &mut Surroundings<'_>) -> Self {
        let RuleSource {
            id,
            order,
            filters,
            backends,
            mut timeouts,
            retry,
            session,
            client,
            settings,
            ingress,
        } = source;
        let mut changes = Changes::compile(filters, around);
        let mut to_https = false;
        if let Some(source) = ingress {
            changes.follow(source, around);
            timeouts.read_ms = source.ingress.read_timeout_ms;
            timeouts.connect_ms = source.ingress.connect_timeout_ms;
            to_https = source.wants_https();
        }
        let extras = Extras::compile(filters, (session, settings), (&id, to_https), around);
        let branch = |(share, filters): (Share, &[HttpFilter])| {
            let changes = Changes::compile(filters, around);
            let changed = changes != Changes::default();
            Branch { share, changes: changed.then(|| Box::new(changes)) }
        };
        let elsewhere = ingress.and_then(|source| source.ingress.redirect.clone());
        let action = match (redirect(filters), elsewhere) {
            (Some(redirect), _) => Action::Redirect(redirect),
            (None, Some((status, address))) => Action::Elsewhere(status, address),
            (None, None) => Action::Forward(backends.into_iter().map(branch).collect()),
        };
        let several = matches!(&action, Action::Forward(branches) if branches.len() > 1);
        let turns = several.then(|| around.kept.turns_of(&id));
        let retry = retry.map(RetryRule::compile);
        let extras = extras.map(Box::new);
        Self { id, order, action, changes, turns, timeouts, retry, client, extras }
    }
}

impl Changes {
    /// Changes a request on its way to an origin.
    pub(crate) fn apply_to_request(
        &self,
        request: &mut RequestHeader,
        location: &Location<'_>,
    ) -> Result<()> {
        if let Some(rewrite) = &self.rewrite_path {
            let target = rewrite::target(rewrite, self.captures.as_ref(), location);
            request.set_raw_path(target.as_bytes())?;
        }
        if let Some(host) = &self.rewrite_host {
            request.insert_header(header::HOST, &**host)?;
        }
        self.request.iter().try_for_each(|edits| edits.apply_to_request(request))
    }

    /// Changes a response on its way to a client.
    pub(crate) fn apply_to_response(&self, response: &mut ResponseHeader) -> Result<()> {
        self.response.iter().try_for_each(|edits| edits.apply_to_response(response))
    }

    /// Adds what an Ingress's annotations change.
    fn follow(&mut self, source: IngressSource<'_>, around: &mut Surroundings<'_>) {
        let IngressSource { ingress, path } = source;
        self.rewrite_host.clone_from(&ingress.rewrite_host);
        self.rewrite_path.clone_from(&ingress.rewrite);
        let pattern = match path.map(|path| &path.path) {
            Some(PathMatch::Regex(pattern)) if self.rewrite_path.is_some() => pattern,
            _ => return,
        };
        match Captures::compile(pattern) {
            Some(captures) => self.captures = Some(captures),
            None => around.notes.push(format!("the path `{pattern}` is no regular expression")),
        }
    }

    fn compile(filters: &[HttpFilter], around: &mut Surroundings<'_>) -> Self {
        let mut changes = Self::default();
        let mut refused = Vec::new();
        for filter in filters {
            match filter {
                HttpFilter::ModifyRequestHeaders(edit) => {
                    changes.request.push(Edits::compile(edit, &mut refused));
                }
                HttpFilter::ModifyResponseHeaders(edit) => {
                    changes.response.push(Edits::compile(edit, &mut refused));
                }
                HttpFilter::Rewrite { hostname, path } => {
                    changes.rewrite_host.clone_from(hostname);
                    changes.rewrite_path.clone_from(path);
                }
                HttpFilter::Redirect { .. }
                | HttpFilter::Mirror(_)
                | HttpFilter::Cors(_)
                | HttpFilter::Extension { .. } => {}
            }
        }
        let note = |name| format!("the header `{name}` cannot be changed by a filter");
        around.notes.extend(refused.into_iter().map(note));
        changes
    }
}

impl IngressSource<'_> {
    /// Whether plain requests are sent to HTTPS: as the annotation says, or when `tls` names the
    /// host.
    fn wants_https(&self) -> bool {
        let host = self.path.and_then(|path| path.host.as_ref());
        let named = |tls: &IngressTls| {
            tls.hosts.is_empty() || host.is_some_and(|host| tls.hosts.contains(host))
        };
        let default = || self.ingress.tls.iter().any(named);
        self.ingress.https_redirect.unwrap_or_else(default)
    }
}

fn redirect(filters: &[HttpFilter]) -> Option<Redirect> {
    filters.iter().find_map(|filter| match filter.clone() {
        HttpFilter::Redirect { scheme, hostname, port, path, status } => {
            Some(Redirect { scheme, hostname, port, path, status })
        }
        _ => None,
    })
}
