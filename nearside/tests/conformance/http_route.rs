//! HTTPRoutes: which request reaches which backend.

use std::collections::BTreeMap;

use super::client::{ask, ask_tls};
use super::gateway::certificate;
use super::stage::{HTTP, HTTPS, Stage, until_consistent};
use super::world::eventually;

const ATTACHED: &str = "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs";

/// Applies an HTTPRoute of `INFRA` and waits for its parent `parent` to take it.
pub(crate) fn attach(stage: &Stage, name: &str, parent: &str, spec: &str) {
    apply(stage, name, parent, spec);
    stage.parents("HTTPRoute", name, &[&format!("{parent} {ATTACHED}")]);
}

/// Applies an HTTPRoute of `INFRA`; `spec` is a block without the parent.
pub(crate) fn apply(stage: &Stage, name: &str, parent: &str, spec: &str) {
    stage.apply(&format!(
        "\nkind: HTTPRoute\nname: {name}\nin: INFRA\nspec:\n  parentRefs: [{{name: {parent}}}]{spec}\n"
    ));
}

#[test]
fn http_route_simple_same_namespace() {
    let stage = Stage::new("simple");
    attach(&stage, "simple", "same", "\n  rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]");
    stage.answers("same", &[("example.test/", "200 infra-v1")]);
}

#[test]
fn http_route_cross_namespace() {
    let stage = Stage::new("cross");
    stage.apply(
        "
kind: HTTPRoute
name: cross
in: WEB
spec: {parentRefs: [{name: backends, namespace: INFRA}], rules: [{backendRefs: [{name: web, port: 8080}]}]}
",
    );
    stage.parents("HTTPRoute", "WEB/cross", &[&format!("backends {ATTACHED}")]);
    stage.answers("backends", &[("example.test/", "200 web")]);
}

#[test]
fn http_route_exact_path_matching() {
    let stage = Stage::new("exact");
    attach(
        &stage,
        "exact",
        "same",
        "
  rules:
  - {matches: [{path: {type: Exact, value: /one}}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{path: {type: Exact, value: /two}}], backendRefs: [{name: infra-v2, port: 8080}]}",
    );
    stage.answers(
        "same",
        &[
            ("a.test/one", "200 infra-v1"),
            ("a.test/two", "200 infra-v2"),
            ("a.test/", "404"),
            ("a.test/one/example", "404"),
            ("a.test/two/", "404"),
            ("a.test/Two", "404"),
        ],
    );
}

#[test]
fn http_route_matching() {
    let stage = Stage::new("matching");
    attach(
        &stage,
        "matching",
        "same",
        "
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}, {headers: [{name: version, value: one}]}]
    backendRefs: [{name: infra-v1, port: 8080}]
  - matches: [{path: {type: PathPrefix, value: /v2}}, {headers: [{name: version, value: two}]}]
    backendRefs: [{name: infra-v2, port: 8080}]",
    );
    stage.answers(
        "same",
        &[
            ("a.test/", "200 infra-v1"),
            ("a.test/example", "200 infra-v1"),
            ("a.test/ Version:one", "200 infra-v1"),
            ("a.test/v2", "200 infra-v2"),
            ("a.test/v2/example", "200 infra-v2"),
            ("a.test/ Version:two", "200 infra-v2"),
            ("a.test/v2/", "200 infra-v2"),
            ("a.test/v2example", "200 infra-v1"),
            ("a.test/foo/v2/example", "200 infra-v1"),
        ],
    );
}

#[test]
fn http_route_matching_across_routes() {
    let stage = Stage::new("across");
    attach(
        &stage,
        "first",
        "same",
        "
  hostnames: [one.test, two.test]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}, {headers: [{name: version, value: one}]}]
    backendRefs: [{name: infra-v1, port: 8080}]",
    );
    attach(
        &stage,
        "second",
        "same",
        "
  hostnames: [one.test]
  rules:
  - matches: [{path: {type: PathPrefix, value: /v2}}, {headers: [{name: version, value: two}]}]
    backendRefs: [{name: infra-v2, port: 8080}]",
    );
    stage.answers(
        "same",
        &[
            ("one.test/", "200 infra-v1"),
            ("two.test/", "200 infra-v1"),
            ("three.test/", "404"),
            ("one.test/example", "200 infra-v1"),
            ("two.test/example", "200 infra-v1"),
            ("one.test/ version:one", "200 infra-v1"),
            ("one.test/v2", "200 infra-v2"),
            ("two.test/v2", "200 infra-v1"),
            ("one.test/v2/example", "200 infra-v2"),
            ("one.test/ version:two", "200 infra-v2"),
            ("two.test/ version:two", "200 infra-v1"),
        ],
    );
}

