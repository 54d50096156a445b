//! Gateway objects of any kind.

use std::sync::Arc;

use super::{
    BackendTlsPolicy, ConfigMap, EndpointSlice, Gateway, GatewayClass, GatewayObjects, GrpcRoute,
    HttpPolicy, HttpRoute, Ingress, IngressClass, ListenerSet, Meta, Namespace, ReferenceGrant,
    Secret, Service, StreamRoute,
};
use crate::name::ObjectRef;

/// A kind of object that gateways read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `networking.k8s.io` IngressClass.
    IngressClass,
    /// `networking.k8s.io` Ingress.
    Ingress,
    /// `gateway.networking.k8s.io` GatewayClass.
    GatewayClass,
    /// `gateway.networking.k8s.io` Gateway.
    Gateway,
    /// `gateway.networking.k8s.io` ListenerSet.
    ListenerSet,
    /// `gateway.networking.k8s.io` HTTPRoute.
    HttpRoute,
    /// `gateway.networking.k8s.io` GRPCRoute.
    GrpcRoute,
    /// `gateway.networking.k8s.io` TLSRoute.
    TlsRoute,
    /// `gateway.networking.k8s.io` TCPRoute.
    TcpRoute,
    /// `gateway.networking.k8s.io` UDPRoute.
    UdpRoute,
    /// `gateway.networking.k8s.io` ReferenceGrant.
    ReferenceGrant,
    /// `gateway.networking.k8s.io` BackendTLSPolicy.
    BackendTlsPolicy,
    /// `nearside.dev` HttpPolicy.
    HttpPolicy,
    /// `v1` Service.
    Service,
    /// `discovery.k8s.io` EndpointSlice.
    EndpointSlice,
    /// `v1` Secret.
    Secret,
    /// `v1` ConfigMap.
    ConfigMap,
    /// `v1` Namespace.
    Namespace,
}

/// The group of Gateway API.
pub const GATEWAY_GROUP: &str = "gateway.networking.k8s.io";
/// Who we are in `controllerName` of GatewayClasses and of statuses.
pub const GATEWAY_CONTROLLER: &str = "nearside.dev/gateway-controller";

impl ObjectKind {
    /// Every kind.
    pub const ALL: [Self; 18] = [
        Self::IngressClass,
        Self::Ingress,
        Self::GatewayClass,
        Self::Gateway,
        Self::ListenerSet,
        Self::HttpRoute,
        Self::GrpcRoute,
        Self::TlsRoute,
        Self::TcpRoute,
        Self::UdpRoute,
        Self::ReferenceGrant,
        Self::BackendTlsPolicy,
        Self::HttpPolicy,
        Self::Service,
        Self::EndpointSlice,
        Self::Secret,
        Self::ConfigMap,
        Self::Namespace,
    ];

    /// The API group; empty is the core group.
    #[must_use]
    pub fn group(self) -> &'static str {
        match self {
            Self::IngressClass | Self::Ingress => "networking.k8s.io",
            Self::GatewayClass
            | Self::Gateway
            | Self::ListenerSet
            | Self::HttpRoute
            | Self::GrpcRoute
            | Self::TlsRoute
            | Self::TcpRoute
            | Self::UdpRoute
            | Self::ReferenceGrant
            | Self::BackendTlsPolicy => GATEWAY_GROUP,
            Self::HttpPolicy => "nearside.dev",
            Self::EndpointSlice => "discovery.k8s.io",
            Self::Service | Self::Secret | Self::ConfigMap | Self::Namespace => "",
        }
    }

    /// The versions that are read, the preferred first. Older ones have the same fields.
    #[must_use]
    pub fn versions(self) -> &'static [&'static str] {
        match self {
            Self::GatewayClass | Self::Gateway | Self::HttpRoute => &["v1", "v1beta1"],
            Self::ReferenceGrant => &["v1", "v1beta1", "v1alpha2"],
            Self::GrpcRoute | Self::TcpRoute | Self::UdpRoute => &["v1", "v1alpha2"],
            Self::TlsRoute => &["v1", "v1alpha3", "v1alpha2"],
            Self::BackendTlsPolicy => &["v1", "v1alpha3"],
            Self::HttpPolicy => &["v1alpha1"],
            Self::IngressClass
            | Self::Ingress
            | Self::ListenerSet
            | Self::Service
            | Self::EndpointSlice
            | Self::Secret
            | Self::ConfigMap
            | Self::Namespace => &["v1"],
        }
    }

    /// The kind as written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::IngressClass => "IngressClass",
            Self::Ingress => "Ingress",
            Self::GatewayClass => "GatewayClass",
            Self::Gateway => "Gateway",
            Self::ListenerSet => "ListenerSet",
            Self::HttpRoute => "HTTPRoute",
            Self::GrpcRoute => "GRPCRoute",
            Self::TlsRoute => "TLSRoute",
            Self::TcpRoute => "TCPRoute",
            Self::UdpRoute => "UDPRoute",
            Self::ReferenceGrant => "ReferenceGrant",
            Self::BackendTlsPolicy => "BackendTLSPolicy",
            Self::HttpPolicy => "HttpPolicy",
            Self::Service => "Service",
            Self::EndpointSlice => "EndpointSlice",
            Self::Secret => "Secret",
            Self::ConfigMap => "ConfigMap",
            Self::Namespace => "Namespace",
        }
    }

    /// Whether its objects have no namespace.
    #[must_use]
    pub fn is_cluster_scoped(self) -> bool {
        matches!(self, Self::IngressClass | Self::GatewayClass | Self::Namespace)
    }

    /// The kind that an `apiVersion` and a `kind` name.
    #[must_use]
    pub fn recognize(api_version: &str, kind: &str) -> Option<Self> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        Self::ALL.into_iter().find(|one| {
            one.name() == kind && one.group() == group && one.versions().contains(&version)
        })
    }
}

