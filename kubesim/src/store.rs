//! The objects, the one resource version that counts every write, and the events still kept.
//!
//! Invariant: the version only rises, every write has one of its own, and every event after
//! `oldest` is in the ring.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::{Value, json};

use crate::managed::{Manager, managed_fields};
use crate::refusal::Refusal;
use crate::resource::{Catalog, Resource};
use crate::timestamp::rfc3339;

/// Lists that were given in part and can still be continued.
const PAGES_MAX: usize = 16;
/// Where versions begin: a real server has written its own objects by then.
const VERSION_FIRST: u64 = 100;

/// What identifies an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) group: String,
    pub(crate) plural: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// An object with the owners of its fields.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) object: Arc<Value>,
    pub(crate) managers: Vec<Manager>,
}

/// What a write did.
#[derive(Debug, Clone)]
pub(crate) struct Event {
    pub(crate) version: u64,
    pub(crate) key: Key,
    /// `None` before a creation.
    pub(crate) before: Option<Arc<Value>>,
    /// `None` after a deletion.
    pub(crate) after: Option<Arc<Value>>,
}

/// Everything a server knows.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) catalog: Catalog,
    /// Whether EndpointSlices may hold loopback addresses, which a real server refuses.
    pub(crate) allow_loopback: bool,
    version: u64,
    oldest: u64,
    window: usize,
    objects: BTreeMap<Key, Stored>,
    events: VecDeque<Event>,
    pages: VecDeque<(u64, Vec<Arc<Value>>)>,
    uids: u64,
}

impl Store {
    /// A server with its namespaces; `window` is how many events it keeps.
    pub(crate) fn new(window: usize) -> Self {
        let mut store = Self {
            catalog: Catalog::built_in(),
            allow_loopback: false,
            version: VERSION_FIRST,
            oldest: VERSION_FIRST,
            window,
            objects: BTreeMap::new(),
            events: VecDeque::new(),
            pages: VecDeque::new(),
            uids: 0,
        };
        for name in ["default", "kube-system"] {
            let labels = json!({"kubernetes.io/metadata.name": name});
            let object = json!({
                "apiVersion": "v1", "kind": "Namespace", "status": {"phase": "Active"},
                "metadata": {"name": name, "labels": labels, "uid": store.uid(), "creationTimestamp": rfc3339(0)},
            });
            let key = Key {
                group: String::new(),
                plural: "namespaces".to_owned(),
                namespace: String::new(),
                name: name.to_owned(),
            };
            store.write(key, Stored { object: Arc::new(object), managers: Vec::new() }, 0);
        }
        store.compact();
        store
    }

    /// The version of the last write.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// A fresh `metadata.uid`.
    pub(crate) fn uid(&mut self) -> String {
        self.uids += 1;
        format!("00000000-0000-4000-8000-{:012x}", self.uids)
    }

    /// An object.
    pub(crate) fn read(&self, key: &Key) -> Option<&Stored> {
        self.objects.get(key)
    }

    /// The objects of a resource, in one namespace or in all, by namespace and name.
    pub(crate) fn list(&self, resource: &Resource, namespace: Option<&str>) -> Vec<Arc<Value>> {
        let of = |key: &Key| key.group == resource.group && key.plural == resource.plural;
        let first = Key {
            group: resource.group.clone(),
            plural: resource.plural.clone(),
            namespace: String::new(),
            name: String::new(),
        };
        let range = self.objects.range(first..).take_while(|(key, _)| of(key));
        range
            .filter(|(key, _)| namespace.is_none_or(|wanted| key.namespace == wanted))
            .map(|(_, stored)| Arc::clone(&stored.object))
            .collect()
    }

    /// Writes an object under a new version and gives it as stored.
    pub(crate) fn write(&mut self, key: Key, stored: Stored, now_s: i64) -> Arc<Value> {
        self.version += 1;
        let Stored { object, managers } = stored;
        let mut object = Arc::unwrap_or_clone(object);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        if !managers.is_empty() {
            let api_version = object["apiVersion"].as_str().unwrap_or_default().to_owned();
            object["metadata"]["managedFields"] =
                managed_fields(&managers, &api_version, &rfc3339(now_s));
        }
        let object = Arc::new(object);
        let stored = Stored { object: Arc::clone(&object), managers };
        let before = self.objects.insert(key.clone(), stored).map(|stored| stored.object);
        let after = Some(Arc::clone(&object));
        self.push(Event { version: self.version, key, before, after });
        object
    }

    /// Removes an object; what was there, under the version of its removal.
    pub(crate) fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let stored = self.objects.remove(key)?;
        self.version += 1;
        let mut object = Arc::unwrap_or_clone(stored.object);
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(object);
        let before = Some(Arc::clone(&object));
        self.push(Event { version: self.version, key: key.clone(), before, after: None });
        Some(object)
    }

    fn push(&mut self, event: Event) {
        self.events.push_back(event);
        while self.events.len() > self.window {
            if let Some(gone) = self.events.pop_front() {
                self.oldest = gone.version;
            }
        }
    }

    /// Forgets every event and every page, as a compaction does.
    pub(crate) fn compact(&mut self) {
        self.events.clear();
        self.pages.clear();
        self.oldest = self.version;
    }

    /// What happened after a version; a version of the future has nothing yet.
    pub(crate) fn events_after(
        &self,
        version: u64,
    ) -> Result<impl Iterator<Item = &Event>, Refusal> {
        if version < self.oldest {
            return Err(Refusal::expired(version, self.oldest));
        }
        let first = self.events.partition_point(|event| event.version <= version);
        Ok(self.events.range(first..))
    }

    /// Keeps the rest of a list for its continuation.
    pub(crate) fn keep_page(&mut self, objects: Vec<Arc<Value>>) {
        if self.pages.len() == PAGES_MAX {
            self.pages.pop_front();
        }
        self.pages.push_back((self.version, objects));
    }

    /// A list kept under a version.
    pub(crate) fn page(&self, version: u64) -> Option<&[Arc<Value>]> {
        let found = self.pages.iter().rev().find(|(of, _)| *of == version);
        found.map(|(_, objects)| objects.as_slice())
    }
}
