//! One ip:port behind a backend, with its live counters.
//!
//! The counters are shared by every view that knows the address, so that a reload forgets nothing:
//! a view holds the `Arc`, the next view takes it over. All of them are atomics; the breaker's
//! mutex is taken only on failures, checks, and successes that follow a failure.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use crate::balance::Latency;
use crate::breaker::{Breaker, Millis};
use crate::session::{SessionKey, Tag};

/// An endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Where.
    pub(crate) address: SocketAddr,
    in_flight: AtomicU32,
    /// A packed [`Latency`].
    latency: AtomicU64,
    breaker: Mutex<Breaker>,
    /// Copies of what the breaker says, for readers without the mutex.
    down: AtomicBool,
    ejected_until: AtomicU64,
    /// Whether the breaker has failures to forget.
    suspect: AtomicBool,
    /// What stands for it in session tokens, once asked for.
    tag: OnceLock<Tag>,
}

/// An endpoint at one moment, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Look {
    /// The checks have given it up.
    pub(crate) is_down: bool,
    /// How long it stays ejected.
    pub(crate) ejected_ms: Millis,
    /// Checks that failed in a row.
    pub(crate) misses: u32,
    /// Requests that failed in a row.
    pub(crate) failures: u32,
    pub(crate) in_flight: u32,
    /// The decayed peak; 0 is unmeasured.
    pub(crate) latency_us: u32,
}

/// What became of a request, as far as the endpoint is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Answered after so many microseconds.
    Answered(u32),
    /// Not reached, broken off, or 502, 503, 504.
    Failed,
}

/// What an outcome has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Nothing that others would see.
    Kept,
    /// It was one failure too many: the endpoint is out for a while.
    Ejected,
}

impl Endpoint {
    /// A new endpoint, taken as healthy.
    pub(crate) fn new(address: SocketAddr) -> Self {
        Self {
            address,
            in_flight: AtomicU32::new(0),
            latency: AtomicU64::new(0),
            breaker: Mutex::default(),
            down: AtomicBool::new(false),
            ejected_until: AtomicU64::new(0),
            suspect: AtomicBool::new(false),
            tag: OnceLock::new(),
        }
    }

    /// Whether it may be chosen.
    pub(crate) fn is_healthy(&self, now: Millis) -> bool {
        !self.down.load(Ordering::Relaxed) && now >= self.ejected_until.load(Ordering::Relaxed)
    }

    /// Expected cost of one more request (see `balance`).
    pub(crate) fn cost(&self, now: Millis) -> u64 {
        let in_flight = self.in_flight.load(Ordering::Relaxed);
        Latency::unpack(self.latency.load(Ordering::Relaxed)).cost(in_flight, now)
    }

    /// How it is doing.
    pub(crate) fn look(&self, now: Millis) -> Look {
        let breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let (misses, failures) = breaker.in_a_row();
        Look {
            is_down: breaker.is_down(),
            ejected_ms: breaker.ejected_until().saturating_sub(now),
            misses,
            failures,
            in_flight: self.in_flight.load(Ordering::Relaxed),
            latency_us: Latency::unpack(self.latency.load(Ordering::Relaxed)).decayed(now),
        }
    }

    /// What stands for it in session tokens; all tokens of a gateway have one key.
    pub(crate) fn tag(&self, key: &SessionKey) -> Tag {
        *self.tag.get_or_init(|| key.tag(self.address))
    }

    /// Counts a request in until the lease is dropped.
    pub(crate) fn lease(self: &Arc<Self>) -> Lease {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Lease { endpoint: Arc::clone(self) }
    }

    /// Learns from a request.
    pub(crate) fn observe(&self, outcome: Outcome, now: Millis) -> Standing {
        let next = |packed| {
            let latency = Latency::unpack(packed);
            let next = match outcome {
                Outcome::Answered(us) => latency.observe(us, now),
                Outcome::Failed => latency.penalise(now),
            };
            Some(next.pack())
        };
        let _ = self.latency.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        match outcome {
            Outcome::Answered(_) if !self.suspect.load(Ordering::Relaxed) => Standing::Kept,
            Outcome::Answered(_) => self.change(|breaker| breaker.succeeded(now)),
            Outcome::Failed => self.change(|breaker| breaker.failed(now)),
        }
    }

    /// Learns from an active check; returns whether its being down changed.
    pub(crate) fn checked(&self, connected: Connected) -> bool {
        let before = self.down.load(Ordering::Relaxed);
        let _ = self.change(|breaker| match connected {
            Connected::Yes => breaker.check_passed(),
            Connected::No => breaker.check_missed(),
        });
        before != self.down.load(Ordering::Relaxed)
    }

    fn change(&self, change: impl FnOnce(&mut Breaker)) -> Standing {
        // A poisoned breaker is still a breaker: its fields are plain numbers.
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let out_until = breaker.ejected_until();
        change(&mut breaker);
        self.down.store(breaker.is_down(), Ordering::Relaxed);
        self.ejected_until.store(breaker.ejected_until(), Ordering::Relaxed);
        self.suspect.store(*breaker != Breaker::default(), Ordering::Relaxed);
        if breaker.ejected_until() > out_until { Standing::Ejected } else { Standing::Kept }
    }
}

/// Whether a check's connection was established.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Connected {
    /// It was.
    Yes,
    /// It was refused or timed out.
    No,
}

/// Counts one request at an endpoint for as long as it lives.
#[derive(Debug)]
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
}

impl Lease {
    /// Whose.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
