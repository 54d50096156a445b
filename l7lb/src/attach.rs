//! Where documents meet: which listeners there are, what is attached to them, and what each object's
//! status says of it.
//!
//! Pure: objects and addresses in, attachments and statuses out. Invariant: a reference across
//! namespaces without a ReferenceGrant reaches nothing, and an object that is wrong keeps nobody else
//! from being served.

pub(crate) mod address;
mod authority;
mod backend;
mod class;
mod grant;
mod hostname;
mod listener;
mod parent;
mod policy;
mod report;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use model::gateway::{
    BackendTarget, GatewayObjects, HostPattern, ObjectKind, ParentKind, ParentRef, RouteBackend,
};
use model::name::ObjectRef;

pub use address::Addressing;
pub(crate) use address::Ground;
pub(crate) use backend::Resolved;
pub(crate) use listener::Entry;
pub(crate) use parent::Served;
pub(crate) use policy::settings_of;

use crate::status::ObjectStatus;
use crate::tls::Keyring;
use crate::view::Warning;

/// What one route comes to.
#[derive(Debug)]
pub(crate) struct RouteOutcome {
    /// Where it is served: a listener (an index) and a hostname, each pair once.
    pub(crate) served: Vec<Served>,
    /// The Gateways it is attached to (indices), for their settings and client certificates.
    pub(crate) gateways: Vec<usize>,
    /// Their names.
    pub(crate) owners: Vec<ObjectRef>,
}

/// Everything that documents come to.
#[derive(Debug)]
pub(crate) struct Attachment<'a> {
    /// Listeners, of Gateways and ListenerSets, that have an index here, usable or not.
    pub(crate) entries: Vec<Entry<'a>>,
    /// HTTPRoutes in the order of their set, and so on.
    pub(crate) http: Vec<RouteOutcome>,
    pub(crate) grpc: Vec<RouteOutcome>,
    pub(crate) tls: Vec<RouteOutcome>,
    pub(crate) tcp: Vec<RouteOutcome>,
    pub(crate) udp: Vec<RouteOutcome>,
    /// Ingresses of our classes.
    pub(crate) ingresses: Vec<bool>,
    /// Addresses given to Gateways.
    pub(crate) assigned: BTreeMap<ObjectRef, Vec<IpAddr>>,
    /// What is said of it all.
    pub(crate) statuses: Vec<ObjectStatus>,
    /// Parents that nobody declared: whose they are cannot be known, so no status says it.
    pub(crate) warnings: Vec<Warning>,
}

/// What the objects meet in.
pub(crate) struct Scene<'a> {
    pub(crate) objects: &'a GatewayObjects,
    pub(crate) grants: grant::Grants<'a>,
    pub(crate) ground: &'a Ground,
}

/// A route of any kind, as far as attaching goes.
#[derive(Clone, Copy)]
pub(crate) struct RouteView<'a> {
    pub(crate) kind: ObjectKind,
    pub(crate) meta: &'a model::gateway::Meta,
    pub(crate) parents: &'a [ParentRef],
    pub(crate) hostnames: &'a [HostPattern],
    /// A value that is not supported, when there is one.
    pub(crate) unsupported: Option<&'a str>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(objects: &'a GatewayObjects, ground: &'a Ground) -> Self {
        Self { objects, grants: grant::Grants::new(&objects.reference_grants), ground }
    }

    /// Whether a route of a namespace may send to a backend, and what it reaches.
    pub(crate) fn resolve(
        &self,
        kind: ObjectKind,
        namespace: &str,
        target: &BackendTarget,
    ) -> Resolved {
        backend::resolve(self, kind, namespace, target)
    }

    /// Whether a route may read a Secret or ConfigMap.
    pub(crate) fn may_read(
        &self,
        kind: ObjectKind,
        namespace: &str,
        reference: &model::gateway::Reference,
    ) -> bool {
        reference.object.namespace.as_ref() == namespace
            || self.grants.permit(
                (kind.group(), kind.name(), namespace),
                (&reference.group, &reference.kind, &reference.object),
            )
    }
}

