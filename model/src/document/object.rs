//! What every document starts with: `apiVersion`, `kind`, `metadata`; and which kinds there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fields::{self, Fields};
use super::report::{Report, Span, Spanned};
use super::tree::{Node, Value};
use super::{suggest, value};
use crate::gateway::{Meta, SITE_LABEL};
use crate::name::{ObjectRef, SiteName};

/// The group and version of Nearside's own kinds.
pub(super) const NEARSIDE: &str = "nearside.dev/v1alpha1";
/// `metadata.namespace` when it is absent, as in Kubernetes.
const NAMESPACE_DEFAULT: &str = "default";

/// A kind whose documents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Zone,
    Site,
    GlobalService,
    TrafficPolicy,
    LocaleMap,
    GuardPolicy,
    Ingress,
    Gateway,
    HttpRoute,
    Service,
    EndpointSlice,
    Secret,
}

const KINDS: &[(&str, &str, Kind)] = &[
    (NEARSIDE, "Zone", Kind::Zone),
    (NEARSIDE, "Site", Kind::Site),
    (NEARSIDE, "GlobalService", Kind::GlobalService),
    (NEARSIDE, "TrafficPolicy", Kind::TrafficPolicy),
    (NEARSIDE, "LocaleMap", Kind::LocaleMap),
    (NEARSIDE, "GuardPolicy", Kind::GuardPolicy),
    ("networking.k8s.io/v1", "Ingress", Kind::Ingress),
    ("gateway.networking.k8s.io/v1", "Gateway", Kind::Gateway),
    ("gateway.networking.k8s.io/v1beta1", "Gateway", Kind::Gateway),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", Kind::HttpRoute),
    ("gateway.networking.k8s.io/v1beta1", "HTTPRoute", Kind::HttpRoute),
    ("v1", "Service", Kind::Service),
    ("discovery.k8s.io/v1", "EndpointSlice", Kind::EndpointSlice),
    ("v1", "Secret", Kind::Secret),
];

/// Kinds that go along with ours in the directories people have; nothing reads them yet.
const IGNORED: &[(&str, &[&str])] = &[
    (
        "v1",
        &[
            "ConfigMap",
            "Endpoints",
            "Event",
            "LimitRange",
            "Namespace",
            "Node",
            "PersistentVolume",
            "PersistentVolumeClaim",
            "Pod",
            "PodTemplate",
            "ReplicationController",
            "ResourceQuota",
            "ServiceAccount",
        ],
    ),
    ("apps/v1", &["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"]),
    ("batch/v1", &["CronJob", "Job"]),
    ("autoscaling/v1", &["HorizontalPodAutoscaler"]),
    ("autoscaling/v2", &["HorizontalPodAutoscaler"]),
    ("policy/v1", &["PodDisruptionBudget"]),
    ("networking.k8s.io/v1", &["IngressClass", "NetworkPolicy"]),
    ("rbac.authorization.k8s.io/v1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("storage.k8s.io/v1", &["StorageClass"]),
    ("scheduling.k8s.io/v1", &["PriorityClass"]),
    ("gateway.networking.k8s.io/v1", &["BackendTLSPolicy", "GRPCRoute", "GatewayClass"]),
    ("gateway.networking.k8s.io/v1beta1", &["GatewayClass", "ReferenceGrant"]),
    ("gateway.networking.k8s.io/v1alpha2", &["TCPRoute", "TLSRoute", "UDPRoute"]),
    ("gateway.networking.k8s.io/v1alpha3", &["BackendTLSPolicy", "TLSRoute"]),
    (NEARSIDE, &["Function"]),
];

impl Kind {
    /// The kind as written.
    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, _, kind)| *kind == self).map_or("?", |(_, name, _)| name)
    }

    fn is_cluster_scoped(self) -> bool {
        matches!(self, Self::Zone | Self::Site)
    }
}

