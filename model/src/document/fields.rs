//! Strict reading of a mapping: each field is asked for by name, and what nobody asked for is an
//! error. A reader returns `None` only after it has reported why, so that a run goes on to the next
//! error; values read after an error are never used.

use std::sync::Arc;

use super::report::{Report, Span, Spanned};
use super::suggest;
use super::tree::{Entry, Node, Value};

/// A mapping under reading.
#[derive(Debug)]
pub(super) struct Fields<'n, 't> {
    /// What the mapping is, for messages: `spec of the Site`.
    what: &'static str,
    span: Span,
    entries: &'n [Entry<'t>],
    known: Vec<&'static str>,
    ignored: Vec<&'static [&'static str]>,
}

impl<'n, 't> Fields<'n, 't> {
    /// Opens a mapping; anything else is an error.
    pub(super) fn open(
        what: &'static str,
        node: &'n Node<'t>,
        report: &mut Report,
    ) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self {
                what,
                span: node.span,
                entries,
                known: Vec::with_capacity(16),
                ignored: Vec::new(),
            }),
            Value::List(_) | Value::Scalar(_) => {
                let help = "write `key: value` lines below it, indented, or `{key: value}`";
                expected(node, &format!("a mapping ({what})"), help, report);
                None
            }
        }
    }

    /// Where the mapping starts.
    pub(super) fn span(&self) -> Span {
        self.span
    }

    /// Takes a field's entry; null counts as absent, as in Kubernetes.
    pub(super) fn take(&mut self, key: &'static str) -> Option<&'n Entry<'t>> {
        self.known.push(key);
        self.entries.iter().find(|entry| entry.key == key && !entry.value.is_null())
    }

    /// A field that may be absent.
    pub(super) fn optional<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        read: impl FnOnce(&'n Node<'t>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        read(&self.take(key)?.value, report)
    }

    /// A field that must be there.
    pub(super) fn required<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        read: impl FnOnce(&'n Node<'t>, &mut Report) -> Option<T>,
    ) -> Option<T> {
        match self.take(key) {
            Some(entry) => read(&entry.value, report),
            None => {
                let help = format!("add `{key}: {}`", example(key));
                report.error(self.span, format!("{} has no `{key}`", self.what), help);
                None
            }
        }
    }

    /// A list that may be absent, which is the same as empty.
    pub(super) fn list<T>(
        &mut self,
        key: &'static str,
        report: &mut Report,
        read: impl FnMut(&'n Node<'t>, &mut Report) -> Option<T>,
    ) -> Vec<T> {
        self.optional(key, report, |node, report| list(node, report, read)).unwrap_or_default()
    }

    /// Fields of the upstream schema that change nothing here.
    pub(super) fn ignore(&mut self, keys: &'static [&'static str]) {
        self.ignored.push(keys);
    }

    /// Fields of the upstream schema whose absence here changes behaviour: taken with a warning.
    pub(super) fn ignore_with_warning(
        &mut self,
        keys: &'static [&'static str],
        report: &mut Report,
    ) {
        for key in keys {
            if let Some(entry) = self.take(key) {
                let message = format!("`{key}` is not supported yet and is ignored");
                report.warn(entry.key_span, message, "remove it, or expect the default behaviour");
            }
        }
    }

    /// Exactly one of the fields must be there. Gives every one that is, so that mistakes within
    /// each are found.
    pub(super) fn exactly_one(
        &mut self,
        keys: &'static [&'static str],
        report: &mut Report,
    ) -> Vec<(&'static str, &'n Node<'t>)> {
        let found: Vec<_> = keys.iter().filter_map(|key| Some((*key, self.take(key)?))).collect();
        match found[..] {
            [_] => {}
            [] => {
                let message = format!("{} needs one of {}", self.what, listed(keys));
                let key = keys.first().copied().unwrap_or_default();
                let help = format!("add one of them, for example `{key}: {}`", example(key));
                report.error(self.span, message, help);
            }
            [(first, _), (key, second), ..] => {
                report_together(first, (key, second.key_span), report);
            }
        }
        found.into_iter().map(|(key, entry)| (key, &entry.value)).collect()
    }

    /// Reports every field nobody asked for, unless the schema is somebody else's to hold.
    pub(super) fn finish(self, report: &mut Report) {
        if report.is_lenient() {
            return;
        }
        for entry in self.entries {
            let is_ignored = || self.ignored.iter().any(|keys| keys.contains(&&*entry.key));
            if self.known.iter().any(|key| *key == entry.key) || is_ignored() {
                continue;
            }
            let message = format!("unknown field `{}` in {}", entry.key, self.what);
            let help = if report.is_full() {
                "correct those above, then check again".into()
            } else {
                suggest::help_for(&entry.key, "fields here", self.known.iter().copied())
            };
            report.error(entry.key_span, message, help);
        }
    }
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// What may follow a field's colon, for helps that ask for the field.
fn example(key: &str) -> &'static str {
    match key {
        "addresses" => "[192.0.2.1]",
        "addressType" => "IPv4",
        "apex" => "edge.example",
        "apiVersion" => "nearside.dev/v1alpha1",
        "backend" => "{service: {name: ..., port: {number: 80}}}",
        "cidrs" => "[192.0.2.0/24]",
        "country" => "CN",
        "data" => "...` with the record's text, or a list of them, as in `data: 192.0.2.1",
        "fence" => "{match: [country]}",
        "from" => "\"08:00\"",
        "hostnames" => "[www.edge.example]",
        "http" => "{path: /healthz}",
        "kind" => "Site",
        "lat" => "31.23",
        "locale" | "location" => "{country: CN}",
        "lon" => "121.47",
        "match" => "[country]",
        "max" => "1",
        "metadata" => "{name: ...}",
        "number" | "port" => "80",
        "pathType" => "Prefix",
        "percent" => "10",
        "protocol" => "HTTP",
        "service" => "{name: ..., port: {number: 80}}",
        "spec" => "{...}` with the fields of its kind, as `{...}` or indented below `spec:",
        "targetRefs" => "[{kind: GlobalService, name: ...}]",
        "tier" => "access`, `aggregation` or `core",
        "type" => "...` with one of the known types, as in `type: TXT",
        _ => "...",
    }
}