/// Attaches everything.
pub(crate) fn attach<'a>(
    scene: &Scene<'a>,
    keyring: &mut Keyring<'_>,
    before: &BTreeMap<ObjectRef, Vec<IpAddr>>,
) -> Attachment<'a> {
    let objects = scene.objects;
    let classes = class::Classes::new(objects);
    let gateways = listener::gateways(scene, &classes, keyring, before);
    let mut entries = gateways.entries;
    let mut statuses = class::statuses(objects);
    let mut run = Run {
        scene,
        sets: &gateways.sets,
        entries: &mut entries,
        statuses: &mut statuses,
        warnings: Vec::new(),
    };
    let http = run.http();
    let grpc = run.grpc();
    let tls = run.streams(ObjectKind::TlsRoute);
    let tcp = run.streams(ObjectKind::TcpRoute);
    let udp = run.streams(ObjectKind::UdpRoute);
    let warnings = run.warnings;
    report::gateways(&gateways.states, &gateways.sets, &entries, &mut statuses);
    policy::tls_statuses(scene, (&http, &grpc, &tls), &mut statuses);
    let ingresses = class::ingresses(objects);
    report::ingresses(scene, &ingresses, &mut statuses);
    let assigned = gateways
        .states
        .iter()
        .map(|state| (state.gateway.meta.object.clone(), state.addresses.clone()));
    let assigned = assigned.collect();
    Attachment { entries, http, grpc, tls, tcp, udp, ingresses, assigned, statuses, warnings }
}

/// Routes, one after another.
struct Run<'r, 'a> {
    scene: &'r Scene<'a>,
    sets: &'r [listener::SetState<'a>],
    entries: &'r mut Vec<Entry<'a>>,
    statuses: &'r mut Vec<ObjectStatus>,
    warnings: Vec<Warning>,
}

impl Run<'_, '_> {
    fn http(&mut self) -> Vec<RouteOutcome> {
        let routes = &self.scene.objects.http_routes;
        let mut outcomes = Vec::with_capacity(routes.len());
        for route in routes {
            let view = RouteView {
                kind: ObjectKind::HttpRoute,
                meta: &route.meta,
                parents: &route.parents,
                hostnames: &route.hostnames,
                unsupported: parent::unsupported_http(&route.rules),
            };
            let backends =
                route.rules.iter().flat_map(|rule| backend::targets(&rule.filters, &rule.backends));
            outcomes.push(self.route(view, backends));
        }
        outcomes
    }

    fn grpc(&mut self) -> Vec<RouteOutcome> {
        let routes = &self.scene.objects.grpc_routes;
        let mut outcomes = Vec::with_capacity(routes.len());
        for route in routes {
            let view = RouteView {
                kind: ObjectKind::GrpcRoute,
                meta: &route.meta,
                parents: &route.parents,
                hostnames: &route.hostnames,
                unsupported: parent::unsupported_grpc(&route.rules),
            };
            let backends =
                route.rules.iter().flat_map(|rule| backend::targets(&rule.filters, &rule.backends));
            outcomes.push(self.route(view, backends));
        }
        outcomes
    }

    fn streams(&mut self, kind: ObjectKind) -> Vec<RouteOutcome> {
        let objects = self.scene.objects;
        let routes = match kind {
            ObjectKind::TlsRoute => &objects.tls_routes,
            ObjectKind::TcpRoute => &objects.tcp_routes,
            _ => &objects.udp_routes,
        };
        let mut outcomes = Vec::with_capacity(routes.len());
        for route in routes {
            let view = RouteView {
                kind,
                meta: &route.meta,
                parents: &route.parents,
                hostnames: &route.hostnames,
                unsupported: None,
            };
            let backends = route.rules.iter().flat_map(|rule| &rule.backends);
            outcomes.push(self.route(view, backends.map(|one: &RouteBackend| &one.target)));
        }
        outcomes
    }

    fn route<'t>(
        &mut self,
        view: RouteView<'_>,
        backends: impl Iterator<Item = &'t BackendTarget>,
    ) -> RouteOutcome {
        let refs = backend::condition(self.scene, view.kind, &view.meta.object.namespace, backends);
        for parent in view.parents.iter().filter(|one| one.kind == ParentKind::Gateway) {
            if self.scene.objects.gateways.get(&parent.object).is_none() {
                let (gateway, kind) = (&parent.object, view.kind.name());
                let text = format!("no Gateway `{gateway}`; {kind} is not attached to it");
                self.warnings.push(Warning { origin: Arc::clone(&view.meta.origin), text });
            }
        }
        let mut outcome =
            RouteOutcome { served: Vec::new(), gateways: Vec::new(), owners: Vec::new() };
        let parents = parent::attach(view, (self.scene, self.sets), self.entries, &mut outcome);
        let parents: Vec<_> = parents
            .into_iter()
            .map(|(parent, accepted)| {
                let conditions = vec![accepted, refs.clone()];
                crate::status::ParentStatus { parent, conditions }
            })
            .collect();
        if !parents.is_empty() {
            self.statuses.push(ObjectStatus {
                kind: view.kind,
                object: view.meta.object.clone(),
                generation: view.meta.generation,
                origin: Arc::clone(&view.meta.origin),
                detail: crate::status::Detail::Route(parents),
            });
        }
        outcome
    }
}

#[cfg(test)]
mod tests;
