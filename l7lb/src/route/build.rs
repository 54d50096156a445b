//! Builds the route table out of Ingress, Gateway and HTTPRoute documents.
//!
//! A directory belongs to its operator, so an Ingress of any class attaches, and so does a route to
//! a Gateway of any class. The ports of Gateway listeners are names here: HTTP listeners are the
//! gateway's HTTP sockets and HTTPS listeners its TLS sockets. One bad document never stops
//! another: what cannot be used is left out with a [`Warning`].

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;

use model::gateway::{
    Gateway, GatewayObjects, HostPattern, HttpMatch, HttpRoute, HttpRule, HttpSettings, Ingress,
    IngressBackend, IngressPath, Listener, ListenerProtocol, Meta, NamespaceFilter, ObjectSet,
    ParentRef, PathMatch, PortRef, ValueMatch,
};
use model::name::ObjectRef;

use super::{Candidate, EVERY_LISTENER, HostRoutes, ListenerNames, RouteTable, SchemeTable};
use crate::backend_tls;
use crate::kept::Kept;
use crate::origin_tls::OriginClient;
use crate::path;
use crate::rule::{IngressSource, Rule, RuleSource, Share, Surroundings, Target, Timeouts};
use crate::view::Warning;

/// Builds the table. Never fails: what is wrong is left out and said in `warnings`.
pub(crate) fn build(
    (objects, kept): (&GatewayObjects, &Kept),
    clusters: &HashMap<(ObjectRef, PortRef), u32>,
    warnings: &mut Vec<Warning>,
) -> RouteTable {
    let mut builder =
        Builder { objects, kept, clusters, warnings, rules: Vec::new(), entries: Vec::new() };
    let mut table = RouteTable {
        http: SchemeTable {
            listeners: listener_names(&objects.gateways, &ListenerProtocol::Http),
            ..SchemeTable::default()
        },
        https: SchemeTable {
            listeners: listener_names(&objects.gateways, &ListenerProtocol::Https),
            ..SchemeTable::default()
        },
        rules: Vec::new(),
    };
    let mut defaults = Vec::new();
    for ingress in &objects.ingresses {
        if let Some(rule) = builder.ingress(ingress) {
            defaults.push((ingress.meta.created_s, &ingress.meta.object, rule));
        }
    }
    for route in &objects.http_routes {
        builder.http_route(route, &objects.gateways, &table);
    }
    // The oldest Ingress with a default backend has it.
    defaults.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    table.http.default = defaults.first().map(|default| default.2);
    table.https.default = table.http.default;
    let Builder { rules, mut entries, .. } = builder;
    entries.sort_by(Entry::precedence);
    for entry in entries {
        entry.file(&mut table);
    }
    table.rules = rules;
    table
}

/// One match on one hostname, before it is filed under both.
struct Entry {
    /// On which sockets.
    on_http: bool,
    on_https: bool,
    host: Option<HostPattern>,
    path: PathMatch,
    candidate: Candidate,
    created_s: i64,
    object: ObjectRef,
    /// The rule's and the match's place in the document.
    place: (usize, usize),
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

    fn file(self, table: &mut RouteTable) {
        let Self { on_http, on_https, host, path, candidate, .. } = self;
        for (wanted, scheme) in [(on_http, &mut table.http), (on_https, &mut table.https)] {
            if wanted {
                let routes = match &host {
                    Some(HostPattern::Exact(name)) => {
                        scheme.exact.entry(Box::from(&**name)).or_default()
                    }
                    Some(HostPattern::Suffix(name)) => {
                        scheme.suffix.entry(Box::from(&**name)).or_default()
                    }
                    None => &mut scheme.any,
                };
                routes.file(&path, candidate.clone());
            }
        }
    }
}

