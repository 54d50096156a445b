//! Explanations of small worlds, as a person reads them; and that they never differ from what serves.

use std::net::SocketAddr;
use std::sync::Arc;

use model::gateway::settings::AddressRules;
use model::gateway::{
    Endpoint, EndpointSlice, Gateway, HeaderEdit, HostPattern, HttpFilter, HttpMatch, HttpRoute,
    HttpRule, Ingress, IngressBackend, IngressPath, Listener, ListenerProtocol, Meta,
    NamespaceFilter, ParentKind, ParentRef, PathMatch, PathRewrite, PortRef, RouteBackend, Service,
    ServicePort, ValueMatch,
};
use model::name::ObjectRef;

use super::*;
use crate::endpoint::{Connected, Outcome};

fn meta(name: &str) -> Meta {
    let object = ObjectRef::new("ns", name);
    Meta { object, site: None, created_s: 0, generation: 0, origin: "t.yaml:1".into() }
}

fn site() -> SiteName {
    SiteName::new("here").unwrap()
}

fn matching(path: &str, method: Option<&str>) -> HttpMatch {
    HttpMatch {
        path: PathMatch::Prefix(path.into()),
        method: method.map(Into::into),
        ..HttpMatch::default()
    }
}

fn rule(matches: Vec<HttpMatch>, backends: &[(&str, u32)]) -> HttpRule {
    let backend = |(name, weight): &(&str, u32)| {
        RouteBackend::service(ObjectRef::new("ns", name), 80, *weight)
    };
    HttpRule { matches, backends: backends.iter().map(backend).collect(), ..HttpRule::default() }
}

/// A Service `app` with two endpoints, `empty` without any, and one route for `a.example`.
fn world(rules: Vec<HttpRule>) -> GatewayObjects {
    let mut objects = GatewayObjects::default();
    for name in ["app", "empty"] {
        let ports = vec![ServicePort { port: 80, ..ServicePort::default() }];
        objects.services.insert(Service { meta: meta(name), ports, ..Service::default() });
    }
    let endpoint = |ip: &str| Endpoint {
        addresses: vec![ip.parse().unwrap()],
        ready: true,
        serving: true,
        terminating: false,
        zone: None,
        node: None,
        for_zones: Vec::new(),
        for_nodes: Vec::new(),
    };
    objects.endpoint_slices.insert(EndpointSlice {
        meta: meta("app-1"),
        service: ObjectRef::new("ns", "app"),
        ports: vec![(None, 8000)],
        endpoints: vec![endpoint("127.0.0.5"), endpoint("127.0.0.6")],
    });
    let listener = Listener {
        name: "web".into(),
        port: 80,
        protocol: ListenerProtocol::Http,
        hostname: None,
        tls: None,
        namespaces: NamespaceFilter::Same,
        kinds: Vec::new(),
    };
    let listeners = vec![listener];
    let gateway =
        Gateway { meta: meta("gw"), class: "any".into(), listeners, ..Gateway::default() };
    objects.gateways.insert(gateway);
    let object = ObjectRef::new("ns", "gw");
    let parent = ParentRef { kind: ParentKind::Gateway, object, section: None, port: None };
    let hostnames = vec![HostPattern::Exact("a.example".into())];
    objects.http_routes.insert(HttpRoute {
        meta: meta("r"),
        parents: vec![parent],
        hostnames,
        rules,
    });
    objects
}

fn question(request: &str, headers: &[&str]) -> Question {
    let headers: Vec<String> = headers.iter().map(|&line| line.to_owned()).collect();
    Question::parse(request, &headers, None).unwrap()
}

fn told(objects: &GatewayObjects, request: &str, headers: &[&str]) -> String {
    explain_documents(&site(), objects, &question(request, headers)).to_string()
}

/// The last line of what is told.
fn end(objects: &GatewayObjects, request: &str, headers: &[&str]) -> String {
    told(objects, request, headers).lines().last().unwrap_or_default().to_owned()
}

