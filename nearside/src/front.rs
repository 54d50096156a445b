//! HTTPDNS behind the gateways: the objects by which they route a hostname to it, as documents
//! would have them. DNS and gateway do not know of each other; this is all that joins them.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use model::DnsName;
use model::gateway::{
    Endpoint, EndpointSlice, GatewayObjects, HostPattern, Ingress, IngressBackend, IngressPath,
    Meta, PathMatch, PortRef, Service, ServicePort, Transport,
};
use model::name::ObjectRef;

/// Where the objects live: no document may be in it by accident, as `:` is in no namespace's name.
const NAMESPACE: &str = "nearside:";
const NAME: &str = "httpdns";

/// A hostname of the gateways that HTTPDNS answers.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    host: Arc<str>,
    at: SocketAddr,
}

impl Front {
    /// Routes `host` to HTTPDNS at `at`.
    pub(crate) fn new(host: &str, at: SocketAddr) -> anyhow::Result<Self> {
        let name = DnsName::parse(host)
            .with_context(|| format!("`{host}`, of --httpdns-host, is not a domain name"))?;
        if host.starts_with('*') {
            bail!("`{host}`, of --httpdns-host, is a wildcard\n  help: name one host");
        }
        let host = name.to_string().trim_end_matches('.').to_ascii_lowercase();
        Ok(Self { host: host.into(), at })
    }

    /// The documents' objects with the route.
    pub(crate) fn add(&self, objects: &GatewayObjects) -> GatewayObjects {
        let object = ObjectRef::new(NAMESPACE, NAME);
        let meta =
            Meta { object: object.clone(), origin: "--httpdns-host".into(), ..Meta::default() };
        let port = self.at.port();
        let backend = IngressBackend { service: object.clone(), port: PortRef::Number(port) };
        let path = IngressPath {
            host: Some(HostPattern::Exact(Arc::clone(&self.host))),
            path: PathMatch::Prefix("/".into()),
            backend,
        };
        let mut all = objects.clone();
        all.ingresses.insert(Ingress {
            meta: meta.clone(),
            paths: vec![path],
            ..Ingress::default()
        });
        let service_port =
            ServicePort { name: None, port, transport: Transport::Tcp, app_protocol: None };
        all.services.insert(Service {
            meta: meta.clone(),
            ports: vec![service_port],
            ..Service::default()
        });
        let endpoint = Endpoint {
            addresses: vec![self.at.ip()],
            ready: true,
            serving: true,
            terminating: false,
            zone: None,
            node: None,
            for_zones: Vec::new(),
            for_nodes: Vec::new(),
        };
        let (ports, endpoints) = (vec![(None, port)], vec![endpoint]);
        all.endpoint_slices.insert(EndpointSlice { meta, service: object, ports, endpoints });
        all
    }
}
