//! HTTPRoutes that change requests and answers on the way.

use std::net::SocketAddr;
use std::time::Instant;

use super::client::{Reply, ask, ask_tls};
use super::gateway::certificate;
use super::http_route::attach;
use super::stage::{HTTP, HTTPS, Stage, until_consistent};

/// Attaches one route of rows `path filters`; all lead to `infra-v1`.
fn filtered(stage: &Stage, rows: &[(&str, &str)]) {
    let rules = rows.iter().map(|(path, filters)| {
        format!("\n  - {{matches: [{{path: {{value: {path}}}}}], filters: [{filters}], backendRefs: [{{name: infra-v1, port: 8080}}]}}")
    });
    attach(stage, "filtered", "same", &format!("\n  rules:{}", rules.collect::<String>()));
}

/// As [`filtered`], for redirects, which have no backend.
fn redirected(stage: &Stage, rows: &[(&str, &str)]) {
    let rules = rows.iter().map(|(path, redirect)| {
        format!("\n  - {{matches: [{{path: {{value: {path}}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{{redirect}}}}}]}}")
    });
    attach(stage, "redirected", "same", &format!("\n  rules:{}", rules.collect::<String>()));
}

#[test]
fn http_route_request_header_modifier() {
    let stage = Stage::new("request-headers");
    filtered(
        &stage,
        &[
            (
                "/set",
                "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}]}}",
            ),
            (
                "/add",
                "{type: RequestHeaderModifier, requestHeaderModifier: {add: [{name: X-Add, value: more}]}}",
            ),
            (
                "/remove",
                "{type: RequestHeaderModifier, requestHeaderModifier: {remove: [X-Remove]}}",
            ),
            (
                "/all",
                "{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}}",
            ),
        ],
    );
    let to = stage.address("same", HTTP);
    for (request, expected) in [
        ("a.test/set Some:else", [Some("new"), None, None]),
        ("a.test/set x-set:old", [Some("new"), None, None]),
        ("a.test/add", [None, Some("more"), None]),
        ("a.test/add X-Add:some", [None, Some("some,more"), None]),
        ("a.test/remove X-Remove:gone", [None, None, None]),
        ("a.test/all X-Set:old X-Add:some X-Remove:gone", [Some("new"), Some("some,more"), None]),
    ] {
        Stage::until(to, request, |reply| {
            let seen = ["x-set", "x-add", "x-remove"].map(|name| reply.seen(name));
            let fits = seen.each_ref().map(Option::as_deref) == expected && reply.code == 200;
            if fits { Ok(()) } else { Err(format!("{seen:?} instead of {expected:?}")) }
        });
    }
}

#[test]
fn http_route_response_header_modifier() {
    let stage = Stage::new("response-headers");
    filtered(
        &stage,
        &[(
            "/all",
            "{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Set, value: new}], add: [{name: X-Add, value: more}], remove: [X-Remove]}}",
        )],
    );
    let to = stage.address("same", HTTP);
    for request in ["a.test/all", "a.test/all?headers=x-set:old,x-remove:gone"] {
        Stage::until(to, request, |reply| {
            let seen = ["x-set", "x-add", "x-remove"].map(|name| reply.header(name));
            if seen == [Some("new"), Some("more"), None] {
                Ok(())
            } else {
                Err(format!("{seen:?}"))
            }
        });
    }
}