/// What a document's first two fields make of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recognized {
    /// To be read as this kind.
    Kind(Kind),
    /// A list of documents in `items`.
    List,
    /// Known, and nobody's business here (a warning).
    Ignored,
}

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
    pub(super) created_s: i64,
    pub(super) origin: Arc<str>,
}

impl Head {
    /// The part of it that gateway objects keep.
    pub(super) fn meta(&self) -> Meta {
        Meta {
            object: self.object.clone(),
            site: self.site.as_ref().map(|site| site.value.clone()),
            created_s: self.created_s,
            origin: Arc::clone(&self.origin),
        }
    }
}

/// Reads `apiVersion` and `kind`.
pub(super) fn recognize(fields: &mut Fields<'_, '_>, report: &mut Report) -> Option<Recognized> {
    let api_version = fields.required("apiVersion", report, fields::named);
    let kind = fields.required("kind", report, fields::named);
    let (api_version, kind) = (api_version?, kind?);
    let (group, name) = (&*api_version.value, &*kind.value);
    let found = KINDS.iter().find(|row| row.0 == group && row.1 == name);
    if let Some((_, _, kind)) = found {
        return Some(Recognized::Kind(*kind));
    }
    if group == "v1" && name == "List" {
        return Some(Recognized::List);
    }
    if IGNORED.iter().any(|(version, kinds)| *version == group && kinds.contains(&name)) {
        let message = format!("`{name}` is not read yet: this document is ignored");
        report.warn(kind.span, message, "nothing in it has any effect here");
        return Some(Recognized::Ignored);
    }
    report_unknown(&api_version, &kind, report);
    None
}

fn report_unknown(api_version: &Spanned<Arc<str>>, kind: &Spanned<Arc<str>>, report: &mut Report) {
    let (group, name) = (&*api_version.value, &*kind.value);
    if let Some((right, _, _)) = KINDS.iter().find(|(_, known, _)| *known == name) {
        let message = format!("unknown apiVersion `{group}` of `{name}`");
        report.error_with_help(api_version.span, message, format!("write `{right}`"));
        return;
    }
    let of_group: Vec<&str> = KINDS.iter().filter(|row| row.0 == group).map(|row| row.1).collect();
    if of_group.is_empty() {
        let known = KINDS.iter().map(|row| row.0);
        let mut known: Vec<&str> = known.collect();
        known.sort_unstable();
        known.dedup();
        let help = suggest::help_for(group, "API versions read here", known);
        report.error_with_help(api_version.span, format!("unknown apiVersion `{group}`"), help);
    } else {
        let help = suggest::help_for(name, "kinds of this apiVersion", of_group);
        report.error_with_help(kind.span, format!("unknown kind `{name}`"), help);
    }
}

/// Reads `metadata`. `place` is the document's and `path` its file's.
pub(super) fn read_head(
    kind: Kind,
    fields: &mut Fields<'_, '_>,
    path: &str,
    report: &mut Report,
) -> Option<Head> {
    let whole = fields.span();
    let node = &fields.required("metadata", report, |node, _| Some(node))?;
    let mut metadata = Fields::open("`metadata`", node, report)?;
    metadata.ignore(&[
        "annotations",
        "deletionGracePeriodSeconds",
        "deletionTimestamp",
        "finalizers",
        "generateName",
        "generation",
        "managedFields",
        "ownerReferences",
        "resourceVersion",
        "selfLink",
        "uid",
    ]);
    let name = metadata.required("name", report, |node, report| object_name(kind, node, report));
    let namespace = metadata.take("namespace");
    let labels = metadata.optional("labels", report, labels);
    let created_s = metadata.optional("creationTimestamp", report, value::timestamp_s);
    metadata.finish(report);
    let namespace = match namespace {
        Some(entry) if kind.is_cluster_scoped() => {
            let message = format!("a {} has no namespace", kind.name());
            report.error_with_help(entry.key_span, message, "remove this line");
            return None;
        }
        Some(entry) => namespace_name(&entry.value, report)?,
        None if kind.is_cluster_scoped() => "",
        None => NAMESPACE_DEFAULT,
    };
    let (name, labels) = (name?, labels.unwrap_or_default());
    let site = labels.iter().find(|(key, _)| &*key.value == SITE_LABEL).and_then(|(_, value)| {
        let site = SiteName::new(&value.value);
        let report_bad = |error| {
            report.error(value.span, format!("`{}` is not a site's name: {error}", value.value));
        };
        let value = site.map_err(report_bad).ok()?;
        Some(Spanned { value, span: labels_span(&labels, SITE_LABEL).unwrap_or(whole) })
    });
    Some(Head {
        object: ObjectRef::new(namespace, &name.value),
        span: name.span,
        whole,
        site,
        labels: labels.into_iter().map(|(key, value)| (key.value, value.value)).collect(),
        created_s: created_s.unwrap_or(0),
        origin: format!("{path}:{}", whole.line).into(),
    })
}

