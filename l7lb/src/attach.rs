//! Where documents meet: which listeners there are, what is attached to them, and what each object's
//! status says of it.
//!
//! Pure: objects and addresses in, attachments and statuses out. Invariant: a reference across
//! namespaces without a ReferenceGrant reaches nothing, and an object that is wrong keeps nobody else
//! from being served.

pub(crate) mod address;
mod attached;
mod authority;
mod backend;
mod class;
mod grant;
mod hostname;
mod listener;
mod parent;
mod policy;
mod report;

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use model::gateway::{
    BackendTarget, GatewayObjects, HostPattern, Ingress, ObjectKind, ObjectSet, ParentKind,
    ParentRef, Reference,
};
use model::name::ObjectRef;

use self::attached::{Fate, Route, Stand, fates};
pub use address::Addressing;
pub(crate) use address::Ground;
pub(crate) use attached::{Attached, IngressOutcome, Outcomes};
pub(crate) use backend::Resolved;
pub(crate) use listener::Entry;
pub(crate) use parent::Served;
pub(crate) use policy::settings_of;

use crate::cluster::changed_services;
use crate::status::{Detail, ObjectStatus, ParentStatus};
use crate::tls::Keyring;
use crate::view::Warning;

/// What one route comes to.
#[derive(Debug, Default)]
pub(crate) struct RouteOutcome {
    /// Where it is served: a listener (an index) and a hostname, each pair once.
    pub(crate) served: Vec<Served>,
    /// The Gateways it is attached to (indices), for their settings and client certificates.
    pub(crate) gateways: Vec<usize>,
    /// Their names.
    pub(crate) owners: Vec<ObjectRef>,
    /// What is said of it, when a parent of it is ours.
    pub(crate) status: Option<Arc<ObjectStatus>>,
    /// Parents that nobody declared: whose they are cannot be known, so no status says it.
    pub(crate) orphaned: Box<[Warning]>,
    /// What is wrong in its status.
    pub(crate) faults: Box<[Warning]>,
}

/// Everything that documents come to.
#[derive(Debug)]
pub(crate) struct Attachment<'a> {
    /// Listeners, of Gateways and ListenerSets, that have an index here, usable or not.
    pub(crate) entries: Vec<Entry<'a>>,
    /// What routes come to.
    pub(crate) outcomes: Outcomes,
    /// What Ingresses come to, in the order of their set.
    pub(crate) ingresses: Vec<Arc<IngressOutcome>>,
    /// Addresses given to Gateways.
    pub(crate) assigned: BTreeMap<ObjectRef, Vec<IpAddr>>,
    /// What is said of it all.
    pub(crate) statuses: Vec<Arc<ObjectStatus>>,
    /// What is wrong in the statuses of others than routes.
    faults: Vec<Warning>,
    /// Whether listeners are, to routes, what they were before: then what was made for the same
    /// outcome of a route can be kept.
    pub(crate) stays: bool,
    stand: Stand,
}

impl Attachment<'_> {
    /// What the next one may find again; `objects` are those it was made of.
    pub(crate) fn keep(self, objects: &GatewayObjects) -> Attached {
        let Self { entries, outcomes, ingresses, assigned, faults, stand, .. } = self;
        let counts = entries.iter().map(|entry| entry.attached).collect();
        let objects = objects.clone();
        Attached { objects, stand: Some(stand), outcomes, ingresses, counts, assigned, faults }
    }
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
        reference: &Reference,
    ) -> bool {
        reference.object.namespace.as_ref() == namespace
            || self.grants.permit(
                (kind.group(), kind.name(), namespace),
                (&reference.group, &reference.kind, &reference.object),
            )
    }
}

/// Attaches everything. What is still the same as `before` is taken from there.
pub(crate) fn attach<'a>(
    scene: &Scene<'a>,
    keyring: &mut Keyring<'_>,
    before: &Attached,
) -> Attachment<'a> {
    let objects = scene.objects;
    let classes = class::Classes::new(objects);
    let gateways = listener::gateways(scene, &classes, keyring, &before.assigned);
    let (mut entries, sets) = (gateways.entries, gateways.sets);
    let stand = Stand::of(&entries, &sets);
    let stays = before.stays(objects, &stand);
    if stays {
        for (entry, count) in entries.iter_mut().zip(&before.counts) {
            entry.attached = *count;
        }
    }
    let nothing = Attached::default();
    let past = if stays { before } else { &nothing };
    let changed = changed_services(objects, &before.objects).collect();
    let mut run = Run { scene, sets: &sets, entries: &mut entries, changed };
    let (old, kept) = (&past.objects, &past.outcomes);
    let outcomes = Outcomes {
        http: run.routes(
            ObjectKind::HttpRoute,
            (&objects.http_routes, &old.http_routes),
            &kept.http,
        ),
        grpc: run.routes(
            ObjectKind::GrpcRoute,
            (&objects.grpc_routes, &old.grpc_routes),
            &kept.grpc,
        ),
        tls: run.routes(ObjectKind::TlsRoute, (&objects.tls_routes, &old.tls_routes), &kept.tls),
        tcp: run.routes(ObjectKind::TcpRoute, (&objects.tcp_routes, &old.tcp_routes), &kept.tcp),
        udp: run.routes(ObjectKind::UdpRoute, (&objects.udp_routes, &old.udp_routes), &kept.udp),
    };
    let ingresses = run.ingresses(before);
    let (class, mut own) = (class::statuses(objects), Vec::new());
    report::gateways(&gateways.states, &sets, &entries, &mut own);
    policy::tls_statuses(scene, (&outcomes.http, &outcomes.grpc, &outcomes.tls), &mut own);
    let faults = class.iter().chain(&own).flat_map(|status| status.warnings()).collect();
    let mut statuses: Vec<Arc<ObjectStatus>> = class.into_iter().map(Arc::new).collect();
    statuses.extend(outcomes.all().filter_map(|outcome| outcome.status.clone()));
    statuses.extend(own.into_iter().map(Arc::new));
    statuses.extend(ingresses.iter().filter_map(|outcome| outcome.status.clone()));
    let assigned = gateways
        .states
        .iter()
        .map(|state| (state.gateway.meta.object.clone(), state.addresses.clone()));
    let assigned = assigned.collect();
    Attachment { entries, outcomes, ingresses, assigned, statuses, faults, stays, stand }
}

