//! Documents in the forms of the upstream guides (Gateway API's examples, Kubernetes' pages on
//! Ingress), as files: each is taken or refused for the right reason, and traffic flows as they say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::client::ask;
use super::echo;
use super::http2;
use super::stage::Stage;
use super::world::{eventually, free_port};

fn guides() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/guides")
}

/// The guides' files, in order.
fn files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in ["gateway-api", "ingress"] {
        let entries = std::fs::read_dir(guides().join(directory)).expect("a directory");
        files.extend(entries.map(|entry| entry.expect("an entry").path()));
    }
    files.sort();
    files
}

/// What `nearside check` says of each file: kept in `expected.txt`, to be read like code.
#[test]
fn every_guide_is_taken_or_told_why_not() {
    let mut told = String::new();
    for file in files() {
        let directory = tempfile::tempdir().expect("a directory");
        let name = file.file_name().expect("a name");
        std::fs::copy(&file, directory.path().join(name)).expect("copied");
        std::fs::copy(guides().join("services.yaml"), directory.path().join("services.yaml"))
            .expect("copied");
        let ran = Command::new(env!("CARGO_BIN_EXE_nearside"))
            .args(["check", "."])
            .current_dir(directory.path())
            .output()
            .expect("it runs");
        assert!(ran.status.success(), "{}: {ran:?}", file.display());
        let shown = file.strip_prefix(guides()).expect("below");
        let (errors, out) =
            (String::from_utf8_lossy(&ran.stderr), String::from_utf8_lossy(&ran.stdout));
        write!(told, "== {}\n{errors}{out}", shown.display()).expect("a text");
    }
    let expected = std::fs::read_to_string(guides().join("expected.txt")).expect("a file");
    assert_eq!(told, expected, "what is told now:\n{told}");
}

/// A gateway on files.
pub(super) struct FileGateway {
    child: Child,
    pub(super) http: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Drop for FileGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl FileGateway {
    /// Serves guides with three origins: `shop` and `canary` over HTTP/1.1, `login` over HTTP/2.
    fn start(guides_served: &[&str]) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        for name in guides_served.iter().copied().chain(["services.yaml"]) {
            let to = directory.path().join(name.replace('/', "-"));
            std::fs::copy(guides().join(name), to).expect("copied");
        }
        let rows = [
            ("shop-svc", echo::start("shop")),
            ("shop-canary-svc", echo::start("canary")),
            ("login-svc", http2::start("login")),
        ];
        let mut pods = String::new();
        for (service, port) in rows {
            write!(
                pods,
                "---\napiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: {{name: {service}-1, labels: {{kubernetes.io/service-name: {service}}}}}\naddressType: IPv4\nports: [{{name: http, port: {port}}}]\nendpoints: [{{addresses: [127.0.0.1]}}]\n"
            )
            .expect("a text");
        }
        std::fs::write(directory.path().join("pods.yaml"), pods).expect("written");
        Self::on(directory, &[])
    }

    /// Serves what is in a directory.
    pub(super) fn on(directory: tempfile::TempDir, arguments: &[&str]) -> Self {
        let (http, https, admin) = (free_port(), free_port(), free_port());
        let child = Command::new(env!("CARGO_BIN_EXE_nearside"))
            .args(["lb", "--site", "edge", "--listen", "127.0.0.1", "--documents"])
            .arg(directory.path())
            .args(["--http-port", &http.to_string(), "--https-port", &https.to_string()])
            .args(["--admin", &format!("127.0.0.1:{admin}")])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let http = SocketAddr::from(([127, 0, 0, 1], http));
        Self { child, http, _directory: directory }
    }

    pub(super) fn answers(&self, rows: &[(&str, &str)]) {
        for (request, answer) in rows {
            Stage::until(self.http, request, |reply| {
                let brief = reply.brief();
                if brief == *answer { Ok(()) } else { Err(brief) }
            });
        }
    }
}