type Label = (Spanned<Arc<str>>, Spanned<Arc<str>>);

fn labels_span(labels: &[Label], key: &str) -> Option<Span> {
    labels.iter().find(|(found, _)| &*found.value == key).map(|(_, value)| value.span)
}

fn labels(node: &Node<'_>, report: &mut Report) -> Option<Vec<Label>> {
    fields::map(node, report, |key, node, report| {
        let value = value::shared(node, report)?;
        if !is_label_value(&value) {
            let message = format!("`{value}` is not a label value");
            let help = "up to 63 letters, digits, `-`, `_` and `.`, a letter or digit at both ends";
            report.error_with_help(node.span, message, help);
            return None;
        }
        let key = Spanned { value: Arc::from(key.value), span: key.span };
        Some((key, Spanned { value, span: node.span }))
    })
}

fn is_label_value(text: &str) -> bool {
    let octets = text.as_bytes();
    let inner = |octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let ends = |octet: Option<&u8>| octet.is_none_or(u8::is_ascii_alphanumeric);
    octets.len() <= 63 && octets.iter().all(inner) && ends(octets.first()) && ends(octets.last())
}

fn object_name(kind: Kind, node: &Node<'_>, report: &mut Report) -> Option<Spanned<Arc<str>>> {
    let name = value::text(node, report)?;
    let why = match kind {
        Kind::Site => SiteName::new(name).err().map(|error| error.to_string()),
        _ => value::not_a_hostname(name)
            .or_else(|| has_upper(name).then(|| "it must be lower case".into())),
    };
    if let Some(why) = why {
        report.error(node.span, format!("`{name}` is not a name for a {}: {why}", kind.name()));
        return None;
    }
    Some(Spanned { value: name.into(), span: node.span })
}

fn has_upper(text: &str) -> bool {
    text.bytes().any(|octet| octet.is_ascii_uppercase())
}

/// A namespace's name (RFC 1123 label).
pub(super) fn namespace_name<'n>(node: &'n Node<'_>, report: &mut Report) -> Option<&'n str> {
    let name = value::text(node, report)?;
    let fine = name.len() <= 63
        && !name.contains('.')
        && !has_upper(name)
        && value::not_a_hostname(name).is_none();
    if !fine {
        report.error(node.span, format!("`{name}` is not a namespace"));
        return None;
    }
    Some(name)
}

/// The `items` of a `kind: List`.
pub(super) fn list_items<'n, 't>(
    fields: &mut Fields<'n, 't>,
    report: &mut Report,
) -> &'n [Node<'t>] {
    fields.ignore(&["metadata"]);
    match fields.required("items", report, |node, _| Some(node)) {
        Some(Node { value: Value::List(items), .. }) => items,
        Some(other) => {
            fields::expected(other, "a list of documents", report);
            &[]
        }
        None => &[],
    }
}
