//! The controller as others see it: start it, give it documents and reports, ask it, stop it.
//!
//! A handle is cheap and every method may be called from any task; the work is done by one task that
//! owns all state (`shell`). Calls that change something return once this process's own data planes
//! serve the change.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use geo_data::LocaleTable;
use model::observe::{Client, SiteReport};
use model::{DnsName, Policy};
use serde::Serialize;
use steering::explain::Explanation;
use steering::whereabouts::{Claim, ClaimError, Whereabouts};
use steering::{Atlas, SnapshotCell};
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::error;

use crate::clock::Clock;
use crate::courier::{CourierError, LocalCourier};
use crate::guard::{Difference, Override, Refusal};
use crate::hub::Hub;
use crate::probe;
use crate::publication::Have;
use crate::shell::{Command, Explained, Inbox, Shell, Wiring};
use crate::snapshot_file::SnapshotFileError;
use crate::status::Status;
use crate::store::{AuditRecord, Store, StoreError};

/// Commands waiting; each is answered within milliseconds.
const COMMANDS_MAX: usize = 64;
/// Reports waiting: a thousand sites at one report each second are a quarter of this.
const REPORTS_MAX: usize = 4096;
/// Probe results waiting.
const RESULTS_MAX: usize = 4096;
/// How long a caller waits for its own process to serve a change; a slow disk is no reason to fail.
const SERVED_WITHIN: Duration = Duration::from_secs(5);

/// How a controller runs.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where generations, orders and the last good snapshot are kept; `None` keeps nothing.
    pub state_dir: Option<PathBuf>,
    /// How often measurement and time windows are looked at.
    pub map_interval: Duration,
    /// The least epoch: raised by the operator when a store was lost and nodes are ahead.
    pub epoch_min: u32,
}

impl Default for Config {
    fn default() -> Self {
        // design.md section 2: the map channel moves each 10 to 30 s.
        Self { state_dir: None, map_interval: Duration::from_secs(10), epoch_min: 0 }
    }
}

/// Why a controller did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its own state could not be opened.
    #[error("cannot open the controller's store")]
    Store(#[from] StoreError),
    /// The snapshot directory could not be opened.
    #[error("cannot open the snapshot directory")]
    Snapshot(#[from] SnapshotFileError),
    /// No documents and no snapshot on disk.
    #[error(
        "there are no documents and no snapshot from before; help: give a directory of documents"
    )]
    NothingToServe,
    /// The documents could not be published.
    #[error("cannot publish the documents")]
    Publish(#[source] Refused),
}

/// Why a document set was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The guard says no.
    #[error("the guard refuses this change: {}", join(.0))]
    Guard(Vec<Refusal>),
    /// Too many are waiting already.
    #[error("too many changes are waiting; help: try again in a moment")]
    Busy,
    /// It could not be compiled or recorded.
    #[error("the change could not be published: {0}")]
    Failed(String),
    /// The controller has stopped.
    #[error("the controller has stopped")]
    Stopped,
}

/// A document set that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What was published; unchanged when the documents mean what they meant before.
    pub have: Have,
    /// What changed.
    pub difference: Difference,
}

