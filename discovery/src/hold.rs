//! Everything that is held of a server, and what each change does to it.
//!
//! Pure: changes in, records for the disk out. An object that cannot be read is put aside with its
//! reason and what was held of it before stays; it never stops another.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::gateway::{GatewayObjects, ObjectKind};
use model::name::ObjectRef;
use serde_json::Value;

use crate::follow::{Change, Order};
use crate::item::{Content, Item};
use crate::journal::{Loaded, LoadedKind, Reached, Record};
use crate::resource::{KINDS, plural};

/// Objects put aside that are remembered; more are counted as they come, not kept.
const QUARANTINE_MAX: usize = 1_000;

/// How a kind came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// It is not.
    Not,
    /// From disk; the server has not been reached yet.
    FromDisk,
    /// From the server.
    Live,
    /// The server does not have it, or does not let us read it.
    Without,
}

/// An object that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Its kind.
    pub kind: ObjectKind,
    /// Which one.
    pub object: ObjectRef,
    /// The generation that cannot be read.
    pub generation: i64,
    /// Why.
    pub message: String,
    /// Its `spec.parentRefs`, as far as it has any.
    pub(crate) parents: Vec<Value>,
    /// Its version and status.
    pub(crate) entry: Entry,
}

/// What is known of an object besides its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `metadata.resourceVersion`.
    pub(crate) version: u64,
    /// Digest of our part of its status.
    pub(crate) status: u64,
    /// Digest of what is read of it; 0 when that is in doubt.
    digest: u64,
}

#[cfg(test)]
impl Entry {
    /// An object at a version, with a status of this digest.
    pub(crate) fn of(version: u64, status: u64) -> Self {
        Self { version, status, digest: 0 }
    }
}

/// What a change did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// For the disk.
    pub(crate) records: Vec<Record>,
    /// Objects that changed in meaning.
    pub(crate) changed: usize,
    /// Objects whose entry is another than before: their meaning, version or status.
    pub(crate) touched: Vec<ObjectRef>,
}

#[derive(Debug)]
struct KindHold {
    known: Known,
    entries: HashMap<ObjectRef, Entry>,
}

/// What is held.
#[derive(Debug)]
pub(crate) struct Hold {
    kinds: BTreeMap<ObjectKind, KindHold>,
    objects: Arc<GatewayObjects>,
    quarantine: BTreeMap<(ObjectKind, ObjectRef), Quarantined>,
}

impl Hold {
    /// Nothing.
    pub(crate) fn new() -> Self {
        let empty = || KindHold { known: Known::Not, entries: HashMap::new() };
        Self {
            kinds: KINDS.into_iter().map(|kind| (kind, empty())).collect(),
            objects: Arc::default(),
            quarantine: BTreeMap::new(),
        }
    }

    /// Takes what was on disk; gives the versions from which to go on.
    pub(crate) fn resume(&mut self, loaded: Loaded) -> BTreeMap<ObjectKind, u64> {
        let mut versions = BTreeMap::new();
        for (kind, LoadedKind { reached, objects }) in loaded.kinds {
            let known = match reached {
                None => continue,
                Some(Reached::Absent) => Known::Without,
                Some(Reached::Version(version)) => {
                    versions.insert(kind, version);
                    Known::FromDisk
                }
            };
            for (object, read) in objects {
                let content = serde_json::from_slice(&read.json)
                    .map_or(Content::Unused, |json| Content::read(&json));
                let generation = 0;
                let (version, status) = (read.version, read.status);
                self.put(kind, Item { object, version, generation, status, content });
            }
            self.set_known(kind, known);
        }
        versions
    }

    /// Takes a change.
    pub(crate) fn take(&mut self, kind: ObjectKind, change: Change<Item>) -> Taken {
        match change {
            Change::Put(item) => self.put(kind, item),
            Change::Remove(item) => self.remove(kind, &item.object),
            Change::Reached(version) => {
                Taken { records: vec![reached(kind, version)], ..Taken::default() }
            }
            Change::Replace { version, items, order } => {
                let mut taken = self.replace(kind, items, order);
                taken.records.push(reached(kind, version));
                self.set_known(kind, Known::Live);
                taken
            }
            Change::Absent => {
                let mut taken = self.replace(kind, Vec::new(), Order::Same);
                taken.records.push(Record::Absent { kind: plural(kind).to_owned() });
                self.set_known(kind, Known::Without);
                taken
            }
            Change::Forbidden => {
                if self.known(kind) == Known::Not {
                    self.set_known(kind, Known::Without);
                }
                Taken::default()
            }
            Change::Refused { .. } => Taken::default(),
        }
    }

    /// The objects.
    pub(crate) fn objects(&self) -> &Arc<GatewayObjects> {
        &self.objects
    }

