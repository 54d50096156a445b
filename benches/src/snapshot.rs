//! The comparison's world as a snapshot, for measuring the walk from packet to answer in process.

use std::sync::Arc;

use geo_data::LocaleTable;
use model::document::{self, SourceFile};
use model::observe::Verdict;
use steering::compile::{Inputs, compile};
use steering::latency::LatencyMap;
use steering::{Generation, Health, Snapshot};

use crate::world;

/// Documents, map and a verdict of "up" for every site.
///
/// # Errors
/// The documents are refused: they and the schema have drifted apart.
pub fn snapshot(table: &LocaleTable) -> anyhow::Result<Snapshot> {
    of_documents(&world::dns_documents(), table)
}

/// The same for other documents, which declare the same sites.
///
/// # Errors
/// The documents are refused.
pub fn of_documents(text: &str, table: &LocaleTable) -> anyhow::Result<Snapshot> {
    let file = SourceFile { path: Arc::from("bench.yaml"), text: Arc::from(text) };
    let documents = document::load(&[file]).map_err(|findings| {
        let text: Vec<_> = findings.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("the comparison's documents are refused:\n{}", text.join("\n"))
    })?;
    let policy = Arc::new(documents.policy);
    let sites = policy.sites.len();
    anyhow::ensure!(sites == world::PLACES.len(), "{sites} sites came of the documents");
    let generation = Generation { epoch: 1, counter: 1 };
    let map = compile(&Inputs {
        policy: &policy,
        policy_generation: generation.counter,
        locales: table,
        latency: &LatencyMap::default(),
        drained: &vec![false; sites],
        long_out: &vec![false; sites],
        minute_of_week: 0,
    });
    let health = Health {
        drained: vec![false; sites],
        sites: vec![Verdict::Up; sites],
        ..Health::default()
    };
    Ok(Snapshot {
        policy_generation: generation,
        map_generation: generation,
        health_generation: generation,
        policy,
        map: Arc::new(map),
        health: Arc::new(health),
    })
}

#[cfg(test)]
mod tests;
