//! The compiled form of steering: per distinct policy one sorted table of runs, and its leaves.
//!
//! A run [A, B) is a maximal interval of addresses with equal leaves. The widest aligned block
//! around x inside it is the exact and minimal ECS scope: two XORs and two leading-zero counts.

use std::sync::Arc;

use model::service::ServiceId;
use model::site::SiteId;
use serde::{Deserialize, Serialize};

/// The most sites a leaf lists.
pub const LEAF_SITES_MAX: usize = 4;

/// A leaf's number within its [`ServiceMap`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LeafId(pub u32);

/// Sorted run starts and the leaf of each. `K` is `u32` for IPv4 and `u64` (the top 64 bits) for IPv6.
///
/// Invariant: the first start is 0; starts rise strictly; neighbours have different leaves.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunTable<K> {
    /// Where each run starts.
    pub starts: Vec<K>,
    /// Which leaf holds from there to the next start.
    pub leaves: Vec<LeafId>,
}

/// An ordered list of at most four sites, with how the first of them share the clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leaf {
    /// Best first; the first `shared` of them share the clients by weight, the rest are failover.
    pub sites: Vec<SiteId>,
    /// How many share (0 or 1: nobody does).
    pub shared: u8,
    /// Weights of the sharing sites, parallel to the front of `sites`.
    pub weights: Vec<u32>,
    /// A shift or canary: this site goes first for this share of the blocks (in 1/10,000).
    pub shift: Option<(SiteId, u16)>,
    /// Length of the IPv4 blocks that are shared out whole (8..=24); meaningless without sharing.
    pub block_v4_len: u8,
    /// The same for IPv6 (16..=56).
    pub block_v6_len: u8,
}

/// One policy compiled. Services with equal steering share it behind one `Arc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceMap {
    /// IPv4 clients.
    pub v4: RunTable<u32>,
    /// IPv6 clients.
    pub v6: RunTable<u64>,
    /// IPv4 resolvers whose place is known better; consulted only without ECS. A leaf of
    /// `u32::MAX` means: look in `v4`.
    pub resolver_v4: RunTable<u32>,
    /// The same for IPv6.
    pub resolver_v6: RunTable<u64>,
    /// The leaves.
    pub leaves: Vec<Leaf>,
}

/// Every service's map.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SteeringMap {
    /// The policy generation this map was compiled for; a mismatch keeps the older pair.
    pub policy_generation: u64,
    /// Distinct maps.
    pub maps: Vec<Arc<ServiceMap>>,
    /// Per service, the index into `maps`.
    pub of_service: Vec<u32>,
}

impl SteeringMap {
    /// The map of a service; `None` when the service is not of this map's policy.
    pub fn service(&self, id: ServiceId) -> Option<&Arc<ServiceMap>> {
        self.maps.get(*self.of_service.get(id.0 as usize)? as usize)
    }
}
