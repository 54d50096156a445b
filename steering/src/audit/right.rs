//! Right answers in one state of health, written as plainly as the rules are told.

use model::observe::{Readiness, Verdict};
use model::service::{Fallback, GlobalService, ServiceId};
use model::site::SiteId;

use crate::decide::Reason;
use crate::snapshot::Health;

/// Some clients of a service in a state of health.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) id: ServiceId,
    pub(crate) service: &'a GlobalService,
    pub(crate) health: &'a Health,
    /// What orders leave of the pool to these clients.
    pub(crate) allowed: &'a [SiteId],
    /// What they leave of the fallback sites, in order.
    pub(crate) fallback: &'a [SiteId],
    /// Whether these clients are shared out.
    pub(crate) is_shared: bool,
}

impl Case<'_> {
    /// What may be answered in this order of the leaf's sites. `order` begins with the shift's site
    /// if the block is shifted.
    pub(crate) fn answer(&self, order: &[SiteId], is_shifted: bool) -> (Reason, Answer) {
        let Self { id, service, health, allowed, fallback, is_shared } = *self;
        let count = usize::from(service.answers.sites_max);
        let staying = |site: &SiteId| !health.is_drained(*site);
        let ready = |site: &SiteId| health.readiness(id, *site) == Readiness::Ready;
        let up = |site: &SiteId| health.verdict(id, *site) != Verdict::Down;
        let pool: Vec<SiteId> = service.pool.iter().copied().filter(staying).collect();
        let up_count = pool.iter().filter(|site| up(site)).count();
        let panic = up_count * 100 < pool.len() * usize::from(service.panic_below_percent);
        let usable = |site: &SiteId| staying(site) && ready(site) && (panic || up(site));
        let take = |sites: Vec<SiteId>| Answer::Exactly(sites.into_iter().take(count).collect());
        if allowed.is_empty() {
            return (Reason::Fenced, Answer::Exactly(Vec::new()));
        }
        let good: Vec<SiteId> = order.iter().copied().filter(usable).collect();
        if let Some(&best) = good.first() {
            let reason = if panic {
                Reason::Panic
            } else if Some(&best) != order.first() {
                Reason::Failover
            } else if is_shifted {
                Reason::Shift
            } else if is_shared {
                Reason::Share
            } else {
                Reason::Best
            };
            return (reason, take(good));
        }
        let elsewhere: Vec<SiteId> = allowed.iter().copied().filter(usable).collect();
        if !elsewhere.is_empty() {
            let reason = if panic { Reason::Panic } else { Reason::Failover };
            return (reason, Answer::SomeOf(elsewhere, count));
        }
        match &service.fallback {
            Fallback::AnswerNone => return (Reason::FallbackNone, Answer::Exactly(Vec::new())),
            Fallback::AnswerSites(_) if !fallback.is_empty() => {
                let up: Vec<SiteId> = fallback.iter().copied().filter(up).collect();
                let sites = if up.is_empty() { fallback.to_vec() } else { up };
                return (Reason::FallbackSites, take(sites));
            }
            _ => {}
        }
        let those_ready: Vec<SiteId> = order.iter().copied().filter(ready).collect();
        let sites = if those_ready.is_empty() { order.to_vec() } else { those_ready };
        (Reason::AllOut, take(sites))
    }
}

/// Right answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// These sites in this order.
    Exactly(Vec<SiteId>),
    /// As many of these as there are, up to a count, in any order.
    SomeOf(Vec<SiteId>, usize),
}

impl Answer {
    pub(crate) fn is_met_by(&self, sites: &[SiteId]) -> bool {
        match self {
            Self::Exactly(exactly) => exactly == sites,
            Self::SomeOf(some, count) => {
                sites.len() == some.len().min(*count)
                    && sites.iter().all(|site| some.contains(site))
                    && sites.iter().enumerate().all(|(at, site)| !sites[..at].contains(site))
            }
        }
    }

    /// The sites it may be.
    pub(crate) fn sites(&self) -> &[SiteId] {
        match self {
            Self::Exactly(sites) | Self::SomeOf(sites, _) => sites,
        }
    }
}
