//! One attempt at an origin: which endpoint, over what connection, and what its failure means.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use http::Method;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorSource, ErrorType};
use pingora_proxy::Session;

use super::answer::{self, Reason};
use super::walk::Walk;
use super::{Proxy, wall_s};
use crate::endpoint::{Endpoint, Outcome};
use crate::origin_peer::{self, Origin, PeerTimes, Usage};
use crate::random;
use crate::retry::retries_of;
use crate::rule::{Action, Target};
use crate::view::{Cluster, OriginProtocol};

impl Proxy {
    /// Waits before a retry as the rule says, but no longer than the request has left.
    pub(super) async fn pause(&self, walk: &Walk) {
        if walk.retries == 0 {
            return;
        }
        let Some(retry) = walk.rule().and_then(|rule| rule.retry.as_ref()) else { return };
        let pause = retry.pause(walk.retries, random::bits());
        let left = walk.deadline.map(|d| d.saturating_duration_since(crate::clock::instant()));
        tokio::time::sleep(left.map_or(pause, |left| left.min(pause))).await;
    }

    /// Chooses the endpoint of the next attempt and how it is spoken to.
    pub(super) fn next_peer(
        &self,
        session: &Session,
        walk: &mut Walk,
    ) -> Result<Box<HttpPeer>, Reason> {
        self.choose(session, walk)?;
        let (Some(cluster), Some(lease)) = (walk.cluster(), &walk.lease) else {
            return Err(Reason::Internal);
        };
        let limit = walk.attempt_limit(walk.waiting_since);
        let timeouts = walk.rule().map(|rule| rule.timeouts).unwrap_or_default();
        let ms = |ms: Option<u32>| ms.map(|ms| Duration::from_millis(u64::from(ms)));
        let between = ms(timeouts.read_ms).unwrap_or(self.shared.origin.read);
        let read = limit.unwrap_or(between);
        let connect = ms(timeouts.connect_ms).unwrap_or(self.shared.origin.connect).min(read);
        let address = lease.endpoint().address;
        let (security, version) = (cluster.security.clone(), cluster.proxy_protocol);
        let client = walk.rule().and_then(|rule| rule.client.as_ref().map(Arc::clone));
        let usage = if session.is_upgrade_req() {
            let answered = Arc::new(AtomicBool::new(false));
            walk.upgraded = Some(Arc::clone(&answered));
            Usage::Upgrade(answered)
        } else {
            usage_of(cluster.protocol, walk.is_grpc)
        };
        let times = PeerTimes { connect, read, write: between };
        let told = version.map(|version| (version, walk.ends()));
        let client = client.as_deref();
        let origin = Origin { endpoint: address, security: &security, client, told };
        let peer = origin_peer::peer(origin, usage, times);
        peer.map(Box::new).ok_or(Reason::BadBackendTls)
    }

    fn choose(&self, session: &Session, walk: &mut Walk) -> Result<(), Reason> {
        let stays = if walk.retries == 0 { self.kept_endpoint(session, walk) } else { None };
        if let Some((branch, endpoint)) = stays {
            walk.branch = Some(branch);
            walk.lease = Some(endpoint.lease());
            walk.others = true;
            return Ok(());
        }
        if walk.branch.is_none() {
            walk.branch = Some(walk.weigh()?);
        }
        if walk.branch().is_some_and(|branch| branch.share.target == Target::Absent) {
            return Err(Reason::NoEndpoints);
        }
        let cluster = walk.cluster().ok_or(Reason::BadBackend)?;
        let now = self.shared.clock.now();
        let picked = cluster.pick(&walk.tried, now, random::bits());
        let lease = picked.ok_or(Reason::NoEndpoints)?.lease();
        walk.others = cluster.endpoints.len() > walk.tried.len() + 1;
        walk.lease = Some(lease);
        Ok(())
    }

    /// The healthy endpoint that the client's session names, with its branch. A session goes before
    /// weights (GEP-1619).
    fn kept_endpoint(&self, session: &Session, walk: &mut Walk) -> Option<(u32, Arc<Endpoint>)> {
        let rule = walk.rule()?;
        let keeps = rule.extras.as_ref()?.session.as_ref()?;
        let key = walk.view.kept.session_key();
        let found = keeps.read(&session.req_header().headers, key, wall_s())?;
        let Action::Forward(branches) = &rule.action else { return None };
        let now = self.shared.clock.now();
        let hit = (0..).zip(branches).find_map(|(at, branch)| {
            let Target::Cluster(index) = branch.share.target else { return None };
            let cluster: &Cluster = walk.view.clusters.get(index as usize)?;
            let mut endpoints = cluster.endpoints.iter();
            let endpoint =
                endpoints.find(|one| one.tag(key) == found.tag && one.is_healthy(now))?;
            Some((at, Arc::clone(endpoint)))
        });
        walk.session = Some(found);
        hit
    }

