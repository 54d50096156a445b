//! Which statuses are wanted, and which of them the server does not have yet.
//!
//! Pure. One change costs what it touches: a status is rendered when it is told, when its object
//! changed, and when it is written; between them only its digest is held. Rule: `open` is always what
//! comparing every wanted status with its object would give, for those that are not `doubtful`.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use model::gateway::ObjectKind;
use model::name::ObjectRef;
use serde_json::Value;
use tokio::sync::Notify;

use crate::hold::Entry;
use crate::status;

/// An object.
pub(crate) type Subject = (ObjectKind, ObjectRef);

/// What a status says: made when somebody asks, because the JSON of 40,000 statuses would be most of
/// the memory of whoever keeps it.
#[derive(Clone)]
pub struct Said(Arc<dyn Fn() -> Value + Send + Sync>);

impl Said {
    /// What `make` gives: the same whenever it is asked.
    #[must_use]
    pub fn by(make: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        Self(Arc::new(make))
    }

    /// As JSON.
    pub(crate) fn json(&self) -> Value {
        (self.0)()
    }
}

impl From<Value> for Said {
    fn from(value: Value) -> Self {
        Self::by(move || value.clone())
    }
}

impl fmt::Debug for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Said({})", self.json())
    }
}

/// A status that an object should have.
#[derive(Debug, Clone)]
pub struct ObjectStatus {
    /// Its kind.
    pub kind: ObjectKind,
    /// Which one.
    pub object: ObjectRef,
    /// The status as the kind has it, with our entries alone in shared lists and without times.
    pub status: Said,
}

/// A status to write.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) kind: ObjectKind,
    /// The version of the kind's API that the server has.
    pub(crate) api: &'static str,
    pub(crate) object: ObjectRef,
    /// The object's version when the job was made.
    pub(crate) version: u64,
    pub(crate) digest: u64,
    pub(crate) status: Said,
}

/// What is told by one and taken by another: of several words about one object the last counts, so
/// that nothing piles up beyond the objects there are.
#[derive(Debug, Default)]
pub(crate) struct Letters {
    /// `None`: nothing is wanted of it any more.
    letters: Mutex<HashMap<Subject, Option<Said>>>,
    arrived: Notify,
}

impl Letters {
    /// Tells of statuses, and of objects that are to be left alone.
    pub(crate) fn send(&self, told: Vec<ObjectStatus>, gone: Vec<Subject>) {
        // What a panic left behind is a map like any other.
        let mut letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner);
        letters.extend(gone.into_iter().map(|subject| (subject, None)));
        let told = told.into_iter();
        letters.extend(told.map(|one| ((one.kind, one.object), Some(one.status))));
        drop(letters);
        self.arrived.notify_one();
    }

    /// Waits until there is something to take. Nothing is lost when this future is dropped.
    pub(crate) async fn arrived(&self) {
        self.arrived.notified().await;
    }

    /// Takes all.
    pub(crate) fn take(&self) -> HashMap<Subject, Option<Said>> {
        std::mem::take(&mut *self.letters.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[derive(Debug)]
struct Want {
    digest: u64,
    status: Said,
}

impl Want {
    fn new(status: Said) -> Self {
        Self { digest: status::digest(&status.json()), status }
    }
}

/// The statuses that are wanted.
#[derive(Debug, Default)]
pub(crate) struct Wanted {
    /// Letters to be read, the older first.
    unread: VecDeque<(Subject, Option<Said>)>,
    wants: HashMap<Subject, Want>,
    /// Of objects that cannot be read: said in place of what is wanted of their last good version.
    refusals: BTreeMap<Subject, Want>,
    /// To be compared with the object.
    doubtful: BTreeSet<Subject>,
    /// To be written.
    open: BTreeMap<Subject, Job>,
}

impl Wanted {
    /// Takes what was told; it is read in turns, as the rest is compared.
    pub(crate) fn tell(&mut self, letters: HashMap<Subject, Option<Said>>) {
        self.unread.extend(letters);
    }

    /// Wants a status, or nothing any more.
    fn want(&mut self, subject: Subject, status: Option<Said>) {
        match status.map(Want::new) {
            Some(want) => drop(self.wants.insert(subject.clone(), want)),
            None => drop(self.wants.remove(&subject)),
        }
        self.doubtful.insert(subject);
    }

    /// Whether something is wanted of an object.
    pub(crate) fn is_wanted(&self, subject: &Subject) -> bool {
        self.wants.contains_key(subject)
    }

    /// An object, or its status, changed.
    pub(crate) fn touch(&mut self, subject: Subject) {
        if self.wants.contains_key(&subject) || self.refusals.contains_key(&subject) {
            self.doubtful.insert(subject);
        }
    }

    /// Replaces the statuses of objects that cannot be read.
    pub(crate) fn refuse(&mut self, statuses: Vec<ObjectStatus>) {
        let made = statuses.into_iter();
        let next: BTreeMap<Subject, Want> =
            made.map(|one| ((one.kind, one.object), Want::new(one.status))).collect();
        let before = std::mem::replace(&mut self.refusals, next);
        let digest = |of: &BTreeMap<Subject, Want>, subject| of.get(subject).map(|one| one.digest);
        for subject in before.keys().chain(self.refusals.keys()) {
            if digest(&before, subject) != digest(&self.refusals, subject) {
                self.doubtful.insert(subject.clone());
            }
        }
    }

    /// Reads up to `count` letters and compares as many objects with what is wanted of them: `known`
    /// gives an object's entry and the version of its API. Whether anything changed in what is to be
    /// written.
    pub(crate) fn compare(
        &mut self,
        count: usize,
        known: impl Fn(&Subject) -> Option<(Entry, &'static str)>,
    ) -> bool {
        let letters = self.unread.len().min(count);
        let read: Vec<_> = self.unread.drain(..letters).collect();
        for (subject, status) in read {
            self.want(subject, status);
        }
        let mut changed = false;
        for _ in 0..count {
            let Some(subject) = self.doubtful.pop_first() else { break };
            let want = self.refusals.get(&subject).or_else(|| self.wants.get(&subject));
            let found = want.zip(known(&subject));
            let wrong = found.filter(|(want, (entry, _))| entry.status != want.digest);
            let job = wrong.map(|(want, (entry, api))| Job {
                kind: subject.0,
                api,
                object: subject.1.clone(),
                version: entry.version,
                digest: want.digest,
                status: want.status.clone(),
            });
            changed |= match job {
                Some(job) => {
                    self.open.insert(subject, job);
                    true
                }
                None => self.open.remove(&subject).is_some(),
            };
        }
        changed
    }

    /// Whether there is more to compare.
    pub(crate) fn is_doubtful(&self) -> bool {
        !(self.doubtful.is_empty() && self.unread.is_empty())
    }

    /// What is to be written.
    pub(crate) fn open(&self) -> Vec<Job> {
        self.open.values().cloned().collect()
    }
}

#[cfg(test)]
mod tests;