#[test]
fn http_route_path_match_order() {
    let stage = Stage::new("order");
    attach(
        &stage,
        "order",
        "same",
        "
  rules:
  - {matches: [{path: {type: PathPrefix, value: /match/prefix/one}}], backendRefs: [{name: infra-v2, port: 8080}]}
  - {matches: [{path: {type: PathPrefix, value: /match/}}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{path: {type: PathPrefix, value: /match/exact}}], backendRefs: [{name: infra-v2, port: 8080}]}
  - {matches: [{path: {type: Exact, value: /match/exact/one}}], backendRefs: [{name: infra-v3, port: 8080}]}
  - {matches: [{path: {type: PathPrefix, value: /match/prefix/}}], backendRefs: [{name: infra-v3, port: 8080}]}",
    );
    stage.answers(
        "same",
        &[
            ("a.test/match/exact/one", "200 infra-v3"),
            ("a.test/match/exact", "200 infra-v2"),
            ("a.test/match", "200 infra-v1"),
            ("a.test/match/prefix/one/any", "200 infra-v2"),
            ("a.test/match/prefix/any", "200 infra-v3"),
            ("a.test/match/any", "200 infra-v1"),
        ],
    );
}

#[test]
fn http_route_header_matching() {
    let stage = Stage::new("headers");
    attach(
        &stage,
        "headers",
        "same",
        "
  rules:
  - {matches: [{headers: [{name: version, value: one}]}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{headers: [{name: version, value: two}]}], backendRefs: [{name: infra-v2, port: 8080}]}
  - {matches: [{headers: [{name: version, value: two}, {name: color, value: orange}]}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{headers: [{name: color, value: red}]}, {headers: [{name: color, value: yellow}]}], backendRefs: [{name: infra-v2, port: 8080}]}",
    );
    stage.answers(
        "same",
        &[
            ("a.test/ Version:one", "200 infra-v1"),
            ("a.test/ Version:two", "200 infra-v2"),
            ("a.test/ Version:two Color:orange", "200 infra-v1"),
            ("a.test/ Color:orange", "404"),
            ("a.test/ Color:blue", "200 infra-v1"),
            ("a.test/ Color:green", "200 infra-v1"),
            ("a.test/ Color:red", "200 infra-v2"),
            ("a.test/ Color:yellow", "200 infra-v2"),
            ("a.test/ Color:purple", "404"),
            ("a.test/ Version:TWO", "404"),
            ("a.test/", "404"),
        ],
    );
}

#[test]
fn http_route_method_and_query_matching() {
    let stage = Stage::new("method");
    attach(
        &stage,
        "method",
        "same",
        "
  rules:
  - {matches: [{method: POST}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{method: GET}], backendRefs: [{name: infra-v2, port: 8080}]}
  - {matches: [{path: {value: /path1}, method: GET}], backendRefs: [{name: infra-v1, port: 8080}]}
  - {matches: [{method: PUT, headers: [{name: version, value: one}]}], backendRefs: [{name: infra-v2, port: 8080}]}
  - {matches: [{queryParams: [{name: animal, value: whale}]}], backendRefs: [{name: infra-v3, port: 8080}]}",
    );
    stage.answers(
        "same",
        &[
            ("POST a.test/", "200 infra-v1"),
            ("GET a.test/", "200 infra-v2"),
            ("HEAD a.test/", "404"),
            ("GET a.test/path1", "200 infra-v1"),
            ("PUT a.test/ version:one", "200 infra-v2"),
            ("PUT a.test/", "404"),
            ("PUT a.test/?animal=whale", "200 infra-v3"),
            ("PUT a.test/?animal=dolphin", "404"),
            ("PUT a.test/?ANIMAL=whale", "404"),
            ("PUT a.test/?colour=blue&animal=whale", "200 infra-v3"),
            ("GET a.test/?animal=whale", "200 infra-v2"),
        ],
    );
}

