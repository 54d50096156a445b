//! Name servers against the UDP echo.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::dns_load::{self, Outcome, Pace, Questions};
use benches::peers::{self, Geography, Home, PEERS};
use benches::query::{Dnssec, Expectation, Shape, Template};
use benches::random::Choice;
use benches::record;
use benches::server::{Server, free_address};
use benches::slices::Slice;
use benches::world;
use geo_data::LocaleTable;

use crate::{Options, Title, peer};

/// Loading a world table takes a second; under valgrind fifty times that.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);
const SEED: u64 = 1;

/// A name server as a command, not yet running.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) target: SocketAddr,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) answers_min: u16,
}

/// The echo first, then the others.
pub(crate) fn contenders(
    options: &Options,
    directory: &Path,
    table: &LocaleTable,
) -> anyhow::Result<Vec<Contender>> {
    let mut all = Vec::new();
    let target = free_address()?;
    all.push(Contender {
        name: "udp-echo",
        target,
        program: options.program("udp-echo")?,
        arguments: vec![target.to_string()],
        answers_min: 0,
    });
    if options.includes("dns-serve") {
        let target = free_address()?;
        all.push(Contender {
            name: "dns-serve",
            target,
            program: options.program("dns-serve")?,
            arguments: vec![target.to_string()],
            answers_min: 1,
        });
    }
    if options.includes("nearside") {
        let documents = directory.join("nearside");
        std::fs::create_dir_all(&documents)?;
        std::fs::write(documents.join("bench.yaml"), world::dns_documents())?;
        all.push(nearside(options, directory, (free_address()?, free_address()?))?);
    }
    let mmdb = directory.join("GeoIP2-City.mmdb");
    peers::write_mmdb(&mmdb, table)?;
    let geography = Geography { table, mmdb: &mmdb };
    for found in PEERS.iter().filter(|found| options.includes(found.name)) {
        let target = free_address()?;
        let home = directory.join(found.name);
        let arguments = (found.write)(Home { directory: &home, listen: target }, &geography)?;
        let program = peer(found.program, found.packages)?;
        all.push(Contender { name: found.name, target, program, arguments, answers_min: 1 });
    }
    Ok(all)
}

/// The whole of Nearside in one process, on the documents in `directory`/nearside.
pub(crate) fn nearside(
    options: &Options,
    directory: &Path,
    (target, admin): (SocketAddr, SocketAddr),
) -> anyhow::Result<Contender> {
    let documents = directory.join("nearside").display().to_string();
    let (dns, admin) = (target.to_string(), admin.to_string());
    let arguments = ["run", &documents, "--dns", &dns, "--dns-workers", "1", "--admin", &admin];
    Ok(Contender {
        name: "nearside",
        target,
        program: options.program("nearside")?,
        arguments: arguments.map(str::to_owned).to_vec(),
        answers_min: 1,
    })
}

/// The questions every name server gets.
pub(crate) fn questions(table: &LocaleTable, answers_min: u16) -> anyhow::Result<Questions> {
    let shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
    let names = world::names();
    let templates = names.iter().map(|name| Template::new(name, shape));
    Ok(Questions {
        templates: templates.collect::<anyhow::Result<_>>()?,
        choice: Choice::new(names.len(), 0.0),
        subnets: world::clients(table, SEED),
        expectation: Expectation { rcode: 0, answers_min },
        right: Vec::new(),
    })
}