#[test]
fn traffic_flows_as_the_gateway_api_guides_say() {
    let gateway = FileGateway::start(&[
        "gateway-api/routing.yaml",
        "gateway-api/filters.yaml",
        "gateway-api/split.yaml",
        "gateway-api/teams.yaml",
    ]);
    gateway.answers(&[
        ("shop.example.test/", "200 shop"),
        ("shop.example.test/ env:canary", "200 canary"),
        ("login.example.test/", "404"),
        // Port 80 of the listener, whatever the socket: no port is written.
        ("filters.example.test/secure/x", "301 https://filters.example.test/secure/x"),
        ("filters.example.test/cayenne/pinch", "302 http://filters.example.test/paprika/pinch"),
        ("filters.example.test/full/pinch", "307 http://filters.example.test/paprika"),
        ("filters.example.test/mirrored", "200 shop"),
        ("filters.example.test/slow", "200 shop"),
        ("team.example.test/", "200 shop"),
        ("team.example.test/stranger", "200 shop"),
        ("split.example.test/ traffic:test", "200 canary"),
        ("unknown.test/", "404"),
    ]);
    let port = gateway.http.port();
    gateway.answers(&[(
        // A client that names the socket's own port stays there.
        &format!("filters.example.test:{port}/cayenne"),
        &format!("302 http://filters.example.test:{port}/paprika"),
    )]);
    let reply = Stage::until(gateway.http, "filters.example.test/rewrite/a", |reply| {
        if reply.code == 200 { Ok(()) } else { Err(reply.brief()) }
    });
    assert_eq!(
        (&reply.asked["host"], &reply.asked["path"]),
        (&"inner.example.test".into(), &"/inner/a".into())
    );
    let reply = ask(gateway.http, "filters.example.test/headers x-request-id:1 env:old")
        .expect("an answer");
    assert_eq!(reply.header("x-answered"), Some("yes"));
    assert_eq!(reply.seen("my-header-name").as_deref(), Some("my-header-value"));
    assert_eq!((reply.seen("env").as_deref(), reply.seen("x-request-id")), (Some("canary"), None));
    let reply = ask(gateway.http, "filters.example.test/cors Origin:https://a.shop.test")
        .expect("an answer");
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://a.shop.test"));
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..100 {
        let reply = ask(gateway.http, "split.example.test/").expect("an answer");
        *counts.entry(reply.brief()).or_default() += 1;
    }
    let new = counts.get("200 canary").copied().unwrap_or_default();
    assert!((8..=12).contains(&new), "{counts:?}");
}

#[test]
fn traffic_flows_as_the_guides_on_grpc_listener_sets_and_ingress_say() {
    let gateway = FileGateway::start(&[
        "gateway-api/grpc.yaml",
        "gateway-api/listener-sets.yaml",
        "ingress/hosts.yaml",
        "ingress/minimal.yaml",
    ]);
    let called =
        |target: &str| eventually(target, || Ok(http2::call(gateway.http, target)?.call()));
    eventually("ready", || ask(gateway.http, "first.hosts.test/"));
    assert_eq!(called("grpc.example.test/com.example.User/Login"), "0 login");
    assert_eq!(called("grpc.example.test/com.example.User/Logout"), "12");
    assert_eq!(called("grpc.example.test/grpc.reflection.v1.ServerReflection/Any"), "0 login");
    gateway.answers(&[
        ("first.hosts.test/", "200 shop"),
        ("one.wild.test/foo", "200 canary"),
        ("one.wild.test/foo/bar", "404"),
        ("two.labels.wild.test/foo", "404"),
        ("any.test/testpath", "200 shop"),
        ("own.example.test/", "404"),
    ]);
    let reply = ask(gateway.http, "any.test/testpath/x").expect("an answer");
    assert_eq!(reply.asked["path"], "/", "rewritten as the annotation says");
}
