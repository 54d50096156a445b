//! The API server as a place to send requests to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::Value;
use tokio::time::timeout;

use crate::follow::Failure;

/// To connect to the server.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the head of a response; a list of everything is made before it.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// For a whole body that is not a stream.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);
/// The largest body that is not a stream: a page of 500 objects of 1.5 MiB does not occur.
const BODY_OCTETS_MAX: usize = 256 << 20;

/// Where the API server is and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// As a kubeconfig's current context says.
    Kubeconfig(PathBuf),
    /// As a pod, by its service account.
    InCluster,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The kubeconfig cannot be used.
    #[error("cannot use the kubeconfig `{path}`", path = .path.display())]
    Kubeconfig {
        /// Which one.
        path: PathBuf,
        /// Why not.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// There is no service account here.
    #[error("this is not a pod with a service account")]
    InCluster(#[source] kube::config::InClusterError),
    /// The client cannot be made of it.
    #[error("cannot set up the client of the API server")]
    Client(#[source] Box<kube::Error>),
}

/// A client of one server. Nothing is connected before the first request.
#[derive(Clone)]
pub(crate) struct Server {
    client: Client,
    url: String,
    /// Whether the last request was answered; the change of it is worth a line in the log.
    reached: Arc<AtomicBool>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Server {
    /// Makes a client.
    pub(crate) async fn new(access: &Access) -> Result<Self, AccessError> {
        let mut config = match access {
            Access::Kubeconfig(path) => kubeconfig(path).await?,
            Access::InCluster => Config::incluster().map_err(AccessError::InCluster)?,
        };
        // Whom to ask again, and when, is decided by who asked.
        config.default_retry = false;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        let url = config.cluster_url.to_string();
        let client =
            Client::try_from(config).map_err(|error| AccessError::Client(Box::new(error)))?;
        Ok(Self { client, url, reached: Arc::new(AtomicBool::new(true)) })
    }

    /// Which server it is.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The namespace of the service account or of the kubeconfig's context.
    pub(crate) fn namespace(&self) -> &str {
        self.client.default_namespace()
    }

    /// Sends a request and gives the response as soon as its head is there.
    pub(crate) async fn open(&self, request: Request<Body>) -> Result<Response<Body>, Failure> {
        let sent = timeout(HEAD_TIMEOUT, self.client.send(request)).await;
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(self.miss(&error.to_string())),
            Err(elapsed) => return Err(self.miss(&elapsed.to_string())),
        };
        if !self.reached.swap(true, Ordering::Relaxed) {
            tracing::info!(url = self.url, "the API server answers again");
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refused(&response))
    }

    fn miss(&self, error: &str) -> Failure {
        if self.reached.swap(false, Ordering::Relaxed) {
            let url = &self.url;
            tracing::warn!(url, error, "the API server cannot be reached; what is held stays");
        }
        UNREACHED
    }

    /// Sends a request and reads the whole response as JSON.
    pub(crate) async fn ask(&self, request: Request<Body>) -> Result<Value, Failure> {
        let response = self.open(request).await?;
        let body = Limited::new(response.into_body(), BODY_OCTETS_MAX);
        let octets = match timeout(BODY_TIMEOUT, body.collect()).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(_)) | Err(_) => return Err(UNREACHED),
        };
        serde_json::from_slice(&octets).map_err(|_| UNREACHED)
    }
}

/// Nobody answered, or not to the end.
pub(crate) const UNREACHED: Failure = Failure { code: None, retry_after_ms: None };

/// What to do about a refusal.
fn refused<B>(response: &Response<B>) -> Failure {
    let seconds = response.headers().get(header::RETRY_AFTER);
    let seconds: Option<u64> = seconds.and_then(|value| value.to_str().ok()?.parse().ok());
    Failure {
        code: Some(response.status().as_u16()),
        retry_after_ms: seconds.map(|seconds| seconds.saturating_mul(1_000)),
    }
}

/// A GET; `query` must be encoded already.
pub(crate) fn get(path_and_query: &str) -> Request<Body> {
    request(Method::GET, path_and_query, "application/json", Vec::new())
}

/// Any request.
pub(crate) fn request(
    method: Method,
    path_and_query: &str,
    content_type: &'static str,
    body: Vec<u8>,
) -> Request<Body> {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    // Names of objects are DNS labels and queries are ours: they always parse.
    *request.uri_mut() = path_and_query.parse().unwrap_or_default();
    let headers = request.headers_mut();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("nearside"));
    request
}

/// Whether a failure means that somebody else wrote first.
pub(crate) fn is_conflict(failure: Failure) -> bool {
    failure.code == Some(StatusCode::CONFLICT.as_u16())
}

async fn kubeconfig(path: &Path) -> Result<Config, AccessError> {
    let refuse = |error| AccessError::Kubeconfig { path: path.to_owned(), source: Box::new(error) };
    let read = Kubeconfig::read_from(path).map_err(refuse)?;
    Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(refuse)
}

/// One frame of a streamed body, `None` at its end.
pub(crate) async fn frame(body: &mut Body, within: Duration) -> io::Result<Option<Bytes>> {
    loop {
        let Some(frame) = timeout(within, body.frame()).await? else { return Ok(None) };
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            return Ok(Some(data));
        }
    }
}
