//! TLSRoutes, TCPRoutes and UDPRoutes.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::LazyLock;
use std::time::Duration;

use super::client::ask_tls;
use super::echo;
use super::gateway::{certificate, grant};
use super::stage::{HTTPS, Stage, until_consistent};
use super::world::eventually;

const GOOD: &str = "Accepted=True/Accepted ResolvedRefs=True/ResolvedRefs";

/// A Gateway `l4` whose listeners are as in YAML.
fn gateway(stage: &Stage, listeners: &str) {
    stage.apply(&format!(
        "\nkind: Gateway\nname: l4\nin: INFRA\nspec: {{listeners: [{listeners}]}}\n"
    ));
}

/// A route of `kind`; parents and backends as in YAML. A TLSRoute is for the host `name.test`.
fn route(stage: &Stage, (kind, name): (&str, &str), parents: &str, backends: &str) {
    let hosts =
        if kind == "TLSRoute" { format!("hostnames: [{name}.test], ") } else { String::new() };
    stage.apply(&format!(
        "\nkind: {kind}\nname: {name}\nin: INFRA\nspec: {{{hosts}parentRefs: [{parents}], rules: [{{backendRefs: [{backends}]}}]}}\n"
    ));
}

/// Backends `tcp-1`, `tcp-2` (TCP) and `udp-1`, `udp-2` (UDP) in `INFRA`.
fn backends(stage: &Stage) {
    for name in ["tcp-1", "tcp-2"] {
        stage.backend(name, "INFRA", ("TCP", echo::start_tcp(name)));
    }
    for name in ["udp-1", "udp-2"] {
        stage.backend(name, "INFRA", ("UDP", echo::start_udp(name)));
    }
}

/// The name of the backend that a connection reaches; nothing when it is closed without a word.
fn tcp(to: SocketAddr) -> Result<String, String> {
    let ask = || {
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"who\n")?;
        let mut answer = [0; 64];
        let octets = stream.read(&mut answer)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer[..octets]).into_owned())
    };
    ask().map_err(|error| error.to_string())
}

/// The name of the backend that a datagram of a new client reaches.
fn udp(to: SocketAddr) -> Result<String, String> {
    let ask = || {
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        socket.set_read_timeout(Some(Duration::from_millis(500)))?;
        socket.send_to(b"who", to)?;
        let mut answer = [0; 64];
        let octets = socket.recv(&mut answer)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&answer[..octets]).into_owned())
    };
    ask().map_err(|error| error.to_string())
}

/// Waits until clients reach `name`.
fn reaches(ask: fn(SocketAddr) -> Result<String, String>, to: SocketAddr, name: &str) {
    eventually(name, || match ask(to)? {
        found if found == name => Ok(()),
        found => Err(found),
    });
}

/// Waits until 200 clients are divided 70 to 30, within ten points.
fn divided(ask: fn(SocketAddr) -> Result<String, String>, to: SocketAddr) {
    eventually("weights", || {
        let mut counts: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..200 {
            *counts.entry(ask(to)?).or_default() += 1;
        }
        let first = counts.values().max().copied().unwrap_or_default();
        let fits = counts.len() == 2 && (120..=160).contains(&first);
        if fits { Ok(()) } else { Err(format!("{counts:?}")) }
    });
}

#[test]
fn tcp_route_parent_refs_and_weights() {
    let stage = Stage::new("tcp");
    backends(&stage);
    gateway(
        &stage,
        "{name: one, port: 9001, protocol: TCP}, {name: two, port: 9002, protocol: TCP}, {name: three, port: 9003, protocol: TCP}",
    );
    route(
        &stage,
        ("TCPRoute", "first"),
        "{name: l4, sectionName: one}",
        "{name: tcp-1, port: 8080}",
    );
    route(
        &stage,
        ("TCPRoute", "second"),
        "{name: l4, port: 9002, sectionName: two}",
        "{name: tcp-1, port: 8080, weight: 7}, {name: tcp-2, port: 8080, weight: 3}",
    );
    route(&stage, ("TCPRoute", "third"), "{name: l4, port: 9003}", "{name: tcp-2, port: 8080}");
    for name in ["first", "second", "third"] {
        stage.parents("TCPRoute", name, &[&format!("l4 {GOOD}")]);
    }
    let row = "attached=1 kinds=TCPRoute Accepted=True/Accepted";
    let rows = ["one", "two", "three"].map(|name| format!("{name} {row}"));
    stage.listeners("Gateway", "l4", &[&rows[0], &rows[1], &rows[2]]);
    reaches(tcp, stage.address("l4", 9001), "tcp-1");
    reaches(tcp, stage.address("l4", 9003), "tcp-2");
    divided(tcp, stage.address("l4", 9002));
}

