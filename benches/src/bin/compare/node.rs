//! A node at its largest: millions of prefixes and a zone of a million records.
//!
//! A controller with a generated geo table, a name server node that follows it, and a site that is
//! drained and given back, which makes the map anew: what a swap costs the node and its clients, how
//! much memory it takes at the peak, and how soon the node answers when it starts again from its disk,
//! cut off.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::Context;
use benches::account::{Account, forget_peak, peak_rss_kib};
use benches::dns_load::{self, Outcome, Pace, Questions};
use benches::figures::Figures;
use benches::query::{Dnssec, Expectation, Shape, Template};
use benches::random::Choice;
use benches::server::{Server, free_address};
use benches::{expected, prefixes, snapshot, world};
use geo_data::{Centres, LocaleTable};

use crate::Options;
use crate::change;
use crate::dns::{PATIENCE, pace};
use crate::number::{microseconds, milliseconds, per_second, ratio};

/// Clients drawn among the prefixes.
const CLIENTS: usize = 100_000;
/// Maps that the node is given while it is asked; even, so that the site is back in the end.
const SWAPS: u64 = 6;
/// How long the node may take for each.
const SWAP_PATIENCE: Duration = Duration::from_secs(120);
/// A stretch of asking, within which swaps fall where they fall.
const STRETCH: Duration = Duration::from_secs(1);
const BIG_ZONE: &str = "big.example";

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let mut figures = Figures::new("node", &method(options));
    figures.add("prefixes", options.prefixes as u64, "prefixes");
    figures.add("records", options.records as u64, "records");
    let world = World::make(options, scratch.path(), &mut figures)?;
    let controller = world.start_controller(options)?;
    let mut node = world.start_node(options, "node")?;
    world.wait(&mut node)?;
    swaps(options, &world, &node, &mut figures)?;
    node.stop()?;
    controller.stop()?;
    restart(options, &world, &mut figures)?;
    println!("{}", figures.markdown());
    eprintln!("record: {}", figures.write(&options.runs)?.display());
    let lost = ["swap-lost", "swap-wrong"].map(|name| figures.figures[name].value);
    anyhow::ensure!(lost == [0.0; 2], "queries were lost or answered wrong during a swap");
    Ok(())
}

fn method(options: &Options) -> String {
    format!(
        "a geo table of {} prefixes, a zone file of {} records and the comparison's world; `nearside \
         controller` on core {}, `nearside dns` with one worker on core {}; {SWAPS} times a site is \
         drained or given back, which makes a new map, while the node is asked at {} % of its \
         closed-loop rate; then the node is started again from its disk without a controller. CPU \
         times are of one thread in process; the peak is VmHWM from before the first swap",
        options.prefixes,
        options.records,
        options.load_core,
        options.server_core,
        options.load_percent
    )
}

/// What is on disk, and what is asked.
struct World {
    directory: PathBuf,
    geo: PathBuf,
    asked: Questions,
    controller: SocketAddr,
    courier: SocketAddr,
    dns: SocketAddr,
    admin: SocketAddr,
}

impl World {
    fn make(options: &Options, scratch: &Path, figures: &mut Figures) -> anyhow::Result<Self> {
        let documents = scratch.join("documents");
        std::fs::create_dir_all(&documents)?;
        std::fs::write(documents.join("bench.yaml"), &change::texts()[0])?;
        write_big_zone(&documents, options.records)?;
        let prefixes = prefixes::prefixes(options.prefixes, 1);
        let clients = prefixes::clients(&prefixes, CLIENTS, 2);
        let table = LocaleTable::from_prefixes(&prefixes, Centres::default());
        drop(prefixes);
        let geo = scratch.join("prefixes.geo");
        std::fs::write(&geo, table.to_bytes()?)?;
        build(&table, figures)?;
        let right = expected::addresses(&change::states(&table)?, &clients)?;
        let shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
        let names = world::names();
        let templates = names.iter().map(|name| Template::new(name, shape));
        let asked = Questions {
            templates: templates.collect::<anyhow::Result<_>>()?,
            choice: Choice::new(names.len(), 0.0),
            subnets: clients,
            expectation: Expectation { rcode: 0, answers_min: 1 },
            right,
        };
        Ok(Self {
            directory: scratch.to_owned(),
            geo,
            asked,
            controller: free_address()?,
            courier: free_address()?,
            dns: free_address()?,
            admin: free_address()?,
        })
    }

