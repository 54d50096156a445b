//! Answers the gateway gives itself: a status, a short text, a code that the access log repeats.
//!
//! The client gets the code; causes and addresses stay in the log.

use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use pingora_core::protocols::http::HttpTask;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use super::{Shared, Walk};
use crate::error_page::{Page, Whose};
use crate::head::Fault;

/// Names the site in a response.
pub(crate) const SITE_HEADER: &str = "x-nearside-site";

/// When a client may try again after 503; endpoints come back within seconds.
const RETRY_AFTER_S: &str = "2";

/// What settled a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// The origin answered.
    Forwarded,
    /// The rule redirects.
    Redirect,
    /// A browser asked what it may ask.
    Preflight,
    /// The request itself was refused.
    Refused(Fault),
    /// The rule's lists do not let this client in.
    AddressDenied,
    /// The client comes too often.
    RateLimited,
    /// The body is longer than the rule allows.
    BodyTooLarge,
    /// No token, or one that does not do.
    TokenRefused,
    /// A token that lacks a claim.
    TokenForbidden,
    /// No password, or a wrong one.
    Unauthorized,
    /// The service that is asked said no; the status is its own.
    AuthRefused(u16),
    /// Nobody said whether the request may pass.
    AuthUnanswered,
    /// A protection of the rule cannot be set up.
    BadPolicy,
    /// The rule's page stands in for a backend's error of this status.
    ErrorPage(u16),
    /// No rule matches.
    NoRoute,
    /// The connection was opened for another name, whose certificate or listener is not this
    /// host's (RFC 9110, section 15.5.20).
    Misdirected,
    /// The rule names no backend that exists.
    BadBackend,
    /// The backend wants TLS in a way that cannot be followed.
    BadBackendTls,
    /// The backend has no endpoint.
    NoEndpoints,
    /// No endpoint could be connected to.
    ConnectFailed,
    /// Connecting took too long.
    ConnectTimeout,
    /// No TLS connection with the right certificate came about.
    OriginTls,
    /// The origin broke off before its answer was complete.
    OriginBroke,
    /// The origin was too slow.
    OriginTimeout,
    /// The client left.
    ClientGone,
    /// A fault of our own.
    Internal,
}

impl Reason {
    pub(crate) fn status(self) -> u16 {
        match self {
            Self::Forwarded | Self::Preflight => 200,
            Self::Redirect => 302,
            Self::Refused(fault) => fault.status(),
            Self::TokenRefused | Self::Unauthorized => 401,
            Self::AddressDenied | Self::TokenForbidden => 403,
            Self::NoRoute => 404,
            Self::BodyTooLarge => 413,
            Self::RateLimited => 429,
            Self::AuthRefused(status) | Self::ErrorPage(status) => status,
            Self::Misdirected => 421,
            Self::BadBackend | Self::BadBackendTls | Self::BadPolicy | Self::Internal => 500,
            Self::NoEndpoints | Self::AuthUnanswered => 503,
            Self::ConnectFailed | Self::OriginTls | Self::OriginBroke => 502,
            Self::ConnectTimeout | Self::OriginTimeout => 504,
            // nginx's code for it; never sent.
            Self::ClientGone => 499,
        }
    }

    pub(crate) fn code(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Redirect => "redirect",
            Self::Preflight => "cors-preflight",
            Self::Refused(fault) => fault.code(),
            Self::AddressDenied => "address-denied",
            Self::RateLimited => "rate-limited",
            Self::BodyTooLarge => "body-too-large",
            Self::TokenRefused => "token-refused",
            Self::TokenForbidden => "token-forbidden",
            Self::Unauthorized => "unauthorized",
            Self::AuthRefused(_) => "auth-refused",
            Self::AuthUnanswered => "auth-unanswered",
            Self::BadPolicy => "bad-policy",
            Self::ErrorPage(_) => "error-page",
            Self::NoRoute => "no-route",
            Self::Misdirected => "misdirected",
            Self::BadBackend => "bad-backend",
            Self::BadBackendTls => "bad-backend-tls",
            Self::NoEndpoints => "no-endpoints",
            Self::ConnectFailed => "connect-failed",
            Self::ConnectTimeout => "connect-timeout",
            Self::OriginTls => "origin-tls",
            Self::OriginBroke => "origin-broke",
            Self::OriginTimeout => "origin-timeout",
            Self::ClientGone => "client-gone",
            Self::Internal => "internal",
        }
    }

    /// What an error on the client's side means.
    pub(crate) fn of_client(error: &Error) -> Self {
        let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        match (cause.map(std::io::Error::kind), error.etype()) {
            // As `client_io` says it.
            (Some(std::io::ErrorKind::InvalidData), _) => Self::Refused(Fault::Chunk),
            (Some(std::io::ErrorKind::TimedOut), _) | (_, ErrorType::ReadTimedout) => {
                Self::Refused(Fault::SlowBody)
            }
            (_, ErrorType::InvalidHTTPHeader) => Self::Refused(Fault::Header),
            _ => Self::ClientGone,
        }
    }
}

