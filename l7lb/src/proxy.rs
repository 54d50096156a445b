//! One HTTP request through the gateway: Pingora's phases, each a call of a pure decision.
//!
//! `request_filter` judges and routes, `upstream_peer` chooses an endpoint, the failure phases
//! decide on a retry, `logging` settles the books. A request holds one view for its whole life.

mod answer;
mod walk;

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, StatusCode, Version, header};
use ipnet::IpNet;
use pingora_core::protocols::ALPN;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, ProxyHttp, ProxyWarnLogContext, Session};

use self::answer::Reason;
use self::walk::Walk;
use crate::access_log::{Record, rfc3339};
use crate::client_io::{Pace, PaceLimits, connection_of};
use crate::clock::{self, Clock};
use crate::endpoint::Outcome;
use crate::forward::{self, Hop, Trust};
use crate::head::{Fault, refused_method, split_absolute};
use crate::ledger::Ledger;
use crate::origin_io::UpgradeConnector;
use crate::retry::{Budget, RETRIES_MAX};
use crate::route::RequestParts;
use crate::rule::Target;
use crate::view::{GatewayView, OriginProtocol};
use crate::{host, path, random};

/// How long a client's connection is kept between requests (nginx keeps 75 s).
pub(crate) const KEEPALIVE_S: u64 = 60;
/// A client that takes nothing for so long is cut.
const CLIENT_WRITE: Duration = Duration::from_secs(60);
/// Reads and writes of a WebSocket may be this far apart.
const UPGRADED_IDLE: Duration = Duration::from_secs(3_600);
/// Idle connections to origins are kept a little shorter than common origins keep theirs (Go: 75 s
/// and more, Node: 5 s; the retry of replayable requests covers the rest).
const ORIGIN_IDLE: Duration = Duration::from_secs(50);

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
    pub(crate) site_header: Option<http::HeaderValue>,
    /// Time limits.
    pub(crate) origin: OriginLimits,
    /// Of HTTP/2 uploads; those of HTTP/1 are judged in `client_io`.
    pub(crate) pace: PaceLimits,
}

/// The proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) shared: Arc<Shared>,
}

impl Proxy {
    /// Judges a request that Pingora accepted and finds its rule. HTTP/1 heads were judged by
    /// `head` already; HTTP/2 comes here for the first time.
    fn route(&self, session: &Session, walk: &mut Walk) -> std::result::Result<(), Reason> {
        let connection = session.digest().and_then(connection_of).ok_or(Reason::Internal)?;
        walk.peer = connection.peer;
        walk.local_port = connection.local.port();
        walk.scheme = connection.scheme;
        let request = session.req_header();
        walk.client = forward::client(walk.peer.ip(), &request.headers, &self.shared.trusted);
        if refused_method(request.method.as_str().as_bytes()) {
            return Err(Reason::Refused(Fault::Method));
        }
        let raw =
            std::str::from_utf8(request.raw_path()).map_err(|_| Reason::Refused(Fault::Target))?;
        let (authority, origin) = match split_absolute(raw) {
            Some((authority, rest)) => (Some(authority), rest),
            None => (request.uri.authority().map(http::uri::Authority::as_str), raw),
        };
        let named = request.headers.get(header::HOST).and_then(|value| value.to_str().ok());
        let authority = authority.or(named).unwrap_or_default();
        // HTTP/1.0 may come without a host; it can only meet routes for every host.
        if !(authority.is_empty() && request.version == Version::HTTP_10) {
            let host = host::parse(authority).ok_or(Reason::Refused(Fault::Host))?;
            walk.host = host.name.into_owned();
            walk.host_port = host.port;
            authority.clone_into(&mut walk.authority);
        }
        if request.version == Version::HTTP_2 {
            path::judge(origin).map_err(Reason::Refused)?;
        }
        let (routed, query) = match origin.split_once('?') {
            Some((routed, query)) => (routed, Some(query)),
            None => (origin, None),
        };
        let routed = if routed.is_empty() || routed == "*" { "/" } else { routed };
        walk.path = path::normalise(routed).into_owned();
        walk.query = query.map(str::to_owned);
        walk.absolute = (raw.len() != origin.len()).then(|| origin.to_owned());
        walk.found = walk.view.routes.find(&RequestParts {
            scheme: walk.scheme,
            host: &walk.host,
            path: &walk.path,
            query,
            method: request.method.as_str(),
            headers: &request.headers,
        });
        let asked = connection.server_name.as_deref().filter(|name| **name != *walk.host);
        if asked.is_some_and(|name| walk.view.is_misdirected(name, &walk.host)) {
            return Err(Reason::Misdirected);
        }
        if walk.found.is_some() { Ok(()) } else { Err(Reason::NoRoute) }
    }

