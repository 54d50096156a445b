//! Three endpoints, two zones, and every way to prefer one.

use super::*;

/// On n1 and n2 of zone za, and on n3 of zone zb.
fn endpoints() -> [Endpoint; 3] {
    [("n1", "za"), ("n2", "za"), ("n3", "zb")].map(|(node, zone)| Endpoint {
        addresses: Vec::new(),
        ready: true,
        serving: true,
        terminating: false,
        zone: Some(zone.into()),
        node: Some(node.into()),
        for_zones: Vec::new(),
        for_nodes: Vec::new(),
    })
}

fn here(node: &str, zone: &str) -> Locality {
    let known = |text: &str| (!text.is_empty()).then(|| Arc::from(text));
    Locality { node: known(node), zone: known(zone) }
}

/// The nodes that are near, then the others.
fn check(service: &Service, here: &Locality, endpoints: &[Endpoint]) -> String {
    let named = |one| -> (&Endpoint, String) {
        let endpoint: &Endpoint = one;
        (endpoint, endpoint.node.as_deref().unwrap_or_default().to_owned())
    };
    let (order, near) = nearest_first(service, here, endpoints.iter().map(named).collect());
    format!("{} | {}", order[..near].join(" "), order[near..].join(" "))
}

fn distributed(distribution: &str) -> Service {
    Service { distribution: Some(distribution.into()), ..Service::default() }
}

fn keyed(keys: &[&str]) -> Service {
    let topology_keys = keys.iter().map(|key| Arc::from(*key)).collect();
    Service { topology_keys, ..Service::default() }
}

#[test]
fn without_a_wish_all_are_near() {
    let plain = Service::default();
    assert_eq!(check(&plain, &here("n1", "za"), &endpoints()), "n1 n2 n3 | ");
    assert_eq!(check(&plain, &here("n1", "za"), &[]), " | ");
}

#[test]
fn local_means_this_node_and_fails_open() {
    let local = Service { is_local: true, ..Service::default() };
    assert_eq!(check(&local, &here("n2", "za"), &endpoints()), "n2 | n1 n3");
    assert_eq!(check(&local, &here("n9", "za"), &endpoints()), "n1 n2 n3 | ");
    assert_eq!(check(&local, &here("", ""), &endpoints()), "n1 n2 n3 | ");
    // Failing open means the next wish, not none.
    let local = Service { is_local: true, ..distributed("PreferClose") };
    assert_eq!(check(&local, &here("n9", "zb"), &endpoints()), "n3 | n1 n2");
}

#[test]
fn distribution_is_followed_where_nobody_made_hints() {
    for zone in ["PreferClose", "PreferSameZone", "Auto"] {
        let service = distributed(zone);
        assert_eq!(check(&service, &here("n1", "za"), &endpoints()), "n1 n2 | n3");
        assert_eq!(check(&service, &here("n1", "zz"), &endpoints()), "n1 n2 n3 | ");
    }
    let service = distributed("PreferSameNode");
    assert_eq!(check(&service, &here("n1", "za"), &endpoints()), "n1 | n2 n3");
    assert_eq!(check(&service, &here("n9", "za"), &endpoints()), "n1 n2 | n3");
    assert_eq!(check(&distributed("Disabled"), &here("n1", "za"), &endpoints()), "n1 n2 n3 | ");
}

#[test]
fn hints_go_before_distribution_when_they_are_complete() {
    let mut hinted = endpoints();
    for (one, zone) in hinted.iter_mut().zip(["za", "zb", "zb"]) {
        one.for_zones = vec![zone.into()];
    }
    let service = distributed("PreferClose");
    assert_eq!(check(&service, &here("n1", "zb"), &hinted), "n2 n3 | n1");
    assert_eq!(check(&service, &here("n1", "zz"), &hinted), "n1 n2 n3 | ");
    hinted[0].for_nodes = vec!["n1".into()];
    assert_eq!(check(&service, &here("n1", "zb"), &hinted), "n2 n3 | n1");
    hinted[1].for_nodes = vec!["n2".into()];
    hinted[2].for_nodes = vec!["n3".into()];
    assert_eq!(check(&service, &here("n1", "zb"), &hinted), "n1 | n2 n3");
    assert_eq!(check(&service, &here("n9", "zb"), &hinted), "n2 n3 | n1");
    // One without a hint: the controller is not done, and all are used.
    hinted[1].for_zones.clear();
    hinted[1].for_nodes.clear();
    assert_eq!(check(&service, &here("n1", "za"), &hinted), "n1 n2 n3 | ");
}

#[test]
fn topology_keys_are_tried_in_order() {
    let keys = ["kubernetes.io/hostname", "topology.kubernetes.io/zone", "*"];
    assert_eq!(check(&keyed(&keys), &here("n1", "za"), &endpoints()), "n1 | n2 n3");
    assert_eq!(check(&keyed(&keys), &here("n9", "zb"), &endpoints()), "n3 | n1 n2");
    assert_eq!(check(&keyed(&keys), &here("n9", "zz"), &endpoints()), "n1 n2 n3 | ");
    // What stands behind `*` is never reached, and unknown labels are passed over.
    let keys = ["*", "kubernetes.io/hostname"];
    assert_eq!(check(&keyed(&keys), &here("n1", "za"), &endpoints()), "n1 n2 n3 | ");
    let keys = ["example.com/rack", "zone"];
    assert_eq!(check(&keyed(&keys), &here("n1", "zb"), &endpoints()), "n3 | n1 n2");
}
