//! What the controller knows at this moment: the accepted policy and everything observed about it.
//!
//! Pure: results and reports come in with their time, observations for any policy come out. Nothing
//! here is keyed by ids, because those move with every policy; verdicts belong to targets, reports
//! and drains to names.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::observe::{Readiness, SiteReport, Verdict};
use model::service::GlobalService;
use model::site::SiteId;
use model::{Policy, SiteName};
use steering::Health;

use crate::clock::Now;
use crate::latency::Cells;
use crate::observe::{Merged, Reports};
use crate::plan::{Judged, Observations};
use crate::store::Drain;
use crate::target::{Target, TargetId, Targets};
use crate::verdict::{Outcome, State};

/// Everything observed.
#[derive(Debug, Default)]
pub struct World {
    /// The accepted policy.
    pub policy: Arc<Policy>,
    /// What is probed for it.
    pub targets: Arc<Targets>,
    /// The overlay's drains.
    pub drains: BTreeMap<SiteName, Drain>,
    /// What sites said.
    pub reports: Reports,
    /// RTT by prefix and site.
    pub cells: Cells,
    states: HashMap<Arc<Target>, State>,
}

/// What a report changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// Readiness may have moved.
    Readiness,
    /// Nothing that moves health.
    Quiet,
    /// It was not newer.
    Older,
    /// No such site.
    UnknownSite,
    /// It carries too much.
    TooLarge,
}

impl World {
    /// Starts from what was published before a restart: verdicts and readiness stand until they are
    /// judged anew, so that a restart neither revives a dead site nor loses a living one.
    pub fn resume(policy: &Arc<Policy>, health: &Health, now: Now) -> Self {
        let mut world = Self::default();
        world.accept(Arc::clone(policy), Arc::new(Targets::of(policy)));
        let rows = health.services.iter().zip(&world.targets.of_service);
        let whole = (&health.sites, &world.targets.of_site);
        for (verdicts, ids) in rows.chain([whole]) {
            for (&verdict, id) in verdicts.iter().zip(ids) {
                let target = id.and_then(|id| world.targets.target(id));
                let state = target.and_then(|target| world.states.get_mut(target));
                if let (Some(state), Verdict::Down | Verdict::Up) = (state, verdict) {
                    *state = State::resumed(verdict, now.ms);
                }
            }
        }
        for (id, service) in policy.services() {
            for &site in &service.pool {
                let readiness = health.readiness(id, site);
                if !service.backends.is_empty() && readiness != Readiness::NeverReported {
                    let name = &policy.site(site).name;
                    world.reports.seed(name, &service.backends, readiness);
                }
            }
        }
        world
    }

    /// Takes an accepted policy in. Verdicts of targets that stay are kept.
    pub fn accept(&mut self, policy: Arc<Policy>, targets: Arc<Targets>) {
        let kept = |target: &Arc<Target>| {
            let state = self.states.get(target).copied().unwrap_or_default();
            (Arc::clone(target), state)
        };
        self.states = targets.all.iter().map(kept).collect();
        self.reports.retain(|site| policy.site_id(site.as_str()).is_some());
        self.policy = policy;
        self.targets = targets;
    }

    /// Takes a probe's result in; says whether the verdict moved.
    pub fn probed(&mut self, target: &Arc<Target>, outcome: Outcome, now: Now) -> bool {
        // A result of a target that has just left the policy is late, not wrong.
        let Some(state) = self.states.get_mut(target) else { return false };
        let next = state.step(outcome, target.thresholds, now.ms);
        let moved = next.verdict != state.verdict;
        *state = next;
        moved
    }

    /// Takes a site's report in.
    pub fn reported(&mut self, report: &SiteReport, now: Now) -> Reported {
        if self.policy.site_id(report.site.as_str()).is_none() {
            return Reported::UnknownSite;
        }
        match self.reports.merge(report, now.ms) {
            Merged::Older => Reported::Older,
            Merged::TooLarge => Reported::TooLarge,
            Merged::Taken { samples, ready_changed } => {
                self.cells.take(&report.site, &samples, now.unix_ms);
                if ready_changed { Reported::Readiness } else { Reported::Quiet }
            }
        }
    }

    /// Everything observed, by the ids of a policy (the accepted one, or the next).
    pub fn observe(&self, policy: &Policy, targets: &Targets) -> Observations {
        let judged = |id: &Option<TargetId>| -> Judged {
            let state = id.and_then(|id| self.state(targets, id));
            state.map_or_else(Judged::default, |state| Judged {
                verdict: state.verdict,
                since_ms: state.since_ms,
                cause: state.cause,
            })
        };
        let readiness = policy.services.iter().map(|service| {
            if service.backends.is_empty() {
                return Vec::new();
            }
            let mut by_site = vec![Readiness::NeverReported; policy.sites.len()];
            for &id in &service.pool {
                by_site[usize::from(id.0)] = self.readiness(policy, service, id);
            }
            by_site
        });
        Observations {
            drained: policy.sites.iter().map(|site| self.drains.contains_key(&site.name)).collect(),
            sites: targets.of_site.iter().map(judged).collect(),
            services: targets
                .of_service
                .iter()
                .map(|ids| ids.iter().map(judged).collect())
                .collect(),
            readiness: readiness.collect(),
        }
    }

    /// Whether a site has a service's backends. The documents know it where nobody reports: of the
    /// endpoints of a site without a gateway, and of a name that somebody else answers for.
    fn readiness(&self, policy: &Policy, service: &GlobalService, id: SiteId) -> Readiness {
        if policy.alias_at(service, id).is_some() {
            return Readiness::Ready;
        }
        match service.endpoints_at(id) {
            Some(endpoints) if endpoints.is_ready => Readiness::Ready,
            Some(_) => Readiness::NotReady,
            None => self.reports.readiness(&policy.site(id).name, &service.backends),
        }
    }

    /// A target's state, once it has been probed.
    pub fn state(&self, targets: &Targets, id: TargetId) -> Option<&State> {
        self.states.get(targets.target(id)?)
    }
}

#[cfg(test)]
mod tests;
