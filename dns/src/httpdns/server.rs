//! The HTTP server: sockets, limits on everything a caller could hold, the clock.
//!
//! It reads the DNS server's view and so answers from the same snapshot as UDP and TCP. Requests
//! have no body that anybody reads; a connection has a time to send each request and a time to live.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER,
};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::answer::{Answer, Asker, Rules, Verb, answer};
use super::callers::{Callers, Limits};
use super::request::{Detail, Request, Resolve};
use super::signature::SignatureError;
use crate::clock;
use crate::server::{StartError, bind_tcp};

/// Octets of a request's head: hyper's least, and four times the longest path and query.
const HEAD_OCTETS_MAX: usize = 8 << 10;
/// Pause after a failed accept (out of descriptors, most likely).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// How long a request under way may take once its connection is to end.
const END_GRACE: Duration = Duration::from_secs(2);

/// How to serve.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Addresses. Port 0 lets the system choose.
    pub listen: Vec<SocketAddr>,
    /// Addresses that only a proxy of ours connects to: the caller is the last address of its
    /// `X-Forwarded-For`. Nothing is explained there, because everybody may be behind it.
    pub behind_proxy: Vec<SocketAddr>,
    /// What callers may take.
    pub limits: Limits,
    /// What answers depend on.
    pub rules: Rules,
}

/// Totals since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Answers with status 200.
    pub answered: u64,
    /// Redirects.
    pub redirected: u64,
    /// Requests refused for what they are (4xx but 429).
    pub refused: u64,
    /// Requests refused for their rate (429).
    pub limited: u64,
    /// Requests that could not be served (5xx).
    pub failed: u64,
    /// Connections open now.
    pub open: u64,
    /// Connections turned away by a limit.
    pub turned_away: u64,
}

#[derive(Debug, Default)]
struct Counters {
    answered: AtomicU64,
    redirected: AtomicU64,
    refused: AtomicU64,
    limited: AtomicU64,
    failed: AtomicU64,
    turned_away: AtomicU64,
}

