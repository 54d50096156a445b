//! The server: sockets, threads, and the view that they all read.
//!
//! A thread of its own watches the snapshot cell, compiles a new view when the snapshot is another
//! one, and swaps it in; a snapshot that cannot be compiled leaves the view before it in use.

use std::hash::RandomState;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use socket2::{Domain, Protocol, Socket, Type};
use steering::{Snapshot, SnapshotCell};
use tokio::sync::watch;

use crate::alias::{self, Learned, Note, Table};
use crate::cookie::{CookieSecrets, SecretsError};
use crate::cpu::{self, Spread, Workers};
use crate::stats::{Counters, Stats};
use crate::tcp::{self, Connections, TcpLimits};
use crate::udp;
use crate::view::{Settings, View, ViewError};

/// How often the snapshot cell is looked at: a change is served well within a tenth of a second.
const SNAPSHOT_CHECK_INTERVAL: Duration = Duration::from_millis(20);
/// How long connections may take to end when the server stops.
const STOP_GRACE: Duration = Duration::from_secs(2);
/// Connections waiting to be accepted.
const TCP_BACKLOG: i32 = 1024;
/// Tries to find a port that is free for UDP and TCP alike, when the system chooses.
const PORT_TRIES_MAX: usize = 16;

/// How to serve.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Addresses for UDP and TCP. Port 0 lets the system choose, the same for both.
    pub listen: Vec<SocketAddr>,
    /// UDP workers per address; `None` means one per core.
    pub workers: Option<usize>,
    /// How datagrams are spread over them.
    pub spread: Spread,
    /// What answers depend on.
    pub settings: Settings,
    /// What TCP clients may take.
    pub tcp: TcpLimits,
    /// Recursive resolvers that aliases are resolved by, first to last. None: aliases never are, and
    /// their names fail.
    pub resolvers: Vec<SocketAddr>,
}

