//! `compare`: runs Nearside, its peers and the floors in interleaved slices on one core and writes
//! a raw record and a table to `benches/runs/`.
//!
//! ```text
//! cargo build --release --workspace
//! cargo run --release -p benches --bin compare -- all
//! ```
#![expect(clippy::print_stdout, reason = "the tables are what a comparison is for")]
#![expect(clippy::print_stderr, reason = "a run takes minutes and says how far it is")]

mod burst;
mod change;
mod cover;
mod dns;
mod gateway;
mod instructions;
mod node;
mod number;
mod reload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use benches::kernel::pin_to_core;
use benches::record::{self, Machine, Record};
use benches::server::{Cores, Server};
use benches::slices::{Round, Slice, judge};
use clap::{Parser, ValueEnum};

/// Compares Nearside with its peers and with the floors, in interleaved slices on one core.
#[derive(Debug, Parser)]
struct Options {
    /// What to compare
    what: What,
    /// Rounds; each has one slice of every contender between slices of the reference
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Milliseconds per slice
    #[arg(long, default_value_t = 1000)]
    slice_ms: u64,
    /// The core for the servers
    #[arg(long, default_value_t = 0)]
    server_core: usize,
    /// The core for generators and origins
    #[arg(long, default_value_t = 1)]
    load_core: usize,
    /// Outstanding DNS queries
    #[arg(long, default_value_t = 128)]
    window: usize,
    /// Kept-alive HTTP connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// Seconds under change in `reload`
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// How much of the closed-loop rate is asked in `reload`
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u64).range(1..=100))]
    load_percent: u64,
    /// Queries a second in `burst`
    #[arg(long, default_value_t = 130_000)]
    burst_rate: u64,
    /// Prefixes in `node`
    #[arg(long, default_value_t = 5_000_000)]
    prefixes: usize,
    /// Records in `node`, at most 1,600,000
    #[arg(long, default_value_t = 1_000_000)]
    records: usize,
    /// Nearside's binary (default: beside this one)
    #[arg(long)]
    nearside: Option<PathBuf>,
    /// Leave a contender out, by its name in the tables; repeat for more
    #[arg(long)]
    without: Vec<String>,
    /// Where records go
    #[arg(long, default_value = "benches/runs")]
    runs: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum What {
    /// Name servers against the UDP echo: CPU per answer
    Dns,
    /// Proxies against nginx: CPU per request with bodies of 1 KiB and 100 KiB
    Gateway,
    /// Name servers under callgrind: instructions per answer
    DnsInstructions,
    /// Proxies under callgrind: instructions per request
    GatewayInstructions,
    /// Nearside while documents are edited and a site is drained, one change a second
    Reload,
    /// Cache entries that each server's scopes cost a resolver for one name
    Cover,
    /// Queries lost at a rate beyond what receive buffers of the usual size can hold
    Burst,
    /// A node with five million prefixes and a zone of a million records: swap, start, memory
    Node,
    /// All of them
    All,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let wanted = |what| options.what == What::All || options.what == what;
    pin_to_core(options.load_core).context("a comparison needs two cores")?;
    anyhow::ensure!(options.rounds >= 1, "no rounds, no medians");
    if wanted(What::Dns) {
        dns::compare(&options)?;
    }
    if wanted(What::Reload) {
        reload::run(&options)?;
    }
    if wanted(What::Cover) {
        cover::run(&options)?;
    }
    if wanted(What::Burst) {
        burst::run(&options)?;
    }
    if wanted(What::Node) {
        node::run(&options)?;
    }
    if wanted(What::Gateway) {
        gateway::compare(&options, 1 << 10)?;
        gateway::compare(&options, 100 << 10)?;
    }
    if wanted(What::DnsInstructions) {
        instructions::dns(&options)?;
    }
    if wanted(What::GatewayInstructions) {
        instructions::gateway(&options)?;
    }
    Ok(())
}

impl Options {
    fn cores(&self) -> Cores {
        Cores { server: self.server_core, load: self.load_core }
    }

    fn slice(&self) -> Duration {
        Duration::from_millis(self.slice_ms)
    }

    fn includes(&self, contender: &str) -> bool {
        !self.without.iter().any(|name| name == contender)
    }

    /// A program of ours: beside this one, unless told otherwise.
    fn program(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = match &self.nearside {
            Some(path) if name == "nearside" => path.clone(),
            _ => std::env::current_exe()?.with_file_name(name),
        };
        anyhow::ensure!(
            path.exists(),
            "there is no `{}`\nhelp: cargo build --release --workspace",
            path.display()
        );
        Ok(path)
    }

    /// Measures rounds and writes the record.
    fn run(
        &self,
        title: Title,
        reference: Server,
        contenders: Vec<Server>,
        measure: impl Fn(&Server, Duration) -> anyhow::Result<Slice>,
    ) -> anyhow::Result<()> {
        let machine = Machine::here();
        for server in std::iter::once(&reference).chain(&contenders) {
            measure(server, self.slice())?;
        }
        let mut rounds = Vec::new();
        for at in 1..=self.rounds {
            eprintln!("{}: round {at} of {}", title.what, self.rounds);
            let mut round = Round::default();
            round.reference.push(measure(&reference, self.slice())?);
            for server in &contenders {
                let slice = measure(server, self.slice())?;
                round.contenders.push((server.name.clone(), slice));
                round.reference.push(measure(&reference, self.slice())?);
            }
            rounds.push(round);
        }
        let mut rss_kib = BTreeMap::new();
        for server in std::iter::once(&reference).chain(&contenders) {
            rss_kib.insert(server.name.clone(), server.account()?.rss_kib);
        }
        let record = Record {
            what: title.what,
            date: record::now(),
            command: std::env::args().collect::<Vec<_>>().join(" "),
            machine,
            versions: versions(),
            method: title.method,
            reference: reference.name.clone(),
            verdicts: judge(&rounds, &reference.name),
            rss_kib,
            notes: title.notes,
            rounds,
        };
        println!("{}", record.markdown());
        let path = record.write(&self.runs)?;
        eprintln!("record: {}", path.display());
        for server in contenders.into_iter().chain([reference]) {
            server.stop()?;
        }
        Ok(())
    }
}

/// What a record is called and says about itself.
struct Title {
    what: String,
    method: String,
    notes: Vec<String>,
}

/// What is compared, where it is Debian's.
const PACKAGES: [&str; 7] =
    ["bind9", "gdnsd", "knot", "nginx-light", "nsd", "pdns-backend-geoip", "valgrind"];

fn versions() -> BTreeMap<String, String> {
    let package = |name: &str| record::package_version(name).map(|v| (name.to_owned(), v));
    let mut versions: BTreeMap<_, _> = PACKAGES.into_iter().filter_map(package).collect();
    versions.insert("nearside".to_owned(), record::commit());
    versions.insert("pingora-proxy".to_owned(), "0.9.1".to_owned());
    if let Some(rustc) = record::output("rustc", &["--version"]) {
        versions.insert("rustc".to_owned(), rustc);
    }
    versions
}

/// A peer's binary, where Debian puts it.
fn peer(name: &str, package: &str) -> anyhow::Result<PathBuf> {
    let path = Path::new("/usr/sbin").join(name);
    anyhow::ensure!(
        path.exists(),
        "there is no `{}`\nhelp: apt-get install {package}, or --without what needs it",
        path.display()
    );
    Ok(path)
}
