//! Clusters out of Services and EndpointSlices; and that a view which keeps what is the same is the
//! view that is compiled from nothing (`edits`).

mod edits;

use model::gateway::{Endpoint as EndpointDocument, EndpointSlice, Meta, Service, ServicePort};

use model::name::ObjectRef;

use super::*;
use crate::topology::Locality;

fn meta(name: &str) -> Meta {
    let object = ObjectRef::new("ns", name);
    Meta { object, site: None, created_s: 0, generation: 0, origin: "t.yaml:1".into() }
}

fn service(name: &str, ports: &[(Option<&str>, u16)]) -> Service {
    let port = |(name, port): &(Option<&str>, u16)| ServicePort {
        name: name.map(Into::into),
        port: *port,
        app_protocol: None,
        ..ServicePort::default()
    };
    Service { meta: meta(name), ports: ports.iter().map(port).collect(), ..Service::default() }
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    Leaving,
    Unready,
}

fn slice(service: &str, port: (Option<&str>, u16), endpoints: &[(&str, State)]) -> EndpointSlice {
    let endpoint = |(ip, state): &(&str, State)| EndpointDocument {
        addresses: vec![ip.parse().unwrap()],
        ready: matches!(state, State::Ready),
        serving: !matches!(state, State::Unready),
        terminating: matches!(state, State::Leaving),
        zone: None,
        node: None,
        for_zones: Vec::new(),
        for_nodes: Vec::new(),
    };
    EndpointSlice {
        meta: meta(&format!("{service}-slice")),
        service: ObjectRef::new("ns", service),
        ports: vec![(port.0.map(Into::into), port.1)],
        endpoints: endpoints.iter().map(endpoint).collect(),
    }
}

fn check(objects: &GatewayObjects) -> Vec<(u16, Vec<String>, u32)> {
    let (view, _) = GatewayView::compile(objects, &GatewayView::default());
    let clusters = view.clusters.iter();
    let shown = clusters.map(|cluster| {
        let addresses = cluster.endpoints.iter().map(|one| one.address.to_string());
        (cluster.backend.port, addresses.collect(), cluster.total)
    });
    shown.collect()
}

fn addresses(list: &[&str]) -> Vec<String> {
    list.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn ports_meet_by_name_and_slices_are_joined() {
    let objects = GatewayObjects {
        services: [service("a", &[(Some("http"), 80), (Some("admin"), 90)])].into(),
        endpoint_slices: [
            slice("a", (Some("http"), 8080), &[("10.0.0.1", State::Ready)]),
            slice(
                "a",
                (Some("http"), 8080),
                &[("10.0.0.2", State::Ready), ("10.0.0.1", State::Ready)],
            ),
            slice("b", (Some("http"), 8080), &[("10.0.0.9", State::Ready)]),
        ]
        .into(),
        ..GatewayObjects::default()
    };
    let expected =
        [(80, addresses(&["10.0.0.2:8080", "10.0.0.1:8080"]), 2), (90, addresses(&[]), 0)];
    assert_eq!(check(&objects), expected);
}

#[test]
fn terminating_endpoints_serve_when_no_other_does() {
    let with = |endpoints: &[(&str, State)]| GatewayObjects {
        services: [service("a", &[(None, 80)])].into(),
        endpoint_slices: [slice("a", (None, 8080), endpoints)].into(),
        ..GatewayObjects::default()
    };
    let leaving = ("10.0.0.1", State::Leaving);
    let unready = ("10.0.0.2", State::Unready);
    let ready = ("10.0.0.3", State::Ready);
    assert_eq!(check(&with(&[leaving, unready])), [(80, addresses(&["10.0.0.1:8080"]), 2)]);
    assert_eq!(check(&with(&[leaving, unready, ready])), [(80, addresses(&["10.0.0.3:8080"]), 3)]);
    assert_eq!(check(&with(&[unready])), [(80, addresses(&[]), 1)]);
}

#[test]
fn endpoints_keep_their_counters_over_a_reload() {
    let objects = GatewayObjects {
        services: [service("a", &[(None, 80)]), service("b", &[(None, 80)])].into(),
        endpoint_slices: [
            slice("a", (None, 8080), &[("10.0.0.1", State::Ready)]),
            slice("b", (None, 8080), &[("10.0.0.1", State::Ready)]),
        ]
        .into(),
        ..GatewayObjects::default()
    };
    let (first, _) = GatewayView::compile(&objects, &GatewayView::default());
    let (second, _) = GatewayView::compile(&objects, &first);
    let kept = Arc::ptr_eq(
        &first.clusters.get(0).unwrap().endpoints[0],
        &second.clusters.get(1).unwrap().endpoints[0],
    );
    assert!(kept, "one address is one endpoint, in every cluster and every view");
    let (third, _) = GatewayView::compile(&GatewayObjects::default(), &second);
    assert!(third.endpoints.is_empty());
}

#[test]
fn near_endpoints_are_chosen_while_one_of_them_is_healthy() {
    let mut local = service("a", &[(None, 80)]);
    local.is_local = true;
    let mut slice =
        slice("a", (None, 8080), &[("10.0.0.1", State::Ready), ("10.0.0.2", State::Ready)]);
    slice.endpoints[1].node = Some("here".into());
    let objects = GatewayObjects {
        services: vec![local].into(),
        endpoint_slices: vec![slice].into(),
        ..GatewayObjects::default()
    };
    let here = Locality { node: Some("here".into()), zone: None };
    let before = GatewayView { kept: Arc::new(Kept::at(here)), ..GatewayView::default() };
    let (view, _) = GatewayView::compile(&objects, &before);
    let cluster = view.clusters.get(0).unwrap();
    assert_eq!(cluster.near, 1);
    let picked = |tried: &[SocketAddr]| {
        let all = (0..20_u64).map(|at| at.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let picked = all.map(|random| cluster.pick(tried, 1, random).unwrap().address.to_string());
        picked.collect::<HashSet<_>>()
    };
    assert_eq!(picked(&[]), HashSet::from(["10.0.0.2:8080".to_owned()]));
    let near = cluster.endpoints[0].address;
    assert_eq!(picked(&[near]), HashSet::from(["10.0.0.1:8080".to_owned()]));
    for _ in 0..20 {
        cluster.endpoints[0].checked(crate::endpoint::Connected::No);
    }
    assert_eq!(picked(&[]), HashSet::from(["10.0.0.1:8080".to_owned()]));
}
