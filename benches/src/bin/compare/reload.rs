//! Changes under load: the real server at a part of its closed-loop rate while documents are edited
//! and a site is drained and given back, one change a second, beside as long without any.
//!
//! Quiet and busy stretches take turns, so that both see the same weather. An answer is right when
//! it is one that the documents before or after a change give that client; which of the two is a
//! matter of milliseconds that only the server knows.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use benches::dns_load::{self, Outcome, Pace, Questions};
use benches::expected;
use benches::figures::Figures;
use benches::server::{Server, free_address};
use benches::{snapshot, world};
use steering::Snapshot;

use crate::dns::{pace, questions, start};
use crate::{Options, dns};

/// How long a stretch is; quiet and busy ones take turns.
const STRETCH: Duration = Duration::from_secs(10);
/// Between two changes.
const CHANGE_INTERVAL: Duration = Duration::from_secs(1);
/// The site that is drained and given back.
const DRAINED: &str = "tokyo";
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
    asked.right = expected::addresses(&states(&table)?, &asked.subnets)?;

    let whole = Pace { duration: Duration::from_secs(5), ..pace(options) };
    let closed = dns_load::run(subject.server.target, &asked, whole)?;
    let rate = per_second(&closed) * options.load_percent / 100;
    let paced = Pace { window: WINDOW, per_second: rate, duration: STRETCH, ..pace(options) };

    let (mut quiet, mut busy) = (Outcome::default(), Outcome::default());
    let (views_before, mut changes) = (subject.views()?, 0);
    let before = subject.server.account()?;
    for at in 1..=options.seconds.div_ceil(STRETCH.as_secs()) {
        eprintln!("reload: stretch {at} of {}", options.seconds.div_ceil(STRETCH.as_secs()));
        quiet.merge(&dns_load::run(subject.server.target, &asked, paced)?);
        let (outcome, made) = subject.under_change(options, &asked, paced)?;
        busy.merge(&outcome);
        changes += made;
    }
    let views = subject.views()? - views_before;
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

/// Documents before and after the edit.
fn texts() -> [String; 2] {
    let mut places = world::PLACES;
    for place in &mut places {
        // London moves to Madrid: a tenth of the world changes sides.
        if place.name == "london" {
            (place.lat, place.lon) = (40.42, -3.70);
        }
    }
    [world::dns_documents(), world::dns_documents_of(&places, 31)]
}

/// What the server may serve at one time or another.
fn states(table: &geo_data::LocaleTable) -> anyhow::Result<Vec<Snapshot>> {
    let mut states = Vec::new();
    for text in texts() {
        let up = snapshot::of_documents(&text, table)?;
        let mut health = (*up.health).clone();
        let site = up.policy.site_id(DRAINED).context("the drained site is not in the world")?;
        health.drained[usize::from(site.0)] = true;
        states.push(Snapshot { health: Arc::new(health), ..up.clone() });
        states.push(up);
    }
    Ok(states)
}

impl Subject {
    fn start(options: &Options, scratch: &Path, asked: &Questions) -> anyhow::Result<Self> {
        let documents = scratch.join("nearside");
        std::fs::create_dir_all(&documents)?;
        let documents = documents.join("bench.yaml");
        std::fs::write(&documents, &texts()[0])?;
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
        let order = |verb: &str| {
            let body = r#"{"by": "bench", "reason": "a change under load"}"#;
            self.http("POST", &format!("/v1/sites/{DRAINED}/{verb}"), body).map(drop)
        };
        let edit = |text: &str| -> anyhow::Result<()> {
            let beside = self.documents.with_extension("next");
            std::fs::write(&beside, text)?;
            Ok(std::fs::rename(&beside, &self.documents)?)
        };
        match number % 4 {
            0 => edit(&texts()[1]),
            1 => order("drain"),
            2 => edit(&texts()[0]),
            _ => order("undrain"),
        }
    }

    /// How many views the server has swapped in.
    fn views(&self) -> anyhow::Result<u64> {
        let text = self.http("GET", "/metrics", "")?;
        let line = text.lines().find_map(|line| line.strip_prefix("nearside_dns_views_total "));
        let count = line.and_then(|count| count.trim().parse().ok());
        count.context("the server's metrics do not tell how many views it has swapped in")
    }

    fn http(&self, method: &str, path: &str, body: &str) -> anyhow::Result<String> {
        let mut stream = TcpStream::connect(self.admin)?;
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.admin,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        anyhow::ensure!(answer.starts_with("HTTP/1.1 200"), "`{method} {path}`: {answer}");
        Ok(answer)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "rates of a machine"
)]
fn per_second(outcome: &Outcome) -> u64 {
    (outcome.good as f64 / outcome.elapsed.as_secs_f64().max(1e-3)) as u64
}

#[expect(clippy::cast_precision_loss, reason = "durations far below 2^52 ns")]
fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[expect(clippy::cast_precision_loss, reason = "durations far below 2^52 ns")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}