pub(crate) fn compare(options: &Options) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let table = world::table();
    let echo_questions = questions(&table, 0)?;
    let real_questions = questions(&table, 1)?;
    let mut servers = Vec::new();
    for contender in contenders(options, scratch.path(), &table)? {
        let mut command = Command::new(&contender.program);
        command.args(&contender.arguments).current_dir(scratch.path());
        servers.push(start(options, &contender, &mut command, scratch.path(), &echo_questions)?);
    }
    let mut servers = servers.into_iter();
    let echo = servers.next().ok_or_else(|| anyhow::anyhow!("no echo"))?;
    let measure = |server: &Server, duration: Duration| {
        let asked = if server.name == "udp-echo" { &echo_questions } else { &real_questions };
        let pace = Pace { duration, ..pace(options) };
        let before = server.account()?;
        let outcome = dns_load::run(server.target, asked, pace)?;
        Ok(slice(&outcome, server.account()?.since(&before)))
    };
    let servers: Vec<_> = servers.collect();
    let notes = servers.iter().map(|server| agreement(server, &real_questions, options));
    let mut notes = notes.collect::<anyhow::Result<Vec<_>>>()?;
    let walk = options.program("dns-instructions")?.display().to_string();
    let lines = record::output(&walk, &[]).unwrap_or_else(|| "dns-instructions failed".to_owned());
    notes.extend(lines.lines().map(|line| format!("packet to answer in process: {line}")));
    let title = Title {
        what: "dns".to_owned(),
        method: format!(
            "{} rounds of {} ms slices, each contender between two slices of the echo; one server \
             thread on core {}, the generator on core {}; A queries, {} names chosen evenly, {} \
             random IPv4 /24 client subnets, {} outstanding, {} sites",
            options.rounds,
            options.slice_ms,
            options.server_core,
            options.load_core,
            world::NAMES,
            real_questions.subnets.len(),
            options.window,
            world::PLACES.len()
        ),
        notes,
    };
    options.run(title, echo, servers, measure)
}

/// Starts a name server and waits until it answers as it should.
pub(crate) fn start(
    options: &Options,
    contender: &Contender,
    command: &mut Command,
    directory: &Path,
    questions: &Questions,
) -> anyhow::Result<Server> {
    let log = directory.join(format!("{}.log", contender.name));
    let cores = (options.cores().server, options.cores().load);
    let mut server = Server::start(contender.name, contender.target, command, cores, log)?;
    let expectation = Expectation { rcode: 0, answers_min: contender.answers_min };
    let one = Questions {
        templates: questions.templates[..1].to_vec(),
        choice: Choice::new(1, 0.0),
        subnets: questions.subnets[..1].to_vec(),
        expectation,
        right: Vec::new(),
    };
    let once = Pace { queries_max: 1, window: 1, ..pace(options) };
    server.wait(PATIENCE, |target| {
        dns_load::run(target, &one, once).is_ok_and(|outcome| outcome.good == 1)
    })?;
    Ok(server)
}

pub(crate) fn pace(options: &Options) -> Pace {
    Pace {
        window: options.window,
        sockets: 1,
        per_second: 0,
        duration: options.slice(),
        queries_max: u64::MAX,
        timeout: Duration::from_millis(500),
        seed: SEED,
    }
}

/// How a server's answers are spread over the sites, so that a reader sees that both steer alike.
fn agreement(server: &Server, asked: &Questions, options: &Options) -> anyhow::Result<String> {
    let pace = Pace { queries_max: 100_000, duration: Duration::from_secs(60), ..pace(options) };
    let outcome = dns_load::run(server.target, asked, pace)?;
    let shares = outcome.addresses.iter().map(|(address, count)| {
        let at = (0..world::PLACES.len()).find(|&at| *address == world::address(at));
        let name = at.map_or("elsewhere", |at| world::PLACES[at].name);
        format!("{name} {:.1} %", 100.0 * share(*count, outcome.good))
    });
    Ok(format!("{} sends clients to: {}", server.name, shares.collect::<Vec<_>>().join(", ")))
}

#[expect(clippy::cast_precision_loss, reason = "a percentage for people")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn slice(outcome: &Outcome, spent: benches::account::Account) -> Slice {
    Slice {
        operations: outcome.good,
        cpu_ns: u64::try_from(spent.run.as_nanos()).unwrap_or(u64::MAX),
        user_ns: u64::try_from(spent.user.as_nanos()).unwrap_or(u64::MAX),
        failed: outcome.lost,
        wrong: outcome.wrong(),
        elapsed_ns: u64::try_from(outcome.elapsed.as_nanos()).unwrap_or(u64::MAX),
    }
}
