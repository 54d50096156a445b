//! Builds the route tables out of what `attach` found: one for each place where HTTP is served.
//!
//! One bad document never stops another: what cannot be used is left out with a [`Warning`].

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use model::gateway::{
    GatewayObjects, GrpcMatch, HostPattern, HttpFilter, HttpMatch, HttpSettings, ListenerProtocol,
    Meta, ObjectKind, PathMatch, Retry, RouteBackend, SessionPersistence, ValueMatch,
};
use model::name::ObjectRef;

use super::matcher::{self, Wanted};
use super::{Candidate, EVERY_LISTENER, HostRoutes, ListenerNames, RouteTable, Table};
use crate::attach::{Attachment, Resolved, RouteOutcome, Scene, settings_of};
use crate::backend_tls;
use crate::cluster::Clusters;
use crate::kept::Kept;
use crate::origin_tls::OriginClient;
use crate::path;
use crate::rule::{Rule, RuleSource, Share, Surroundings, Target, Timeouts};
use crate::socket::{Place, TableId};
use crate::view::Warning;

/// What tables are built from.
pub(crate) struct Source<'a> {
    pub(crate) scene: &'a Scene<'a>,
    pub(crate) attachment: &'a Attachment<'a>,
    pub(crate) kept: &'a Kept,
}

/// Builds the tables. Never fails: what is wrong is left out and said in `warnings`.
pub(crate) fn build(
    source: &Source<'_>,
    clusters: &mut Clusters,
    warnings: &mut Vec<Warning>,
) -> RouteTable {
    let (places, mut tables) = empty_tables(source.attachment);
    let mut builder =
        Builder { source, clusters, warnings, rules: Vec::new(), entries: Vec::new() };
    let default = builder.ingresses();
    for table in tables.iter_mut().take(SHARED) {
        table.default = default;
    }
    builder.http_routes(&places, &tables);
    builder.grpc_routes(&places, &tables);
    let Builder { rules, mut entries, .. } = builder;
    entries.sort_by(Entry::precedence);
    for entry in entries {
        entry.file(&mut tables);
    }
    for table in &mut tables {
        table.sort_expressions();
    }
    RouteTable { rules, tables, places }
}

/// The operator's own sockets have the first tables.
const SHARED: usize = 2;

/// A table for each place where HTTP is served, with its listeners' names.
fn empty_tables(attachment: &Attachment<'_>) -> (HashMap<Place, TableId>, Vec<Table>) {
    let shared = [Place::SharedHttp, Place::SharedHttps];
    let mut places: HashMap<Place, TableId> = shared.into_iter().zip((0..).map(TableId)).collect();
    let mut tables: Vec<Table> = (0..SHARED).map(|_| Table::default()).collect();
    for entry in attachment.entries.iter().filter(|entry| entry.is_programmed()) {
        let is_http =
            matches!(entry.listener.protocol, ListenerProtocol::Http | ListenerProtocol::Https);
        for place in entry.places.iter().filter(|_| is_http) {
            let next = TableId(u32::try_from(tables.len()).unwrap_or(u32::MAX));
            let id = *places.entry(*place).or_insert(next);
            if id == next {
                tables.push(Table::default());
            }
            if let Some(table) = tables.get_mut(id.0 as usize) {
                table.listeners.add(entry.listener.hostname.as_ref(), entry.listener.port);
            }
        }
    }
    (places, tables)
}

/// One match on one hostname, before it is filed.
pub(super) struct Entry {
    pub(super) tables: Vec<TableId>,
    pub(super) host: Option<HostPattern>,
    pub(super) path: PathMatch,
    pub(super) candidate: Candidate,
    pub(super) created_s: i64,
    pub(super) object: ObjectRef,
    /// The rule's and the match's place in the document.
    pub(super) place: (usize, usize),
}

impl Entry {
    /// The order among entries of equal hostname and path (which the table itself orders).
    fn precedence(&self, other: &Self) -> std::cmp::Ordering {
        let key = |entry: &Self| {
            (
                Reverse(entry.candidate.method.is_some()),
                Reverse(entry.candidate.headers.len()),
                Reverse(entry.candidate.query.len()),
                entry.created_s,
            )
        };
        key(self)
            .cmp(&key(other))
            .then_with(|| self.object.cmp(&other.object))
            .then_with(|| self.place.cmp(&other.place))
    }

