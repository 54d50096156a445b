//! Wrong and failed answers while routes, endpoints, certificates and listeners change.
//!
//! Every answer says which version of its route made it and which endpoint gave it, every handshake
//! shows a certificate; each is held against what was right between the request's sending and its
//! answer (`timeline`).

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use benches::figures::Figures;
use benches::histogram::Histogram;
use kubesim::Sim;
use rustls::ClientConfig;
use serde_json::Value;

use crate::bench::{Bench, PATIENCE, clock, ms, record, serve};
use crate::client::{Answer, Client, certificate, tls_config};
use crate::contender::{Contender, Kind, Load};
use crate::objects::{self, Backends};
use crate::timeline::Timeline;

const REQUESTS: u64 = 1_000_000;
/// Routes that change; some hundreds stand beside them.
const HOT: usize = 8;
const COLD: usize = 200;
/// Endpoints, of which two serve at a time.
const ORIGINS: u64 = 4;
const PLAIN_CLIENTS: usize = 10;
const TLS_CLIENTS: usize = 3;
/// Requests on a TLS connection before the next handshake.
const REQUESTS_PER_HANDSHAKE: u64 = 100;
/// After a change has been seen.
const PAUSE: Duration = Duration::from_millis(60);
/// The host whose listener comes and goes.
const TOGGLED: &str = "toggled.bench.test";
const SERVICE: &str = "hot";

pub(crate) fn run(bench: &Bench, requests: Option<u64>) -> anyhow::Result<()> {
    let requests = requests.unwrap_or_else(|| bench.size(REQUESTS, 5_000));
    let method = format!(
        "{PLAIN_CLIENTS} plain and {TLS_CLIENTS} TLS clients in a closed loop on kept-alive connections, a new \
         handshake every {REQUESTS_PER_HANDSHAKE} requests; {HOT} routes, {ORIGINS} endpoints of which two serve, the \
         certificate and a listener change in turns through the API server, the next {} ms after \
         the last was seen in effect; an answer is right when its route's version, its endpoint, its \
         certificate and the listener's being there were so between its sending and its end, where \
         the old counts until the new was seen",
        PAUSE.as_millis()
    );
    let mut figures = record("gateway-truth", &method);
    let load = Load { routes: bench.size(COLD, 10), backends: Backends::Shared };
    let mut contender = Contender::prepare(bench, Kind::NearsideApi, load)?;
    let sim = contender.sim.clone().context("it has an API server")?;
    let world = Arc::new(World::new(bench, &contender, sim)?);
    world.lay_out()?;
    contender.serve(bench)?;
    world.until(|world| world.is_served(0))?;
    let clients = world.start_clients(requests);
    let changed = world.change_until_over();
    world.over.store(true, Ordering::SeqCst);
    for client in clients {
        client.join().map_err(|_| anyhow::anyhow!("a client ended early"))??;
    }
    changed?.add_to(&mut figures);
    world.tally.add_to(&mut figures);
    contender.stop()?;
    bench.finish(&figures)?;
    let Tally { wrong, failed, .. } = &world.tally;
    let [wrong, failed] = [wrong, failed].map(|count| count.load(Ordering::Relaxed));
    ensure!(wrong + failed == 0, "{wrong} answers were wrong, {failed} requests failed");
    Ok(())
}

/// What the clients count.
#[derive(Debug, Default)]
struct Tally {
    begun: AtomicU64,
    good: AtomicU64,
    wrong: AtomicU64,
    failed: AtomicU64,
    handshakes: AtomicU64,
    /// The first of each kind, for whoever has to find out.
    examples: Mutex<Vec<String>>,
}

/// Examples that are kept.
const EXAMPLES_MAX: usize = 8;

impl Tally {
    fn count(&self, judged: Result<(), String>) {
        let Err(why) = judged else {
            self.good.fetch_add(1, Ordering::Relaxed);
            return;
        };
        self.wrong.fetch_add(1, Ordering::Relaxed);
        self.keep(why);
    }

    fn fail(&self, error: &anyhow::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        self.keep(format!("failed: {error:#}"));
    }

