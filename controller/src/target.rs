//! What is probed: the documents' probes, with equal ones merged.
//!
//! A thousand services with the same check at the same site are one target, so that the cost of
//! probing grows with what is different and not with what is written. A site is probed at its
//! first IPv4 address, else its first.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use model::Policy;
use model::service::{Probe, ProbeKind};
use model::site::Site;

use crate::verdict::Thresholds;

/// One address checked in one way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// Where.
    pub address: SocketAddr,
    /// How.
    pub check: Check,
    /// Start to start, in milliseconds.
    pub interval_ms: u32,
    /// At most the interval, in milliseconds.
    pub timeout_ms: u32,
    /// When the verdict changes.
    pub thresholds: Thresholds,
}

/// How a target is checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Check {
    /// A TCP connect.
    Tcp,
    /// An HTTP/1.1 GET.
    Http {
        /// Path and query.
        path: Arc<str>,
        /// Host header.
        host: Arc<str>,
        /// Lowest accepted status.
        status_min: u16,
        /// Highest accepted status.
        status_max: u16,
    },
}

/// A target's index in [`Targets::all`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub u32);

/// Every target of a policy and who asked for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    /// Without repeats.
    pub all: Vec<Arc<Target>>,
    /// By site: the check of the site as a whole.
    pub of_site: Vec<Option<TargetId>>,
    /// By service, then by site; an empty inner list when the service has no check of its own.
    pub of_service: Vec<Vec<Option<TargetId>>>,
}

impl Targets {
    /// The target of an id.
    pub fn target(&self, id: TargetId) -> Option<&Arc<Target>> {
        self.all.get(id.0 as usize)
    }

    /// Collects the targets of a policy.
    pub fn of(policy: &Policy) -> Self {
        let mut found = Found::default();
        let site_target = |found: &mut Found, site: &Site| {
            Some(found.id(target(site, site.health.as_ref()?, None)?))
        };
        let of_site = policy.sites.iter().map(|site| site_target(&mut found, site)).collect();
        let mut of_service = Vec::with_capacity(policy.services.len());
        for service in &policy.services {
            let Some(probe) = &service.health else {
                of_service.push(Vec::new());
                continue;
            };
            let host = service.hostnames.iter().find(|name| !name.is_wildcard());
            let host = host.map(ToString::to_string);
            let mut by_site = vec![None; policy.sites.len()];
            for &id in &service.pool {
                by_site[usize::from(id.0)] =
                    target(policy.site(id), probe, host.as_deref()).map(|target| found.id(target));
            }
            of_service.push(by_site);
        }
        Self { all: found.all, of_site, of_service }
    }
}

#[derive(Default)]
struct Found {
    all: Vec<Arc<Target>>,
    ids: HashMap<Arc<Target>, TargetId>,
}

impl Found {
    fn id(&mut self, target: Target) -> TargetId {
        if let Some(&id) = self.ids.get(&target) {
            return id;
        }
        let id = TargetId(u32::try_from(self.all.len()).unwrap_or(u32::MAX));
        let target = Arc::new(target);
        self.all.push(Arc::clone(&target));
        self.ids.insert(target, id);
        id
    }
}

fn target(site: &Site, probe: &Probe, default_host: Option<&str>) -> Option<Target> {
    let ip = probed_address(site)?;
    let address = SocketAddr::new(ip, probe.port);
    let check = match &probe.kind {
        ProbeKind::Tcp => Check::Tcp,
        ProbeKind::Http { path, host, status_min, status_max } => {
            let host = match (host, default_host) {
                (Some(host), _) => Arc::clone(host),
                (None, Some(host)) => host.trim_end_matches('.').into(),
                (None, None) => address.to_string().into(),
            };
            let (status_min, status_max) = (*status_min, *status_max);
            Check::Http { path: Arc::clone(path), host, status_min, status_max }
        }
    };
    let interval_ms = probe.interval_ms.max(1);
    let timeout_ms = probe.timeout_ms.clamp(1, interval_ms);
    Some(Target { address, check, interval_ms, timeout_ms, thresholds: probe.into() })
}

fn probed_address(site: &Site) -> Option<IpAddr> {
    let mut addresses = site.addresses.iter().map(|address| address.ip);
    let first_v4 = addresses.clone().find(IpAddr::is_ipv4);
    first_v4.or_else(|| addresses.next())
}

#[cfg(test)]
mod tests;
