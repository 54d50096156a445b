//! The gateway's own documents, projected to the fields it uses: Ingress, Gateway API, Services,
//! EndpointSlices, Secrets and ConfigMaps. The schemas are upstream's. A reference is kept as it was
//! written, also to what does not exist: what that means is decided when objects meet, and said in
//! the status of whoever refers.
//!
//! They stay at the site: nothing here is part of a snapshot, because secrets are among them.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::name::{ObjectRef, SiteName};

pub mod filter;
pub mod ingress;
pub mod listener;
pub mod object;
pub mod object_set;
pub mod route;
pub mod settings;

pub use filter::{
    Cors, HeaderEdit, HttpFilter, Mirror, PathRewrite, SessionCarrier, SessionPersistence,
};
pub use ingress::{Ingress, IngressBackend, IngressPath, IngressTls};
pub use listener::{
    BackendTlsPolicy, ClientValidation, ConfigMap, Gateway, GatewayClass, GrantFrom, GrantTo,
    IngressClass, LabelExpression, LabelOperator, LabelSelector, Listener, ListenerProtocol,
    ListenerSet, ListenerTls, Namespace, NamespaceFilter, ReferenceGrant, SubjectAltName, TlsMode,
};
pub use object::{GATEWAY_CONTROLLER, GATEWAY_GROUP, GatewayObject, Object, ObjectKind};
pub use object_set::{Edit, ObjectSet};
pub use route::{
    BackendTarget, GrpcMatch, GrpcRoute, GrpcRule, HttpMatch, HttpRoute, HttpRule, ParentKind,
    ParentRef, PathMatch, Retry, RouteBackend, StreamRoute, StreamRule, ValueMatch,
};
pub use settings::{HttpPolicy, HttpSettings};

/// The label that binds an object in a shared directory to one site; without it, every site has it.
pub const SITE_LABEL: &str = "nearside.dev/site";

/// What every object carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// Namespace and name.
    pub object: ObjectRef,
    /// From [`SITE_LABEL`].
    pub site: Option<SiteName>,
    /// `metadata.creationTimestamp` in seconds since the epoch, 0 when absent (for precedence).
    pub created_s: i64,
    /// `metadata.generation`, 0 when absent (for `observedGeneration`).
    pub generation: i64,
    /// `file:line` of the document, for messages.
    pub origin: Arc<str>,
}

/// Everything a gateway is told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GatewayObjects {
    /// `networking.k8s.io/v1` IngressClass.
    pub ingress_classes: ObjectSet<IngressClass>,
    /// `networking.k8s.io/v1` Ingress.
    pub ingresses: ObjectSet<Ingress>,
    /// `gateway.networking.k8s.io` GatewayClass.
    pub gateway_classes: ObjectSet<GatewayClass>,
    /// `gateway.networking.k8s.io` Gateway.
    pub gateways: ObjectSet<Gateway>,
    /// `gateway.networking.k8s.io` ListenerSet.
    pub listener_sets: ObjectSet<ListenerSet>,
    /// `gateway.networking.k8s.io` HTTPRoute.
    pub http_routes: ObjectSet<HttpRoute>,
    /// `gateway.networking.k8s.io` GRPCRoute.
    pub grpc_routes: ObjectSet<GrpcRoute>,
    /// `gateway.networking.k8s.io` TLSRoute.
    pub tls_routes: ObjectSet<StreamRoute>,
    /// `gateway.networking.k8s.io` TCPRoute.
    pub tcp_routes: ObjectSet<StreamRoute>,
    /// `gateway.networking.k8s.io` UDPRoute.
    pub udp_routes: ObjectSet<StreamRoute>,
    /// `gateway.networking.k8s.io` ReferenceGrant.
    pub reference_grants: ObjectSet<ReferenceGrant>,
    /// `gateway.networking.k8s.io` BackendTLSPolicy.
    pub backend_tls_policies: ObjectSet<BackendTlsPolicy>,
    /// `nearside.dev` HttpPolicy.
    pub http_policies: ObjectSet<HttpPolicy>,
    /// `v1` Service.
    pub services: ObjectSet<Service>,
    /// `discovery.k8s.io/v1` EndpointSlice.
    pub endpoint_slices: ObjectSet<EndpointSlice>,
    /// `v1` Secret.
    pub secrets: ObjectSet<Secret>,
    /// `v1` ConfigMap.
    pub config_maps: ObjectSet<ConfigMap>,
    /// `v1` Namespace.
    pub namespaces: ObjectSet<Namespace>,
}

