//! What is done at each place: the plans that the accept loop carries out.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use model::gateway::{
    HostPattern, ListenerProtocol, ObjectKind, ObjectSet, StreamRoute, TlsMode, Transport,
};
use model::name::ObjectRef;

use crate::attach::{Attached, Entry, Resolved, RouteOutcome};
use crate::cluster::Clusters;
use crate::route::build::Source;
use crate::route::{RouteTable, Scheme};
use crate::rule::{Share, Target};
use crate::socket::{Place, Plan, StreamPlan, TableId, TlsAction, TlsPlan, Wire};
use crate::termination::Termination;
use crate::tls::Keyring;
use crate::view::Warning;

/// Whether all plans would be what they were when this was attached: nothing changed but routes of
/// HTTP, endpoints, and Services that no other route names.
pub(crate) fn stays(source: &Source<'_>, before: &Attached) -> bool {
    fn same<T>(now: &[Arc<T>], before: &[Arc<T>]) -> bool {
        now.len() == before.len() && now.iter().zip(before).all(|(a, b)| Arc::ptr_eq(a, b))
    }
    let (now, attachment) = (source.scene.objects, source.attachment);
    let (outcomes, past) = (&attachment.outcomes, &before.outcomes);
    attachment.stays
        && same(&outcomes.tls, &past.tls)
        && same(&outcomes.tcp, &past.tcp)
        && same(&outcomes.udp, &past.udp)
        && same(&attachment.ingresses, &before.ingresses)
        && now.secrets.is_same(&before.objects.secrets)
        && now.config_maps.is_same(&before.objects.config_maps)
}

/// The plans of all places, and what was left out in them.
pub(crate) fn places(
    source: &Source<'_>,
    (clusters, routes): (&Clusters, &RouteTable),
    keyring: &mut Keyring<'_>,
) -> (BTreeMap<Place, Plan>, Vec<Warning>) {
    let mut warnings = Vec::new();
    let mut run = Run { source, clusters, streams: HashMap::new() };
    let mut tls: BTreeMap<Place, TlsPlan> = BTreeMap::new();
    tls.insert(Place::SharedHttps, TlsPlan::default());
    let mut places =
        BTreeMap::from([(Place::SharedHttp, Plan::Http(TableId::shared(Scheme::Http)))]);
    let attachment = source.attachment;
    for (at, entry) in attachment.entries.iter().enumerate() {
        if !entry.is_programmed() {
            continue;
        }
        for &place in &entry.places {
            match place {
                Place::SharedHttp => {}
                Place::SharedHttps | Place::Own(_, Wire::Tls) => {
                    let plan = tls.entry(place).or_default();
                    run.tls((at, entry), routes.table(place), plan);
                }
                Place::Own(_, Wire::Http) => {
                    if let Some(table) = routes.table(place) {
                        places.insert(place, Plan::Http(table));
                    }
                }
                Place::Own(_, Wire::Tcp) => {
                    places.insert(place, Plan::Stream(run.oldest(ObjectKind::TcpRoute, at)));
                }
                Place::Own(_, Wire::Udp) => {
                    places.insert(place, Plan::Stream(run.oldest(ObjectKind::UdpRoute, at)));
                }
            }
        }
    }
    if let Some(plan) = tls.get_mut(&Place::SharedHttps) {
        ingresses(source, keyring, plan, &mut warnings);
    }
    places.extend(tls.into_iter().map(|(place, plan)| (place, Plan::Tls(plan))));
    (places, warnings)
}

struct Run<'r, 's> {
    source: &'r Source<'s>,
    clusters: &'r Clusters,
    /// Plans of stream routes by kind and index.
    streams: HashMap<(ObjectKind, usize), Option<Arc<StreamPlan>>>,
}

