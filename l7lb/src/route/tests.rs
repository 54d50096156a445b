//! Precedence, attachment and isolation, each asked of a whole table; and a property that compares
//! the table with the specification's order written down naively.

use std::cmp::Reverse;

use http::{HeaderName, HeaderValue};
use model::gateway::{
    Gateway, GatewayObjects, HostPattern, HttpMatch, HttpRoute, HttpRule, Ingress, IngressBackend,
    IngressPath, Listener, ListenerProtocol, Meta, NamespaceFilter, ParentKind, ParentRef,
    PathMatch, PortRef, RouteBackend, Service, ServicePort, ValueMatch,
};
use model::name::ObjectRef;
use proptest::prelude::*;

use super::*;
use crate::rule::{Action, Share, Target};
use crate::view::{GatewayView, Warning};

fn meta(name: &str, created_s: i64) -> Meta {
    Meta {
        object: ObjectRef::new("ns", name),
        site: None,
        created_s,
        generation: 0,
        origin: "t.yaml:1".into(),
    }
}

fn exact(host: &str) -> HostPattern {
    HostPattern::Exact(host.into())
}

fn suffix(host: &str) -> HostPattern {
    HostPattern::Suffix(host.into())
}

fn listener(name: &str, hostname: Option<HostPattern>) -> Listener {
    Listener {
        name: name.into(),
        port: 80,
        protocol: ListenerProtocol::Http,
        hostname,
        tls: None,
        namespaces: NamespaceFilter::Same,
        kinds: Vec::new(),
    }
}

fn gateway(listeners: Vec<Listener>) -> Gateway {
    Gateway { meta: meta("gw", 0), class: "any".into(), listeners, ..Gateway::default() }
}

fn path_match(path: PathMatch) -> HttpMatch {
    HttpMatch { path, method: None, headers: Vec::new(), query: Vec::new() }
}

fn prefix(path: &str) -> HttpMatch {
    path_match(PathMatch::Prefix(path.into()))
}

fn rule(matches: Vec<HttpMatch>) -> HttpRule {
    HttpRule {
        matches,
        filters: Vec::new(),
        backends: vec![RouteBackend::service(ObjectRef::new("ns", "svc"), 80, 1)],
        ..HttpRule::default()
    }
}

fn route(name: &str, created_s: i64, hosts: Vec<HostPattern>, rules: Vec<HttpRule>) -> HttpRoute {
    let parent = ParentRef {
        kind: ParentKind::Gateway,
        object: ObjectRef::new("ns", "gw"),
        section: None,
        port: None,
    };
    HttpRoute { meta: meta(name, created_s), parents: vec![parent], hostnames: hosts, rules }
}

fn ingress(name: &str, paths: Vec<(Option<HostPattern>, PathMatch)>) -> Ingress {
    let path = |(host, path)| IngressPath { host, path, backend: backend("svc") };
    Ingress {
        meta: meta(name, 0),
        class: None,
        default_backend: None,
        tls: Vec::new(),
        paths: paths.into_iter().map(path).collect(),
        ..Ingress::default()
    }
}

fn backend(service: &str) -> IngressBackend {
    IngressBackend { service: ObjectRef::new("ns", service), port: PortRef::Number(80) }
}

fn build_table(objects: &GatewayObjects) -> (RouteTable, Vec<Warning>) {
    let mut objects = objects.clone();
    objects.services.insert(Service {
        meta: meta("svc", 0),
        ports: vec![ServicePort { port: 80, ..ServicePort::default() }],
        ..Service::default()
    });
    let (view, warnings) = GatewayView::compile(&objects, &GatewayView::default());
    (view.routes, warnings)
}

/// A request: `METHOD scheme://host/path?query` with headers.
fn ask(table: &RouteTable, request: &str, headers: &[(&str, &str)]) -> Option<(String, usize)> {
    let (method, url) = request.split_once(' ').unwrap();
    let (scheme, rest) = url.split_once("://").unwrap();
    let at = rest.find('/').unwrap();
    let (host, target) = rest.split_at(at);
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let pair = |(name, value): &(&str, &str)| {
        (HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap())
    };
    let headers: HeaderMap = headers.iter().map(pair).collect();
    let scheme = if scheme == "https" { Scheme::Https } else { Scheme::Http };
    let parts = RequestParts { host, path, query, method, headers: &headers };
    let found = find(table, TableId::shared(scheme), &parts)?;
    Some((table.rule(found.rule).unwrap().id.to_string(), found.matched_octets))
}