/// Whether the client has seen the head of a final answer (100 and 103 are none).
pub(crate) fn has_begun(session: &Session) -> bool {
    let last = session.response_written().map(|response| response.status);
    last.is_some_and(|status| {
        !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// Answers with the walk's reason.
pub(crate) async fn refuse(session: &mut Session, walk: &Walk, shared: &Shared) -> Result<()> {
    let (status, code) = (walk.reason.status(), walk.reason.code());
    if walk.is_grpc {
        return fail_call(session, walk, shared).await;
    }
    let mut response = ResponseHeader::build(status, Some(6))?;
    if walk.reason == Reason::NoEndpoints {
        response.insert_header(header::RETRY_AFTER, RETRY_AFTER_S)?;
    }
    if walk.reason == Reason::Refused(Fault::Method) {
        response.insert_header(header::ALLOW, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")?;
    }
    for (name, value) in &walk.told {
        response.append_header(name.clone(), value.clone())?;
    }
    let mut response = decorate(session, walk, shared, response)?;
    let whose = match walk.reason {
        Reason::ErrorPage(_) => Whose::Backend,
        _ => Whose::Own,
    };
    let pages = walk.rule().and_then(|rule| rule.extras.as_ref()).map(|extras| &extras.pages);
    match pages.and_then(|pages| Page::find(pages, status, whose)) {
        Some(page) => {
            response.insert_header(header::CONTENT_TYPE, page.content_type.clone())?;
            let body = page.body.clone();
            send(session, response, body).await
        }
        None => {
            response.insert_header(header::CONTENT_TYPE, "text/plain; charset=utf-8")?;
            send(session, response, format!("{status} {code}\n").into()).await
        }
    }
}

/// Passes on the answer of the service that was asked.
pub(crate) async fn pass_on(
    session: &mut Session,
    walk: &Walk,
    shared: &Shared,
    (head, body): (ResponseHeader, Bytes),
) -> Result<()> {
    if walk.is_grpc {
        return fail_call(session, walk, shared).await;
    }
    let response = decorate(session, walk, shared, head)?;
    send(session, response, body).await
}

/// Answers with a redirect: status and location.
pub(crate) async fn redirect(
    session: &mut Session,
    walk: &Walk,
    shared: &Shared,
    (status, location): (u16, &str),
) -> Result<()> {
    let mut response = ResponseHeader::build(status, Some(6))?;
    response.insert_header(header::LOCATION, location)?;
    if let Some(rule) = walk.rule() {
        rule.changes.apply_to_response(&mut response)?;
    }
    let response = decorate(session, walk, shared, response)?;
    send(session, response, Bytes::new()).await
}

/// Answers a preflight.
pub(crate) async fn preflight(session: &mut Session, walk: &Walk, shared: &Shared) -> Result<()> {
    let mut response = ResponseHeader::build(walk.reason.status(), Some(10))?;
    let extras = walk.rule().and_then(|rule| rule.extras.as_ref());
    if let Some(cors) = extras.and_then(|extras| extras.cors.as_ref()) {
        cors.answer(&session.req_header().headers, &mut response)?;
    }
    name_site(shared, &mut response)?;
    send(session, response, Bytes::new()).await
}

/// Fails a gRPC call: an answer of trailers alone, whose status 200 only says that it is gRPC
/// (PROTOCOL-HTTP2 of gRPC).
async fn fail_call(session: &mut Session, walk: &Walk, shared: &Shared) -> Result<()> {
    let mut response = ResponseHeader::build(StatusCode::OK, Some(6))?;
    response.insert_header(header::CONTENT_TYPE, "application/grpc")?;
    response.insert_header("grpc-status", grpc_status(walk.reason.status()))?;
    response.insert_header("grpc-message", walk.reason.code())?;
    let response = decorate(session, walk, shared, response)?;
    write_head(session, response).await
}

/// Writes an answer that ends with its head. Pingora's own way for this leaves an HTTP/2 stream open
/// when the request failed, and then resets it.
async fn write_head(session: &mut Session, response: ResponseHeader) -> Result<()> {
    let response = Box::new(response);
    if session.req_header().version == Version::HTTP_2 {
        let tasks = vec![HttpTask::Header(response, true)];
        session.as_mut().response_duplex_vec(tasks).await.map(|_| ())
    } else {
        session.write_response_header(response, true).await
    }
}

/// The gRPC status that stands for an HTTP status (gRPC's http-grpc-status-mapping).
fn grpc_status(status: u16) -> &'static str {
    match status {
        400 | 431 => "13",
        401 => "16",
        403 => "7",
        404 => "12",
        413 => "8",
        429 | 502..=504 => "14",
        _ => "2",
    }
}

fn name_site(shared: &Shared, response: &mut ResponseHeader) -> Result<()> {
    match &shared.site_header {
        Some(site) => response.insert_header(SITE_HEADER, site.clone()),
        None => Ok(()),
    }
}

/// What every answer of ours but a preflight's carries: no caching, the site, and the headers that
/// let a script of an admitted origin see it.
fn decorate(
    session: &Session,
    walk: &Walk,
    shared: &Shared,
    mut response: ResponseHeader,
) -> Result<ResponseHeader> {
    response.insert_header(header::CACHE_CONTROL, "no-store")?;
    name_site(shared, &mut response)?;
    let extras = walk.rule().and_then(|rule| rule.extras.as_ref());
    if let Some(cors) = extras.and_then(|extras| extras.cors.as_ref()) {
        cors.apply(cors.admit(&session.req_header().headers), &mut response)?;
    }
    Ok(response)
}

async fn send(session: &mut Session, mut response: ResponseHeader, body: Bytes) -> Result<()> {
    response.insert_header(header::CONTENT_LENGTH, body.len().to_string())?;
    let empty = body.is_empty() || session.req_header().method == Method::HEAD;
    if empty {
        return write_head(session, response).await;
    }
    session.write_response_header(Box::new(response), false).await?;
    session.write_response_body(Some(body), true).await
}
