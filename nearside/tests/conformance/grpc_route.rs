//! GRPCRoutes: calls in HTTP/2 without TLS, answers as a gRPC client reads them.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use super::http2;
use super::stage::{HTTP, Stage};
use super::world::eventually;

const ATTACHED: &str = "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs";
const SERVICE: &str = "test.echo.Echo";

/// Backends `calls-v1` to `calls-v3`.
fn backends(stage: &Stage) {
    for name in ["calls-v1", "calls-v2", "calls-v3"] {
        stage.speaking(name, "kubernetes.io/h2c", http2::start(name));
    }
}

/// Attaches a GRPCRoute of `INFRA` to `same`; rules as in YAML.
fn attach(stage: &Stage, name: &str, rules: &str) {
    stage.apply(&format!(
        "\nkind: GRPCRoute\nname: {name}\nin: INFRA\nspec:\n  parentRefs: [{{name: same}}]\n  rules:{rules}\n"
    ));
    stage.parents("GRPCRoute", name, &[&format!("same {ATTACHED}")]);
}

/// Waits until calls are answered like this, three times in a row.
fn answers(to: SocketAddr, rows: &[(&str, &str)]) {
    for (request, answer) in rows {
        eventually(request, || {
            for _ in 0..3 {
                let found = http2::call(to, request)?;
                let brief = found.call();
                let path = found.asked["path"].as_str().unwrap_or(answer);
                if brief != *answer || !(request.contains(path) || path == *answer) {
                    return Err(format!("{found:?}"));
                }
            }
            Ok(())
        });
    }
}

#[test]
fn grpc_exact_method_matching() {
    let stage = Stage::new("grpc-method");
    backends(&stage);
    attach(
        &stage,
        "exact",
        &format!(
            "
  - {{matches: [{{method: {{service: {SERVICE}, method: One}}}}], backendRefs: [{{name: calls-v1, port: 8080}}]}}
  - {{matches: [{{method: {{service: {SERVICE}, method: Two}}}}], backendRefs: [{{name: calls-v2, port: 8080}}]}}"
        ),
    );
    let to = stage.address("same", HTTP);
    let row = |method: &str| format!("{to}/{SERVICE}/{method}");
    answers(to, &[(&row("One"), "0 calls-v1"), (&row("Two"), "0 calls-v2"), (&row("Three"), "12")]);
    answers(to, &[(&format!("{to}/other.Service/One"), "12")]);
    stage.listeners("Gateway", "same", &["http attached=1 kinds=GRPCRoute+HTTPRoute"]);
}

#[test]
fn grpc_route_header_matching() {
    let stage = Stage::new("grpc-headers");
    backends(&stage);
    let rule = |headers: &str, backend: &str| {
        format!(
            "\n  - {{matches: [{headers}], backendRefs: [{{name: calls-{backend}, port: 8080}}]}}"
        )
    };
    let rules = [
        rule("{headers: [{name: version, value: one}]}", "v1"),
        rule("{headers: [{name: version, value: two}]}", "v2"),
        rule("{headers: [{name: version, value: two}, {name: color, value: orange}]}", "v1"),
        rule(
            "{headers: [{name: color, value: blue}]}, {headers: [{name: color, value: green}]}",
            "v1",
        ),
        rule(
            "{headers: [{name: color, value: red}]}, {headers: [{name: color, value: yellow}]}",
            "v2",
        ),
    ];
    attach(&stage, "headers", &rules.concat());
    let to = stage.address("same", HTTP);
    for (headers, answer) in [
        ("version:one", "0 calls-v1"),
        ("version:two", "0 calls-v2"),
        ("version:two color:orange", "0 calls-v1"),
        ("version:two color:blue", "0 calls-v2"),
        ("color:orange", "12"),
        ("some-other-header:one", "12"),
        ("color:blue", "0 calls-v1"),
        ("color:green", "0 calls-v1"),
        ("color:red", "0 calls-v2"),
        ("color:yellow", "0 calls-v2"),
        ("color:purple", "12"),
    ] {
        answers(to, &[(&format!("{to}/{SERVICE}/One {headers}"), answer)]);
    }
}

