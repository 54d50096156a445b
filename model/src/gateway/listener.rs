//! Gateways and their listeners.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{HostPattern, Meta, Reference};
use crate::name::ObjectRef;

/// A GatewayClass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewayClass {
    /// Metadata; the namespace is empty.
    pub meta: Meta,
    /// `spec.controllerName`.
    pub controller: Arc<str>,
    /// `spec.parametersRef`.
    pub parameters: Option<Reference>,
}

/// A Gateway.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gateway {
    /// Metadata.
    pub meta: Meta,
    /// `spec.gatewayClassName`.
    pub class: Arc<str>,
    /// `spec.listeners`.
    pub listeners: Vec<Listener>,
    /// `spec.addresses`: type (`IPAddress` by default) and value.
    pub addresses: Vec<(Arc<str>, Option<Arc<str>>)>,
    /// `spec.infrastructure.parametersRef`.
    pub parameters: Option<Reference>,
    /// `spec.allowedListeners.namespaces`; upstream's default is `None`.
    pub allowed_listeners: Option<NamespaceFilter>,
    /// `spec.tls.frontend`: the default, then overrides by port.
    pub client_validation: Option<ClientValidation>,
    /// `spec.tls.frontend.perPort`.
    pub client_validation_by_port: Vec<(u16, Option<ClientValidation>)>,
    /// `spec.tls.backend.clientCertificateRef`: what the gateway shows its backends.
    pub client_certificate: Option<Reference>,
}

/// A ListenerSet: listeners that another namespace adds to a Gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerSet {
    /// Metadata.
    pub meta: Meta,
    /// `spec.parentRef`: the Gateway (group and kind as written).
    pub parent: Reference,
    /// `spec.listeners`.
    pub listeners: Vec<Listener>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Section name.
    pub name: Arc<str>,
    /// Port.
    pub port: u16,
    /// What is spoken.
    pub protocol: ListenerProtocol,
    /// `None` matches every host.
    pub hostname: Option<HostPattern>,
    /// `tls`.
    pub tls: Option<ListenerTls>,
    /// `allowedRoutes.namespaces`; upstream's default is `Same`.
    pub namespaces: NamespaceFilter,
    /// `allowedRoutes.kinds`: group and kind; empty allows what the protocol does.
    pub kinds: Vec<(Arc<str>, Arc<str>)>,
}

/// `tls` of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListenerTls {
    /// Terminate (default) or pass through.
    pub mode: TlsMode,
    /// `certificateRefs`.
    pub certificates: Vec<Reference>,
    /// `options`.
    pub options: BTreeMap<Arc<str>, Arc<str>>,
}

/// Where TLS ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// Here.
    #[default]
    Terminate,
    /// At the backend.
    Passthrough,
}

/// What a listener speaks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ListenerProtocol {
    /// HTTP/1.1 and h2c.
    Http,
    /// TLS terminated here, HTTP/1.1 and HTTP/2 by ALPN.
    Https,
    /// TLS, by SNI to TLSRoutes, or terminated to TCPRoutes.
    Tls,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Something we do not speak.
    Other(Arc<str>),
}

/// Which namespaces objects may attach from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NamespaceFilter {
    /// All.
    All,
    /// The Gateway's (or ListenerSet's) own.
    #[default]
    Same,
    /// Those whose labels match.
    Selector(LabelSelector),
    /// None.
    None,
}

/// A label selector: all of it must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelSelector {
    /// `matchLabels`.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// `matchExpressions`.
    pub expressions: Vec<LabelExpression>,
}

/// One expression of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelExpression {
    /// The label.
    pub key: Arc<str>,
    /// How it is compared.
    pub operator: LabelOperator,
    /// With `In` and `NotIn`.
    pub values: Vec<Arc<str>>,
}

/// Operators of label expressions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LabelOperator {
    /// Present with one of the values.
    In,
    /// Absent, or with none of them.
    NotIn,
    /// Present.
    Exists,
    /// Absent.
    DoesNotExist,
}

impl LabelSelector {
    /// Whether labels are selected. An empty selector selects everything.
    #[must_use]
    pub fn matches(&self, labels: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
        let equal = self.labels.iter().all(|(key, value)| labels.get(key) == Some(value));
        equal
            && self.expressions.iter().all(|one| {
                let found = labels.get(&one.key);
                let listed = found.is_some_and(|value| one.values.contains(value));
                match one.operator {
                    LabelOperator::In => listed,
                    LabelOperator::NotIn => !listed,
                    LabelOperator::Exists => found.is_some(),
                    LabelOperator::DoesNotExist => found.is_none(),
                }
            })
    }
}

/// How clients' certificates are checked (GEP-91).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientValidation {
    /// ConfigMaps (`ca.crt`) or Secrets with the authorities.
    pub authorities: Vec<Reference>,
    /// `mode: AllowInsecureFallback`: a client without, or with a wrong one, is let in all the same.
    pub insecure_fallback: bool,
}

/// A ReferenceGrant: who may refer to objects of its namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReferenceGrant {
    /// Metadata; its namespace is the one referred to.
    pub meta: Meta,
    /// Who may refer.
    pub from: Vec<GrantFrom>,
    /// To what.
    pub to: Vec<GrantTo>,
}

/// Who may refer: objects of a kind in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrantFrom {
    /// API group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Namespace.
    pub namespace: Arc<str>,
}

/// What may be referred to: every object of a kind, or one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GrantTo {
    /// API group; empty is the core group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Only this one.
    pub name: Option<Arc<str>>,
}

/// A BackendTLSPolicy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendTlsPolicy {
    /// Metadata.
    pub meta: Meta,
    /// `spec.targetRefs`, in the policy's own namespace, with the port's name when given.
    pub targets: Vec<(Reference, Option<Arc<str>>)>,
    /// `validation.caCertificateRefs`.
    pub authorities: Vec<Reference>,
    /// `validation.wellKnownCACertificates`, `System` when it is that.
    pub well_known: Option<Arc<str>>,
    /// `validation.hostname`: the SNI, and, without `subject_alt_names`, the name that must be in the
    /// certificate.
    pub hostname: Arc<str>,
    /// `validation.subjectAltNames`.
    pub subject_alt_names: Vec<SubjectAltName>,
    /// `options`.
    pub options: BTreeMap<Arc<str>, Arc<str>>,
}

/// A name a backend's certificate must carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SubjectAltName {
    /// A DNS name, also `*.suffix`.
    Hostname(Arc<str>),
    /// A URI, such as a SPIFFE id.
    Uri(Arc<str>),
}

/// An IngressClass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IngressClass {
    /// Metadata; the namespace is empty.
    pub meta: Meta,
    /// `spec.controller`.
    pub controller: Arc<str>,
    /// The annotation `ingressclass.kubernetes.io/is-default-class: "true"`.
    pub is_default: bool,
}

/// A Namespace, for selectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Metadata; the namespace is empty, the name is the namespace's.
    pub meta: Meta,
    /// `metadata.labels`.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
}

/// A ConfigMap: authorities are kept in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigMap {
    /// Metadata.
    pub meta: Meta,
    /// `data` (and `binaryData` decoded, when it is text).
    pub data: BTreeMap<Arc<str>, Arc<str>>,
}

impl Reference {
    /// Whether it names an object of this group and kind.
    #[must_use]
    pub fn is(&self, group: &str, kind: &str) -> bool {
        &*self.group == group && &*self.kind == kind
    }

    /// A reference.
    #[must_use]
    pub fn new(group: &str, kind: &str, object: ObjectRef) -> Self {
        Self { group: group.into(), kind: kind.into(), object }
    }
}
