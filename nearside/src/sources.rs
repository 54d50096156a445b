//! Where a gateway's objects come from: a directory, an API server, or both at once.

mod overlay;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use discovery::{Access, Completeness, Discovery, Known, Patience, Picture, Quarantined, Said};
use l7lb::{News, Statuses};
use model::Policy;
use model::document::Documents;
use model::gateway::GatewayObjects;
use tokio::sync::watch;

use self::overlay::{Twice, overlay};
use crate::cli::LbArgs;
use crate::directory::{self, Fingerprint, Watch};
use crate::gateways::{Board, PutAside};
use crate::run::edited;

/// What changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The directory may have.
    Directory,
    /// The API server's objects have.
    Cluster,
    /// External names have other addresses.
    Names,
    /// No objects, but sockets were opened, or could not be: statuses say so.
    Sockets,
}

/// The sources of one gateway.
#[derive(Debug)]
pub(crate) struct Sources {
    directory: Option<Directory>,
    cluster: Option<Cluster>,
    policy: Policy,
    files: Arc<GatewayObjects>,
    /// What was told about already.
    twice: BTreeSet<Twice>,
}

#[derive(Debug)]
struct Directory {
    path: PathBuf,
    watch: Watch,
    fingerprint: Fingerprint,
}

#[derive(Debug)]
struct Cluster {
    discovery: Discovery,
    pictures: watch::Receiver<Picture>,
    quarantined: Arc<[Quarantined]>,
    /// The statuses that were said.
    said: Statuses,
}

impl Sources {
    /// Reads the directory and begins to watch both; what was watched before is there at once.
    pub(crate) async fn open(args: &LbArgs) -> anyhow::Result<Self> {
        let mut sources = Self {
            directory: None,
            cluster: None,
            policy: Policy::default(),
            files: Arc::default(),
            twice: BTreeSet::new(),
        };
        if let Some(path) = args.directory.as_ref().or(args.documents.as_ref()) {
            // Watched before it is read: an edit during the start is not lost.
            let watch = Watch::begin(path);
            let (documents, fingerprint) = directory::read_first(path)?;
            sources.take(documents);
            sources.directory = Some(Directory { path: path.clone(), watch, fingerprint });
        }
        let access = match (&args.cluster.kubeconfig, args.cluster.in_cluster) {
            (Some(path), _) => Access::Kubeconfig(path.clone()),
            (None, true) => Access::InCluster,
            (None, false) => return Ok(sources),
        };
        let config = discovery::Config {
            access,
            directory: args.state_dir.as_ref().map(|state| state.join("discovery")),
            name: args.site.clone(),
            patience: Patience::default(),
        };
        let discovery = Discovery::start(config).await?;
        let pictures = discovery.pictures();
        sources.cluster = Some(Cluster {
            discovery,
            pictures,
            quarantined: Arc::default(),
            said: Statuses::default(),
        });
        Ok(sources)
    }

    /// The directory's policy, which names the sites.
    pub(crate) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether an API server is one of them.
    pub(crate) fn has_cluster(&self) -> bool {
        self.cluster.is_some()
    }

    /// What is still to be learned before anything may be served; `None` when nothing is.
    pub(crate) fn missing(&self) -> Option<String> {
        let cluster = self.cluster.as_ref()?;
        let picture = cluster.pictures.borrow();
        if picture.complete == Completeness::Complete {
            return None;
        }
        let unknown = picture.kinds.iter().filter(|(_, known)| *known == Known::Not);
        let unknown: Vec<&str> = unknown.map(|(kind, _)| kind.name()).collect();
        Some(format!("the API server has not told of {}", unknown.join(", ")))
    }

    /// All objects as they are now.
    pub(crate) fn objects(&mut self) -> GatewayObjects {
        let Some(cluster) = &mut self.cluster else { return (*self.files).clone() };
        let picture = cluster.pictures.borrow_and_update().clone();
        for one in picture.quarantined.iter().filter(|one| !cluster.quarantined.contains(one)) {
            let Quarantined { kind, object, message, .. } = one;
            tracing::warn!(kind = kind.name(), %object, "put aside, it cannot be read: {message}");
        }
        cluster.quarantined = picture.quarantined;
        let (objects, twice) = overlay(&self.files, &picture.objects);
        for Twice { kind, object } in twice.iter().filter(|one| !self.twice.contains(one)) {
            let kind = kind.name();
            tracing::warn!(kind, %object, "both the directory and the API server have it: the directory's counts");
        }
        self.twice = twice.into_iter().collect();
        objects
    }

    /// What cannot be read of the API server's objects.
    pub(crate) fn put_aside(&self) -> Vec<PutAside> {
        let all = self.cluster.iter().flat_map(|cluster| cluster.quarantined.iter());
        let one = |Quarantined { kind, object, generation, message, .. }: &Quarantined| PutAside {
            kind: kind.name(),
            object: object.to_string(),
            generation: *generation,
            message: message.clone(),
        };
        all.map(one).collect()
    }

    /// Says what is new in the statuses that the API server's objects should have.
    pub(crate) fn want_statuses(&mut self, statuses: Statuses) {
        let Some(cluster) = &mut self.cluster else { return };
        let News { told, gone } = statuses.news(&cluster.said);
        let told = told.into_iter().map(|one| discovery::ObjectStatus {
            kind: one.kind(),
            object: one.object().clone(),
            status: Said::by(move || one.render().status),
        });
        cluster.discovery.want_statuses(told.collect(), gone);
        cluster.said = statuses;
    }

    /// Waits until one of them may have changed. Nothing is lost when this future is dropped.
    pub(crate) async fn changed(&mut self) -> Source {
        let cluster = async {
            let Some(cluster) = &mut self.cluster else { return std::future::pending().await };
            if cluster.pictures.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let directory = async {
            match &self.directory {
                Some(directory) => directory.watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = cluster => Source::Cluster,
            () = directory => Source::Directory,
        }
    }

    /// Reads the directory again; whether it says something new.
    pub(crate) async fn read_again(&mut self, board: &Board) -> bool {
        let Some(directory) = &mut self.directory else { return false };
        let read = edited(&directory.path, &mut directory.fingerprint, board).await;
        let Some(documents) = read else { return false };
        directory::warn_of(&documents.warnings);
        self.take(documents);
        true
    }

    /// Stops watching, with everything that was watched on disk.
    pub(crate) async fn shutdown(self) {
        if let Some(cluster) = self.cluster {
            cluster.discovery.shutdown().await;
        }
    }

    fn take(&mut self, documents: Documents) {
        let Documents { policy, gateway, .. } = documents;
        self.policy = policy;
        self.files = Arc::new(gateway.sharing(&self.files));
    }
}
