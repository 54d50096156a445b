//! The shell in the middle: changes of every kind in, one picture out, the log and the jobs beside.
//!
//! The first change is shown at once; who looks slower than changes come sees the last picture only,
//! so that a burst costs one compilation at a time, not one for each change.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use model::gateway::{GatewayObjects, ObjectKind};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use crate::follow::Change;
use crate::hold::{Hold, Known, Quarantined, Taken};
use crate::journal::{Journal, Record};
use crate::refusal::refusals;
use crate::wanted::{Job, Letters, Subject, Wanted};
use crate::watch::Batch;

/// Batches taken before the picture is shown again.
const BATCHES_MAX: usize = 256;
/// Statuses are compared with what was watched at most this often.
const COMPARE_EVERY: Duration = Duration::from_millis(100);
/// Statuses that are taken or compared before changes are looked for again: some microseconds each.
const COMPARE_MAX: usize = 256;
/// Records on their way to the disk. A disk that is further behind is given up.
const RECORDS_MAX: usize = 65_536;
/// Between two waits for the disk: what a crash may lose is watched again from there.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// What is known at a moment.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// Everything that could be read.
    pub objects: Arc<GatewayObjects>,
    /// Whether every kind is known, from the server or from disk. Before that a gateway must not say
    /// that it is ready.
    pub complete: Completeness,
    /// What could not be read.
    pub quarantined: Arc<[Quarantined]>,
    /// How each kind came to be known.
    pub kinds: Arc<[(ObjectKind, Known)]>,
}

/// Whether a picture can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Completeness {
    /// Something is still missing.
    #[default]
    Partial,
    /// Nothing is.
    Complete,
}

/// The middle.
pub(crate) struct Hub {
    pub(crate) hold: Hold,
    pub(crate) batches: mpsc::Receiver<Batch>,
    pub(crate) pictures: watch::Sender<Picture>,
    pub(crate) letters: Arc<Letters>,
    pub(crate) wanted: Wanted,
    pub(crate) jobs: watch::Sender<Arc<Vec<Job>>>,
    pub(crate) records: Option<mpsc::Sender<Vec<Record>>>,
    pub(crate) apis: HashMap<ObjectKind, &'static str>,
}

impl Hub {
    /// Takes batches until nobody sends any.
    pub(crate) async fn run(mut self) {
        let mut compare_at = None;
        loop {
            tokio::select! {
                batch = self.batches.recv() => {
                    let Some(batch) = batch else { return };
                    self.take_all(batch);
                }
                () = self.letters.arrived() => {}
                () = sleep_until(compare_at.unwrap_or_else(Instant::now)), if compare_at.is_some() => {
                    self.compare();
                    // What is left over has its turn after the changes that came meanwhile.
                    compare_at = self.wanted.is_doubtful().then(Instant::now);
                    continue;
                }
            }
            compare_at = compare_at.or_else(|| Some(Instant::now() + COMPARE_EVERY));
        }
    }

    fn take_all(&mut self, first: Batch) {
        let before = (self.hold.is_complete(), self.hold.quarantine().count());
        let mut taken = self.take(first);
        for _ in 0..BATCHES_MAX {
            let Ok(batch) = self.batches.try_recv() else { break };
            taken.add(self.take(batch));
        }
        let after = (self.hold.is_complete(), self.hold.quarantine().count());
        if taken.changed > 0 || before != after {
            self.show();
        }
        if !taken.records.is_empty() {
            self.keep(taken.records);
        }
    }

    fn take(&mut self, Batch { kind, api, changes }: Batch) -> Taken {
        self.apis.insert(kind, api);
        let mut taken = Taken::default();
        for change in changes {
            tell(kind, &change);
            taken.add(self.hold.take(kind, change));
        }
        for object in std::mem::take(&mut taken.touched) {
            self.wanted.touch((kind, object));
        }
        metrics::counter!("nearside_watch_changes_total", "kind" => kind.name())
            .increment(taken.changed as u64);
        taken
    }

    /// Shows what is known now.
    pub(crate) fn show(&self) {
        let complete = self.hold.is_complete();
        let kinds = ObjectKind::ALL.into_iter().map(|kind| (kind, self.hold.known(kind)));
        self.pictures.send_replace(Picture {
            objects: Arc::clone(self.hold.objects()),
            complete: if complete { Completeness::Complete } else { Completeness::Partial },
            quarantined: self.hold.quarantine().cloned().collect(),
            kinds: kinds.collect(),
        });
    }

    fn keep(&mut self, records: Vec<Record>) {
        let Some(sender) = &self.records else { return };
        if sender.try_send(records).is_err() {
            tracing::error!("the disk does not keep up: changes are no longer kept for a restart");
            self.records = None;
        }
    }

    /// Takes what was told, and finds the statuses that say something else than they should. An object
    /// that was put aside says so, whatever its last good version would say.
    fn compare(&mut self) {
        self.wanted.tell(self.letters.take());
        let wanted = &self.wanted;
        let refused = refusals(self.hold.quarantine(), |subject| wanted.is_wanted(subject));
        self.wanted.refuse(refused);
        let (hold, apis) = (&self.hold, &self.apis);
        let known = |(kind, object): &Subject| {
            let api = apis.get(kind).copied().unwrap_or_else(|| kind.versions()[0]);
            Some((hold.entry(*kind, object)?, api))
        };
        if self.wanted.compare(COMPARE_MAX, known) {
            self.jobs.send_replace(Arc::new(self.wanted.open()));
        }
    }
}

fn tell<T>(kind: ObjectKind, change: &Change<T>) {
    let kind = kind.name();
    match change {
        Change::Forbidden => tracing::warn!(kind, "the API server does not let us read this kind"),
        Change::Refused { version, held } => {
            tracing::warn!(
                kind,
                version,
                held,
                "the API server answers with an older state; what is held stays"
            );
        }
        Change::Replace { version, items, .. } => {
            tracing::debug!(kind, version, count = items.len(), "listed");
        }
        Change::Absent => tracing::debug!(kind, "the API server does not have this kind"),
        Change::Put(_) | Change::Remove(_) | Change::Reached(_) => {}
    }
}

/// Starts what takes records to the disk; it ends when the sender does, with everything written.
pub(crate) fn keep(journal: Journal) -> (mpsc::Sender<Vec<Record>>, tokio::task::JoinHandle<()>) {
    let (sender, receiver) = mpsc::channel(RECORDS_MAX);
    (sender, tokio::spawn(append(journal, receiver)))
}

async fn append(mut journal: Journal, mut records: mpsc::Receiver<Vec<Record>>) {
    let mut sync_at = None;
    loop {
        let next = tokio::select! {
            next = records.recv() => next,
            () = sleep_until(sync_at.unwrap_or_else(Instant::now)), if sync_at.is_some() => Some(Vec::new()),
        };
        let is_end = next.is_none();
        let mut batch = next.unwrap_or_default();
        while let Ok(more) = records.try_recv() {
            batch.extend(more);
        }
        let is_due = is_end || sync_at.is_some_and(|at| at <= Instant::now());
        sync_at = if is_due { None } else { sync_at.or_else(|| Some(Instant::now() + SYNC_EVERY)) };
        let done = tokio::task::spawn_blocking(move || {
            let kept = journal.append(&batch);
            let kept = if is_due { kept.and_then(|()| journal.sync()) } else { kept };
            (journal, kept)
        });
        let Ok((back, kept)) = done.await else { return };
        journal = back;
        if let Err(error) = kept {
            tracing::error!(%error, "what is watched can no longer be kept for a restart");
            return;
        }
        if is_end {
            return;
        }
    }
}
