//! One API server stand-in and one gateway process, shared by the tests that run at the same time.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use kubesim::{Options, Sim};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

/// What takes longer on a busy machine has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at what is waited for.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// The world of the tests that run now; the last of them ends it.
static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());

pub(crate) struct World {
    pub(crate) sim: Sim,
    /// The prefix of the Gateways' addresses, less its last octet.
    pub(crate) pool: String,
    gateway: Mutex<Child>,
    _directory: tempfile::TempDir,
    // Last: what runs on it goes first.
    _runtime: Runtime,
}

impl World {
    pub(crate) fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(world) = shared.upgrade() {
            return world;
        }
        let world = Arc::new(Self::start());
        *shared = Arc::downgrade(&world);
        world
    }

    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        let options = Options { allow_loopback: true, ..Options::default() };
        let sim = runtime.block_on(Sim::start(options)).expect("it starts");
        sim.install_gateway_api().expect("installed");
        allow_retries(&sim);
        let directory = tempfile::tempdir().expect("a directory");
        let kubeconfig = directory.path().join("kubeconfig");
        std::fs::write(&kubeconfig, sim.kubeconfig()).expect("written");
        // Processes that run at the same time have prefixes of their own: 127.64.0.0/10 in /20s.
        let number = std::process::id() % 1024;
        let pool = format!("127.{}.{}", 64 + number / 16, number % 16 * 16);
        let mut command = Command::new(env!("CARGO_BIN_EXE_nearside"));
        command.args(["lb", "--site", "edge", "--listen", "127.0.0.1", "--kubeconfig"]);
        command.arg(&kubeconfig).arg("--state-dir").arg(directory.path().join("state"));
        command.args(["--gateway-addresses", &format!("{pool}.0/20")]);
        for name in ["--http-port", "--https-port"] {
            command.args([name, &free_port().to_string()]);
        }
        command.args(["--admin", &format!("127.0.0.1:{}", free_port())]);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let class = json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass",
            "metadata": {"name": "nearside"}, "spec": {"controllerName": model::gateway::GATEWAY_CONTROLLER},
        });
        sim.put(&class).expect("stored");
        Self { sim, pool, gateway: Mutex::new(child), _directory: directory, _runtime: runtime }
    }
}

/// `retry` is a field of the experimental CRD alone, which the suite wants for its test.
fn allow_retries(sim: &Sim) {
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/httproutes.gateway.networking.k8s.io";
    let (code, mut crd) = sim.call("GET", path, &Value::Null);
    assert_eq!(code, 200, "{crd}");
    for version in crd["spec"]["versions"].as_array_mut().expect("a list") {
        let route = &mut version["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let rule = &mut route["properties"]["rules"]["items"]["properties"];
        rule["retry"] = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    }
    sim.put(&crd).expect("stored");
}

impl Drop for World {
    fn drop(&mut self) {
        let child = self.gateway.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// Waits until nothing is wrong any more; what is wrong last is what the test fails with.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(wrong) => assert!(start.elapsed() < PATIENCE, "{what}: {wrong}"),
        }
        std::thread::sleep(PAUSE);
    }
}

pub(crate) fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a loopback port");
    socket.local_addr().expect("bound").port()
}
