//! Asking a service about each request (GEP-1494, over HTTP): what it is asked and what its answer
//! means. The shell asks.
//!
//! It sees the request's method, path and the headers it was given to see, never the body. Headers
//! that it may write for the backend are taken from every request first, so that no client can.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, StatusCode, header};
use model::gateway::settings::{ExternalAuth, FailMode};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

use crate::errand::{Answer, ErrandLimits};
use crate::rule::{Surroundings, Target};

/// Octets of a refusal's body that are passed on.
const BODY_OCTETS_MAX: usize = 64 * 1024;
/// The longest that a request waits for the service, whatever the rule says.
const WITHIN_MS_MAX: u32 = 30_000;
/// Headers of a refusal that are the connection's or ours to write.
const KEPT: [&str; 7] = [
    "connection",
    "content-length",
    "date",
    "keep-alive",
    "server",
    "transfer-encoding",
    "upgrade",
];

/// Whom a rule asks.
#[derive(Debug)]
pub(crate) struct AuthRule {
    /// Index into the view's clusters.
    pub(crate) cluster: u32,
    path_prefix: Arc<str>,
    request_headers: Vec<HeaderName>,
    response_headers: Vec<HeaderName>,
    within: Duration,
    fail: FailMode,
}

/// What the service said.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The request passes, with these headers for its backend.
    Pass(Vec<(HeaderName, HeaderValue)>),
    /// It does not; this is the answer.
    Refuse(Box<ResponseHeader>, Bytes),
    /// Nobody answered and that means no.
    Unanswered,
}

impl AuthRule {
    /// Compiles the settings; `None` when the service or a header cannot be used.
    pub(crate) fn compile(auth: &ExternalAuth, around: &Surroundings<'_>) -> Option<Self> {
        let ExternalAuth {
            backend,
            path_prefix,
            request_headers,
            response_headers,
            timeout_ms,
            fail,
        } = auth;
        let Target::Cluster(cluster) = (around.target)(backend) else { return None };
        let named = |names: &[Arc<str>]| -> Option<Vec<HeaderName>> {
            names.iter().map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
        };
        let mut request_headers = named(request_headers)?;
        request_headers.extend([header::AUTHORIZATION, header::COOKIE]);
        Some(Self {
            cluster,
            path_prefix: Arc::clone(path_prefix),
            request_headers,
            response_headers: named(response_headers)?,
            within: Duration::from_millis(u64::from((*timeout_ms).clamp(1, WITHIN_MS_MAX))),
            fail: *fail,
        })
    }

    /// What asking may cost.
    pub(crate) fn limits(&self) -> ErrandLimits {
        ErrandLimits { within: self.within, body_octets_max: BODY_OCTETS_MAX }
    }

    /// Headers that only the service may write.
    pub(crate) fn written(&self) -> impl Iterator<Item = &HeaderName> {
        self.response_headers.iter()
    }

    /// The question about a request; `facts` are `x-forwarded-*`.
    pub(crate) fn question(
        &self,
        request: &RequestHeader,
        host: &str,
        facts: &[(&'static str, &str)],
    ) -> Result<RequestHeader> {
        let path = String::from_utf8_lossy(request.raw_path());
        let path = format!("{}{path}", self.path_prefix.trim_end_matches('/'));
        let mut question = RequestHeader::build(request.method.clone(), path.as_bytes(), None)?;
        question.insert_header(header::HOST, host)?;
        for name in &self.request_headers {
            for value in request.headers.get_all(name) {
                question.append_header(name.clone(), value.clone())?;
            }
        }
        for (name, value) in facts {
            question.insert_header(*name, *value)?;
        }
        Ok(question)
    }

    /// What an answer, or none, means. An error of the service is no answer.
    pub(crate) fn judge(&self, answer: Option<Answer>) -> Verdict {
        let answer = answer.filter(|answer| !answer.head.status.is_server_error());
        let Some(Answer { mut head, body }) = answer else {
            return match self.fail {
                FailMode::Open => Verdict::Pass(Vec::new()),
                FailMode::Closed => Verdict::Unanswered,
            };
        };
        if head.status.is_success() {
            let told = self.response_headers.iter().flat_map(|name| {
                let values = head.headers.get_all(name).iter();
                values.map(|value| (name.clone(), value.clone()))
            });
            return Verdict::Pass(told.collect());
        }
        for name in KEPT {
            head.remove_header(name);
        }
        if head.status.is_informational() {
            // No final answer at all.
            return match ResponseHeader::build(StatusCode::FORBIDDEN, None) {
                Ok(refusal) => Verdict::Refuse(Box::new(refusal), Bytes::new()),
                Err(_) => Verdict::Unanswered,
            };
        }
        Verdict::Refuse(Box::new(head), body)
    }
}

#[cfg(test)]
mod tests;