    /// Chooses the endpoint of the next attempt.
    fn choose(&self, walk: &mut Walk) -> std::result::Result<OriginProtocol, Reason> {
        if walk.branch.is_none() {
            walk.branch = Some(walk.weigh(random::bits())?);
        }
        let cluster = match walk.branch().map(|branch| branch.share.target) {
            Some(Target::Cluster(index)) => walk.view.clusters.get(index as usize),
            Some(Target::Absent) => return Err(Reason::NoEndpoints),
            _ => None,
        };
        let cluster = cluster.ok_or(Reason::BadBackend)?;
        let now = self.shared.clock.now();
        let picked = crate::balance::pick(&cluster.endpoints, &walk.tried, now, random::bits());
        let endpoint = picked.ok_or(Reason::NoEndpoints)?;
        walk.lease = Some(endpoint.lease());
        walk.others = cluster.endpoints.len() > walk.tried.len() + 1;
        Ok(cluster.protocol)
    }

    /// Tells the endpoint of the current attempt how it went, once.
    fn settle(&self, walk: &mut Walk, outcome: Outcome) {
        if let Some(lease) = walk.lease.as_ref().filter(|_| !walk.settled) {
            lease.endpoint().observe(outcome, self.shared.clock.now());
            walk.settled = true;
        }
    }

    /// Whether another attempt may be made, and pays for it.
    fn may_retry(&self, walk: &mut Walk) -> bool {
        if walk.retries >= RETRIES_MAX || !self.shared.budget.spend(self.shared.clock.now()) {
            return false;
        }
        walk.retries += 1;
        self.shared.ledger.retried();
        true
    }

    fn peer(&self, walk: &Walk, protocol: OriginProtocol, upgrade: bool) -> Result<Box<HttpPeer>> {
        let Some(lease) = &walk.lease else { return Err(Error::new(ErrorType::InternalError)) };
        // No TLS towards origins yet, so the empty SNI skips no verification.
        let mut peer = HttpPeer::new(lease.endpoint().address, false, String::new());
        if protocol == OriginProtocol::H2c {
            peer.options.alpn = ALPN::H2;
            // The pool's hash leaves the protocol out; the group keeps the two apart.
            peer.group_key = 1;
            peer.options.max_h2_streams = 100;
        }
        let answer_within =
            walk.attempt_limit(walk.waiting_since).unwrap_or(self.shared.origin.read);
        let connect = self.shared.origin.connect.min(answer_within);
        let (read, write) = if upgrade {
            let connector = UpgradeConnector { within: connect, answer_within };
            peer.options.custom_l4 = Some(Arc::new(connector));
            peer.group_key = 2;
            // The answer to an upgrade ends with its head; the tunnel behind it has no deadline.
            (UPGRADED_IDLE, UPGRADED_IDLE)
        } else {
            (answer_within, self.shared.origin.read)
        };
        peer.options.connection_timeout = Some(connect);
        peer.options.read_timeout = Some(read);
        peer.options.write_timeout = Some(write);
        peer.options.idle_timeout = Some(ORIGIN_IDLE);
        Ok(Box::new(peer))
    }
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = Walk;

