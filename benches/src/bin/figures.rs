//! `figures`: fills docs/figures.md with the numbers of the newest records.

use std::path::PathBuf;

use anyhow::Context;
use benches::page::{Records, fill};
use clap::Parser;

/// Fills a page's gaps from the newest records.
#[derive(Debug, Parser)]
struct Options {
    /// The page, rewritten in place
    #[arg(default_value = "docs/figures.md")]
    page: PathBuf,
    /// Where the records are
    #[arg(long, default_value = "benches/runs")]
    runs: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let Options { page, runs } = Options::parse();
    let shown = page.display();
    let text = std::fs::read_to_string(&page).with_context(|| format!("cannot read `{shown}`"))?;
    let filled = fill(&text, &Records::read(&runs)?).with_context(|| format!("`{shown}`"))?;
    std::fs::write(&page, filled).with_context(|| format!("cannot write `{shown}`"))
}
