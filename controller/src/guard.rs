//! The guard: limits on what one change may destroy, the operator's own changes included.
//!
//! Documents are judged by the limits that were in force before them, so that one edit cannot lift
//! a limit and break it at once. Machines' withdrawals are braked, never refused: a site over the
//! limit stays in service and the reason is told. Rule: no limit ever stops the first two sites of
//! a pool from leaving, nor applies to pools under ten.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use model::policy::GuardPolicy;
use model::service::GlobalService;
use model::site::{Site, SiteId};
use model::zone::Zone;
use model::{Policy, SiteName};
use serde::{Deserialize, Serialize};

/// Pools smaller than this are never braked (engine.md, "Waves").
pub const BRAKED_POOL_MIN: usize = 10;
/// This many sites of any pool may always leave.
pub const FREE_WITHDRAWALS: usize = 2;
/// Window of removals when the policy does not say.
const WINDOW_S_DEFAULT: u32 = 300;
/// Removal events remembered; older ones are far outside any window.
const REMOVALS_MAX: usize = 1024;

/// Why a change is not let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Refusal {
    /// A protected object would go.
    #[error(
        "`{object}` is protected and would be removed; \
        help: take it off `protected` in the GuardPolicy first"
    )]
    Protected {
        /// `Kind/namespace/name` or `Kind/name`.
        object: String,
    },
    /// Too many removals within the window.
    #[error(
        "{removals} objects would be removed within {window_s} s where {removals_max} are \
        allowed; help: remove fewer at once, or wait"
    )]
    #[serde(rename_all = "camelCase")]
    Removals {
        /// Including this change.
        removals: u32,
        /// Allowed.
        removals_max: u32,
        /// The window.
        window_s: u32,
    },
    /// Too many sites out at once.
    #[error(
        "{withdrawn} of {sites} sites would be out where {withdrawn_max} may be; \
        help: bring others back first"
    )]
    #[serde(rename_all = "camelCase")]
    Withdrawn {
        /// Drained then.
        withdrawn: usize,
        /// All sites.
        sites: usize,
        /// Allowed.
        withdrawn_max: usize,
    },
    /// The site may not be drained in the overlay.
    #[error("`{site}` may not be drained; help: the GuardPolicy lists it as undrainable")]
    Undrainable {
        /// Which.
        site: SiteName,
    },
}

/// An operator's explicit word that the guard's refusals do not count this time.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Override {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// Removals of the recent past: when (Unix milliseconds) and how many objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removals {
    events: VecDeque<(u64, u32)>,
}

impl Removals {
    /// Notes a removal.
    pub fn note(&mut self, at_unix_ms: u64, objects: u32) {
        if objects == 0 {
            return;
        }
        if self.events.len() == REMOVALS_MAX {
            self.events.pop_front();
        }
        self.events.push_back((at_unix_ms, objects));
    }

    fn within(&self, window_s: u32, now_unix_ms: u64) -> u32 {
        let since = now_unix_ms.saturating_sub(u64::from(window_s) * 1000);
        let recent = self.events.iter().filter(|(at, _)| *at > since);
        recent.fold(0, |sum, (_, objects)| sum.saturating_add(*objects))
    }
}

/// What a document set changes, by object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// New objects.
    pub added: Vec<String>,
    /// Objects that are gone.
    pub removed: Vec<String>,
    /// Objects whose meaning changed.
    pub changed: Vec<String>,
}

