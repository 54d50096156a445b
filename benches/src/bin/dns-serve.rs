//! `dns-serve`: the name server alone, on the comparison's world, without controller and gateway.
//! What a whole `nearside run` costs beyond it is the other roles' cost.

use std::net::SocketAddr;
use std::sync::Arc;

use benches::{loopback_only, snapshot, world};
use clap::Parser;
use dns::{Config, Server};
use steering::SnapshotCell;

/// Serves the comparison's names, on loopback only.
#[derive(Debug, Parser)]
struct Options {
    /// Where to listen, UDP and TCP
    #[arg(default_value = "127.0.0.1:5300")]
    listen: SocketAddr,
    /// UDP workers
    #[arg(long, default_value_t = 1)]
    workers: usize,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let snapshot = snapshot::snapshot(&world::table())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let config = Config {
            listen: vec![loopback_only(options.listen)?],
            workers: Some(options.workers),
            ..Config::default()
        };
        let server = Server::start(config, Arc::new(SnapshotCell::new(snapshot)))?;
        tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?.recv().await;
        server.shutdown().await;
        Ok(())
    })
}
