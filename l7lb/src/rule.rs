//! What a rule does with the requests it meets: the filters, timeouts, retries and settings of a
//! route or an Ingress, compiled once per view.
//!
//! Everything a request needs is ready here: header names are parsed, references are indices. Plain
//! rules carry nothing beyond their backends, so that what is not asked for costs nothing.

use std::sync::Arc;

use http::header;
use model::gateway::{
    BackendTarget, HttpFilter, HttpSettings, PathRewrite, Reference, Retry, SessionPersistence,
};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::header_edit::Edits;
use crate::rewrite::{self, Location};

/// What to do with a matched request.
#[derive(Debug)]
pub(crate) struct Rule {
    /// `kind/namespace/name#rule`, for the access log.
    pub(crate) id: Arc<str>,
    /// Forward or redirect.
    pub(crate) action: Action,
    /// What the rule changes on the way.
    pub(crate) changes: Changes,
    /// How long things may take.
    pub(crate) timeouts: Timeouts,
}

/// The end of a rule.
#[derive(Debug, PartialEq)]
pub(crate) enum Action {
    /// To one of these by weight; empty or all weights zero answers 500 (Gateway API).
    Forward(Vec<Branch>),
    /// Answer with a redirect.
    Redirect(Redirect),
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
}

/// Time limits of a rule; 0 switches one off (Gateway API).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Timeouts {
    /// How long the whole request may take.
    pub(crate) request_ms: Option<u32>,
    /// How long one attempt may take.
    pub(crate) attempt_ms: Option<u32>,
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
#[expect(dead_code, reason = "retries, sessions and settings are compiled by the next changes")]
pub(crate) struct RuleSource<'a> {
    /// `kind/namespace/name#rule`.
    pub(crate) id: Arc<str>,
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
    /// What HttpPolicies or annotations add, already merged for this rule.
    pub(crate) settings: &'a HttpSettings,
}

/// What a rule is compiled among.
#[expect(dead_code, reason = "mirrors and policies ask it from the next changes on")]
pub(crate) struct Surroundings<'a> {
    /// Resolves a backend that a filter names (grants of the rule's namespace included).
    pub(crate) target: &'a dyn Fn(&BackendTarget) -> Target,
    /// The octets under a key of a Secret or ConfigMap that the rule may read.
    pub(crate) material: &'a dyn Fn(&Reference, &str) -> Option<&'a [u8]>,
    /// What was left out, one sentence each.
    pub(crate) notes: &'a mut Vec<String>,
}

impl Rule {
    /// Compiles a rule. Never fails: what cannot be used is left out and said in the notes.
    pub(crate) fn compile(source: RuleSource<'_>, around: &mut Surroundings<'_>) -> Self {
        let RuleSource { id, filters, backends, timeouts, .. } = source;
        let changes = Changes::compile(filters, around);
        let branch = |(share, filters): (Share, &[HttpFilter])| {
            let changes = Changes::compile(filters, around);
            let changed = changes != Changes::default();
            Branch { share, changes: changed.then(|| Box::new(changes)) }
        };
        let action = match redirect(filters) {
            Some(redirect) => Action::Redirect(redirect),
            None => Action::Forward(backends.into_iter().map(branch).collect()),
        };
        Self { id, action, changes, timeouts }
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
            request.set_raw_path(rewrite::target(rewrite, location).as_bytes())?;
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

fn redirect(filters: &[HttpFilter]) -> Option<Redirect> {
    filters.iter().find_map(|filter| match filter.clone() {
        HttpFilter::Redirect { scheme, hostname, port, path, status } => {
            Some(Redirect { scheme, hostname, port, path, status })
        }
        _ => None,
    })
}