/// What serves, and what is told of it, which must never differ.
fn find(table: &RouteTable, id: TableId, parts: &RequestParts<'_>) -> Option<Found> {
    let found = table.find(id, parts);
    let considered = table.consider(id, parts);
    let first = considered.iter().find(|one| one.misfit.is_none()).map(|one| one.rule);
    let default = || table.tables[id.0 as usize].default;
    assert_eq!(found.map(|found| found.rule), first.or_else(default), "{considered:?}");
    found
}

fn check(objects: &GatewayObjects, cases: &[(&str, Option<&str>)]) {
    let (table, warnings) = build_table(objects);
    assert_eq!(warnings, []);
    for (request, expected) in cases {
        let found = ask(&table, request, &[]).map(|(id, _)| id);
        assert_eq!(found.as_deref(), *expected, "{request}");
    }
}

#[test]
fn the_most_specific_hostname_comes_first() {
    let routes = [
        ("any", vec![]),
        ("wide", vec![suffix("example")]),
        ("narrow", vec![suffix("a.example")]),
        ("one", vec![exact("x.a.example")]),
    ];
    let routes = routes.map(|(name, hosts)| route(name, 0, hosts, vec![rule(vec![prefix("/")])]));
    check(
        &GatewayObjects {
            gateways: [gateway(vec![listener("http", None)])].into(),
            http_routes: routes.into(),
            ..GatewayObjects::default()
        },
        &[
            ("GET http://x.a.example/", Some("httproute/ns/one#0")),
            ("GET http://y.a.example/", Some("httproute/ns/narrow#0")),
            ("GET http://z.y.a.example/", Some("httproute/ns/narrow#0")),
            ("GET http://a.example/", Some("httproute/ns/wide#0")),
            ("GET http://example/", Some("httproute/ns/any#0")),
            ("GET http://other/", Some("httproute/ns/any#0")),
            ("GET https://x.a.example/", None),
        ],
    );
}

#[test]
fn exact_beats_prefix_and_longer_prefixes_beat_shorter() {
    let rules = [
        prefix("/"),
        prefix("/a"),
        prefix("/a/b/"),
        path_match(PathMatch::Exact("/a/b".into())),
        path_match(PathMatch::Exact("/a/".into())),
    ];
    let rules = rules.map(|one| rule(vec![one])).into();
    check(
        &GatewayObjects {
            gateways: [gateway(vec![listener("http", None)])].into(),
            http_routes: [route("r", 0, Vec::new(), rules)].into(),
            ..GatewayObjects::default()
        },
        &[
            ("GET http://h/", Some("httproute/ns/r#0")),
            ("GET http://h/ab", Some("httproute/ns/r#0")),
            ("GET http://h/a", Some("httproute/ns/r#1")),
            ("GET http://h/a/", Some("httproute/ns/r#4")),
            ("GET http://h/a/bc", Some("httproute/ns/r#1")),
            ("GET http://h/a/b", Some("httproute/ns/r#3")),
            ("GET http://h/a/b/", Some("httproute/ns/r#2")),
            ("GET http://h/a/b/c/d", Some("httproute/ns/r#2")),
        ],
    );
}

