//! The state and every change of it, on servers of several ages.

use discovery::Known;
use kubesim::{Faults, InitialEvents, Options};
use model::gateway::ObjectKind;
use serde_json::json;

use crate::world::{World, gateway, route, service, services};

#[tokio::test]
async fn every_change_arrives() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let watched = world.watch().await;
    let picture = watched.until_complete().await;
    assert_eq!(services(&picture), [("web".to_owned(), 80)]);
    world.put(&service("web", 81));
    watched.until_services(&[("web", 81)]).await;
    world.put(&service("db", 5432));
    watched.until_services(&[("db", 5432), ("web", 81)]).await;
    world.sim.delete(&service("web", 81)).expect("deleted");
    watched.until_services(&[("db", 5432)]).await;
}

#[tokio::test]
async fn every_kind_is_read() {
    let world = World::start().await;
    world.put(&gateway("edge"));
    world.put(&route("r", "a.test"));
    let slice = json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "web-1", "namespace": "default", "labels": {"kubernetes.io/service-name": "web"}},
        "ports": [{"port": 8080}], "endpoints": [{"addresses": ["192.0.2.1"], "targetRef": {"kind": "Pod"}}],
    });
    world.put(&slice);
    let data = json!({"tls.crt": "YQ==", "tls.key": "YQ=="});
    world.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "data": data,
        "metadata": {"name": "cert", "namespace": "default"},
    }));
    world.put(&json!({
        "apiVersion": "v1", "kind": "Secret", "type": "Opaque", "data": {"password": "YQ=="},
        "metadata": {"name": "other", "namespace": "default"},
    }));
    let watched = world.watch().await;
    let objects = watched.until_complete().await.objects;
    let counts = [objects.gateways.len(), objects.http_routes.len(), objects.endpoint_slices.len()];
    assert_eq!(counts, [1, 1, 1]);
    assert_eq!(objects.namespaces.len(), 2);
    let secrets: Vec<&str> = objects.secrets.iter().map(|one| &*one.meta.object.name).collect();
    assert_eq!(secrets, ["cert"], "a secret that no gateway uses is not held");
}

#[tokio::test]
async fn kinds_without_a_crd_are_complete_and_are_watched_when_they_appear() {
    let world = World::bare(Options::default()).await;
    let watched = world.watch().await;
    let picture = watched.until_complete().await;
    let known = |kind| picture.kinds.iter().find(|(of, _)| *of == kind).map(|(_, known)| *known);
    assert_eq!(known(ObjectKind::HttpRoute), Some(Known::Without));
    assert_eq!(known(ObjectKind::Service), Some(Known::Live));
    world.sim.install_gateway_api().expect("installed");
    world.put(&route("r", "a.test"));
    watched.until(|picture| picture.objects.http_routes.len() == 1).await;
}

#[tokio::test]
async fn servers_that_cannot_stream_a_list_are_asked_for_pages() {
    for initial_events in [InitialEvents::Forbid, InitialEvents::Fail] {
        let world = World::start().await;
        world.sim.set_faults(Faults { initial_events, ..Faults::default() });
        world.put(&service("web", 80));
        let watched = world.watch().await;
        let picture = watched.until_complete().await;
        assert_eq!(services(&picture), [("web".to_owned(), 80)], "{initial_events:?}");
        assert!(world.requests(0, "GET /api/v1/services?limit=500") > 0);
        world.put(&service("web", 81));
        watched.until_services(&[("web", 81)]).await;
    }
}

#[tokio::test]
async fn one_bad_object_is_put_aside_and_stops_no_other() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let watched = world.watch().await;
    watched.until_complete().await;
    let mut bad = service("web", 80);
    bad["spec"]["ports"] = json!([{"port": 70_000}]);
    world.put(&bad);
    let picture = watched.until(|picture| !picture.quarantined.is_empty()).await;
    assert_eq!(services(&picture), [("web".to_owned(), 80)], "the last good one stays");
    let one = &picture.quarantined[0];
    assert_eq!((one.kind, &*one.object.name), (ObjectKind::Service, "web"));
    assert!(one.message.contains("ports"), "{}", one.message);
    world.put(&service("db", 5432));
    watched.until_services(&[("db", 5432), ("web", 80)]).await;
    world.put(&service("web", 82));
    let picture = watched.until_services(&[("db", 5432), ("web", 82)]).await;
    assert!(picture.quarantined.is_empty());
}
