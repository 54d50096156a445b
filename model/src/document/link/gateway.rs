//! References between the gateway's objects: what they name and is not there is warned of, at the
//! name of the object that refers to it. It is no error, because upstream takes such objects too and
//! answers 500 or 404 until the rest comes.

use std::net::IpAddr;

use super::names::{Names, help_ports};
use crate::document::object::Kind;
use crate::document::report::{Report, Span};
use crate::gateway::{
    BackendTarget, EndpointSlice, Gateway, GatewayObjects, HttpFilter, Ingress, IngressBackend,
    Listener, Meta, ObjectKind, ObjectSet, ParentKind, ParentRef, PortRef, RouteBackend, Service,
};
use crate::name::ObjectRef;

/// Checks every reference.
pub(super) fn check(objects: &GatewayObjects, names: &Names<'_>, report: &mut Report) {
    for ingress in &objects.ingresses {
        check_ingress(ingress, &Place::of(ObjectKind::Ingress, &ingress.meta, names), report);
    }
    for gateway in &objects.gateways {
        let place = Place::of(ObjectKind::Gateway, &gateway.meta, names);
        check_gateway(gateway, &place, report);
    }
    for set in &objects.listener_sets {
        let place = Place::of(ObjectKind::ListenerSet, &set.meta, names);
        if set.parent.is(crate::gateway::GATEWAY_GROUP, "Gateway") {
            place.require(ObjectKind::Gateway, &set.parent.object, report);
        }
        check_certificates(&set.listeners, &place, report);
    }
    check_routes(objects, names, report);
    check_loopback(&objects.endpoint_slices, names, report);
}

fn check_routes(objects: &GatewayObjects, names: &Names<'_>, report: &mut Report) {
    for route in &objects.http_routes {
        let place = Place::of(ObjectKind::HttpRoute, &route.meta, names);
        check_parents(&route.parents, &place, report);
        for rule in &route.rules {
            check_backends(&rule.backends, &place, report);
            check_mirrors(&rule.filters, &place, report);
        }
    }
    for route in &objects.grpc_routes {
        let place = Place::of(ObjectKind::GrpcRoute, &route.meta, names);
        check_parents(&route.parents, &place, report);
        for rule in &route.rules {
            check_backends(&rule.backends, &place, report);
            check_mirrors(&rule.filters, &place, report);
        }
    }
    let streams = [
        (ObjectKind::TlsRoute, &objects.tls_routes),
        (ObjectKind::TcpRoute, &objects.tcp_routes),
        (ObjectKind::UdpRoute, &objects.udp_routes),
    ];
    for (kind, routes) in streams {
        for route in routes {
            let place = Place::of(kind, &route.meta, names);
            check_parents(&route.parents, &place, report);
            for rule in &route.rules {
                check_backends(&rule.backends, &place, report);
            }
        }
    }
}

/// One warning for the run: a trial on loopback addresses has nothing else.
fn check_loopback(slices: &ObjectSet<EndpointSlice>, names: &Names<'_>, report: &mut Report) {
    let is_loopback = |slice: &&std::sync::Arc<EndpointSlice>| {
        slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses).any(IpAddr::is_loopback)
    };
    let mut found = slices.iter().filter(is_loopback);
    let first = found
        .next()
        .map(|slice| names.span_of(Kind::Gateway(ObjectKind::EndpointSlice), &slice.meta.object));
    let Some(Some(span)) = first else { return };
    let message = match found.count() {
        0 => "this EndpointSlice has a loopback address".to_owned(),
        more => format!("this EndpointSlice and {more} more have loopback addresses"),
    };
    report.warn(span, message, "they work from files alone: an API server refuses them");
}

/// The object that refers, and what to look references up in.
struct Place<'n> {
    span: Option<Span>,
    names: &'n Names<'n>,
}

impl<'n> Place<'n> {
    fn of(kind: ObjectKind, meta: &Meta, names: &'n Names<'n>) -> Self {
        Self { span: names.span_of(Kind::Gateway(kind), &meta.object), names }
    }

    fn require(&self, kind: ObjectKind, object: &ObjectRef, report: &mut Report) {
        if let Some(span) = self.span {
            self.names.warn_unless_declared(Kind::Gateway(kind), object, span, report);
        }
    }

    fn require_port(
        &self,
        object: &ObjectRef,
        port: &str,
        fits: impl Fn(&Service) -> bool,
        report: &mut Report,
    ) {
        self.require(ObjectKind::Service, object, report);
        if let (Some(span), Some(service)) = (self.span, self.names.service(object))
            && !fits(service)
        {
            let message = format!("the Service `{object}` has no port {port}");
            report.warn(span, message, help_ports(service));
        }
    }
}

fn check_ingress(ingress: &Ingress, place: &Place<'_>, report: &mut Report) {
    let backends = ingress.paths.iter().map(|path| &path.backend).chain(&ingress.default_backend);
    for IngressBackend { service, port } in backends {
        match port {
            PortRef::Number(number) => {
                let fits = |s: &Service| s.ports.iter().any(|port| port.port == *number);
                place.require_port(service, &number.to_string(), fits, report);
            }
            PortRef::Name(name) => {
                let fits =
                    |s: &Service| s.ports.iter().any(|port| port.name.as_ref() == Some(name));
                place.require_port(service, &format!("`{name}`"), fits, report);
            }
        }
    }
    for tls in &ingress.tls {
        place.require(ObjectKind::Secret, &tls.secret, report);
    }
}

fn check_gateway(gateway: &Gateway, place: &Place<'_>, report: &mut Report) {
    check_certificates(&gateway.listeners, place, report);
    for secret in gateway.client_certificate.iter().filter(|secret| secret.is("", "Secret")) {
        place.require(ObjectKind::Secret, &secret.object, report);
    }
}

fn check_certificates(listeners: &[Listener], place: &Place<'_>, report: &mut Report) {
    let tls = listeners.iter().filter_map(|listener| listener.tls.as_ref());
    let named = tls.flat_map(|tls| &tls.certificates);
    for secret in named.filter(|secret| secret.is("", "Secret")) {
        place.require(ObjectKind::Secret, &secret.object, report);
    }
}

fn check_parents(parents: &[ParentRef], place: &Place<'_>, report: &mut Report) {
    for parent in parents {
        match parent.kind {
            ParentKind::Gateway => place.require(ObjectKind::Gateway, &parent.object, report),
            ParentKind::ListenerSet => {
                place.require(ObjectKind::ListenerSet, &parent.object, report);
            }
            ParentKind::Other(..) => {}
        }
    }
}

fn check_backends(backends: &[RouteBackend], place: &Place<'_>, report: &mut Report) {
    for backend in backends {
        check_target(&backend.target, place, report);
        check_mirrors(&backend.filters, place, report);
    }
}

fn check_mirrors(filters: &[HttpFilter], place: &Place<'_>, report: &mut Report) {
    for filter in filters {
        if let HttpFilter::Mirror(mirror) = filter {
            check_target(&mirror.backend, place, report);
        }
    }
}

fn check_target(target: &BackendTarget, place: &Place<'_>, report: &mut Report) {
    if let Some(wanted) = target.port.filter(|_| target.is_service()) {
        let fits = |s: &Service| s.ports.iter().any(|port| port.port == wanted);
        place.require_port(&target.object, &wanted.to_string(), fits, report);
    }
}
