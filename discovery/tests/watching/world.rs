//! A server stand-in, one that watches it, and the objects of a small site.

use std::path::Path;
use std::time::Duration;

use discovery::{Access, Completeness, Config, Discovery, Patience, Picture};
use kubesim::{Options, Sim};
use serde_json::{Value, json};
use tokio::time::timeout;

/// What does not happen within this does not happen.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct World {
    pub(crate) sim: Sim,
    pub(crate) directory: tempfile::TempDir,
}

impl World {
    /// A server with the CRDs of Gateway API.
    pub(crate) async fn start() -> Self {
        let world = Self::bare(Options::default()).await;
        world.sim.install_gateway_api().expect("installed");
        world
    }

    /// A server without CRDs.
    pub(crate) async fn bare(options: Options) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let options = Options { bookmark_every: Duration::from_millis(200), ..options };
        let sim = Sim::start(options).await.expect("it starts");
        std::fs::write(directory.path().join("kubeconfig"), sim.kubeconfig()).expect("written");
        Self { sim, directory }
    }

    /// Watches, keeping nothing.
    pub(crate) async fn watch(&self) -> Watched {
        self.watch_with("test", None).await
    }

    /// The same under a name of its own.
    pub(crate) async fn watch_as(&self, name: &str) -> Watched {
        self.watch_with(name, None).await
    }

    /// Watches, keeping what is watched in a directory of the world.
    pub(crate) async fn watch_and_keep(&self) -> Watched {
        let state = self.directory.path().join("state");
        self.watch_with("test", Some(&state)).await
    }

    async fn watch_with(&self, name: &str, state: Option<&Path>) -> Watched {
        let config = Config {
            access: Access::Kubeconfig(self.directory.path().join("kubeconfig")),
            directory: state.map(Path::to_owned),
            name: name.to_owned(),
            patience: Patience {
                watch_s: 1,
                rewind_after_ms: 400,
                rewind_again_ms: 200,
                absent_after_ms: 1_000,
                absent_again_ms: 200,
            },
        };
        Watched(Discovery::start(config).await.expect("it starts"))
    }

    pub(crate) fn put(&self, object: &Value) -> Value {
        self.sim.put(object).expect("taken")
    }

    /// Requests after the first `seen` that match.
    pub(crate) fn requests(&self, seen: usize, part: &str) -> usize {
        self.sim.requests().iter().skip(seen).filter(|one| one.contains(part)).count()
    }
}

pub(crate) struct Watched(pub(crate) Discovery);

impl Watched {
    /// The first picture of which something holds.
    pub(crate) async fn until(&self, holds: impl Fn(&Picture) -> bool) -> Picture {
        let mut pictures = self.0.pictures();
        let found = timeout(PATIENCE, pictures.wait_for(|picture| holds(picture))).await;
        if let Ok(found) = found {
            return found.expect("it lives").clone();
        }
        let now = self.0.pictures().borrow().clone();
        assert!(found.is_ok(), "it did not come to that: {:?} {:?}", now.kinds, services(&now));
        now
    }

    pub(crate) async fn until_complete(&self) -> Picture {
        self.until(|picture| picture.complete == Completeness::Complete).await
    }

    /// Waits until exactly these Services are there.
    pub(crate) async fn until_services(&self, wanted: &[(&str, u16)]) -> Picture {
        let wanted: Vec<(String, u16)> =
            wanted.iter().map(|(name, port)| ((*name).to_owned(), *port)).collect();
        self.until(|picture| services(picture) == wanted).await
    }
}

/// The Services of namespace `default` with their first ports.
pub(crate) fn services(picture: &Picture) -> Vec<(String, u16)> {
    let services = picture.objects.services.iter();
    services.map(|one| (one.meta.object.name.to_string(), one.ports[0].port)).collect()
}

pub(crate) fn service(name: &str, port: u16) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"},
        "spec": {"ports": [{"port": port}]},
    })
}

pub(crate) fn gateway(name: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"gatewayClassName": "nearside", "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"}]},
    })
}

pub(crate) fn route(name: &str, host: &str) -> Value {
    json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "parentRefs": [{"name": "edge"}], "hostnames": [host],
            "rules": [{"backendRefs": [{"name": "web", "port": 80}]}],
        },
    })
}
