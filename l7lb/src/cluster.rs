//! Backends: a Service's port with its endpoints, and the same port spoken to in other ways.
//!
//! Numbers outlive views, so that a change of endpoints compiles no route. Rule: a cluster is made
//! again when its Service, a slice of it, or what secures it changed, and only then.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use model::gateway::{
    Edit, EndpointSlice, GatewayObjects, ObjectSet, PortRef, Service, ServicePort, Transport,
};
use model::name::ObjectRef;
use model::service::BackendRef;

use crate::backend_tls;
use crate::endpoint::Endpoint;
use crate::kept::Kept;
use crate::origin_tls::{OriginTlsSource, Roots};
use crate::rule::Target;
use crate::slots::Slots;
use crate::topology::{self, Locality};
use crate::view::{Cluster, OriginProtocol, OriginSecurity};

/// The most endpoints one cluster uses; Kubernetes itself spreads 1,000 over a slice set.
const ENDPOINTS_MAX: usize = 10_000;

/// Backends, by the numbers that routes know them by. A copy shares everything with the one it is of.
#[derive(Debug, Default, Clone)]
pub(crate) struct Clusters {
    slots: Slots<Cluster>,
    index: Arc<Index>,
}

/// Which number is which.
#[derive(Debug, Default, Clone)]
struct Index {
    ports: HashMap<ObjectRef, Box<[PortNumber]>>,
    /// The same with HTTP/2, and over TLS that checks nobody, by the cluster they are made of.
    http2: HashMap<u32, u32>,
    tls: HashMap<u32, u32>,
}

/// A port of a Service and the number of its cluster.
#[derive(Debug, Clone, PartialEq)]
struct PortNumber {
    name: Option<Arc<str>>,
    port: u16,
    transport: Transport,
    cluster: u32,
}

impl Clusters {
    /// One for each port of each Service. What is still made of the same objects as `before` is kept,
    /// and a port keeps its number for as long as its Service has it.
    pub(crate) fn follow(
        &self,
        (objects, before): (&GatewayObjects, &GatewayObjects),
        kept: &Kept,
        endpoint: &mut impl FnMut(SocketAddr) -> Arc<Endpoint>,
    ) -> Self {
        let mut next = self.clone();
        let touched = touched(objects, before);
        let slices = slices_of(&touched, &objects.endpoint_slices);
        for object in touched {
            let mut ports = Vec::new();
            let service = objects.services.get(object);
            for port in service.iter().flat_map(|service| &service.ports) {
                let Some(service) = service else { continue };
                let security = backend_tls::of_port(objects, service, port, kept);
                let mine = slices.get(object).map_or(&[][..], Vec::as_slice);
                let made = cluster((service, security, &kept.here), port, mine, endpoint);
                let known = next.known(object, (port.port, port.transport));
                let cluster = match known {
                    Some(known) => {
                        next.slots.replace(known, made);
                        next.renew_variants(known, kept);
                        known
                    }
                    None => next.slots.insert(made),
                };
                let (name, transport) = (port.name.clone(), port.transport);
                ports.push(PortNumber { name, port: port.port, transport, cluster });
            }
            next.set_ports(object, ports);
        }
        next
    }

    fn known(&self, service: &ObjectRef, key: (u16, Transport)) -> Option<u32> {
        let mut ports = self.index.ports.get(service)?.iter();
        ports.find(|one| (one.port, one.transport) == key).map(|one| one.cluster)
    }

    /// The ports that a Service has from now on; none when it is gone.
    fn set_ports(&mut self, service: &ObjectRef, ports: Vec<PortNumber>) {
        let before = self.index.ports.get(service).map_or(&[][..], |before| before);
        if before == ports {
            return;
        }
        let gone: Vec<u32> = before
            .iter()
            .map(|one| one.cluster)
            .filter(|cluster| !ports.iter().any(|one| one.cluster == *cluster))
            .collect();
        let index = Arc::make_mut(&mut self.index);
        if ports.is_empty() {
            index.ports.remove(service);
        } else {
            index.ports.insert(service.clone(), ports.into());
        }
        for cluster in gone {
            self.forget(cluster);
        }
    }

    /// Takes out a cluster and what is made of it.
    fn forget(&mut self, cluster: u32) {
        self.slots.remove(cluster);
        let index = Arc::make_mut(&mut self.index);
        let variants = [index.http2.remove(&cluster), index.tls.remove(&cluster)];
        for variant in variants.into_iter().flatten() {
            self.forget(variant);
        }
    }

    /// Makes again what is made of a cluster.
    fn renew_variants(&mut self, cluster: u32, kept: &Kept) {
        let Some(base) = self.slots.get(cluster).cloned() else { return };
        if let Some(&variant) = self.index.http2.get(&cluster) {
            self.slots.replace(variant, over_http2(&base, cluster));
            self.renew_variants(variant, kept);
        }
        if let Some(&variant) = self.index.tls.get(&cluster) {
            self.slots.replace(variant, over_tls(&base, cluster, kept));
            self.renew_variants(variant, kept);
        }
    }

    /// One by its number.
    pub(crate) fn get(&self, number: usize) -> Option<&Cluster> {
        self.slots.get(u32::try_from(number).ok()?)
    }

