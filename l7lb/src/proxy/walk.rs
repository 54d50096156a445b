//! What one request carries from phase to phase.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use http::{HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::answer::Reason;
use crate::client_io::Pace;
use crate::compression::Encoder;
use crate::endpoint::Lease;
use crate::ledger::InFlight;
use crate::mirror::Copying;
use crate::proxy_protocol::Ends;
use crate::redirect_port::Arrival;
use crate::rewrite::{self, Location};
use crate::route::{Found, Scheme};
use crate::rule::{Action, Branch, Rule, Target};
use crate::session::Session;
use crate::socket::Place;
use crate::trace::TraceId;
use crate::turn;
use crate::view::{Cluster, GatewayView};

/// The request's context. Its view never changes while it lives.
#[derive(Debug)]
pub(crate) struct Walk {
    pub(crate) view: Arc<GatewayView>,
    pub(crate) started: Instant,
    /// When the rule's `timeouts.request` ends; all attempts and both bodies share it.
    pub(crate) deadline: Option<Instant>,
    /// When the current attempt began, or the last piece of its body was passed on.
    pub(crate) waiting_since: Instant,
    pub(crate) peer: SocketAddr,
    pub(crate) client: IpAddr,
    pub(crate) local: SocketAddr,
    /// Where its connection was accepted.
    pub(crate) place: Place,
    pub(crate) scheme: Scheme,
    /// `Host` or `:authority` as sent.
    pub(crate) authority: String,
    /// Lower case, without port.
    pub(crate) host: String,
    pub(crate) host_port: Option<u16>,
    /// In normal form.
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    /// Path and query of a request in absolute form, which goes on in origin form.
    pub(crate) absolute: Option<String>,
    /// The rule, once found.
    pub(crate) found: Option<Found>,
    /// Which of the rule's branches, once chosen.
    pub(crate) branch: Option<u32>,
    pub(crate) lease: Option<Lease>,
    /// Whether the current attempt's outcome was told.
    pub(crate) settled: bool,
    /// Whether the answer was one that the rule tries again.
    pub(crate) again: bool,
    /// The session that the client carries.
    pub(crate) session: Option<Session>,
    /// Raised when an upgrade is answered.
    pub(crate) upgraded: Option<Arc<AtomicBool>>,
    /// The copy that is being made for mirrors.
    pub(crate) copying: Option<Box<Copying>>,
    /// Headers of our own refusal.
    pub(crate) told: Vec<(HeaderName, HeaderValue)>,
    /// Headers for the backend that only protections may write.
    pub(crate) written: Vec<(HeaderName, HeaderValue)>,
    /// The rule's limit of the request's body, and what has come of it.
    pub(crate) body_octets_max: Option<u64>,
    pub(crate) body_octets: u64,
    /// Compresses the response's body.
    pub(crate) encoder: Option<Box<Encoder>>,
    /// A gRPC call.
    pub(crate) is_grpc: bool,
    /// The trace that was made for it; one that came is in the request.
    pub(crate) trace: Option<(TraceId, HeaderValue)>,
    /// Endpoints that failed this request.
    pub(crate) tried: SmallVec<[SocketAddr; 2]>,
    /// Whether the cluster has endpoints beyond those tried and the current one.
    pub(crate) others: bool,
    pub(crate) retries: u32,
    pub(crate) backend_us: Option<u32>,
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    /// The pace of an HTTP/2 upload.
    pub(crate) upload: Option<Pace>,
    _in_flight: InFlight,
}

