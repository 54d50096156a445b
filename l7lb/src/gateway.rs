//! A site's gateway: started, reloaded, asked for its report, drained.
//!
//! Nothing here is global, so several gateways live in one process. Invariant: the view is compiled
//! before the first connection is accepted.

mod config;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use arc_swap::ArcSwap;
use ipnet::IpNet;
use model::gateway::GatewayObjects;
use model::name::{ObjectRef, SiteName};
use model::observe::{BackendReport, SiteReport};
use pingora_core::apps::{HttpServerApp, HttpServerOptions};
use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::timeout;

pub use self::config::{Config, ExposeSite, Limits, StartError};
use crate::accept::Door;
use crate::access_log::LogSink;
use crate::attach::{Addressing, Attached, Ground};
use crate::check::{self, CheckTimes};
use crate::client_io::Room;
use crate::clock::{self, Clock};
use crate::crowd::Crowd;
use crate::drain::Drain;
use crate::inherited::Inherited;
use crate::insight::Insight;
use crate::kept::Kept;
use crate::ledger::Ledger;
use crate::listen::{self, Patience, Sockets};
use crate::meter::RouteMeters;
use crate::proxy::{KEEPALIVE_S, OriginLimits, Proxy, Shared};
use crate::random;
use crate::retry::{Budget, RETRIES_MAX};
use crate::socket::{Place, PlaceState};
use crate::status::{Statuses, with_sockets};
use crate::ticket::TicketSecrets;
use crate::topology::Locality;
use crate::view::{GatewayView, Warning};

/// Idle connections to origins kept by one gateway.
const ORIGIN_POOL_MAX: usize = 1024;
/// Requests of one HTTP/2 connection at a time (nginx: 128, Envoy's advice for the open: 100).
const H2_STREAMS_MAX: u32 = 128;

/// A running gateway. Dropped without [`Gateway::shutdown`] it stops at once.
pub struct Gateway {
    site: SiteName,
    view: Arc<ArcSwap<GatewayView>>,
    ledger: Arc<Ledger>,
    clock: Clock,
    proxy: Arc<HttpProxy<Proxy>>,
    crowd: Arc<Crowd>,
    grace: Duration,
    sockets: Arc<Sockets>,
    draining: bool,
    rounds: watch::Receiver<u64>,
    tasks: Vec<AbortHandle>,
    log: Option<JoinHandle<()>>,
    http: Vec<SocketAddr>,
    https: Vec<SocketAddr>,
    boot_id: u64,
    sequence: AtomicU64,
    loaded: AtomicBool,
    /// What the last reload could not use.
    told: Mutex<HashSet<Warning>>,
    route_series_max: usize,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("site", &self.site).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Compiles the documents, binds the sockets and starts to serve, on the caller's tokio
    /// runtime.
    pub fn start(config: Config, objects: &GatewayObjects) -> Result<Self, StartError> {
        let Config { site, limits, trusted_proxies: trusted, .. } = config;
        let mut inherited = config.inherited;
        let http_sockets = bind_all(&config.http, &mut inherited)?;
        let https_sockets = bind_all(&config.https, &mut inherited)?;
        let open = (http_sockets.as_slice(), https_sockets.as_slice());
        let given = (config.addressing, config.assigned);
        let view = empty_view(given, open, config.locality);
        let site_header = match config.expose_site {
            ExposeSite::Yes => http::HeaderValue::from_str(site.as_str()).ok(),
            ExposeSite::No => None,
        };
        let (sink, log) = LogSink::start(config.access_log).map_err(StartError::AccessLog)?;
        let ledger = Arc::new(Ledger::new(site.clone(), sink));
        let clock = Clock::start();
        let shared = Arc::new(Shared {
            view: Arc::clone(&view),
            ledger: Arc::clone(&ledger),
            budget: Budget::new(clock.now()),
            clock,
            trusted,
            site_header,
            origin: OriginLimits {
                connect: Duration::from_millis(limits.connect_timeout_ms),
                read: Duration::from_millis(limits.origin_read_timeout_ms),
            },
            pace: limits.io().pace,
            errands: Arc::default(),
        });
        let (rounds_sender, rounds) = watch::channel(0);
        let tickets = secrets(config.ticket_secrets, &shared.view)?;
        let door = door(shared, limits, (tickets, config.proxy_protocol_from));
        let grace = Duration::from_millis(limits.drain_grace_ms);
        let patience = Patience { grace, deadline: Duration::from_millis(limits.closed_socket_ms) };
        let mut gateway = Self {
            site,
            view: Arc::clone(&view),
            ledger,
            clock,
            proxy: Arc::clone(&door.proxy),
            crowd: Arc::clone(&door.crowd),
            grace,
            sockets: Arc::new(Sockets::new(door, patience, inherited)),
            draining: false,
            rounds,
            tasks: Vec::new(),
            log,
            http: addresses(&http_sockets),
            https: addresses(&https_sockets),
            boot_id: random::seed(),
            sequence: AtomicU64::new(0),
            loaded: AtomicBool::new(false),
            told: Mutex::default(),
            route_series_max: config.route_series_max,
        };
        gateway.reload(objects);
        let every = Duration::from_millis(config.health_interval_ms.max(1));
        let times = CheckTimes { every, within: every };
        let looked_at = (view, Arc::clone(&gateway.ledger));
        let checks = tokio::spawn(check::run(looked_at, times, rounds_sender));
        gateway.tasks.push(checks.abort_handle());
        let sockets = &gateway.sockets;
        gateway.tasks.push(tokio::spawn(Arc::clone(sockets).retry()).abort_handle());
        sockets.share(Place::SharedHttp, http_sockets);
        sockets.share(Place::SharedHttps, https_sockets);
        Ok(gateway)
    }