    fn keep(&self, why: String) {
        let mut examples = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        if examples.len() < EXAMPLES_MAX {
            examples.push(why);
        }
    }

    fn add_to(&self, figures: &mut Figures) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        figures.add("right", count(&self.good), "answers");
        figures.add("wrong", count(&self.wrong), "answers and certificates");
        figures.add("failed", count(&self.failed), "requests");
        figures.add("handshakes", count(&self.handshakes), "TLS handshakes");
        let examples = self.examples.lock().unwrap_or_else(PoisonError::into_inner);
        figures.notes.extend(examples.iter().cloned());
    }
}

/// What changes, and what is known of it.
struct World {
    sim: Arc<Sim>,
    http: SocketAddr,
    https: SocketAddr,
    config: Arc<ClientConfig>,
    /// By number; `x-endpoint` in their answers.
    origins: Vec<SocketAddr>,
    routes: [Timeline; HOT],
    endpoints: Timeline,
    listener: Timeline,
    certificate: Timeline,
    /// By version.
    certificates: Mutex<Vec<Vec<u8>>>,
    tally: Tally,
    over: AtomicBool,
}

/// The two that serve in a version.
fn serving(version: u64) -> [u64; 2] {
    [version % ORIGINS, (version + 1) % ORIGINS]
}

/// Whether the listener is there in a version.
fn is_open(version: u64) -> bool {
    version.is_multiple_of(2)
}

fn hot(number: usize) -> String {
    format!("hot{number}.bench.test")
}

impl World {
    fn new(bench: &Bench, contender: &Contender, sim: Arc<Sim>) -> anyhow::Result<Self> {
        Ok(Self {
            sim,
            http: contender.http,
            https: contender.https,
            config: tls_config()?,
            origins: origins()?,
            routes: Default::default(),
            endpoints: Timeline::default(),
            listener: Timeline::default(),
            certificate: Timeline::default(),
            certificates: Mutex::new(vec![bench.certificate.der.clone()]),
            tally: Tally::default(),
            over: AtomicBool::new(false),
        })
    }

    fn put(&self, object: &Value) -> anyhow::Result<()> {
        self.sim.put(object).map(drop).map_err(anyhow::Error::msg)
    }

    fn put_route(&self, number: usize, version: u64) -> anyhow::Result<()> {
        self.put(&objects::route(&format!("hot{number}"), &hot(number), SERVICE, Some(version)))
    }

    fn put_endpoints(&self, version: u64) -> anyhow::Result<()> {
        let serving = serving(version).map(|at| self.origins[usize::try_from(at).unwrap_or(0)]);
        objects::service(SERVICE, &serving).iter().try_for_each(|object| self.put(object))
    }

    fn put_listener(&self, version: u64) -> anyhow::Result<()> {
        let more: &[&str] = if is_open(version) { &[TOGGLED] } else { &[] };
        self.put(&objects::gateway(more))
    }

    fn put_certificate(&self, version: u64) -> anyhow::Result<()> {
        let made = certificate("*.bench.test")?;
        let mut all = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        ensure!(all.len() as u64 == version, "certificates are numbered as they come");
        all.push(made.der.clone());
        drop(all);
        self.put(&objects::secret(&made))
    }

    /// Version 0 of everything.
    fn lay_out(&self) -> anyhow::Result<()> {
        for number in 0..HOT {
            self.put_route(number, 0)?;
        }
        let mut route = objects::route("toggled", TOGGLED, SERVICE, Some(0));
        route["spec"]["parentRefs"][0]["sectionName"] = "toggled".into();
        self.put(&route)?;
        self.put_listener(0)?;
        self.put_endpoints(0)
    }