#[test]
fn a_request_is_told_from_place_to_endpoint() {
    let mut api = rule(vec![matching("/api", None)], &[("app", 3), ("empty", 1)]);
    api.filters = vec![
        HttpFilter::Rewrite {
            hostname: None,
            path: Some(PathRewrite::ReplacePrefix("/v2".into())),
        },
        HttpFilter::ModifyRequestHeaders(HeaderEdit {
            set: vec![("x-key".into(), "secret".into())],
            ..HeaderEdit::default()
        }),
    ];
    api.request_timeout_ms = Some(1_500);
    let mut tenant = matching("/api", Some("GET"));
    tenant.headers = vec![("x-tenant".into(), ValueMatch::Exact("blue".into()))];
    let rules = vec![
        api,
        rule(vec![tenant], &[("app", 1)]),
        rule(vec![matching("/api/users", Some("POST"))], &[("app", 1)]),
        rule(vec![matching("/", None), matching("/static", None)], &[("app", 1)]),
    ];
    let objects = world(rules);
    let text = told(&objects, "GET http://A.example//api/users?x=1", &["X-Tenant: red"]);
    let wanted = "\
GET http://A.example//api/users?x=1 at site here

place: shared http
candidates, first match wins:
   a.example  /api/users  httproute/ns/r#2  the method is not POST
   a.example  /api        httproute/ns/r#1  the header `x-tenant` is not as the rule wants it
 > a.example  /api        httproute/ns/r#0  taken
   a.example  /           httproute/ns/r#3  matches too, but comes later in the order
   a.example  /static     httproute/ns/r#3  another path
rule: httproute/ns/r#0, matched `/api`
  rewrite the matched prefix: the backend sees `/v2/users?x=1`
  request headers: set x-key
  timeout of the whole request: 1500 ms
  backend ns/app:80, weight 3: usable; http/1.1, 2 of 2 endpoints ready
    127.0.0.5:8000 healthy, breaker 0 missed 0 failed, unmeasured, 0 in flight, near
    127.0.0.6:8000 healthy, breaker 0 missed 0 failed, unmeasured, 0 in flight, near
  backend ns/empty:80, weight 1: no endpoints; http/1.1, 0 of 0 endpoints ready
served: forwarded (a backend answers, but one of them cannot be used and fails its share)
";
    assert_eq!(text, wanted);
}

#[test]
fn who_serves_nobody_says_why() {
    let only_post = rule(vec![matching("/", Some("POST"))], &[("app", 1)]);
    let nobody = rule(vec![matching("/empty", None)], &[("empty", 1)]);
    let broken = rule(vec![matching("/broken", None)], &[("nowhere", 1)]);
    let objects = world(vec![only_post, nobody, broken]);
    for (request, wanted) in [
        (
            "GET http://a.example/",
            "not served: 404 no-route (none of the rules for the host `a.example` matches)",
        ),
        ("GET http://b.example/", "not served: 404 no-route (no rule is for the host `b.example`)"),
        (
            "GET http://a.example/empty",
            "not served: 503 no-endpoints (no backend of the rule can be used)",
        ),
        (
            "GET http://a.example/a/../b",
            "not served: 400 bad-path (the request itself is refused before any rule is looked at)",
        ),
        (
            "TRACE http://a.example/",
            "not served: 405 method-refused (the request itself is refused before any rule is \
             looked at)",
        ),
        (
            "GET https://a.example/",
            "not served: unrecognized-name (no listener and no certificate is for this server \
             name; the handshake fails)",
        ),
    ] {
        let text = told(&objects, request, &[]);
        assert!(text.contains(&format!("{wanted}\n")), "{request}: {text}");
    }
    let text = told(&objects, "GET http://a.example/broken", &[]);
    assert!(text.contains("not served: 500 bad-backend"), "{text}");
    assert!(text.contains("not used of the documents:\n  t.yaml:1: "), "{text}");
}