/// Why the server could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is nothing to listen on.
    #[error("no address to listen on")]
    NoAddress,
    /// Somebody else has the port.
    #[error("`{address}` is in use; help: stop what listens there, or choose another port")]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The system does not let us have the port.
    #[error(
        "no permission to listen on `{address}`; help: use a port above 1023, or grant \
         CAP_NET_BIND_SERVICE"
    )]
    NotAllowed {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on `{address}`")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The first snapshot cannot be served.
    #[error("cannot serve the first snapshot")]
    View(#[from] ViewError),
    /// There is no secret for cookies.
    #[error("cannot draw a secret for cookies")]
    Secrets(#[from] SecretsError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    /// The caller runs outside a tokio runtime.
    #[error("the server must be started inside a tokio runtime")]
    NoRuntime,
}

impl StartError {
    /// What is wrong with an address, from what the system says.
    pub(crate) fn listen(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse { address },
            io::ErrorKind::PermissionDenied => Self::NotAllowed { address },
            _ => Self::Listen { address, source },
        }
    }
}

/// What every thread and task of a server reads.
#[derive(Debug)]
pub(crate) struct Shared {
    view: ArcSwap<View>,
    /// What the resolver of aliases learned; views are made of it by the thread that makes views.
    aliases: ArcSwap<Table>,
    stopping: AtomicBool,
    receive_errors: AtomicU64,
    views: AtomicU64,
    views_refused: AtomicU64,
    pub(crate) tcp_refused: AtomicU64,
    pub(crate) tcp_cut: AtomicU64,
}

impl Shared {
    /// The view in use.
    pub(crate) fn view(&self) -> Guard<Arc<View>> {
        self.view.load()
    }

    /// Whether the server is stopping.
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Hands out what aliases resolve to by now.
    pub(crate) fn set_aliases(&self, table: Table) {
        self.aliases.store(Arc::new(table));
    }

    pub(crate) fn count_receive_error(&self) {
        self.receive_errors.fetch_add(1, Ordering::Relaxed);
    }
}

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    udp_counters: Vec<Arc<Counters>>,
    tcp_counters: Arc<Counters>,
    connections: Arc<Connections>,
    threads: Vec<JoinHandle<()>>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Binds every address, compiles the cell's snapshot and starts to serve. Must be called inside
    /// a tokio runtime, which carries TCP.
    ///
    /// # Errors
    /// Names the address that cannot be had, or what is wrong with the snapshot.
    pub fn start(config: Config, cell: Arc<SnapshotCell>) -> Result<Self, StartError> {
        let Config { listen, workers, spread, mut settings, tcp, resolvers } = config;
        if listen.is_empty() {
            return Err(StartError::NoAddress);
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let workers = plan_workers(workers, spread);
        let sockets: Vec<Sockets> = listen
            .into_iter()
            .map(|address| Sockets::bind(address, &workers))
            .collect::<Result<_, _>>()?;
        if settings.cookie_secrets.is_none() {
            settings.cookie_secrets = Some(CookieSecrets::random()?);
        }
        settings.tcp_idle = tcp.idle;
        let snapshot = cell.load();
        let view = View::build(&snapshot, settings, &RandomState::new())?;
        let mut server = Self::of_view(view);
        if let Some(sockets) = sockets.first() {
            warn_of_small_buffers(&sockets.udp);
        }
        for Sockets { address, udp, tcp: listener } in sockets {
            server.addresses.push(address);
            let mut cpus = workers.cpus.iter().flatten().copied();
            for socket in udp {
                server.start_worker(socket, cpus.next())?;
            }
            let listener = listener
                .set_nonblocking(true)
                .and_then(|()| {
                    let _inside = runtime.enter();
                    tokio::net::TcpListener::from_std(listener)
                })
                .map_err(|source| StartError::Listen { address, source })?;
            let service = tcp::Service {
                shared: Arc::clone(&server.shared),
                counters: Arc::clone(&server.tcp_counters),
                connections: Arc::clone(&server.connections),
                limits: tcp,
            };
            let stop = server.stop.subscribe();
            server.listeners.push(runtime.spawn(tcp::listen(listener, service, stop)));
        }
        let notes = server.start_resolver(resolvers, &runtime);
        server.start_watcher((cell, snapshot), notes)?;
        Ok(server)
    }

    fn of_view(view: View) -> Self {
        Self {
            addresses: Vec::new(),
            shared: Arc::new(Shared {
                view: ArcSwap::from_pointee(view),
                aliases: ArcSwap::default(),
                stopping: AtomicBool::new(false),
                receive_errors: AtomicU64::new(0),
                views: AtomicU64::new(1),
                views_refused: AtomicU64::new(0),
                tcp_refused: AtomicU64::new(0),
                tcp_cut: AtomicU64::new(0),
            }),
            udp_counters: Vec::new(),
            tcp_counters: Arc::default(),
            connections: Arc::default(),
            threads: Vec::new(),
            listeners: Vec::new(),
            stop: watch::Sender::new(false),
        }
    }

    fn start_worker(&mut self, socket: UdpSocket, cpu: Option<usize>) -> Result<(), StartError> {
        let counters = Arc::new(Counters::default());
        self.udp_counters.push(Arc::clone(&counters));
        let shared = Arc::clone(&self.shared);
        self.start_thread("dns-udp", move || {
            if let Some(cpu) = cpu
                && let Err(error) = cpu::bind_to(cpu)
            {
                tracing::warn!(cpu, %error, "a DNS worker cannot be bound to its CPU");
            }
            udp::serve(&socket, &shared, &counters);
        })
    }

    /// Starts to resolve aliases where there is somebody to ask. Gives where to note what is missing.
    fn start_resolver(
        &mut self,
        resolvers: Vec<SocketAddr>,
        runtime: &tokio::runtime::Handle,
    ) -> Option<SyncSender<Note>> {
        if resolvers.is_empty() {
            return None;
        }
        let (sender, notes) = alias::notes();
        let (shared, stop) = (Arc::clone(&self.shared), self.stop.subscribe());
        let task = alias::resolver::run(resolvers.into(), notes, shared, stop);
        self.listeners.push(runtime.spawn(task));
        Some(sender)
    }

    fn start_watcher(
        &mut self,
        (cell, first): (Arc<SnapshotCell>, Arc<Snapshot>),
        notes: Option<SyncSender<Note>>,
    ) -> Result<(), StartError> {
        let shared = Arc::clone(&self.shared);
        self.start_thread("dns-view", move || watch_snapshots(&cell, first, &shared, notes))
    }

    fn start_thread(
        &mut self,
        name: &str,
        work: impl FnOnce() + Send + 'static,
    ) -> Result<(), StartError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
        self.threads.push(thread.map_err(StartError::Thread)?);
        Ok(())
    }

    /// The addresses served, ports filled in, in the order of [`Config::listen`].
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The view in use.
    pub fn view(&self) -> Arc<View> {
        self.shared.view.load_full()
    }

    /// Totals since the start.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let mut stats = Stats {
            tcp_open: self.connections.count() as u64,
            tcp_refused: read(&self.shared.tcp_refused),
            tcp_cut: read(&self.shared.tcp_cut),
            receive_errors: read(&self.shared.receive_errors),
            views: read(&self.shared.views),
            views_refused: read(&self.shared.views_refused),
            ..Stats::default()
        };
        for counters in &self.udp_counters {
            counters.sum_into(&mut stats.udp);
        }
        self.tcp_counters.sum_into(&mut stats.tcp);
        stats
    }

    /// Stops: answers what has already arrived, lets connections end their queries, waits for both.
    pub async fn shutdown(mut self) {
        self.begin_stop();
        for mut listener in std::mem::take(&mut self.listeners) {
            if tokio::time::timeout(STOP_GRACE, &mut listener).await.is_err() {
                listener.abort();
            }
        }
        let threads = std::mem::take(&mut self.threads);
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().filter_map(|thread| thread.join().err()).count()
        });
        if joined.await.is_ok_and(|panicked| panicked > 0) {
            tracing::error!("a DNS thread had panicked");
        }
    }

    fn begin_stop(&self) {
        self.shared.stopping.store(true, Ordering::Relaxed);
        self.stop.send_replace(true);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.begin_stop();
    }
}

