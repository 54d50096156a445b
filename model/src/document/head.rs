//! `metadata`: what every document says of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields::{self, Fields};
use super::object::Kind;
use super::report::{Report, Span, Spanned};
use super::tree::Node;
use super::{slug, value};
use crate::gateway::{Meta, ObjectKind, SITE_LABEL};
use crate::name::{ObjectRef, SiteName};

/// `metadata.namespace` when it is absent, as in Kubernetes.
pub(super) const NAMESPACE_DEFAULT: &str = "default";

/// The head of a document.
#[derive(Debug, Clone)]
pub(super) struct Head {
    pub(super) object: ObjectRef,
    /// Of `metadata.name`.
    pub(super) span: Span,
    /// Of the document.
    pub(super) whole: Span,
    pub(super) labels: BTreeMap<Arc<str>, Arc<str>>,
    pub(super) site: Option<Spanned<SiteName>>,
    pub(super) annotations: Vec<(Arc<str>, Spanned<Arc<str>>)>,
    pub(super) created_s: i64,
    pub(super) generation: i64,
    pub(super) origin: Arc<str>,
    /// Whether the object could be named, if only with a name that is refused.
    pub(super) is_named: bool,
}

impl Head {
    /// An annotation's text with its place.
    pub(super) fn annotation(&self, key: &str) -> Option<&Spanned<Arc<str>>> {
        self.annotations.iter().find(|(known, _)| &**known == key).map(|(_, value)| value)
    }

    /// The part of it that gateway objects keep.
    pub(super) fn meta(&self) -> Meta {
        Meta {
            object: self.object.clone(),
            site: self.site.as_ref().map(|site| site.value.clone()),
            created_s: self.created_s,
            generation: self.generation,
            origin: Arc::clone(&self.origin),
        }
    }
}

/// Fields an API server sets, and others that nothing here goes by.
const IGNORED: &[&str] = &[
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "managedFields",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
];

/// In place of a name or namespace that could not be read; no document can have it.
const UNKNOWN: &str = "?";

/// Reads `metadata` of a document in the file at `path`. There is always a head, so that whatever
/// is wrong here hides nothing of what follows.
pub(super) fn read(
    kind: Kind,
    document: &mut Fields<'_, '_>,
    path: &str,
    report: &mut Report,
) -> Head {
    let whole = document.span();
    let mut head = Head {
        object: ObjectRef::new(UNKNOWN, UNKNOWN),
        span: whole,
        whole,
        labels: BTreeMap::new(),
        site: None,
        annotations: Vec::new(),
        created_s: 0,
        generation: 0,
        origin: format!("{path}:{}", whole.line).into(),
        is_named: false,
    };
    let open = |node, report: &mut Report| Fields::open("`metadata`", node, report);
    let Some(mut fields) = document.required("metadata", report, open) else { return head };
    fields.ignore(IGNORED);
    let name = fields.required("name", report, |node, report| read_name(kind, node, report));
    let namespace = read_namespace(kind, &mut fields, report);
    let labels = fields.optional("labels", report, read_labels).unwrap_or_default();
    let created_s = fields.optional("creationTimestamp", report, value::timestamp_s);
    let generation = fields.optional("generation", report, value::whole(0..=i64::MAX as u64));
    let annotations = fields.take("annotations");
    if let Some(entry) = annotations.filter(|_| has_annotations(kind)) {
        head.annotations = read_annotations(&entry.value, report);
    }
    fields.finish(report);
    head.span = name.as_ref().map_or(whole, |name| name.span);
    head.is_named = name.is_some() && namespace.is_some();
    let name = name.map_or_else(|| UNKNOWN.into(), |name| name.value);
    head.object = ObjectRef::new(namespace.unwrap_or(UNKNOWN), &name);
    head.site = read_site(&labels, report);
    head.labels = labels.into_iter().map(|(key, value)| (key, value.value)).collect();
    head.created_s = created_s.unwrap_or(0);
    head.generation = generation.unwrap_or(0);
    head
}