impl HostRoutes {
    fn file(&mut self, path: &PathMatch, candidate: Candidate) {
        let bucket = match path {
            PathMatch::Exact(exact) | PathMatch::Regex(exact) => {
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

fn listener_names(gateways: &ObjectSet<Gateway>, protocol: &ListenerProtocol) -> ListenerNames {
    let mut names = ListenerNames::default();
    let mut next = 0;
    let all = gateways.iter().flat_map(|gateway| &gateway.listeners);
    for listener in all.filter(|listener| listener.protocol == *protocol) {
        let slot = match &listener.hostname {
            Some(HostPattern::Exact(name)) => names.exact.entry(Box::from(&**name)).or_insert(next),
            Some(HostPattern::Suffix(name)) => {
                names.suffix.entry(Box::from(&**name)).or_insert(next)
            }
            None => names.any.get_or_insert(next),
        };
        if *slot == next {
            next += 1;
        }
    }
    names
}

impl ListenerNames {
    fn id(&self, hostname: Option<&HostPattern>) -> Option<u32> {
        match hostname {
            Some(HostPattern::Exact(name)) => self.exact.get(&**name).copied(),
            Some(HostPattern::Suffix(name)) => self.suffix.get(&**name).copied(),
            None => self.any,
        }
    }
}

struct Builder<'a> {
    objects: &'a GatewayObjects,
    kept: &'a Kept,
    clusters: &'a HashMap<(ObjectRef, PortRef), u32>,
    warnings: &'a mut Vec<Warning>,
    rules: Vec<Rule>,
    entries: Vec<Entry>,
}

impl Builder<'_> {
    fn warn(&mut self, meta: &Meta, text: String) {
        self.warnings.push(Warning { origin: Arc::clone(&meta.origin), text });
    }

    fn push_rule(&mut self, meta: &Meta, source: RuleSource<'_>) -> u32 {
        let mut notes = Vec::new();
        let rule = Rule::compile(
            source,
            &mut Surroundings {
                target: &|named| {
                    let port = PortRef::Number(named.port.unwrap_or(0));
                    let mine = named.object.namespace == meta.object.namespace;
                    let cluster = self.clusters.get(&(named.object.clone(), port));
                    let cluster = cluster.filter(|_| mine && named.is_service());
                    cluster.map_or(Target::Broken, |index| Target::Cluster(*index))
                },
                material: &|named, key| {
                    let mine = named.object.namespace == meta.object.namespace;
                    backend_tls::material(self.objects, named, key).filter(|_| mine)
                },
                kept: self.kept,
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

    /// Files an Ingress's paths and returns the rule of its default backend.
    fn ingress(&mut self, ingress: &Ingress) -> Option<u32> {
        let meta = &ingress.meta;
        for (place, path) in ingress.paths.iter().enumerate() {
            let rule = self.ingress_rule(ingress, Some(path), &place.to_string(), &path.backend);
            self.entries.push(Entry {
                on_http: true,
                on_https: true,
                host: path.host.clone(),
                path: path.path.clone(),
                candidate: Candidate {
                    listener: EVERY_LISTENER,
                    one_label: matches!(path.host, Some(HostPattern::Suffix(_))),
                    method: None,
                    headers: Box::default(),
                    query: Box::default(),
                    rule,
                },
                created_s: meta.created_s,
                object: meta.object.clone(),
                place: (place, 0),
            });
        }
        let backend = ingress.default_backend.as_ref()?;
        Some(self.ingress_rule(ingress, None, "default", backend))
    }

    fn ingress_rule(
        &mut self,
        ingress: &Ingress,
        path: Option<&IngressPath>,
        place: &str,
        backend: &IngressBackend,
    ) -> u32 {
        let meta = &ingress.meta;
        let target = match self.target(meta, &backend.service, &backend.port) {
            Target::Broken => Target::Absent,
            other => other,
        };
        let source = RuleSource {
            id: format!("ingress/{}#{place}", meta.object).into(),
            filters: &[],
            backends: vec![(Share { target, weight: 1 }, &[])],
            timeouts: Timeouts::default(),
            retry: None,
            session: None,
            client: None,
            settings: &ingress.settings,
            ingress: Some(IngressSource { ingress, path }),
        };
        self.push_rule(meta, source)
    }

    fn target(&mut self, meta: &Meta, service: &ObjectRef, port: &PortRef) -> Target {
        if service.namespace != meta.object.namespace {
            let text =
                format!("the backend `{service}` is in another namespace (requests for it fail)");
            self.warn(meta, text);
            return Target::Broken;
        }
        match self.clusters.get(&(service.clone(), port.clone())) {
            Some(cluster) => Target::Cluster(*cluster),
            None => {
                let port = match port {
                    PortRef::Number(number) => number.to_string(),
                    PortRef::Name(name) => name.to_string(),
                };
                self.warn(
                    meta,
                    format!("no Service `{service}` with port `{port}` (requests for it fail)"),
                );
                Target::Broken
            }
        }
    }

    fn http_route(&mut self, route: &HttpRoute, gateways: &ObjectSet<Gateway>, table: &RouteTable) {
        let attached = self.attachments(route, gateways);
        if attached.is_empty() {
            self.warn(
                &route.meta,
                format!("HTTPRoute `{}` is attached to nothing", route.meta.object),
            );
            return;
        }
        for (place, rule) in route.rules.iter().enumerate() {
            let index = self.http_rule(route, place, rule);
            for (listener, host) in &attached {
                for (order, one) in rule.matches.iter().enumerate() {
                    let (names, on_http) = match listener.protocol {
                        ListenerProtocol::Http => (&table.http.listeners, true),
                        ListenerProtocol::Https => (&table.https.listeners, false),
                        _ => continue,
                    };
                    let id = names.id(listener.hostname.as_ref()).unwrap_or(EVERY_LISTENER);
                    self.entries.push(Entry {
                        on_http,
                        on_https: !on_http,
                        host: host.clone(),
                        path: one.path.clone(),
                        candidate: candidate(one, id, index),
                        created_s: route.meta.created_s,
                        object: route.meta.object.clone(),
                        place: (place, order),
                    });
                }
            }
        }
    }

    /// The listeners a route is attached to, each with the hostnames both sides allow. Two
    /// listeners of the same hostname and protocol are one place; it is named once.
    fn attachments<'g>(
        &mut self,
        route: &HttpRoute,
        gateways: &'g ObjectSet<Gateway>,
    ) -> Vec<(&'g Listener, Option<HostPattern>)> {
        let mut attached: Vec<(&Listener, Option<HostPattern>)> = Vec::new();
        for parent in &route.parents {
            let Some(gateway) = gateways.iter().find(|g| g.meta.object == parent.object) else {
                let text =
                    format!("no Gateway `{}`; HTTPRoute is not attached to it", parent.object);
                self.warn(&route.meta, text);
                continue;
            };
            for listener in gateway.listeners.iter().filter(|l| admits(gateway, l, parent, route)) {
                for host in hosts_of(route, listener) {
                    let same = |(other, name): &(&Listener, Option<HostPattern>)| {
                        other.protocol == listener.protocol
                            && other.hostname == listener.hostname
                            && *name == host
                    };
                    if !attached.iter().any(same) {
                        attached.push((listener, host));
                    }
                }
            }
        }
        attached
    }

    /// The certificate that the route's Gateway shows backends (the first one's that has any).
    fn client(&mut self, route: &HttpRoute) -> Option<Arc<OriginClient>> {
        let parents = route.parents.iter().filter_map(|parent| {
            let mut gateways = self.objects.gateways.iter();
            gateways.find(|gateway| gateway.meta.object == parent.object)
        });
        let (gateway, named) = parents
            .filter_map(|gateway| Some((gateway, gateway.client_certificate.as_ref()?)))
            .next()?;
        let material = |key| backend_tls::material(self.objects, named, key);
        let pair = material("tls.crt").zip(material("tls.key"));
        let client = pair.and_then(|(chain, key)| self.kept.client(chain, key).ok());
        if client.is_none() {
            let text = format!("the client certificate `{}` cannot be used", named.object);
            self.warn(&gateway.meta, text);
        }
        client
    }

    fn http_rule(&mut self, route: &HttpRoute, place: usize, rule: &HttpRule) -> u32 {
        let mut backends = Vec::new();
        for backend in rule.backends.iter().filter(|backend| backend.weight > 0) {
            let port = PortRef::Number(backend.target.port.unwrap_or(0));
            let target = self.target(&route.meta, &backend.target.object, &port);
            backends.push((Share { target, weight: backend.weight }, &*backend.filters));
        }
        let source = RuleSource {
            id: format!("httproute/{}#{place}", route.meta.object).into(),
            filters: &rule.filters,
            backends,
            timeouts: Timeouts {
                request_ms: rule.request_timeout_ms,
                attempt_ms: rule.backend_timeout_ms,
                ..Timeouts::default()
            },
            retry: rule.retry.as_ref(),
            session: rule.session.as_ref(),
            client: self.client(route),
            settings: &HttpSettings::default(),
            ingress: None,
        };
        self.push_rule(&route.meta, source)
    }
}

fn candidate(one: &HttpMatch, listener: u32, rule: u32) -> Candidate {
    Candidate {
        listener,
        one_label: false,
        method: one.method.clone(),
        headers: exact_values(&one.headers),
        query: exact_values(&one.query),
        rule,
    }
}

fn exact_values(matches: &[(Arc<str>, ValueMatch)]) -> Box<[(Arc<str>, Arc<str>)]> {
    let exact = |(name, value): &(Arc<str>, ValueMatch)| match value {
        ValueMatch::Exact(value) | ValueMatch::Regex(value) => {
            (Arc::clone(name), Arc::clone(value))
        }
    };
    matches.iter().map(exact).collect()
}

fn admits(gateway: &Gateway, listener: &Listener, parent: &ParentRef, route: &HttpRoute) -> bool {
    parent.section.as_ref().is_none_or(|section| *section == listener.name)
        && parent.port.is_none_or(|port| port == listener.port)
        && (listener.namespaces == NamespaceFilter::All
            || gateway.meta.object.namespace == route.meta.object.namespace)
}

/// The hostnames on which a route is served at a listener; none when the two do not meet.
fn hosts_of(route: &HttpRoute, listener: &Listener) -> Vec<Option<HostPattern>> {
    if route.hostnames.is_empty() {
        return vec![listener.hostname.clone()];
    }
    let all = route.hostnames.iter();
    all.filter_map(|host| intersect(host, listener.hostname.as_ref())).map(Some).collect()
}

/// The more specific of the two when one covers the other.
fn intersect(route: &HostPattern, listener: Option<&HostPattern>) -> Option<HostPattern> {
    let Some(listener) = listener else { return Some(route.clone()) };
    let below = |name: &str, suffix: &str| {
        name.len() > suffix.len() && name.ends_with(suffix) && {
            name.as_bytes()[name.len() - suffix.len() - 1] == b'.'
        }
    };
    match (route, listener) {
        (HostPattern::Exact(a), HostPattern::Exact(b)) => (a == b).then(|| route.clone()),
        (HostPattern::Exact(a), HostPattern::Suffix(b)) => below(a, b).then(|| route.clone()),
        (HostPattern::Suffix(a), HostPattern::Exact(b)) => below(b, a).then(|| listener.clone()),
        (HostPattern::Suffix(a), HostPattern::Suffix(b)) => {
            if a == b || below(a, b) {
                Some(route.clone())
            } else {
                below(b, a).then(|| listener.clone())
            }
        }
    }
}