impl Outcomes {
    /// All of them, kind by kind.
    pub(crate) fn all(&self) -> impl Iterator<Item = &RouteOutcome> {
        let Self { http, grpc, tls, tcp, udp } = self;
        [http, grpc, tls, tcp, udp].into_iter().flatten().map(|outcome| &**outcome)
    }
}

/// Routes, one after another.
struct Run<'r, 'a> {
    scene: &'r Scene<'a>,
    sets: &'r [listener::SetState<'a>],
    entries: &'r mut Vec<Entry<'a>>,
    /// Services that came, went or changed.
    changed: HashSet<&'r ObjectRef>,
}

impl Run<'_, '_> {
    fn routes<R: Route>(
        &mut self,
        kind: ObjectKind,
        sets: (&ObjectSet<R>, &ObjectSet<R>),
        outcomes: &[Arc<RouteOutcome>],
    ) -> Vec<Arc<RouteOutcome>> {
        let mut all: Vec<Arc<RouteOutcome>> = Vec::with_capacity(sets.0.len());
        let changed = std::mem::take(&mut self.changed);
        fates(sets, outcomes, &changed, |fate| match fate {
            Fate::Kept(outcome) => all.push(Arc::clone(outcome)),
            Fate::Dropped(outcome) => self.detach(outcome),
            Fate::Made(at) => {
                let made = self.route(kind, &sets.0[at], all.last().map(|last| &**last));
                all.push(Arc::new(made));
            }
        });
        self.changed = changed;
        all
    }

    /// A route that is no more is no longer counted.
    fn detach(&mut self, outcome: &RouteOutcome) {
        for (at, served) in outcome.served.iter().enumerate() {
            if !outcome.served[..at].iter().any(|one| one.entry == served.entry) {
                self.entries[served.entry].attached -= 1;
            }
        }
    }

    fn route(
        &mut self,
        kind: ObjectKind,
        route: &impl Route,
        neighbour: Option<&RouteOutcome>,
    ) -> RouteOutcome {
        let view = route.view(kind);
        let namespace = &*view.meta.object.namespace;
        let refs = backend::condition(self.scene, kind, namespace, route.targets());
        let origin = &view.meta.origin;
        let mut orphaned = Vec::new();
        for parent in view.parents.iter().filter(|one| one.kind == ParentKind::Gateway) {
            if self.scene.objects.gateways.get(&parent.object).is_none() {
                let (gateway, kind) = (&parent.object, kind.name());
                let text = format!("no Gateway `{gateway}`; {kind} is not attached to it");
                orphaned.push(Warning { origin: Arc::clone(origin), text });
            }
        }
        let mut outcome = RouteOutcome::default();
        let parents = parent::attach(view, (self.scene, self.sets), self.entries, &mut outcome);
        let parents: Vec<_> = parents
            .into_iter()
            .map(|(parent, accepted)| ParentStatus {
                parent,
                conditions: Box::new([accepted, refs.clone()]),
            })
            .collect();
        if !parents.is_empty() {
            let parents = shared(parents, neighbour);
            let status = attached::status_of(kind, view.meta, Detail::Route(parents));
            outcome.faults = status.warnings().collect();
            outcome.status = Some(Arc::new(status));
        }
        outcome.orphaned = orphaned.into();
        outcome.served.shrink_to_fit();
        outcome.gateways.shrink_to_fit();
        outcome.owners.shrink_to_fit();
        outcome
    }

    fn ingresses(&self, before: &Attached) -> Vec<Arc<IngressOutcome>> {
        let objects = self.scene.objects;
        let nothing = ObjectSet::<Ingress>::default();
        let is_same = objects.ingress_classes.is_same(&before.objects.ingress_classes);
        let old = if is_same { &before.objects.ingresses } else { &nothing };
        let classes = class::IngressClasses::new(objects);
        let addresses = report::addresses(self.scene);
        let mut all = Vec::with_capacity(objects.ingresses.len());
        fates((&objects.ingresses, old), &before.ingresses, &self.changed, |fate| match fate {
            Fate::Kept(outcome) => all.push(Arc::clone(outcome)),
            Fate::Dropped(_) => {}
            Fate::Made(at) => {
                let ingress = &objects.ingresses[at];
                let is_ours = classes.takes(ingress);
                let status = is_ours.then(|| Arc::new(report::ingress(ingress, &addresses)));
                all.push(Arc::new(IngressOutcome { is_ours, status }));
            }
        });
        all
    }
}

/// What a reference names, as `kubectl` takes it: `Kind`, or `Kind.group`.
fn kind_of(Reference { group, kind, .. }: &Reference) -> String {
    if group.is_empty() { kind.to_string() } else { format!("{kind}.{group}") }
}

/// Most routes are told the same as the one before them by name: then they share it.
fn shared(parents: Vec<ParentStatus>, neighbour: Option<&RouteOutcome>) -> Arc<[ParentStatus]> {
    let detail = neighbour.and_then(|one| one.status.as_ref()).map(|status| &status.detail);
    match detail {
        Some(Detail::Route(other)) if **other == *parents => Arc::clone(other),
        _ => parents.into(),
    }
}

#[cfg(test)]
mod tests;