#[test]
fn method_then_headers_then_query_then_age_then_name_then_place() {
    let with = |change: &dyn Fn(&mut HttpMatch)| {
        let mut one = prefix("/");
        change(&mut one);
        rule(vec![one])
    };
    let pair = |name: &str, value: &str| (name.into(), ValueMatch::Exact(value.into()));
    let objects = GatewayObjects {
        gateways: [gateway(vec![listener("http", None)])].into(),
        http_routes: [
            route("young", 9, Vec::new(), vec![rule(vec![prefix("/")])]),
            route("b-old", 1, Vec::new(), vec![rule(vec![prefix("/")])]),
            route("a-old", 1, Vec::new(), vec![rule(vec![prefix("/")]), rule(vec![prefix("/")])]),
            route(
                "fine",
                99,
                Vec::new(),
                vec![
                    with(&|m| m.query = vec![pair("q", "1 &")]),
                    with(&|m| m.headers = vec![pair("x-a", "1")]),
                    with(&|m| m.headers = vec![pair("x-a", "1"), pair("x-b", "2")]),
                    with(&|m| m.method = Some("POST".into())),
                ],
            ),
        ]
        .into(),
        ..GatewayObjects::default()
    };
    let (table, _) = build_table(&objects);
    let found = |request: &str, headers: &[(&str, &str)]| ask(&table, request, headers).unwrap().0;
    assert_eq!(found("GET http://h/", &[]), "httproute/ns/a-old#0");
    assert_eq!(found("GET http://h/?q=1+%26", &[]), "httproute/ns/fine#0");
    assert_eq!(found("GET http://h/?q=2&q=1+%26", &[]), "httproute/ns/a-old#0");
    assert_eq!(found("GET http://h/?q=1+%26", &[("x-a", "1")]), "httproute/ns/fine#1");
    assert_eq!(found("GET http://h/", &[("x-a", "1"), ("x-b", "2")]), "httproute/ns/fine#2");
    assert_eq!(found("GET http://h/", &[("x-a", "2"), ("x-b", "2")]), "httproute/ns/a-old#0");
    assert_eq!(found("POST http://h/", &[("x-a", "1")]), "httproute/ns/fine#3");
    assert_eq!(found("post http://h/", &[]), "httproute/ns/a-old#0");
}

#[test]
fn ingress_wildcards_are_one_label_and_default_backends_come_last() {
    let root = || PathMatch::Prefix("/".into());
    let mut with_default = ingress("default", Vec::new());
    with_default.default_backend = Some(backend("svc"));
    check(
        &GatewayObjects {
            ingresses: [
                ingress("wild", vec![(Some(suffix("a.example")), root())]),
                ingress("foo", vec![(None, PathMatch::Prefix("/foo".into()))]),
                with_default,
            ]
            .into(),
            ..GatewayObjects::default()
        },
        &[
            ("GET http://x.a.example/", Some("ingress/ns/wild#0")),
            ("GET https://x.a.example/", Some("ingress/ns/wild#0")),
            ("GET http://y.x.a.example/", Some("ingress/ns/default#default")),
            ("GET http://a.example/", Some("ingress/ns/default#default")),
            ("GET http://a.example/foo/x", Some("ingress/ns/foo#0")),
        ],
    );
}

#[test]
fn a_more_specific_listener_hides_the_routes_of_the_others() {
    let on = |name: &str, section: &str, hosts| {
        let mut route = route(name, 0, hosts, vec![rule(vec![prefix(&format!("/{name}"))])]);
        route.parents[0].section = Some(section.into());
        route
    };
    check(
        &GatewayObjects {
            gateways: [gateway(vec![
                listener("all", None),
                listener("wild", Some(suffix("example"))),
                listener("one", Some(exact("a.example"))),
            ])]
            .into(),
            http_routes: [on("x", "all", vec![]), on("y", "wild", vec![]), on("z", "one", vec![])]
                .into(),
            ..GatewayObjects::default()
        },
        &[
            ("GET http://other/x", Some("httproute/ns/x#0")),
            ("GET http://b.example/y", Some("httproute/ns/y#0")),
            ("GET http://b.example/x", None),
            ("GET http://a.example/z", Some("httproute/ns/z#0")),
            ("GET http://a.example/y", None),
            ("GET http://a.example/x", None),
        ],
    );
}

