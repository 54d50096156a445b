//! One HTTP request through the gateway: Pingora's phases, each a call of a pure decision.
//!
//! `request_filter` judges and routes, `upstream_peer` chooses an endpoint, the failure phases
//! decide on a retry, `logging` settles the books. A request holds one view for its whole life.

mod admission;
mod answer;
mod arrival;
mod attempt;
mod copies;
mod record;
mod reply;
mod walk;

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Version, header};
use ipnet::IpNet;
use pingora_core::protocols::Digest;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use self::admission::Refusal;
use self::answer::Reason;
use self::walk::Walk;
use crate::client_io::{Pace, PaceLimits};
use crate::clock::{self, Clock};
use crate::errand::Errands;
use crate::external_auth::AuthRule;
use crate::forward::{self, Hop, Trust};
use crate::jwt::JwtRule;
use crate::ledger::Ledger;
use crate::origin_peer::{UPGRADED_IDLE, check_names};
use crate::random;
use crate::retry::Budget;
use crate::rule::Extras;
use crate::trace::{TRACEPARENT, TraceId};
use crate::view::GatewayView;

/// What sends a plain request to HTTPS: permanent, and the method stays (as ingress controllers do).
const HTTPS_STATUS: u16 = 308;
/// How long a client's connection is kept between requests (nginx keeps 75 s).
pub(crate) const KEEPALIVE_S: u64 = 60;
/// A client that takes nothing for so long is cut.
const CLIENT_WRITE: Duration = Duration::from_secs(60);
/// Time limits towards origins.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OriginLimits {
    /// To connect.
    pub(crate) connect: Duration,
    /// Between two reads, unless the rule says otherwise.
    pub(crate) read: Duration,
}

/// What all requests of a gateway share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The current view.
    pub(crate) view: Arc<ArcSwap<GatewayView>>,
    /// Counters.
    pub(crate) ledger: Arc<Ledger>,
    /// Retries.
    pub(crate) budget: Budget,
    /// Time.
    pub(crate) clock: Clock,
    /// Proxies in front of us that are believed.
    pub(crate) trusted: Vec<IpNet>,
    /// `x-nearside-site`, when responses are to carry it.
    pub(crate) site_header: Option<HeaderValue>,
    /// Time limits.
    pub(crate) origin: OriginLimits,
    /// Of HTTP/2 uploads; those of HTTP/1 are judged in `client_io`.
    pub(crate) pace: PaceLimits,
    /// Requests of our own.
    pub(crate) errands: Arc<Errands>,
}

