//! One decision: look up the leaf, share, apply health, take. Allocation-free; also what `explain` calls.

use model::observe::Client;
use model::service::{GlobalService, ServiceId};
use model::site::SiteId;

use crate::map::{LEAF_SITES_MAX, ServiceMap};
use crate::snapshot::Health;

/// Which step settled a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The best site of the leaf was usable.
    Best,
    /// Shared among equals by the client's block.
    Share,
    /// A shift sent this block elsewhere.
    Shift,
    /// Better sites were out (down or not ready).
    Failover,
    /// Every candidate was out: health was ignored.
    AllOut,
    /// Too few of the pool are up: health was ignored.
    Panic,
    /// The configured fallback sites.
    FallbackSites,
    /// Orders (fence, drain) leave nothing: NODATA.
    Fenced,
    /// Every candidate was out and the fallback is `none`: NODATA.
    FallbackNone,
}

/// What to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Sites in order; only the first `len` count.
    pub sites: [SiteId; LEAF_SITES_MAX],
    /// How many.
    pub len: u8,
    /// The prefix length for which this decision holds (ECS scope), in the client's family.
    pub scope_len: u8,
    /// Which step settled it.
    pub reason: Reason,
    /// Whether a chosen site is failing its probes: the TTL is halved.
    pub failing: bool,
}

impl Decision {
    /// The chosen sites.
    pub fn chosen(&self) -> &[SiteId] {
        &self.sites[..usize::from(self.len)]
    }
}

/// A service's orders and guesses folded to one byte a site; built with the view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceState {
    flags: Vec<u8>,
}

impl ServiceState {
    /// Folds health for one service.
    pub fn new(_id: ServiceId, _service: &GlobalService, _health: &Health) -> Self {
        Self { flags: Vec::new() }
    }

    /// How many sites it covers.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }
}

/// Decides for one client. No allocation, no lock.
pub fn decide(_map: &ServiceMap, _state: &ServiceState, _client: Client) -> Decision {
    Decision {
        sites: [SiteId(0); LEAF_SITES_MAX],
        len: 0,
        scope_len: 0,
        reason: Reason::Fenced,
        failing: false,
    }
}
