//! The gateway of a site with Kubernetes: the real binary watching an API server stand-in.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use kubesim::{Options, Sim};
use serde_json::{Value, json};

use super::world::{Process, free_port};

/// What takes longer on a busy machine has failed.
const PATIENCE: Duration = Duration::from_secs(60);

struct Cluster {
    sim: Sim,
    directory: tempfile::TempDir,
    http: u16,
    https: u16,
    admin: u16,
    gateway: Option<Process>,
}

impl Cluster {
    async fn start() -> Self {
        let options = Options { allow_loopback: true, ..Options::default() };
        let sim = Sim::start(options).await.expect("it starts");
        sim.install_gateway_api().expect("installed");
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::write(directory.path().join("kubeconfig"), sim.kubeconfig()).expect("written");
        Self {
            sim,
            directory,
            http: free_port(),
            https: free_port(),
            admin: free_port(),
            gateway: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts the gateway; `more` is put on its command line.
    fn serve(&mut self, more: &[&str]) {
        let (http, https) = (self.http.to_string(), self.https.to_string());
        let admin = format!("127.0.0.1:{}", self.admin);
        let mut command = Command::new(env!("CARGO_BIN_EXE_nearside"));
        command.args(["lb", "--site", "edge", "--listen", "127.0.0.1", "--http-port", &http]);
        command.args(["--https-port", &https, "--admin", &admin, "--state-dir"]);
        command.arg(self.path("state")).arg("--kubeconfig").arg(self.path("kubeconfig")).args(more);
        let child: Child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        self.gateway = Some(Process(child));
    }

    /// Applies an object over HTTP, as any client does.
    fn put(&self, object: &Value) {
        let (address, path, body) = (self.sim.address(), path_of(object), object.to_string());
        let head = format!(
            "PATCH {path}?fieldManager=test&force=true HTTP/1.1\r\nHost: {address}\r\nConnection: \
             close\r\nContent-Type: application/apply-patch+yaml\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(address).expect("the server listens");
        stream.write_all(head.as_bytes()).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("answered");
        let code = answer.split(' ').nth(1);
        assert!(matches!(code, Some("200" | "201")), "{path}: {answer}");
    }

    async fn until(&self, port: u16, (host, path): (&str, &str), wanted: (u16, &str)) -> Duration {
        let start = Instant::now();
        loop {
            let found = get(port, host, path);
            if found
                .as_ref()
                .is_some_and(|(code, body)| *code == wanted.0 && body.contains(wanted.1))
            {
                return start.elapsed();
            }
            assert!(start.elapsed() < PATIENCE, "{host}{path}: {found:?} instead of {wanted:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Asks with curl over TLS, and lets it check the certificate, until this is the answer.
    async fn until_secure(&self, wanted: &str) {
        let start = Instant::now();
        loop {
            let port = self.https;
            let mut command = Command::new("curl");
            command.args([
                "-sS",
                "--max-time",
                "5",
                "--resolve",
                &format!("web.test:{port}:127.0.0.1"),
            ]);
            command
                .arg("--cacert")
                .arg(self.path("ca.pem"))
                .arg(format!("https://web.test:{port}/"));
            let output = command.output().expect("curl runs");
            if output.stdout == wanted.as_bytes() {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{output:?} instead of {wanted}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Where an object is.
fn path_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let (version, name) = (text(&object["apiVersion"]), text(&object["metadata"]["name"]));
    let root = if version.contains('/') { "apis" } else { "api" };
    let plural = match object["kind"].as_str() {
        Some("GatewayClass") => return format!("/{root}/{version}/gatewayclasses/{name}"),
        Some("Gateway") => Some("gateways"),
        Some("HTTPRoute") => Some("httproutes"),
        Some("Service") => Some("services"),
        Some("EndpointSlice") => Some("endpointslices"),
        Some("Secret") => Some("secrets"),
        _ => None,
    };
    let plural = plural.expect("a kind that is made here");
    format!("/{root}/{version}/namespaces/default/{plural}/{name}")
}

/// What a path answers: status and body; nothing while nobody listens.
fn get(port: u16, host: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let code = text.split(' ').nth(1)?.parse().ok()?;
    let body = text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())?;
    Some((code, body))
}

/// An origin that says its name to everybody.
fn origin(name: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    std::thread::spawn(move || {
        for stream in listener.incoming().filter_map(Result::ok) {
            std::thread::spawn(move || {
                let (mut stream, mut octets) = (stream, Vec::new());
                let mut buffer = [0; 1024];
                while !octets.windows(4).any(|end| end == b"\r\n\r\n") {
                    match stream.read(&mut buffer) {
                        Ok(count @ 1..) => octets.extend_from_slice(&buffer[..count]),
                        _ => return,
                    }
                }
                let length = name.len();
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
                );
                let _ = stream.write_all(format!("{head}{name}").as_bytes());
            });
        }
    });
    port
}

fn route(host: &str, service: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": "edge"}], "hostnames": [host],
            "rules": [{"backendRefs": [{"name": service, "port": 80}]}],
        },
    })
}

fn backend(name: &str, port: u16) -> [Value; 2] {
    [
        json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
            "spec": {"ports": [{"port": 80}]},
        }),
        json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": format!("{name}-1"), "namespace": "default", "labels": {"kubernetes.io/service-name": name}},
            "ports": [{"port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}],
        }),
    ]
}

fn gateway() -> [Value; 2] {
    [
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": "nearside"},
            "spec": {"controllerName": model::gateway::GATEWAY_CONTROLLER},
        }),
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
            "metadata": {"name": "edge", "namespace": "default"},
            "spec": {"gatewayClassName": "nearside", "listeners": [
                {"name": "http", "port": 80, "protocol": "HTTP"},
                {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "cert"}]}},
            ]},
        }),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_of_an_api_server_are_served_and_outlive_it() {
    let mut cluster = Cluster::start().await;
    let (blue, green) = (origin("blue"), origin("green"));
    cluster.serve(&[]);
    // The server is there and empty: that is complete.
    cluster.until(cluster.admin, ("admin", "/readyz"), (200, "ok")).await;
    assert_eq!(get(cluster.http, "web.test", "/").map(|(code, _)| code), Some(404));

    for object in gateway().iter().chain(&backend("blue", blue)).chain(&backend("green", green)) {
        cluster.put(object);
    }
    cluster.put(&route("web.test", "blue"));
    cluster.until(cluster.http, ("web.test", "/"), (200, "blue")).await;
    cluster.put(&route("web.test", "green"));
    cluster.until(cluster.http, ("web.test", "/"), (200, "green")).await;

    // What cannot be read is put aside, shown, and gone when it is mended.
    let gateways = ("localhost", "/v1/gateways");
    let mut broken = route("aside.test", "green");
    broken["metadata"]["name"] = json!("aside");
    let mended = broken.clone();
    broken["spec"]["rules"] = json!([{"filters": [{"type": "RequestRedirect"}]}]);
    cluster.put(&broken);
    let aside = "\"put_aside\":[{\"generation\":1,\"kind\":\"HTTPRoute\"";
    cluster.until(cluster.admin, gateways, (200, aside)).await;
    cluster.put(&mended);
    cluster.until(cluster.admin, gateways, (200, "\"put_aside\":[]")).await;

    let made = rcgen::generate_simple_self_signed(vec!["web.test".to_owned()]).expect("made");
    std::fs::write(cluster.path("ca.pem"), made.cert.pem()).expect("written");
    let texts = json!({"tls.crt": made.cert.pem(), "tls.key": made.signing_key.serialize_pem()});
    cluster.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "stringData": texts,
        "metadata": {"name": "cert", "namespace": "default"},
    }));
    cluster.until_secure("green").await;

    // Gateway and server go; the gateway comes back alone.
    assert_eq!(cluster.gateway.take().and_then(Process::terminate), Some(0));
    cluster.sim.close().await;
    cluster.serve(&[]);
    cluster.until(cluster.http, ("web.test", "/"), (200, "green")).await;
    cluster.until_secure("green").await;
    assert_eq!(get(cluster.admin, "admin", "/readyz").map(|(code, _)| code), Some(200));

    cluster.sim.reopen().await.expect("it listens again");
    cluster.put(&route("web.test", "blue"));
    cluster.until(cluster.http, ("web.test", "/"), (200, "blue")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_knows_nothing_is_not_ready() {
    let mut cluster = Cluster::start().await;
    cluster.sim.close().await;
    cluster.serve(&[]);
    cluster.until(cluster.admin, ("admin", "/readyz"), (503, "HTTPRoute")).await;
    assert_eq!(get(cluster.http, "web.test", "/"), None, "better no answer than a wrong one");
    cluster.sim.reopen().await.expect("it listens");
    cluster.until(cluster.admin, ("admin", "/readyz"), (200, "ok")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_and_an_api_server_are_served_together() {
    let mut cluster = Cluster::start().await;
    let documents = cluster.path("documents");
    std::fs::create_dir(&documents).expect("made");
    let yaml =
        |objects: &[Value]| objects.iter().map(|one| format!("---\n{one}\n")).collect::<String>();
    let mut own = gateway().to_vec();
    own.extend(backend("filed", origin("filed")));
    let mut filed = route("filed.test", "filed");
    filed["metadata"]["name"] = "filed".into();
    own.push(filed);
    std::fs::write(documents.join("site.yaml"), yaml(&own)).expect("written");
    for object in gateway().iter().chain(&backend("blue", origin("blue"))) {
        cluster.put(object);
    }
    cluster.put(&route("web.test", "blue"));
    let documents = documents.display().to_string();
    cluster.serve(&["--documents", &documents]);
    cluster.until(cluster.http, ("filed.test", "/"), (200, "filed")).await;
    cluster.until(cluster.http, ("web.test", "/"), (200, "blue")).await;
}