    fn file(self, tables: &mut [Table]) {
        let Self { tables: wanted, host, path, candidate, .. } = self;
        for id in wanted {
            let Some(table) = tables.get_mut(id.0 as usize) else { continue };
            let routes = match &host {
                Some(HostPattern::Exact(name)) => {
                    table.exact.entry(Box::from(&**name)).or_default()
                }
                Some(HostPattern::Suffix(name)) => {
                    table.suffix.entry(Box::from(&**name)).or_default()
                }
                None => &mut table.any,
            };
            routes.file(&path, candidate.clone());
        }
    }
}

impl Table {
    /// The longest expression first; equal ones stay in order of precedence.
    fn sort_expressions(&mut self) {
        let named = self.exact.values_mut().chain(self.suffix.values_mut());
        for routes in named.chain([&mut self.any]).filter(|routes| routes.regex.len() > 1) {
            routes.regex.sort_by_key(|(regex, _)| Reverse(regex.as_str().len()));
        }
    }
}

impl HostRoutes {
    fn file(&mut self, path: &PathMatch, candidate: Candidate) {
        let bucket = match path {
            PathMatch::Regex(text) => {
                // What is no expression was said in the route's status; nothing is served by it.
                if let Ok(regex) = matcher::compile(text) {
                    self.regex.push((regex, candidate));
                }
                return;
            }
            PathMatch::Exact(exact) => {
                self.exact.entry(Box::from(&*path::normalise(exact))).or_default()
            }
            PathMatch::Prefix(prefix) => {
                let normal = path::normalise(prefix);
                let key = normal.trim_end_matches('/');
                self.prefix_octets_max = self.prefix_octets_max.max(key.len());
                self.prefix.entry(Box::from(key)).or_default()
            }
        };
        bucket.push(candidate);
    }
}

impl ListenerNames {
    /// Two listeners of the same hostname at one place are one, of the first one's port.
    fn add(&mut self, hostname: Option<&HostPattern>, port: u16) {
        if self.id(hostname).is_some() {
            return;
        }
        let next = u32::try_from(self.ports.len()).unwrap_or(u32::MAX);
        self.ports.push(port);
        match hostname {
            Some(HostPattern::Exact(name)) => {
                self.exact.insert(Box::from(&**name), next);
            }
            Some(HostPattern::Suffix(name)) => {
                self.suffix.insert(Box::from(&**name), next);
            }
            None => self.any = Some(next),
        }
    }

    fn id(&self, hostname: Option<&HostPattern>) -> Option<u32> {
        match hostname {
            Some(HostPattern::Exact(name)) => self.exact.get(&**name).copied(),
            Some(HostPattern::Suffix(name)) => self.suffix.get(&**name).copied(),
            None => self.any,
        }
    }
}

pub(super) struct Builder<'s, 'b> {
    pub(super) source: &'b Source<'s>,
    pub(super) clusters: &'b mut Clusters,
    pub(super) warnings: &'b mut Vec<Warning>,
    pub(super) rules: Vec<Rule>,
    pub(super) entries: Vec<Entry>,
}

/// A rule of an HTTPRoute or GRPCRoute, and the route it is of.
struct RouteRule<'r> {
    kind: ObjectKind,
    meta: &'r Meta,
    name: Option<&'r str>,
    place: usize,
    filters: &'r [HttpFilter],
    backends: &'r [RouteBackend],
    timeouts: Timeouts,
    retry: Option<&'r Retry>,
    session: Option<&'r SessionPersistence>,
}