/// Reports a field that cannot stand beside another.
pub(super) fn report_together(first: &str, (key, span): (&str, Span), report: &mut Report) {
    let message = format!("`{key}` cannot be given together with `{first}`");
    report.error(span, message, format!("give one of `{first}` and `{key}`, remove the other"));
}

/// Reports that a node is not what was wanted.
pub(super) fn expected(
    node: &Node<'_>,
    wanted: &str,
    help: impl Into<String>,
    report: &mut Report,
) {
    let message = format!("expected {wanted}, found {}", node.describe());
    report.error(node.span, message, help);
}

/// A list whose items are read one by one; bad items are reported and left out.
pub(super) fn list<'n, 't, T>(
    node: &'n Node<'t>,
    report: &mut Report,
    mut read: impl FnMut(&'n Node<'t>, &mut Report) -> Option<T>,
) -> Option<Vec<T>> {
    match &node.value {
        Value::List(items) => {
            let mut found: Vec<T> = items.iter().filter_map(|item| read(item, report)).collect();
            // Most lists have one item and are held for long: no room for three more.
            found.shrink_to_fit();
            Some(found)
        }
        Value::Map(_) | Value::Scalar(_) => {
            let help = "write `[...]`, or a line `- ...` for each item";
            expected(node, "a list", help, report);
            None
        }
    }
}

/// One value or a list of them.
pub(super) fn one_or_more<'n, 't, T>(
    node: &'n Node<'t>,
    report: &mut Report,
    mut read: impl FnMut(&'n Node<'t>, &mut Report) -> Option<T>,
) -> Option<Vec<T>> {
    match &node.value {
        Value::List(_) => list(node, report, read),
        Value::Map(_) | Value::Scalar(_) => Some(vec![read(node, report)?]),
    }
}

/// A mapping with free keys (labels, weights), each read with its key.
pub(super) fn map<'n, 't, T>(
    node: &'n Node<'t>,
    report: &mut Report,
    mut read: impl FnMut(&Spanned<&'n str>, &'n Node<'t>, &mut Report) -> Option<T>,
) -> Option<Vec<T>> {
    let Value::Map(entries) = &node.value else {
        expected(node, "a mapping", "write `{name: value}`", report);
        return None;
    };
    let read_entry = |entry: &'n Entry<'t>| {
        let key = Spanned { value: &*entry.key, span: entry.key_span };
        read(&key, &entry.value, report)
    };
    Some(entries.iter().filter_map(read_entry).collect())
}

/// Turns a reader into one that keeps the place.
pub(super) fn spanned<'n, 't: 'n, T>(
    read: impl FnOnce(&'n Node<'t>, &mut Report) -> Option<T>,
) -> impl FnOnce(&'n Node<'t>, &mut Report) -> Option<Spanned<T>> {
    move |node, report| Some(Spanned { value: read(node, report)?, span: node.span })
}

/// Text with its place; most references are read so.
pub(super) fn named(node: &Node<'_>, report: &mut Report) -> Option<Spanned<Arc<str>>> {
    let value = super::value::text(node, report)?;
    Some(Spanned { value: value.into(), span: node.span })
}