/// Why an order about a site was not taken.
#[derive(Debug, thiserror::Error)]
pub enum OrderError {
    /// No such site.
    #[error("there is no site `{0}`; help: `nearside status` lists the sites")]
    UnknownSite(String),
    /// The guard says no.
    #[error(transparent)]
    Guard(#[from] Refusal),
    /// Who or why is missing, or too long.
    #[error("`{0}` must be 1 to {TEXT_CHARS_MAX} characters")]
    Text(&'static str),
    /// It could not be recorded.
    #[error("cannot record the order")]
    Store(#[from] StoreError),
    /// The controller has stopped.
    #[error("the controller has stopped")]
    Stopped,
}

/// The longest `by` or `reason`, in characters.
pub const TEXT_CHARS_MAX: usize = 256;

/// An order about a site that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// What was published.
    pub have: Have,
    /// Whether the site is drained now; an undrain leaves it so when its document says drained.
    pub drained: bool,
    /// Whether anything changed.
    pub changed: bool,
}

/// Who orders something and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// A source of geo data, as its licence asks to be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attribution {
    /// The text.
    pub text: String,
    /// Where to find it.
    pub link: String,
}

/// A running controller.
#[derive(Debug)]
pub struct Controller {
    commands: mpsc::Sender<Command>,
    courier: LocalCourier,
    explained: Arc<ArcSwapOption<Explained>>,
    served: watch::Receiver<Have>,
    attributions: Vec<Attribution>,
    tasks: Mutex<Option<Tasks>>,
}

#[derive(Debug)]
struct Tasks {
    shell: JoinHandle<()>,
    hub: JoinHandle<()>,
    prober: JoinHandle<()>,
    stop_hub: oneshot::Sender<()>,
}

impl Controller {
    /// Starts a controller. What is on disk is served into `cell` at once; then the documents are
    /// compiled and published. Without documents, the last good policy goes on being judged.
    ///
    /// Documents that the guard refuses (beside a snapshot from before) do not stop the start: the
    /// last good stays, and `status` says why.
    ///
    /// # Errors
    /// When its state cannot be opened, or there is nothing to serve.
    pub async fn start(
        config: Config,
        documents: Option<Policy>,
        locales: Arc<LocaleTable>,
        cell: Arc<SnapshotCell>,
    ) -> Result<Self, StartError> {
        let store = Arc::new(Store::open(config.state_dir.as_deref())?);
        let snapshots = config.state_dir.as_deref().map(|dir| dir.join("snapshot"));
        let hub = Hub::open(snapshots.as_deref(), cell)?;
        if documents.is_none() && hub.served().is_none() {
            return Err(StartError::NothingToServe);
        }
        let (commands, command_inbox) = mpsc::channel(COMMANDS_MAX);
        let (reports, report_inbox) = mpsc::channel(REPORTS_MAX);
        let (results, result_inbox) = mpsc::channel(RESULTS_MAX);
        let served = hub.taken();
        let explained = Arc::new(ArcSwapOption::empty());
        let attributions = locales.attributions().into_iter();
        let attributions = attributions
            .map(|(text, link)| Attribution { text: text.to_owned(), link: link.to_owned() })
            .collect();
        let wiring = Wiring {
            clock: Clock::start(),
            store,
            locales,
            served: served.clone(),
            explained: Arc::clone(&explained),
        };
        let shell = Shell::resume(&config, wiring, hub.served().cloned())?;
        let courier = LocalCourier::new(shell.publications(), reports);
        let prober = tokio::spawn(probe::run(shell.targets(), results));
        let (stop_hub, stopped) = oneshot::channel();
        let stopped = async {
            // A dropped sender stops it as well.
            let _ = stopped.await;
        };
        let hub = tokio::spawn(hub.follow(courier.clone(), stopped));
        let inbox = Inbox { commands: command_inbox, reports: report_inbox, results: result_inbox };
        let shell = tokio::spawn(shell.run(inbox));
        let tasks = Mutex::new(Some(Tasks { shell, hub, prober, stop_hub }));
        let controller = Self { commands, courier, explained, served, attributions, tasks };
        if let Some(policy) = documents {
            match controller.apply(policy, None).await {
                Ok(_) => {}
                Err(Refused::Guard(refusals)) => {
                    error!(
                        refusals = join(&refusals),
                        "the documents are refused; the last good stay"
                    );
                }
                Err(refused) => return Err(StartError::Publish(refused)),
            }
        }
        Ok(controller)
    }

    /// Takes a new document set: guarded, compiled, published as one snapshot.
    ///
    /// # Errors
    /// When the guard refuses (and is not overruled) or it cannot be published; nothing changes.
    pub async fn apply(
        &self,
        policy: Policy,
        overruled: Option<Override>,
    ) -> Result<Applied, Refused> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Apply { policy: Arc::new(policy), overruled, reply };
        self.commands.send(command).await.map_err(|_| Refused::Stopped)?;
        let applied = answer.await.map_err(|_| Refused::Stopped)??;
        self.until_served(applied.have).await;
        Ok(applied)
    }

    /// Queues a site's report.
    ///
    /// # Errors
    /// When too many are waiting; the next report says it all.
    pub fn report(&self, report: SiteReport) -> Result<(), CourierError> {
        self.courier.try_report(report)
    }

    /// Drains a site: no new clients until it is undrained.
    ///
    /// # Errors
    /// When there is no such site, the guard refuses, or the order cannot be recorded.
    pub async fn drain(&self, site: &str, author: Author) -> Result<Ordered, OrderError> {
        let (reply, answer) = oneshot::channel();
        self.order(Command::Drain { site: site.to_owned(), author, reply }, answer).await
    }

