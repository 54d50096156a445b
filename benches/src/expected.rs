//! What a client must be answered: computed in process from the maps that a server has in use, so
//! that an answer from another one is found out.

use std::net::IpAddr;

use model::observe::Client;
use model::service::ServiceId;
use steering::Snapshot;
use steering::decide::{ServiceState, decide};

use crate::query::Subnet;

/// By client: the first address that each of these snapshots answers, for all of the services alike.
///
/// # Errors
/// A snapshot has no service, or its services lead clients apart.
pub fn addresses(snapshots: &[Snapshot], clients: &[Subnet]) -> anyhow::Result<Vec<Vec<IpAddr>>> {
    let mut right = vec![Vec::new(); clients.len()];
    for snapshot in snapshots {
        anyhow::ensure!(snapshot.map.maps.len() == 1, "the services lead clients apart");
        let id = ServiceId(0);
        let service = snapshot.policy.services.first();
        let (Some(map), Some(service)) = (snapshot.map.service(id), service) else {
            anyhow::bail!("there is no service");
        };
        let state = ServiceState::new(id, service, &snapshot.health);
        for (client, right) in clients.iter().zip(&mut right) {
            let source_len = match client {
                Subnet::Absent => continue,
                Subnet::V4(_) => 24,
                Subnet::V6(_) => 56,
            };
            let Some(ip) = client.address() else { continue };
            let decision = decide(map, &state, Client { ip, source_len: Some(source_len) });
            let site = decision.chosen().first().map(|&id| snapshot.policy.site(id));
            let address = site.and_then(|site| {
                site.addresses.iter().map(|address| address.ip).find(|ip| ip.is_ipv4())
            });
            right.extend(address.filter(|address| !right.contains(address)));
        }
    }
    Ok(right)
}

#[cfg(test)]
mod tests;