#[test]
fn hostnames_of_route_and_listener_meet_in_the_narrower_one() {
    let rules = || vec![rule(vec![prefix("/")])];
    let wild = Some(suffix("example"));
    let objects = |listener_host, route_host| GatewayObjects {
        gateways: [gateway(vec![listener("l", listener_host)])].into(),
        http_routes: [route("r", 0, vec![route_host], rules())].into(),
        ..GatewayObjects::default()
    };
    let hit = Some("httproute/ns/r#0");
    check(
        &objects(wild.clone(), exact("a.example")),
        &[("GET http://a.example/", hit), ("GET http://b.example/", None)],
    );
    check(
        &objects(Some(exact("a.example")), suffix("example")),
        &[("GET http://a.example/", hit), ("GET http://b.example/", None)],
    );
    check(
        &objects(wild.clone(), suffix("b.example")),
        &[("GET http://x.b.example/", hit), ("GET http://c.example/", None)],
    );
    let (table, warnings) = build_table(&objects(wild, exact("a.other")));
    assert_eq!(ask(&table, "GET http://a.other/", &[]), None);
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert_eq!(
        warnings[0].text,
        "HTTPRoute `ns/r` at `ns/gw`: Accepted is false: NoMatchingListenerHostname \
         (no listener of `ns/gw` has a hostname of this route)"
    );
}

#[test]
fn what_cannot_be_used_is_named_and_the_rest_stays() {
    let mut elsewhere = route("elsewhere", 0, Vec::new(), vec![rule(vec![prefix("/e")])]);
    elsewhere.parents[0].object = ObjectRef::new("ns", "missing");
    let mut foreign = route("foreign", 0, Vec::new(), vec![rule(vec![prefix("/f")])]);
    foreign.rules[0].backends[0].target.object = ObjectRef::new("other", "svc");
    let mut nowhere = ingress("nowhere", vec![(None, PathMatch::Prefix("/n".into()))]);
    nowhere.paths[0].backend = backend("missing");
    let (table, warnings) = build_table(&GatewayObjects {
        ingresses: [nowhere].into(),
        gateways: [gateway(vec![listener("http", None)])].into(),
        http_routes: [
            elsewhere,
            foreign,
            route("good", 0, Vec::new(), vec![rule(vec![prefix("/g")])]),
        ]
        .into(),
        ..GatewayObjects::default()
    });
    let texts: Vec<&str> = warnings.iter().map(|warning| warning.text.as_str()).collect();
    assert_eq!(
        texts,
        [
            "no Service `ns/missing` with port `80` (requests for it fail)",
            "no Gateway `ns/missing`; HTTPRoute is not attached to it",
            "HTTPRoute `ns/foreign` at `ns/gw`: ResolvedRefs is false: RefNotPermitted \
             (no ReferenceGrant permits the backend `other/svc`)",
        ],
    );
    let action = |path: &str| {
        let request = format!("GET http://h{path}");
        let headers = HeaderMap::new();
        let parts = RequestParts {
            host: "h",
            path: request.strip_prefix("GET http://h").unwrap(),
            query: None,
            method: "GET",
            headers: &headers,
        };
        let found = find(&table, TableId::shared(Scheme::Http), &parts)?;
        let rule = table.rule(found.rule)?;
        match &rule.action {
            Action::Forward(branches) => {
                Some(branches.iter().map(|branch| branch.share.clone()).collect::<Vec<_>>())
            }
            Action::Redirect(_) | Action::Elsewhere(..) => None,
        }
    };
    let share = |target| Some(vec![Share { target, weight: 1 }]);
    assert_eq!(action("/g"), share(Target::Cluster(0)));
    assert_eq!(action("/f"), share(Target::Broken));
    assert_eq!(action("/n"), share(Target::Absent));
    assert_eq!(action("/e"), None);
}

#[test]
fn namespaces_and_ports_of_parents_are_kept() {
    let mut other_namespace = route("r", 0, Vec::new(), vec![rule(vec![prefix("/")])]);
    other_namespace.meta.object = ObjectRef::new("tenant", "r");
    let mut other_port = route("p", 0, Vec::new(), vec![rule(vec![prefix("/")])]);
    other_port.parents[0].port = Some(81);
    let mut objects = GatewayObjects {
        gateways: [gateway(vec![listener("http", None)])].into(),
        http_routes: [other_namespace, other_port].into(),
        ..GatewayObjects::default()
    };
    assert_eq!(ask(&build_table(&objects).0, "GET http://h/", &[]), None);
    objects.gateways[0].listeners[0].namespaces = NamespaceFilter::All;
    let found = ask(&build_table(&objects).0, "GET http://h/", &[]);
    assert_eq!(found, Some(("httproute/tenant/r#0".to_owned(), 0)));
}

