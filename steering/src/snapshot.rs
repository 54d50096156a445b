//! The snapshot: policy, map and health behind one pointer, each with its own generation.
//!
//! It lives here and not in `model`, because it holds compiled maps and both the data planes and
//! the controller are above this crate. Invariant: within a process no channel's generation falls.

use std::sync::Arc;

use arc_swap::ArcSwap;
use model::Policy;
use model::observe::{Readiness, Verdict};
use model::service::ServiceId;
use model::site::SiteId;
use serde::{Deserialize, Serialize};

use crate::map::SteeringMap;

/// Total order of a channel: the controller's epoch, then its counter.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct Generation {
    /// Rises when a store is lost or a leader changes.
    pub epoch: u32,
    /// Rises with each publish.
    pub counter: u64,
}

/// Everything immutable that a data plane needs. Cloning is three `Arc`s.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Snapshot {
    /// Generation of `policy`.
    pub policy_generation: Generation,
    /// Generation of `map`.
    pub map_generation: Generation,
    /// Generation of `health`.
    pub health_generation: Generation,
    /// What the documents mean.
    pub policy: Arc<Policy>,
    /// Compiled for exactly this policy.
    pub map: Arc<SteeringMap>,
    /// Verdicts, readiness and drains.
    pub health: Arc<Health>,
}

/// Orders and guesses about sites, indexed by the policy's ids.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// By site: drained by its document or the overlay (an order).
    pub drained: Vec<bool>,
    /// By site: the verdict on the site as a whole (a guess).
    pub sites: Vec<Verdict>,
    /// By service, then by site: the verdict on this service at this site. Empty inner: not probed.
    pub services: Vec<Vec<Verdict>>,
    /// By service, then by site: readiness of its backends. Empty inner: the service has none.
    pub readiness: Vec<Vec<Readiness>>,
}

impl Health {
    /// Whether the site is drained.
    pub fn is_drained(&self, site: SiteId) -> bool {
        self.drained.get(usize::from(site.0)).copied().unwrap_or(false)
    }

    /// The worse of the site's verdict and the service's verdict there.
    pub fn verdict(&self, service: ServiceId, site: SiteId) -> Verdict {
        let at = usize::from(site.0);
        let whole = self.sites.get(at).copied().unwrap_or_default();
        let mine = self.services.get(service.0 as usize).and_then(|all| all.get(at)).copied();
        worse(whole, mine.unwrap_or_default())
    }

    /// Readiness of the service at the site; a service without backends is always ready.
    pub fn readiness(&self, service: ServiceId, site: SiteId) -> Readiness {
        match self.readiness.get(service.0 as usize) {
            Some(all) if !all.is_empty() => {
                all.get(usize::from(site.0)).copied().unwrap_or_default()
            }
            _ => Readiness::Ready,
        }
    }
}

fn worse(a: Verdict, b: Verdict) -> Verdict {
    let rank = |verdict| match verdict {
        Verdict::Unknown => 0,
        Verdict::Up => 1,
        Verdict::Failing => 2,
        Verdict::Down => 3,
    };
    if rank(a) >= rank(b) { a } else { b }
}

/// The one pointer a data plane watches. It compares `Arc` identities to see what changed.
#[derive(Debug, Default)]
pub struct SnapshotCell {
    current: ArcSwap<Snapshot>,
}

impl SnapshotCell {
    /// A cell with a first snapshot.
    pub fn new(snapshot: Snapshot) -> Self {
        Self { current: ArcSwap::from_pointee(snapshot) }
    }

    /// The current snapshot.
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// Takes a snapshot unless one of its generations is older than the current one's.
    /// Returns whether it was taken.
    #[expect(clippy::needless_pass_by_value, reason = "a publisher gives its snapshot away")]
    pub fn publish(&self, next: Arc<Snapshot>) -> bool {
        let mut taken = false;
        self.current.rcu(|now| {
            taken = next.policy_generation >= now.policy_generation
                && next.map_generation >= now.map_generation
                && next.health_generation >= now.health_generation;
            if taken { Arc::clone(&next) } else { Arc::clone(now) }
        });
        taken
    }
}
