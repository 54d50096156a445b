//! What is said in the status of documents: typed here, rendered to upstream's JSON on demand.
//!
//! Only what this gateway decides is in it: entries of other controllers, and the times of
//! transitions, are kept by whoever writes the status.

mod news;
mod sockets;

use std::borrow::Cow;
use std::sync::Arc;

use model::gateway::{GATEWAY_CONTROLLER, GATEWAY_GROUP, ObjectKind, ParentKind, ParentRef};
use model::name::ObjectRef;
use serde_json::{Value, json};

pub use self::news::{News, Statuses};
pub(crate) use self::sockets::with_sockets;
use crate::socket::Place;
use crate::view::Warning;

/// Who we are, in `controller` of IngressClasses.
pub const INGRESS_CONTROLLER: &str = "nearside.dev/ingress-controller";
/// Upstream's limit on parents and ancestors of a status.
const PARENTS_MAX: usize = 32;
const ANCESTORS_MAX: usize = 16;

/// The status of one object, to be merged into what the API server has.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusUpdate {
    /// Kind, with its group.
    pub kind: ObjectKind,
    /// The preferred version of the kind.
    pub version: &'static str,
    /// Which object.
    pub object: ObjectRef,
    /// `metadata.generation` that it is about.
    pub generation: i64,
    /// `file:line`, or what the API server calls it.
    pub origin: Arc<str>,
    /// `status`. Conditions have no `lastTransitionTime`; parents and ancestors are ours only.
    pub status: Value,
    /// Conditions that are false, each with its place, for people.
    pub faults: Vec<String>,
}

/// A condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Condition {
    pub(crate) kind: &'static str,
    pub(crate) holds: bool,
    pub(crate) reason: &'static str,
    pub(crate) message: Cow<'static, str>,
}

impl Condition {
    pub(crate) fn yes(kind: &'static str, reason: &'static str) -> Self {
        Self { kind, holds: true, reason, message: Cow::Borrowed("") }
    }

    pub(crate) fn no(
        kind: &'static str,
        reason: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { kind, holds: false, reason, message: message.into() }
    }

    fn json(&self, generation: i64) -> Value {
        json!({
            "type": self.kind,
            "status": if self.holds { "True" } else { "False" },
            "reason": self.reason,
            "message": self.message,
            "observedGeneration": generation,
        })
    }

    /// `Conflicted` is good news when it is false.
    fn fault(&self) -> Option<String> {
        let bad = self.holds == (self.kind == "Conflicted");
        bad.then(|| format!("{} is {}: {} ({})", self.kind, self.holds, self.reason, self.message))
    }
}

/// The status of one listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListenerStatus {
    pub(crate) name: Arc<str>,
    pub(crate) kinds: Vec<ObjectKind>,
    pub(crate) attached: u32,
    pub(crate) conditions: Vec<Condition>,
    /// Where it listens.
    pub(crate) places: Vec<Place>,
}

/// What a route is told about one of its parents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ParentStatus {
    pub(crate) parent: ParentRef,
    /// `Accepted` and `ResolvedRefs`.
    pub(crate) conditions: Box<[Condition]>,
}

/// A status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Detail {
    GatewayClass(Vec<Condition>),
    Gateway {
        addresses: Vec<String>,
        sets: usize,
        conditions: Vec<Condition>,
        listeners: Vec<ListenerStatus>,
    },
    ListenerSet {
        conditions: Vec<Condition>,
        listeners: Vec<ListenerStatus>,
    },
    Route(Arc<[ParentStatus]>),
    /// By Gateway.
    Policy(Vec<(ObjectRef, Vec<Condition>)>),
    Ingress(Arc<[String]>),
}

/// The status of one object. It is rendered when somebody wants to read it: as JSON 40,000 of them
/// would be most of a gateway's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectStatus {
    pub(crate) kind: ObjectKind,
    pub(crate) object: ObjectRef,
    pub(crate) generation: i64,
    pub(crate) origin: Arc<str>,
    pub(crate) detail: Detail,
}

/// Upstream's names of the features that hold here, in order, for `supportedFeatures`
/// (docs/gateway-api.md says by which tests).
pub(crate) const FEATURES: &[&str] = &[
    "BackendTLSPolicy",
    "BackendTLSPolicySANValidation",
    "GRPCRoute",
    "GRPCRouteNamedRouteRule",
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayBackendClientCertificate",
    "GatewayFrontendClientCertificateValidation",
    "GatewayFrontendClientCertificateValidationInsecureFallback",
    "GatewayHTTPListenerIsolation",
    "GatewayHTTPSListenerDetectMisdirectedRequests",
    "GatewayPort8080",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolH2C",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
    "TCPRoute",
    "TLSRoute",
    "TLSRouteModeMixed",
    "TLSRouteModeTerminate",
    "UDPRoute",
];