impl Walk {
    /// At the start of a request.
    pub(crate) fn new(view: Arc<GatewayView>, in_flight: InFlight, now: Instant) -> Self {
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        Self {
            view,
            started: now,
            deadline: None,
            waiting_since: now,
            peer: SocketAddr::new(nowhere, 0),
            client: nowhere,
            local: SocketAddr::new(nowhere, 0),
            place: Place::SharedHttp,
            scheme: Scheme::Http,
            authority: String::new(),
            host: String::new(),
            host_port: None,
            path: String::new(),
            query: None,
            absolute: None,
            found: None,
            branch: None,
            lease: None,
            settled: false,
            again: false,
            session: None,
            upgraded: None,
            copying: None,
            told: Vec::new(),
            written: Vec::new(),
            body_octets_max: None,
            body_octets: 0,
            encoder: None,
            is_grpc: false,
            trace: None,
            tried: SmallVec::new(),
            others: false,
            retries: 0,
            backend_us: None,
            status: 0,
            reason: Reason::Forwarded,
            upload: None,
            _in_flight: in_flight,
        }
    }

    /// The ends of the client's connection.
    pub(crate) fn ends(&self) -> Ends {
        Ends { source: self.peer, destination: self.local }
    }

    /// How the request arrived.
    pub(crate) fn arrival(&self) -> Arrival {
        let Self { place, scheme, host_port: named, local, .. } = self;
        Arrival { place: *place, scheme: *scheme, named: *named, socket: local.port() }
    }

    /// The rule, once found.
    pub(crate) fn rule(&self) -> Option<&Rule> {
        self.view.routes.rule(self.found?.rule)
    }

    /// Sets the deadline from the rule; 0 switches the timeout off (Gateway API).
    pub(crate) fn set_deadline(&mut self) {
        let limit_ms = self.rule().and_then(|rule| rule.timeouts.request_ms).filter(|&ms| ms > 0);
        self.deadline =
            limit_ms.and_then(|ms| self.started.checked_add(Duration::from_millis(u64::from(ms))));
    }

    /// How long the next attempt may wait for its origin: the rule's `timeouts.backendRequest`, but
    /// no longer than the request has left.
    pub(crate) fn attempt_limit(&self, now: Instant) -> Option<Duration> {
        let attempt_ms = self.rule().and_then(|rule| rule.timeouts.attempt_ms).filter(|&ms| ms > 0);
        let attempt = attempt_ms.map(|ms| Duration::from_millis(u64::from(ms)));
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(now));
        attempt.into_iter().chain(left).min()
    }

    /// Whether the request has used up its time.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| now >= deadline)
    }

    /// Status and location when the rule redirects.
    pub(crate) fn redirected(&self) -> Option<(u16, String)> {
        let (rule, location) = self.located()?;
        match &rule.action {
            Action::Redirect(to) => {
                let port = self.arrival().listener_port(&self.view, &self.host);
                Some((to.status, rewrite::redirect(to, &location, port)))
            }
            Action::Elsewhere(status, address) => Some((*status, address.to_string())),
            Action::Forward(_) => None,
        }
    }

    /// The rule with what locations are computed from.
    pub(crate) fn located(&self) -> Option<(&Rule, Location<'_>)> {
        let Found { rule, matched_octets } = self.found?;
        let location = Location {
            scheme: self.scheme,
            host: &self.host,
            path: &self.path,
            matched_octets,
            query: self.query.as_deref(),
        };
        Some((self.view.routes.rule(rule)?, location))
    }

    /// The rule's branch, once chosen.
    pub(crate) fn branch(&self) -> Option<&Branch> {
        match &self.rule()?.action {
            Action::Forward(branches) => branches.get(self.branch? as usize),
            Action::Redirect(_) | Action::Elsewhere(..) => None,
        }
    }

    /// The backend of the chosen branch.
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        match self.branch()?.share.target {
            Target::Cluster(index) => self.view.clusters.get(index as usize),
            Target::Broken | Target::Absent => None,
        }
    }

    /// The branch whose turn it is.
    pub(crate) fn weigh(&self) -> Result<u32, Reason> {
        let rule = self.rule().ok_or(Reason::Internal)?;
        let (Action::Forward(branches), Some(turns)) = (&rule.action, &rule.turns) else {
            return Ok(0);
        };
        let weights = branches.iter().map(|branch| branch.share.weight);
        let place = turn::place(turns.next(), weights).ok_or(Reason::BadBackend)?;
        u32::try_from(place).map_err(|_| Reason::Internal)
    }
}
