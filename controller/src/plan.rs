//! The plan: from the policy and what was observed to what should be published next, and why.
//!
//! Pure: the shell observes before and publishes after. A plan also tells why something did *not*
//! happen (`waits`). Rule: machines' withdrawals go through the guard's brake here, so that every
//! published health has passed it.

use std::fmt;

use model::observe::{Readiness, Verdict};
use model::service::ServiceId;
use model::site::SiteId;
use model::{ObjectRef, Policy, SiteName};
use serde::{Deserialize, Serialize};
use steering::Health;

use crate::clock::Now;
use crate::guard;
use crate::verdict::MissCause;

/// A site down for this long is left out of the leaves at the next compilation, so that they list
/// others. Ten times the example's detection; a restart of a site should not recompile the world.
pub const LONG_OUT_MS: u64 = 30_000;

/// A verdict as observed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Since when, in process milliseconds.
    pub since_ms: u64,
    /// Why the last miss missed.
    pub cause: Option<MissCause>,
}

/// Everything observed, by the policy's ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observations {
    /// By site: the overlay's drains.
    pub drained: Vec<bool>,
    /// By site.
    pub sites: Vec<Judged>,
    /// By service, then by site; empty inner: not probed.
    pub services: Vec<Vec<Judged>>,
    /// By service, then by site; empty inner: no backends.
    pub readiness: Vec<Vec<Readiness>>,
}

/// What a compilation depends on beside the policy, the locales and measurement.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MapInputs {
    /// By site: never a candidate.
    pub drained: Vec<bool>,
    /// By site: out for long.
    pub long_out: Vec<bool>,
    /// For each rule with a window, in policy order: whether it holds.
    pub windows: Vec<bool>,
    /// When that was.
    pub minute_of_week: u16,
}

/// What should be published next.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The health channel.
    pub health: Health,
    /// What the map should be made of.
    pub map: MapInputs,
    /// What changed, and why.
    pub why: Vec<Change>,
    /// What would have changed, and why it did not.
    pub waits: Vec<Wait>,
}

/// Something that changed, for people and the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Change {
    /// A verdict on a site, or on a service there.
    Verdict {
        /// Where.
        site: SiteName,
        /// `None`: the site as a whole.
        service: Option<ObjectRef>,
        /// Before.
        from: Verdict,
        /// Now.
        to: Verdict,
        /// What the last probe that missed saw.
        cause: Option<MissCause>,
    },
    /// A service's backends at a site.
    Readiness {
        /// Where.
        site: SiteName,
        /// Which.
        service: ObjectRef,
        /// Before.
        from: Readiness,
        /// Now.
        to: Readiness,
    },
    /// An operator drained a site.
    Drain {
        /// Which.
        site: SiteName,
        /// Who ordered it.
        by: String,
        /// Why.
        reason: String,
    },
    /// An operator lifted a drain.
    Undrain {
        /// Which.
        site: SiteName,
        /// Who ordered it.
        by: String,
    },
    /// Documents were accepted.
    #[serde(rename_all = "camelCase")]
    Documents {
        /// The policy's counter.
        policy_counter: u64,
        /// Objects added, removed, changed.
        summary: String,
    },
    /// A new map was compiled.
    Map {
        /// Because of what.
        because: Vec<Because>,
    },
}

/// Why a map was compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Because {
    /// The controller started.
    Start,
    /// New documents.
    Documents,
    /// A drain began or ended.
    Drain,
    /// A site has been out for long, or is back.
    LongOut,
    /// A rule's window opened or closed.
    Window,
    /// Measurement moved.
    Latency,
}

/// Something held back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Wait {
    /// Down by its probes, but too many are out: it stays in service as failing.
    Braked {
        /// Where.
        site: SiteName,
        /// `None`: the site as a whole.
        service: Option<ObjectRef>,
        /// How many of the pool may be out.
        allowed: usize,
    },
}