/// What has metadata.
pub trait Object {
    /// Its metadata.
    fn meta(&self) -> &Meta;
}

/// One object of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GatewayObject {
    /// An IngressClass.
    IngressClass(Arc<IngressClass>),
    /// An Ingress.
    Ingress(Arc<Ingress>),
    /// A GatewayClass.
    GatewayClass(Arc<GatewayClass>),
    /// A Gateway.
    Gateway(Arc<Gateway>),
    /// A ListenerSet.
    ListenerSet(Arc<ListenerSet>),
    /// An HTTPRoute.
    HttpRoute(Arc<HttpRoute>),
    /// A GRPCRoute.
    GrpcRoute(Arc<GrpcRoute>),
    /// A TLSRoute.
    TlsRoute(Arc<StreamRoute>),
    /// A TCPRoute.
    TcpRoute(Arc<StreamRoute>),
    /// A UDPRoute.
    UdpRoute(Arc<StreamRoute>),
    /// A ReferenceGrant.
    ReferenceGrant(Arc<ReferenceGrant>),
    /// A BackendTLSPolicy.
    BackendTlsPolicy(Arc<BackendTlsPolicy>),
    /// An HttpPolicy.
    HttpPolicy(Arc<HttpPolicy>),
    /// A Service.
    Service(Arc<Service>),
    /// An EndpointSlice.
    EndpointSlice(Arc<EndpointSlice>),
    /// A Secret.
    Secret(Arc<Secret>),
    /// A ConfigMap.
    ConfigMap(Arc<ConfigMap>),
    /// A Namespace.
    Namespace(Arc<Namespace>),
}

impl GatewayObject {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> ObjectKind {
        match self {
            Self::IngressClass(_) => ObjectKind::IngressClass,
            Self::Ingress(_) => ObjectKind::Ingress,
            Self::GatewayClass(_) => ObjectKind::GatewayClass,
            Self::Gateway(_) => ObjectKind::Gateway,
            Self::ListenerSet(_) => ObjectKind::ListenerSet,
            Self::HttpRoute(_) => ObjectKind::HttpRoute,
            Self::GrpcRoute(_) => ObjectKind::GrpcRoute,
            Self::TlsRoute(_) => ObjectKind::TlsRoute,
            Self::TcpRoute(_) => ObjectKind::TcpRoute,
            Self::UdpRoute(_) => ObjectKind::UdpRoute,
            Self::ReferenceGrant(_) => ObjectKind::ReferenceGrant,
            Self::BackendTlsPolicy(_) => ObjectKind::BackendTlsPolicy,
            Self::HttpPolicy(_) => ObjectKind::HttpPolicy,
            Self::Service(_) => ObjectKind::Service,
            Self::EndpointSlice(_) => ObjectKind::EndpointSlice,
            Self::Secret(_) => ObjectKind::Secret,
            Self::ConfigMap(_) => ObjectKind::ConfigMap,
            Self::Namespace(_) => ObjectKind::Namespace,
        }
    }

