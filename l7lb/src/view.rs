//! Everything a request needs to know, immutable, behind one pointer.
//!
//! A view is compiled from the site's documents off the hot path and swapped whole; a request loads
//! it once. Endpoints with their counters are taken over from the view before by address.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use model::gateway::{EndpointSlice, GatewayObjects, ObjectSet, PortRef, Service, ServicePort};
use model::name::ObjectRef;
use model::service::BackendRef;

use crate::backend_tls;
use crate::endpoint::Endpoint;
use crate::kept::Kept;
use crate::meter::RouteMeters;
use crate::origin_tls::OriginTls;
use crate::proxy_protocol::ProxyVersion;
use crate::route::build;
use crate::route::{RouteTable, Scheme};
use crate::rule::Target;
use crate::socket::{Place, Plan, TableId, Wire};
use crate::tls::Certificates;

/// The most endpoints one cluster uses; Kubernetes itself spreads 1,000 over a slice set.
const ENDPOINTS_MAX: usize = 10_000;

/// Something in the documents that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// `file:line`.
    pub origin: Arc<str>,
    /// What, and what happens instead.
    pub text: String,
}

/// What an origin is spoken to in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OriginProtocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 with prior knowledge (`appProtocol: kubernetes.io/h2c`).
    H2c,
}

/// Whether TLS lies below.
#[derive(Debug, Clone)]
pub(crate) enum OriginSecurity {
    /// It does not.
    Plain,
    /// By a BackendTLSPolicy or an annotation.
    Tls(Arc<OriginTls>),
    /// A policy asks for it and cannot be followed: requests fail, and nothing goes out in the clear.
    Broken,
}

/// A Service's port with its endpoints.
#[derive(Debug)]
pub(crate) struct Cluster {
    /// Which.
    pub(crate) backend: BackendRef,
    /// How it is spoken to.
    pub(crate) protocol: OriginProtocol,
    /// Whether TLS lies below.
    pub(crate) security: OriginSecurity,
    /// Endpoints that the documents call ready (or, when none is, serving while terminating).
    pub(crate) endpoints: Vec<Arc<Endpoint>>,
    /// Whether its endpoints are told of the client, and how.
    pub(crate) proxy_protocol: Option<ProxyVersion>,
    /// Endpoints that the documents know.
    pub(crate) total: u32,
}

/// The view.
#[derive(Debug, Default)]
pub(crate) struct GatewayView {
    /// Routes.
    pub(crate) routes: RouteTable,
    /// Backends, in the order the routes number them.
    pub(crate) clusters: Vec<Cluster>,
    /// Certificates.
    pub(crate) certificates: Certificates,
    /// Where to listen, and what is done there.
    pub(crate) places: BTreeMap<Place, Plan>,
    /// What routes are counted by.
    pub(crate) meters: RouteMeters,
    /// All endpoints by address.
    pub(crate) endpoints: HashMap<SocketAddr, Arc<Endpoint>>,
    /// What outlives it.
    pub(crate) kept: Arc<Kept>,
}

impl GatewayView {
    /// Compiles documents; what cannot be used is left out and said in the warnings.
    pub(crate) fn compile(objects: &GatewayObjects, before: &Self) -> (Self, Vec<Warning>) {
        let mut warnings = Vec::new();
        let mut endpoints = HashMap::new();
        let slices = slices_by_service(&objects.endpoint_slices);
        let mut clusters = Vec::new();
        let mut names = HashMap::new();
        for service in &objects.services {
            let mine = slices.get(&service.meta.object).map_or(&[][..], Vec::as_slice);
            for port in &service.ports {
                let Ok(index) = u32::try_from(clusters.len()) else { break };
                let object = &service.meta.object;
                names.insert((object.clone(), PortRef::Number(port.port)), index);
                if let Some(name) = &port.name {
                    names.insert((object.clone(), PortRef::Name(Arc::clone(name))), index);
                }
                let security = backend_tls::of_port(objects, service, port, &before.kept);
                clusters.push(cluster((service, security), port, mine, &mut |address| {
                    let kept = || before.endpoints.get(&address).map(Arc::clone);
                    let made = || kept().unwrap_or_else(|| Arc::new(Endpoint::new(address)));
                    Arc::clone(endpoints.entry(address).or_insert_with(made))
                }));
            }
        }
        let routes = build::build((objects, &before.kept), &names, &mut warnings);
        let certificates = Certificates::compile(objects, &before.certificates, &mut warnings);
        let places = BTreeMap::from([
            (Place::SharedHttp, Plan::Http(TableId::shared(Scheme::Http))),
            (Place::SharedHttps, certificates.plan()),
        ]);
        let kept = Arc::clone(&before.kept);
        let meters = RouteMeters::default();
        (Self { routes, clusters, certificates, places, meters, endpoints, kept }, warnings)
    }