impl Difference {
    /// What leads from one policy to another. Site ids may have moved; names decide.
    pub fn between(current: &Policy, next: &Policy) -> Self {
        let mut difference = Self::default();
        let apex = |zone: &Zone| format!("Zone/{}", zone.apex.to_string().trim_end_matches('.'));
        difference.compare(&current.zones, &next.zones, apex, PartialEq::eq);
        let name = |site: &Site| format!("Site/{}", site.name);
        difference.compare(&current.sites, &next.sites, name, PartialEq::eq);
        let object = |service: &GlobalService| format!("GlobalService/{}", service.object);
        let same_ids = current
            .sites
            .iter()
            .map(|site| &site.name)
            .eq(next.sites.iter().map(|site| &site.name));
        let same = |was: &GlobalService, now: &GlobalService| match same_ids {
            true => was == now,
            false => same_by_names(current, was, next, now),
        };
        difference.compare(&current.services, &next.services, object, same);
        difference
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    fn compare<T>(
        &mut self,
        was: &[T],
        now: &[T],
        name: impl Fn(&T) -> String,
        same: impl Fn(&T, &T) -> bool,
    ) {
        let mut left: BTreeMap<String, &T> = was.iter().map(|one| (name(one), one)).collect();
        for one in now {
            let name = name(one);
            match left.remove(&name) {
                None => self.added.push(name),
                Some(before) if same(before, one) => {}
                Some(_) => self.changed.push(name),
            }
        }
        self.removed.extend(left.into_keys());
    }
}

/// Ids moved: compares the pools by name and takes a service with other ids in it for changed,
/// which is only ever told to people.
fn same_by_names(
    current: &Policy,
    was: &GlobalService,
    next: &Policy,
    now: &GlobalService,
) -> bool {
    let pool = |policy: &Policy, service: &GlobalService| -> Vec<SiteName> {
        service.pool.iter().map(|&id| policy.site(id).name.clone()).collect()
    };
    let without_pool =
        |service: &GlobalService| GlobalService { pool: Vec::new(), ..service.clone() };
    pool(current, was) == pool(next, now) && without_pool(was) == without_pool(now)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed } = self;
        write!(f, "{} added, {} removed, {} changed", added.len(), removed.len(), changed.len())
    }
}

/// Whether documents may replace the current ones; every refusal of the change, not the first.
///
/// # Errors
/// The refusals.
pub fn admit_documents(
    current: &Policy,
    next: &Policy,
    recent: &Removals,
    now_unix_ms: u64,
) -> Result<Difference, Vec<Refusal>> {
    let guard = &current.guard;
    let difference = Difference::between(current, next);
    let mut refusals = Vec::new();
    for object in &difference.removed {
        if guard.protected.iter().any(|protected| **protected == **object) {
            refusals.push(Refusal::Protected { object: object.clone() });
        }
    }
    let removing = u32::try_from(difference.removed.len()).unwrap_or(u32::MAX);
    let window_s = if guard.window_s == 0 { WINDOW_S_DEFAULT } else { guard.window_s };
    if let Some(removals_max) = guard.removals_max.filter(|_| removing > 0) {
        let removals = removing.saturating_add(recent.within(window_s, now_unix_ms));
        if removals > removals_max {
            refusals.push(Refusal::Removals { removals, removals_max, window_s });
        }
    }
    let drained = |policy: &Policy| policy.sites.iter().filter(|site| site.drain).count();
    if drained(next) > drained(current) {
        refusals.extend(withdrawal(guard, drained(next), next.sites.len()).err());
    }
    if refusals.is_empty() { Ok(difference) } else { Err(refusals) }
}

/// Whether an operator may drain one more site.
///
/// # Errors
/// Why not.
pub fn admit_drain(policy: &Policy, drained: &[bool], site: SiteId) -> Result<(), Refusal> {
    let name = &policy.site(site).name;
    if policy.guard.undrainable.contains(name) {
        return Err(Refusal::Undrainable { site: name.clone() });
    }
    let others = (0..).zip(drained).filter(|&(at, &out)| out && at != site.0).count();
    withdrawal(&policy.guard, others + 1, policy.sites.len())
}

/// How many of a pool may be out at once; `already` of them are drained. Never under two.
pub fn withdrawable(guard: &GuardPolicy, pool: usize, already: usize) -> usize {
    match guard.withdrawn_percent_max {
        Some(percent) if pool >= BRAKED_POOL_MIN => {
            (pool * usize::from(percent) / 100).saturating_sub(already).max(FREE_WITHDRAWALS)
        }
        _ => pool,
    }
}

fn withdrawal(guard: &GuardPolicy, withdrawn: usize, sites: usize) -> Result<(), Refusal> {
    let withdrawn_max = withdrawable(guard, sites, 0);
    if withdrawn > withdrawn_max {
        return Err(Refusal::Withdrawn { withdrawn, sites, withdrawn_max });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