    fn start_controller(&self, options: &Options) -> anyhow::Result<Server> {
        let mut command = Command::new(options.program("nearside")?);
        command.arg("controller").arg(self.directory.join("documents"));
        command.arg("--state-dir").arg(self.directory.join("controller"));
        command.arg("--geo").arg(&self.geo);
        command.args(["--courier", &self.courier.to_string()]);
        command.args(["--admin", &self.controller.to_string()]);
        let core = options.load_core;
        let log = self.directory.join("controller.log");
        Server::start("controller", self.courier, &mut command, (core, core), log)
    }

    /// A node that follows the controller while there is one.
    fn start_node(&self, options: &Options, name: &str) -> anyhow::Result<Server> {
        let mut command = Command::new(options.program("nearside")?);
        command.arg("dns").arg("--state-dir").arg(self.directory.join("node"));
        command.args(["--controller", &self.courier.to_string()]);
        command.args(["--dns", &self.dns.to_string(), "--dns-workers", "1"]);
        command.args(["--admin", &self.admin.to_string()]);
        let cores = (options.server_core, options.load_core);
        let log = self.directory.join(format!("{name}.log"));
        Server::start(name, self.dns, &mut command, cores, log)
    }

    fn wait(&self, node: &mut Server) -> anyhow::Result<()> {
        node.wait(PATIENCE, |target| self.answers(target))
    }

    /// Whether one query is answered right.
    fn answers(&self, target: SocketAddr) -> bool {
        let once = Pace {
            window: 1,
            sockets: 1,
            per_second: 0,
            duration: Duration::from_secs(1),
            queries_max: 1,
            timeout: Duration::from_millis(20),
            seed: 1,
        };
        dns_load::run(target, &self.asked, once).is_ok_and(|outcome| outcome.good == 1)
    }
}

/// Compiles, packs and unpacks two maps in process, with the CPU time of each step.
fn build(table: &LocaleTable, figures: &mut Figures) -> anyhow::Result<()> {
    let mut whole_ms = 0.0;
    let mut timed = |name: &str, account: Account, figures: &mut Figures| {
        let ms = milliseconds(account.run);
        whole_ms += ms;
        figures.add(name, ms, "ms of one core");
    };
    for text in change::texts() {
        let own = || Account::of(std::process::id());
        let before = own()?;
        let made = snapshot::of_documents(&text, table)?;
        let compiled = own()?;
        timed("build-compile", compiled.since(&before), figures);
        let frame = model::codec::encode(&made)?;
        let encoded = own()?;
        timed("build-encode", encoded.since(&compiled), figures);
        let read: steering::Snapshot = model::codec::decode(&frame)?;
        let decoded = own()?;
        timed("build-decode", decoded.since(&encoded), figures);
        anyhow::ensure!(read.map == made.map, "a map did not survive its frame");
        let map = &made.map.maps[0];
        figures.add("map", map.memory_octets() as u64, "octets");
        figures.add("frame", frame.len() as u64, "octets");
        figures.add("runs", (map.v4.len() + map.v6.len()) as u64, "runs");
    }
    figures.add("build-whole", whole_ms / 2.0, "ms of one core, mean of two maps");
    Ok(())
}

