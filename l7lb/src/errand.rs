//! Requests of the gateway's own to a backend: copies for mirrors, questions for authorisation.
//!
//! They go over Pingora's connector with a pool of their own, speak what the backend speaks, and are
//! bounded in time, in the octets of the answer that are kept, and in number.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Uri, Version, header};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType, OkOrErr, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::mirror::COPIES_MAX;
use crate::origin_peer::check_names;
use crate::view::OriginSecurity;

/// Interim answers of one errand (100, 103).
const INTERIM_MAX: usize = 8;
/// Passwords checked at a time, at tens of milliseconds of a core each.
const SLOW_CHECKS_MAX: usize = 2;
/// How long a request waits for its turn at that.
const SLOW_CHECK_WAIT: Duration = Duration::from_secs(5);
/// How long a connection is kept for the next errand.
const IDLE: Duration = Duration::from_secs(30);

/// Runs errands.
pub(crate) struct Errands {
    /// Made when it is first needed: it reads the system's certificates.
    connector: OnceLock<Connector>,
    copies: Arc<Semaphore>,
    slow_checks: Arc<Semaphore>,
}

impl fmt::Debug for Errands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Errands")
    }
}

impl Default for Errands {
    fn default() -> Self {
        Self {
            connector: OnceLock::new(),
            copies: Arc::new(Semaphore::new(COPIES_MAX)),
            slow_checks: Arc::new(Semaphore::new(SLOW_CHECKS_MAX)),
        }
    }
}

/// What comes back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Status and headers.
    pub(crate) head: ResponseHeader,
    /// The body, cut at the errand's limit.
    pub(crate) body: Bytes,
}

/// What one errand may cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ErrandLimits {
    /// From the connection to the end of the answer.
    pub(crate) within: Duration,
    /// Octets of the answer's body that are kept; a longer one costs the connection.
    pub(crate) body_octets_max: usize,
}

impl Errands {
    /// A place for a copy of a request, when not too many are under way.
    pub(crate) fn copy_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.copies).try_acquire_owned().ok()
    }

    /// Makes a check that takes long on purpose (a password) on a thread for such work; `None` when
    /// too many wait for one. Forwarding keeps its own threads.
    pub(crate) async fn check_slowly(
        &self,
        check: impl FnOnce() -> bool + Send + 'static,
    ) -> Option<bool> {
        let place = Arc::clone(&self.slow_checks).acquire_owned();
        let place = timeout(SLOW_CHECK_WAIT, place).await.ok()?.ok()?;
        let checked = tokio::task::spawn_blocking(move || {
            let passes = check();
            drop(place);
            passes
        });
        checked.await.ok()
    }

    /// Sends a request with a `Host` and a path, and waits for the answer.
    ///
    /// # Errors
    ///
    /// When the backend cannot be reached, breaks off, or takes too long.
    pub(crate) async fn run(
        &self,
        (peer, security): (&HttpPeer, &OriginSecurity),
        (request, body): (RequestHeader, Bytes),
        limits: ErrandLimits,
    ) -> Result<Answer> {
        let errand = self.exchange((peer, security), (request, body), limits);
        match timeout(limits.within, errand).await {
            Ok(answer) => answer,
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "waiting for an errand"),
        }
    }

    async fn exchange(
        &self,
        (peer, security): (&HttpPeer, &OriginSecurity),
        (mut request, body): (RequestHeader, Bytes),
        ErrandLimits { within, body_octets_max }: ErrandLimits,
    ) -> Result<Answer> {
        let connector = self.connector.get_or_init(|| Connector::new(None));
        let (mut session, _) = connector.get_http_session(peer).await?;
        check_names(security, peer, session.digest(), within).await?;
        frame(&mut request, body.len(), matches!(session, HttpSession::H2(_)))?;
        session.set_read_timeout(peer.options.read_timeout);
        session.set_write_timeout(peer.options.write_timeout);
        session.write_request_header(Box::new(request)).await?;
        if !body.is_empty() {
            session.write_request_body(body, false).await?;
        }
        session.finish_request_body().await?;
        for _ in 0..INTERIM_MAX {
            session.read_response_header().await?;
            let interim = session.response_header().is_some_and(|h| h.status.is_informational());
            if !interim {
                break;
            }
        }
        let head = session.response_header().cloned();
        let head = head.or_err(ErrorType::InvalidHTTPHeader, "an errand without an answer")?;
        let mut body = BytesMut::new();
        while body.len() < body_octets_max {
            let Some(piece) = session.read_response_body().await? else { break };
            body.extend_from_slice(&piece);
        }
        body.truncate(body_octets_max);
        if session.response_done() {
            connector.release_http_session(session, peer, Some(IDLE)).await;
        } else {
            session.shutdown().await;
        }
        Ok(Answer { head, body: body.freeze() })
    }
}

/// Makes a request's framing fit its body and its connection.
fn frame(request: &mut RequestHeader, body_octets: usize, http2: bool) -> Result<()> {
    for name in [header::TRANSFER_ENCODING, header::CONNECTION, header::UPGRADE, header::EXPECT] {
        request.remove_header(&name);
    }
    request.remove_header("keep-alive");
    request.insert_header(header::CONTENT_LENGTH, body_octets.to_string())?;
    if !http2 {
        request.set_version(Version::HTTP_11);
        return Ok(());
    }
    let host = request.remove_header(&header::HOST);
    let host = host.as_ref().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let path = String::from_utf8_lossy(request.raw_path()).into_owned();
    let uri: Uri = format!("http://{host}{path}")
        .parse()
        .or_err(ErrorType::InvalidHTTPHeader, "the address of an errand")?;
    request.set_uri(uri);
    request.set_version(Version::HTTP_2);
    Ok(())
}
