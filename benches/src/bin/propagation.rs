//! `propagation`: how long a change of a route at an API server takes to be served, how long a start
//! from disk without the server takes, and what it costs in memory.
#![expect(clippy::print_stdout, reason = "the result of a measurement is what it prints")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use benches::histogram::Histogram;
use benches::server::free_address;
use clap::Parser;
use kubesim::{Options, Sim};
use serde_json::{Value, json};

/// What takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(60);
/// Largest response body that is read.
const BODY_OCTETS_MAX: usize = 1 << 20;

/// Measures route change to first right answer, and starts from disk.
#[derive(Debug, Parser)]
struct Arguments {
    /// The binary
    #[arg(long, default_value = "target/release/nearside")]
    nearside: PathBuf,
    /// HTTPRoutes, one host name each
    #[arg(long, default_value_t = 3_000)]
    routes: usize,
    /// Measured changes
    #[arg(long, default_value_t = 300)]
    changes: usize,
    /// Other routes that change meanwhile, per second
    #[arg(long, default_value_t = 0)]
    churn: u64,
    /// Starts from disk
    #[arg(long, default_value_t = 5)]
    starts: usize,
}

struct World {
    sim: Arc<Sim>,
    directory: tempfile::TempDir,
    http: SocketAddr,
    nearside: PathBuf,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let world = World::prepare(&arguments).await?;
    let process = world.serve()?;
    world.until("h0.bench.test", "v0.bench.test")?;
    let quiet = world.changes(arguments.changes)?;
    show("route change -> first right answer", &quiet);
    if arguments.churn > 0 {
        let stop = Arc::new(AtomicBool::new(false));
        let churn = churn(&world, &arguments, &stop);
        let busy = world.changes(arguments.changes);
        stop.store(true, Ordering::Relaxed);
        let changed = churn.join().unwrap_or_default();
        show(&format!("the same while others change ({changed} did)"), &busy?);
    }
    println!("resident with {} routes: {} KiB", arguments.routes, resident_kib(process.0.id())?);
    world.sim.close().await;
    drop(process);
    let mut starts = Vec::new();
    for _ in 0..arguments.starts {
        let begin = instant();
        let process = world.serve()?;
        world.until("h1.bench.test", "v0.bench.test")?;
        starts.push(begin.elapsed());
        drop(process);
    }
    println!("start from disk to first right answer, without the server: {starts:.1?}");
    Ok(())
}

fn show(what: &str, times: &Histogram) {
    let ms = |per_mille| Duration::from_nanos(times.quantile_ns(per_mille));
    println!("{what}: p50 {:.2?} p99 {:.2?} max {:.2?}", ms(500), ms(990), ms(1_000));
}

impl World {
    async fn prepare(arguments: &Arguments) -> anyhow::Result<Self> {
        let sim = Sim::start(Options { window: 100_000, ..Options::default() }).await?;
        sim.install_gateway_api().map_err(anyhow::Error::msg)?;
        let directory = tempfile::tempdir()?;
        std::fs::write(directory.path().join("kubeconfig"), sim.kubeconfig())?;
        let http = free_address()?;
        let nearside = arguments.nearside.canonicalize().context("there is no such binary")?;
        let world = Self { sim: Arc::new(sim), directory, http, nearside };
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "nearside"},
            "spec": {"controllerName": "nearside.dev/gateway-controller"},
        });
        let gateway = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {"gatewayClassName": "nearside", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
        });
        put(&world.sim, &class)?;
        put(&world.sim, &gateway)?;
        for number in 0..arguments.routes {
            put(&world.sim, &route(number, 0))?;
        }
        Ok(world)
    }

    fn serve(&self) -> anyhow::Result<Process> {
        let at = |name: &str| self.directory.path().join(name);
        let mut command = Command::new(&self.nearside);
        command.args(["lb", "--site", "bench", "--listen"]).arg(self.http.ip().to_string());
        command.arg("--http-port").arg(self.http.port().to_string());
        command.arg("--https-port").arg(free_address()?.port().to_string());
        command.arg("--admin").arg(free_address()?.to_string());
        command.arg("--kubeconfig").arg(at("kubeconfig")).arg("--state-dir").arg(at("state"));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Process(command.spawn().context("cannot start the binary")?))
    }

    /// Asks until a host redirects to another; new connections until somebody listens.
    fn until(&self, host: &str, target: &str) -> anyhow::Result<()> {
        let begin = instant();
        while begin.elapsed() < PATIENCE {
            let asked = Connection::open(self.http).and_then(|mut one| one.location(host));
            if asked.is_ok_and(|location| location.contains(target)) {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        bail!("`{host}` was not redirected to `{target}` in time")
    }

    fn changes(&self, count: usize) -> anyhow::Result<Histogram> {
        let mut times = Histogram::default();
        let mut connection = Connection::open(self.http)?;
        for number in 1..=count {
            let target = format!("v{number}.bench.test");
            let begin = instant();
            put(&self.sim, &route(0, number))?;
            while !connection.location("h0.bench.test")?.contains(&target) {
                if begin.elapsed() > PATIENCE {
                    bail!("change {number} did not arrive");
                }
            }
            times.record(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
            std::thread::sleep(Duration::from_millis(20));
        }
        put(&self.sim, &route(0, 0))?;
        Ok(times)
    }
}

/// Changes other routes at a pace; gives how many.
fn churn(
    world: &World,
    arguments: &Arguments,
    stop: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<u64> {
    let (sim, stop) = (Arc::clone(&world.sim), Arc::clone(stop));
    let (routes, pause) =
        (arguments.routes, Duration::from_secs(1) / u32::try_from(arguments.churn).unwrap_or(1));
    std::thread::spawn(move || {
        let mut changed = 0;
        while !stop.load(Ordering::Relaxed) {
            let number =
                2 + usize::try_from(changed).unwrap_or(0) % routes.saturating_sub(2).max(1);
            let version = usize::try_from(changed).unwrap_or(0);
            changed += u64::from(put(&sim, &route(number, version)).is_ok());
            std::thread::sleep(pause);
        }
        changed
    })
}

fn put(sim: &Sim, object: &Value) -> anyhow::Result<()> {
    sim.put(object).map(drop).map_err(anyhow::Error::msg)
}

/// A route that answers by itself, so that no backend is measured.
fn route(number: usize, version: usize) -> Value {
    let redirect = json!({"hostname": format!("v{version}.bench.test"), "statusCode": 302});
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": format!("r{number}"), "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": "edge"}], "hostnames": [format!("h{number}.bench.test")],
            "rules": [{"filters": [{"type": "RequestRedirect", "requestRedirect": redirect}]}],
        },
    })
}

/// One connection that stays.
struct Connection {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Connection {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self { reader: BufReader::new(stream.try_clone()?), stream })
    }

    /// Where a host redirects to; nothing when it does not.
    fn location(&mut self, host: &str) -> anyhow::Result<String> {
        self.stream.write_all(format!("GET / HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes())?;
        let (mut location, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if self.reader.read_line(&mut line)? == 0 {
                bail!("the connection was closed");
            }
            let line = line.trim_end();
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            match name.to_ascii_lowercase().as_str() {
                "location" => value.trim().clone_into(&mut location),
                "content-length" => length = value.trim().parse()?,
                _ => {}
            }
        }
        if length > BODY_OCTETS_MAX {
            bail!("a body of {length} octets");
        }
        self.reader.read_exact(&mut vec![0; length])?;
        Ok(location)
    }
}

fn resident_kib(pid: u32) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

#[expect(clippy::disallowed_methods, reason = "this measures time")]
fn instant() -> Instant {
    Instant::now()
}