    /// Asks again and again until it is so.
    fn until(
        &self,
        mut holds: impl FnMut(&Self) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Duration> {
        let started = clock();
        while !holds(self).unwrap_or(false) {
            ensure!(started.elapsed() < PATIENCE, "a change was never seen in effect");
        }
        Ok(started.elapsed())
    }

    fn is_served(&self, number: usize) -> anyhow::Result<bool> {
        Ok(Client::plain(self.http)?.get(&hot(number))?.status == 200)
    }

    fn start_clients(
        self: &Arc<Self>,
        requests: u64,
    ) -> Vec<std::thread::JoinHandle<anyhow::Result<()>>> {
        let client = |number: usize| {
            let world = Arc::clone(self);
            std::thread::spawn(move || {
                let over = if number < TLS_CLIENTS { Over::Tls } else { Over::Plain };
                while !world.over.load(Ordering::SeqCst) {
                    if let Err(error) = world.converse(over, number, requests) {
                        world.tally.fail(&error);
                    }
                }
                Ok(())
            })
        };
        (0..TLS_CLIENTS + PLAIN_CLIENTS).map(client).collect()
    }

    /// One connection; ends when enough has been asked for.
    fn converse(&self, over: Over, offset: usize, requests: u64) -> anyhow::Result<()> {
        let (mut client, most) = match over {
            Over::Plain => (Client::plain(self.http)?, u64::MAX),
            Over::Tls => (self.handshake()?, REQUESTS_PER_HANDSHAKE),
        };
        for at in 0..most {
            if self.tally.begun.fetch_add(1, Ordering::Relaxed) >= requests {
                self.over.store(true, Ordering::SeqCst);
            }
            if self.over.load(Ordering::SeqCst) {
                break;
            }
            let number = usize::try_from(at).unwrap_or(0).wrapping_add(offset) % (HOT + 1);
            match over {
                // The toggled listener is a plain one.
                Over::Plain if number == HOT => self.ask_toggled(&mut client)?,
                _ => self.ask_hot(&mut client, number % HOT)?,
            }
        }
        Ok(())
    }

    fn handshake(&self) -> anyhow::Result<Client> {
        let since = self.certificate.begin();
        let client = Client::tls(self.https, &hot(0), &self.config)?;
        let right = self.certificate.right(since);
        self.tally.handshakes.fetch_add(1, Ordering::Relaxed);
        let all = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let shown = all.iter().position(|der| client.certificate() == Some(der));
        if !shown.is_some_and(|version| right.contains(&(version as u64))) {
            self.tally.count(Err(format!("certificate {shown:?}, right are {right:?}")));
        }
        drop(all);
        Ok(client)
    }

    fn ask_hot(&self, client: &mut Client, number: usize) -> anyhow::Result<()> {
        let (route, endpoints) = (self.routes[number].begin(), self.endpoints.begin());
        let answer = client.get(&hot(number))?;
        let (route, endpoints) =
            (self.routes[number].right(route), self.endpoints.right(endpoints));
        let judged = (|| {
            let version = version(&answer)?;
            let endpoint = answer.number("x-endpoint").ok_or("no endpoint")?;
            if !route.contains(&version) {
                return Err(format!("route {number}: version {version}, right are {route:?}"));
            }
            if !endpoints.clone().any(|version| serving(version).contains(&endpoint)) {
                return Err(format!("endpoint {endpoint}, right are versions {endpoints:?}"));
            }
            Ok(())
        })();
        self.tally.count(judged);
        Ok(())
    }

    fn ask_toggled(&self, client: &mut Client) -> anyhow::Result<()> {
        let since = self.listener.begin();
        let answer = client.get(TOGGLED)?;
        let mut right = self.listener.right(since);
        let expected = match answer.status {
            200 => right.any(is_open),
            404 => right.any(|version| !is_open(version)),
            _ => false,
        };
        let told = || format!("listener: status {}, right are {right:?}", answer.status);
        self.tally.count(if expected { Ok(()) } else { Err(told()) });
        Ok(())
    }

    /// Changes one thing after the other until the clients have asked enough.
    fn change_until_over(&self) -> anyhow::Result<Changed> {
        let mut changed = Changed::default();
        let mut turn = 0;
        while !self.over.load(Ordering::SeqCst) {
            let what = WHATS[turn % WHATS.len()];
            let took = match what {
                What::Route => self.change_route(turn / 2 % HOT)?,
                What::Endpoints => self.change_endpoints()?,
                What::Certificate => self.change_certificate()?,
                What::Listener => self.change_listener()?,
            };
            changed.note(what, took);
            turn += 1;
            std::thread::sleep(PAUSE);
        }
        Ok(changed)
    }

    fn change_route(&self, number: usize) -> anyhow::Result<Duration> {
        let version = self.routes[number].send();
        self.put_route(number, version)?;
        let mut client = Client::plain(self.http)?;
        let took =
            self.until(|_| Ok(client.get(&hot(number))?.number("x-version") == Some(version)))?;
        self.routes[number].settle();
        Ok(took)
    }

    fn change_endpoints(&self) -> anyhow::Result<Duration> {
        let version = self.endpoints.send();
        self.put_endpoints(version)?;
        let [_, new] = serving(version);
        let mut client = Client::plain(self.http)?;
        let took = self.until(|_| Ok(client.get(&hot(0))?.number("x-endpoint") == Some(new)))?;
        self.endpoints.settle();
        Ok(took)
    }

    fn change_certificate(&self) -> anyhow::Result<Duration> {
        let version = self.certificate.send();
        self.put_certificate(version)?;
        let all = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        let new = all.last().cloned();
        drop(all);
        let took = self.until(|world| {
            let client = Client::tls(world.https, &hot(0), &world.config)?;
            Ok(client.certificate() == new.as_deref())
        })?;
        self.certificate.settle();
        Ok(took)
    }

    fn change_listener(&self) -> anyhow::Result<Duration> {
        let version = self.listener.send();
        self.put_listener(version)?;
        let status = if is_open(version) { 200 } else { 404 };
        let mut client = Client::plain(self.http)?;
        let took = self.until(|_| Ok(client.get(TOGGLED)?.status == status))?;
        self.listener.settle();
        Ok(took)
    }
}

fn version(answer: &Answer) -> Result<u64, String> {
    match (answer.status, answer.number("x-version")) {
        (200, Some(version)) => Ok(version),
        (status, version) => Err(format!("status {status}, version {version:?}")),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Plain,
    Tls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Route,
    Endpoints,
    Certificate,
    Listener,
}

/// In turns; routes change most, as they do.
const WHATS: [What; 6] =
    [What::Route, What::Endpoints, What::Route, What::Certificate, What::Route, What::Listener];

/// How long changes took from their sending until they were seen.
#[derive(Debug, Default)]
struct Changed {
    times: [(u64, Histogram); 4],
}

impl Changed {
    fn note(&mut self, what: What, took: Duration) {
        let (count, times) = &mut self.times[what as usize];
        *count += 1;
        times.record(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
    }

    fn add_to(&self, figures: &mut Figures) {
        let names = ["routes", "endpoints", "certificates", "listeners"];
        for (name, (count, times)) in names.iter().zip(&self.times) {
            figures.add(&format!("{name}-changed"), *count, "changes");
            let quantile = |permille| ms(Duration::from_nanos(times.quantile_ns(permille)));
            figures.add(&format!("{name}-p50"), quantile(500), "ms until seen");
            figures.add(&format!("{name}-p99"), quantile(990), "ms until seen");
        }
    }
}

/// Origins at addresses of their own with one port, as endpoints of a Service have.
fn origins() -> anyhow::Result<Vec<SocketAddr>> {
    let ip = |at: u64| Ipv4Addr::new(127, 0, 77, u8::try_from(at + 1).unwrap_or(1));
    for _ in 0..100 {
        let first = TcpListener::bind((ip(0), 0))?;
        let port = first.local_addr()?.port();
        let rest = (1..ORIGINS).map(|at| TcpListener::bind((ip(at), port)));
        let Ok(rest) = rest.collect::<Result<Vec<_>, _>>() else { continue };
        let all = std::iter::once(first).chain(rest).enumerate();
        return all.map(|(at, one)| serve(one, &[format!("x-endpoint: {at}")])).collect();
    }
    anyhow::bail!("no port is free at all of the origins' addresses")
}