impl<'s> Builder<'s, '_> {
    pub(super) fn objects(&self) -> &'s GatewayObjects {
        self.source.scene.objects
    }

    pub(super) fn warn(&mut self, meta: &Meta, text: String) {
        self.warnings.push(Warning { origin: Arc::clone(&meta.origin), text });
    }

    /// Compiles a rule and gives its index.
    pub(super) fn push_rule(
        &mut self,
        (kind, meta): (ObjectKind, &Meta),
        source: RuleSource<'_>,
    ) -> u32 {
        let mut notes = Vec::new();
        let (scene, clusters) = (self.source.scene, &*self.clusters);
        let namespace = &*meta.object.namespace;
        let rule = Rule::compile(
            source,
            &mut Surroundings {
                target: &|named| match scene.resolve(kind, namespace, named) {
                    Resolved::Found => clusters.find(&named.object, named.port.unwrap_or(0)),
                    _ => Target::Broken,
                },
                material: &|named, key| {
                    let may = scene.may_read(kind, namespace, named);
                    backend_tls::material(scene.objects, named, key).filter(|_| may)
                },
                kept: self.source.kept,
                notes: &mut notes,
            },
        );
        for note in notes {
            self.warn(meta, note);
        }
        self.rules.push(rule);
        // Invariant: documents are limited far below 2^32 rules.
        u32::try_from(self.rules.len() - 1).unwrap_or(u32::MAX)
    }

    fn http_routes(&mut self, places: &HashMap<Place, TableId>, tables: &[Table]) {
        let source = self.source;
        for (route, outcome) in source.scene.objects.http_routes.iter().zip(&source.attachment.http)
        {
            let spots = self.spots(outcome, places, tables);
            if spots.is_empty() {
                continue;
            }
            for (place, rule) in route.rules.iter().enumerate() {
                let of = RouteRule {
                    kind: ObjectKind::HttpRoute,
                    meta: &route.meta,
                    name: rule.name.as_deref(),
                    place,
                    filters: &rule.filters,
                    backends: &rule.backends,
                    timeouts: Timeouts {
                        request_ms: rule.request_timeout_ms,
                        attempt_ms: rule.backend_timeout_ms,
                        ..Timeouts::default()
                    },
                    retry: rule.retry.as_ref(),
                    session: rule.session.as_ref(),
                };
                let index = self.rule(&of, outcome);
                for (order, one) in rule.matches.iter().enumerate() {
                    self.enter(&spots, &of, (order, index), one);
                }
            }
        }
    }

    fn grpc_routes(&mut self, places: &HashMap<Place, TableId>, tables: &[Table]) {
        let source = self.source;
        for (route, outcome) in source.scene.objects.grpc_routes.iter().zip(&source.attachment.grpc)
        {
            let spots = self.spots(outcome, places, tables);
            if spots.is_empty() {
                continue;
            }
            for (place, rule) in route.rules.iter().enumerate() {
                let of = RouteRule {
                    kind: ObjectKind::GrpcRoute,
                    meta: &route.meta,
                    name: rule.name.as_deref(),
                    place,
                    filters: &rule.filters,
                    backends: &rule.backends,
                    timeouts: Timeouts::default(),
                    retry: None,
                    session: rule.session.as_ref(),
                };
                let index = self.rule(&of, outcome);
                if rule.matches.is_empty() {
                    self.enter(&spots, &of, (0, index), &HttpMatch::default());
                }
                for (order, one) in rule.matches.iter().enumerate() {
                    self.enter(&spots, &of, (order, index), &call(one));
                }
            }
        }
    }

    /// Where a route is served: hostname, listener and tables, each once.
    fn spots(
        &self,
        outcome: &RouteOutcome,
        places: &HashMap<Place, TableId>,
        tables: &[Table],
    ) -> Vec<(Option<HostPattern>, u32, TableId)> {
        let mut spots = Vec::new();
        for served in &outcome.served {
            let Some(entry) = self.source.attachment.entries.get(served.entry) else { continue };
            for place in entry.places.iter().filter(|_| entry.is_programmed()) {
                let Some(id) = places.get(place) else { continue };
                let names = tables.get(id.0 as usize).map(|table| &table.listeners);
                let listener = names.and_then(|names| names.id(entry.listener.hostname.as_ref()));
                let spot = (served.host.clone(), listener.unwrap_or(EVERY_LISTENER), *id);
                if !spots.contains(&spot) {
                    spots.push(spot);
                }
            }
        }
        spots
    }

    fn enter(
        &mut self,
        spots: &[(Option<HostPattern>, u32, TableId)],
        of: &RouteRule<'_>,
        (order, rule): (usize, u32),
        one: &HttpMatch,
    ) {
        let (Some(headers), Some(query)) = (wanted(&one.headers), wanted(&one.query)) else {
            return;
        };
        for (host, listener, table) in spots {
            self.entries.push(Entry {
                tables: vec![*table],
                host: host.clone(),
                path: one.path.clone(),
                candidate: Candidate {
                    listener: *listener,
                    one_label: false,
                    method: one.method.clone(),
                    headers: headers.clone(),
                    query: query.clone(),
                    rule,
                },
                created_s: of.meta.created_s,
                object: of.meta.object.clone(),
                place: (of.place, order),
            });
        }
    }

    fn rule(&mut self, of: &RouteRule<'_>, outcome: &RouteOutcome) -> u32 {
        let scene = self.source.scene;
        let namespace = &*of.meta.object.namespace;
        let mut backends = Vec::new();
        for backend in of.backends.iter().filter(|backend| backend.weight > 0) {
            let named = &backend.target;
            let mut target = match scene.resolve(of.kind, namespace, named) {
                Resolved::Found => self.clusters.find(&named.object, named.port.unwrap_or(0)),
                _ => Target::Broken,
            };
            if of.kind == ObjectKind::GrpcRoute {
                target = self.clusters.speaking_http2(target);
            }
            backends.push((Share { target, weight: backend.weight }, &*backend.filters));
        }
        let owners: Vec<&ObjectRef> = outcome.owners.iter().collect();
        let section = (of.kind, of.meta, of.name);
        let settings = settings_of(scene.objects, section, &owners, &HttpSettings::default());
        let source = RuleSource {
            id: id(of),
            filters: of.filters,
            backends,
            timeouts: of.timeouts,
            retry: of.retry,
            session: of.session,
            client: self.client(outcome),
            settings: &settings,
            ingress: None,
        };
        self.push_rule((of.kind, of.meta), source)
    }

    /// The certificate that the route's Gateway shows backends (the first one's that has any).
    fn client(&self, outcome: &RouteOutcome) -> Option<Arc<OriginClient>> {
        let objects = self.source.scene.objects;
        let gateways = outcome.owners.iter().filter_map(|name| objects.gateways.get(name));
        let (gateway, named) = gateways
            .filter_map(|gateway| Some((gateway, gateway.client_certificate.as_ref()?)))
            .next()?;
        let namespace = &*gateway.meta.object.namespace;
        if !self.source.scene.may_read(ObjectKind::Gateway, namespace, named) {
            return None;
        }
        let material = |key| backend_tls::material(objects, named, key);
        let (chain, key) = material("tls.crt").zip(material("tls.key"))?;
        self.source.kept.client(chain, key).ok()
    }
}

