//! The shell: sockets, the clock, faults, and what a test may do to a server.

mod feed;

use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, header};
use http_body_util::{BodyExt as _, Either, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use self::feed::Lines;
use crate::answer::{Answer, answer};
use crate::call::Call;
use crate::fault::{Faults, InitialEvents};
use crate::refusal::Refusal;
use crate::store::Store;
use crate::watch::Start;

/// Requests remembered for tests to look at.
const REQUESTS_MAX: usize = 100_000;
/// A request's largest body; a real server takes 3 MiB.
const BODY_OCTETS_MAX: usize = 3 << 20;
/// How long a real server waits for a version of the future before it says that it is too large.
const TOO_LARGE_WAIT: Duration = Duration::from_secs(3);
/// The CRDs of Gateway API, as in `crds/`.
const GATEWAY_API: [&str; 10] = [
    include_str!("../crds/backendtlspolicies.yaml"),
    include_str!("../crds/gatewayclasses.yaml"),
    include_str!("../crds/gateways.yaml"),
    include_str!("../crds/grpcroutes.yaml"),
    include_str!("../crds/httproutes.yaml"),
    include_str!("../crds/listenersets.yaml"),
    include_str!("../crds/referencegrants.yaml"),
    include_str!("../crds/tcproutes.yaml"),
    include_str!("../crds/tlsroutes.yaml"),
    include_str!("../crds/udproutes.yaml"),
];

/// What a server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens (default: a free port of 127.0.0.1).
    pub address: Option<SocketAddr>,
    /// How many events it keeps before a watch from before them is told 410.
    pub window: usize,
    /// Whether EndpointSlices may hold loopback addresses, as tests on one machine need.
    pub allow_loopback: bool,
    /// Between two bookmarks of a watch that wants them (a real server: a minute).
    pub bookmark_every: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            address: None,
            window: 10_000,
            allow_loopback: false,
            bookmark_every: Duration::from_secs(60),
        }
    }
}

/// A server's state at a moment, to restore it to later.
#[derive(Debug, Clone)]
pub struct Checkpoint(Store);

/// A running server; it ends with its drop.
#[derive(Debug)]
pub struct Sim {
    shared: Arc<Shared>,
    address: SocketAddr,
    accepting: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    store: Mutex<Store>,
    faults: watch::Sender<Faults>,
    /// The version of the last write, for watches.
    version: watch::Sender<u64>,
    /// Rises when every connection is to be cut.
    cut: watch::Sender<u64>,
    clock_skew_s: Mutex<i64>,
    requests: Mutex<Vec<String>>,
    bookmark_every: Duration,
}

