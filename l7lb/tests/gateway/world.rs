//! Documents and gateways for the tests.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use l7lb::{AccessLog, Config, ExposeSite, Gateway, Limits};
use model::gateway::{
    Endpoint, EndpointSlice, GatewayObjects, HostPattern, HttpFilter, HttpMatch, HttpRoute,
    HttpRule, Ingress, IngressBackend, IngressPath, IngressTls, Listener, ListenerProtocol, Meta,
    NamespaceFilter, ParentKind, ParentRef, PathMatch, PortRef, RouteBackend, Secret, Service,
    ServicePort,
};
use model::name::{ObjectRef, SiteName};

/// A gateway with its plain address and its access log.
pub(crate) struct World {
    pub(crate) gateway: Gateway,
    pub(crate) http: SocketAddr,
    pub(crate) log: Log,
}

/// An access log in memory.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, octets: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(octets);
        Ok(octets.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// All lines, parsed.
    pub(crate) fn lines(&self) -> Vec<serde_json::Value> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Waits until there are so many lines.
    pub(crate) async fn wait(&self, count: usize) -> Vec<serde_json::Value> {
        for _ in 0..1000 {
            let lines = self.lines();
            if lines.len() >= count {
                return lines;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("only {} lines: {:#?}", self.lines().len(), self.lines());
    }

    /// The reasons in the first lines, sorted: a line is written when its request has ended, which is
    /// after the client has its answer and may be after the next line.
    pub(crate) async fn reasons(&self, count: usize) -> Vec<String> {
        let lines = self.wait(count).await;
        let reason = |line: &serde_json::Value| line["reason"].as_str().unwrap_or("?").to_owned();
        let mut reasons: Vec<String> = lines.iter().map(reason).collect();
        reasons.sort();
        reasons
    }
}

/// The limits of most tests: checks are off unless asked for.
pub(crate) fn config() -> Config {
    Config {
        http: vec!["127.0.0.1:0".parse().unwrap()],
        expose_site: ExposeSite::Yes,
        health_interval_ms: 3_600_000,
        limits: Limits { drain_grace_ms: 50, ..Limits::default() },
        ..Config::new(SiteName::new("test").unwrap())
    }
}

/// A gateway with these documents.
pub(crate) fn start(config: Config, objects: &GatewayObjects) -> World {
    let log = Log::default();
    let config = Config { access_log: AccessLog::To(Box::new(log.clone())), ..config };
    let gateway = Gateway::start(config, objects).unwrap();
    let http = gateway.http_addresses().first().copied();
    let http = http.unwrap_or_else(|| "127.0.0.1:1".parse().unwrap());
    World { gateway, http, log }
}

/// A world of one Service `hello` that every host's `/` goes to.
pub(crate) fn hello(endpoints: &[SocketAddr]) -> GatewayObjects {
    let mut objects = GatewayObjects::default();
    add_service(&mut objects, "hello", endpoints);
    objects.ingresses.insert(ingress("hello", None, PathMatch::Prefix("/".into()), "hello"));
    objects
}

pub(crate) fn meta(name: &str) -> Meta {
    Meta {
        object: ObjectRef::new("default", name),
        site: None,
        created_s: 0,
        generation: 0,
        origin: format!("test.yaml:{name}").into(),
    }
}

/// A Service of port 80 with one EndpointSlice per endpoint (they have ports of their own).
pub(crate) fn add_service(objects: &mut GatewayObjects, name: &str, endpoints: &[SocketAddr]) {
    objects.services.insert(Service {
        meta: meta(name),
        ports: vec![ServicePort {
            name: None,
            port: 80,
            app_protocol: None,
            ..ServicePort::default()
        }],
        ..Service::default()
    });
    for (at, address) in endpoints.iter().enumerate() {
        objects.endpoint_slices.insert(EndpointSlice {
            meta: meta(&format!("{name}-{at}")),
            service: ObjectRef::new("default", name),
            ports: vec![(None, address.port())],
            endpoints: vec![Endpoint {
                addresses: vec![address.ip()],
                ready: true,
                serving: true,
                terminating: false,
                zone: None,
                node: None,
                for_zones: Vec::new(),
                for_nodes: Vec::new(),
            }],
        });
    }
}

pub(crate) fn exact(host: &str) -> HostPattern {
    HostPattern::Exact(host.into())
}

pub(crate) fn suffix(host: &str) -> HostPattern {
    HostPattern::Suffix(host.into())
}

pub(crate) fn ingress(
    name: &str,
    host: Option<HostPattern>,
    path: PathMatch,
    service: &str,
) -> Ingress {
    Ingress {
        meta: meta(name),
        paths: vec![IngressPath { host, path, backend: backend(service) }],
        ..Ingress::default()
    }
}

pub(crate) fn backend(service: &str) -> IngressBackend {
    IngressBackend { service: ObjectRef::new("default", service), port: PortRef::Number(80) }
}

pub(crate) fn listener(
    name: &str,
    protocol: ListenerProtocol,
    hostname: Option<HostPattern>,
) -> Listener {
    Listener {
        name: name.into(),
        port: if protocol == ListenerProtocol::Http { 80 } else { 443 },
        protocol,
        hostname,
        tls: None,
        namespaces: NamespaceFilter::Same,
        kinds: Vec::new(),
    }
}

pub(crate) fn gateway(listeners: Vec<Listener>) -> model::gateway::Gateway {
    model::gateway::Gateway {
        meta: meta("edge"),
        class: "nearside".into(),
        listeners,
        ..model::gateway::Gateway::default()
    }
}

pub(crate) fn route(name: &str, hostnames: Vec<HostPattern>, rules: Vec<HttpRule>) -> HttpRoute {
    let parent = ParentRef {
        kind: ParentKind::Gateway,
        object: ObjectRef::new("default", "edge"),
        section: None,
        port: None,
    };
    HttpRoute { meta: meta(name), parents: vec![parent], hostnames, rules }
}

pub(crate) fn rule(prefix: &str, service: &str, filters: Vec<HttpFilter>) -> HttpRule {
    HttpRule {
        matches: vec![HttpMatch { path: PathMatch::Prefix(prefix.into()), ..HttpMatch::default() }],
        filters,
        backends: vec![RouteBackend::service(ObjectRef::new("default", service), 80, 1)],
        ..HttpRule::default()
    }
}

/// A world of one Gateway on HTTP with these rules, and Services of these names and endpoints.
pub(crate) fn routed(services: &[(&str, SocketAddr)], rules: Vec<HttpRule>) -> GatewayObjects {
    let mut objects = GatewayObjects::default();
    for (name, endpoint) in services {
        add_service(&mut objects, name, &[*endpoint]);
    }
    objects.gateways.insert(gateway(vec![listener("http", ListenerProtocol::Http, None)]));
    objects.http_routes.insert(route("r", vec![], rules));
    objects
}

/// A self-signed certificate for these names, as a Secret, with its DER for comparison.
pub(crate) fn secret(
    name: &str,
    hosts: &[&str],
) -> (Secret, rustls_pki_types::CertificateDer<'static>) {
    let names: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let key = made.signing_key.serialize_pem();
    let secret = Secret::tls(meta(name), made.cert.pem().as_bytes(), key.as_bytes());
    (secret, made.cert.der().clone())
}

pub(crate) fn ingress_tls(hosts: Vec<HostPattern>, secret: &str) -> IngressTls {
    IngressTls { hosts, secret: ObjectRef::new("default", secret) }
}