    fn new_ctx(&self) -> Walk {
        self.shared.budget.earn();
        Walk::new(self.shared.view.load_full(), self.shared.ledger.begin(), clock::instant())
    }

    /// No modules: the default one (compression) would cost every request a dynamic call.
    fn init_downstream_modules(&self, _: &mut pingora_core::modules::http::HttpModules) {}

    async fn request_filter(&self, session: &mut Session, walk: &mut Walk) -> Result<bool> {
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
        if session.req_header().version == Version::HTTP_2 && !session.is_body_empty() {
            walk.upload = upload_pace(&session.req_header().headers, walk.started);
        }
        if let Err(reason) = self.route(session, walk) {
            walk.reason = reason;
            answer::refuse(session, walk, &self.shared).await?;
            return Ok(true);
        }
        walk.set_deadline();
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

    async fn upstream_peer(&self, session: &mut Session, walk: &mut Walk) -> Result<Box<HttpPeer>> {
        walk.settled = false;
        walk.waiting_since = clock::instant();
        if walk.is_overdue(walk.waiting_since) {
            walk.reason = Reason::OriginTimeout;
            return Err(Error::new_in(ErrorType::HTTPStatus(walk.reason.status())));
        }
        match self.choose(walk) {
            Ok(protocol) => self.peer(walk, protocol, session.is_upgrade_req()),
            Err(reason) => {
                walk.reason = reason;
                Err(Error::new_in(ErrorType::HTTPStatus(reason.status())))
            }
        }
    }

    async fn upstream_request_filter(
        &self,
        _session: &mut Session,
        request: &mut RequestHeader,
        walk: &mut Walk,
    ) -> Result<()> {
        let hop = Hop {
            peer: walk.peer.ip(),
            trust: Trust::of(walk.peer.ip(), &self.shared.trusted),
            scheme: walk.scheme,
            host: &walk.authority,
            port: walk.local_port,
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
        _end_of_stream: bool,
        walk: &mut Walk,
    ) -> Result<()> {
        let Some(piece) = body else { return Ok(()) };
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
        _body: &mut Option<Bytes>,
        _end_of_stream: bool,
        walk: &mut Walk,
    ) -> Result<Option<Duration>> {
        let timed = walk.deadline.is_some() && !session.is_upgrade_req();
        if timed && walk.is_overdue(clock::instant()) {
            return Err(Error::new_up(ErrorType::ReadTimedout));
        }
        Ok(None)
    }

    async fn response_filter(
        &self,
        _session: &mut Session,
        response: &mut ResponseHeader,
        walk: &mut Walk,
    ) -> Result<()> {
        if response.status.is_informational() && response.status != StatusCode::SWITCHING_PROTOCOLS
        {
            return Ok(());
        }
        let took = u32::try_from(walk.waiting_since.elapsed().as_micros()).unwrap_or(u32::MAX);
        walk.backend_us = Some(took);
        walk.reason = Reason::Forwarded;
        let failed = matches!(response.status.as_u16(), 502..=504);
        self.settle(walk, if failed { Outcome::Failed } else { Outcome::Answered(took) });
        if let Some(rule) = walk.rule() {
            rule.changes.apply_to_response(response)?;
        }
        if let Some(changes) = walk.branch().and_then(|branch| branch.changes.as_ref()) {
            changes.apply_to_response(response)?;
        }
        if let Some(site) = &self.shared.site_header {
            response.insert_header(answer::SITE_HEADER, site.clone())?;
        }
        Ok(())
    }

    fn fail_to_connect(
        &self,
        _session: &mut Session,
        peer: &HttpPeer,
        walk: &mut Walk,
        mut error: Box<Error>,
    ) -> Box<Error> {
        self.settle(walk, Outcome::Failed);
        walk.reason = match error.etype() {
            ErrorType::ConnectTimedout => Reason::ConnectTimeout,
            _ => Reason::ConnectFailed,
        };
        if let Some(address) = peer._address.as_inet() {
            walk.tried.push(*address);
        }
        // Nothing was sent, so any method may be tried elsewhere (RFC 9110, section 9.2.2).
        let retry = walk.others && self.may_retry(walk);
        error.set_retry(retry);
        error
    }

    fn error_while_proxy(
        &self,
        peer: &HttpPeer,
        session: &mut Session,
        mut error: Box<Error>,
        walk: &mut Walk,
        client_reused: bool,
    ) -> Box<Error> {
        if *error.esource() != ErrorSource::Upstream {
            error.set_retry(false);
            return error;
        }
        let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        let timed_out = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout)
            || cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut);
        walk.reason = if timed_out { Reason::OriginTimeout } else { Reason::OriginBroke };
        // A kept connection that the origin closed just now says nothing about the origin: the
        // next attempt may go to the same endpoint.
        let stale = client_reused && !timed_out;
        if !stale {
            self.settle(walk, Outcome::Failed);
            if let Some(address) = peer._address.as_inet() {
                walk.tried.push(*address);
            }
        }
        let replayable = !answer::has_begun(session)
            && !session.as_ref().retry_buffer_truncated()
            && is_idempotent(&session.req_header().method)
            && !timed_out;
        let retry = replayable && (stale || walk.others) && self.may_retry(walk);
        error.set_retry(retry);
        error
    }

