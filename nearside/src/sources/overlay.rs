//! Two sets of objects as one: what the directory says, over what the API server says.
//!
//! An object has one owner. One that both have is the directory's, which is at hand when the server
//! is not, and is told about.

use std::sync::Arc;

use model::gateway::{GatewayObjects, Object, ObjectKind, ObjectSet};
use model::name::ObjectRef;

/// An object that two sources have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Twice {
    pub(crate) kind: ObjectKind,
    pub(crate) object: ObjectRef,
}

/// The cluster's objects with the directory's over them, and which of them both have.
pub(super) fn overlay(
    files: &GatewayObjects,
    cluster: &GatewayObjects,
) -> (GatewayObjects, Vec<Twice>) {
    let GatewayObjects {
        ingress_classes,
        ingresses,
        gateway_classes,
        gateways,
        listener_sets,
        http_routes,
        grpc_routes,
        tls_routes,
        tcp_routes,
        udp_routes,
        reference_grants,
        backend_tls_policies,
        http_policies,
        services,
        endpoint_slices,
        secrets,
        config_maps,
        namespaces,
    } = files;
    let (mut all, mut twice) = (cluster.clone(), Vec::new());
    let found = &mut twice;
    lay(ObjectKind::IngressClass, ingress_classes, &mut all.ingress_classes, found);
    lay(ObjectKind::Ingress, ingresses, &mut all.ingresses, found);
    lay(ObjectKind::GatewayClass, gateway_classes, &mut all.gateway_classes, found);
    lay(ObjectKind::Gateway, gateways, &mut all.gateways, found);
    lay(ObjectKind::ListenerSet, listener_sets, &mut all.listener_sets, found);
    lay(ObjectKind::HttpRoute, http_routes, &mut all.http_routes, found);
    lay(ObjectKind::GrpcRoute, grpc_routes, &mut all.grpc_routes, found);
    lay(ObjectKind::TlsRoute, tls_routes, &mut all.tls_routes, found);
    lay(ObjectKind::TcpRoute, tcp_routes, &mut all.tcp_routes, found);
    lay(ObjectKind::UdpRoute, udp_routes, &mut all.udp_routes, found);
    lay(ObjectKind::ReferenceGrant, reference_grants, &mut all.reference_grants, found);
    lay(ObjectKind::BackendTlsPolicy, backend_tls_policies, &mut all.backend_tls_policies, found);
    lay(ObjectKind::HttpPolicy, http_policies, &mut all.http_policies, found);
    lay(ObjectKind::Service, services, &mut all.services, found);
    lay(ObjectKind::EndpointSlice, endpoint_slices, &mut all.endpoint_slices, found);
    lay(ObjectKind::Secret, secrets, &mut all.secrets, found);
    lay(ObjectKind::ConfigMap, config_maps, &mut all.config_maps, found);
    lay(ObjectKind::Namespace, namespaces, &mut all.namespaces, found);
    (all, twice)
}

fn lay<T: Object>(
    kind: ObjectKind,
    files: &ObjectSet<T>,
    all: &mut ObjectSet<T>,
    twice: &mut Vec<Twice>,
) {
    for one in files {
        if all.insert(Arc::clone(one)).is_some() {
            twice.push(Twice { kind, object: one.meta().object.clone() });
        }
    }
}

#[cfg(test)]
mod tests {
    use model::gateway::{GatewayObjects, Meta, ObjectKind, Service, ServicePort};
    use model::name::ObjectRef;

    use super::{Twice, overlay};

    fn service(name: &str, port: u16) -> Service {
        let meta = Meta { object: ObjectRef::new("n", name), ..Meta::default() };
        let port = ServicePort { port, ..ServicePort::default() };
        Service { meta, ports: vec![port], ..Service::default() }
    }

    #[test]
    fn what_both_have_is_the_directorys_and_is_told() {
        let files = GatewayObjects {
            services: vec![service("a", 1), service("b", 1)].into(),
            ..Default::default()
        };
        let cluster = GatewayObjects {
            services: vec![service("b", 2), service("c", 2)].into(),
            ..Default::default()
        };
        let (all, twice) = overlay(&files, &cluster);
        let found: Vec<_> =
            all.services.iter().map(|one| (&*one.meta.object.name, one.ports[0].port)).collect();
        assert_eq!(found, [("a", 1), ("b", 1), ("c", 2)]);
        assert_eq!(twice, [Twice { kind: ObjectKind::Service, object: ObjectRef::new("n", "b") }]);
    }
}
