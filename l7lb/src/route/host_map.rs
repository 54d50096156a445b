//! Host names with their routes, shared between views.
//!
//! The names are spread over a few maps, and a copy shares them all: an edit of one host among 40,000
//! copies the pointers of its own map.

use std::collections::HashMap;
use std::sync::Arc;

use super::host_routes::HostRoutes;

/// Maps: of 40,000 hosts an edit copies some 150.
const SHARDS: usize = 256;

type Shard = HashMap<Arc<str>, Arc<HostRoutes>>;

/// Routes by host name.
#[derive(Debug, Clone, Default)]
pub(super) struct HostMap {
    /// None at all while there is no name: most tables have no wildcards.
    shards: Vec<Arc<Shard>>,
    hosts: usize,
}

impl HostMap {
    /// The routes of a name, with the name as it is filed.
    pub(super) fn get(&self, name: &str) -> Option<(&str, &HostRoutes)> {
        let (name, routes) = self.shards.get(shard_of(name))?.get_key_value(name)?;
        Some((name, routes))
    }

    /// All, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &HostRoutes)> {
        let all = self.shards.iter().flat_map(|shard| shard.iter());
        all.map(|(name, routes)| (&**name, &**routes))
    }

    /// Puts a name's routes in, or takes the name out when there are none.
    pub(super) fn set(&mut self, name: &Arc<str>, routes: HostRoutes) {
        if self.shards.is_empty() {
            self.shards = vec![Arc::default(); SHARDS];
        }
        let shard = Arc::make_mut(&mut self.shards[shard_of(name)]);
        let before = if routes.is_empty() {
            shard.remove(name)
        } else {
            self.hosts += 1;
            shard.insert(Arc::clone(name), Arc::new(routes))
        };
        self.hosts -= usize::from(before.is_some());
        if self.hosts == 0 {
            self.shards = Vec::new();
        }
    }
}

/// FNV-1a. Whoever chooses names to meet in one map makes edits of routes slower, and nothing else:
/// the maps themselves are keyed.
fn shard_of(name: &str) -> usize {
    let mix = |hash: u32, octet: u8| (hash ^ u32::from(octet)).wrapping_mul(0x0100_0193);
    let hash = name.bytes().fold(0x811c_9dc5, mix);
    (hash ^ (hash >> 16)) as usize % SHARDS
}