    /// What is known of an object; of one put aside, what is known of the version put aside.
    pub(crate) fn entry(&self, kind: ObjectKind, object: &ObjectRef) -> Option<Entry> {
        let aside = self.quarantine.get(&(kind, object.clone()));
        aside.map(|one| one.entry).or_else(|| self.held(kind, object))
    }

    fn held(&self, kind: ObjectKind, object: &ObjectRef) -> Option<Entry> {
        self.kinds.get(&kind)?.entries.get(object).copied()
    }

    /// Whether every kind is known, from wherever.
    pub(crate) fn is_complete(&self) -> bool {
        self.kinds.values().all(|kind| kind.known != Known::Not)
    }

    /// How a kind came to be known.
    pub(crate) fn known(&self, kind: ObjectKind) -> Known {
        self.kinds.get(&kind).map_or(Known::Not, |held| held.known)
    }

    /// The objects put aside.
    pub(crate) fn quarantine(&self) -> impl Iterator<Item = &Quarantined> {
        self.quarantine.values()
    }

    fn set_known(&mut self, kind: ObjectKind, known: Known) {
        if let Some(held) = self.kinds.get_mut(&kind) {
            held.known = known;
        }
    }

    fn replace(&mut self, kind: ObjectKind, items: Vec<Item>, order: Order) -> Taken {
        let listed: HashSet<ObjectRef> = items.iter().map(|item| item.object.clone()).collect();
        let held = self.kinds.get(&kind).into_iter().flat_map(|held| held.entries.keys());
        let mut gone: Vec<ObjectRef> =
            held.filter(|object| !listed.contains(*object)).cloned().collect();
        gone.sort();
        if order == Order::Rewound {
            // Versions of before say nothing, on disk neither: everything is written again.
            self.forget(kind);
        }
        let mut taken = Taken::default();
        for item in items {
            let held = self.held(kind, &item.object);
            if held.is_none_or(|entry| entry.digest == 0 || entry.version != item.version) {
                taken.add(self.put(kind, item));
            }
        }
        for object in gone {
            taken.add(self.remove(kind, &object));
        }
        self.quarantine.retain(|(of, object), _| *of != kind || listed.contains(object));
        taken
    }

    fn forget(&mut self, kind: ObjectKind) {
        let held = self.kinds.get_mut(&kind);
        for entry in held.into_iter().flat_map(|held| held.entries.values_mut()) {
            entry.digest = 0;
        }
    }

    fn put(&mut self, kind: ObjectKind, item: Item) -> Taken {
        let Item { object, version, generation, status, content } = item;
        let Some(held) = self.kinds.get_mut(&kind) else { return Taken::default() };
        match content {
            Content::Unused => self.remove(kind, &object),
            Content::Bad { message, parents } => {
                let is_known = self.quarantine.contains_key(&(kind, object.clone()));
                if is_known || self.quarantine.len() < QUARANTINE_MAX {
                    let entry = Entry { version, status, digest: 0 };
                    let subject = (kind, object.clone());
                    let one = Quarantined { kind, object, generation, message, parents, entry };
                    let touched = vec![one.object.clone()];
                    self.quarantine.insert(subject, one);
                    return Taken { touched, ..Taken::default() };
                }
                Taken::default()
            }
            Content::Read { object: read, json, digest } => {
                self.quarantine.remove(&(kind, object.clone()));
                // The name that the object has itself: one copy of it is enough.
                let own = read.meta().object.clone();
                let before = held.entries.insert(own, Entry { version, status, digest });
                let touched = vec![object.clone()];
                if before.is_some_and(|before| before.digest == digest) {
                    return Taken { touched, ..Taken::default() };
                }
                Arc::make_mut(&mut self.objects).put(read);
                let record = Record::Put {
                    kind: plural(kind).to_owned(),
                    namespace: object.namespace.to_string(),
                    name: object.name.to_string(),
                    version,
                    status,
                    json,
                };
                Taken { records: vec![record], changed: 1, touched }
            }
        }
    }

    fn remove(&mut self, kind: ObjectKind, object: &ObjectRef) -> Taken {
        self.quarantine.remove(&(kind, object.clone()));
        let touched = vec![object.clone()];
        let held = self.kinds.get_mut(&kind);
        if held.and_then(|held| held.entries.remove(object)).is_none() {
            return Taken { touched, ..Taken::default() };
        }
        Arc::make_mut(&mut self.objects).remove(kind, object);
        let record = Record::Remove {
            kind: plural(kind).to_owned(),
            namespace: object.namespace.to_string(),
            name: object.name.to_string(),
        };
        Taken { records: vec![record], changed: 1, touched }
    }
}

impl Taken {
    /// Adds what another change did.
    pub(crate) fn add(&mut self, more: Self) {
        let Self { records, changed, touched } = more;
        self.records.extend(records);
        self.changed += changed;
        self.touched.extend(touched);
    }
}

fn reached(kind: ObjectKind, version: u64) -> Record {
    Record::Reached { kind: plural(kind).to_owned(), version }
}

#[cfg(test)]
mod tests;
