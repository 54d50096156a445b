//! The server that is asked: the stand-in or a real one, and a namespace of the test's own.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::{HeaderMap, Method, Request};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use kubesim::{Options, Sim};
use serde_json::{Value, json};
use tokio::time::timeout;

/// A server that answers nothing for this long has failed.
const PATIENCE: Duration = Duration::from_secs(20);
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

pub(crate) struct Server {
    client: Client,
    pub(crate) namespace: String,
    _sim: Option<Sim>,
}

pub(crate) struct Answer {
    pub(crate) code: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let (kubeconfig, sim) = match std::env::var("NEARSIDE_TEST_KUBECONFIG") {
            Ok(path) => (Kubeconfig::read_from(path).expect("a kubeconfig"), None),
            Err(_) => {
                let sim = Sim::start(Options::default()).await.expect("it starts");
                (Kubeconfig::from_yaml(&sim.kubeconfig()).expect("a kubeconfig"), Some(sim))
            }
        };
        let options = KubeConfigOptions::default();
        let mut config =
            Config::from_custom_kubeconfig(kubeconfig, &options).await.expect("complete");
        // A refusal is to be seen, not tried again.
        config.default_retry = false;
        let client = Client::try_from(config).expect("a client");
        let number = NAMESPACES.fetch_add(1, Ordering::Relaxed);
        let namespace = format!("contract-{}-{number}", std::process::id());
        let server = Self { client, namespace: namespace.clone(), _sim: sim };
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}});
        assert_eq!(server.send("POST", "/api/v1/namespaces", &object).await.code, 201);
        server
    }

    /// Cleans a real server up; the stand-in goes with the test.
    pub(crate) async fn end(self) {
        let path = format!("/api/v1/namespaces/{}", self.namespace);
        assert_eq!(self.send("DELETE", &path, &Value::Null).await.code, 200);
    }

    /// The path of a core resource in the test's namespace.
    pub(crate) fn core(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.namespace)
    }

    /// The path of another group's resource in the test's namespace.
    pub(crate) fn group(&self, group: &str, rest: &str) -> String {
        format!("/apis/{group}/v1/namespaces/{}/{rest}", self.namespace)
    }

    pub(crate) async fn read(&self, path: &str) -> Answer {
        self.send("GET", path, &Value::Null).await
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &Value) -> Answer {
        self.request(method, path, &[("content-type", "application/json")], body).await
    }

    pub(crate) async fn patch(&self, kind: &str, path: &str, body: &Value) -> Answer {
        let kind = format!("application/{kind}");
        self.request("PATCH", path, &[("content-type", &kind)], body).await
    }

    pub(crate) async fn request(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Answer {
        let mut request = Request::builder()
            .uri(path)
            .method(Method::from_bytes(method.as_bytes()).expect("a method"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let octets = if body.is_null() { Vec::new() } else { body.to_string().into_bytes() };
        let request = request.body(Body::from(octets)).expect("a request");
        let sent = timeout(PATIENCE, self.client.send(request)).await.expect("in time");
        let (parts, body) = sent.expect("an answer").into_parts();
        let octets = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&octets).unwrap_or_default();
        Answer { code: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Opens a watch.
    pub(crate) async fn watch(&self, path: &str, query: &str) -> Lines {
        let uri = format!("{path}?watch=true&{query}");
        let request = Request::get(uri).body(Body::empty()).expect("a request");
        let answer = self.client.send(request).await.expect("an answer");
        assert_eq!(answer.status(), 200, "a watch answers 200, its errors come in the stream");
        Lines { body: answer.into_body(), read: Vec::new() }
    }
}

/// The events of a watch.
pub(crate) struct Lines {
    body: Body,
    read: Vec<u8>,
}

impl Lines {
    /// The next event, `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.read.iter().position(|octet| *octet == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("a line of JSON"));
            }
            let frame = timeout(PATIENCE, self.body.frame()).await.expect("in time")?;
            if let Ok(data) = frame.expect("a frame").into_data() {
                self.read.extend_from_slice(&data);
            }
        }
    }

    /// Type and name of the next event.
    pub(crate) async fn next_short(&mut self) -> (String, String) {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}

pub(crate) fn version(object: &Value) -> u64 {
    let text = object["metadata"]["resourceVersion"].as_str().expect("a version");
    text.parse().expect("a number")
}

pub(crate) fn config_map(name: &str, value: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"k": value}})
}