#[test]
fn tcp_route_parent_ref_attach_all() {
    let stage = Stage::new("tcp-all");
    backends(&stage);
    gateway(
        &stage,
        "{name: one, port: 9001, protocol: TCP}, {name: two, port: 9002, protocol: TCP}",
    );
    route(&stage, ("TCPRoute", "all"), "{name: l4}", "{name: tcp-1, port: 8080}");
    stage.parents("TCPRoute", "all", &[&format!("l4 {GOOD}")]);
    stage.listeners("Gateway", "l4", &["one attached=1", "two attached=1"]);
    for port in [9001, 9002] {
        reaches(tcp, stage.address("l4", port), "tcp-1");
    }
}

#[test]
fn tcp_and_udp_route_multiple_routes_attachment() {
    let stage = Stage::new("l4-many");
    backends(&stage);
    gateway(
        &stage,
        "{name: tcp, port: 9001, protocol: TCP}, {name: udp, port: 9001, protocol: UDP}",
    );
    let kinds = [("TCPRoute", "tcp"), ("UDPRoute", "udp")];
    for (kind, section) in kinds {
        let older = format!("a-{section}");
        route(
            &stage,
            (kind, &older),
            &format!("{{name: l4, sectionName: {section}}}"),
            &format!("{{name: {section}-1, port: 8080}}"),
        );
        stage.parents(kind, &older, &[&format!("l4 {GOOD}")]);
    }
    // Of two of the same second the name decides.
    for (kind, section) in kinds {
        let newer = format!("b-{section}");
        route(
            &stage,
            (kind, &newer),
            &format!("{{name: l4, sectionName: {section}}}"),
            &format!("{{name: {section}-2, port: 8080}}"),
        );
        stage.parents(kind, &newer, &[&format!("l4 {GOOD}")]);
    }
    let row = "attached=2 Accepted=True/Accepted";
    stage.listeners(
        "Gateway",
        "l4",
        &[&format!("tcp kinds=TCPRoute {row}"), &format!("udp kinds=UDPRoute {row}")],
    );
    let to = stage.address("l4", 9001);
    reaches(tcp, to, "tcp-1");
    reaches(udp, to, "udp-1");
    for _ in 0..50 {
        assert_eq!(tcp(to).as_deref(), Ok("tcp-1"), "the older one alone");
        assert_eq!(udp(to).as_deref(), Ok("udp-1"), "the older one alone");
    }
}

#[test]
fn tcp_and_udp_route_invalid_backends_and_grants() {
    let stage = Stage::new("l4-invalid");
    gateway(
        &stage,
        "{name: tcp, port: 9001, protocol: TCP}, {name: udp, port: 9001, protocol: UDP}",
    );
    stage.backend("far", "WEB", ("TCP", echo::start_tcp("far")));
    for kind in ["TCPRoute", "UDPRoute"] {
        let missing = format!("missing-{}", kind.to_lowercase());
        let section = kind[..3].to_lowercase();
        let parent = format!("{{name: l4, sectionName: {section}}}");
        route(&stage, (kind, &missing), &parent, "{name: missing, port: 8080}");
        stage.parents(kind, &missing, &["l4 Accepted=True ResolvedRefs=False/BackendNotFound"]);
        let far = format!("far-{section}");
        route(&stage, (kind, &far), &parent, "{name: far, namespace: WEB, port: 8080}");
        stage.parents(kind, &far, &["l4 Accepted=True ResolvedRefs=False/RefNotPermitted"]);
    }
    // A route of one protocol at a listener of the other.
    for (kind, section) in [("TCPRoute", "udp"), ("UDPRoute", "tcp")] {
        let name = format!("wrong-{section}");
        route(
            &stage,
            (kind, &name),
            &format!("{{name: l4, sectionName: {section}}}"),
            "{name: infra-v1, port: 8080}",
        );
        stage.parents(kind, &name, &["l4 Accepted=False/NotAllowedByListeners"]);
    }
    grant(
        &stage,
        "WEB",
        "{group: gateway.networking.k8s.io, kind: TCPRoute, namespace: INFRA}",
        "{group: '', kind: Service, name: far}",
    );
    stage.delete("TCPRoute", "INFRA", "missing-tcproute");
    stage.parents("TCPRoute", "far-tcp", &[&format!("l4 {GOOD}")]);
    stage.parents("UDPRoute", "far-udp", &["l4 ResolvedRefs=False/RefNotPermitted"]);
    reaches(tcp, stage.address("l4", 9001), "far");
}

