//! Rules of HTTPRoutes and GRPCRoutes: at the places of the listeners that took them.

use std::sync::Arc;

use model::gateway::{
    GrpcMatch, GrpcRoute, HostPattern, HttpFilter, HttpMatch, HttpRoute, HttpSettings, Meta,
    ObjectKind, PathMatch, Retry, RouteBackend, SessionPersistence, ValueMatch,
};
use model::name::ObjectRef;

use super::build::{Builder, Draft, Ruled};
use super::matcher::Wanted;
use super::{Candidate, EVERY_LISTENER, RouteTable};
use crate::attach::{Resolved, RouteOutcome, settings_of};
use crate::backend_tls;
use crate::origin_tls::OriginClient;
use crate::rule::{Order, RuleSource, Share, Target, Timeouts};
use crate::socket::TableId;

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

/// Where a route is served: a hostname, the number of a listener, a table.
type Spot = (Option<HostPattern>, u32, TableId);

impl Ruled for HttpRoute {
    type Outcome = RouteOutcome;

    fn build(&self, outcome: &RouteOutcome, builder: &mut Builder<'_, '_>) -> Draft {
        let (mut draft, spots) = (Draft::default(), builder.spots(outcome));
        for (place, rule) in self.rules.iter().enumerate().filter(|_| !spots.is_empty()) {
            let of = RouteRule {
                kind: ObjectKind::HttpRoute,
                meta: &self.meta,
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
            let number = builder.rule(&of, outcome, &mut draft);
            for (match_at, one) in rule.matches.iter().enumerate() {
                builder.enter(&spots, (number, match_at), one);
            }
        }
        draft
    }

    fn filed(
        &self,
        outcome: &RouteOutcome,
        builder: &Builder<'_, '_>,
    ) -> Vec<(TableId, Option<HostPattern>)> {
        builder.spots(outcome).into_iter().map(|(host, _, table)| (table, host)).collect()
    }
}

impl Ruled for GrpcRoute {
    type Outcome = RouteOutcome;

    fn build(&self, outcome: &RouteOutcome, builder: &mut Builder<'_, '_>) -> Draft {
        let (mut draft, spots) = (Draft::default(), builder.spots(outcome));
        for (place, rule) in self.rules.iter().enumerate().filter(|_| !spots.is_empty()) {
            let of = RouteRule {
                kind: ObjectKind::GrpcRoute,
                meta: &self.meta,
                name: rule.name.as_deref(),
                place,
                filters: &rule.filters,
                backends: &rule.backends,
                timeouts: Timeouts::default(),
                retry: None,
                session: rule.session.as_ref(),
            };
            let number = builder.rule(&of, outcome, &mut draft);
            if rule.matches.is_empty() {
                builder.enter(&spots, (number, 0), &HttpMatch::default());
            }
            for (match_at, one) in rule.matches.iter().enumerate() {
                builder.enter(&spots, (number, match_at), &call(one));
            }
        }
        draft
    }

    fn filed(
        &self,
        outcome: &RouteOutcome,
        builder: &Builder<'_, '_>,
    ) -> Vec<(TableId, Option<HostPattern>)> {
        builder.spots(outcome).into_iter().map(|(host, _, table)| (table, host)).collect()
    }
}

impl Builder<'_, '_> {
    /// Where a route is served, each spot once.
    fn spots(&self, outcome: &RouteOutcome) -> Vec<Spot> {
        let RouteTable { tables, places, .. } = &self.table;
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

    fn enter(&mut self, spots: &[Spot], (rule, match_at): (u32, usize), one: &HttpMatch) {
        let (Some(headers), Some(query)) = (wanted(&one.headers), wanted(&one.query)) else {
            return;
        };
        for (host, listener, table) in spots {
            let candidate = Candidate {
                listener: *listener,
                one_label: false,
                method: one.method.clone(),
                headers: headers.clone(),
                query: query.clone(),
                rule,
                place: u32::try_from(match_at).unwrap_or(u32::MAX),
            };
            self.file((*table, host.clone()), one.path.clone(), candidate);
        }
    }

    fn rule(&mut self, of: &RouteRule<'_>, outcome: &RouteOutcome, draft: &mut Draft) -> u32 {
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
            order: Order {
                created_s: of.meta.created_s,
                object: of.meta.object.clone(),
                place: u32::try_from(of.place).unwrap_or(u32::MAX),
                kind: of.kind,
            },
            filters: of.filters,
            backends,
            timeouts: of.timeouts,
            retry: of.retry,
            session: of.session,
            client: self.client(outcome),
            settings: &settings,
            ingress: None,
        };
        self.push_rule((of.kind, of.meta), source, draft)
    }

    /// The certificate that the route's Gateway shows backends (the first one's that has any).
    fn client(&self, outcome: &RouteOutcome) -> Option<Arc<OriginClient>> {
        let objects = self.source.scene.objects;
        let gateways = outcome.owners.iter().filter_map(|name| objects.gateways.get(name));
        let (gateway, named) = gateways
            .filter_map(|gateway| Some((gateway, gateway.client_certificate.as_ref()?)))
            .next()?;
        self.look_far();
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
