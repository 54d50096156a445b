//! The loop: observe -> verdict -> plan -> guard -> publish. One task owns all of the controller's
//! state; everything that blocks or takes long happens elsewhere and comes back as a message.
//!
//! Rules: health is published as soon as a plan differs from what is published, never waiting for a
//! compilation; one compilation runs at a time; a generation is on disk before it is used.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use geo_data::LocaleTable;
use metrics::{counter, histogram};
use model::observe::SiteReport;
use model::{Policy, codec};
use steering::{Generation, Snapshot};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{debug, error, info, warn};

use crate::clock::{Clock, Now};
use crate::compile::Made;
use crate::generation::Generations;
use crate::guard::{Override, Removals};
use crate::handle::{Applied, Author, Config, OrderError, Ordered, Refused};
use crate::latency::Cells;
use crate::plan::{self, Change, MapInputs, Plan, Wait};
use crate::probe::Probed;
use crate::publication::{Channel, Have, Part, PartError, Publication};
use crate::status::{LatencyStatus, RefusedStatus, Status, Told};
use crate::store::{Act, AuditRecord, Store, StoreError};
use crate::target::Targets;
use crate::world::{Reported, World};

use self::remake::{Done, Job};

mod order;
mod remake;
mod tell;

/// Document sets waiting for the compiler.
const APPLIES_MAX: usize = 8;
/// Probe results taken at once before a plan is made.
const RESULTS_BATCH: usize = 1024;
/// Changes remembered for `status`.
const CHANGES_MAX: usize = 256;
/// Audit records read back at start to know the removals of the recent past.
const AUDIT_READ_BACK: usize = 1024;
/// Where the latency cells are kept in the store.
const CELLS_BLOB: &str = "latency";
/// Measurement is written this often, in map intervals, and when the controller stops.
const KEEP_CELLS_EVERY: u32 = 6;

/// What the handle asks for.
#[derive(Debug)]
pub(crate) enum Command {
    Apply {
        policy: Arc<Policy>,
        overruled: Option<Override>,
        reply: oneshot::Sender<Result<Applied, Refused>>,
    },
    Drain {
        site: String,
        author: Author,
        reply: oneshot::Sender<Result<Ordered, OrderError>>,
    },
    Undrain {
        site: String,
        author: Author,
        reply: oneshot::Sender<Result<Ordered, OrderError>>,
    },
    Status {
        reply: oneshot::Sender<Status>,
    },
    Audit {
        records_max: usize,
        reply: oneshot::Sender<Result<Vec<AuditRecord>, StoreError>>,
    },
    Stop {
        reply: oneshot::Sender<()>,
    },
}

/// Everything that comes in.
#[derive(Debug)]
pub(crate) struct Inbox {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) reports: mpsc::Receiver<SiteReport>,
    pub(crate) results: mpsc::Receiver<Probed>,
}

/// A published snapshot with what its map was made of.
#[derive(Debug)]
pub(crate) struct Explained {
    pub(crate) made: Made,
    pub(crate) snapshot: Snapshot,
}

/// A document set on its way.
struct Apply {
    policy: Arc<Policy>,
    overruled: Option<Override>,
    reply: oneshot::Sender<Result<Applied, Refused>>,
}

/// The one task's state.
pub(crate) struct Shell {
    clock: Clock,
    map_interval: std::time::Duration,
    store: Arc<Store>,
    locales: Arc<LocaleTable>,
    world: World,
    generations: Generations,
    published: Option<Publication>,
    made: Option<Made>,
    wanted: MapInputs,
    publications: watch::Sender<Option<Arc<Publication>>>,
    targets: watch::Sender<Arc<Targets>>,
    served: watch::Receiver<Have>,
    explained: Arc<ArcSwapOption<Explained>>,
    removals: Removals,
    changes: VecDeque<Told>,
    waits: Vec<Wait>,
    refused: Option<RefusedStatus>,
    latency: LatencyStatus,
    applies: VecDeque<Apply>,
    job: Option<Job>,
    done: (mpsc::Sender<Done>, Option<mpsc::Receiver<Done>>),
    /// Since when a plan is wanted.
    dirty: Option<Instant>,
    /// The last attempt to publish health failed.
    publish_failed: bool,
    /// Measurement is due to be looked at.
    refit: bool,
    cells_kept: u32,
}

/// What the shell is connected to.
#[derive(Debug)]
pub(crate) struct Wiring {
    pub(crate) clock: Clock,
    pub(crate) store: Arc<Store>,
    pub(crate) locales: Arc<LocaleTable>,
    pub(crate) served: watch::Receiver<Have>,
    pub(crate) explained: Arc<ArcSwapOption<Explained>>,
}

