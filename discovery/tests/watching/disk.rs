//! Restarts, with and without the server.

use std::time::Duration;

use discovery::{Completeness, Known};
use model::gateway::ObjectKind;

use crate::world::{World, route, service, services};

#[tokio::test]
async fn a_restart_without_the_server_serves_from_disk_at_once() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let watched = world.watch_and_keep().await;
    watched.until_complete().await;
    world.put(&service("web", 81));
    watched.until_services(&[("web", 81)]).await;
    watched.0.shutdown().await;
    world.sim.close().await;

    let watched = world.watch_and_keep().await;
    let picture = watched.0.pictures().borrow().clone();
    assert_eq!(picture.complete, Completeness::Complete, "without asking anybody");
    assert_eq!(services(&picture), [("web".to_owned(), 81)]);
    let known = picture.kinds.iter().find(|(kind, _)| *kind == ObjectKind::Service);
    assert_eq!(known, Some(&(ObjectKind::Service, Known::FromDisk)));

    world.put(&service("web", 82));
    world.sim.reopen().await.expect("it listens again");
    watched.until_services(&[("web", 82)]).await;
}

#[tokio::test]
async fn a_restart_resumes_its_watches() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let watched = world.watch_and_keep().await;
    watched.until_complete().await;
    watched.0.shutdown().await;
    world.put(&service("web", 81));
    let seen = world.sim.requests().len();
    let watched = world.watch_and_keep().await;
    watched.until_services(&[("web", 81)]).await;
    let lists =
        world.requests(seen, "sendInitialEvents=true") - world.requests(seen, "httppolicies");
    assert_eq!(lists, 0, "only the kind that the server does not have is asked for anew");
}

#[tokio::test]
async fn a_start_without_server_and_disk_is_not_complete() {
    let world = World::start().await;
    world.sim.close().await;
    let watched = world.watch_and_keep().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(watched.0.pictures().borrow().complete, Completeness::Partial);
    world.sim.reopen().await.expect("it listens again");
    watched.until_complete().await;
}

#[tokio::test]
async fn a_thousand_routes_come_back_from_disk() {
    let world = World::start().await;
    for number in 0..1_000 {
        world.put(&route(&format!("r{number}"), &format!("h{number}.test")));
    }
    let watched = world.watch_and_keep().await;
    watched.until_complete().await;
    watched.0.shutdown().await;
    world.sim.close().await;
    let watched = world.watch_and_keep().await;
    let picture = watched.0.pictures().borrow().clone();
    assert_eq!(picture.objects.http_routes.len(), 1_000);
    assert_eq!(picture.complete, Completeness::Complete);
}
