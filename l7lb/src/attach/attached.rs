//! What attaching came to, kept for the next view: a route whose document, listeners and Services are
//! the same is not looked at again.
//!
//! What a route comes to is made of its document, of the Services it names, and of everything that
//! [`Standing`] and the sets in [`Attached::stays`] say: listeners, whose they are and whether they
//! take routes, namespaces' labels and ReferenceGrants. Rule: whoever lets attaching look at something
//! else compares that here.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use model::gateway::{
    BackendTarget, Edit, GatewayObjects, GrpcRoute, HttpRoute, Ingress, Meta, Object, ObjectKind,
    ObjectSet, StreamRoute,
};
use model::name::ObjectRef;

use super::listener::SetState;
use super::{Entry, RouteOutcome, RouteView, backend, parent};
use crate::socket::Place;
use crate::status::ObjectStatus;
use crate::view::Warning;

/// What attaching came to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Attached {
    /// What it was made of.
    pub(crate) objects: GatewayObjects,
    /// `None`: nothing was attached yet.
    pub(super) stand: Option<Stand>,
    pub(crate) outcomes: Outcomes,
    /// In the order of their set.
    pub(crate) ingresses: Vec<Arc<IngressOutcome>>,
    /// Routes attached to each listener.
    pub(super) counts: Vec<u32>,
    /// Addresses given to Gateways.
    pub(crate) assigned: BTreeMap<ObjectRef, Vec<IpAddr>>,
    /// What is wrong in the statuses of others than routes.
    pub(super) faults: Vec<Warning>,
}

/// What routes come to, each list in the order of its set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Outcomes {
    pub(crate) http: Vec<Arc<RouteOutcome>>,
    pub(crate) grpc: Vec<Arc<RouteOutcome>>,
    pub(crate) tls: Vec<Arc<RouteOutcome>>,
    pub(crate) tcp: Vec<Arc<RouteOutcome>>,
    pub(crate) udp: Vec<Arc<RouteOutcome>>,
}

/// What an Ingress comes to.
#[derive(Debug)]
pub(crate) struct IngressOutcome {
    /// Whether it is of our class.
    pub(crate) is_ours: bool,
    pub(crate) status: Option<Arc<ObjectStatus>>,
}

/// Listeners as routes meet them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stand {
    listeners: Vec<Standing>,
    /// The ListenerSets of our Gateways.
    sets: Vec<ObjectRef>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Standing {
    id: Arc<str>,
    gateway: usize,
    set: Option<usize>,
    is_accepted: bool,
    is_programmed: bool,
    places: Vec<Place>,
}

impl Stand {
    pub(super) fn of(entries: &[Entry<'_>], sets: &[SetState<'_>]) -> Self {
        let standing = |entry: &Entry<'_>| Standing {
            id: Arc::clone(&entry.id),
            gateway: entry.gateway,
            set: entry.set,
            is_accepted: entry.is_accepted(),
            is_programmed: entry.is_programmed(),
            places: entry.places.clone(),
        };
        Self {
            listeners: entries.iter().map(standing).collect(),
            sets: sets.iter().map(|one| one.set.meta.object.clone()).collect(),
        }
    }
}

impl Attached {
    /// Nothing yet but addresses that Gateways had in another life.
    pub(crate) fn giving(assigned: BTreeMap<ObjectRef, Vec<IpAddr>>) -> Self {
        Self { assigned, ..Self::default() }
    }

    /// What is wrong: what no status says, then what is said.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &Warning> {
        let orphaned = self.outcomes.all().flat_map(|outcome| &outcome.orphaned);
        let faults = self.outcomes.all().flat_map(|outcome| &outcome.faults);
        orphaned.chain(faults).chain(&self.faults)
    }

    /// Whether everything that routes meet is as it was.
    pub(super) fn stays(&self, now: &GatewayObjects, stand: &Stand) -> bool {
        let before = &self.objects;
        self.stand.as_ref() == Some(stand)
            && now.gateways.is_same(&before.gateways)
            && now.listener_sets.is_same(&before.listener_sets)
            && now.namespaces.is_same(&before.namespaces)
            && now.reference_grants.is_same(&before.reference_grants)
    }
}