#[test]
fn udp_route_parent_refs_and_weights() {
    let stage = Stage::new("udp");
    backends(&stage);
    gateway(
        &stage,
        "{name: one, port: 9001, protocol: UDP}, {name: two, port: 9002, protocol: UDP}, {name: three, port: 9003, protocol: UDP}",
    );
    route(
        &stage,
        ("UDPRoute", "first"),
        "{name: l4, sectionName: one}",
        "{name: udp-1, port: 8080}",
    );
    route(
        &stage,
        ("UDPRoute", "second"),
        "{name: l4, port: 9002}",
        "{name: udp-1, port: 8080, weight: 7}, {name: udp-2, port: 8080, weight: 3}",
    );
    stage.parents("UDPRoute", "first", &[&format!("l4 {GOOD}")]);
    stage.parents("UDPRoute", "second", &[&format!("l4 {GOOD}")]);
    stage.listeners(
        "Gateway",
        "l4",
        &["one attached=1 kinds=UDPRoute", "two attached=1", "three attached=0"],
    );
    reaches(udp, stage.address("l4", 9001), "udp-1");
    divided(udp, stage.address("l4", 9002));
}

#[test]
fn tls_route_modes() {
    let stage = Stage::new("tls");
    let (pem, port) = echo::start_tls("behind-tls", &["pass.test"]);
    stage.backend("behind-tls", "INFRA", ("TCP", port));
    let own = certificate(&stage, "cert", "INFRA", &["end.test"]);
    gateway(
        &stage,
        "{name: pass, port: 8443, protocol: TLS, hostname: pass.test, tls: {mode: Passthrough}}, {name: end, port: 8443, protocol: TLS, hostname: end.test, tls: {mode: Terminate, certificateRefs: [{name: cert}]}}",
    );
    route(
        &stage,
        ("TLSRoute", "pass"),
        "{name: l4, sectionName: pass}",
        "{name: behind-tls, port: 8080}",
    );
    route(
        &stage,
        ("TLSRoute", "end"),
        "{name: l4, sectionName: end}",
        "{name: infra-v1, port: 8080}",
    );
    for name in ["pass", "end"] {
        stage.parents("TLSRoute", name, &[&format!("l4 {GOOD}")]);
    }
    let row = "attached=1 kinds=TLSRoute Accepted=True/Accepted Programmed=True ResolvedRefs=True";
    stage.listeners("Gateway", "l4", &[&format!("pass {row}"), &format!("end {row}")]);
    let to = stage.address("l4", HTTPS);
    for (name, root, answer) in
        [("pass.test", &pem, "200 behind-tls"), ("end.test", &own, "200 infra-v1")]
    {
        until_consistent(
            name,
            || ask_tls(to, name, root, name),
            |reply| if reply.brief() == answer { Ok(()) } else { Err(reply.brief()) },
        );
    }
    assert!(ask_tls(to, "other.test", &pem, "other.test").is_err(), "no route has this name");
}