    /// Its metadata.
    #[must_use]
    pub fn meta(&self) -> &Meta {
        match self {
            Self::IngressClass(one) => &one.meta,
            Self::Ingress(one) => &one.meta,
            Self::GatewayClass(one) => &one.meta,
            Self::Gateway(one) => &one.meta,
            Self::ListenerSet(one) => &one.meta,
            Self::HttpRoute(one) => &one.meta,
            Self::GrpcRoute(one) => &one.meta,
            Self::TlsRoute(one) | Self::TcpRoute(one) | Self::UdpRoute(one) => &one.meta,
            Self::ReferenceGrant(one) => &one.meta,
            Self::BackendTlsPolicy(one) => &one.meta,
            Self::HttpPolicy(one) => &one.meta,
            Self::Service(one) => &one.meta,
            Self::EndpointSlice(one) => &one.meta,
            Self::Secret(one) => &one.meta,
            Self::ConfigMap(one) => &one.meta,
            Self::Namespace(one) => &one.meta,
        }
    }
}

impl GatewayObjects {
    /// Puts an object in, in place of the one of its kind and name.
    pub fn put(&mut self, object: GatewayObject) {
        match object {
            GatewayObject::IngressClass(one) => drop(self.ingress_classes.insert(one)),
            GatewayObject::Ingress(one) => drop(self.ingresses.insert(one)),
            GatewayObject::GatewayClass(one) => drop(self.gateway_classes.insert(one)),
            GatewayObject::Gateway(one) => drop(self.gateways.insert(one)),
            GatewayObject::ListenerSet(one) => drop(self.listener_sets.insert(one)),
            GatewayObject::HttpRoute(one) => drop(self.http_routes.insert(one)),
            GatewayObject::GrpcRoute(one) => drop(self.grpc_routes.insert(one)),
            GatewayObject::TlsRoute(one) => drop(self.tls_routes.insert(one)),
            GatewayObject::TcpRoute(one) => drop(self.tcp_routes.insert(one)),
            GatewayObject::UdpRoute(one) => drop(self.udp_routes.insert(one)),
            GatewayObject::ReferenceGrant(one) => drop(self.reference_grants.insert(one)),
            GatewayObject::BackendTlsPolicy(one) => drop(self.backend_tls_policies.insert(one)),
            GatewayObject::HttpPolicy(one) => drop(self.http_policies.insert(one)),
            GatewayObject::Service(one) => drop(self.services.insert(one)),
            GatewayObject::EndpointSlice(one) => drop(self.endpoint_slices.insert(one)),
            GatewayObject::Secret(one) => drop(self.secrets.insert(one)),
            GatewayObject::ConfigMap(one) => drop(self.config_maps.insert(one)),
            GatewayObject::Namespace(one) => drop(self.namespaces.insert(one)),
        }
    }

    /// Takes an object out; says whether it was there.
    pub fn remove(&mut self, kind: ObjectKind, name: &ObjectRef) -> bool {
        match kind {
            ObjectKind::IngressClass => self.ingress_classes.remove(name).is_some(),
            ObjectKind::Ingress => self.ingresses.remove(name).is_some(),
            ObjectKind::GatewayClass => self.gateway_classes.remove(name).is_some(),
            ObjectKind::Gateway => self.gateways.remove(name).is_some(),
            ObjectKind::ListenerSet => self.listener_sets.remove(name).is_some(),
            ObjectKind::HttpRoute => self.http_routes.remove(name).is_some(),
            ObjectKind::GrpcRoute => self.grpc_routes.remove(name).is_some(),
            ObjectKind::TlsRoute => self.tls_routes.remove(name).is_some(),
            ObjectKind::TcpRoute => self.tcp_routes.remove(name).is_some(),
            ObjectKind::UdpRoute => self.udp_routes.remove(name).is_some(),
            ObjectKind::ReferenceGrant => self.reference_grants.remove(name).is_some(),
            ObjectKind::BackendTlsPolicy => self.backend_tls_policies.remove(name).is_some(),
            ObjectKind::HttpPolicy => self.http_policies.remove(name).is_some(),
            ObjectKind::Service => self.services.remove(name).is_some(),
            ObjectKind::EndpointSlice => self.endpoint_slices.remove(name).is_some(),
            ObjectKind::Secret => self.secrets.remove(name).is_some(),
            ObjectKind::ConfigMap => self.config_maps.remove(name).is_some(),
            ObjectKind::Namespace => self.namespaces.remove(name).is_some(),
        }
    }
}

impl Object for IngressClass {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for Ingress {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for GatewayClass {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for Gateway {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for ListenerSet {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for HttpRoute {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for GrpcRoute {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for StreamRoute {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for ReferenceGrant {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for BackendTlsPolicy {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for HttpPolicy {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for Service {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for EndpointSlice {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for Secret {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for ConfigMap {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

impl Object for Namespace {
    fn meta(&self) -> &Meta {
        &self.meta
    }
}

#[cfg(test)]
mod tests;