impl Shell {
    /// Goes on from what the store knows and from what was served before a restart.
    pub(crate) fn resume(
        config: &Config,
        wiring: Wiring,
        published: Option<Publication>,
    ) -> Result<Self, StoreError> {
        let Wiring { clock, store, locales, served, explained } = wiring;
        let seen = published.as_ref().map(Publication::have).unwrap_or_default();
        let mut world = published.as_ref().map_or_else(World::default, |publication| {
            World::resume(&publication.policy.value, &publication.health.value, clock.now())
        });
        world.drains = store.drains()?;
        world.cells = kept_cells(&store)?;
        let mut removals = Removals::default();
        for record in store.audit(AUDIT_READ_BACK)?.iter().rev() {
            if let Act::Remove { objects, .. } = record.act {
                removals.note(record.at_unix_ms, objects);
            }
        }
        let (done, finished) = mpsc::channel(1);
        Ok(Self {
            clock,
            map_interval: config.map_interval,
            generations: Generations::resume(store.persisted()?, seen, config.epoch_min),
            store,
            locales,
            publications: watch::Sender::new(published.clone().map(Arc::new)),
            targets: watch::Sender::new(Arc::clone(&world.targets)),
            served,
            explained,
            dirty: published.is_some().then(Instant::now),
            world,
            published,
            made: None,
            wanted: MapInputs::default(),
            removals,
            changes: VecDeque::new(),
            waits: Vec::new(),
            refused: None,
            latency: LatencyStatus::default(),
            applies: VecDeque::new(),
            job: None,
            done: (done, Some(finished)),
            publish_failed: false,
            refit: false,
            cells_kept: 0,
        })
    }

    pub(crate) fn publications(&self) -> watch::Receiver<Option<Arc<Publication>>> {
        self.publications.subscribe()
    }

    pub(crate) fn targets(&self) -> watch::Receiver<Arc<Targets>> {
        self.targets.subscribe()
    }

