//! Who of a cluster's gateways writes statuses: the holder of a Lease.
//!
//! Pure: `(lease, now) -> what to do`. As in client-go, a lease has expired when it was not seen to
//! change for its duration *by our own monotonic clock*: the times in it are other machines'. It is
//! taken by replacing exactly the version that was looked at, so of several that try one succeeds.

use serde_json::{Value, json};

/// How long a holder may be silent: client-go's.
const DURATION_S: u64 = 15;
/// Between two renewals, and between two looks of who waits.
pub(crate) const RENEW_MS: u64 = 4_000;
/// A holder that could not renew for this long stops writing; less than the duration, so that it has
/// stopped before another begins.
const GIVE_UP_MS: u64 = 10_000;

/// What to do about the lease.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Make it.
    Create(Value),
    /// Replace it: renewed, or taken over.
    Replace(Value),
    /// Somebody else has it.
    Wait,
}

/// What one candidate knows.
#[derive(Debug)]
pub(crate) struct Candidate {
    me: String,
    /// Holder and time of renewal as last seen, and when that was seen first.
    seen: Option<(String, String, u64)>,
    /// When we last succeeded in renewing.
    renewed_ms: Option<u64>,
}

impl Candidate {
    /// A candidate by a name that no other process has.
    pub(crate) fn new(me: String) -> Self {
        Self { me, seen: None, renewed_ms: None }
    }

    /// What to do about the lease as it is now (`None`: there is none). `time` is the wall clock as
    /// RFC 3339 with microseconds, for others to look at.
    pub(crate) fn act(&mut self, lease: Option<&Value>, time: &str, now_ms: u64) -> Action {
        let Some(lease) = lease else {
            self.seen = None;
            return Action::Create(self.spec(&json!({}), time, 0));
        };
        let spec = &lease["spec"];
        let holder = spec["holderIdentity"].as_str().unwrap_or_default().to_owned();
        let renewed = spec["renewTime"].as_str().unwrap_or_default().to_owned();
        let is_news =
            self.seen.as_ref().is_none_or(|(who, when, _)| *who != holder || *when != renewed);
        if is_news {
            self.seen = Some((holder.clone(), renewed, now_ms));
        }
        let since_ms = self.seen.as_ref().map_or(now_ms, |(_, _, since_ms)| *since_ms);
        let duration_ms = spec["leaseDurationSeconds"].as_u64().unwrap_or(DURATION_S) * 1_000;
        let is_mine = holder == self.me;
        let is_free = holder.is_empty() || now_ms.saturating_sub(since_ms) > duration_ms;
        if !is_mine && !is_free {
            self.renewed_ms = None;
            return Action::Wait;
        }
        let transitions = spec["leaseTransitions"].as_u64().unwrap_or_default();
        let mut next = lease.clone();
        next["spec"] = self.spec(spec, time, transitions + u64::from(!is_mine))["spec"].take();
        if let Some(metadata) = next["metadata"].as_object_mut() {
            metadata.remove("managedFields");
        }
        Action::Replace(next)
    }

    /// The lease was written as `act` said.
    pub(crate) fn succeeded(&mut self, now_ms: u64) {
        self.renewed_ms = Some(now_ms);
    }

    /// Somebody else wrote first.
    pub(crate) fn lost(&mut self) {
        self.renewed_ms = None;
    }

    /// Whether we may write statuses now.
    pub(crate) fn holds(&self, now_ms: u64) -> bool {
        self.renewed_ms.is_some_and(|renewed_ms| now_ms.saturating_sub(renewed_ms) < GIVE_UP_MS)
    }

    /// Takes our name out of the lease; whether it was there.
    pub(crate) fn release(&mut self, lease: &mut Value) -> bool {
        self.renewed_ms = None;
        let is_mine = lease["spec"]["holderIdentity"] == self.me.as_str();
        if is_mine {
            if let Some(spec) = lease["spec"].as_object_mut() {
                spec.remove("holderIdentity");
            }
            if let Some(metadata) = lease["metadata"].as_object_mut() {
                metadata.remove("managedFields");
            }
        }
        is_mine
    }

    fn spec(&self, before: &Value, time: &str, transitions: u64) -> Value {
        let is_mine = before["holderIdentity"] == self.me.as_str();
        let acquired = if is_mine { before["acquireTime"].clone() } else { time.into() };
        json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "spec": {
                "holderIdentity": self.me, "leaseDurationSeconds": DURATION_S, "renewTime": time,
                "acquireTime": acquired, "leaseTransitions": transitions,
            },
        })
    }
}

#[cfg(test)]
mod tests;