    /// Compiles new documents and swaps them in; requests under way keep the view they began with.
    /// What could not be used is left out and returned (and logged).
    pub fn reload(&self, objects: &GatewayObjects) -> Vec<Warning> {
        let begun = clock::instant();
        let before = self.view.load_full();
        // A directory is read anew with every edit of it.
        let objects = objects.for_site(&self.site).sharing(&before.attached.objects);
        let (mut next, warnings) = GatewayView::compile(&objects, &before);
        if self.route_series_max > 0 {
            let ids = next.routes.ids();
            next.meters = RouteMeters::follow(ids, self.route_series_max, &before.meters);
        }
        self.log(&warnings);
        let next = Arc::new(next);
        self.view.store(Arc::clone(&next));
        self.sockets.follow(&next);
        self.loaded.store(true, Ordering::Release);
        self.ledger.reloaded(begun.elapsed(), warnings.len());
        warnings
    }

    /// Logs what the reload before did not say already: with an API server there are many of them.
    fn log(&self, warnings: &[Warning]) {
        // What a panic left behind is a set like any other.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for one in warnings.iter().filter(|one| !told.contains(*one)) {
            let Warning { origin, text } = one;
            tracing::warn!(site = %self.site, %origin, "{text}");
        }
        *told = warnings.iter().cloned().collect();
    }

    /// The addresses that Gateways have.
    #[must_use]
    pub fn assigned(&self) -> BTreeMap<ObjectRef, Vec<IpAddr>> {
        self.view.load().attached.assigned.clone()
    }

    /// What is to be said in the status of each document that is loaded now, sockets that cannot be
    /// opened included.
    #[must_use]
    pub fn statuses(&self) -> Statuses {
        with_sockets(self.view.load().statuses.clone(), &self.sockets.states())
    }

    /// Told whenever a socket that documents ask for was opened, or could not be.
    #[must_use]
    pub fn places_changed(&self) -> watch::Receiver<()> {
        self.sockets.changed()
    }

    /// A handle for looking into it.
    #[must_use]
    pub fn insight(&self) -> Insight {
        let (ledger, view) = (Arc::clone(&self.ledger), Arc::clone(&self.view));
        Insight { ledger, view, clock: self.clock, sockets: Arc::downgrade(&self.sockets) }
    }

    /// Whether documents are loaded and their endpoints have been checked once.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.loaded.load(Ordering::Acquire) && *self.rounds.borrow() > 0 && !self.draining
    }

    /// Waits for one more round of endpoint checks.
    pub async fn checked(&self) {
        let mut rounds = self.rounds.clone();
        rounds.mark_unchanged();
        // The sender lives as long as the gateway.
        let _ = rounds.changed().await;
    }

    /// The plain sockets as bound.
    #[must_use]
    pub fn http_addresses(&self) -> &[SocketAddr] {
        &self.http
    }

    /// The TLS sockets as bound.
    #[must_use]
    pub fn https_addresses(&self) -> &[SocketAddr] {
        &self.https
    }

    /// How the sockets are doing that documents ask for, beside the operator's own.
    #[must_use]
    pub fn places(&self) -> BTreeMap<Place, PlaceState> {
        self.sockets.states()
    }

    /// All open sockets once more, for the process that comes after this one. Connections that
    /// clients begin from now on are accepted by whoever is first.
    ///
    /// # Errors
    /// When there are no descriptors left.
    pub fn duplicate_sockets(&self) -> io::Result<Vec<OwnedFd>> {
        self.sockets.duplicates()
    }

    /// Open client connections.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.crowd.open()
    }

    /// Request heads refused since boot.
    #[must_use]
    pub fn refused_total(&self) -> u64 {
        self.ledger.refused_total()
    }

    /// Access log lines dropped since boot because the writer was too slow.
    #[must_use]
    pub fn log_lines_dropped(&self) -> u64 {
        self.ledger.log_lines_dropped()
    }

    /// What the site sees, as totals since boot.
    #[must_use]
    pub fn report(&self) -> SiteReport {
        let view = self.view.load();
        let now = self.clock.now();
        let backends = view.clusters.ports().map(|cluster| {
            let ready = cluster.endpoints.iter().filter(|one| one.is_healthy(now)).count();
            BackendReport {
                backend: cluster.backend.clone(),
                ready: u32::try_from(ready).unwrap_or(u32::MAX),
                total: cluster.total,
            }
        });
        SiteReport {
            site: self.site.clone(),
            boot_id: self.boot_id,
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed) + 1,
            backends: backends.collect(),
            load: self.ledger.load(),
            rtt: self.ledger.rtt.cells(),
        }
    }

    /// Drains: stops accepting, answers what is under way or already sent (HTTP/1 with
    /// `connection: close`, HTTP/2 with GOAWAY), closes idle connections after the grace, and cuts
    /// what is left, WebSockets among it, when the deadline has passed. Returns how many
    /// connections were cut.
    pub async fn shutdown(mut self, deadline: Duration) -> usize {
        self.draining = true;
        self.sockets.drain(Drain::begin);
        let drained = async {
            if timeout(self.grace, self.crowd.empty()).await.is_err() {
                self.sockets.drain(Drain::cut_idle);
                self.proxy.http_cleanup().await;
                self.crowd.empty().await;
            }
        };
        let cut = match timeout(deadline, drained).await {
            Ok(()) => 0,
            Err(_) => self.crowd.open(),
        };
        self.sockets.drain(Drain::cut_idle);
        self.sockets.drain(Drain::cut);
        self.crowd.empty().await;
        let log = self.log.take();
        // The log's queue closes with its last sender, which the tasks hold.
        drop(self);
        if let Some(log) = log {
            let _ = tokio::task::spawn_blocking(move || timeout_join(&log)).await;
        }
        cut
    }
}

