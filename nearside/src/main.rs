//! The one binary: every role of Nearside and the tools around them.
//!
//! Exit status: 0 yes, 1 the answer is no, 2 could not run. Data goes to stdout, the rest to stderr.
//! This is the only crate that prints, exits or installs a global.

mod access_log;
mod admin;
mod audit;
mod check;
mod cli;
mod client;
mod compiled;
mod demo_origin;
mod directory;
mod drain;
mod explain;
mod explain_route;
mod external_names;
mod front;
mod gateway_api;
mod gateways;
mod geo;
mod handover;
mod httpdns;
mod kept_addresses;
mod lifecycle;
mod log;
mod resolvers;
mod roles;
mod run;
mod sources;
mod status;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

/// jemalloc: the least CPU per proxied request of the allocators measured under Pingora
/// (docs/architecture.md, "Allocator").
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc reads before `main`: memory that is not used goes back after a second, by a thread of
/// its own. By default it goes back after ten, and only while somebody allocates: a gateway that has
/// read 5,000 routes and waits would keep 10 MiB of what it read them with.
#[expect(unsafe_code, reason = "jemalloc finds its settings by the name of this symbol")]
#[unsafe(export_name = "_rjem_malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 60] =
    b"background_thread:true,dirty_decay_ms:1000,muzzy_decay_ms:0\0";

/// What a command that ran found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Exit 0.
    Yes,
    /// Exit 1.
    No,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log::install();
    match dispatch(cli) {
        Ok(Outcome::Yes) => ExitCode::SUCCESS,
        Ok(Outcome::No) => ExitCode::from(1),
        Err(error) => {
            log::print_chain(&error);
            ExitCode::from(2)
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<Outcome> {
    match cli.command {
        Command::Check(args) => check::check(&args),
        Command::Geo(args) => geo::geo(&args),
        Command::Run(args) => wait(run::run(args)),
        Command::Dns(args) => wait(roles::dns(args)),
        Command::Lb(args) => wait(roles::lb(args)),
        Command::Controller(args) => wait(roles::controller(args)),
        Command::Explain(args) => wait(explain::explain(args)),
        Command::ExplainRoute(args) => wait(explain_route::explain_route(args)),
        Command::Status(args) => wait(status::status(args)),
        Command::Drain(args) => wait(drain::drain(args)),
        Command::Undrain(args) => wait(drain::undrain(args)),
        Command::DemoOrigin(args) => wait(demo_origin::serve(args)),
    }
}

fn wait(work: impl Future<Output = anyhow::Result<Outcome>>) -> anyhow::Result<Outcome> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}