impl GatewayObjects {
    /// The objects that belong to `site`: those bound to it and those bound to none.
    #[must_use]
    pub fn for_site(&self, site: &SiteName) -> Self {
        fn keep<T: Object>(all: &ObjectSet<T>, site: &SiteName) -> ObjectSet<T> {
            all.filtered(|one| one.meta().site.as_ref().is_none_or(|bound| bound == site))
        }
        Self {
            ingress_classes: keep(&self.ingress_classes, site),
            ingresses: keep(&self.ingresses, site),
            gateway_classes: keep(&self.gateway_classes, site),
            gateways: keep(&self.gateways, site),
            listener_sets: keep(&self.listener_sets, site),
            http_routes: keep(&self.http_routes, site),
            grpc_routes: keep(&self.grpc_routes, site),
            tls_routes: keep(&self.tls_routes, site),
            tcp_routes: keep(&self.tcp_routes, site),
            udp_routes: keep(&self.udp_routes, site),
            reference_grants: keep(&self.reference_grants, site),
            backend_tls_policies: keep(&self.backend_tls_policies, site),
            http_policies: keep(&self.http_policies, site),
            services: keep(&self.services, site),
            endpoint_slices: keep(&self.endpoint_slices, site),
            secrets: keep(&self.secrets, site),
            config_maps: keep(&self.config_maps, site),
            namespaces: keep(&self.namespaces, site),
        }
    }

    /// The same objects, those of before in place of equal ones, so that what was made of them is found
    /// again.
    #[must_use]
    pub fn sharing(&self, before: &Self) -> Self {
        Self {
            ingress_classes: self.ingress_classes.sharing(&before.ingress_classes),
            ingresses: self.ingresses.sharing(&before.ingresses),
            gateway_classes: self.gateway_classes.sharing(&before.gateway_classes),
            gateways: self.gateways.sharing(&before.gateways),
            listener_sets: self.listener_sets.sharing(&before.listener_sets),
            http_routes: self.http_routes.sharing(&before.http_routes),
            grpc_routes: self.grpc_routes.sharing(&before.grpc_routes),
            tls_routes: self.tls_routes.sharing(&before.tls_routes),
            tcp_routes: self.tcp_routes.sharing(&before.tcp_routes),
            udp_routes: self.udp_routes.sharing(&before.udp_routes),
            reference_grants: self.reference_grants.sharing(&before.reference_grants),
            backend_tls_policies: self.backend_tls_policies.sharing(&before.backend_tls_policies),
            http_policies: self.http_policies.sharing(&before.http_policies),
            services: self.services.sharing(&before.services),
            endpoint_slices: self.endpoint_slices.sharing(&before.endpoint_slices),
            secrets: self.secrets.sharing(&before.secrets),
            config_maps: self.config_maps.sharing(&before.config_maps),
            namespaces: self.namespaces.sharing(&before.namespaces),
        }
    }
}

/// A hostname of a route or listener: exact, or `*.suffix` (any number of labels in Gateway API).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HostPattern {
    /// Lower case, no trailing dot.
    Exact(Arc<str>),
    /// The suffix after `*.`, lower case.
    Suffix(Arc<str>),
}

/// A Service port by number or name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PortRef {
    /// By number.
    Number(u16),
    /// By name.
    Name(Arc<str>),
}

