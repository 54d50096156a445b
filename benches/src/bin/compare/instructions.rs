//! Instructions per operation, by callgrind: two runs of each server, one with more load than the
//! other. Start, stop and idling cancel out in the difference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use benches::callgrind::total;
use benches::record::{self, Machine};
use benches::server::Server;
use benches::{dns_load, http_load, world};
use serde::Serialize;

use crate::{Options, dns, gateway, versions};

/// Operations of the two runs. The smaller run already fills caches and pools.
const FEW: u64 = 5_000;
const MANY: u64 = 25_000;
/// What the table calls the walk without sockets.
const WALK: &str = "packet-to-answer";

#[derive(Debug, Serialize)]
struct Record {
    what: String,
    date: String,
    command: String,
    machine: Machine,
    versions: BTreeMap<String, String>,
    method: String,
    /// By server: instructions of the two runs, and the difference per operation.
    instructions: BTreeMap<String, (u64, u64, f64)>,
}

/// Name servers.
pub(crate) fn dns(options: &Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let table = world::table();
    let mut found = BTreeMap::new();
    for contender in dns::contenders(options, scratch.path(), &table)? {
        let questions = dns::questions(&table, contender.answers_min)?;
        let counts = both(|operations| {
            let mut valgrind = Valgrind::new(scratch.path(), &contender.program, &[])?;
            valgrind.command.args(&contender.arguments).current_dir(scratch.path());
            let command = &mut valgrind.command;
            let server = dns::start(options, &contender, command, scratch.path(), &questions)?;
            let pace = dns_load::Pace {
                queries_max: operations,
                duration: Duration::from_secs(600),
                timeout: Duration::from_secs(20),
                ..dns::pace(options)
            };
            let outcome = dns_load::run(server.target, &questions, pace)?;
            anyhow::ensure!(outcome.good == operations, "`{}` lost queries", contender.name);
            valgrind.finish(server)
        })?;
        found.insert(contender.name.to_owned(), counts);
    }
    if options.includes(WALK) {
        found.insert(WALK.to_owned(), walk(options, scratch.path())?);
    }
    write(options, "dns-instructions", found)
}

/// Our walk from packet to answer without sockets, counted alone.
fn walk(options: &Options, scratch: &Path) -> anyhow::Result<(u64, u64, f64)> {
    let program = options.program("dns-instructions")?;
    let mut valgrind = Valgrind::new(scratch, &program, &["--toggle-collect=*answer_all*"])?;
    valgrind.command.args(["--passes", "1", "--packets", &MANY.to_string()]);
    let status = valgrind.command.stdout(Stdio::null()).status()?;
    anyhow::ensure!(status.success(), "`dns-instructions` failed under valgrind");
    let whole = valgrind.total()?;
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let each = whole as f64 / MANY as f64;
    Ok((0, whole, each))
}

/// Proxies, with bodies of 1 KiB.
pub(crate) fn gateway(options: &Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let octets = 1 << 10;
    let origin = gateway::start_origin(options, scratch.path(), octets)?;
    let mut found = BTreeMap::new();
    for contender in gateway::contenders(options, scratch.path(), origin.target)? {
        let counts = both(|operations| {
            let mut valgrind = Valgrind::new(scratch.path(), &contender.program, &[])?;
            valgrind.command.args(&contender.arguments).current_dir(scratch.path());
            if contender.name.starts_with("nginx") {
                // A forked worker's counts are lost when it ends: one process does it all here.
                valgrind.command.args(["-g", "master_process off;"]);
            }
            let command = &mut valgrind.command;
            let server = gateway::start(options, &contender, command, scratch.path(), octets)?;
            let pace = http_load::Pace {
                requests_max: operations,
                duration: Duration::from_secs(600),
                timeout: Duration::from_secs(60),
                ..gateway::pace(options)
            };
            let outcome = http_load::run(server.target, &gateway::request(octets), pace)?;
            anyhow::ensure!(outcome.good == operations, "`{}` failed requests", contender.name);
            valgrind.finish(server)
        })?;
        found.insert(contender.name.to_owned(), counts);
    }
    write(options, "gateway-instructions", found)?;
    origin.stop()
}

fn both(run: impl Fn(u64) -> anyhow::Result<u64>) -> anyhow::Result<(u64, u64, f64)> {
    let (few, many) = (run(FEW)?, run(MANY)?);
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let each = many.saturating_sub(few) as f64 / (MANY - FEW) as f64;
    Ok((few, many, each))
}

/// One run of a server under callgrind; its children's counts are in files of their own.
struct Valgrind {
    command: Command,
    directory: PathBuf,
}

impl Valgrind {
    /// `collect` may narrow what is counted.
    fn new(scratch: &Path, program: &Path, collect: &[&str]) -> anyhow::Result<Self> {
        let directory = scratch.join("callgrind");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory)?;
        let mut command = Command::new("valgrind");
        let file = directory.join("out.%p").display().to_string();
        command
            .args(["--tool=callgrind", "--trace-children=yes", "--quiet"])
            .args(collect)
            .arg(format!("--callgrind-out-file={file}"))
            .arg(program);
        Ok(Self { command, directory })
    }

    /// Ends the server and adds up what was counted.
    fn finish(self, server: Server) -> anyhow::Result<u64> {
        server.stop()?;
        self.total()
    }

    fn total(&self) -> anyhow::Result<u64> {
        let mut whole = 0;
        for entry in fs::read_dir(&self.directory)? {
            whole += total(&fs::read_to_string(entry?.path())?).unwrap_or(0);
        }
        anyhow::ensure!(whole > 0, "callgrind counted nothing");
        Ok(whole)
    }
}

fn write(
    options: &Options,
    what: &str,
    instructions: BTreeMap<String, (u64, u64, f64)>,
) -> anyhow::Result<()> {
    let record = Record {
        what: what.to_owned(),
        date: record::now(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        machine: Machine::here(),
        versions: versions(),
        method: format!(
            "callgrind, user-mode instructions of the whole process: ({MANY} operations - {FEW} \
             operations) / {}",
            MANY - FEW
        ),
        instructions,
    };
    let mut text = format!(
        "# {what}\n\n- command: `{}`\n- date: {}\n- machine: {}, Linux {}\n- method: {}\n",
        record.command, record.date, record.machine.cpu, record.machine.kernel, record.method
    );
    for (name, version) in &record.versions {
        let _ = writeln!(text, "- {name}: {version}");
    }
    text.push_str("\n| server | instructions each |\n|---|---|\n");
    for (name, (_, _, each)) in &record.instructions {
        let _ = writeln!(text, "| {name} | {each:.0} |");
    }
    println!("{text}");
    fs::create_dir_all(&options.runs)?;
    let day = record.date.split('T').next().unwrap_or("undated").to_owned();
    let path = options.runs.join(format!("{day}-{what}.json"));
    fs::write(&path, serde_json::to_string_pretty(&record)? + "\n")?;
    fs::write(path.with_extension("md"), text)?;
    Ok(())
}