impl Sim {
    /// Starts a server with its built-in resources.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let address = options.address.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let mut store = Store::new(options.window);
        store.allow_loopback = options.allow_loopback;
        let version = store.version();
        let shared = Arc::new(Shared {
            store: Mutex::new(store),
            faults: watch::Sender::new(Faults::default()),
            version: watch::Sender::new(version),
            cut: watch::Sender::new(0),
            clock_skew_s: Mutex::new(0),
            requests: Mutex::new(Vec::new()),
            bookmark_every: options.bookmark_every,
        });
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let sim = Self { shared, address, accepting: Mutex::new(None) };
        sim.accept(listener);
        Ok(sim)
    }

    fn accept(&self, listener: TcpListener) {
        let shared = Arc::clone(&self.shared);
        let task = tokio::spawn(async move {
            loop {
                if let Ok((socket, _)) = listener.accept().await {
                    tokio::spawn(serve(socket, Arc::clone(&shared)));
                }
            }
        });
        *lock(&self.accepting) = Some(task);
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A kubeconfig that leads here.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: kubesim\nclusters:\n- name: kubesim\n  cluster: \
             {{server: \"http://{}\"}}\ncontexts:\n- name: kubesim\n  context: {{cluster: kubesim, user: kubesim}}\n\
             users:\n- name: kubesim\n  user: {{token: none}}\n",
            self.address
        )
    }

    /// Installs the CRDs of Gateway API.
    ///
    /// # Errors
    /// Never, unless the files in `crds/` are damaged: the message says how.
    pub fn install_gateway_api(&self) -> Result<(), String> {
        GATEWAY_API.iter().try_for_each(|crd| self.install_crd(crd))
    }

    /// Installs a CRD.
    ///
    /// # Errors
    /// The server's message.
    pub fn install_crd(&self, yaml: &str) -> Result<(), String> {
        let crd: Value = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
        self.put(&crd).map(drop)
    }

    /// Creates an object, or replaces one of its name; the object as stored.
    ///
    /// # Errors
    /// The server's message.
    pub fn put(&self, object: &Value) -> Result<Value, String> {
        let path = self.collection(object)?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let exists = self.call("GET", &format!("{path}/{name}"), &Value::Null).0 == 200;
        let (code, answer) = if exists {
            self.call("PUT", &format!("{path}/{name}"), object)
        } else {
            self.call("POST", &path, object)
        };
        if code < 300 { Ok(answer) } else { Err(answer["message"].to_string()) }
    }

    /// Deletes an object; only its kind and name are read.
    ///
    /// # Errors
    /// The server's message.
    pub fn delete(&self, object: &Value) -> Result<(), String> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        let path = format!("{}/{name}", self.collection(object)?);
        let (code, answer) = self.call("DELETE", &path, &Value::Null);
        if code < 300 { Ok(()) } else { Err(answer["message"].to_string()) }
    }

    fn collection(&self, object: &Value) -> Result<String, String> {
        let store = lock(&self.shared.store);
        let found = store.catalog.of_object(object);
        let (resource, version) = found.ok_or_else(|| "no such kind".to_owned())?;
        let root = if resource.group.is_empty() {
            format!("/api/{version}")
        } else {
            format!("/apis/{}/{version}", resource.group)
        };
        Ok(if resource.namespaced {
            let namespace = object["metadata"]["namespace"].as_str().unwrap_or("default");
            format!("{root}/namespaces/{namespace}/{}", resource.plural)
        } else {
            format!("{root}/{}", resource.plural)
        })
    }

    /// A request without a socket, and without faults; `PATCH` is a merge patch.
    pub fn call(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let call = Call {
            method: method.to_owned(),
            path: path.to_owned(),
            query: Call::parse_query(query),
            content_type: "application/merge-patch+json".to_owned(),
            agent: "test".to_owned(),
            body: if body.is_null() { Bytes::new() } else { body.to_string().into() },
            ..Call::default()
        };
        match self.shared.answer(&call) {
            Answer::Document(code, document) => (code, document),
            Answer::Text(text) => (200, text.into()),
            Answer::Watch(..) => (400, Value::Null),
        }
    }

    /// Orders faults; the last order holds.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.faults.send_replace(faults);
    }

    /// Forgets the events kept: a watch from before now is told 410.
    pub fn compact(&self) {
        lock(&self.shared.store).compact();
    }

    /// The state now.
    #[must_use]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint(lock(&self.shared.store).clone())
    }

    /// As after etcd was restored from a backup: an older state and version, and new connections.
    pub fn restore(&self, checkpoint: Checkpoint) {
        let mut restored = checkpoint.0;
        restored.compact();
        let version = restored.version();
        *lock(&self.shared.store) = restored;
        self.shared.version.send_replace(version);
        self.restart();
    }

    /// Cuts every connection, as a restart of the server does; its state stays.
    pub fn restart(&self) {
        self.shared.cut.send_modify(|cut| *cut += 1);
    }

    /// Stops listening and cuts every connection.
    pub async fn close(&self) {
        let task = lock(&self.accepting).take();
        if let Some(task) = task {
            task.abort();
            // The socket is free when the task is gone.
            let _ = task.await;
        }
        self.restart();
    }

    /// Listens again after [`Sim::close`].
    ///
    /// # Errors
    /// When somebody else has the address now.
    pub async fn reopen(&self) -> io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        self.accept(listener);
        Ok(())
    }

    /// Shifts the server's clock.
    pub fn shift_clock(&self, seconds: i64) {
        *lock(&self.shared.clock_skew_s) += seconds;
    }

    /// The requests seen so far, as `METHOD path?query`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        lock(&self.shared.requests).clone()
    }

    /// The version of the last write.
    #[must_use]
    pub fn version(&self) -> u64 {
        lock(&self.shared.store).version()
    }
}