/// The name; one that is refused is given all the same, because others may refer to it.
fn read_name(kind: Kind, node: &Node<'_>, report: &mut Report) -> Option<Spanned<Arc<str>>> {
    let name = value::text(node, report)?;
    let (why, help) = match kind {
        Kind::Site => {
            let why = SiteName::new(name).err().map(|error| error.to_string());
            (why, slug::help_for_label(name))
        }
        _ => {
            let why = value::not_a_hostname(name)
                .or_else(|| has_upper(name).then(|| "it must be lower case".into()));
            (why, slug::help_for_labels(name))
        }
    };
    if let Some(why) = why {
        let message = format!("`{name}` is not a name for a {}: {why}", kind.name());
        report.error(node.span, message, help);
    }
    let value = Some(name).filter(|name| !name.is_empty())?;
    Some(Spanned { value: value.into(), span: node.span })
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|octet| octet.is_ascii_uppercase())
}

/// The namespace, or the empty one of cluster-scoped kinds.
fn read_namespace<'n>(
    kind: Kind,
    fields: &mut Fields<'n, '_>,
    report: &mut Report,
) -> Option<&'n str> {
    match fields.take("namespace") {
        Some(entry) if kind.is_cluster_scoped() => {
            let message = format!("a {} has no namespace", kind.name());
            report.error(entry.key_span, message, "remove this line");
            Some("")
        }
        Some(entry) => namespace_name(&entry.value, report),
        None if kind.is_cluster_scoped() => Some(""),
        None => Some(NAMESPACE_DEFAULT),
    }
}

/// A namespace's name (RFC 1123 label).
pub(super) fn namespace_name<'n>(node: &'n Node<'_>, report: &mut Report) -> Option<&'n str> {
    let name = value::text(node, report)?;
    if name.is_empty() || !is_namespace(name) {
        let help = slug::help_for_label(name);
        report.error(node.span, format!("`{name}` is not a namespace"), help);
        return None;
    }
    Some(name)
}

/// Whether an object can be in a namespace of this name; the empty one is of cluster-scoped kinds.
pub(super) fn is_namespace(name: &str) -> bool {
    name.len() <= 63
        && !name.contains('.')
        && !has_upper(name)
        && (name.is_empty() || value::not_a_hostname(name).is_none())
}

type Label = (Arc<str>, Spanned<Arc<str>>);

fn read_labels(node: &Node<'_>, report: &mut Report) -> Option<Vec<Label>> {
    fields::map(node, report, |key, node, report| {
        let value = value::shared(node, report)?;
        if !is_label_value(&value) {
            let message = format!("`{value}` is not a label value");
            let help =
                "write up to 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends";
            report.error(node.span, message, help);
            return None;
        }
        Some((Arc::from(key.value), Spanned { value, span: node.span }))
    })
}

/// Whether annotations of this kind mean something here. Others are not even looked at: the largest
/// of them (`last-applied-configuration`) is as large as the object.
fn has_annotations(kind: Kind) -> bool {
    use ObjectKind::{Ingress, IngressClass, Service};
    matches!(kind, Kind::Gateway(Ingress | IngressClass | Service))
}

/// Annotations; what is no text is reported and left out.
fn read_annotations(node: &Node<'_>, report: &mut Report) -> Vec<(Arc<str>, Spanned<Arc<str>>)> {
    let all = fields::map(node, report, |key, node, report| {
        if key.value == LAST_APPLIED {
            return None;
        }
        let value = value::shared(node, report)?;
        Some((Arc::from(key.value), Spanned { value, span: key.span }))
    });
    all.unwrap_or_default()
}

/// What `kubectl apply` keeps of the object it was given.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

fn is_label_value(text: &str) -> bool {
    let octets = text.as_bytes();
    let inner = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let ends = |octet: Option<&u8>| octet.is_none_or(u8::is_ascii_alphanumeric);
    octets.len() <= 63 && octets.iter().all(inner) && ends(octets.first()) && ends(octets.last())
}

/// The site an object is bound to by its label.
fn read_site(labels: &[Label], report: &mut Report) -> Option<Spanned<SiteName>> {
    let (_, Spanned { value, span }) = labels.iter().find(|(key, _)| &**key == SITE_LABEL)?;
    let bad = |error| {
        let message = format!("`{value}` is not a site's name: {error}");
        report.error(*span, message, slug::help_for_label(value));
    };
    Some(Spanned { value: SiteName::new(value).map_err(bad).ok()?, span: *span })
}