#[test]
fn http_route_redirects() {
    let stage = Stage::new("redirects");
    redirected(
        &stage,
        &[
            ("/host", "hostname: example.org"),
            ("/host-301", "hostname: example.org, statusCode: 301"),
            ("/host-303", "hostname: example.org, statusCode: 303"),
            ("/host-307", "hostname: example.org, statusCode: 307"),
            ("/host-308", "hostname: example.org, statusCode: 308"),
            ("/scheme", "scheme: https"),
            ("/port", "port: 8083"),
            ("/both", "scheme: https, port: 8443, hostname: example.org"),
            ("/prefix", "path: {type: ReplacePrefixMatch, replacePrefixMatch: /new}"),
            ("/full", "path: {type: ReplaceFullPath, replaceFullPath: /whole}"),
            (
                "/everything",
                "scheme: https, hostname: example.org, path: {type: ReplacePrefixMatch, replacePrefixMatch: /}, statusCode: 301",
            ),
        ],
    );
    stage.answers(
        "same",
        &[
            ("a.test:8080/host", "302 http://example.org:8080/host"),
            ("a.test:8080/host-301", "301 http://example.org:8080/host-301"),
            ("a.test:8080/host-303", "303 http://example.org:8080/host-303"),
            ("a.test:8080/host-307", "307 http://example.org:8080/host-307"),
            ("a.test:8080/host-308", "308 http://example.org:8080/host-308"),
            ("a.test/scheme", "302 https://a.test/scheme"),
            ("a.test:8080/port", "302 http://a.test:8083/port"),
            ("a.test/both", "302 https://example.org:8443/both"),
            ("a.test:8080/prefix/lemon", "302 http://a.test:8080/new/lemon"),
            ("a.test:8080/full/lemon", "302 http://a.test:8080/whole"),
            ("a.test/everything/lemon", "301 https://example.org/lemon"),
        ],
    );
}

#[test]
fn http_route_rewrites() {
    let stage = Stage::new("rewrites");
    filtered(
        &stage,
        &[
            (
                "/prefix/one",
                "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /one}}}",
            ),
            (
                "/strip",
                "{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}",
            ),
            (
                "/full/one",
                "{type: URLRewrite, urlRewrite: {path: {type: ReplaceFullPath, replaceFullPath: /one}}}",
            ),
            ("/host", "{type: URLRewrite, urlRewrite: {hostname: one.example.org}}"),
        ],
    );
    let to = stage.address("same", HTTP);
    for (request, host, path) in [
        ("a.test/prefix/one/two", "a.test", "/one/two"),
        ("a.test/strip/one", "a.test", "/one"),
        ("a.test/strip", "a.test", "/"),
        ("a.test/full/one/two", "a.test", "/one"),
        ("a.test/host/x", "one.example.org", "/host/x"),
    ] {
        Stage::until(to, request, |reply| {
            let fits = reply.asked["host"] == host && reply.asked["path"] == path;
            if fits { Ok(()) } else { Err(reply.asked.to_string()) }
        });
    }
}

#[test]
fn http_route_timeouts() {
    let stage = Stage::new("timeouts");
    attach(
        &stage,
        "timeouts",
        "same",
        "
  rules:
  - {matches: [{path: {value: /request}}], timeouts: {request: 500ms}, backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{path: {value: /backend}}], timeouts: {backendRequest: 500ms}, backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{path: {value: /off}}], timeouts: {request: 0s}, backendRefs: [{name: infra-v1, port: 8080}]}",
    );
    stage.answers(
        "same",
        &[
            ("a.test/request", "200 infra-v1"),
            ("a.test/request?delay_ms=1500", "504"),
            ("a.test/backend", "200 infra-v1"),
            ("a.test/backend?delay_ms=1500", "504"),
            ("a.test/off?delay_ms=700", "200 infra-v1"),
        ],
    );
    let start = Instant::now();
    assert!(ask(stage.address("same", HTTP), "a.test/request?delay_ms=5000").is_ok());
    assert!(start.elapsed().as_millis() < 4000, "it does not wait for the backend");
}

#[test]
fn http_route_backend_request_header_modifier() {
    let stage = Stage::new("backend-headers");
    attach(
        &stage,
        "backend",
        "same",
        "
  rules:
  - backendRefs:
    - name: infra-v1
      port: 8080
      filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: X-Backend, value: of-its-own}]}}]",
    );
    let to = stage.address("same", HTTP);
    Stage::until(to, "a.test/ X-Backend:other", |reply| {
        let seen = reply.seen("x-backend");
        if seen.as_deref() == Some("of-its-own") { Ok(()) } else { Err(format!("{seen:?}")) }
    });
}

/// The values of answers to cross-origin requests: origin, credentials, methods, headers.
fn cross_origin(reply: &Reply) -> [Option<String>; 4] {
    ["allow-origin", "allow-credentials", "allow-methods", "allow-headers"].map(|name| {
        reply.header(&format!("access-control-{name}")).map(|value| value.replace(' ', ""))
    })
}