impl Drop for Sim {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.accepting).take() {
            task.abort();
        }
        self.restart();
    }
}

impl Shared {
    fn answer(&self, call: &Call) -> Answer {
        let now_s = self.now_s();
        let mut store = lock(&self.store);
        let answered = answer(&mut store, call, now_s);
        let version = store.version();
        drop(store);
        if *self.version.borrow() != version {
            self.version.send_replace(version);
        }
        answered
    }

    #[expect(clippy::disallowed_methods, reason = "the shell reads the clock")]
    fn now_s(&self) -> i64 {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX) + *lock(&self.clock_skew_s)
    }

    /// The refusal that a fault orders for this request.
    fn refusal(&self) -> Option<(Refusal, Option<u32>)> {
        let mut ordered = None;
        self.faults.send_if_modified(|faults| {
            if faults.refuse_next == 0 {
                return false;
            }
            faults.refuse_next -= 1;
            let code = faults.refuse_code;
            let reason = if code == 429 { "TooManyRequests" } else { "ServiceUnavailable" };
            let refusal = Refusal::new(code, reason, "refused by order of the test");
            ordered = Some((refusal, faults.retry_after_s));
            true
        });
        ordered
    }
}

type Answered = Response<Either<Full<Bytes>, Lines>>;

async fn serve(socket: TcpStream, shared: Arc<Shared>) {
    let mut cut = shared.cut.subscribe();
    // Small lines must not wait for an acknowledgement.
    let _ = socket.set_nodelay(true);
    let handler = service_fn(|request| respond(request, Arc::clone(&shared)));
    let connection =
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(socket), handler);
    tokio::select! {
        _ = connection => {}
        _ = cut.changed() => {}
    }
}

async fn respond(request: Request<Incoming>, shared: Arc<Shared>) -> Result<Answered, Infallible> {
    let call = read(request).await;
    note(&shared, &call);
    let faults = shared.faults.borrow().clone();
    if faults.silent {
        let mut seen = shared.faults.subscribe();
        let _ = seen.wait_for(|faults| !faults.silent).await;
    }
    if faults.delay_ms > 0 {
        tokio::time::sleep(Duration::from_millis(faults.delay_ms)).await;
    }
    if let Some((refusal, retry_after_s)) = shared.refusal() {
        let mut response = document(refusal.code, &refusal.status());
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        return Ok(response);
    }
    Ok(match shared.answer(&call) {
        Answer::Document(code, body) => {
            if code == 504 {
                tokio::time::sleep(TOO_LARGE_WAIT).await;
            }
            document(code, &body)
        }
        Answer::Text(text) => finish(Response::new(Either::Left(Full::from(text)))),
        Answer::Watch(_, Start::Streamed) if faults.initial_events == InitialEvents::Forbid => {
            let message = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled";
            document(422, &Refusal::new(422, "Invalid", message).status())
        }
        Answer::Watch(watch, start) => {
            finish(Response::new(Either::Right(feed::begin(watch, start, shared))))
        }
    })
}

async fn read(request: Request<Incoming>) -> Call {
    let (parts, body) = request.into_parts();
    let header = |name| {
        let value = parts.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let limited = http_body_util::Limited::new(body, BODY_OCTETS_MAX);
    Call {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: Call::parse_query(parts.uri.query().unwrap_or_default()),
        accept: header(header::ACCEPT),
        content_type: header(header::CONTENT_TYPE),
        agent: header(header::USER_AGENT),
        body: limited.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
    }
}

fn note(shared: &Shared, call: &Call) {
    let query: Vec<String> =
        call.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut requests = lock(&shared.requests);
    if requests.len() < REQUESTS_MAX {
        requests.push(format!("{} {}?{}", call.method, call.path, query.join("&")));
    }
}

fn document(code: u16, body: &Value) -> Answered {
    let mut response = Response::new(Either::Left(Full::from(body.to_string())));
    *response.status_mut() = http::StatusCode::from_u16(code).unwrap_or_default();
    finish(response)
}

fn finish(mut response: Answered) -> Answered {
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    for name in ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"] {
        let uid = HeaderValue::from_static("00000000-0000-4000-8000-00000000f10e");
        headers.insert(name, uid);
    }
    response
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