fn id(of: &RouteRule<'_>) -> Arc<str> {
    let kind = of.kind.name().to_ascii_lowercase();
    match of.name {
        Some(name) => format!("{kind}/{}#{name}", of.meta.object).into(),
        None => format!("{kind}/{}#{}", of.meta.object, of.place).into(),
    }
}

/// A call as the request that carries it (gRPC over HTTP/2: `POST /service/method`).
fn call(one: &GrpcMatch) -> HttpMatch {
    let text = |value: &ValueMatch| match value {
        ValueMatch::Exact(text) => regex::escape(text),
        ValueMatch::Regex(text) => format!("(?:{text})"),
    };
    let path = match (&one.service, &one.method) {
        (None, None) => PathMatch::Prefix("/".into()),
        (Some(ValueMatch::Exact(service)), Some(ValueMatch::Exact(method))) => {
            PathMatch::Exact(format!("/{service}/{method}").into())
        }
        (Some(ValueMatch::Exact(service)), None) => PathMatch::Prefix(format!("/{service}").into()),
        (service, method) => {
            let part =
                |value: &Option<ValueMatch>| value.as_ref().map_or_else(|| "[^/]+".into(), text);
            PathMatch::Regex(format!("/{}/{}", part(service), part(method)).into())
        }
    };
    HttpMatch { path, method: None, headers: one.headers.clone(), query: Vec::new() }
}

type Values = Box<[(Arc<str>, Wanted)]>;

/// Compiled values; `None` when one cannot be.
fn wanted(matches: &[(Arc<str>, ValueMatch)]) -> Option<Values> {
    let one =
        |(name, value): &(Arc<str>, ValueMatch)| Some((Arc::clone(name), Wanted::new(value)?));
    matches.iter().map(one).collect()
}
