//! ListenerSets: listeners that others add to a Gateway.

use super::gateway::{certificate, grant};
use super::stage::Stage;
use super::world::eventually;

/// A Gateway `host` with a listener `own`; `allowed` says whose ListenerSets it takes.
fn gateway(stage: &Stage, allowed: &str) {
    stage.apply(&format!(
        "
kind: Gateway
name: host
in: INFRA
spec:
  {allowed}
  listeners: [{{name: own, port: 8080, protocol: HTTP, hostname: own.test, allowedRoutes: {{namespaces: {{from: All}}}}}}]
"
    ));
}

/// A ListenerSet for it, whose listeners are `name hostname`.
fn set(stage: &Stage, (name, namespace): (&str, &str), listeners: &[(&str, &str)]) {
    let listeners = listeners.iter().map(|(name, host)| {
        format!("{{name: {name}, port: 8080, protocol: HTTP, hostname: {host}, allowedRoutes: {{namespaces: {{from: All}}}}}}")
    });
    let listeners = listeners.collect::<Vec<_>>().join(", ");
    stage.apply(&format!(
        "
kind: ListenerSet
name: {name}
in: {namespace}
spec: {{parentRef: {{name: host, namespace: INFRA}}, listeners: [{listeners}]}}
"
    ));
}

/// A route to `backend` for parents as in YAML.
fn route(stage: &Stage, name: &str, parents: &str, backend: &str) {
    stage.apply(&format!(
        "
kind: HTTPRoute
name: {name}
in: INFRA
spec: {{parentRefs: [{parents}], rules: [{{backendRefs: [{{name: {backend}, port: 8080}}]}}]}}
"
    ));
}

/// Waits until the Gateway `host` says that so many sets are attached.
fn sets(stage: &Stage, count: u64) {
    eventually("attachedListenerSets", || {
        let status = stage.object("Gateway", "INFRA", "host")["status"].clone();
        let found = status["attachedListenerSets"].as_u64().unwrap_or_default();
        if found == count { Ok(()) } else { Err(status.to_string()) }
    });
}

const GOOD: &str = "Accepted=True/Accepted Programmed=True/Programmed";
const REFUSED: &str = "Accepted=False/NotAllowed Programmed=False/NotAllowed";

#[test]
fn listener_set_default_not_allowed_and_allowed_namespace_none() {
    for (name, allowed) in
        [("set-default", ""), ("set-none", "allowedListeners: {namespaces: {from: None}}")]
    {
        let stage = Stage::new(name);
        gateway(&stage, allowed);
        set(&stage, ("more", "INFRA"), &[("one", "one.test")]);
        route(&stage, "any", "{name: host}", "infra-v1");
        stage.conditions("ListenerSet", "more", REFUSED);
        stage.answers("host", &[("own.test/", "200 infra-v1"), ("one.test/", "404")]);
        sets(&stage, 0);
    }
}

#[test]
fn listener_set_allowed_namespace_same_and_selector() {
    for (name, allowed, good, bad) in [
        ("set-same", "{from: Same}", "INFRA", "APP"),
        (
            "set-selector",
            "{from: Selector, selector: {matchLabels: {part: backend}}}",
            "APP",
            "INFRA",
        ),
    ] {
        let stage = Stage::new(name);
        gateway(&stage, &format!("allowedListeners: {{namespaces: {allowed}}}"));
        set(&stage, ("good", good), &[("one", "one.test")]);
        set(&stage, ("bad", bad), &[("two", "two.test")]);
        stage.conditions("ListenerSet", &format!("{good}/good"), GOOD);
        stage.conditions("ListenerSet", &format!("{bad}/bad"), REFUSED);
        sets(&stage, 1);
    }
}

#[test]
fn listener_set_http_routing() {
    let stage = Stage::new("set-routing");
    gateway(&stage, "allowedListeners: {namespaces: {from: Same}}");
    set(&stage, ("more", "INFRA"), &[("one", "one.test"), ("two", "two.test")]);
    route(&stage, "of-the-gateway", "{name: host}", "infra-v1");
    route(&stage, "of-the-set", "{kind: ListenerSet, name: more, sectionName: one}", "infra-v2");
    stage.conditions("ListenerSet", "more", GOOD);
    let row = "kinds=GRPCRoute+HTTPRoute Accepted=True/Accepted Programmed=True/Programmed";
    let rows = [format!("one attached=1 {row}"), format!("two attached=0 {row}")];
    stage.listeners("ListenerSet", "more", &[&rows[0], &rows[1]]);
    stage.parents("HTTPRoute", "of-the-set", &["more Accepted=True/Accepted ResolvedRefs=True"]);
    stage.answers(
        "host",
        &[("own.test/", "200 infra-v1"), ("one.test/", "200 infra-v2"), ("two.test/", "404")],
    );
    stage.listeners("Gateway", "host", &["own attached=1"]);
}