#[test]
fn a_client_and_a_redirect_are_judged() {
    let mut ingress = Ingress {
        meta: meta("i"),
        paths: vec![IngressPath {
            host: Some(HostPattern::Exact("i.example".into())),
            path: PathMatch::Prefix("/".into()),
            backend: IngressBackend {
                service: ObjectRef::new("ns", "app"),
                port: PortRef::Number(80),
            },
        }],
        ..Ingress::default()
    };
    ingress.settings.addresses =
        Some(AddressRules { allow: vec!["10.0.0.0/8".parse().unwrap()], deny: Vec::new() });
    let mut objects = world(Vec::new());
    objects.ingresses.insert(ingress.clone());
    for (client, wanted) in [
        ("10.1.2.3", "served: forwarded (a backend answers)"),
        (
            "192.0.2.1",
            "not served: 403 address-denied (the rule's address lists do not let this client in)",
        ),
    ] {
        let client = Some(client.parse().unwrap());
        let asked = Question::parse("http://i.example/", &[], client).unwrap();
        let told = explain_documents(&site(), &objects, &asked);
        assert_eq!(told.to_string().lines().last(), Some(wanted));
    }
    ingress.settings.addresses = None;
    ingress.redirect = Some((301, "https://elsewhere.example/".into()));
    objects.ingresses.insert(ingress);
    assert_eq!(
        end(&objects, "http://i.example/", &[]),
        "served: 301 redirect (to https://elsewhere.example/)"
    );
}

#[test]
fn endpoints_are_shown_as_the_balancer_sees_them() {
    let objects = world(vec![rule(vec![matching("/", None)], &[("app", 1)])]);
    let (view, _) = GatewayView::compile(&objects, &GatewayView::default());
    let at = |text: &str| Arc::clone(&view.endpoints[&text.parse::<SocketAddr>().unwrap()]);
    let (first, second) = (at("127.0.0.5:8000"), at("127.0.0.6:8000"));
    first.checked(Connected::No);
    first.checked(Connected::No);
    second.observe(Outcome::Answered(700), 1_000);
    for _ in 0..3 {
        second.observe(Outcome::Failed, 1_000);
    }
    let _under_way = second.lease();
    let asked = question("http://a.example/", &[]);
    let told = explain(&view, &site(), (&asked, 1_500));
    let backends = &told.places[0].rule.as_ref().unwrap().backends;
    let lines: Vec<String> = backends[0].endpoints.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "127.0.0.5:8000 down, breaker 2 missed 0 failed, unmeasured, 0 in flight, near",
            "127.0.0.6:8000 ejected for 1500 ms, breaker 0 missed 2 failed, 4758049 us, 1 in \
             flight, near",
        ]
    );
    // Health is a guess: the balancer would try them all the same.
    assert!(told.is_served());
}

#[test]
fn what_is_no_question_is_refused() {
    let parse = |request: &str, header: &str| {
        Question::parse(request, &[header.to_owned()], None).map(|_| ()).unwrap_err()
    };
    for request in ["", "GET", "GET /path", "GET ftp://a/", "GET http:///", "GET http://a b/"] {
        let error = parse(request, "a: b");
        assert_eq!(error, QuestionError::Request(request.to_owned()));
    }
    assert_eq!(parse("http://a/", "no header"), QuestionError::Header("no header".into()));
}

#[test]
fn a_hostile_question_is_judged_like_a_hostile_head() {
    let objects = world(vec![rule(vec![matching("/", None)], &[("app", 1)])]);
    let long = format!("GET http://a.example/{}", "a".repeat(100_000));
    for request in ["G\r\nT http://a.example/", "GET http://a.example/\r\nx: y", &long] {
        if let Ok(asked) = Question::parse(request, &[], None) {
            assert!(!explain_documents(&site(), &objects, &asked).is_served(), "{request:?}");
        }
    }
}
