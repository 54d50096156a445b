//! What a site is told by a Kubernetes API server: watched, kept on disk, answered with statuses.
//!
//! `watch` follows each kind as `follow` decides, `hub` puts the changes into one picture, `journal`
//! keeps them for a restart, and `writer` takes statuses back while it holds the cluster's `lease`.
//! Decisions are pure (`follow`, `hold`, `status`, `wanted`, `refusal`, `lease`, `item`, `lines`); `server`, `watch`,
//! `hub`, `writer` and `journal` are the shell. Rule: what is held never goes back in time without
//! good reason, and never away because the server did.

mod follow;
mod hold;
mod hub;
mod item;
mod journal;
mod lease;
mod lines;
mod refusal;
mod resource;
mod server;
mod status;
mod wanted;
mod watch;
mod writer;

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use model::gateway::ObjectKind;
use model::name::ObjectRef;
use tokio::sync::{mpsc, watch as channel};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use follow::Patience;
pub use hold::{Known, Quarantined};
pub use hub::{Completeness, Picture};
pub use journal::JournalError;
pub use server::{Access, AccessError};
pub use wanted::{ObjectStatus, Said};

use crate::hold::Hold;
use crate::hub::Hub;
use crate::journal::Journal;
use crate::server::Server;
use crate::wanted::{Letters, Wanted};
use crate::watch::Watch;
use crate::writer::Writer;

/// Batches on their way to the hub; a kind that has more waits.
const BATCHES_MAX: usize = 1_024;

/// For giving the lease back; without it the lease ends by itself.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(1);

/// What to start with.
#[derive(Debug, Clone)]
pub struct Config {
    /// The API server.
    pub access: Access,
    /// Where what was watched is kept (default: nowhere, so that a restart needs the server).
    pub directory: Option<PathBuf>,
    /// Our name among those who would write statuses, for people; it is made unique.
    pub name: String,
    /// How long to wait for what.
    pub patience: Patience,
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no client.
    #[error("cannot follow the API server")]
    Access(#[from] AccessError),
    /// What was kept cannot be used.
    #[error("cannot keep what is watched")]
    Journal(#[from] JournalError),
}

/// What is watched, while this lives.
#[derive(Debug)]
pub struct Discovery {
    pictures: channel::Receiver<Picture>,
    letters: Arc<Letters>,
    tasks: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
    journal: Option<JoinHandle<()>>,
}

impl Discovery {
    /// Reads what is on disk and begins to watch. The server need not be there.
    ///
    /// # Errors
    /// When there is no way to a server, or another process has the directory.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let server = Server::new(&config.access).await?;
        let mut hold = Hold::new();
        let (mut versions, mut journal) = (std::collections::BTreeMap::new(), None);
        if let Some(directory) = &config.directory {
            let (opened, loaded) = Journal::open(directory, server.url())?;
            if loaded.lost_octets > 0 {
                let octets = loaded.lost_octets;
                tracing::warn!(octets, "the end of what was kept is not readable and is left out");
            }
            versions = hold.resume(loaded);
            journal = Some(opened);
        }
        let (records, kept) = journal.map(hub::keep).unzip();
        let (batch_sender, batches) = mpsc::channel(BATCHES_MAX);
        let (picture_sender, pictures) = channel::channel(Picture::default());
        let letters = Arc::<Letters>::default();
        let (job_sender, jobs) = channel::channel(Arc::default());
        let hub = Hub {
            hold,
            batches,
            pictures: picture_sender,
            letters: Arc::clone(&letters),
            wanted: Wanted::default(),
            jobs: job_sender,
            records,
            apis: HashMap::new(),
        };
        hub.show();
        let mut tasks = vec![tokio::spawn(hub.run())];
        for kind in ObjectKind::ALL {
            let held = (versions.get(&kind).copied(), config.patience);
            tasks.push(tokio::spawn(Watch::run(kind, server.clone(), held, batch_sender.clone())));
        }
        let me = format!("{}-{:016x}", config.name, RandomState::new().hash_one(0_u8));
        let writer = tokio::spawn(Writer::run(server, me, jobs));
        Ok(Self { pictures, letters, tasks, writer, journal: kept })
    }

    /// The picture, now and whenever it changes.
    #[must_use]
    pub fn pictures(&self) -> channel::Receiver<Picture> {
        self.pictures.clone()
    }

    /// Says which statuses objects should have from now on, and of which objects nothing is wanted any
    /// more; what was said of others still holds. They are written where they differ, by one process
    /// of the cluster. Objects that were put aside say so without being named here.
    pub fn want_statuses(&self, told: Vec<ObjectStatus>, gone: Vec<(ObjectKind, ObjectRef)>) {
        if !(told.is_empty() && gone.is_empty()) {
            self.letters.send(told, gone);
        }
    }

    /// Stops watching, gives the lease back and waits until everything is on disk.
    pub async fn shutdown(mut self) {
        for task in self.tasks.drain(..) {
            task.abort();
            // The hub must have let go of the log before its end can be waited for.
            let _ = task.await;
        }
        let _ = timeout(RELEASE_TIMEOUT, &mut self.writer).await;
        if let Some(journal) = self.journal.take() {
            let _ = journal.await;
        }
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        self.writer.abort();
        for task in &self.tasks {
            task.abort();
        }
    }
}