/// Gives the log's writer a moment to write what is queued.
fn timeout_join(log: &JoinHandle<()>) {
    for _ in 0..100 {
        if log.is_finished() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.sockets.drain(Drain::begin);
        self.sockets.drain(Drain::cut_idle);
        self.sockets.drain(Drain::cut);
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The place of the view, with nothing in it but the operator's sockets.
fn empty_view(
    (addressing, assigned): (Addressing, BTreeMap<ObjectRef, Vec<IpAddr>>),
    (http, https): (&[tokio::net::TcpListener], &[tokio::net::TcpListener]),
    here: Locality,
) -> Arc<ArcSwap<GatewayView>> {
    let ground = Ground { addressing, http: addresses(http), https: addresses(https) };
    let (ground, kept) = (Arc::new(ground), Arc::new(Kept::at(here)));
    let attached = Attached::giving(assigned);
    let empty = GatewayView { ground, kept, attached, ..GatewayView::default() };
    Arc::new(ArcSwap::from_pointee(empty))
}

fn bind_all(
    addresses: &[SocketAddr],
    inherited: &mut Inherited,
) -> Result<Vec<tokio::net::TcpListener>, StartError> {
    let bind = |&address| {
        listen::bind(address, inherited).map_err(|source| StartError::Bind { address, source })
    };
    addresses.iter().map(bind).collect()
}

fn addresses(sockets: &[tokio::net::TcpListener]) -> Vec<SocketAddr> {
    sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
}

/// The secrets of session tickets, by which the cookies of kept sessions are signed too.
fn secrets(
    given: Option<TicketSecrets>,
    view: &ArcSwap<GatewayView>,
) -> Result<TicketSecrets, StartError> {
    let secrets = given.map_or_else(TicketSecrets::random, Ok).map_err(StartError::Tls)?;
    view.load().kept.sign_sessions_with(secrets.session_key());
    Ok(secrets)
}

fn door(
    shared: Arc<Shared>,
    limits: Limits,
    (tickets, balancers): (TicketSecrets, Vec<IpNet>),
) -> Arc<Door> {
    Arc::new(Door {
        proxy: engine(Arc::clone(&shared), limits),
        shared,
        limits: limits.io(),
        room: Arc::new(Room::new(limits.heads_octets_max)),
        connections_max: limits.connections_max,
        crowd: Arc::new(Crowd::default()),
        stream_idle: Duration::from_millis(limits.stream_idle_ms),
        flow_idle: Duration::from_millis(limits.flow_idle_ms),
        flows_max: limits.flows_max,
        tickets,
        balancers,
    })
}

/// Pingora's engine around our proxy.
fn engine(shared: Arc<Shared>, limits: Limits) -> Arc<HttpProxy<Proxy>> {
    let conf = ServerConf {
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        // Attempts, the first one included; `proxy` decides on each.
        max_retries: RETRIES_MAX as usize + 1,
        upstream_keepalive_pool_size: ORIGIN_POOL_MAX,
        ..ServerConf::default()
    };
    let mut engine = HttpProxy::new(Proxy { shared }, Arc::new(conf));
    engine.handle_init_modules();
    let mut h2 = default_h2_options();
    h2.max_header_list_size(u32::try_from(limits.head.octets_max).unwrap_or(u32::MAX));
    h2.max_concurrent_streams(H2_STREAMS_MAX);
    engine.h2_options = Some(h2);
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(Duration::from_secs(KEEPALIVE_S));
    engine.server_options = Some(options);
    Arc::new(engine)
}

#[cfg(test)]
mod tests;