/// A document that names Services.
pub(super) trait Naming: Object {
    /// The Services it names.
    fn services(&self) -> Box<dyn Iterator<Item = &ObjectRef> + '_>;
}

/// A route of any kind.
pub(super) trait Route: Object {
    /// As far as attaching goes.
    fn view(&self, kind: ObjectKind) -> RouteView<'_>;

    /// Every backend it names.
    fn targets(&self) -> Box<dyn Iterator<Item = &BackendTarget> + '_>;
}

impl Route for HttpRoute {
    fn view(&self, kind: ObjectKind) -> RouteView<'_> {
        RouteView {
            kind,
            meta: &self.meta,
            parents: &self.parents,
            hostnames: &self.hostnames,
            unsupported: parent::unsupported_http(&self.rules),
        }
    }

    fn targets(&self) -> Box<dyn Iterator<Item = &BackendTarget> + '_> {
        let rules = self.rules.iter();
        Box::new(rules.flat_map(|rule| backend::targets(&rule.filters, &rule.backends)))
    }
}

impl Route for GrpcRoute {
    fn view(&self, kind: ObjectKind) -> RouteView<'_> {
        RouteView {
            kind,
            meta: &self.meta,
            parents: &self.parents,
            hostnames: &self.hostnames,
            unsupported: parent::unsupported_grpc(&self.rules),
        }
    }

    fn targets(&self) -> Box<dyn Iterator<Item = &BackendTarget> + '_> {
        let rules = self.rules.iter();
        Box::new(rules.flat_map(|rule| backend::targets(&rule.filters, &rule.backends)))
    }
}

impl Route for StreamRoute {
    fn view(&self, kind: ObjectKind) -> RouteView<'_> {
        let Self { meta, parents, hostnames, .. } = self;
        RouteView { kind, meta, parents, hostnames, unsupported: None }
    }

    fn targets(&self) -> Box<dyn Iterator<Item = &BackendTarget> + '_> {
        let backends = self.rules.iter().flat_map(|rule| &rule.backends);
        Box::new(backends.map(|one| &one.target))
    }
}

impl<R: Route> Naming for R {
    fn services(&self) -> Box<dyn Iterator<Item = &ObjectRef> + '_> {
        Box::new(self.targets().map(|target| &target.object))
    }
}

impl Naming for Ingress {
    fn services(&self) -> Box<dyn Iterator<Item = &ObjectRef> + '_> {
        let paths = self.paths.iter().map(|path| &path.backend);
        Box::new(paths.chain(&self.default_backend).map(|backend| &backend.service))
    }
}

/// What happens to the outcome of one document.
pub(super) enum Fate<'o, O> {
    /// It is what it was.
    Kept(&'o Arc<O>),
    /// It is no more; what takes its place, if anything, comes next.
    Dropped(&'o Arc<O>),
    /// It is to be made, of the document at this place.
    Made(usize),
}

/// What happens to the outcomes of documents that were `before` and are `now`, in their order; those
/// of documents that name a Service that changed are made again.
pub(super) fn fates<'o, R: Naming, O>(
    (now, before): (&'o ObjectSet<R>, &'o ObjectSet<R>),
    outcomes: &'o [Arc<O>],
    changed: &HashSet<&ObjectRef>,
    mut each: impl FnMut(Fate<'o, O>),
) {
    let names =
        |route: &R| !changed.is_empty() && route.services().any(|one| changed.contains(one));
    for edit in now.edits(before) {
        match edit {
            Edit::Same(was, at) if names(&now[at]) => {
                each(Fate::Dropped(&outcomes[was]));
                each(Fate::Made(at));
            }
            Edit::Same(was, _) => each(Fate::Kept(&outcomes[was])),
            Edit::Gone(was) => each(Fate::Dropped(&outcomes[was])),
            Edit::New(at) => each(Fate::Made(at)),
        }
    }
}

/// Metadata as a status needs it.
pub(super) fn status_of(
    kind: ObjectKind,
    meta: &Meta,
    detail: crate::status::Detail,
) -> ObjectStatus {
    ObjectStatus {
        kind,
        object: meta.object.clone(),
        generation: meta.generation,
        origin: Arc::clone(&meta.origin),
        detail,
    }
}