/// A reference to an object by group, kind, namespace and name, whether or not it exists.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// API group; empty is the core group.
    pub group: Arc<str>,
    /// Kind.
    pub kind: Arc<str>,
    /// Namespace (the referrer's own when none was written) and name.
    pub object: ObjectRef,
}

/// A Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Service {
    /// Metadata.
    pub meta: Meta,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// `spec.type: ExternalName`: the name.
    pub external_name: Option<Arc<str>>,
    /// `spec.internalTrafficPolicy: Local`: endpoints of the gateway's own node only.
    pub is_local: bool,
    /// `spec.trafficDistribution`, or the annotations `service.kubernetes.io/topology-mode`.
    pub distribution: Option<Arc<str>>,
    /// The annotation `topologyKeys` of SuperEdge and OpenYurt, in order.
    pub topology_keys: Vec<Arc<str>>,
    /// The annotation `nearside.dev/proxy-protocol`: its endpoints are told of the client so.
    pub proxy_protocol: Option<ProxyProtocol>,
}

/// A version of the PROXY protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProxyProtocol {
    /// A line of text.
    V1,
    /// Binary.
    V2,
}

/// A port of a Service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePort {
    /// Name, which links it to the EndpointSlice's port of the same name.
    pub name: Option<Arc<str>>,
    /// Number.
    pub port: u16,
    /// TCP or UDP; others are left out.
    pub transport: Transport,
    /// `appProtocol` (`kubernetes.io/h2c`, `kubernetes.io/ws`, ...).
    pub app_protocol: Option<Arc<str>>,
}

/// What carries a port's traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Transport {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

/// An EndpointSlice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointSlice {
    /// Metadata.
    pub meta: Meta,
    /// From the label `kubernetes.io/service-name`.
    pub service: ObjectRef,
    /// Ports by name.
    pub ports: Vec<(Option<Arc<str>>, u16)>,
    /// Endpoints.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a slice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its addresses; the first is used.
    pub addresses: Vec<IpAddr>,
    /// `conditions.ready`, default true.
    pub ready: bool,
    /// `conditions.serving`, default `ready`.
    pub serving: bool,
    /// `conditions.terminating`, default false.
    pub terminating: bool,
    /// `zone`.
    pub zone: Option<Arc<str>>,
    /// `nodeName`.
    pub node: Option<Arc<str>>,
    /// `hints.forZones`.
    pub for_zones: Vec<Arc<str>>,
    /// `hints.forNodes`.
    pub for_nodes: Vec<Arc<str>>,
}

/// A Secret. Its `Debug` never shows a value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// Metadata.
    pub meta: Meta,
    /// `type`.
    pub kind: Arc<str>,
    /// `data` decoded, `stringData` over it.
    pub data: BTreeMap<Arc<str>, Arc<[u8]>>,
}

impl Secret {
    /// The type of Secrets with a certificate and its key.
    pub const TLS: &'static str = "kubernetes.io/tls";

    /// A Secret of type [`Secret::TLS`], both in PEM.
    #[must_use]
    pub fn tls(meta: Meta, certificate_pem: &[u8], key_pem: &[u8]) -> Self {
        let data = [("tls.crt".into(), certificate_pem.into()), ("tls.key".into(), key_pem.into())];
        Self { meta, kind: Self::TLS.into(), data: data.into() }
    }

    /// `tls.crt` and `tls.key`, when it has both.
    #[must_use]
    pub fn certificate_and_key(&self) -> Option<(&[u8], &[u8])> {
        Some((self.data.get("tls.crt")?, self.data.get("tls.key")?))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { meta, kind, data } = self;
        let keys: Vec<_> = data.keys().collect();
        f.debug_struct("Secret")
            .field("meta", meta)
            .field("kind", kind)
            .field("keys", &keys)
            .finish_non_exhaustive()
    }
}