#[test]
fn listener_set_hostname_conflict() {
    let stage = Stage::new("set-hostnames");
    gateway(&stage, "allowedListeners: {namespaces: {from: Same}}");
    set(
        &stage,
        ("first", "INFRA"),
        &[("free", "free.test"), ("clash", "own.test"), ("shared", "shared.test")],
    );
    stage.conditions("ListenerSet", "first", "Accepted=True Programmed=True/Programmed");
    set(&stage, ("second", "INFRA"), &[("clash", "own.test")]);
    set(&stage, ("third", "INFRA"), &[("free", "third.test"), ("clash", "shared.test")]);
    let lost = "clash Accepted=False Programmed=False Conflicted=True/HostnameConflict";
    let won = "Accepted=True/Accepted Programmed=True/Programmed Conflicted=False";
    stage.listeners("Gateway", "host", &[&format!("own {won}")]);
    stage.listeners(
        "ListenerSet",
        "first",
        &[&format!("free {won}"), lost, &format!("shared {won}")],
    );
    let none = "Accepted=False/ListenersNotValid Programmed=False/ListenersNotValid";
    stage.conditions("ListenerSet", "second", none);
    stage.listeners("ListenerSet", "second", &[lost]);
    stage.conditions("ListenerSet", "third", "Accepted=True Programmed=True/Programmed");
    stage.listeners("ListenerSet", "third", &[&format!("free {won}"), lost]);
}

#[test]
fn listener_set_protocol_conflict() {
    let stage = Stage::new("set-protocols");
    gateway(&stage, "allowedListeners: {namespaces: {from: Same}}");
    stage.apply(
        "
kind: ListenerSet
name: more
in: INFRA
spec: {parentRef: {name: host}, listeners: [{name: clash, port: 8080, protocol: TCP}, {name: free, port: 8080, protocol: HTTP, hostname: free.test}]}
",
    );
    stage.listeners(
        "ListenerSet",
        "more",
        &[
            "clash Accepted=False Programmed=False Conflicted=True/ProtocolConflict",
            "free Accepted=True Programmed=True",
        ],
    );
    stage.conditions("ListenerSet", "more", "Accepted=True Programmed=True/Programmed");
}

#[test]
fn listener_set_reference_grant() {
    let stage = Stage::new("set-grant");
    gateway(&stage, "allowedListeners: {namespaces: {from: Same}}");
    certificate(&stage, "cert", "WEB", &["one.test"]);
    stage.apply(
        "
kind: ListenerSet
name: more
in: INFRA
spec: {parentRef: {name: host}, listeners: [{name: one, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: cert, namespace: WEB}]}}]}
",
    );
    stage.listeners("ListenerSet", "more", &["one ResolvedRefs=False/RefNotPermitted"]);
    // A grant for Gateways is none for ListenerSets.
    let to = "{group: '', kind: Secret, name: cert}";
    grant(&stage, "WEB", "{group: gateway.networking.k8s.io, kind: Gateway, namespace: INFRA}", to);
    stage.listeners("ListenerSet", "more", &["one ResolvedRefs=False/RefNotPermitted"]);
    grant(
        &stage,
        "WEB",
        "{group: gateway.networking.k8s.io, kind: ListenerSet, namespace: INFRA}",
        to,
    );
    stage.listeners(
        "ListenerSet",
        "more",
        &["one Accepted=True Programmed=True ResolvedRefs=True/ResolvedRefs"],
    );
}

