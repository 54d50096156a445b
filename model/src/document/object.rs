//! What a document is: its `apiVersion` and `kind`, and which kinds there are.

use std::sync::Arc;

use super::fields::{self, Fields};
use super::report::{Report, Spanned};
use super::suggest;
use super::tree::{Node, Value};
use crate::gateway::ObjectKind;

/// The group and version of Nearside's own kinds.
pub(super) const NEARSIDE: &str = "nearside.dev/v1alpha1";

/// A kind whose documents are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    Zone,
    Site,
    GlobalService,
    TrafficPolicy,
    LocaleMap,
    GuardPolicy,
    /// A gateway's object.
    Gateway(ObjectKind),
}

/// An apiVersion and one of its kinds.
type Row = (&'static str, &'static str, Kind);

const KINDS: &[Row] = &[
    (NEARSIDE, "Zone", Kind::Zone),
    (NEARSIDE, "Site", Kind::Site),
    (NEARSIDE, "GlobalService", Kind::GlobalService),
    (NEARSIDE, "TrafficPolicy", Kind::TrafficPolicy),
    (NEARSIDE, "LocaleMap", Kind::LocaleMap),
    (NEARSIDE, "GuardPolicy", Kind::GuardPolicy),
    ("networking.k8s.io/v1", "IngressClass", Kind::Gateway(ObjectKind::IngressClass)),
    ("networking.k8s.io/v1", "Ingress", Kind::Gateway(ObjectKind::Ingress)),
    ("gateway.networking.k8s.io/v1", "GatewayClass", Kind::Gateway(ObjectKind::GatewayClass)),
    ("gateway.networking.k8s.io/v1beta1", "GatewayClass", Kind::Gateway(ObjectKind::GatewayClass)),
    ("gateway.networking.k8s.io/v1", "Gateway", Kind::Gateway(ObjectKind::Gateway)),
    ("gateway.networking.k8s.io/v1beta1", "Gateway", Kind::Gateway(ObjectKind::Gateway)),
    ("gateway.networking.k8s.io/v1", "ListenerSet", Kind::Gateway(ObjectKind::ListenerSet)),
    ("gateway.networking.k8s.io/v1", "HTTPRoute", Kind::Gateway(ObjectKind::HttpRoute)),
    ("gateway.networking.k8s.io/v1beta1", "HTTPRoute", Kind::Gateway(ObjectKind::HttpRoute)),
    ("gateway.networking.k8s.io/v1", "GRPCRoute", Kind::Gateway(ObjectKind::GrpcRoute)),
    ("gateway.networking.k8s.io/v1alpha2", "GRPCRoute", Kind::Gateway(ObjectKind::GrpcRoute)),
    ("gateway.networking.k8s.io/v1", "TLSRoute", Kind::Gateway(ObjectKind::TlsRoute)),
    ("gateway.networking.k8s.io/v1alpha3", "TLSRoute", Kind::Gateway(ObjectKind::TlsRoute)),
    ("gateway.networking.k8s.io/v1alpha2", "TLSRoute", Kind::Gateway(ObjectKind::TlsRoute)),
    ("gateway.networking.k8s.io/v1", "TCPRoute", Kind::Gateway(ObjectKind::TcpRoute)),
    ("gateway.networking.k8s.io/v1alpha2", "TCPRoute", Kind::Gateway(ObjectKind::TcpRoute)),
    ("gateway.networking.k8s.io/v1", "UDPRoute", Kind::Gateway(ObjectKind::UdpRoute)),
    ("gateway.networking.k8s.io/v1alpha2", "UDPRoute", Kind::Gateway(ObjectKind::UdpRoute)),
    ("gateway.networking.k8s.io/v1", "ReferenceGrant", Kind::Gateway(ObjectKind::ReferenceGrant)),
    (
        "gateway.networking.k8s.io/v1beta1",
        "ReferenceGrant",
        Kind::Gateway(ObjectKind::ReferenceGrant),
    ),
    (
        "gateway.networking.k8s.io/v1alpha2",
        "ReferenceGrant",
        Kind::Gateway(ObjectKind::ReferenceGrant),
    ),
    (
        "gateway.networking.k8s.io/v1",
        "BackendTLSPolicy",
        Kind::Gateway(ObjectKind::BackendTlsPolicy),
    ),
    (
        "gateway.networking.k8s.io/v1alpha3",
        "BackendTLSPolicy",
        Kind::Gateway(ObjectKind::BackendTlsPolicy),
    ),
    (NEARSIDE, "HttpPolicy", Kind::Gateway(ObjectKind::HttpPolicy)),
    ("v1", "Service", Kind::Gateway(ObjectKind::Service)),
    ("discovery.k8s.io/v1", "EndpointSlice", Kind::Gateway(ObjectKind::EndpointSlice)),
    ("v1", "Secret", Kind::Gateway(ObjectKind::Secret)),
    ("v1", "ConfigMap", Kind::Gateway(ObjectKind::ConfigMap)),
    ("v1", "Namespace", Kind::Gateway(ObjectKind::Namespace)),
];

