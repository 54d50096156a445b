//! Maps of an earlier compilation that a new one would make again.
//!
//! A map depends on the locale table, measurement, the resolvers' places, what its services say of
//! steering, the rules that hold now, and its sites with their orders. When all of these are as they
//! were, the map is shared instead of made: an edit of one service costs that service's map. Rule:
//! whatever is not known to be the same is made again, and the table's sameness is its address.

use std::collections::HashMap;
use std::sync::Arc;

use model::Policy;
use model::policy::{Fence, LocaleOverrides};
use model::service::{GlobalService, ServiceId};
use model::site::SiteId;

use super::{Before, Inputs, fallback_sites, steering_hash, steers_alike};
use crate::map::ServiceMap;

/// The maps before, by what their services steer like.
pub(super) struct Kept<'a> {
    now: &'a Inputs<'a>,
    before: &'a Before<'a>,
    by_hash: HashMap<u64, Vec<ServiceId>>,
}

impl<'a> Kept<'a> {
    /// `None` when what all maps depend on has changed.
    pub(super) fn new(now: &'a Inputs<'a>, before: &'a Before<'a>) -> Option<Self> {
        let then = before.inputs;
        let same = std::ptr::eq(now.locales, then.locales)
            && resolvers(now.policy) == resolvers(then.policy)
            && (std::ptr::eq(now.latency, then.latency) || now.latency == then.latency)
            && before.map.of_service.len() == then.policy.services.len();
        if !same {
            return None;
        }
        let mut by_hash: HashMap<u64, Vec<ServiceId>> = HashMap::new();
        for (id, service) in then.policy.services() {
            let alike = by_hash.entry(steering_hash(service)).or_default();
            // One of many alike is enough.
            let is_known = |known: &ServiceId| {
                then.policy
                    .services
                    .get(known.0 as usize)
                    .is_some_and(|known| steers_alike(known, service))
            };
            if !alike.iter().any(is_known) {
                alike.push(id);
            }
        }
        Some(Self { now, before, by_hash })
    }

    /// The map that would be made for this service, if it was made before.
    pub(super) fn map(&self, service: &GlobalService) -> Option<&'a Arc<ServiceMap>> {
        let Inputs { policy, minute_of_week, .. } = self.before.inputs;
        let alike = self.by_hash.get(&steering_hash(service))?;
        let id = *alike.iter().find(|id| {
            let known = policy.services.get(id.0 as usize);
            known.is_some_and(|known| steers_alike(known, service))
        })?;
        let holds = |minute: u16| {
            let windows = service.rules.iter().map(|rule| rule.matches.window.as_ref());
            windows.map(move |window| window.is_none_or(|window| window.holds(minute)))
        };
        let same_rules = holds(self.now.minute_of_week).eq(holds(*minute_of_week));
        (same_rules && self.has_same_sites(service)).then(|| self.before.map.service(id))?
    }

    fn has_same_sites(&self, service: &GlobalService) -> bool {
        let (now, then) = (self.now, self.before.inputs);
        // Rules and such a fence name sites of their own.
        if !service.rules.is_empty() || matches!(service.fence, Some(Fence::Sites(_))) {
            return now.policy.sites == then.policy.sites
                && now.drained == then.drained
                && now.long_out == then.long_out;
        }
        let same = |id: &SiteId| {
            let at = usize::from(id.0);
            let flag = |flags: &[bool]| flags.get(at).copied().unwrap_or(false);
            now.policy.sites.get(at) == then.policy.sites.get(at)
                && flag(now.drained) == flag(then.drained)
                && flag(now.long_out) == flag(then.long_out)
        };
        service.pool.iter().chain(fallback_sites(service)).all(same)
    }
}

/// What of a policy beside services and sites a map depends on. Taken apart in full, so that a field
/// that a map comes to depend on is not forgotten here.
fn resolvers(policy: &Policy) -> impl PartialEq + '_ {
    let Policy { zones: _, sites: _, services: _, locale_overrides, guard: _ } = policy;
    // The clients' prefixes are in the table already.
    let LocaleOverrides { clients: _, resolvers, cells: _ } = locale_overrides;
    resolvers
}

#[cfg(test)]
mod tests;