    /// Tells the endpoint of the current attempt how it went, once.
    pub(super) fn settle(&self, walk: &mut Walk, outcome: Outcome) {
        if let Some(lease) = walk.lease.as_ref().filter(|_| !walk.settled) {
            let now = self.shared.clock.now();
            self.shared.ledger.observe(lease.endpoint(), outcome, now);
            walk.settled = true;
        }
    }

    /// Whether another attempt may be made, and pays for it.
    fn may_retry(&self, walk: &mut Walk) -> bool {
        let most = retries_of(walk.rule().and_then(|rule| rule.retry.as_ref()));
        if walk.retries >= most || !self.shared.budget.spend(self.shared.clock.now()) {
            return false;
        }
        walk.retries += 1;
        self.shared.ledger.retried();
        true
    }

    /// Whether an answer with this status is tried again, and pays for it.
    pub(super) fn retries_status(&self, session: &Session, walk: &mut Walk, status: u16) -> bool {
        let rule = walk.rule().and_then(|rule| rule.retry.as_ref());
        let again = rule.is_some_and(|retry| retry.covers(status))
            && !session.is_upgrade_req()
            && !session.as_ref().retry_buffer_truncated()
            && self.may_retry(walk);
        if again {
            self.settle(walk, Outcome::Failed);
            walk.tried.extend(walk.lease.as_ref().map(|lease| lease.endpoint().address));
            walk.again = true;
        }
        again
    }

    /// After an endpoint that could not be connected to.
    pub(super) fn not_connected(&self, peer: &HttpPeer, walk: &mut Walk, error: &mut Error) {
        self.settle(walk, Outcome::Failed);
        walk.reason = match error.etype() {
            ErrorType::ConnectTimedout => Reason::ConnectTimeout,
            ErrorType::TLSHandshakeFailure
            | ErrorType::TLSHandshakeTimedout
            | ErrorType::InvalidCert
            | ErrorType::HandshakeError => Reason::OriginTls,
            _ => Reason::ConnectFailed,
        };
        walk.tried.extend(peer._address.as_inet().copied());
        // Nothing was sent, so any method may be tried elsewhere (RFC 9110, section 9.2.2), and
        // where the rule has a `retry`, at the same endpoint too (GEP-1731).
        let elsewhere = walk.others || walk.rule().is_some_and(|rule| rule.retry.is_some());
        let retry = elsewhere && self.may_retry(walk);
        error.set_retry(retry);
    }

    /// After a connection that failed on the way.
    pub(super) fn broke(
        &self,
        (peer, session): (&HttpPeer, &Session),
        walk: &mut Walk,
        client_reused: bool,
        error: &mut Error,
    ) {
        if std::mem::take(&mut walk.again) {
            error.set_retry(true);
            return;
        }
        let replaced = matches!(walk.reason, Reason::ErrorPage(_));
        if replaced || *error.esource() != ErrorSource::Upstream {
            error.set_retry(false);
            return;
        }
        let cause = error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>());
        let timed_out = matches!(error.etype(), ErrorType::ReadTimedout | ErrorType::WriteTimedout)
            || cause.is_some_and(|cause| cause.kind() == std::io::ErrorKind::TimedOut);
        walk.reason = match error.etype() {
            ErrorType::InvalidCert => Reason::OriginTls,
            _ if timed_out => Reason::OriginTimeout,
            _ => Reason::OriginBroke,
        };
        // A kept connection that the origin closed just now says nothing about the origin: the
        // next attempt may go to the same endpoint.
        let stale = client_reused && !timed_out;
        if !stale {
            self.settle(walk, Outcome::Failed);
            walk.tried.extend(peer._address.as_inet().copied());
        }
        let asked = walk.rule().is_some_and(|rule| rule.retry.is_some());
        // A try that took too long is tried again only where the rule asks for retries and limits
        // each of them (GEP-1731).
        let patient = !timed_out
            || (asked && walk.rule().is_some_and(|rule| rule.timeouts.attempt_ms.is_some()));
        let replayable = !answer::has_begun(session)
            && !session.as_ref().retry_buffer_truncated()
            && is_idempotent(&session.req_header().method)
            && patient;
        let retry = replayable && (stale || walk.others || asked) && self.may_retry(walk);
        error.set_retry(retry);
    }
}

/// What a backend is spoken to in. gRPC is HTTP/2, whatever the Service says of its port.
pub(super) fn usage_of(protocol: OriginProtocol, is_grpc: bool) -> Usage {
    match protocol {
        OriginProtocol::H2c => Usage::Http2,
        OriginProtocol::Http1 if is_grpc => Usage::Http2,
        OriginProtocol::Http1 => Usage::Http1,
    }
}

/// RFC 9110, section 9.2.2. TRACE is not served.
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}
