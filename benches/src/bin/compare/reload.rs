//! Changes under load: the real server at a part of its closed-loop rate while documents are edited
//! and a site is drained and given back, one change a second, beside as long without any.
//!
//! Quiet and busy stretches take turns, so that both see the same weather. An answer is right when
//! it is one that the documents before or after a change give that client; which of the two is a
//! matter of milliseconds that only the server knows.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use benches::dns_load::{self, Outcome, Pace, Questions};
use benches::expected;
use benches::figures::Figures;
use benches::server::{Server, free_address};
use benches::world;

use crate::change;
use crate::dns::{pace, questions, start};
use crate::number::{microseconds, per_second, ratio};
use crate::{Options, dns};

/// How long a stretch is; quiet and busy ones take turns.
const STRETCH: Duration = Duration::from_secs(10);
/// Between two changes.
const CHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// Outstanding queries of a paced run: only a stall of a tenth of a second fills them.
const WINDOW: usize = dns_load::WINDOW_MAX;

/// The server with what a change to it needs.
struct Subject {
    server: Server,
    admin: SocketAddr,
    documents: PathBuf,
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let table = world::table();
    let mut asked = questions(&table, 1)?;
    let subject = Subject::start(options, scratch.path(), &asked)?;
    asked.right = expected::addresses(&change::states(&table)?, &asked.subnets)?;

    let whole = Pace { duration: Duration::from_secs(5), ..pace(options) };
    let closed = dns_load::run(subject.server.target, &asked, whole)?;
    let rate = per_second(&closed) * options.load_percent / 100;
    let paced = Pace { window: WINDOW, per_second: rate, duration: STRETCH, ..pace(options) };

    let (mut quiet, mut busy) = (Outcome::default(), Outcome::default());
    let (views_before, mut changes) = (change::views(subject.admin)?, 0);
    let before = subject.server.account()?;
    for at in 1..=options.seconds.div_ceil(STRETCH.as_secs()) {
        eprintln!("reload: stretch {at} of {}", options.seconds.div_ceil(STRETCH.as_secs()));
        quiet.merge(&dns_load::run(subject.server.target, &asked, paced)?);
        let (outcome, made) = subject.under_change(options, &asked, paced)?;
        busy.merge(&outcome);
        changes += made;
    }
    let views = change::views(subject.admin)? - views_before;
    let account = subject.server.account()?;
    let mut figures = Figures::new("reload", &method(options, rate));
    figures.add("closed-loop-per-s", per_second(&closed), "answers/s");
    figures.add("paced-per-s", rate, "queries/s");
    figures.add("changes", changes, "changes");
    figures.add("views", views, "views swapped in");
    for (name, outcome) in [("quiet", &quiet), ("busy", &busy)] {
        figures.add(&format!("{name}-sent"), outcome.sent, "queries");
        figures.add(&format!("{name}-lost"), outcome.lost, "queries");
        figures.add(&format!("{name}-wrong"), outcome.wrong(), "answers");
        for (quantile, permille) in [("p50", 500), ("p99", 990), ("p99.9", 999)] {
            let us = microseconds(outcome.latency.quantile_ns(permille));
            figures.add(&format!("{name}-{quantile}"), us, "us");
        }
    }
    let ratio = ratio(busy.latency.quantile_ns(999), quiet.latency.quantile_ns(999));
    figures.add("p99.9-ratio", ratio, "busy / quiet");
    figures.add("rss", account.rss_kib, "KiB");
    figures.add("rss-before", before.rss_kib, "KiB");
    println!("{}", figures.markdown());
    eprintln!("record: {}", figures.write(&options.runs)?.display());
    subject.server.stop()?;
    let bad = quiet.lost + quiet.wrong() + busy.lost + busy.wrong();
    anyhow::ensure!(bad == 0, "{bad} queries were lost or answered wrong");
    anyhow::ensure!(views >= changes, "{changes} changes were made but {views} served");
    Ok(())
}

fn method(options: &Options, rate: u64) -> String {
    format!(
        "`nearside run`, one DNS worker, everything on core {}, asked by the generator on core {} at \
         {} % of its closed-loop rate ({rate}/s, window {WINDOW}); stretches of {} s without and \
         with one change a second in turn: an edit of a site's place and the TTL of every service \
         (a new map), a drain by the API, an edit back, an undrain; every answer's address checked \
         against the maps before and after",
        options.server_core,
        options.load_core,
        options.load_percent,
        STRETCH.as_secs()
    )
}

impl Subject {
    fn start(options: &Options, scratch: &Path, asked: &Questions) -> anyhow::Result<Self> {
        let documents = scratch.join("nearside");
        std::fs::create_dir_all(&documents)?;
        let documents = documents.join("bench.yaml");
        std::fs::write(&documents, &change::texts()[0])?;
        let (target, admin) = (free_address()?, free_address()?);
        let contender = dns::nearside(options, scratch, (target, admin))?;
        let mut command = Command::new(&contender.program);
        command.args(&contender.arguments).current_dir(scratch);
        let server = start(options, &contender, &mut command, scratch, asked)?;
        Ok(Self { server, admin, documents })
    }

    /// One stretch with a change a second; also gives how many were made.
    fn under_change(
        &self,
        options: &Options,
        asked: &Questions,
        paced: Pace,
    ) -> anyhow::Result<(Outcome, u64)> {
        let (ends, made) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|scope| {
            let changer = scope.spawn(|| -> anyhow::Result<()> {
                benches::kernel::pin_to_core(options.load_core)?;
                while !ends.load(Ordering::Relaxed) {
                    self.change(made.load(Ordering::Relaxed))?;
                    made.fetch_add(1, Ordering::Relaxed);
                    std::thread::sleep(CHANGE_INTERVAL);
                }
                Ok(())
            });
            let outcome = dns_load::run(self.server.target, asked, paced);
            ends.store(true, Ordering::Relaxed);
            changer.join().map_err(|_| anyhow::anyhow!("the changing thread died"))??;
            Ok((outcome?, made.load(Ordering::Relaxed)))
        })
    }

    /// The n-th change: edit, drain, edit back, undrain.
    fn change(&self, number: u64) -> anyhow::Result<()> {
        match number % 4 {
            0 => change::edit(&self.documents, &change::texts()[1]),
            1 => change::order(self.admin, "drain"),
            2 => change::edit(&self.documents, &change::texts()[0]),
            _ => change::order(self.admin, "undrain"),
        }
    }
}