    /// Runs until told to stop.
    pub(crate) async fn run(mut self, inbox: Inbox) {
        let Inbox { mut commands, mut reports, mut results } = inbox;
        let Some(mut finished) = self.done.1.take() else { return };
        let mut tick = interval(self.map_interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut batch = Vec::new();
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop { reply }) => {
                        self.keep_cells().await;
                        // The caller may have gone away.
                        let _ = reply.send(());
                        return;
                    }
                    None => return,
                    Some(command) => self.command(command).await,
                },
                Some(report) = reports.recv() => self.report(&report),
                1.. = results.recv_many(&mut batch, RESULTS_BATCH) => {
                    for Probed { target, outcome } in batch.drain(..) {
                        if self.world.probed(&target, outcome, self.clock.now()) {
                            self.touch();
                        }
                    }
                }
                Some(done) = finished.recv() => self.finished(done).await,
                _ = tick.tick() => self.tick().await,
            }
            self.settle().await;
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Apply { policy, overruled, reply } => {
                if self.applies.len() >= APPLIES_MAX {
                    let _ = reply.send(Err(Refused::Busy));
                } else {
                    self.applies.push_back(Apply { policy, overruled, reply });
                }
            }
            Command::Drain { site, author, reply } => {
                let ordered = self.drain(&site, author).await;
                let _ = reply.send(ordered);
            }
            Command::Undrain { site, author, reply } => {
                let ordered = self.undrain(&site, author).await;
                let _ = reply.send(ordered);
            }
            Command::Status { reply } => {
                let _ = reply.send(self.status());
            }
            Command::Audit { records_max, reply } => {
                let records = self.in_store(move |store| store.audit(records_max)).await;
                let _ = reply.send(records);
            }
            // Handled by the loop itself.
            Command::Stop { reply } => {
                let _ = reply.send(());
            }
        }
    }

    fn report(&mut self, report: &SiteReport) {
        let reported = self.world.reported(report, self.clock.now());
        let what = match reported {
            Reported::Readiness => {
                self.touch();
                "taken"
            }
            Reported::Quiet => "taken",
            Reported::Older => "older",
            Reported::UnknownSite => "unknown_site",
            Reported::TooLarge => "too_large",
        };
        counter!("nearside_reports_total", "result" => what).increment(1);
    }

    async fn tick(&mut self) {
        self.touch();
        self.refit = true;
        self.tell_ages();
        self.cells_kept += 1;
        if self.cells_kept >= KEEP_CELLS_EVERY {
            self.keep_cells().await;
        }
    }

    fn touch(&mut self) {
        self.dirty.get_or_insert_with(Instant::now);
    }

    /// Brings what is published in line with what is observed, and starts what takes longer.
    async fn settle(&mut self) {
        let failed = self.settle_health().await.err();
        if let Some(error) = &failed {
            // Still dirty: the next event tries again. Events come by the thousand, the log does not.
            counter!("nearside_publish_failures_total").increment(1);
            if !self.publish_failed {
                error!(error = error as &dyn std::error::Error, "cannot publish health");
            }
        }
        self.publish_failed = failed.is_some();
        while self.job.is_none() {
            let started = match self.applies.pop_front() {
                Some(apply) => self.start_apply(apply).await,
                None => break,
            };
            told(started);
        }
        if self.job.is_none() {
            told(self.start_refresh().await);
        }
    }

    async fn settle_health(&mut self) -> Result<(), PublishError> {
        let (Some(since), Some(published)) = (self.dirty, self.published.clone()) else {
            return Ok(());
        };
        let now = self.clock.now();
        let observed = self.world.observe(&self.world.policy, &self.world.targets);
        let current = &published.health.value;
        let Plan { health, map, why, waits } =
            plan::plan(&self.world.policy, &observed, current, now);
        if health != **current {
            let generation = self.next(Channel::Health).await?;
            let policy = published.policy.generation;
            let health = Part::encode(generation, policy, Arc::new(health))?;
            self.publish(Publication { health, ..published });
            self.remember(why, now);
            histogram!("nearside_publish_seconds").record(since.elapsed().as_secs_f64());
        }
        if waits != self.waits {
            for wait in waits.iter().filter(|wait| !self.waits.contains(wait)) {
                warn!("{wait}");
            }
            self.waits = waits;
        }
        self.wanted = map;
        self.dirty = None;
        Ok(())
    }

    fn publish(&mut self, next: Publication) {
        if let Some(made) = self.made.clone() {
            let snapshot = next.snapshot();
            self.explained.store(Some(Arc::new(Explained { made, snapshot })));
        }
        self.publications.send_replace(Some(Arc::new(next.clone())));
        self.published = Some(next);
    }

    /// The next generation of a channel, its ceiling persisted first.
    async fn next(&mut self, channel: Channel) -> Result<Generation, StoreError> {
        let epoch = self.generations.epoch();
        if let Some(ceiling) = self.generations.wanted_ceiling(channel) {
            self.in_store(move |store| store.reserve(epoch, channel, ceiling)).await?;
            self.generations.reserved(channel, ceiling);
        }
        match self.generations.next(channel) {
            Some(generation) => Ok(generation),
            None => Err(StoreError::NotReserved),
        }
    }

    /// Runs a store operation on a thread that may block.
    async fn in_store<T: Send + 'static>(
        &self,
        body: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = Arc::clone(&self.store);
        match tokio::task::spawn_blocking(move || body(&store)).await {
            Ok(result) => result,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    async fn keep_cells(&mut self) {
        self.cells_kept = 0;
        if self.world.cells.is_empty() {
            return;
        }
        let cells = self.world.cells.clone();
        let kept = self.in_store(move |store| match codec::encode(&cells) {
            Ok(blob) => store.keep_blob(CELLS_BLOB, &blob),
            Err(_) => Ok(()),
        });
        if let Err(error) = kept.await {
            warn!(error = &error as &dyn std::error::Error, "cannot keep measurement");
        }
    }

    fn remember(&mut self, changes: Vec<Change>, now: Now) {
        for change in changes {
            let text = change.to_string();
            if change.is_first_word() {
                debug!("{text}");
            } else {
                info!("{text}");
            }
            if let Change::Verdict { to, .. } = &change {
                let to = plan::verdict_word(*to);
                counter!("nearside_verdict_changes_total", "to" => to).increment(1);
            }
            if self.changes.len() == CHANGES_MAX {
                self.changes.pop_back();
            }
            self.changes.push_front(Told { at_unix_ms: now.unix_ms, text, change });
        }
    }
}

fn told(started: Result<(), PublishError>) {
    if let Err(error) = started {
        error!(error = &error as &dyn std::error::Error, "cannot start a compilation");
    }
}

fn kept_cells(store: &Store) -> Result<Cells, StoreError> {
    let Some(blob) = store.blob(CELLS_BLOB)? else { return Ok(Cells::default()) };
    Ok(codec::decode(&blob).unwrap_or_else(|error| {
        warn!(%error, "measurement from before is not readable; starting anew");
        Cells::default()
    }))
}

/// Why something could not be published.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error("the store does not take a new generation")]
    Store(#[from] StoreError),
    #[error(transparent)]
    Part(#[from] PartError),
}

#[cfg(test)]
mod tests;