#[test]
fn http_route_hostname_intersection() {
    let stage = Stage::new("hostnames");
    stage.apply(
        "
kind: Gateway
name: hosts
in: INFRA
spec:
  listeners:
  - {name: one, port: 8080, protocol: HTTP, hostname: very.specific.test}
  - {name: two, port: 8080, protocol: HTTP, hostname: '*.wildcard.test'}
  - {name: three, port: 8080, protocol: HTTP, hostname: '*.another.test'}
",
    );
    for (name, hosts, backend) in [
        ("s1", "non.matching.test, '*.nothing.test', very.specific.test", "infra-v1"),
        (
            "s2",
            "non.matching.test, wildcard.test, foo.wildcard.test, foo.bar.wildcard.test",
            "infra-v2",
        ),
        ("s3", "non.matching.test, '*.specific.test'", "infra-v3"),
        ("s4", "'*.another.test'", "infra-v1"),
    ] {
        attach(
            &stage,
            name,
            "hosts",
            &format!(
                "\n  hostnames: [{hosts}]\n  rules: [{{matches: [{{path: {{value: /{name}}}}}], backendRefs: [{{name: {backend}, port: 8080}}]}}]"
            ),
        );
    }
    apply(
        &stage,
        "s5",
        "hosts",
        "\n  hostnames: [specific.but.wrong.test, wildcard.test]\n  rules: [{matches: [{path: {value: /s5}}], backendRefs: [{name: infra-v2, port: 8080}]}]",
    );
    stage.parents("HTTPRoute", "s5", &["hosts Accepted=False/NoMatchingListenerHostname"]);
    stage.answers(
        "hosts",
        &[
            ("very.specific.test/s1", "200 infra-v1"),
            ("very.specific.test:1234/s1", "200 infra-v1"),
            ("non.matching.test/s1", "404"),
            ("foo.nothing.test/s1", "404"),
            ("foo.wildcard.test/s2", "200 infra-v2"),
            ("foo.bar.wildcard.test/s2", "200 infra-v2"),
            ("wildcard.test/s2", "404"),
            ("bar.wildcard.test/s2", "404"),
            ("very.specific.test/s3", "200 infra-v3"),
            ("other.specific.test/s3", "404"),
            ("one.another.test/s4", "200 infra-v1"),
            ("one.two.another.test/s4", "200 infra-v1"),
            ("another.test/s4", "404"),
            ("specific.but.wrong.test/s5", "404"),
            ("wildcard.test/s5", "404"),
        ],
    );
}

#[test]
fn http_route_listener_hostname_matching() {
    let stage = Stage::new("listener-hosts");
    stage.apply(
        "
kind: Gateway
name: hosts
in: INFRA
spec:
  listeners:
  - {name: one, port: 8080, protocol: HTTP, hostname: bar.test}
  - {name: two, port: 8080, protocol: HTTP, hostname: foo.bar.test}
  - {name: three, port: 8080, protocol: HTTP, hostname: '*.bar.test'}
  - {name: four, port: 8080, protocol: HTTP, hostname: '*.foo.test'}
",
    );
    for (backend, sections) in
        [("infra-v1", vec!["one"]), ("infra-v2", vec!["two"]), ("infra-v3", vec!["three", "four"])]
    {
        let parents =
            sections.iter().map(|section| format!("{{name: hosts, sectionName: {section}}}"));
        let parents = parents.collect::<Vec<_>>().join(", ");
        stage.apply(&format!(
            "
kind: HTTPRoute
name: {backend}
in: INFRA
spec: {{parentRefs: [{parents}], rules: [{{backendRefs: [{{name: {backend}, port: 8080}}]}}]}}
"
        ));
        let row = format!("hosts {ATTACHED}");
        stage.parents("HTTPRoute", backend, &vec![row.as_str(); sections.len()]);
    }
    stage.answers(
        "hosts",
        &[
            ("bar.test/", "200 infra-v1"),
            ("foo.bar.test/", "200 infra-v2"),
            ("baz.bar.test/", "200 infra-v3"),
            ("boo.bar.test/", "200 infra-v3"),
            ("multiple.prefixes.bar.test/", "200 infra-v3"),
            ("multiple.prefixes.foo.test/", "200 infra-v3"),
            ("foo.test/", "404"),
            ("no.matching.host/", "404"),
        ],
    );
}