/// New maps while the node is asked.
fn swaps(
    options: &Options,
    world: &World,
    node: &Server,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let ask = |duration, per_second| {
        let window = if per_second == 0 { options.window } else { dns_load::WINDOW_MAX };
        let pace = Pace { duration, per_second, window, ..pace(options) };
        dns_load::run(node.target, &world.asked, pace)
    };
    let closed = ask(Duration::from_secs(5), 0)?;
    let rate = per_second(&closed) * options.load_percent / 100;
    let mut quiet = Outcome::default();
    for _ in 0..SWAPS * 2 {
        quiet.merge(&ask(STRETCH, rate)?);
    }
    let steady = node.account()?.rss_kib;
    forget_peak(node.id())?;
    let mut busy = Outcome::default();
    for at in 1..=SWAPS {
        eprintln!("node: swap {at} of {SWAPS}");
        let before = change::map_generation(world.admin)?;
        change::order(world.controller, if at % 2 == 1 { "drain" } else { "undrain" })?;
        let started = clock();
        while change::map_generation(world.admin)? == before {
            anyhow::ensure!(started.elapsed() < SWAP_PATIENCE, "the node took no new map");
            busy.merge(&ask(STRETCH, rate)?);
        }
        busy.merge(&ask(STRETCH, rate)?);
    }
    let peak = peak_rss_kib(node.id())?;
    figures.add("closed-loop-per-s", per_second(&closed), "answers/s");
    figures.add("paced-per-s", rate, "queries/s");
    figures.add("swaps", SWAPS, "swaps");
    figures.add("swap-sent", busy.sent, "queries");
    figures.add("swap-lost", busy.lost + quiet.lost, "queries");
    figures.add("swap-wrong", busy.wrong() + quiet.wrong(), "answers");
    figures.add("quiet-p99.9", microseconds(quiet.latency.quantile_ns(999)), "us");
    figures.add("swap-p99.9", microseconds(busy.latency.quantile_ns(999)), "us");
    let beside = ratio(busy.latency.quantile_ns(999), quiet.latency.quantile_ns(999));
    figures.add("swap-p99.9-ratio", beside, "swap / quiet");
    figures.add("rss-steady", steady, "KiB");
    figures.add("rss-peak", peak, "KiB");
    figures.add("rss-ratio", ratio(peak, steady), "peak / steady");
    Ok(())
}

/// The node alone, from its disk.
fn restart(options: &Options, world: &World, figures: &mut Figures) -> anyhow::Result<()> {
    let started = clock();
    let node = world.start_node(options, "restarted")?;
    while !world.answers(world.dns) {
        anyhow::ensure!(started.elapsed() < PATIENCE, "the node does not answer after its restart");
    }
    figures.add("restart", milliseconds(started.elapsed()), "ms to the first right answer");
    figures.add("restart-rss-peak", peak_rss_kib(node.id())?, "KiB");
    std::thread::sleep(STRETCH);
    let account = node.account()?;
    figures.add("restart-rss", account.rss_kib, "KiB");
    figures.add("restart-cpu", milliseconds(account.run), "ms of CPU");
    node.stop()
}

/// A zone file of so many addresses, each with a name of its own, and its document.
fn write_big_zone(documents: &Path, records: usize) -> anyhow::Result<()> {
    // Four letters or digits a name: the file stays below the 16 MiB that one may have.
    const LETTERS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    anyhow::ensure!(records <= 1_600_000, "the zone file would be too large");
    let mut text = String::with_capacity(records * 16);
    for at in 0..records {
        let letter = |power: u32| char::from(LETTERS[at / 36_usize.pow(power) % 36]);
        let name: String = [3, 2, 1, 0].map(letter).iter().collect();
        let digit = |power: u32| at / 10_usize.pow(power) % 10;
        writeln!(text, "{name} A 1.{}.{}.{}", digit(2), digit(1), digit(0))?;
    }
    std::fs::write(documents.join("big.zone"), text)?;
    let document = format!(
        "apiVersion: nearside.dev/v1alpha1\nkind: Zone\nmetadata: {{name: big}}\nspec:\n  \
         apex: {BIG_ZONE}\n  nameServers:\n    - {{name: ns1.{BIG_ZONE}, addresses: [127.0.0.1]}}\n  \
         zoneFile: big.zone\n"
    );
    std::fs::write(documents.join("big.yaml"), document).context("cannot write the zone")
}

#[expect(clippy::disallowed_methods, reason = "a bench reads the clock")]
fn clock() -> Instant {
    Instant::now()
}
