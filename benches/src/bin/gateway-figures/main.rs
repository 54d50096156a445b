//! `gateway-figures`: what the gateway costs and how right it stays, beside nginx and haproxy with the
//! same hosts.
//!
//! ```text
//! cargo build --release --workspace
//! target/release/gateway-figures                 # everything, some minutes
//! target/release/gateway-figures --only rss      # one of them
//! ```
//!
//! Each part writes a record of its own to `benches/runs/`. Servers have one core, everything else
//! (clients, origins, the API server's stand-in) the other.
#![expect(clippy::print_stdout, reason = "the tables are what a measurement is for")]
#![expect(clippy::print_stderr, reason = "a run takes minutes and says how far it is")]

mod bench;
mod change;
mod client;
mod cold;
mod contender;
mod idle;
mod objects;
mod peer;
mod rss;
mod slow;
mod timeline;
mod truth;

use std::path::PathBuf;

use anyhow::Context as _;
use benches::kernel::pin_to_core;
use clap::{Parser, ValueEnum};

use self::bench::Bench;
use self::contender::Kind;

/// Measures the gateway's memory, its answers while everything changes, and its starts.
#[derive(Debug, Parser)]
struct Options {
    /// One part (default: all)
    #[arg(long)]
    only: Option<What>,
    /// Small sizes, seconds instead of minutes; says whether it works, not how well
    #[arg(long)]
    quick: bool,
    /// Routes in `rss`, one host name each; repeat for more (default: 0, 5,000, 40,000)
    #[arg(long)]
    routes: Vec<usize>,
    /// Requests in `truth` (default: 1,000,000)
    #[arg(long)]
    requests: Option<u64>,
    /// Changes in `change` (default: 20)
    #[arg(long)]
    changes: Option<usize>,
    /// Connections in `idle` (default: 9,000) and `slow` (default: 10,000)
    #[arg(long)]
    connections: Option<usize>,
    /// Seconds a server is left alone before its memory is read: allocators give back late
    #[arg(long)]
    settle: Option<u64>,
    /// Leave a contender out; repeat for more
    #[arg(long)]
    without: Vec<Kind>,
    /// The core for the servers
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core for everything else
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Nearside's binary (default: beside this one)
    #[arg(long)]
    nearside: Option<PathBuf>,
    /// Where records go
    #[arg(long, default_value = "benches/runs")]
    runs: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Resident memory by number of routes
    Rss,
    /// Wrong and failed answers while routes, endpoints, certificates and listeners change
    Truth,
    /// One of 5,000 routes changed under load
    Change,
    /// Resident memory of idle connections
    Idle,
    /// Slow clients with huge headers
    Slow,
    /// Starts from disk without the API server
    Cold,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    pin_to_core(options.load_core).context("this needs two cores")?;
    let bench = Bench::new(&options)?;
    let wanted = |what| options.only.is_none_or(|only| only == what);
    if wanted(What::Rss) {
        rss::run(&bench, &options)?;
    }
    if wanted(What::Truth) {
        truth::run(&bench, options.requests)?;
    }
    if wanted(What::Change) {
        change::run(&bench, options.changes)?;
    }
    if wanted(What::Idle) {
        idle::run(&bench, options.connections)?;
    }
    if wanted(What::Slow) {
        slow::run(&bench, options.connections)?;
    }
    if wanted(What::Cold) {
        cold::run(&bench)?;
    }
    Ok(())
}