/// The proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) shared: Arc<Shared>,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Box<Walk>;

    fn new_ctx(&self) -> Self::CTX {
        self.shared.budget.earn();
        let (view, in_flight) = (self.shared.view.load_full(), self.shared.ledger.begin());
        Box::new(Walk::new(view, in_flight, clock::instant()))
    }

    /// No modules: the default one (compression) would cost every request a dynamic call.
    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, walk: &mut Self::CTX) -> Result<bool> {
        // Pingora keeps HTTP/1.1 connections for ever unless told; `None` is "close", which stays.
        if session.get_keepalive().is_some() {
            session.set_keepalive(Some(KEEPALIVE_S));
        }
        session.set_write_timeout(Some(CLIENT_WRITE));
        if session.is_upgrade_req() {
            session.set_keepalive(None);
            session.set_read_timeout(Some(UPGRADED_IDLE));
            session.set_write_timeout(Some(UPGRADED_IDLE));
        }
        if session.req_header().version == Version::HTTP_2 {
            walk.is_grpc = is_grpc(&session.req_header().headers);
            walk.upload = upload_pace(session, walk);
        }
        if let Err(reason) = self.route(session, walk) {
            walk.reason = reason;
            answer::refuse(session, walk, &self.shared).await?;
            return Ok(true);
        }
        walk.set_deadline();
        if let Err(refusal) = self.admit(session.req_header(), walk).await {
            self.turn_away(session, walk, refusal).await?;
            return Ok(true);
        }
        if let Some((status, to)) = walk.redirected() {
            walk.reason = Reason::Redirect;
            answer::redirect(session, walk, &self.shared, (status, &to)).await?;
            return Ok(true);
        }
        // Bodies are passed on as they come, so we want this one, whatever the origin thinks of
        // expectations; many do not answer them and cost the client a second.
        if session.req_header().headers.contains_key(header::EXPECT) && !session.is_body_empty() {
            session.write_continue_response().await?;
        }
        Ok(false)
    }

    async fn upstream_peer(
        &self,
        session: &mut Session,
        walk: &mut Self::CTX,
    ) -> Result<Box<HttpPeer>> {
        self.pause(walk).await;
        walk.settled = false;
        // A retry is sent the body from its beginning.
        walk.body_octets = 0;
        walk.waiting_since = clock::instant();
        let peer = if walk.is_overdue(walk.waiting_since) {
            Err(Reason::OriginTimeout)
        } else {
            self.next_peer(session, walk)
        };
        peer.map_err(|reason| {
            walk.reason = reason;
            Error::new_in(ErrorType::HTTPStatus(reason.status()))
        })
    }

    /// Reads the names of an origin's certificate where Pingora cannot.
    async fn connected_to_upstream(
        &self,
        _session: &mut Session,
        _reused: bool,
        peer: &HttpPeer,
        _fd: std::os::unix::io::RawFd,
        digest: Option<&Digest>,
        walk: &mut Self::CTX,
    ) -> Result<()> {
        let Some(cluster) = walk.cluster() else { return Ok(()) };
        check_names(&cluster.security, peer, digest, self.shared.origin.connect).await
    }

    async fn upstream_request_filter(
        &self,
        session: &mut Session,
        request: &mut RequestHeader,
        walk: &mut Self::CTX,
    ) -> Result<()> {
        let traced = request.headers.get(TRACEPARENT).map(HeaderValue::as_bytes);
        if traced.and_then(TraceId::parse).is_none() {
            // Attempts of one request are one trace.
            let made = || TraceId::make([random::bits(), random::bits(), random::bits()]);
            let (_, header) = walk.trace.get_or_insert_with(made);
            request.insert_header(TRACEPARENT, header.clone())?;
        }
        let hop = Hop {
            peer: walk.peer.ip(),
            trust: Trust::of(walk.peer.ip(), &self.shared.trusted),
            scheme: walk.scheme,
            host: &walk.authority,
            port: walk.local.port(),
        };
        forward::apply(request, &hop)?;
        request.remove_header(&header::EXPECT);
        if let Some(origin) = &walk.absolute {
            let rooted = if origin.starts_with('/') { "" } else { "/" };
            request.set_raw_path(format!("{rooted}{origin}").as_bytes())?;
            request.insert_header(header::HOST, walk.authority.as_str())?;
        }
        if let Some(lease) = walk.lease.as_ref().filter(|_| walk.authority.is_empty()) {
            // HTTP/1.0 may come without `Host`; it goes on as HTTP/1.1, which must have one.
            request.insert_header(header::HOST, lease.endpoint().address.to_string())?;
        }
        let Some((rule, location)) = walk.located() else { return Ok(()) };
        rule.changes.apply_to_request(request, &location)?;
        if let Some(extras) = &rule.extras {
            guard_headers(extras, request, &walk.written)?;
            self.begin_copies(request, walk, session.is_body_empty());
        }
        let Some((_, location)) = walk.located() else { return Ok(()) };
        match walk.branch().and_then(|branch| branch.changes.as_ref()) {
            Some(changes) => changes.apply_to_request(request, &location),
            None => Ok(()),
        }
    }

    /// An upload takes as long as its client does; the endpoint's own time begins when the last
    /// piece has been passed on.
    async fn request_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        walk: &mut Self::CTX,
    ) -> Result<()> {
        if walk.copying.is_some() {
            self.copy_body(body.as_ref(), walk, end_of_stream);
        }
        let Some(piece) = body else { return Ok(()) };
        walk.body_octets += piece.len() as u64;
        let too_long = walk.body_octets_max.is_some_and(|most| walk.body_octets > most);
        // What goes through a tunnel is no body.
        if too_long && !session.is_upgrade_req() {
            walk.reason = Reason::BodyTooLarge;
            walk.settled = true;
            return Err(Error::new_in(ErrorType::HTTPStatus(walk.reason.status())));
        }
        walk.waiting_since = clock::instant();
        if walk.is_overdue(walk.waiting_since) && !session.is_upgrade_req() {
            // The client took too long, not the endpoint.
            walk.settled = true;
            return Err(Error::new_up(ErrorType::ReadTimedout));
        }
        let is_slow = walk.upload.as_mut().is_some_and(|pace| {
            let now = tokio::time::Instant::from_std(walk.waiting_since);
            pace.feed(now, piece.len());
            pace.starve(now, &self.shared.pace).is_zero()
        });
        if is_slow && !answer::has_begun(session) {
            return Err(Error::new_down(ErrorType::ReadTimedout));
        }
        Ok(())
    }

    /// A total is a total: an origin that keeps sending does not get more time for it.
    fn response_body_filter(
        &self,
        session: &mut Session,
        body: &mut Option<Bytes>,
        end_of_stream: bool,
        walk: &mut Self::CTX,
    ) -> Result<Option<Duration>> {
        if let Some(encoder) = &mut walk.encoder {
            reply::encode(encoder, body, end_of_stream)?;
        }
        let timed = walk.deadline.is_some() && !session.is_upgrade_req();
        if timed && walk.is_overdue(clock::instant()) {
            return Err(Error::new_up(ErrorType::ReadTimedout));
        }
        Ok(None)
    }

    /// Trailers come where the body of a compressed response should end; the body is worth more.
    async fn response_trailer_filter(
        &self,
        _session: &mut Session,
        _trailers: &mut http::HeaderMap,
        walk: &mut Self::CTX,
    ) -> Result<Option<Bytes>> {
        let Some(mut encoder) = walk.encoder.take() else { return Ok(None) };
        encoder.finish().map(Some).or_err(ErrorType::InternalError, "compressing")
    }

    async fn response_filter(
        &self,
        session: &mut Session,
        response: &mut ResponseHeader,
        walk: &mut Self::CTX,
    ) -> Result<()> {
        self.reply(session, response, walk)
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        walk: &mut Self::CTX,
        mut error: Box<Error>,
    ) -> Box<Error> {
        self.not_connected(peer, walk, &mut error);
        error
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        walk: &mut Self::CTX,
        client_reused: bool,
    ) -> Box<Error> {
        self.broke((peer, session), walk, client_reused, &mut error);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        walk: &mut Self::CTX,
    ) -> FailToProxy {
        if *error.esource() == ErrorSource::Downstream {
            walk.reason = Reason::of_client(error);
        } else if walk.reason == Reason::Forwarded && !answer::has_begun(session) {
            walk.reason = Reason::Internal;
        }
        let gone = walk.reason == Reason::ClientGone || answer::has_begun(session);
        // The connection is not used again after a failure, so the client is told.
        session.set_keepalive(None);
        if !gone && answer::refuse(session, walk, &self.shared).await.is_err() {
            walk.reason = Reason::ClientGone;
        }
        let error_code = if gone { 0 } else { walk.reason.status() };
        FailToProxy { error_code, can_reuse_downstream: false }
    }

    /// Our own log says it with a code; Pingora's lines would let a scanner flood the log.
    fn suppress_error_log(&self, _: &Session, _: &Self::CTX, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Self::CTX,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, walk: &mut Self::CTX) {
        if let Some(error) = error.filter(|error| *error.esource() == ErrorSource::Downstream) {
            walk.reason = Reason::of_client(error);
        }
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        let duration = walk.started.elapsed();
        let duration_us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.shared.ledger.finished(status, duration_us, walk.backend_us);
        if let Some(found) = walk.found {
            walk.view.meters.observe(found.rule, status, duration);
        }
        if walk.reason != Reason::Forwarded {
            self.shared.ledger.unforwarded.count([walk.reason.code()]);
        }
        walk.status = status;
        let request = session.req_header();
        let octets = session.body_bytes_sent() as u64;
        self.shared.ledger.log(|| record::record(walk, &self.shared.ledger, request, octets));
    }
}