#[test]
fn http_route_multiple_gateways() {
    let stage = Stage::new("gateways");
    stage.apply(
        "
kind: HTTPRoute
name: both
in: INFRA
spec: {parentRefs: [{name: same}, {name: all}], rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]}
---
kind: HTTPRoute
name: one
in: INFRA
spec: {hostnames: [one.test], parentRefs: [{name: all}], rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]}
",
    );
    let rows = [format!("same {ATTACHED}"), format!("all {ATTACHED}")];
    stage.parents("HTTPRoute", "both", &[&rows[0], &rows[1]]);
    stage.answers("same", &[("a.test/", "200 infra-v1"), ("one.test/", "200 infra-v1")]);
    stage.answers("all", &[("a.test/", "200 infra-v1"), ("one.test/", "200 infra-v2")]);
    assert_ne!(stage.address("same", HTTP), stage.address("all", HTTP));
}

#[test]
fn http_route_https_listener() {
    let stage = Stage::new("https");
    let pem = certificate(&stage, "cert", "INFRA", &["example.test", "second.test"]);
    stage.apply(
        "
kind: Gateway
name: tls
in: INFRA
spec:
  listeners:
  - {name: any, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}
  - {name: second, port: 8443, protocol: HTTPS, hostname: second.test, tls: {certificateRefs: [{name: cert}]}}
---
kind: HTTPRoute
name: first
in: INFRA
spec: {hostnames: [example.test], parentRefs: [{name: tls, sectionName: any}], rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]}
---
kind: HTTPRoute
name: second
in: INFRA
spec: {parentRefs: [{name: tls, sectionName: second}], rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]}
",
    );
    let to = stage.address("tls", HTTPS);
    for (name, answer) in [("example.test", "200 infra-v1"), ("second.test", "200 infra-v2")] {
        until_consistent(
            name,
            || ask_tls(to, name, &pem, name),
            |reply| if reply.brief() == answer { Ok(()) } else { Err(reply.brief()) },
        );
    }
}

#[test]
fn http_route_weight() {
    let stage = Stage::new("weight");
    attach(
        &stage,
        "weight",
        "same",
        "
  rules: [{backendRefs: [{name: infra-v1, port: 8080, weight: 70}, {name: infra-v2, port: 8080, weight: 30}, {name: infra-v3, port: 8080, weight: 0}]}]",
    );
    let to = stage.address("same", HTTP);
    eventually("weights", || {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..500 {
            *counts.entry(ask(to, "a.test/")?.brief()).or_default() += 1;
        }
        let share = |name: &str| counts.get(name).copied().unwrap_or_default();
        let (first, second) = (share("200 infra-v1"), share("200 infra-v2"));
        let fits = (325..=375).contains(&first) && (125..=175).contains(&second);
        if fits && first + second == 500 { Ok(()) } else { Err(format!("{counts:?}")) }
    });
}

#[test]
fn http_route_service_types() {
    let stage = Stage::new("services");
    stage.apply(
        "
kind: Service
name: headless
in: INFRA
spec: {clusterIP: None, ports: [{name: first, port: 8080, targetPort: 3000}]}
",
    );
    stage.apply(&format!(
        "
kind: EndpointSlice
name: headless-by-hand
in: INFRA
labels: {{kubernetes.io/service-name: headless}}
addressType: IPv4
ports: [{{name: first, port: {}}}]
endpoints: [{{addresses: [127.0.0.1], conditions: {{ready: true}}}}]
",
        super::echo::start("headless")
    ));
    attach(
        &stage,
        "headless",
        "same",
        "\n  rules: [{backendRefs: [{name: headless, port: 8080}]}]",
    );
    stage.answers("same", &[("a.test/", "200 headless")]);
}