    /// All, in the order of their numbers.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Cluster> {
        self.slots.iter()
    }

    /// The Services' ports; the others are the same, spoken to otherwise.
    pub(crate) fn ports(&self) -> impl Iterator<Item = &Cluster> {
        self.iter().filter(|cluster| cluster.made_of.is_none())
    }

    /// Whether all are the very same as in another.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.slots.is_same(&other.slots)
    }

    /// A Service's TCP port, or its UDP port where there is no such TCP port.
    pub(crate) fn find(&self, service: &ObjectRef, port: u16) -> Target {
        let found = self.over(service, port, Transport::Tcp);
        if found == Target::Broken { self.over(service, port, Transport::Udp) } else { found }
    }

    /// A Service's port of one transport.
    pub(crate) fn over(&self, service: &ObjectRef, port: u16, transport: Transport) -> Target {
        self.known(service, (port, transport)).map_or(Target::Broken, Target::Cluster)
    }

    /// A Service's port by number or name.
    pub(crate) fn of_port(&self, service: &ObjectRef, port: &PortRef) -> Target {
        match port {
            PortRef::Number(number) => self.find(service, *number),
            PortRef::Name(name) => {
                let mut ports = self.index.ports.get(service).into_iter().flatten();
                let found = ports.rfind(|one| one.name.as_ref() == Some(name));
                found.map_or(Target::Broken, |one| Target::Cluster(one.cluster))
            }
        }
    }

    /// The same backend, spoken to in HTTP/2.
    pub(crate) fn speaking_http2(&mut self, target: Target) -> Target {
        let Target::Cluster(index) = target else { return target };
        if let Some(known) = self.index.http2.get(&index) {
            return Target::Cluster(*known);
        }
        let Some(found) = self.slots.get(index) else { return target };
        if found.protocol == OriginProtocol::H2c {
            return target;
        }
        let made = over_http2(found, index);
        let made = self.slots.insert(made);
        Arc::make_mut(&mut self.index).http2.insert(index, made);
        Target::Cluster(made)
    }

    /// The same backend over TLS, where no policy says how: encrypted, nobody is checked.
    pub(crate) fn speaking_tls(&mut self, target: Target, kept: &Kept) -> Target {
        let Target::Cluster(index) = target else { return target };
        let Some(found) = self.slots.get(index) else { return target };
        if !matches!(found.security, OriginSecurity::Plain) {
            return target;
        }
        if let Some(known) = self.index.tls.get(&index) {
            return Target::Cluster(*known);
        }
        let made = over_tls(found, index, kept);
        let made = self.slots.insert(made);
        Arc::make_mut(&mut self.index).tls.insert(index, made);
        Target::Cluster(made)
    }
}

fn over_http2(base: &Cluster, number: u32) -> Cluster {
    Cluster { protocol: OriginProtocol::H2c, made_of: Some(number), ..base.clone() }
}

fn over_tls(base: &Cluster, number: u32, kept: &Kept) -> Cluster {
    let object = &base.backend.object;
    let server_name = format!("{}.{}.svc", object.name, object.namespace).into();
    let source = OriginTlsSource { roots: Roots::Anybody, server_name, names: &[] };
    let security = kept.origin(&source).map_or(OriginSecurity::Broken, OriginSecurity::Tls);
    Cluster { security, made_of: Some(number), ..base.clone() }
}

/// The Services whose clusters may be others than before: they or their slices changed, or what says
/// how they are spoken to did.
fn touched<'o>(now: &'o GatewayObjects, before: &'o GatewayObjects) -> BTreeSet<&'o ObjectRef> {
    let policies = &now.backend_tls_policies;
    let is_secured_as_before = policies.is_same(&before.backend_tls_policies)
        && (policies.is_empty() || now.config_maps.is_same(&before.config_maps));
    let mut touched: BTreeSet<&ObjectRef> = changed_services(now, before).collect();
    if !is_secured_as_before {
        touched.extend(now.services.iter().map(|service| &service.meta.object));
    }
    if !now.endpoint_slices.is_same(&before.endpoint_slices) {
        for edit in now.endpoint_slices.edits(&before.endpoint_slices) {
            match edit {
                Edit::Same(..) => false,
                Edit::Gone(at) => touched.insert(&before.endpoint_slices[at].service),
                Edit::New(at) => touched.insert(&now.endpoint_slices[at].service),
            };
        }
    }
    touched
}

/// The Services that came, went or changed.
pub(crate) fn changed_services<'o>(
    now: &'o GatewayObjects,
    before: &'o GatewayObjects,
) -> impl Iterator<Item = &'o ObjectRef> {
    let (now, before) = (&now.services, &before.services);
    let edits = (!now.is_same(before)).then(|| now.edits(before));
    edits.into_iter().flatten().filter_map(|edit| match edit {
        Edit::Same(..) => None,
        Edit::Gone(at) => Some(&before[at].meta.object),
        Edit::New(at) => Some(&now[at].meta.object),
    })
}

fn slices_of<'o>(
    services: &BTreeSet<&ObjectRef>,
    slices: &'o ObjectSet<EndpointSlice>,
) -> HashMap<&'o ObjectRef, Vec<&'o EndpointSlice>> {
    let mut by_service: HashMap<&ObjectRef, Vec<&EndpointSlice>> = HashMap::new();
    if services.is_empty() {
        return by_service;
    }
    for slice in slices.iter().filter(|slice| services.contains(&slice.service)) {
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
        transport: port.transport,
        protocol: if h2c { OriginProtocol::H2c } else { OriginProtocol::Http1 },
        security,
        endpoints: nearest_first.into_iter().map(endpoint).collect(),
        near,
        proxy_protocol: service.proxy_protocol,
        total: u32::try_from(seen.len()).unwrap_or(u32::MAX),
        made_of: None,
    }
}