impl Change {
    /// Whether this is the first word on something, not a change of what was known: a start would
    /// otherwise fill the log with every site and service.
    pub fn is_first_word(&self) -> bool {
        match self {
            Self::Verdict { from, to, .. } => *from == Verdict::Unknown && *to == Verdict::Up,
            Self::Readiness { from, .. } => *from == Readiness::NeverReported,
            Self::Drain { .. }
            | Self::Undrain { .. }
            | Self::Documents { .. }
            | Self::Map { .. } => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = |service: &Option<ObjectRef>| match service {
            Some(service) => format!("`{service}` at "),
            None => String::new(),
        };
        match self {
            Self::Verdict { site, service, from, to, cause } => {
                let was = verdict_word(*from);
                write!(f, "{}`{site}` is {}, was {was}", of(service), verdict_word(*to))?;
                match cause {
                    Some(cause) if *to != Verdict::Up => write!(f, ": {cause}"),
                    _ => Ok(()),
                }
            }
            Self::Readiness { site, service, from, to } => {
                let (from, to) = (readiness_word(*from), readiness_word(*to));
                write!(f, "`{service}` at `{site}` is {to}, was {from}")
            }
            Self::Drain { site, by, reason } => write!(f, "`{site}` is drained by {by}: {reason}"),
            Self::Undrain { site, by } => write!(f, "`{site}` is undrained by {by}"),
            Self::Documents { policy_counter, summary } => {
                write!(f, "documents accepted as policy {policy_counter}: {summary}")
            }
            Self::Map { because } => {
                let because: Vec<&str> = because.iter().map(|because| because.as_str()).collect();
                write!(f, "map compiled: {}", because.join(", "))
            }
        }
    }
}

impl Because {
    fn as_str(self) -> &'static str {
        match self {
            Self::Start => "the controller started",
            Self::Documents => "new documents",
            Self::Drain => "a drain began or ended",
            Self::LongOut => "a site is out for long or back",
            Self::Window => "a rule's window opened or closed",
            Self::Latency => "measured latency moved",
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self::Braked { site, service, allowed } = self;
        if let Some(service) = service {
            write!(f, "`{service}` at ")?;
        }
        write!(f, "`{site}` fails its probes but stays in service: only {allowed} may be out")
    }
}

/// As people read it.
pub fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Unknown => "unknown",
        Verdict::Up => "up",
        Verdict::Failing => "failing",
        Verdict::Down => "down",
    }
}

/// As people read it.
pub fn readiness_word(readiness: Readiness) -> &'static str {
    match readiness {
        Readiness::NeverReported => "never reported",
        Readiness::Ready => "ready",
        Readiness::NotReady => "not ready",
    }
}

/// Plans the next publication. `current` is the published health and map of the same policy.
pub fn plan(policy: &Policy, observed: &Observations, current: &Health, now: Now) -> Plan {
    let drained: Vec<bool> =
        policy.sites().map(|(id, site)| site.drain || at(&observed.drained, id)).collect();
    let mut waits = Vec::new();
    let out = drained.iter().filter(|&&drained| drained).count();
    let all: Vec<SiteId> = policy.sites().map(|(id, _)| id).collect();
    let pool = Pool { policy, service: None, sites: &all, already: out };
    let sites = braked(&pool, &observed.sites, &current.sites, &mut waits);
    let mut services = Vec::with_capacity(policy.services.len());
    for (id, service) in policy.services() {
        let judged = observed.services.get(id.0 as usize).map_or(&[][..], Vec::as_slice);
        let before = current.services.get(id.0 as usize).map_or(&[][..], Vec::as_slice);
        let already = service.pool.iter().filter(|&&site| at(&drained, site)).count();
        let pool = Pool { policy, service: Some(id), sites: &service.pool, already };
        services.push(braked(&pool, judged, before, &mut waits));
    }
    let long_out = long_out(&sites, &observed.sites, now);
    let health =
        Health { drained: drained.clone(), sites, services, readiness: observed.readiness.clone() };
    let why = changes(policy, current, &health, observed);
    let windows = windows(policy, now.minute_of_week());
    let minute_of_week = now.minute_of_week();
    let map = MapInputs { drained, long_out, windows, minute_of_week };
    Plan { health, map, why, waits }
}

/// Why a map of `next` is wanted where one of `current` is published; empty: it is not.
pub fn because(current: &MapInputs, next: &MapInputs) -> Vec<Because> {
    let mut because = Vec::new();
    if current.drained != next.drained {
        because.push(Because::Drain);
    }
    if current.long_out != next.long_out {
        because.push(Because::LongOut);
    }
    if current.windows != next.windows {
        because.push(Because::Window);
    }
    because
}

