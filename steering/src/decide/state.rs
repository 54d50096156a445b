//! What is known of a service's sites, folded to one byte a site when a view is built: a decision
//! reads bytes and nothing else.

use model::observe::{Readiness, Verdict};
use model::service::{Fallback, GlobalService, ServiceId};
use model::site::SiteId;

use crate::snapshot::Health;

/// An order: never answered.
pub(super) const DRAINED: u8 = 1;
/// Has what the service needs.
pub(super) const READY: u8 = 2;
/// The verdict is down.
pub(super) const DOWN: u8 = 4;
/// The last probe missed.
pub(super) const FAILING: u8 = 8;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum WhenAllOut {
    #[default]
    All,
    None,
    Sites,
}

/// A service's orders and guesses folded to one byte a site; built with the view.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceState {
    flags: Vec<u8>,
    pub(super) sites_max: u8,
    pub(super) when_all_out: WhenAllOut,
    /// Too few of the pool are up for verdicts to be believed.
    pub(super) is_panic: bool,
    /// Some site of the pool is usable.
    pub(super) is_any_usable: bool,
}

impl ServiceState {
    /// Sites in these states, of which a service wants one.
    #[cfg(test)]
    pub(super) fn of_flags(flags: Vec<u8>) -> Self {
        Self { flags, sites_max: 1, ..Self::default() }
    }

    /// Folds health for one service.
    pub fn new(id: ServiceId, service: &GlobalService, health: &Health) -> Self {
        let (fallback, when_all_out): (&[SiteId], _) = match &service.fallback {
            Fallback::AnswerAll => (&[], WhenAllOut::All),
            Fallback::AnswerNone => (&[], WhenAllOut::None),
            Fallback::AnswerSites(sites) => (sites, WhenAllOut::Sites),
        };
        let covered = service.pool.iter().chain(fallback).map(|site| usize::from(site.0) + 1).max();
        let flags = (0..covered.unwrap_or(0))
            .map(|at| flags_of(id, SiteId(u16::try_from(at).unwrap_or(u16::MAX)), health))
            .collect();
        let sites_max = service.answers.sites_max.max(1);
        let mut state =
            Self { flags, sites_max, when_all_out, is_panic: false, is_any_usable: false };
        let staying = service.pool.iter().filter(|&&site| !state.is_drained(site));
        let up = staying.clone().filter(|&&site| state.is_up(site)).count();
        let percent_max = usize::from(service.panic_below_percent) * staying.count();
        state.is_panic = up * 100 < percent_max;
        state.is_any_usable = service.pool.iter().any(|&site| state.is_usable(site));
        state
    }

    /// How many sites it covers.
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether it covers none.
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Whether too few of the pool are up, so that verdicts are ignored.
    pub fn is_panic(&self) -> bool {
        self.is_panic
    }

    /// A site out of the covered is one nobody said anything of: ready and up.
    pub(super) fn flags(&self, site: SiteId) -> u8 {
        self.flags.get(usize::from(site.0)).copied().unwrap_or(READY)
    }

    pub(super) fn is_drained(&self, site: SiteId) -> bool {
        self.flags(site) & DRAINED != 0
    }

    pub(super) fn is_ready(&self, site: SiteId) -> bool {
        self.flags(site) & READY != 0
    }

    pub(super) fn is_up(&self, site: SiteId) -> bool {
        self.flags(site) & DOWN == 0
    }

    pub(super) fn is_failing(&self, site: SiteId) -> bool {
        self.flags(site) & (FAILING | DOWN) != 0
    }

    /// Neither ordered out nor guessed to be out.
    pub(super) fn is_usable(&self, site: SiteId) -> bool {
        let flags = self.flags(site);
        let wanted = if self.is_panic { flags & !DOWN } else { flags };
        is_fit(wanted)
    }
}

/// Neither drained nor down, and ready.
pub(super) fn is_fit(flags: u8) -> bool {
    flags & (DRAINED | READY | DOWN) == READY
}

fn flags_of(id: ServiceId, site: SiteId, health: &Health) -> u8 {
    let drained = if health.is_drained(site) { DRAINED } else { 0 };
    let ready = match health.readiness(id, site) {
        Readiness::Ready => READY,
        Readiness::NeverReported | Readiness::NotReady => 0,
    };
    let verdict = match health.verdict(id, site) {
        Verdict::Unknown | Verdict::Up => 0,
        Verdict::Failing => FAILING,
        Verdict::Down => DOWN,
    };
    drained | ready | verdict
}
