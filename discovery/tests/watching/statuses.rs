//! Statuses: written by one, on change only, without touching what is others'.

use std::time::Duration;

use discovery::ObjectStatus;
use model::gateway::GATEWAY_CONTROLLER;
use model::gateway::ObjectKind;
use model::name::ObjectRef;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::world::{World, gateway, route};

const ROUTE: &str = "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/r";

fn parent(controller: &str, accepted: &str) -> Value {
    json!({
        "parentRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"},
        "controllerName": controller,
        "conditions": [{
            "type": "Accepted", "status": accepted, "reason": "Accepted", "message": "", "observedGeneration": 1,
        }],
    })
}

fn wanted(accepted: &str) -> Vec<ObjectStatus> {
    vec![ObjectStatus {
        kind: ObjectKind::HttpRoute,
        object: ObjectRef::new("default", "r"),
        status: json!({"parents": [parent(GATEWAY_CONTROLLER, accepted)]}).into(),
    }]
}

/// Waits until the route's status is as wanted.
async fn until(world: &World, holds: impl Fn(&Value) -> bool) -> Value {
    let read = async {
        loop {
            let object = world.sim.call("GET", ROUTE, &Value::Null).1;
            if holds(&object["status"]) {
                return object;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), read).await.expect("it comes to that")
}

fn accepted(status: &Value, controller: &str) -> Option<String> {
    let parents = status["parents"].as_array()?;
    let own = parents.iter().find(|one| one["controllerName"] == controller)?;
    own["conditions"][0]["status"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_status_is_written_once_and_again_only_on_change() {
    let world = World::start().await;
    world.put(&route("r", "a.test"));
    let watched = world.watch().await;
    watched.until_complete().await;
    watched.0.want_statuses(wanted("True"), Vec::new());
    let ours = |value: &'static str| {
        move |status: &Value| accepted(status, GATEWAY_CONTROLLER).as_deref() == Some(value)
    };
    let written = until(&world, ours("True")).await;
    let condition = &written["status"]["parents"][0]["conditions"][0];
    assert!(condition["lastTransitionTime"].is_string());
    let fields = written["metadata"]["managedFields"].as_array().expect("managers");
    assert!(
        fields.iter().any(|one| one["manager"] == "nearside" && one["subresource"] == "status")
    );
    assert_eq!(written["metadata"]["generation"], 1);

    for _ in 0..3 {
        watched.0.want_statuses(wanted("True"), Vec::new());
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let writes = || world.requests(0, &format!("PATCH {ROUTE}/status"));
    assert_eq!(writes(), 1, "the same again is no news");
    watched.0.want_statuses(wanted("False"), Vec::new());
    until(&world, ours("False")).await;
    assert_eq!(writes(), 2);
}

#[tokio::test]
async fn another_controllers_entry_stays_and_ours_comes_back() {
    let world = World::start().await;
    world.put(&route("r", "a.test"));
    let mut other = parent("other.example/controller", "False");
    other["conditions"][0]["lastTransitionTime"] = "2020-01-01T00:00:00Z".into();
    let status = json!({"status": {"parents": [other]}});
    assert_eq!(world.sim.call("PATCH", &format!("{ROUTE}/status"), &status).0, 200);
    let watched = world.watch().await;
    watched.until_complete().await;
    watched.0.want_statuses(wanted("True"), Vec::new());
    let both = |status: &Value| {
        accepted(status, GATEWAY_CONTROLLER).is_some()
            && accepted(status, "other.example/controller").is_some()
    };
    until(&world, both).await;
    // A controller that does not keep others' entries throws ours away.
    assert_eq!(world.sim.call("PATCH", &format!("{ROUTE}/status"), &status).0, 200);
    until(&world, both).await;
}

#[tokio::test]
async fn of_two_gateways_one_writes_and_the_other_takes_over() {
    let world = World::start().await;
    world.put(&route("r", "a.test"));
    let (first, second) = (world.watch_as("first").await, world.watch_as("second").await);
    for one in [&first, &second] {
        one.until_complete().await;
        one.0.want_statuses(wanted("True"), Vec::new());
    }
    until(&world, |status| accepted(status, GATEWAY_CONTROLLER).is_some()).await;
    assert_eq!(world.requests(0, &format!("PATCH {ROUTE}/status")), 1);
    let lease = "/apis/coordination.k8s.io/v1/namespaces/default/leases/nearside-status";
    let holder =
        || world.sim.call("GET", lease, &Value::Null).1["spec"]["holderIdentity"].to_string();
    let before = holder();
    let renewed = world.sim.call("GET", lease, &Value::Null).1["spec"]["renewTime"].to_string();
    assert_eq!((renewed.len(), &renewed[20..21]), (29, "."), "a time with microseconds: {renewed}");
    let (first, second) =
        if holder().contains("first") { (first, second) } else { (second, first) };
    first.0.shutdown().await;
    assert_eq!(holder(), "null", "who stops gives it back: {before}");
    second.0.want_statuses(wanted("False"), Vec::new());
    until(&world, |status| accepted(status, GATEWAY_CONTROLLER).as_deref() == Some("False")).await;
    assert!(![String::new(), before].contains(&holder()));
}

#[tokio::test]
async fn an_object_that_cannot_be_read_says_so() {
    let world = World::start().await;
    world.put(&gateway("edge"));
    world.put(&route("r", "a.test"));
    let watched = world.watch().await;
    watched.until_complete().await;
    let mut statuses = wanted("True");
    statuses.push(ObjectStatus {
        kind: ObjectKind::Gateway,
        object: ObjectRef::new("default", "edge"),
        status: json!({"conditions": []}).into(),
    });
    watched.0.want_statuses(statuses, Vec::new());
    let ours = |value: &'static str| {
        move |status: &Value| accepted(status, GATEWAY_CONTROLLER).as_deref() == Some(value)
    };
    until(&world, ours("True")).await;
    // The CRD's pattern would refuse it; the stand-in does not evaluate patterns.
    let mut bad = route("r", "*.*.bad..host");
    world.put(&bad);
    let said = until(&world, ours("False")).await;
    let condition = &said["status"]["parents"][0]["conditions"][0];
    assert_eq!(condition["observedGeneration"], said["metadata"]["generation"]);
    assert!(
        condition["message"].as_str().is_some_and(|text| text.contains("hostnames")),
        "{condition}"
    );
    bad["spec"]["hostnames"] = json!(["b.test"]);
    world.put(&bad);
    until(&world, ours("True")).await;
}
