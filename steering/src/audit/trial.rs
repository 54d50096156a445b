//! States of health to ask in: all is well, one site down, two of them, everything.

use model::Policy;
use model::observe::{Readiness, Verdict};
use model::service::{Fallback, ServiceId};
use model::site::SiteId;

use crate::snapshot::Health;

/// Pairs of sites that are down together, at most: of 24 sites there are 276, of 1,000 half a
/// million. They are taken evenly from all.
const PAIRS_MAX: usize = 64;

/// A state of health with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// For people: `all up`, `a down`, `a and b down`.
    pub name: String,
    /// What is known of the sites.
    pub health: Health,
}

/// The states that a service is audited in. The first is that all is well; drains are orders, and
/// stay.
pub fn trials(policy: &Policy, id: ServiceId, drained: &[bool]) -> Vec<Trial> {
    let service = policy.service(id);
    let mut sites = service.pool.clone();
    if let Fallback::AnswerSites(fallback) = &service.fallback {
        sites.extend(fallback);
    }
    sites.sort_unstable();
    sites.dedup();
    let well = Health {
        drained: drained.to_vec(),
        sites: vec![Verdict::Up; policy.sites.len()],
        services: Vec::new(),
        readiness: vec![vec![Readiness::Ready; policy.sites.len()]; policy.services.len()],
    };
    let name = |site: &SiteId| policy.site(*site).name.as_str();
    let down = |out: &[SiteId]| {
        let mut health = well.clone();
        for site in out {
            health.sites[usize::from(site.0)] = Verdict::Down;
        }
        health
    };
    let mut trials = vec![Trial { name: "all up".to_owned(), health: well.clone() }];
    for site in &sites {
        trials.push(Trial { name: format!("{} down", name(site)), health: down(&[*site]) });
    }
    let pairs = sites.len() * sites.len().saturating_sub(1) / 2;
    let step = pairs.div_ceil(PAIRS_MAX).max(1);
    let all =
        sites.iter().enumerate().flat_map(|(at, a)| sites[at + 1..].iter().map(move |b| (a, b)));
    for (a, b) in all.step_by(step) {
        let name = format!("{} and {} down", name(a), name(b));
        trials.push(Trial { name, health: down(&[*a, *b]) });
    }
    trials.push(Trial { name: "every site down".to_owned(), health: down(&sites) });
    let nobody = vec![vec![Readiness::NotReady; policy.sites.len()]; policy.services.len()];
    let health = Health { readiness: nobody, ..well };
    trials.push(Trial { name: "no site ready".to_owned(), health });
    trials
}
