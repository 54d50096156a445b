//! The compiled form of steering: per distinct policy one sorted table of runs, and its leaves.
//!
//! A leaf is what steering says to a client before anybody's health is known, so that the scope of
//! an answer stays valid while sites fail and return.

use std::sync::Arc;

use model::service::ServiceId;
use model::site::SiteId;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::atlas::Atlas;
pub use crate::runs::RunTable;

/// The most sites a leaf lists.
pub const LEAF_SITES_MAX: usize = 4;
/// The most sites kept as near to another: an outage of more of them is a province's, and then the
/// rest of the pool takes its clients evenly.
pub const NEAR_SITES_MAX: usize = 32;

/// A leaf's number within its [`ServiceMap`].
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub struct LeafId(pub u32);

impl LeafId {
    /// In the resolvers' tables: nothing better is known, look in the clients' table.
    pub const ELSEWHERE: Self = Self(u32::MAX);
}

/// An ordered list of at most four sites, with how the first of them share the clients.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Leaf {
    /// Best first; the first `shared` of them share the clients by weight, the rest are failover.
    pub sites: SmallVec<[SiteId; LEAF_SITES_MAX]>,
    /// How many share (0 or 1: nobody does).
    pub shared: u8,
    /// Weights of the sharing sites, parallel to the front of `sites`.
    pub weights: SmallVec<[u32; LEAF_SITES_MAX]>,
    /// Seeds of the sharing sites, from their names, parallel to `weights`: ids move when a site is
    /// added, names do not.
    pub seeds: SmallVec<[u32; LEAF_SITES_MAX]>,
    /// A shift or canary: this site goes first for this share of the blocks (in 1/10,000).
    pub shift: Option<(SiteId, u16)>,
    /// The seed of the shift's site.
    pub shift_seed: u32,
    /// What orders leave to these clients, in [`ServiceMap::reaches`].
    pub reach: u32,
    /// Length of the IPv4 blocks that are shared out whole (8..=24); meaningless without sharing.
    pub block_v4_len: u8,
    /// The same for IPv6 (16..=56).
    pub block_v6_len: u8,
    /// Through which of each site's uplinks these clients are answered, parallel to `sites`; empty
    /// when all are 0, everybody's (see [`model::site::Site::uplinks`]).
    pub uplinks: SmallVec<[u8; LEAF_SITES_MAX]>,
    /// The same of the shift's site.
    pub shift_uplink: u8,
    /// Whether a listed site has more addresses for these clients than one answer takes, so that
    /// blocks of clients take turns.
    pub takes_turns: bool,
}

impl Leaf {
    /// Whether clients of this leaf are told apart by their block.
    pub fn is_split(&self) -> bool {
        self.shared > 1 || self.shift.is_some() || self.takes_turns
    }

    /// The uplink through which these clients are answered for a site. A site that the leaf does not
    /// list is answered as to everybody: the runs were not made for its uplinks.
    pub fn uplink(&self, site: SiteId) -> u8 {
        let listed = self.sites.iter().zip(&self.uplinks).find(|&(&listed, _)| listed == site);
        match (listed, self.shift) {
            (Some((_, &uplink)), _) => uplink,
            (None, Some((to, _))) if to == site => self.shift_uplink,
            _ => 0,
        }
    }
}

/// Everything that orders (pool, fence, drain) leave to some clients: where to look when all the
/// sites of their leaf are out. A site outside is never answered to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Reach {
    /// Sites of the pool, in id order.
    pub pool: Vec<SiteId>,
    /// Fallback sites in their own order; they need not be of the pool.
    pub fallback: Vec<SiteId>,
}

/// One policy compiled. Services with equal steering share it behind one `Arc`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceMap {
    /// IPv4 clients.
    pub v4: RunTable<u32>,
    /// IPv6 clients.
    pub v6: RunTable<u64>,
    /// IPv4 resolvers whose place is known better; consulted only without ECS.
    /// [`LeafId::ELSEWHERE`] means: look in `v4`.
    pub resolver_v4: RunTable<u32>,
    /// The same for IPv6.
    pub resolver_v6: RunTable<u64>,
    /// The leaves.
    pub leaves: Vec<Leaf>,
    /// What orders leave, by [`Leaf::reach`].
    pub reaches: Vec<Reach>,
    /// By site that is the first for anybody: where those go when every site of their leaf is out, see
    /// [`ServiceMap::near`].
    pub near: Vec<Vec<SiteId>>,
}

impl ServiceMap {
    /// The sites of the pool in the order in which a client at this one would be led to them, at most
    /// [`NEAR_SITES_MAX`]. An outage takes neighbours together, and a list of four may be one town.
    pub fn near(&self, first: SiteId) -> &[SiteId] {
        self.near.get(usize::from(first.0)).map(Vec::as_slice).unwrap_or_default()
    }

    /// Octets of memory the map takes, for the metrics and the compiler's budget.
    pub fn memory_octets(&self) -> usize {
        self.v4.memory_octets()
            + self.v6.memory_octets()
            + self.resolver_v4.memory_octets()
            + self.resolver_v6.memory_octets()
            + size_of_val(&*self.leaves)
            + self.reaches.iter().map(|reach| size_of_val(&*reach.pool)).sum::<usize>()
            + self.near.iter().map(|sites| size_of_val(&**sites)).sum::<usize>()
    }
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
    /// What decisions by place need.
    #[serde(default)]
    pub atlas: Atlas,
}

impl SteeringMap {
    /// The map of a service; `None` when the service is not of this map's policy.
    pub fn service(&self, id: ServiceId) -> Option<&Arc<ServiceMap>> {
        self.maps.get(*self.of_service.get(id.0 as usize)? as usize)
    }
}