#[test]
fn grpc_route_listener_hostname_matching() {
    let stage = Stage::new("grpc-hosts");
    backends(&stage);
    stage.apply(
        "
kind: Gateway
name: hosts
in: INFRA
spec:
  listeners:
  - {name: listener-1, port: 8080, protocol: HTTP, hostname: bar.test}
  - {name: listener-2, port: 8080, protocol: HTTP, hostname: foo.bar.test}
  - {name: listener-3, port: 8080, protocol: HTTP, hostname: '*.bar.test'}
  - {name: listener-4, port: 8080, protocol: HTTP, hostname: '*.foo.test'}
",
    );
    for (backend, sections) in [("v1", &[1][..]), ("v2", &[2]), ("v3", &[3, 4])] {
        let parents = sections
            .iter()
            .map(|at| format!("{{name: hosts, namespace: INFRA, sectionName: listener-{at}}}"));
        let parents = parents.collect::<Vec<_>>().join(", ");
        stage.apply(&format!(
            "
kind: GRPCRoute
name: {backend}
in: INFRA
spec: {{parentRefs: [{parents}], rules: [{{backendRefs: [{{name: calls-{backend}, port: 8080}}]}}]}}
"
        ));
        let row = format!("hosts {ATTACHED}");
        stage.parents("GRPCRoute", backend, &vec![row.as_str(); sections.len()]);
    }
    let to = stage.address("hosts", HTTP);
    for (authority, answer) in [
        ("bar.test", "0 calls-v1"),
        ("foo.bar.test", "0 calls-v2"),
        ("baz.bar.test", "0 calls-v3"),
        ("boo.bar.test", "0 calls-v3"),
        ("multiple.prefixes.bar.test", "0 calls-v3"),
        ("multiple.prefixes.foo.test", "0 calls-v3"),
        ("foo.test", "12"),
        ("no.matching.host", "12"),
    ] {
        answers(to, &[(&format!("{authority}/{SERVICE}/One"), answer)]);
    }
}

#[test]
fn grpc_route_weight() {
    let stage = Stage::new("grpc-weight");
    backends(&stage);
    attach(
        &stage,
        "weight",
        "
  - {backendRefs: [{name: calls-v1, port: 8080, weight: 70}, {name: calls-v2, port: 8080, weight: 30}, {name: calls-v3, port: 8080, weight: 0}]}",
    );
    let to = stage.address("same", HTTP);
    let request = format!("{to}/{SERVICE}/One");
    eventually("weights", || {
        let calls = || (0..50).map(|_| http2::call(to, &request).map(|found| found.call()));
        // Ten at a time, as upstream does.
        let found: Vec<Result<String, String>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..10).map(|_| scope.spawn(|| calls().collect::<Vec<_>>())).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
        });
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for one in found {
            *counts.entry(one?).or_default() += 1;
        }
        let share = |name: &str| counts.get(name).copied().unwrap_or_default();
        let (first, second) = (share("0 calls-v1"), share("0 calls-v2"));
        let fits = (325..=375).contains(&first) && (125..=175).contains(&second);
        if fits && first + second == 500 { Ok(()) } else { Err(format!("{counts:?}")) }
    });
}

#[test]
fn grpc_route_named_rule() {
    let stage = Stage::new("grpc-named");
    backends(&stage);
    attach(
        &stage,
        "named",
        &format!(
            "
  - {{name: first-rule, matches: [{{method: {{service: {SERVICE}, method: One}}}}], backendRefs: [{{name: calls-v1, port: 8080}}]}}
  - {{name: second-rule, matches: [{{method: {{service: {SERVICE}, method: Two}}}}], backendRefs: [{{name: calls-v2, port: 8080}}]}}"
        ),
    );
    let to = stage.address("same", HTTP);
    let row = |method: &str| format!("{to}/{SERVICE}/{method}");
    answers(to, &[(&row("One"), "0 calls-v1"), (&row("Two"), "0 calls-v2")]);
}