impl ObjectStatus {
    /// The kind of the object.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        self.kind
    }

    /// Which object.
    #[must_use]
    pub fn object(&self) -> &ObjectRef {
        &self.object
    }

    /// Whether it is about the same object as another.
    pub(crate) fn is_about(&self, other: &Self) -> bool {
        self.kind == other.kind && self.object == other.object
    }

    /// As the API server takes it.
    #[must_use]
    pub fn render(&self) -> StatusUpdate {
        StatusUpdate {
            kind: self.kind,
            version: self.kind.versions()[0],
            object: self.object.clone(),
            generation: self.generation,
            origin: Arc::clone(&self.origin),
            status: self.json(),
            faults: self.faults(),
        }
    }

    fn json(&self) -> Value {
        let conditions = |all: &[Condition]| -> Vec<Value> {
            all.iter().map(|one| one.json(self.generation)).collect()
        };
        let listeners = |all: &[ListenerStatus]| -> Vec<Value> {
            let one = |listener: &ListenerStatus| {
                let kind = |kind: &ObjectKind| json!({"group": kind.group(), "kind": kind.name()});
                json!({
                    "name": listener.name,
                    "supportedKinds": listener.kinds.iter().map(kind).collect::<Vec<_>>(),
                    "attachedRoutes": listener.attached,
                    "conditions": conditions(&listener.conditions),
                })
            };
            all.iter().map(one).collect()
        };
        match &self.detail {
            Detail::GatewayClass(all) => {
                let feature = |name: &&str| json!({ "name": name });
                let features: Vec<Value> = FEATURES.iter().map(feature).collect();
                json!({"conditions": conditions(all), "supportedFeatures": features})
            }
            Detail::Gateway { addresses, sets, conditions: all, listeners: each } => {
                let address = |value: &String| json!({"type": "IPAddress", "value": value});
                json!({
                    "addresses": addresses.iter().map(address).collect::<Vec<_>>(),
                    "attachedListenerSets": sets,
                    "conditions": conditions(all),
                    "listeners": listeners(each),
                })
            }
            Detail::ListenerSet { conditions: all, listeners: each } => {
                json!({"conditions": conditions(all), "listeners": listeners(each)})
            }
            Detail::Route(parents) => {
                let one = |parent: &ParentStatus| {
                    json!({
                        "parentRef": parent_json(&parent.parent, &self.object),
                        "controllerName": GATEWAY_CONTROLLER,
                        "conditions": conditions(&parent.conditions),
                    })
                };
                json!({"parents": parents.iter().take(PARENTS_MAX).map(one).collect::<Vec<_>>()})
            }
            Detail::Policy(ancestors) => {
                let one = |(gateway, all): &(ObjectRef, Vec<Condition>)| {
                    json!({
                        "ancestorRef": {
                            "group": GATEWAY_GROUP,
                            "kind": "Gateway",
                            "namespace": gateway.namespace,
                            "name": gateway.name,
                        },
                        "controllerName": GATEWAY_CONTROLLER,
                        "conditions": conditions(all),
                    })
                };
                let all = ancestors.iter().take(ANCESTORS_MAX).map(one);
                json!({"ancestors": all.collect::<Vec<_>>()})
            }
            Detail::Ingress(addresses) => {
                let address = |ip: &String| json!({ "ip": ip });
                let addresses: Vec<Value> = addresses.iter().map(address).collect();
                json!({"loadBalancer": {"ingress": addresses}})
            }
        }
    }

    /// Conditions that are not as they should be, with where the object is from.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = Warning> {
        let one = |text| Warning { origin: Arc::clone(&self.origin), text };
        self.faults().into_iter().map(one)
    }

    /// Conditions that are not as they should be, each with its place.
    fn faults(&self) -> Vec<String> {
        let of = |what: String, all: &[Condition]| -> Vec<String> {
            let faults = all.iter().filter_map(Condition::fault);
            faults.map(|fault| format!("{what}: {fault}")).collect()
        };
        let own = || format!("{} `{}`", self.kind.name(), self.object);
        let each = |listeners: &[ListenerStatus]| -> Vec<String> {
            let one = |listener: &ListenerStatus| {
                let name = format!("listener `{}` of {}", listener.name, own());
                of(name, &listener.conditions)
            };
            listeners.iter().flat_map(one).collect()
        };
        match &self.detail {
            Detail::GatewayClass(all) => of(own(), all),
            Detail::Gateway { conditions, listeners, .. }
            | Detail::ListenerSet { conditions, listeners } => {
                [of(own(), conditions), each(listeners)].concat()
            }
            Detail::Route(parents) => parents
                .iter()
                .flat_map(|one| {
                    of(format!("{} at `{}`", own(), one.parent.object), &one.conditions)
                })
                .collect(),
            Detail::Policy(ancestors) => ancestors
                .iter()
                .flat_map(|(gateway, all)| of(format!("{} at `{gateway}`", own()), all))
                .collect(),
            Detail::Ingress(_) => Vec::new(),
        }
    }
}

/// The reference as the route has it: what was left out is left out here.
fn parent_json(parent: &ParentRef, route: &ObjectRef) -> Value {
    let (group, kind): (&str, &str) = match &parent.kind {
        ParentKind::Gateway => (GATEWAY_GROUP, "Gateway"),
        ParentKind::ListenerSet => (GATEWAY_GROUP, "ListenerSet"),
        ParentKind::Other(group, kind) => (group, kind),
    };
    let mut reference = json!({"group": group, "kind": kind, "name": parent.object.name});
    if parent.object.namespace != route.namespace {
        reference["namespace"] = json!(parent.object.namespace);
    }
    if let Some(section) = &parent.section {
        reference["sectionName"] = json!(section);
    }
    if let Some(port) = parent.port {
        reference["port"] = json!(port);
    }
    reference
}