impl<'s> Run<'_, 's> {
    /// Files what a listener does with TLS connections.
    fn tls(
        &mut self,
        (at, entry): (usize, &Entry<'_>),
        table: Option<TableId>,
        plan: &mut TlsPlan,
    ) {
        let termination = || {
            let certificates = entry.certificates.clone();
            Arc::new(Termination::new(Arc::clone(&entry.id), certificates, entry.clients.clone()))
        };
        let hostname = entry.listener.hostname.as_ref();
        if entry.listener.protocol == ListenerProtocol::Https {
            if let Some(table) = table {
                file(plan, hostname, TlsAction::Http(termination(), table));
            }
            return;
        }
        plan.resets = true;
        let mode = entry.listener.tls.as_ref().map(|tls| tls.mode).unwrap_or_default();
        let termination = (mode == TlsMode::Terminate).then(termination);
        for route in self.of_listener(ObjectKind::TlsRoute, at) {
            let stream = self.stream(ObjectKind::TlsRoute, route);
            let action = match &termination {
                Some(termination) => TlsAction::Stream(Arc::clone(termination), stream),
                None => TlsAction::Passthrough(stream),
            };
            let outcome = self.outcomes(ObjectKind::TlsRoute).get(route);
            let served = outcome.into_iter().flat_map(|outcome| &outcome.served);
            for served in served.filter(|served| served.entry == at) {
                file(plan, served.host.as_ref(), action.clone());
            }
        }
    }

    /// The plan of the oldest route of a listener: only one can have it.
    fn oldest(&mut self, kind: ObjectKind, at: usize) -> Option<Arc<StreamPlan>> {
        let first = self.of_listener(kind, at).first().copied()?;
        self.stream(kind, first)
    }

    fn routes(&self, kind: ObjectKind) -> &'s ObjectSet<StreamRoute> {
        let objects = self.source.scene.objects;
        match kind {
            ObjectKind::TlsRoute => &objects.tls_routes,
            ObjectKind::TcpRoute => &objects.tcp_routes,
            _ => &objects.udp_routes,
        }
    }

    fn outcomes(&self, kind: ObjectKind) -> &'s [Arc<RouteOutcome>] {
        let attachment = &self.source.attachment.outcomes;
        match kind {
            ObjectKind::TlsRoute => &attachment.tls,
            ObjectKind::TcpRoute => &attachment.tcp,
            _ => &attachment.udp,
        }
    }

    /// The routes of a listener, the oldest first.
    fn of_listener(&self, kind: ObjectKind, at: usize) -> Vec<usize> {
        let served = |outcome: &Arc<RouteOutcome>| outcome.served.iter().any(|one| one.entry == at);
        let outcomes = self.outcomes(kind).iter().enumerate();
        let mut found: Vec<usize> =
            outcomes.filter(|(_, outcome)| served(outcome)).map(|(route, _)| route).collect();
        let routes = self.routes(kind);
        found.sort_by_key(|&route| {
            let meta = &routes[route].meta;
            (meta.created_s, meta.object.clone())
        });
        found
    }

    /// Where connections of a route go; `None` when its rule has no backend with a weight.
    fn stream(&mut self, kind: ObjectKind, route: usize) -> Option<Arc<StreamPlan>> {
        if let Some(made) = self.streams.get(&(kind, route)) {
            return made.clone();
        }
        let document = &self.routes(kind)[route];
        let transport = if kind == ObjectKind::UdpRoute { Transport::Udp } else { Transport::Tcp };
        let mut shares = Vec::new();
        let backends = document.rules.first().into_iter().flat_map(|rule| &rule.backends);
        for backend in backends.filter(|backend| backend.weight > 0) {
            let named = &backend.target;
            let scene = self.source.scene;
            let target = match scene.resolve(kind, &document.meta.object.namespace, named) {
                Resolved::Found => {
                    self.clusters.over(&named.object, named.port.unwrap_or(0), transport)
                }
                _ => Target::Broken,
            };
            shares.push(Share { target, weight: backend.weight });
        }
        let id = format!("{}/{}#0", kind.name().to_ascii_lowercase(), document.meta.object);
        let made = (!shares.is_empty()).then(|| Arc::new(StreamPlan { id: id.into(), shares }));
        self.streams.insert((kind, route), made.clone());
        made
    }
}

/// The first that names a host keeps it.
fn file(plan: &mut TlsPlan, host: Option<&HostPattern>, action: TlsAction) {
    match host {
        Some(HostPattern::Exact(name)) => {
            plan.exact.entry(Box::from(&**name)).or_insert(action);
        }
        Some(HostPattern::Suffix(name)) => {
            plan.suffix.entry(Box::from(&**name)).or_insert(action);
        }
        None => {
            plan.any.get_or_insert(action);
        }
    }
}

/// The certificates of Ingresses. Hosts of one Secret are one listener.
fn ingresses(
    source: &Source<'_>,
    keyring: &mut Keyring<'_>,
    plan: &mut TlsPlan,
    warnings: &mut Vec<Warning>,
) {
    let objects = source.scene.objects;
    let mut terminations: HashMap<&ObjectRef, Option<Arc<Termination>>> = HashMap::new();
    let ours = objects.ingresses.iter().zip(&source.attachment.ingresses);
    for (ingress, _) in ours.filter(|(_, outcome)| outcome.is_ours) {
        for tls in &ingress.tls {
            let termination = terminations.entry(&tls.secret).or_insert_with(|| {
                let mut warn = |origin: &Arc<str>, text| {
                    warnings.push(Warning { origin: Arc::clone(origin), text });
                };
                let Some(secret) = objects.secrets.get(&tls.secret) else {
                    let text = format!("no Secret `{}` of type kubernetes.io/tls", tls.secret);
                    warn(&ingress.meta.origin, text);
                    return None;
                };
                let (key, fault) = keyring.load(secret);
                if let Some(text) = fault {
                    warn(&secret.meta.origin, text);
                }
                let id = format!("ingress/{}", tls.secret).into();
                key.map(|key| Arc::new(Termination::new(id, vec![key], None)))
            });
            let Some(termination) = termination else { continue };
            let action = TlsAction::Http(Arc::clone(termination), TableId::shared(Scheme::Https));
            let own = ingress.paths.iter().filter_map(|path| path.host.as_ref());
            let mut hosts: Vec<&HostPattern> = tls.hosts.iter().collect();
            if hosts.is_empty() {
                hosts.extend(own);
            }
            if hosts.is_empty() {
                file(plan, None, action.clone());
            }
            for host in hosts {
                file(plan, Some(host), action.clone());
            }
        }
    }
}