/// One address's sockets.
#[derive(Debug)]
struct Sockets {
    address: SocketAddr,
    udp: Vec<UdpSocket>,
    tcp: TcpListener,
}

impl Sockets {
    fn bind(address: SocketAddr, workers: &Workers) -> Result<Self, StartError> {
        let failed = |source| StartError::listen(address, source);
        let mut tries = 0;
        loop {
            tries += 1;
            let udp = udp::bind(address, workers).map_err(failed)?;
            let bound = match udp.first() {
                Some(socket) => socket.local_addr().map_err(failed)?,
                None => address,
            };
            match bind_tcp(bound) {
                Ok(tcp) => return Ok(Self { address: bound, udp, tcp }),
                // The port that the system chose for UDP may be taken for TCP: choose again.
                Err(_) if address.port() == 0 && tries < PORT_TRIES_MAX => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }
}

pub(crate) fn bind_tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for old connections to time out; a listener elsewhere is still found.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(TCP_BACKLOG)?;
    Ok(socket.into())
}

fn plan_workers(asked: Option<usize>, spread: Spread) -> Workers {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cpus = cpu::allowed();
    let workers = Workers::plan(asked, spread, (&cpus, cores));
    if spread == Spread::Cpu && workers.cpus.is_none() {
        tracing::warn!(
            workers = workers.count,
            cpus = cpus.len(),
            "queries are spread by hash and not by CPU: that needs one worker for each of the CPUs, \
             which must be in a row"
        );
    }
    workers
}

/// Views that were replaced and may still be in use by a batch.
///
/// Whoever lets go of a view last drops it: megabytes of maps and a million names are not dropped by
/// a worker between two answers, but here.
#[derive(Debug, Default)]
struct Retired {
    views: Vec<Arc<View>>,
}

impl Retired {
    fn drop_unused(&mut self) {
        self.views.retain(|view| Arc::strong_count(view) > 1);
    }
}

fn warn_of_small_buffers(sockets: &[UdpSocket]) {
    if let Some((wanted, given)) = sockets.first().and_then(udp::receive_buffer_shortfall) {
        tracing::warn!(
            wanted,
            given,
            "the system caps the receive buffer of UDP sockets: bursts of queries may be lost; \
             help: raise net.core.rmem_max"
        );
    }
}

/// The one thread that makes views and puts them in: of new snapshots, and of what aliases resolve to.
fn watch_snapshots(
    cell: &SnapshotCell,
    first: Arc<Snapshot>,
    shared: &Shared,
    notes: Option<SyncSender<Note>>,
) {
    cpu::yield_to_answers();
    let mut seen = first;
    // Not what is there by now: the first view was made without it.
    let mut learned = Learned { table: Arc::default(), notes };
    let mut retired = Retired::default();
    let put = |view: View, retired: &mut Retired| {
        retired.views.push(shared.view.swap(Arc::new(view)));
    };
    while !shared.is_stopping() {
        std::thread::sleep(SNAPSHOT_CHECK_INTERVAL);
        retired.drop_unused();
        let table = shared.aliases.load_full();
        if !Arc::ptr_eq(&table, &learned.table) {
            learned.table = table;
            put(shared.view.load().with_learned(learned.clone()), &mut retired);
        }
        let snapshot = cell.load();
        if Arc::ptr_eq(&snapshot, &seen) {
            continue;
        }
        let next = shared.view.load().next(&snapshot);
        match next {
            Ok(view) => {
                put(view, &mut retired);
                shared.views.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(
                    policy = snapshot.policy_generation.counter,
                    map = snapshot.map_generation.counter,
                    health = snapshot.health_generation.counter,
                    "DNS serves a new snapshot"
                );
            }
            Err(error) => {
                shared.views_refused.fetch_add(1, Ordering::Relaxed);
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the snapshot cannot be served, the one before stays"
                );
            }
        }
        seen = snapshot;
    }
}