impl Proxy {
    /// Answers a request that is not let in.
    async fn turn_away(
        &self,
        session: &mut Session,
        walk: &mut Walk,
        refusal: Refusal,
    ) -> Result<()> {
        match refusal {
            Refusal::Own(reason) => {
                walk.reason = reason;
                answer::refuse(session, walk, &self.shared).await
            }
            Refusal::Foreign(head, body) => {
                walk.reason = Reason::AuthRefused(head.status.as_u16());
                answer::pass_on(session, walk, &self.shared, (*head, body)).await
            }
            Refusal::Preflight => {
                walk.reason = Reason::Preflight;
                answer::preflight(session, walk, &self.shared).await
            }
            Refusal::Https(to) => {
                walk.reason = Reason::Redirect;
                answer::redirect(session, walk, &self.shared, (HTTPS_STATUS, &to)).await
            }
        }
    }
}

/// Takes away what only the rule's protections may write, and writes it.
fn guard_headers(
    extras: &Extras,
    request: &mut RequestHeader,
    written: &[(HeaderName, HeaderValue)],
) -> Result<()> {
    let tokens = extras.jwt.iter().flat_map(JwtRule::written);
    for name in tokens.chain(extras.auth.iter().flat_map(AuthRule::written)) {
        request.remove_header(name);
    }
    for (name, value) in written {
        request.append_header(name.clone(), value.clone())?;
    }
    Ok(())
}

/// The pace of an HTTP/2 upload from its head on. A gRPC client may stream messages as rarely as it
/// likes; only the time between two of them is limited, by the origin's read timeout.
fn upload_pace(session: &mut Session, walk: &Walk) -> Option<Pace> {
    let paced = !walk.is_grpc && !session.is_body_empty();
    paced.then(|| Pace::since(tokio::time::Instant::from_std(walk.started)))
}

fn is_grpc(headers: &http::HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    kind.is_some_and(|kind| kind.starts_with(b"application/grpc"))
}

/// Seconds since the epoch, until 2106.
fn wall_s() -> u32 {
    u32::try_from(clock::wall().as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