/// A health by the ids of another policy: sites and services are told by their names. What the other
/// policy does not have is dropped; what is new is unknown.
pub fn carry(health: &Health, from: &Policy, to: &Policy) -> Health {
    let before: Vec<Option<SiteId>> =
        to.sites.iter().map(|site| from.site_id(site.name.as_str())).collect();
    fn by_site<T: Copy + Default>(row: &[T], before: &[Option<SiteId>]) -> Vec<T> {
        if row.is_empty() {
            return Vec::new();
        }
        before.iter().map(|id| id.map_or_else(T::default, |id| at(row, id))).collect()
    }
    let rows = |object: &ObjectRef| -> (Vec<Verdict>, Vec<Readiness>) {
        let found = from.services().find(|(_, service)| service.object == *object);
        let Some(row) = found.map(|(id, _)| id.0 as usize) else { return Default::default() };
        let verdicts = health.services.get(row).map_or(&[][..], Vec::as_slice);
        let readiness = health.readiness.get(row).map_or(&[][..], Vec::as_slice);
        (by_site(verdicts, &before), by_site(readiness, &before))
    };
    let (services, readiness) = to.services.iter().map(|service| rows(&service.object)).unzip();
    Health {
        drained: by_site(&health.drained, &before),
        sites: by_site(&health.sites, &before),
        services,
        readiness,
    }
}

struct Pool<'a> {
    policy: &'a Policy,
    service: Option<ServiceId>,
    sites: &'a [SiteId],
    already: usize,
}

/// Verdicts with the brake applied: those out already keep their place, then the longest out.
fn braked(
    pool: &Pool<'_>,
    judged: &[Judged],
    before: &[Verdict],
    waits: &mut Vec<Wait>,
) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = judged.iter().map(|judged| judged.verdict).collect();
    let allowed = guard::withdrawable(&pool.policy.guard, pool.sites.len(), pool.already);
    let mut down: Vec<SiteId> =
        pool.sites.iter().copied().filter(|&id| at(&verdicts, id) == Verdict::Down).collect();
    if down.len() <= allowed {
        return verdicts;
    }
    let since_ms = |id: SiteId| judged.get(usize::from(id.0)).map_or(0, |judged| judged.since_ms);
    down.sort_by_key(|&id| (at(before, id) != Verdict::Down, since_ms(id), id));
    for &id in &down[allowed..] {
        verdicts[usize::from(id.0)] = Verdict::Failing;
        let service = pool.service.map(|id| pool.policy.service(id).object.clone());
        let site = pool.policy.site(id).name.clone();
        waits.push(Wait::Braked { site, service, allowed });
    }
    verdicts
}

fn long_out(sites: &[Verdict], judged: &[Judged], now: Now) -> Vec<bool> {
    let out = |(verdict, judged): (&Verdict, &Judged)| {
        *verdict == Verdict::Down && now.ms.saturating_sub(judged.since_ms) >= LONG_OUT_MS
    };
    sites.iter().zip(judged).map(out).collect()
}

/// For each rule with a window, in policy order, whether it holds at this minute.
fn windows(policy: &Policy, minute_of_week: u16) -> Vec<bool> {
    let rules = policy.services.iter().flat_map(|service| &service.rules);
    let windows = rules.filter_map(|rule| rule.matches.window.as_ref());
    windows.map(|window| window.holds(minute_of_week)).collect()
}

fn changes(
    policy: &Policy,
    current: &Health,
    next: &Health,
    observed: &Observations,
) -> Vec<Change> {
    let mut changes = Vec::new();
    let name = |id: SiteId| policy.site(id).name.clone();
    for (id, _) in policy.sites() {
        let (from, to) = (at(&current.sites, id), at(&next.sites, id));
        if from != to {
            let cause = at(&observed.sites, id).cause;
            changes.push(Change::Verdict { site: name(id), service: None, from, to, cause });
        }
    }
    for (service_id, service) in policy.services() {
        let row = service_id.0 as usize;
        for &id in &service.pool {
            let verdict = |health: &Health| {
                health.services.get(row).map_or(Verdict::Unknown, |row| at(row, id))
            };
            let (from, to) = (verdict(current), verdict(next));
            let object = || service.object.clone();
            if from != to {
                let judged = observed.services.get(row).map(|row| at(row, id));
                let cause = judged.and_then(|judged| judged.cause);
                let service = Some(object());
                changes.push(Change::Verdict { site: name(id), service, from, to, cause });
            }
            let known = current.readiness.get(row).is_some_and(|row| !row.is_empty());
            let to = next.readiness(service_id, id);
            let from = if known || service.backends.is_empty() {
                current.readiness(service_id, id)
            } else {
                Readiness::NeverReported
            };
            if from != to {
                changes.push(Change::Readiness { site: name(id), service: object(), from, to });
            }
        }
    }
    changes
}

fn at<T: Copy + Default>(all: &[T], id: SiteId) -> T {
    all.get(usize::from(id.0)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
