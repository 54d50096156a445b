//! Documents compiled without a running process, as a controller would that just started: nobody
//! has measured anything, and every site counts as up and ready.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use geo_data::LocaleTable;
use model::Policy;
use model::observe::Readiness;
use steering::compile::{Inputs, compile};
use steering::latency::LatencyMap;
use steering::{Generation, Health, Snapshot, SteeringMap};

use crate::cli::GeoSource;
use crate::{directory, geo};

/// A policy and everything its map was made of.
pub(crate) struct Compiled {
    pub(crate) policy: Policy,
    locales: LocaleTable,
    latency: LatencyMap,
    drained: Vec<bool>,
    minute_of_week: u16,
}

impl Compiled {
    /// Reads a directory of documents; errors in them are errors.
    pub(crate) fn read(path: &Path, geo_source: &GeoSource) -> anyhow::Result<Self> {
        let (documents, _) = directory::read_first(path)?;
        Self::of(documents.policy, geo_source)
    }

    /// A policy with the geo table of the command line.
    pub(crate) fn of(policy: Policy, geo_source: &GeoSource) -> anyhow::Result<Self> {
        let locales = geo::load(geo_source)?.with_overrides(&policy.locale_overrides);
        let drained = policy.sites.iter().map(|site| site.drain).collect();
        let latency = LatencyMap::default();
        Ok(Self { policy, locales, latency, drained, minute_of_week: minute_of_week() })
    }

    /// What a map is made of.
    pub(crate) fn inputs(&self) -> Inputs<'_> {
        Inputs {
            policy: &self.policy,
            policy_generation: 0,
            locales: &self.locales,
            latency: &self.latency,
            drained: &self.drained,
            long_out: &[],
            minute_of_week: self.minute_of_week,
        }
    }

    /// The map.
    pub(crate) fn map(&self) -> SteeringMap {
        compile(&self.inputs())
    }

    /// What a node would serve.
    pub(crate) fn snapshot(&self) -> Snapshot {
        Snapshot {
            policy_generation: Generation::default(),
            policy: self.policy.clone().into(),
            map: self.map().into(),
            health: self.everything_up().into(),
            ..Snapshot::default()
        }
    }

    /// By site: drained by its document.
    pub(crate) fn drained(&self) -> &[bool] {
        &self.drained
    }

    fn everything_up(&self) -> Health {
        let ready = vec![Readiness::Ready; self.policy.sites.len()];
        let readiness = vec![ready; self.policy.services.len()];
        Health { drained: self.drained.clone(), readiness, ..Health::default() }
    }
}

#[expect(clippy::disallowed_methods, reason = "the shell: windows of rules are about now")]
fn minute_of_week() -> u16 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // 1970-01-01 was a Thursday, three days into the week.
    let minutes = (since.as_secs() / 60 + 3 * 24 * 60) % (7 * 24 * 60);
    u16::try_from(minutes).unwrap_or(0)
}