/// One HTTPRoute of the property below: hostname, path, method, headers, age.
type Row = (Option<HostPattern>, PathMatch, Option<&'static str>, usize, i64);

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let host = prop_oneof![
        Just(None),
        Just(Some(exact("a.x"))),
        Just(Some(exact("b.a.x"))),
        Just(Some(suffix("x"))),
        Just(Some(suffix("a.x"))),
    ];
    let path = prop_oneof![
        Just(PathMatch::Prefix("/".into())),
        Just(PathMatch::Prefix("/p".into())),
        Just(PathMatch::Prefix("/p/q/".into())),
        Just(PathMatch::Exact("/p".into())),
        Just(PathMatch::Exact("/p/q".into())),
    ];
    let method = prop_oneof![Just(None), Just(Some("GET")), Just(Some("POST"))];
    proptest::collection::vec((host, path, method, 0_usize..3, 0_i64..3), 0..12)
}

/// The precedence of Gateway API as one comparable value; the smallest wins.
fn oracle(rows: &[Row], host: &str, path: &str, method: &str, headers: usize) -> Option<usize> {
    let host_rank = |pattern: &Option<HostPattern>| match pattern {
        Some(HostPattern::Exact(name)) => (**name == *host).then_some((2, name.len())),
        Some(HostPattern::Suffix(name)) => {
            host.ends_with(&format!(".{name}")).then_some((1, name.len()))
        }
        None => Some((0, 0)),
    };
    let path_rank = |pattern: &PathMatch| match pattern {
        PathMatch::Exact(exact) | PathMatch::Regex(exact) => {
            (**exact == *path).then_some((1, exact.len()))
        }
        PathMatch::Prefix(prefix) => {
            let bare = prefix.trim_end_matches('/');
            (path == bare || path.starts_with(&format!("{bare}/"))).then_some((0, bare.len()))
        }
    };
    let ranked = rows.iter().enumerate().filter_map(|(at, row)| {
        let (pattern, path, row_method, row_headers, age) = row;
        let fits = row_method.is_none_or(|row| row == method) && *row_headers <= headers;
        let rank = (
            Reverse(host_rank(pattern)?),
            Reverse(path_rank(path)?),
            Reverse(row_method.is_some()),
            Reverse(*row_headers),
            *age,
            at,
        );
        fits.then_some((rank, at))
    });
    ranked.min().map(|(_, at)| at)
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_specification(
        rows in rows(),
        host in prop_oneof![Just("a.x"), Just("b.a.x"), Just("c.b.a.x"), Just("x"), Just("y")],
        path in prop_oneof![Just("/"), Just("/p"), Just("/p/"), Just("/p/q"), Just("/p/q/r"), Just("/pq")],
        method in prop_oneof![Just("GET"), Just("POST"), Just("PUT")],
        headers in 0_usize..3,
    ) {
        let names = ["x-0", "x-1", "x-2"];
        let make = |(at, row): (usize, &Row)| {
            let (host, path, method, count, age) = row.clone();
            let mut one = path_match(path);
            one.method = method.map(Into::into);
            one.headers = names[..count].iter().map(|name| ((*name).into(), ValueMatch::Exact("1".into()))).collect();
            route(&format!("r{at:02}"), age, host.into_iter().collect(), vec![rule(vec![one])])
        };
        let objects = GatewayObjects {
            gateways: [gateway(vec![listener("http", None)])].into(),
            http_routes: rows.iter().enumerate().map(make).collect(),
            ..GatewayObjects::default()
        };
        let (table, _) = build_table(&objects);
        let sent: Vec<_> = names[..headers].iter().map(|name| (*name, "1")).collect();
        let found = ask(&table, &format!("{method} http://{host}{path}"), &sent).map(|(id, _)| id);
        let expected = oracle(&rows, host, path, method, headers);
        prop_assert_eq!(found, expected.map(|at| format!("httproute/ns/r{at:02}#0")));
    }
}
