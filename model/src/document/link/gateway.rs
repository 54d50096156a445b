//! References between the gateway's objects: what they name and is not there is warned of, at the
//! name of the object that refers to it. It is no error, because upstream takes such objects too and
//! answers 500 or 404 until the rest comes.

use std::net::IpAddr;

use super::names::{Names, help_ports};
use crate::document::object::Kind;
use crate::document::report::{Report, Span};
use crate::gateway::{
    EndpointSlice, Gateway, GatewayObjects, HttpRoute, Ingress, IngressBackend, Meta, PortRef,
    Service,
};
use crate::name::ObjectRef;

/// Checks every reference.
pub(super) fn check(objects: &GatewayObjects, names: &Names<'_>, report: &mut Report) {
    let GatewayObjects { ingresses, gateways, http_routes, endpoint_slices, .. } = objects;
    for ingress in ingresses {
        check_ingress(ingress, &Place::of(Kind::Ingress, &ingress.meta, names), report);
    }
    for gateway in gateways {
        check_gateway(gateway, &Place::of(Kind::Gateway, &gateway.meta, names), report);
    }
    for route in http_routes {
        check_route(route, &Place::of(Kind::HttpRoute, &route.meta, names), report);
    }
    check_loopback(endpoint_slices, names, report);
}

/// One warning for the run: a trial on loopback addresses has nothing else.
fn check_loopback(slices: &[EndpointSlice], names: &Names<'_>, report: &mut Report) {
    let is_loopback = |slice: &&EndpointSlice| {
        slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses).any(IpAddr::is_loopback)
    };
    let mut found = slices.iter().filter(is_loopback);
    let first = found.next().map(|slice| names.span_of(Kind::EndpointSlice, &slice.meta.object));
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
    fn of(kind: Kind, meta: &Meta, names: &'n Names<'n>) -> Self {
        Self { span: names.span_of(kind, &meta.object), names }
    }

    fn require(&self, kind: Kind, object: &ObjectRef, report: &mut Report) {
        if let Some(span) = self.span {
            self.names.warn_unless_declared(kind, object, span, report);
        }
    }

    fn require_port(
        &self,
        object: &ObjectRef,
        port: &str,
        fits: impl Fn(&Service) -> bool,
        report: &mut Report,
    ) {
        self.require(Kind::Service, object, report);
        if let (Some(span), Some(service)) = (self.span, self.names.service(object))
            && !fits(service)
        {
            let message = format!("the Service `{object}` has no TCP port {port}");
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
        place.require(Kind::Secret, &tls.secret, report);
    }
}

fn check_gateway(gateway: &Gateway, place: &Place<'_>, report: &mut Report) {
    let tls = gateway.listeners.iter().filter_map(|listener| listener.tls.as_ref());
    for secret in tls.flat_map(|tls| &tls.certificates) {
        place.require(Kind::Secret, &secret.object, report);
    }
}

fn check_route(route: &HttpRoute, place: &Place<'_>, report: &mut Report) {
    for parent in &route.parents {
        place.require(Kind::Gateway, &parent.object, report);
    }
    for backend in route.rules.iter().flat_map(|rule| &rule.backends) {
        let wanted = backend.target.port.unwrap_or(0);
        let fits = |s: &Service| s.ports.iter().any(|port| port.port == wanted);
        place.require_port(&backend.target.object, &wanted.to_string(), fits, report);
    }
}