    /// Endpoints that a UDPRoute sends datagrams to.
    pub(crate) fn datagram_endpoints(&self) -> HashSet<SocketAddr> {
        let udp = self.places.iter().filter_map(|(place, plan)| match (place, plan) {
            (Place::Own(_, Wire::Udp), Plan::Stream(Some(plan))) => Some(plan),
            _ => None,
        });
        let targets = udp.flat_map(|plan| &plan.shares).filter_map(|share| match share.target {
            Target::Cluster(index) => self.clusters.get(index as usize),
            Target::Broken | Target::Absent => None,
        });
        targets.flat_map(|cluster| &cluster.endpoints).map(|endpoint| endpoint.address).collect()
    }

    /// Whether a request for `host` must not be answered on a TLS connection that was opened for
    /// `server_name`: the name has another certificate or belongs to another listener, whose rules
    /// about who may connect could differ (Gateway API, RFC 9110 section 15.5.20).
    pub(crate) fn is_misdirected(&self, server_name: &str, host: &str) -> bool {
        let certificate = |name| self.certificates.find(Some(name)).map(Arc::as_ptr);
        certificate(server_name) != certificate(host)
            || !self.routes.same_tls_listener(server_name, host)
    }
}

fn slices_by_service(
    slices: &ObjectSet<EndpointSlice>,
) -> HashMap<&ObjectRef, Vec<&EndpointSlice>> {
    let mut by_service: HashMap<&ObjectRef, Vec<&EndpointSlice>> = HashMap::new();
    for slice in slices {
        by_service.entry(&slice.service).or_default().push(&**slice);
    }
    by_service
}

fn cluster(
    (service, security): (&Service, OriginSecurity),
    port: &ServicePort,
    slices: &[&EndpointSlice],
    endpoint: &mut impl FnMut(SocketAddr) -> Arc<Endpoint>,
) -> Cluster {
    let mut ready = Vec::new();
    let mut leaving = Vec::new();
    let mut seen = HashSet::new();
    for slice in slices {
        let named = slice.ports.iter().find(|(name, _)| *name == port.name);
        let Some((_, target)) = named else { continue };
        for one in &slice.endpoints {
            let Some(ip) = one.addresses.first() else { continue };
            let address = SocketAddr::new(*ip, *target);
            if seen.len() >= ENDPOINTS_MAX || !seen.insert(address) {
                continue;
            }
            if one.ready {
                ready.push(endpoint(address));
            } else if one.serving && one.terminating {
                leaving.push(address);
            }
        }
    }
    // Kubernetes' own proxies do the same: better a terminating endpoint than none (KEP-1669).
    if ready.is_empty() {
        ready = leaving.into_iter().map(endpoint).collect();
    }
    let h2c = port.app_protocol.as_deref() == Some("kubernetes.io/h2c");
    Cluster {
        backend: BackendRef { object: service.meta.object.clone(), port: port.port },
        protocol: if h2c { OriginProtocol::H2c } else { OriginProtocol::Http1 },
        security,
        endpoints: ready,
        proxy_protocol: None,
        total: u32::try_from(seen.len()).unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests;