/// Waits until a TLS connection for a name is reset, as upstream wants refused ones to be.
fn is_reset(to: SocketAddr, name: &str) {
    eventually(name, || match ask_tls(to, name, OTHER_PEM.as_str(), name) {
        Err(fault) if fault.contains("reset by peer") => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

/// A certificate that nobody has.
static OTHER_PEM: LazyLock<String> =
    LazyLock::new(|| echo::start_tls("nobody", &["nobody.test"]).0);

#[test]
fn tls_route_hostname_intersection() {
    let stage = Stage::new("tls-hosts");
    let names = ["abc.example.test", "other.example.test"];
    let (pem, port) = echo::start_tls("exact", &names);
    stage.backend("exact", "INFRA", ("TCP", port));
    let (wild_pem, port) = echo::start_tls("wild", &names);
    stage.backend("wild", "INFRA", ("TCP", port));
    // The listener's hostname, the hostnames of routes to `exact` and `wild`, and which names they get.
    for (name, listener, hosts, served) in [
        ("exact", ", hostname: abc.example.test", ["'*.example.test'", ""], [true, false]),
        ("narrow", ", hostname: '*.example.test'", ["abc.example.test", "'*.test'"], [true, true]),
        ("wide", ", hostname: '*.test'", ["abc.example.test", "'*.example.test'"], [true, true]),
        ("none", "", ["abc.example.test", "'*.test'"], [true, true]),
        ("apart", ", hostname: other.test", ["abc.example.test", ""], [false, false]),
    ] {
        stage.apply(&format!(
            "
kind: Gateway
name: {name}
in: INFRA
spec: {{listeners: [{{name: tls, port: 8443, protocol: TLS, tls: {{mode: Passthrough}}{listener}}}]}}
"
        ));
        for (backend, host) in
            ["exact", "wild"].into_iter().zip(hosts).filter(|(_, host)| !host.is_empty())
        {
            stage.apply(&format!(
                "
kind: TLSRoute
name: {name}-{backend}
in: INFRA
spec: {{hostnames: [{host}], parentRefs: [{{name: {name}}}], rules: [{{backendRefs: [{{name: {backend}, port: 8080}}]}}]}}
"
            ));
            let row =
                if name == "apart" { "Accepted=False/NoMatchingListenerHostname" } else { GOOD };
            stage.parents("TLSRoute", &format!("{name}-{backend}"), &[&format!("{name} {row}")]);
        }
        if name == "apart" {
            stage.listeners("Gateway", name, &["tls attached=0"]);
        }
        let to = stage.address(name, HTTPS);
        let rows = [
            ("abc.example.test", &pem, "200 exact"),
            ("other.example.test", &wild_pem, "200 wild"),
        ];
        for ((sni, root, answer), served) in rows.into_iter().zip(served) {
            if !served {
                is_reset(to, sni);
                continue;
            }
            until_consistent(
                sni,
                || ask_tls(to, sni, root, sni),
                |reply| if reply.brief() == answer { Ok(()) } else { Err(reply.brief()) },
            );
        }
        is_reset(to, "non.matching.org");
    }
}

#[test]
fn tls_route_invalid() {
    let stage = Stage::new("tls-invalid");
    gateway(&stage, "{name: tls, port: 8443, protocol: TLS, tls: {mode: Passthrough}}");
    for (name, backend, reason) in [
        ("missing", "{name: missing, port: 8080}", "BackendNotFound"),
        ("kind", "{group: example.test, kind: Wrong, name: any, port: 8080}", "InvalidKind"),
        ("far", "{name: web, namespace: WEB, port: 8080}", "RefNotPermitted"),
    ] {
        route(&stage, ("TLSRoute", name), "{name: l4}", backend);
        stage.parents(
            "TLSRoute",
            name,
            &[&format!("l4 Accepted=True/Accepted ResolvedRefs=False/{reason}")],
        );
        is_reset(stage.address("l4", HTTPS), &format!("{name}.test"));
    }
    route(&stage, ("TLSRoute", "http"), "{name: same}", "{name: infra-v1, port: 8080}");
    stage.parents("TLSRoute", "http", &["same Accepted=False/NoMatchingParent"]);
    stage.listeners("Gateway", "same", &["http attached=0"]);
}

#[test]
fn udp_route_parent_ref_attach_all_listeners() {
    let stage = Stage::new("udp-all");
    backends(&stage);
    gateway(
        &stage,
        "{name: udp-1, port: 9001, protocol: UDP}, {name: udp-2, port: 9002, protocol: UDP}, {name: udp-3, port: 9003, protocol: UDP}",
    );
    route(&stage, ("UDPRoute", "all"), "{name: l4}", "{name: udp-1, port: 8080}");
    stage.parents("UDPRoute", "all", &[&format!("l4 {GOOD}")]);
    let row = "attached=1 kinds=UDPRoute Accepted=True ResolvedRefs=True";
    let rows = ["udp-1", "udp-2", "udp-3"].map(|name| format!("{name} {row}"));
    stage.listeners("Gateway", "l4", &rows.each_ref().map(String::as_str));
    for port in [9001, 9002, 9003] {
        reaches(udp, stage.address("l4", port), "udp-1");
    }
}

#[test]
fn udp_route_reference_grant() {
    let stage = Stage::new("udp-grant");
    stage.backend("far", "APP", ("UDP", echo::start_udp("far")));
    gateway(&stage, "{name: udp, port: 9001, protocol: UDP}");
    let from = "{group: gateway.networking.k8s.io, kind: UDPRoute, namespace: INFRA}";
    grant(&stage, "APP", from, "{group: '', kind: Service, name: far}");
    let backend = "{name: far, namespace: APP, port: 8080}";
    route(&stage, ("UDPRoute", "far"), "{name: l4}", backend);
    stage.parents("UDPRoute", "far", &[&format!("l4 {GOOD}")]);
    reaches(udp, stage.address("l4", 9001), "far");
    stage.delete("ReferenceGrant", "APP", "grant");
    stage.parents("UDPRoute", "far", &["l4 Accepted=True ResolvedRefs=False/RefNotPermitted"]);
}
