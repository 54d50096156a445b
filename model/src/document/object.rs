//! What a document is: its `apiVersion` and `kind`, and which kinds there are.

use std::sync::Arc;

use super::fields::{self, Fields};
use super::report::{Report, Spanned};
use super::suggest;
use super::tree::{Node, Value};

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
    (
        "gateway.networking.k8s.io/v1",
        &[
            "BackendTLSPolicy",
            "GRPCRoute",
            "GatewayClass",
            "ListenerSet",
            "ReferenceGrant",
            "TCPRoute",
            "TLSRoute",
            "UDPRoute",
        ],
    ),
    ("gateway.networking.k8s.io/v1beta1", &["GatewayClass", "ReferenceGrant"]),
    (
        "gateway.networking.k8s.io/v1alpha2",
        &["GRPCRoute", "ReferenceGrant", "TCPRoute", "TLSRoute", "UDPRoute"],
    ),
    ("gateway.networking.k8s.io/v1alpha3", &["BackendTLSPolicy", "TLSRoute"]),
    (NEARSIDE, &["Function"]),
];

impl Kind {
    /// The kind as written.
    pub(super) fn name(self) -> &'static str {
        KINDS.iter().find(|(_, _, kind)| *kind == self).map_or("?", |(_, name, _)| name)
    }

    /// Whether its objects have no namespace.
    pub(super) fn is_cluster_scoped(self) -> bool {
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
