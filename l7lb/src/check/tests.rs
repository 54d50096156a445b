//! Which endpoints are connected to.

use model::gateway::{Endpoint as Told, EndpointSlice, GatewayObjects, Meta, Service, ServicePort};
use model::name::ObjectRef;

use super::*;

fn meta(name: &str) -> Meta {
    let object = ObjectRef::new("ns", name);
    Meta { object, site: None, created_s: 0, generation: 0, origin: "t.yaml:1".into() }
}

/// A Service whose ports lead to the same numbers of one address.
fn add(objects: &mut GatewayObjects, name: &str, ip: &str, ports: &[(&str, u16, Transport)]) {
    let port = |&(name, port, transport): &(&str, u16, Transport)| ServicePort {
        name: Some(name.into()),
        port,
        transport,
        ..ServicePort::default()
    };
    let all = ports.iter().map(port).collect();
    objects.services.insert(Service { meta: meta(name), ports: all, ..Service::default() });
    let endpoint = Told {
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
        meta: meta(&format!("{name}-1")),
        service: ObjectRef::new("ns", name),
        ports: ports.iter().map(|(name, port, _)| (Some((*name).into()), *port)).collect(),
        endpoints: vec![endpoint],
    });
}

#[test]
fn endpoints_of_udp_ports_alone_are_left_out() {
    let mut objects = GatewayObjects::default();
    add(&mut objects, "web", "127.0.9.1", &[("http", 80, Transport::Tcp)]);
    add(&mut objects, "media", "127.0.9.2", &[("rtp", 5004, Transport::Udp)]);
    let both = [("dns", 53, Transport::Udp), ("dns-tcp", 53, Transport::Tcp)];
    add(&mut objects, "names", "127.0.9.3", &both);
    let (view, _) = GatewayView::compile(&objects, &GatewayView::default());
    assert_eq!(view.endpoints.len(), 3);
    let left_out: Vec<SocketAddr> = of_datagrams(&view).into_iter().collect();
    assert_eq!(left_out, ["127.0.9.2:5004".parse().unwrap()]);
}
