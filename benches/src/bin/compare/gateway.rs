//! Proxies against nginx.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use benches::http_load::{self, Pace, Request};
use benches::server::{Server, free_address};
use benches::slices::Slice;
use benches::world;

use crate::dns::PATIENCE;
use crate::{Options, Title, peer};

/// A proxy as a command, not yet running.
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) target: SocketAddr,
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// nginx first, then the others; and the logs that access-logging contenders write.
pub(crate) fn contenders(
    options: &Options,
    directory: &Path,
    origin: SocketAddr,
) -> anyhow::Result<Vec<Contender>> {
    let mut all = Vec::new();
    let log = directory.join("nginx-access.log").display().to_string();
    for (name, access_log) in [("nginx", "off"), ("nginx-logging", log.as_str())] {
        if options.includes(name) {
            let target = free_address()?;
            let home = directory.join(name);
            world::write_nginx(&home, target, origin, access_log)?;
            let file = home.join("nginx.conf").display().to_string();
            let home = home.display().to_string();
            let arguments = ["-p", &home, "-c", &file].map(str::to_owned).to_vec();
            all.push(Contender { name, target, program: peer("nginx", "nginx-light")?, arguments });
        }
    }
    if options.includes("bare-pingora") {
        let target = free_address()?;
        let arguments = vec![target.to_string(), origin.to_string()];
        let program = options.program("bare-pingora")?;
        all.push(Contender { name: "bare-pingora", target, program, arguments });
    }
    let documents = directory.join("documents");
    std::fs::create_dir_all(&documents)?;
    std::fs::write(documents.join("bench.yaml"), world::gateway_documents(origin))?;
    let documents = documents.display().to_string();
    let log = directory.join("nearside-access.log").display().to_string();
    for (name, access_log) in [("nearside", "off"), ("nearside-logging", log.as_str())] {
        if options.includes(name) {
            let target = free_address()?;
            let ports = [target.port(), free_address()?.port()].map(|port| port.to_string());
            let [http, https] = &ports;
            let admin = free_address()?.to_string();
            let arguments = [
                "lb",
                "--site",
                "bench",
                &documents,
                "--listen",
                "127.0.0.1",
                "--http-port",
                http,
                "--https-port",
                https,
                "--admin",
                &admin,
                "--access-log",
                access_log,
            ];
            all.push(Contender {
                name,
                target,
                program: options.program("nearside")?,
                arguments: arguments.map(str::to_owned).to_vec(),
            });
        }
    }
    Ok(all)
}

/// Starts the origin, on the generator's core.
pub(crate) fn start_origin(
    options: &Options,
    directory: &Path,
    octets: usize,
) -> anyhow::Result<Server> {
    let target = free_address()?;
    let mut command = Command::new(options.program("http-origin")?);
    command.args([target.to_string(), "--octets".to_owned(), octets.to_string()]);
    let core = options.cores().load;
    let log = directory.join("origin.log");
    let mut origin = Server::start("http-origin", target, &mut command, (core, core), log)?;
    origin.wait(PATIENCE, |target| answers(target, octets))?;
    Ok(origin)
}

/// Starts a proxy and waits until it answers as it should.
pub(crate) fn start(
    options: &Options,
    contender: &Contender,
    command: &mut Command,
    directory: &Path,
    octets: usize,
) -> anyhow::Result<Server> {
    let log = directory.join(format!("{}.log", contender.name));
    let cores = (options.cores().server, options.cores().load);
    let mut server = Server::start(contender.name, contender.target, command, cores, log)?;
    server.wait(PATIENCE, |target| answers(target, octets))?;
    Ok(server)
}

pub(crate) fn request(octets: usize) -> Request {
    Request {
        host: format!("h0.{}", world::ZONE),
        path: "/".to_owned(),
        status: 200,
        body_octets: octets as u64,
    }
}

pub(crate) fn pace(options: &Options) -> Pace {
    Pace {
        connections: options.connections,
        per_second: 0,
        duration: options.slice(),
        requests_max: u64::MAX,
        timeout: Duration::from_secs(5),
    }
}

fn answers(target: SocketAddr, octets: usize) -> bool {
    let once = Pace {
        connections: 1,
        per_second: 0,
        duration: Duration::from_secs(60),
        requests_max: 1,
        timeout: Duration::from_secs(5),
    };
    http_load::run(target, &request(octets), once).is_ok_and(|outcome| outcome.good == 1)
}

pub(crate) fn compare(options: &Options, octets: usize) -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let origin = start_origin(options, scratch.path(), octets)?;
    let mut servers = Vec::new();
    for contender in contenders(options, scratch.path(), origin.target)? {
        let mut command = Command::new(&contender.program);
        command.args(&contender.arguments).current_dir(scratch.path());
        servers.push(start(options, &contender, &mut command, scratch.path(), octets)?);
    }
    anyhow::ensure!(!servers.is_empty(), "every contender is left out");
    let reference = servers.remove(0);
    let measure = |server: &Server, duration: Duration| {
        let pace = Pace { duration, ..pace(options) };
        let before = server.account()?;
        let outcome = http_load::run(server.target, &request(octets), pace)?;
        let spent = server.account()?.since(&before);
        Ok(Slice {
            operations: outcome.good,
            cpu_ns: u64::try_from(spent.run.as_nanos()).unwrap_or(u64::MAX),
            user_ns: u64::try_from(spent.user.as_nanos()).unwrap_or(u64::MAX),
            failed: outcome.failed(),
            wrong: 0,
            elapsed_ns: u64::try_from(outcome.elapsed.as_nanos()).unwrap_or(u64::MAX),
        })
    };
    let title = Title {
        what: format!("gateway-{}k", octets >> 10),
        method: format!(
            "{} rounds of {} ms slices, each contender between two slices of {}; proxies on core \
             {}, generator and origin on core {}; HTTP/1.1 GET of {octets} octets over {} \
             kept-alive connections, closed loop; status and length of every response checked",
            options.rounds,
            options.slice_ms,
            reference.name,
            options.server_core,
            options.load_core,
            options.connections
        ),
        notes: Vec::new(),
    };
    options.run(title, reference, servers, measure)?;
    origin.stop()
}