#[test]
fn http_route_listener_port_matching() {
    let stage = Stage::new("ports");
    stage.apply(
        "
kind: Gateway
name: ports
in: INFRA
spec:
  listeners:
  - {name: one, port: 8080, protocol: HTTP}
  - {name: two, port: 8081, protocol: HTTP}
  - {name: three, port: 8082, protocol: HTTP}
---
kind: HTTPRoute
name: first
in: INFRA
spec: {parentRefs: [{name: ports, port: 8080}], rules: [{backendRefs: [{name: infra-v1, port: 8080}]}]}
---
kind: HTTPRoute
name: second
in: INFRA
spec: {parentRefs: [{name: ports, port: 8081, sectionName: two}], rules: [{backendRefs: [{name: infra-v2, port: 8080}]}]}
",
    );
    for (port, answer) in [(8080, "200 infra-v1"), (8081, "200 infra-v2"), (8082, "404")] {
        let to = stage.address("ports", port);
        Stage::until(to, "a.test/", |reply| {
            if reply.brief() == answer { Ok(()) } else { Err(reply.brief()) }
        });
    }
}

#[test]
fn http_route_https_listener_detect_misdirected_requests() {
    let stage = Stage::new("misdirected");
    let names = ["example.test", "second.test", "*.wild.test", "unknown.test"];
    let pem = certificate(&stage, "cert", "INFRA", &names);
    let listener = |name: &str, host: &str| {
        format!(
            "\n  - {{name: {name}, port: 8443, protocol: HTTPS{host}, tls: {{certificateRefs: [{{name: cert}}]}}}}"
        )
    };
    let listeners = [
        listener("any", ""),
        listener("second", ", hostname: second.test"),
        listener("wild", ", hostname: '*.wild.test'"),
        listener("fourth", ", hostname: fourth.wild.test"),
    ];
    stage.apply(&format!(
        "\nkind: Gateway\nname: tls\nin: INFRA\nspec:\n  listeners:{}\n",
        listeners.concat()
    ));
    let wild = "hostnames: [third.wild.test, fifth.wild.test, fourth.wild.test], ";
    for (name, section, hosts, backend) in [
        ("one", "", "hostnames: [example.test], ", "infra-v1"),
        ("two", ", sectionName: second", "", "infra-v2"),
        ("three", ", sectionName: wild", wild, "infra-v3"),
        ("four", ", sectionName: fourth", "hostnames: [fourth.wild.test], ", "infra-v1"),
    ] {
        stage.apply(&format!(
            "
kind: HTTPRoute
name: {name}
in: INFRA
spec: {{{hosts}parentRefs: [{{name: tls{section}}}], rules: [{{matches: [{{path: {{value: /detect}}}}], backendRefs: [{{name: {backend}, port: 8080}}]}}]}}
"
        ));
        stage.parents("HTTPRoute", name, &[&format!("tls {ATTACHED}")]);
    }
    let to = stage.address("tls", HTTPS);
    for (name, host, answer) in [
        ("example.test", "example.test", "200 infra-v1"),
        ("example.test", "second.test", "421"),
        ("example.test", "unknown.test", "404"),
        ("second.test", "second.test", "200 infra-v2"),
        ("second.test", "example.test", "421"),
        ("second.test", "unknown.test", "421"),
        ("third.wild.test", "third.wild.test", "200 infra-v3"),
        ("third.wild.test", "fifth.wild.test", "200 infra-v3"),
        ("third.wild.test", "fourth.wild.test", "421"),
        ("third.wild.test", "second.test", "421"),
        ("third.wild.test", "unknown.test", "421"),
        ("fourth.wild.test", "fourth.wild.test", "200 infra-v1"),
        ("fourth.wild.test", "fifth.wild.test", "421"),
        ("unknown.test", "example.test", "200 infra-v1"),
        ("unknown.test", "unknown.test", "404"),
    ] {
        until_consistent(
            &format!("{name} {host}"),
            || ask_tls(to, name, &pem, &format!("{host}/detect")),
            |reply| if reply.brief() == answer { Ok(()) } else { Err(reply.brief()) },
        );
    }
}