    /// Lifts the overlay's drain of a site.
    ///
    /// # Errors
    /// When there is no such site or the order cannot be recorded.
    pub async fn undrain(&self, site: &str, author: Author) -> Result<Ordered, OrderError> {
        let (reply, answer) = oneshot::channel();
        self.order(Command::Undrain { site: site.to_owned(), author, reply }, answer).await
    }

    /// Everything there is to tell; `None` once it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(Command::Status { reply }).await.ok()?;
        answer.await.ok()
    }

    /// Explains an answer, with exactly what the published map was made of. `None` when the name is
    /// not a steered one, or nothing is published yet.
    pub fn explain(&self, name: &DnsName, client: Client) -> Option<Explanation> {
        let explained = self.explained.load_full()?;
        let service = explained.snapshot.policy.service_for(name)?;
        let inputs = explained.made.inputs(explained.snapshot.policy_generation);
        steering::explain::explain(&inputs, &explained.snapshot, service, client)
    }

    /// Explains an answer to a client at a place.
    pub fn explain_at(
        &self,
        name: &DnsName,
        place: &Whereabouts,
        caller: IpAddr,
    ) -> Option<Explanation> {
        let explained = self.explained.load_full()?;
        let service = explained.snapshot.policy.service_for(name)?;
        let inputs = explained.made.inputs(explained.snapshot.policy_generation);
        steering::explain::explain_at(&inputs, &explained.snapshot, service, (place, caller))
    }

    /// Looks up where a claim says that a client is.
    ///
    /// # Errors
    /// When no LocaleMap has its cell or area.
    pub fn whereabouts(&self, claim: &Claim) -> Result<Whereabouts, ClaimError> {
        match self.explained.load_full() {
            Some(explained) => Whereabouts::find(&explained.snapshot.map.atlas, claim),
            None => Whereabouts::find(&Atlas::default(), claim),
        }
    }

    /// The newest audit records, newest first.
    ///
    /// # Errors
    /// When the store fails or the controller has stopped.
    pub async fn audit(&self, records_max: usize) -> Result<Vec<AuditRecord>, OrderError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Audit { records_max, reply };
        self.commands.send(command).await.map_err(|_| OrderError::Stopped)?;
        Ok(answer.await.map_err(|_| OrderError::Stopped)??)
    }

    /// Whom the geo data is from: their licences ask for it to be shown.
    pub fn attributions(&self) -> &[Attribution] {
        &self.attributions
    }

    /// A courier within this process: for gateways here, and behind the HTTP courier's endpoints.
    pub fn courier(&self) -> LocalCourier {
        self.courier.clone()
    }

    /// What this process's own data planes serve, and news of each change.
    pub fn served(&self) -> watch::Receiver<Have> {
        self.served.clone()
    }

    /// Stops: measurement is kept, what is being written is finished. Once is enough.
    pub async fn shutdown(&self) {
        let Some(Tasks { shell, hub, prober, stop_hub }) = self.tasks.lock().await.take() else {
            return;
        };
        // The hub first, so that it does not take the end of the shell for being cut off.
        let _ = stop_hub.send(());
        prober.abort();
        // A task that was aborted or panicked has ended all the same.
        let (_, _) = (hub.await, prober.await);
        let (reply, stopped) = oneshot::channel();
        if self.commands.send(Command::Stop { reply }).await.is_ok() {
            let _ = stopped.await;
        }
        let _ = shell.await;
    }

    async fn order(
        &self,
        command: Command,
        answer: oneshot::Receiver<Result<Ordered, OrderError>>,
    ) -> Result<Ordered, OrderError> {
        self.commands.send(command).await.map_err(|_| OrderError::Stopped)?;
        let ordered = answer.await.map_err(|_| OrderError::Stopped)??;
        self.until_served(ordered.have).await;
        Ok(ordered)
    }

    async fn until_served(&self, have: Have) {
        let mut served = self.served.clone();
        let served = served.wait_for(|served| served.reaches(&have));
        // Published is published: a slow disk only delays this process's own data planes.
        let _ = tokio::time::timeout(SERVED_WITHIN, served).await;
    }
}

fn join(refusals: &[Refusal]) -> String {
    let refusals: Vec<String> = refusals.iter().map(ToString::to_string).collect();
    refusals.join("; ")
}
