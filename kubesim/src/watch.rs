//! What a watch is told: the state it begins with, then every event it selects, in order.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::refusal::Refusal;
use crate::resource::Resource;
use crate::selector::Selector;
use crate::store::{Event, Store};
use crate::table::table;

/// A watch as asked for.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) resource: Arc<Resource>,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) selector: Selector,
    pub(crate) form: Form,
    pub(crate) bookmarks: bool,
    pub(crate) timeout_s: u64,
}

/// How objects are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Whole.
    Whole,
    /// `PartialObjectMetadata`.
    Metadata,
    /// Rows of a table, with ages as of this second.
    Table(i64),
}

/// Where a watch begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Start {
    /// With the present state as ADDED events.
    Now,
    /// The same, and a bookmark that ends it (`sendInitialEvents`).
    Streamed,
    /// After a version.
    After(u64),
}

impl Watch {
    /// The first lines, and the version from which to go on.
    pub(crate) fn begin(&self, store: &Store, start: Start) -> (Vec<Value>, u64) {
        let now = store.version();
        if let Start::After(version) = start {
            return (Vec::new(), version);
        }
        let present = store.list(&self.resource, self.namespace.as_deref());
        let selected = present.iter().filter(|object| self.selector.matches(object));
        let mut lines: Vec<Value> = selected.map(|object| self.line("ADDED", object)).collect();
        if start == Start::Streamed {
            let mut line = self.bookmark(now);
            line["object"]["metadata"]["annotations"] =
                json!({"k8s.io/initial-events-end": "true"});
            lines.push(line);
        }
        (lines, now)
    }

    /// The lines after a version, and the version from which to go on.
    pub(crate) fn next(&self, store: &Store, after: u64) -> Result<(Vec<Value>, u64), Refusal> {
        let events = store.events_after(after)?;
        let lines = events.filter_map(|event| self.told(event)).collect();
        Ok((lines, after.max(store.version())))
    }

    /// A bookmark.
    pub(crate) fn bookmark(&self, version: u64) -> Value {
        let api_version = self.resource.api_version(&self.version);
        let (kind, api_version) = match self.form {
            Form::Whole => (self.resource.kind.as_str(), api_version.as_str()),
            Form::Table(_) => ("Table", "meta.k8s.io/v1"),
            Form::Metadata => ("PartialObjectMetadata", "meta.k8s.io/v1"),
        };
        let metadata = json!({"resourceVersion": version.to_string()});
        json!({"type": "BOOKMARK", "object": {"kind": kind, "apiVersion": api_version, "metadata": metadata}})
    }

    fn told(&self, event: &Event) -> Option<Value> {
        let resource = &self.resource;
        let is_of = event.key.group == resource.group && event.key.plural == resource.plural;
        let is_there = self.namespace.as_ref().is_none_or(|wanted| event.key.namespace == *wanted);
        if !is_of || !is_there {
            return None;
        }
        let selected = |object: &&Arc<Value>| self.selector.matches(object);
        let before = event.before.as_ref().filter(selected);
        match (before, event.after.as_ref().filter(selected)) {
            (None, None) => None,
            (None, Some(object)) => Some(self.line("ADDED", object)),
            (Some(_), Some(object)) => Some(self.line("MODIFIED", object)),
            (Some(object), None) => {
                let mut line = self.line("DELETED", object);
                line["object"]["metadata"]["resourceVersion"] = event.version.to_string().into();
                Some(line)
            }
        }
    }

    fn line(&self, kind: &str, object: &Value) -> Value {
        json!({"type": kind, "object": show(object, &self.resource, &self.version, self.form)})
    }
}

/// An object in a version and a form.
pub(crate) fn show(object: &Value, resource: &Resource, version: &str, form: Form) -> Value {
    match form {
        Form::Whole => {
            let mut shown = object.clone();
            shown["apiVersion"] = resource.api_version(version).into();
            shown
        }
        Form::Table(now_s) => table((resource, version), [object], &json!({}), now_s),
        Form::Metadata => json!({
            "kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"],
        }),
    }
}
