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
use tracing::{error, info, warn};

use crate::clock::{Clock, Now};
use crate::compile::{self, Compiled, Documents, Made};
use crate::generation::Generations;
use crate::guard::{self, Difference, Override, Removals};
use crate::handle::{Applied, Author, Config, OrderError, Ordered, Refused};
use crate::latency::Cells;
use crate::plan::{self, Because, Change, MapInputs, Plan, Wait};
use crate::probe::Probed;
use crate::publication::{Channel, Have, Part, PartError, Publication};
use crate::status::{RefusedStatus, Status, Told};
use crate::store::{Act, AuditRecord, Store, StoreError};
use crate::target::Targets;
use crate::world::{Reported, World};

mod order;
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

/// Who waits for the compilation under way.
enum Job {
    Apply { targets: Arc<Targets>, difference: Difference, apply: Apply },
    Refresh,
}

type Done = Result<Option<Compiled>, CompileError>;

#[derive(Debug, thiserror::Error)]
enum CompileError {
    #[error("the compiler failed")]
    Panicked,
    #[error(transparent)]
    Part(#[from] PartError),
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
    applies: VecDeque<Apply>,
    job: Option<Job>,
    done: (mpsc::Sender<Done>, Option<mpsc::Receiver<Done>>),
    /// Since when a plan is wanted.
    dirty: Option<Instant>,
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
            let policy = Arc::clone(&publication.policy.value);
            World::resume(policy, &publication.health.value, clock.now())
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
            applies: VecDeque::new(),
            job: None,
            done: (done, Some(finished)),
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
                _ = results.recv_many(&mut batch, RESULTS_BATCH) => {
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
        if let Err(error) = self.settle_health().await {
            // Still dirty: the next event tries again.
            error!(error = &error as &dyn std::error::Error, "cannot publish health");
        }
        if self.job.is_some() {
            return;
        }
        let started = match self.applies.pop_front() {
            Some(apply) => self.start_apply(apply).await,
            None => self.start_refresh().await,
        };
        if let Err(error) = started {
            error!(error = &error as &dyn std::error::Error, "cannot start a compilation");
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

    async fn start_apply(&mut self, apply: Apply) -> Result<(), PublishError> {
        let now = self.clock.now();
        let difference = match self.admit(&apply, now) {
            Ok(difference) => difference,
            Err(refusals) => {
                let told = refusals.iter().map(ToString::to_string).collect();
                self.refused = Some(RefusedStatus { at_unix_ms: now.unix_ms, refusals: told });
                let _ = apply.reply.send(Err(Refused::Guard(refusals)));
                return Ok(());
            }
        };
        let policy = Arc::clone(&apply.policy);
        let targets = Arc::new(Targets::of(&policy));
        let observed = self.world.observe(&policy, &targets);
        let health = self.carried_health(&policy);
        let inputs = plan::plan(&policy, &observed, &health, now).map;
        let same = self.published.as_ref().filter(|published| *published.policy.value == *policy);
        let (documents, because) = match same.map(|published| published.policy.clone()) {
            Some(part) if self.made.is_some() => {
                // They mean what they meant before.
                let _ = apply.reply.send(Ok(self.applied(difference, &part)));
                return Ok(());
            }
            Some(part) => (Documents::Published(part), Because::Start),
            None => match self.next(Channel::Policy).await {
                Ok(generation) => (Documents::New(policy, generation), Because::Documents),
                Err(error) => {
                    let _ = apply.reply.send(Err(Refused::Failed(error.to_string())));
                    return Err(error.into());
                }
            },
        };
        let job = Job::Apply { targets, difference, apply };
        self.compile(documents, inputs, vec![because], job).await
    }

    fn applied(&self, difference: Difference, _policy: &Part<Policy>) -> Applied {
        let have = self.published.as_ref().map(Publication::have).unwrap_or_default();
        Applied { have, difference }
    }

    fn admit(&self, apply: &Apply, now: Now) -> Result<Difference, Vec<guard::Refusal>> {
        let current = &self.world.policy;
        let admitted = guard::admit_documents(current, &apply.policy, &self.removals, now.unix_ms);
        match (admitted, &apply.overruled) {
            (Err(_), Some(_)) => Ok(Difference::between(current, &apply.policy)),
            (admitted, _) => admitted,
        }
    }

    /// The published health by the next policy's ids.
    fn carried_health(&self, next: &Policy) -> steering::Health {
        self.published.as_ref().map_or_else(Default::default, |published| {
            plan::carry(&published.health.value, &published.policy.value, next)
        })
    }

    async fn start_refresh(&mut self) -> Result<(), PublishError> {
        let Some(published) = &self.published else { return Ok(()) };
        let because = match &self.made {
            None => vec![Because::Start],
            Some(made) => plan::because(&made.inputs, &self.wanted),
        };
        if because.is_empty() && !self.refit {
            return Ok(());
        }
        if because.is_empty() && self.made.is_some() && self.world.cells.is_empty() {
            self.refit = false;
            return Ok(());
        }
        let documents = Documents::Published(published.policy.clone());
        let inputs = self.wanted.clone();
        self.compile(documents, inputs, because, Job::Refresh).await
    }

    async fn compile(
        &mut self,
        policy: Documents,
        inputs: MapInputs,
        because: Vec<Because>,
        job: Job,
    ) -> Result<(), PublishError> {
        self.refit = false;
        let map_generation = match self.next(Channel::Map).await {
            Ok(generation) => generation,
            Err(error) => {
                if let Job::Apply { apply, .. } = job {
                    let _ = apply.reply.send(Err(Refused::Failed(error.to_string())));
                }
                return Err(error.into());
            }
        };
        let documents = match &policy {
            Documents::New(policy, _) => policy,
            Documents::Published(part) => &part.value,
        };
        let order = compile::Order {
            cells: self.world.cells.now(documents, self.clock.now().unix_ms),
            policy,
            locales: Arc::clone(&self.locales),
            published: self.made.clone(),
            inputs,
            map_generation,
            because,
        };
        self.job = Some(job);
        let done = self.done.0.clone();
        tokio::spawn(async move {
            let started = Instant::now();
            let carried = tokio::task::spawn_blocking(|| compile::carry_out(order)).await;
            let result = match carried {
                Ok(result) => result.map_err(CompileError::from),
                Err(_) => Err(CompileError::Panicked),
            };
            histogram!("nearside_compile_seconds").record(started.elapsed().as_secs_f64());
            // The shell has stopped: nobody waits.
            let _ = done.send(result).await;
        });
        Ok(())
    }

    async fn finished(&mut self, done: Done) {
        let Some(job) = self.job.take() else { return };
        match (done, job) {
            (Ok(Some(compiled)), Job::Refresh) => self.finish_refresh(compiled),
            (Ok(None), Job::Refresh) => {}
            (Err(error), Job::Refresh) => {
                error!(error = &error as &dyn std::error::Error, "the last good map stays");
            }
            (Ok(Some(compiled)), Job::Apply { targets, difference, apply }) => {
                let finished = self.finish_apply(compiled, targets, difference, &apply).await;
                let finished = finished.map_err(|error| Refused::Failed(error.to_string()));
                let _ = apply.reply.send(finished);
            }
            (Ok(None), Job::Apply { apply, .. }) => {
                let _ = apply.reply.send(Err(Refused::Failed("nothing was compiled".to_owned())));
            }
            (Err(error), Job::Apply { apply, .. }) => {
                let _ = apply.reply.send(Err(Refused::Failed(error.to_string())));
            }
        }
    }

    fn finish_refresh(&mut self, compiled: Compiled) {
        let Some(published) = self.published.clone() else { return };
        let Compiled { policy, map, made, because } = compiled;
        if published.policy.generation != policy.generation {
            return;
        }
        self.made = Some(made);
        let moved = *map.value != *published.map.value;
        let map = if moved { map } else { published.map };
        self.publish(Publication { policy, map, health: published.health });
        if moved {
            self.remember(vec![Change::Map { because }], self.clock.now());
        }
        // Inputs may have moved while it was compiled.
        self.touch();
    }

    async fn finish_apply(
        &mut self,
        compiled: Compiled,
        targets: Arc<Targets>,
        difference: Difference,
        apply: &Apply,
    ) -> Result<Applied, PublishError> {
        let Compiled { policy, map, made, because: _ } = compiled;
        let now = self.clock.now();
        let accepted = Arc::clone(&policy.value);
        let current = self.carried_health(&accepted);
        let generation = self.next(Channel::Health).await?;
        let observed = self.world.observe(&accepted, &targets);
        let Plan { health, map: inputs, why, waits } =
            plan::plan(&accepted, &observed, &current, now);
        let health = Part::encode(generation, policy.generation, Arc::new(health))?;
        self.record_apply(&difference, apply, policy.generation, now).await?;
        self.world.accept(accepted, Arc::clone(&targets));
        self.targets.send_replace(targets);
        (self.made, self.wanted, self.waits) = (Some(made), inputs, waits);
        self.refused = None;
        let (policy_counter, summary) = (policy.generation.counter, difference.to_string());
        self.publish(Publication { policy, map, health });
        let mut changes = vec![Change::Documents { policy_counter, summary }];
        changes.extend(why);
        self.remember(changes, now);
        self.touch();
        let have = self.published.as_ref().map(Publication::have).unwrap_or_default();
        Ok(Applied { have, difference })
    }

    async fn record_apply(
        &mut self,
        difference: &Difference,
        apply: &Apply,
        generation: Generation,
        now: Now,
    ) -> Result<(), StoreError> {
        let objects = u32::try_from(difference.removed.len()).unwrap_or(u32::MAX);
        let (by, reason) = match &apply.overruled {
            Some(overruled) => (overruled.by.clone(), overruled.reason.clone()),
            None => ("documents".to_owned(), String::new()),
        };
        let mut acts = Vec::new();
        if objects > 0 {
            acts.push(Act::Remove { objects, policy_counter: generation.counter });
        }
        if apply.overruled.is_some() {
            let judged = guard::admit_documents(
                &self.world.policy,
                &apply.policy,
                &self.removals,
                now.unix_ms,
            );
            let refusals = judged.err().unwrap_or_default();
            let refusals = refusals.iter().map(ToString::to_string).collect();
            acts.push(Act::Override { refusals });
        }
        self.removals.note(now.unix_ms, objects);
        for act in acts {
            let (by, reason) = (by.clone(), reason.clone());
            let record = AuditRecord { at_unix_ms: now.unix_ms, by, act, reason };
            self.in_store(move |store| store.record(&record)).await?;
        }
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
            info!("{text}");
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