    async fn fail_to_proxy(
        &self,
        session: &mut Session,
        error: &Error,
        walk: &mut Walk,
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
    fn suppress_error_log(&self, _: &Session, _: &Walk, _: &Error) -> bool {
        true
    }

    fn suppress_proxy_warn_log(
        &self,
        _: &Session,
        _: &Walk,
        _: &Error,
        _: ProxyWarnLogContext,
    ) -> bool {
        true
    }

    async fn logging(&self, session: &mut Session, error: Option<&Error>, walk: &mut Walk) {
        if let Some(error) = error.filter(|error| *error.esource() == ErrorSource::Downstream) {
            walk.reason = Reason::of_client(error);
        }
        let status = session.response_written().map_or(0, |response| response.status.as_u16());
        self.shared.ledger.finished(status);
        walk.status = status;
        let request = session.req_header();
        let octets = session.body_bytes_sent() as u64;
        self.shared.ledger.log(|| record(walk, &self.shared.ledger, request, octets));
    }
}

fn record<'a>(
    walk: &'a Walk,
    ledger: &'a Ledger,
    request: &'a RequestHeader,
    body_octets: u64,
) -> Record<'a> {
    Record {
        time: rfc3339(clock::wall()),
        site: ledger.site.as_str(),
        client: walk.client,
        method: request.method.as_str(),
        host: &walk.host,
        path: &walk.path,
        scheme: walk.scheme.as_str(),
        protocol: match request.version {
            Version::HTTP_10 => "HTTP/1.0",
            Version::HTTP_2 => "HTTP/2",
            _ => "HTTP/1.1",
        },
        status: walk.status,
        body_octets,
        duration_us: duration_us(walk.started),
        backend_us: walk.backend_us,
        route: walk.rule().map(|rule| &*rule.id),
        endpoint: walk.lease.as_ref().map(|lease| lease.endpoint().address),
        retries: walk.retries,
        reason: walk.reason.code(),
    }
}

/// The pace of an HTTP/2 upload from its head on. A gRPC client may stream messages as rarely as it
/// likes; only the time between two of them is limited, by the origin's read timeout.
fn upload_pace(headers: &http::HeaderMap, now: Instant) -> Option<Pace> {
    let kind = headers.get(header::CONTENT_TYPE).map(http::HeaderValue::as_bytes);
    let grpc = kind.is_some_and(|kind| kind.starts_with(b"application/grpc"));
    (!grpc).then(|| Pace::since(tokio::time::Instant::from_std(now)))
}

fn duration_us(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// RFC 9110, section 9.2.2. TRACE is not served.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}