#[test]
fn listener_set_statuses_of_routes_are_of_their_parents() {
    let stage = Stage::new("set-parents");
    gateway(&stage, "allowedListeners: {namespaces: {from: Same}}");
    set(&stage, ("more", "INFRA"), &[("one", "one.test")]);
    route(&stage, "both", "{name: host}, {kind: ListenerSet, name: more}", "infra-v1");
    let good = "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs";
    stage.parents("HTTPRoute", "both", &[&format!("host {good}"), &format!("more {good}")]);
    stage.answers("host", &[("own.test/", "200 infra-v1"), ("one.test/", "200 infra-v1")]);
    // A section of the set is none of the Gateway.
    route(&stage, "lost", "{name: host, sectionName: one}", "infra-v1");
    stage.parents("HTTPRoute", "lost", &["host Accepted=False/NoMatchingParent"]);
    // One parent that refuses says nothing of the other.
    stage.apply(
        "
kind: HTTPRoute
name: half
in: INFRA
spec: {parentRefs: [{name: host, sectionName: one}, {kind: ListenerSet, name: more}], rules: [{matches: [{path: {value: /half}}], backendRefs: [{name: infra-v2, port: 8080}]}]}
",
    );
    let refused = "host Accepted=False/NoMatchingParent";
    stage.parents("HTTPRoute", "half", &[refused, &format!("more {good}")]);
    stage.listeners("ListenerSet", "more", &["one attached=2"]);
    stage.answers("host", &[("one.test/half", "200 infra-v2"), ("own.test/half", "200 infra-v1")]);
    stage.delete("ListenerSet", "INFRA", "more");
    stage.answers("host", &[("one.test/", "404"), ("own.test/", "200 infra-v1")]);
}

#[test]
fn listener_set_allowed_routes_namespaces() {
    let stage = Stage::new("set-routes");
    gateway(&stage, "allowedListeners: {namespaces: {from: All}}");
    let listener = |name: &str, allowed: &str| {
        format!(
            "{{name: {name}, port: 8080, protocol: HTTP, hostname: {name}.test, allowedRoutes: {{namespaces: {{{allowed}}}}}}}"
        )
    };
    let listeners = [
        listener("all", "from: All"),
        listener("same", "from: Same"),
        // The namespace `APP` alone.
        listener(
            "some",
            "from: Selector, selector: {matchLabels: {kubernetes.io/metadata.name: APP}}",
        ),
    ];
    stage.apply(&format!(
        "
kind: ListenerSet
name: more
in: INFRA
spec: {{parentRef: {{kind: Gateway, group: gateway.networking.k8s.io, name: host, namespace: INFRA}}, listeners: [{}]}}
---
kind: ReferenceGrant
name: routes
in: INFRA
spec: {{from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: APP}}, {{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: WEB}}], to: [{{group: '', kind: Service}}]}}
",
        listeners.join(", ")
    ));
    for (namespace, backend) in [("INFRA", "infra-v1"), ("APP", "infra-v2"), ("WEB", "infra-v3")] {
        stage.apply(&format!(
            "
kind: HTTPRoute
name: {backend}
in: {namespace}
spec: {{parentRefs: [{{kind: ListenerSet, group: gateway.networking.k8s.io, name: more, namespace: INFRA}}], rules: [{{matches: [{{path: {{value: /{backend}}}}}], backendRefs: [{{name: {backend}, namespace: INFRA, port: 8080}}]}}]}}
"
        ));
        stage.parents(
            "HTTPRoute",
            &format!("{namespace}/{backend}").replace("INFRA/", ""),
            &["more Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs"],
        );
    }
    stage.conditions("Gateway", "host", "Accepted=True");
    sets(&stage, 1);
    let row = "kinds=GRPCRoute+HTTPRoute Accepted=True/Accepted Programmed=True/Programmed ResolvedRefs=True";
    let rows = [("all", 3), ("same", 1), ("some", 1)]
        .map(|(name, attached)| format!("{name} attached={attached} {row}"));
    stage.listeners("ListenerSet", "more", &rows.each_ref().map(String::as_str));
    for (host, served) in [
        ("all", &["infra-v1", "infra-v2", "infra-v3"][..]),
        ("same", &["infra-v1"]),
        ("some", &["infra-v2"]),
    ] {
        for backend in ["infra-v1", "infra-v2", "infra-v3"] {
            let answer =
                if served.contains(&backend) { format!("200 {backend}") } else { "404".to_owned() };
            stage.answers("host", &[(&format!("{host}.test/{backend}"), &answer)]);
        }
    }
}

#[test]
fn listener_set_allowed_routes_supported_kinds() {
    let stage = Stage::new("set-kinds");
    gateway(&stage, "allowedListeners: {namespaces: {from: All}}");
    stage.apply(
        "
kind: ListenerSet
name: more
in: INFRA
spec: {parentRef: {name: host}, listeners: [{name: tls-only, port: 8080, protocol: HTTP, hostname: tls.test, allowedRoutes: {namespaces: {from: All}, kinds: [{kind: TLSRoute}]}}]}
",
    );
    stage.conditions("Gateway", "host", "Accepted=True");
    stage.listeners("ListenerSet", "more", &["tls-only ResolvedRefs=False/InvalidRouteKinds"]);
}