impl Counters {
    fn count(&self, status: u16) {
        let counter = match status {
            200..=299 => &self.answered,
            300..=399 => &self.redirected,
            429 => &self.limited,
            400..=499 => &self.refused,
            _ => &self.failed,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// What every connection reads.
#[derive(Debug)]
struct Shared {
    dns: Arc<crate::Server>,
    limits: Limits,
    rules: Rules,
    /// The same for who comes by a proxy.
    rules_behind_proxy: Rules,
    callers: Mutex<Callers>,
    counters: Counters,
}

/// By which way requests come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// The caller connects.
    Direct,
    /// A proxy connects and says who the caller is.
    ByProxy,
}

impl Way {
    /// Whose connection one from this peer is; a proxy's is nobody's in particular.
    fn caller(self, peer: IpAddr) -> Option<IpAddr> {
        (self == Self::Direct).then_some(peer)
    }
}

impl Shared {
    fn rules(&self, way: Way) -> &Rules {
        match way {
            Way::Direct => &self.rules,
            Way::ByProxy => &self.rules_behind_proxy,
        }
    }

    fn callers(&self) -> MutexGuard<'_, Callers> {
        self.callers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running server. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    addresses_behind_proxy: Vec<SocketAddr>,
    shared: Arc<Shared>,
    listeners: Vec<tokio::task::JoinHandle<()>>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Binds every address and starts to serve the DNS server's view. Must be called inside a tokio
    /// runtime. Holds the DNS server until it is shut down.
    ///
    /// # Errors
    /// Names the address that cannot be had.
    pub fn start(config: Config, dns: Arc<crate::Server>) -> Result<Self, StartError> {
        let Config { listen, behind_proxy, limits, rules } = config;
        if listen.is_empty() && behind_proxy.is_empty() {
            return Err(StartError::NoAddress);
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let direct = listen.into_iter().map(|address| (address, Way::Direct));
        let all = direct.chain(behind_proxy.into_iter().map(|address| (address, Way::ByProxy)));
        let bound = all.map(|(address, way)| bind(address).map(|bound| (bound, way)));
        let sockets: Vec<_> = bound.collect::<Result<_, _>>()?;
        let (callers, counters) = (Mutex::default(), Counters::default());
        let rules_behind_proxy = Rules { explain: None, ..rules.clone() };
        let shared = Shared { dns, limits, rules, rules_behind_proxy, callers, counters };
        let shared = Arc::new(shared);
        let mut server = Self {
            addresses: Vec::new(),
            addresses_behind_proxy: Vec::new(),
            shared,
            listeners: Vec::new(),
            stop: watch::Sender::new(false),
        };
        for ((address, listener), way) in sockets {
            let stop = server.stop.subscribe();
            let task = listen_on((listener, way), Arc::clone(&server.shared), stop);
            server.listeners.push(runtime.spawn(task));
            match way {
                Way::Direct => server.addresses.push(address),
                Way::ByProxy => server.addresses_behind_proxy.push(address),
            }
        }
        Ok(server)
    }

    /// The addresses in use, in the order of the configuration.
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The addresses that a proxy connects to, in the order of the configuration.
    pub fn behind_proxy_addrs(&self) -> &[SocketAddr] {
        &self.addresses_behind_proxy
    }

    /// Totals since the start.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.shared.counters;
        Stats {
            answered: read(&counters.answered),
            redirected: read(&counters.redirected),
            refused: read(&counters.refused),
            limited: read(&counters.limited),
            failed: read(&counters.failed),
            open: self.shared.callers().open() as u64,
            turned_away: read(&counters.turned_away),
        }
    }

    /// Stops: lets requests under way end, and lets go of the DNS server.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        for listener in std::mem::take(&mut self.listeners) {
            let _panicked = listener.await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

fn bind(address: SocketAddr) -> Result<(SocketAddr, TcpListener), StartError> {
    let listener = || -> io::Result<_> {
        let listener = bind_tcp(address)?;
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        Ok((listener.local_addr()?, listener))
    };
    listener().map_err(|source| StartError::listen(address, source))
}

#[expect(clippy::disallowed_methods, reason = "the shell's clock, handed on as an argument")]
fn now() -> Instant {
    Instant::now()
}

/// Accepts connections until the server stops, then waits for those under way.
async fn listen_on(
    (listener, way): (TcpListener, Way),
    shared: Arc<Shared>,
    mut stop: watch::Receiver<bool>,
) {
    let mut tasks = JoinSet::new();
    let told = stop.clone();
    loop {
        tokio::select! {
            () = stopped(&mut stop) => break,
            Some(_) = tasks.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    match Place::enter(&shared, peer.ip(), way) {
                        Some(place) => {
                            tasks.spawn(converse(stream, place, told.clone()));
                        }
                        None => {
                            shared.counters.turned_away.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "cannot accept an HTTPDNS connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while tasks.join_next().await.is_some() {}
}

/// Returns when the server stops, or is gone.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _gone = stop.wait_for(|stop| *stop).await;
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    ip: IpAddr,
    way: Way,
}

impl Place {
    fn enter(shared: &Arc<Shared>, ip: IpAddr, way: Way) -> Option<Self> {
        let entered = shared.callers().enter(way.caller(ip), &shared.limits, now());
        entered.then(|| Self { shared: Arc::clone(shared), ip, way })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.callers().leave(self.way.caller(self.ip));
    }
}

async fn converse(stream: TcpStream, place: Place, mut stop: watch::Receiver<bool>) {
    let _best_effort = stream.set_nodelay(true);
    let (shared, from) = (&place.shared, (place.ip, place.way));
    let service = service_fn(move |request| serve(Arc::clone(shared), from, request));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(shared.limits.idle)
            .max_buf_size(HEAD_OCTETS_MAX)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        ended = connection.as_mut() => {
            if let Err(error) = ended {
                tracing::trace!(%error, "an HTTPDNS connection broke");
            }
            return;
        }
        () = stopped(&mut stop) => {}
        () = tokio::time::sleep(shared.limits.life) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _cut = timeout(END_GRACE, connection).await;
}

async fn serve(
    shared: Arc<Shared>,
    (peer, way): (IpAddr, Way),
    request: hyper::Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let ip = match way {
        Way::Direct => peer,
        Way::ByProxy => forwarded_for(request.headers()).unwrap_or(peer),
    };
    let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
    let asker = Asker { ip, verb: if is_read { Verb::Read } else { Verb::Write } };
    let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
    let parsed = Request::parse(target);
    let lookups = parsed.as_ref().map_or(1, Request::lookups);
    let granted = shared.callers().take(ip, lookups, &shared.limits, now());
    let (answer, wait) = match (granted, parsed) {
        (Err(wait), _) => (Answer::error(429, "too many requests"), Some(wait)),
        (Ok(()), Err(error)) => (Answer::from(error), None),
        (Ok(()), Ok(request)) => match allowed(shared.rules(way), &request) {
            Err(error) => (Answer::from(error), None),
            Ok(()) => (answered(&shared, request, (asker, way)).await, None),
        },
    };
    shared.counters.count(answer.status);
    Ok(response(answer, wait))
}

fn allowed(rules: &Rules, request: &Request) -> Result<(), SignatureError> {
    rules.secret.as_ref().map_or(Ok(()), |secret| secret.check(request, clock::now_s()))
}

/// The caller as the proxy saw it: the last one named. Those before it are hearsay.
fn forwarded_for(headers: &HeaderMap) -> Option<IpAddr> {
    let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
    last.rsplit(',').next()?.trim().parse().ok()
}

/// Answers at once what takes microseconds, and lets a thread of its own explain.
async fn answered(shared: &Arc<Shared>, request: Request, (asker, way): (Asker, Way)) -> Answer {
    if !matches!(request, Request::Resolve(Resolve { detail: Detail::Explain, .. })) {
        return answer(&shared.dns.view(), &request, asker, shared.rules(way));
    }
    let shared = Arc::clone(shared);
    let explained = tokio::task::spawn_blocking(move || {
        answer(&shared.dns.view(), &request, asker, shared.rules(way))
    });
    explained.await.unwrap_or_else(|_| Answer::error(500, "the explanation failed"))
}

fn response(answer: Answer, wait: Option<Duration>) -> Response<Full<Bytes>> {
    let Answer { status, content_type, body, location, cache_s } = answer;
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // No cache between may keep it: the answer depends on who asks.
    let cache = match cache_s {
        0 => HeaderValue::from_static("no-store"),
        seconds => HeaderValue::try_from(format!("private, max-age={seconds}"))
            .unwrap_or(HeaderValue::from_static("no-store")),
    };
    headers.insert(CACHE_CONTROL, cache);
    if status == 405 {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    if let Some(wait) = wait {
        headers.insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    }
    if let Some(location) = location {
        match HeaderValue::try_from(location) {
            Ok(location) => headers.insert(LOCATION, location),
            Err(_) => return self::response(Answer::error(400, "the path is not ASCII"), None),
        };
    }
    response
}
