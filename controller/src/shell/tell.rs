//! What the shell tells: its status, and ages for the metrics.

use metrics::gauge;
use model::service::{GlobalService, ServiceId};
use model::site::{Site, SiteId};
use steering::Health;

use super::Shell;
use crate::clock::Now;
use crate::publication::Publication;
use crate::status::{
    BackendStatus, DrainStatus, OutStatus, ProbeStatus, ReportStatus, ServiceStatus, SiteStatus,
    Status, out,
};

impl Shell {
    pub(super) fn status(&self) -> Status {
        let now = self.clock.now();
        let policy = &self.world.policy;
        let nothing = Health::default();
        let health = self.published.as_ref().map_or(&nothing, |published| &published.health.value);
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_ms: now.ms,
            published: self.published.as_ref().map(Publication::have).unwrap_or_default(),
            served: *self.served.borrow(),
            sites: policy
                .sites()
                .map(|(id, site)| self.site_status(id, site, health, now))
                .collect(),
            services: policy
                .services()
                .map(|(id, service)| self.service_status(id, service, health))
                .collect(),
            changes: self.changes.iter().cloned().collect(),
            waits: self.waits.clone(),
            refused: self.refused.clone(),
            probe_targets: self.world.targets.all.len(),
            latency: self.latency,
        }
    }

    fn site_status(&self, id: SiteId, site: &Site, health: &Health, now: Now) -> SiteStatus {
        let targets = &self.world.targets;
        let probe = targets.of_site.get(usize::from(id.0)).copied().flatten();
        let probe = probe.and_then(|target| self.world.state(targets, target));
        let overlay = self.world.drains.get(&site.name);
        let report = self.world.reports.last(&site.name);
        SiteStatus {
            name: site.name.clone(),
            addresses: site.addresses.iter().map(|address| address.ip).collect(),
            verdict: health.sites.get(usize::from(id.0)).copied().unwrap_or_default(),
            probe: probe.map(|state| ProbeStatus {
                verdict: state.verdict,
                for_ms: now.ms.saturating_sub(state.since_ms),
                cause: state.cause,
                held_for_ms: state.held_until_ms(now.ms).map(|until| until - now.ms),
            }),
            drain: (site.drain || overlay.is_some()).then(|| DrainStatus {
                document: site.drain,
                by: overlay.map(|drain| drain.by.clone()),
                reason: overlay.map(|drain| drain.reason.clone()),
                at_unix_ms: overlay.map(|drain| drain.at_unix_ms),
            }),
            report: report.map(|last| ReportStatus {
                age_ms: now.ms.saturating_sub(last.received_ms),
                load: last.load,
                rate_rps: last.rate_rps,
                backends: last
                    .backends()
                    .map(|(backend, ready)| BackendStatus {
                        backend: format!("{}:{}", backend.object, backend.port),
                        ready,
                    })
                    .collect(),
            }),
        }
    }

    fn service_status(
        &self,
        id: ServiceId,
        service: &GlobalService,
        health: &Health,
    ) -> ServiceStatus {
        let name = |site: SiteId| self.world.policy.site(site).name.clone();
        let outs: Vec<OutStatus> = service
            .pool
            .iter()
            .filter_map(|&site| {
                let why = out(health, id, site)?.to_owned();
                Some(OutStatus { site: name(site), why })
            })
            .collect();
        ServiceStatus {
            service: service.object.clone(),
            hostnames: service.hostnames.iter().map(ToString::to_string).collect(),
            pool: service.pool.len(),
            usable: service.pool.len() - outs.len(),
            out: outs,
        }
    }

    /// The oldest report, so that one alarm covers every site.
    pub(super) fn tell_ages(&self) {
        let now = self.clock.now();
        let ages = self.world.policy.sites.iter().filter_map(|site| {
            let last = self.world.reports.last(&site.name)?;
            Some(now.ms.saturating_sub(last.received_ms))
        });
        let oldest_ms = ages.max().unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "a gauge; milliseconds stay below 2^53")]
        gauge!("nearside_report_age_seconds_max").set(oldest_ms as f64 / 1000.0);
        let out = self.published.as_ref().map_or(0, |published| {
            let down =
                |verdict: &&model::observe::Verdict| **verdict == model::observe::Verdict::Down;
            published.health.value.sites.iter().filter(down).count()
        });
        gauge!("nearside_sites_down").set(u32::try_from(out).unwrap_or(u32::MAX));
    }
}