/// Kinds that go along with ours in the directories people have; nothing reads them yet.
const IGNORED: &[(&str, &[&str])] = &[
    (
        "v1",
        &[
            "Endpoints",
            "Event",
            "LimitRange",
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
    ("networking.k8s.io/v1", &["NetworkPolicy"]),
    ("rbac.authorization.k8s.io/v1", &["ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"]),
    ("apiextensions.k8s.io/v1", &["CustomResourceDefinition"]),
    ("coordination.k8s.io/v1", &["Lease"]),
    ("storage.k8s.io/v1", &["StorageClass"]),
    ("scheduling.k8s.io/v1", &["PriorityClass"]),
    (NEARSIDE, &["Function"]),
];

impl Kind {
    /// The kind as written.
    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, _, kind)| *kind == self).map_or("?", |(_, name, _)| name)
    }

    /// Whether its objects have no namespace.
    pub(super) fn is_cluster_scoped(self) -> bool {
        match self {
            Self::Gateway(kind) => kind.is_cluster_scoped(),
            _ => matches!(self, Self::Zone | Self::Site),
        }
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

/// Reads `apiVersion` and `kind`. A slip in one of them is reported and the document read as what
/// it is meant to be.
pub(super) fn recognize(fields: &mut Fields<'_, '_>, report: &mut Report) -> Option<Recognized> {
    let api_version = fields.take("apiVersion");
    let kind = fields.required("kind", report, fields::named);
    if api_version.is_none() {
        let row = KINDS.iter().find(|row| kind.as_ref().is_some_and(|kind| row.1 == &*kind.value));
        let help = format!("add `apiVersion: {}`", row.map_or(NEARSIDE, |row| row.0));
        report.error(fields.span(), "a document has no `apiVersion`", help);
    }
    let api_version = api_version.and_then(|entry| fields::named(&entry.value, report));
    let kind = kind?;
    let name = &*kind.value;
    let Some(api_version) = api_version else {
        return if name == "List" {
            Some(Recognized::List)
        } else {
            kind_alone(&kind, report).map(Recognized::Kind)
        };
    };
    let group = &*api_version.value;
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
    report_unknown(&api_version, &kind, report).map(Recognized::Kind)
}

/// The kind of a document that has no apiVersion.
fn kind_alone(kind: &Spanned<Arc<str>>, report: &mut Report) -> Option<Kind> {
    let name = &*kind.value;
    if let Some((_, _, kind)) = KINDS.iter().find(|row| row.1 == name) {
        return Some(*kind);
    }
    if IGNORED.iter().any(|(_, kinds)| kinds.contains(&name)) {
        return None;
    }
    suggest::nearest(name, KINDS.iter().map(|row| row.1))?;
    unknown_kind(kind, KINDS, report)
}

/// Reports what is unknown; gives the kind when it is clear which is meant.
fn report_unknown(
    api_version: &Spanned<Arc<str>>,
    kind: &Spanned<Arc<str>>,
    report: &mut Report,
) -> Option<Kind> {
    let (group, name) = (&*api_version.value, &*kind.value);
    let of_group =
        |group: &str| -> Vec<Row> { KINDS.iter().filter(|row| row.0 == group).copied().collect() };
    let own = of_group(group);
    if let Some((right, _, meant)) = KINDS.iter().find(|(_, known, _)| *known == name) {
        let message = match own.is_empty() {
            true => format!("unknown apiVersion `{group}`"),
            false => format!("a `{name}` is not of the apiVersion `{group}`"),
        };
        report.error(api_version.span, message, format!("write `{right}`"));
        return is_slip(group, right).then_some(*meant);
    }
    if !own.is_empty() {
        return unknown_kind(kind, &own, report);
    }
    let mut known: Vec<&str> = KINDS.iter().map(|row| row.0).collect();
    known.sort_unstable();
    known.dedup();
    let meant = known.iter().copied().find(|right| is_slip(group, right));
    let help = match meant {
        Some(right) => format!("did you mean `{right}`?"),
        None => suggest::help_for(group, "API versions read here", known),
    };
    report.error(api_version.span, format!("unknown apiVersion `{group}`"), help);
    let is_ignored =
        |(version, kinds): &(&str, &[&str])| Some(*version) == meant && kinds.contains(&name);
    if IGNORED.iter().any(is_ignored) {
        return None;
    }
    unknown_kind(kind, &of_group(meant?), report)
}

/// Reports a kind that is none of these; gives the one that is meant.
fn unknown_kind(kind: &Spanned<Arc<str>>, known: &[Row], report: &mut Report) -> Option<Kind> {
    let name = &*kind.value;
    let near = suggest::nearest(name, known.iter().map(|row| row.1));
    let help = suggest::help_for(name, "kinds of this apiVersion", known.iter().map(|row| row.1));
    report.error(kind.span, format!("unknown kind `{name}`"), help);
    // Of upstream's groups not every kind is known here: a near name may be another kind's.
    known.iter().find(|row| row.0 == NEARSIDE && Some(row.1) == near).map(|row| row.2)
}

/// Whether an apiVersion is another version of the right group, or a slip of the pen. Groups of
/// strangers have kinds of the same names (Istio's Gateway).
fn is_slip(found: &str, right: &str) -> bool {
    let group = |text: &'_ str| text.split_once('/').map(|(group, _)| group.to_owned());
    let same_group = group(found).is_some() && group(found) == group(right);
    same_group || suggest::nearest(found, [right].into_iter()).is_some()
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
            let help = "write each document as an item: `- apiVersion: ...`";
            fields::expected(other, "a list of documents", help, report);
            &[]
        }
        None => &[],
    }
}
