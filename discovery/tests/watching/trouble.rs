//! What servers and links do to a watch.

use kubesim::Faults;

use crate::world::{World, gateway, service, services};

#[tokio::test]
async fn an_expired_watch_lists_again_and_notices_deletions() {
    let world = World::start().await;
    world.put(&service("web", 80));
    world.put(&service("db", 80));
    let watched = world.watch().await;
    watched.until_complete().await;
    world.sim.close().await;
    world.sim.delete(&service("db", 80)).expect("deleted");
    world.put(&service("new", 80));
    world.sim.compact();
    world.sim.reopen().await.expect("it listens again");
    watched.until_services(&[("new", 80), ("web", 80)]).await;
}

#[tokio::test]
async fn a_restarted_server_is_resumed_without_a_list() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let watched = world.watch().await;
    watched.until_complete().await;
    let seen = world.sim.requests().len();
    world.sim.restart();
    world.put(&service("web", 81));
    watched.until_services(&[("web", 81)]).await;
    assert_eq!(world.requests(seen, "GET /api/v1/services?watch=true&allowWatchBookmarks=true&timeoutSeconds=1&sendInitialEvents"), 0);
    assert_eq!(world.requests(seen, "GET /api/v1/services?limit=500"), 0);
}

#[tokio::test]
async fn a_stream_that_breaks_in_the_middle_of_a_line_loses_nothing() {
    let world = World::start().await;
    let watched = world.watch().await;
    watched.until_complete().await;
    world.sim.set_faults(Faults { cut_watch_after: Some(2), ..Faults::default() });
    for port in 1..=12 {
        world.put(&service(&format!("s{port:02}"), port));
    }
    watched.until(|picture| services(picture).len() == 12).await;
}

#[tokio::test]
async fn a_link_that_falls_silent_is_noticed() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let watched = world.watch().await;
    watched.until_complete().await;
    // The sockets stay, nothing comes: the first watch must be given up by the client's own clock.
    world.sim.set_faults(Faults { silent: true, ..Faults::default() });
    world.put(&service("web", 81));
    let seen = world.sim.requests().len();
    while world.requests(seen, "GET /api/v1/services?watch") == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    world.sim.set_faults(Faults::default());
    watched.until_services(&[("web", 81)]).await;
}

#[tokio::test]
async fn a_busy_server_is_asked_later_and_everything_stays() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let watched = world.watch().await;
    watched.until_complete().await;
    let faults =
        Faults { refuse_next: 40, refuse_code: 429, retry_after_s: Some(1), ..Faults::default() };
    world.sim.set_faults(faults);
    world.sim.restart();
    world.put(&service("web", 81));
    let picture = watched.until_services(&[("web", 81)]).await;
    assert_eq!(picture.objects.namespaces.len(), 2, "nothing else went away");
}

#[tokio::test]
async fn a_store_restored_to_an_older_state_is_believed_after_a_while() {
    let world = World::start().await;
    world.put(&service("web", 80));
    let backup = world.sim.checkpoint();
    world.put(&service("web", 81));
    world.put(&service("new", 80));
    let watched = world.watch().await;
    watched.until_complete().await;
    watched.until_services(&[("new", 80), ("web", 81)]).await;
    world.sim.restore(backup);
    // The version of before comes again with another content.
    world.put(&service("other", 7));
    watched.until_services(&[("other", 7), ("web", 80)]).await;
    world.put(&service("web", 82));
    watched.until_services(&[("other", 7), ("web", 82)]).await;
}

#[tokio::test]
async fn a_kind_that_vanishes_for_a_moment_keeps_its_objects() {
    let world = World::start().await;
    world.put(&gateway("edge"));
    let watched = world.watch().await;
    watched.until_complete().await;
    // As a server does that has not read its CRDs yet.
    world.sim.set_faults(Faults { refuse_next: 60, refuse_code: 404, ..Faults::default() });
    world.sim.restart();
    world.put(&gateway("second"));
    let picture = watched.until(|picture| picture.objects.gateways.len() != 1).await;
    assert_eq!(picture.objects.gateways.len(), 2, "it never had none");
}