const CORS_RULES: [(&str, &str); 5] = [
    (
        "/all",
        "{type: CORS, cors: {allowOrigins: ['https://www.foo.test', 'https://*.bar.test'], allowMethods: [GET, OPTIONS], allowHeaders: [x-one, x-two], exposeHeaders: [x-three, x-four], allowCredentials: true, maxAge: 3600}}",
    ),
    (
        "/methods",
        "{type: CORS, cors: {allowOrigins: ['https://www.foo.test'], allowMethods: ['*']}}",
    ),
    ("/origins", "{type: CORS, cors: {allowOrigins: ['*'], allowMethods: [PUT]}}"),
    (
        "/wild",
        "{type: CORS, cors: {allowOrigins: ['https://*.foo.test'], allowMethods: ['*'], allowHeaders: ['*'], allowCredentials: true}}",
    ),
    (
        "/wild-open",
        "{type: CORS, cors: {allowOrigins: ['*'], allowMethods: ['*'], allowHeaders: ['*']}}",
    ),
];

const FOO: &str = "https://www.foo.test";
const OWN: Option<&str> = Some("true");
const BOTH: Option<&str> = Some("x-one,x-two");
/// Method, path, origin and the method that a preflight asks for; what is allowed then.
type CorsCase = (&'static str, &'static str, &'static str, &'static str, [Option<&'static str>; 4]);
const CORS_CASES: [CorsCase; 15] = [
    ("OPTIONS", "/all", FOO, "GET", [Some(FOO), OWN, Some("GET,OPTIONS"), BOTH]),
    (
        "OPTIONS",
        "/all",
        "https://www.bar.test",
        "GET",
        [Some("https://www.bar.test"), OWN, Some("GET,OPTIONS"), BOTH],
    ),
    (
        "OPTIONS",
        "/all",
        "https://x.www.bar.test",
        "GET",
        [Some("https://x.www.bar.test"), OWN, Some("GET,OPTIONS"), BOTH],
    ),
    ("OPTIONS", "/all", "https://foobar.test", "GET", [None; 4]),
    ("GET", "/all", FOO, "GET", [Some(FOO), OWN, None, None]),
    ("GET", "/all", "https://www.bar.test", "GET", [Some("https://www.bar.test"), OWN, None, None]),
    ("GET", "/all", "https://foobar.test", "GET", [None; 4]),
    ("OPTIONS", "/methods", FOO, "POST", [Some(FOO), None, Some("POST"), None]),
    (
        "OPTIONS",
        "/origins",
        "https://any.test",
        "PUT",
        [Some("https://any.test"), None, Some("PUT"), None],
    ),
    (
        "OPTIONS",
        "/origins",
        "https://any.test:12345",
        "PUT",
        [Some("https://any.test:12345"), None, Some("PUT"), None],
    ),
    (
        "PUT",
        "/origins",
        "https://any.test:12345",
        "PUT",
        [Some("https://any.test:12345"), None, None, None],
    ),
    (
        "OPTIONS",
        "/wild",
        "https://other.foo.test",
        "PUT",
        [Some("https://other.foo.test"), OWN, Some("PUT"), BOTH],
    ),
    (
        "OPTIONS",
        "/wild-open",
        "https://other.foo.test",
        "PUT",
        [Some("https://other.foo.test"), None, Some("PUT"), BOTH],
    ),
    (
        "GET",
        "/wild",
        "https://other.foo.test",
        "GET",
        [Some("https://other.foo.test"), OWN, None, None],
    ),
    (
        "GET",
        "/wild-open",
        "https://other.foo.test",
        "GET",
        [Some("https://other.foo.test"), None, None, None],
    ),
];

#[test]
fn http_route_cors() {
    let stage = Stage::new("cors");
    filtered(&stage, &CORS_RULES);
    let to = stage.address("same", HTTP);
    for (method, path, origin, asked, allowed) in CORS_CASES {
        let request = format!(
            "{method} a.test{path} Origin:{origin} Access-Control-Request-Method:{asked} Access-Control-Request-Headers:x-one,x-two Authorization:Bearer-test"
        );
        let reply = Stage::until(to, &request, |reply| {
            let found = cross_origin(reply);
            let fits = found.each_ref().map(Option::as_deref) == allowed && reply.code == 200;
            if fits { Ok(()) } else { Err(format!("{found:?} instead of {allowed:?}: {reply:?}")) }
        });
        if path == "/all" && allowed[0].is_some() {
            let exposed = reply.header("access-control-expose-headers");
            assert_eq!(
                exposed.map(|list| list.replace(' ', "")).as_deref(),
                Some("x-three,x-four")
            );
            let age = (method == "OPTIONS").then_some("3600");
            assert_eq!(reply.header("access-control-max-age"), age, "{request}");
        }
        let reached = if method == "OPTIONS" { None } else { Some("infra-v1") };
        assert_eq!(reply.asked["backend"].as_str(), reached, "preflights go no further");
    }
}

/// Listeners on two ports and one in TLS. Clients that name another port, or none, are sent to the
/// listener's all the same.
#[test]
fn http_route_redirect_port_and_scheme() {
    let stage = Stage::new("redirect-port");
    let pem = certificate(&stage, "cert", "INFRA", &["example.test"]);
    stage.apply(
        "
kind: Gateway
name: ports
in: INFRA
spec: {listeners: [{name: one, port: 8080, protocol: HTTP}, {name: two, port: 8081, protocol: HTTP}, {name: tls, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}]}
",
    );
    let rows = [
        ("/nil-nil", ""),
        ("/nil-80", ", port: 80"),
        ("/nil-8080", ", port: 8080"),
        ("/nil-443", ", port: 443"),
        ("/https-nil", ", scheme: https"),
        ("/https-443", ", scheme: https, port: 443"),
        ("/https-8443", ", scheme: https, port: 8443"),
        ("/http-nil", ", scheme: http"),
        ("/http-80", ", scheme: http, port: 80"),
        ("/http-8080", ", scheme: http, port: 8080"),
    ];
    let rules = rows.map(|(path, redirect)| {
        format!("\n  - {{matches: [{{path: {{value: {path}}}}}], filters: [{{type: RequestRedirect, requestRedirect: {{hostname: example.test{redirect}}}}}]}}")
    });
    attach(&stage, "redirect", "ports", &format!("\n  rules:{}", rules.concat()));
    for (port, rows) in [
        (8080, &[("/nil-nil", ":8080"), ("/nil-80", ""), ("/nil-8080", ":8080")][..]),
        (8081, &[("/nil-nil", ":8081"), ("/nil-80", ""), ("/http-nil", "")]),
    ] {
        let to = stage.address("ports", port);
        for (path, written) in rows {
            for host in ["a.test", "a.test:8080", "a.test:9999"] {
                leads(to, &format!("{host}{path}"), &format!("http://example.test{written}{path}"));
            }
        }
        for (path, written) in [("/https-nil", ""), ("/https-443", ""), ("/https-8443", ":8443")] {
            leads(to, &format!("a.test{path}"), &format!("https://example.test{written}{path}"));
        }
    }
    let to = stage.address("ports", HTTPS);
    for (path, location) in [
        ("/nil-nil", "https://example.test:8443"),
        ("/nil-443", "https://example.test"),
        ("/http-nil", "http://example.test"),
        ("/http-80", "http://example.test"),
        ("/http-8080", "http://example.test:8080"),
    ] {
        let wanted = format!("302 {location}{path}");
        until_consistent(
            path,
            || ask_tls(to, "example.test", &pem, &format!("example.test{path}")),
            |reply| if reply.brief() == wanted { Ok(()) } else { Err(reply.brief()) },
        );
    }
}

fn leads(to: SocketAddr, request: &str, location: &str) {
    let wanted = format!("302 {location}");
    Stage::until(
        to,
        request,
        |reply| {
            if reply.brief() == wanted { Ok(()) } else { Err(reply.brief()) }
        },
    );
}
