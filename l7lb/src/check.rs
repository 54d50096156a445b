//! Active checks: can every endpoint be connected to?
//!
//! A TCP connection and no request, because what a request must answer is the operator's to say
//! (probes of that kind are the controller's). Requests judge the rest, in `breaker`. Endpoints that
//! are sent datagrams, or that only UDP ports of Services have, are left out: they need not listen for
//! connections at all.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use model::gateway::Transport;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::endpoint::{Connected, Endpoint};
use crate::ledger::Ledger;
use crate::view::GatewayView;

/// Checks under way at once.
const CHECKS_MAX: usize = 64;

/// When and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CheckTimes {
    /// Between two rounds.
    pub(crate) every: Duration,
    /// For one connection.
    pub(crate) within: Duration,
}

/// Checks all endpoints of the current view, round after round; says after each that one is done.
pub(crate) async fn run(
    (view, ledger): (Arc<ArcSwap<GatewayView>>, Arc<Ledger>),
    times: CheckTimes,
    rounds: watch::Sender<u64>,
) {
    let mut ticks = interval(times.every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let current = view.load_full();
        let mut checks = JoinSet::new();
        let of_datagrams = of_datagrams(&current);
        let asked = |one: &&Arc<Endpoint>| !of_datagrams.contains(&one.address);
        for endpoint in current.endpoints.values().filter(asked) {
            if checks.len() >= CHECKS_MAX {
                checks.join_next().await;
            }
            checks.spawn(check(Arc::clone(endpoint), times.within, Arc::clone(&ledger)));
        }
        checks.join_all().await;
        rounds.send_modify(|round| *round += 1);
    }
}

/// Endpoints that nobody connects to: those of UDPRoutes, and those of UDP ports that are no TCP
/// port's too.
fn of_datagrams(view: &GatewayView) -> HashSet<SocketAddr> {
    let over = |transport| {
        let all = view.clusters.iter().filter(move |cluster| cluster.transport == transport);
        all.flat_map(|cluster| &cluster.endpoints).map(|endpoint| endpoint.address)
    };
    let mut found: HashSet<SocketAddr> = over(Transport::Udp).collect();
    if !found.is_empty() {
        over(Transport::Tcp).for_each(|address| {
            found.remove(&address);
        });
    }
    found.extend(view.datagram_endpoints());
    found
}

async fn check(endpoint: Arc<Endpoint>, within: Duration, ledger: Arc<Ledger>) {
    let connected = connects(endpoint.address, within).await;
    if endpoint.checked(connected) {
        let address = endpoint.address;
        match connected {
            Connected::Yes => tracing::info!(endpoint = %address, "endpoint is up"),
            Connected::No => {
                ledger.ejections.count(["checks"]);
                tracing::warn!(endpoint = %address, "endpoint is down");
            }
        }
    }
}

async fn connects(address: SocketAddr, within: Duration) -> Connected {
    match timeout(within, TcpStream::connect(address)).await {
        Ok(Ok(_)) => Connected::Yes,
        _ => Connected::No,
    }
}

#[cfg(test)]
mod tests;
