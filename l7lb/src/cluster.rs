//! Backends: a Service's port with its endpoints, and the same port spoken to in other ways.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use model::gateway::{
    EndpointSlice, GatewayObjects, ObjectSet, PortRef, Service, ServicePort, Transport,
};
use model::name::ObjectRef;
use model::service::BackendRef;

use crate::backend_tls;
use crate::endpoint::Endpoint;
use crate::kept::Kept;
use crate::origin_tls::{OriginTlsSource, Roots};
use crate::rule::Target;
use crate::topology::{self, Locality};
use crate::view::{Cluster, OriginProtocol, OriginSecurity};

/// The most endpoints one cluster uses; Kubernetes itself spreads 1,000 over a slice set.
const ENDPOINTS_MAX: usize = 10_000;

/// Clusters while a view is compiled.
#[derive(Debug, Default)]
pub(crate) struct Clusters {
    list: Vec<Cluster>,
    numbers: HashMap<(ObjectRef, u16, Transport), u32>,
    names: HashMap<(ObjectRef, Arc<str>), u32>,
    /// The same with HTTP/2, and over TLS that checks nobody, by the cluster they are made of.
    http2: HashMap<u32, u32>,
    tls: HashMap<u32, u32>,
}

impl Clusters {
    /// One for each port of each Service.
    pub(crate) fn compile(
        objects: &GatewayObjects,
        kept: &Kept,
        endpoint: &mut impl FnMut(SocketAddr) -> Arc<Endpoint>,
    ) -> Self {
        let mut clusters = Self::default();
        let slices = slices_by_service(&objects.endpoint_slices);
        for service in &objects.services {
            let object = &service.meta.object;
            let mine = slices.get(object).map_or(&[][..], Vec::as_slice);
            for port in &service.ports {
                let security = backend_tls::of_port(objects, service, port, kept);
                let made = cluster((service, security, &kept.here), port, mine, endpoint);
                let Some(index) = clusters.push(made) else { return clusters };
                clusters.numbers.insert((object.clone(), port.port, port.transport), index);
                if let Some(name) = &port.name {
                    clusters.names.insert((object.clone(), Arc::clone(name)), index);
                }
            }
        }
        clusters
    }

    fn push(&mut self, cluster: Cluster) -> Option<u32> {
        let index = u32::try_from(self.list.len()).ok()?;
        self.list.push(cluster);
        Some(index)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    /// All, by index.
    pub(crate) fn into_list(self) -> Vec<Cluster> {
        self.list
    }

    /// A Service's TCP port, or its UDP port where there is no such TCP port.
    pub(crate) fn find(&self, service: &ObjectRef, port: u16) -> Target {
        let found = self.over(service, port, Transport::Tcp);
        if found == Target::Broken { self.over(service, port, Transport::Udp) } else { found }
    }

    /// A Service's port of one transport.
    pub(crate) fn over(&self, service: &ObjectRef, port: u16, transport: Transport) -> Target {
        let found = self.numbers.get(&(service.clone(), port, transport));
        found.map_or(Target::Broken, |index| Target::Cluster(*index))
    }

    /// A Service's port by number or name.
    pub(crate) fn of_port(&self, service: &ObjectRef, port: &PortRef) -> Target {
        match port {
            PortRef::Number(number) => self.find(service, *number),
            PortRef::Name(name) => {
                let found = self.names.get(&(service.clone(), Arc::clone(name)));
                found.map_or(Target::Broken, |index| Target::Cluster(*index))
            }
        }
    }

    /// The same backend, spoken to in HTTP/2.
    pub(crate) fn speaking_http2(&mut self, target: Target) -> Target {
        let Target::Cluster(index) = target else { return target };
        if let Some(known) = self.http2.get(&index) {
            return Target::Cluster(*known);
        }
        let Some(found) = self.list.get(index as usize) else { return target };
        if found.protocol == OriginProtocol::H2c {
            return target;
        }
        let made = Cluster { protocol: OriginProtocol::H2c, ..found.clone() };
        let Some(made) = self.push(made) else { return target };
        self.http2.insert(index, made);
        Target::Cluster(made)
    }

    /// The same backend over TLS, where no policy says how: encrypted, nobody is checked.
    pub(crate) fn speaking_tls(&mut self, target: Target, kept: &Kept) -> Target {
        let Target::Cluster(index) = target else { return target };
        if let Some(known) = self.tls.get(&index) {
            return Target::Cluster(*known);
        }
        let Some(found) = self.list.get(index as usize) else { return target };
        if !matches!(found.security, OriginSecurity::Plain) {
            return target;
        }
        let object = &found.backend.object;
        let server_name = format!("{}.{}.svc", object.name, object.namespace).into();
        let source = OriginTlsSource { roots: Roots::Anybody, server_name, names: &[] };
        let security = kept.origin(&source).map_or(OriginSecurity::Broken, OriginSecurity::Tls);
        let made = Cluster { security, ..found.clone() };
        let Some(made) = self.push(made) else { return target };
        self.tls.insert(index, made);
        Target::Cluster(made)
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
    (service, security, here): (&Service, OriginSecurity, &Locality),
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
                ready.push((one, address));
            } else if one.serving && one.terminating {
                leaving.push((one, address));
            }
        }
    }
    // Kubernetes' own proxies do the same: better a terminating endpoint than none (KEP-1669).
    if ready.is_empty() {
        ready = leaving;
    }
    let (nearest_first, near) = topology::nearest_first(service, here, ready);
    let h2c = port.app_protocol.as_deref() == Some("kubernetes.io/h2c");
    Cluster {
        backend: BackendRef { object: service.meta.object.clone(), port: port.port },
        protocol: if h2c { OriginProtocol::H2c } else { OriginProtocol::Http1 },
        security,
        endpoints: nearest_first.into_iter().map(endpoint).collect(),
        near,
        proxy_protocol: service.proxy_protocol,
        total: u32::try_from(seen.len()).unwrap_or(u32::MAX),
    }
}
