//! Writes: conflicts, ownership, the status apart, deletion.

use serde_json::{Value, json};

use crate::server::{Server, config_map, version};

fn ingress(host: &str) -> Value {
    let backend = json!({"service": {"name": "s", "port": {"number": 80}}});
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
        "spec": {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]},
    })
}

#[tokio::test]
async fn a_stale_replacement_conflicts() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    let made = server.send("POST", &path, &config_map("a", "1")).await.body;
    let mut next = made.clone();
    next["data"]["k"] = "2".into();
    assert_eq!(server.send("PUT", &format!("{path}/a"), &next).await.code, 200);
    let refused = server.send("PUT", &format!("{path}/a"), &next).await;
    assert_eq!((refused.code, &refused.body["reason"]), (409, &json!("Conflict")));
    let again = server.send("POST", &path, &config_map("a", "1")).await;
    assert_eq!((again.code, &again.body["reason"]), (409, &json!("AlreadyExists")));
    server.end().await;
}

#[tokio::test]
async fn of_two_candidates_for_a_lease_one_wins() {
    let server = Server::start().await;
    let path = server.group("coordination.k8s.io", "leases");
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"},
        "spec": {"holderIdentity": "x", "leaseDurationSeconds": 15, "renewTime": "2020-01-01T00:00:00.000000Z"},
    });
    let held = server.send("POST", &path, &lease).await.body;
    let candidate = |name: &str| {
        let mut mine = held.clone();
        mine["spec"]["holderIdentity"] = name.into();
        mine
    };
    let (path_a, a, b) = (format!("{path}/l"), candidate("a"), candidate("b"));
    let (a, b) = tokio::join!(server.send("PUT", &path_a, &a), server.send("PUT", &path_a, &b));
    let mut codes = [a.code, b.code];
    codes.sort_unstable();
    assert_eq!(codes, [200, 409]);
    server.end().await;
}

#[tokio::test]
async fn an_apply_over_another_managers_field_conflicts_until_forced() {
    let server = Server::start().await;
    let path = server.core("configmaps/a");
    let applied = |value: &str| config_map("a", value);
    let by = |manager: &str, more: &str| format!("{path}?fieldManager={manager}{more}");
    let made = server.patch("apply-patch+yaml", &by("one", ""), &applied("1")).await;
    assert_eq!(made.code, 201);
    let refused = server.patch("apply-patch+yaml", &by("two", ""), &applied("2")).await;
    assert_eq!((refused.code, &refused.body["reason"]), (409, &json!("Conflict")));
    let cause = &refused.body["details"]["causes"][0];
    assert_eq!(
        (&cause["reason"], &cause["field"]),
        (&json!("FieldManagerConflict"), &json!(".data.k"))
    );
    let same = server.patch("apply-patch+yaml", &by("one", ""), &applied("1")).await;
    assert_eq!(version(&same.body), version(&made.body), "no change, no new version");
    let forced = server.patch("apply-patch+yaml", &by("two", "&force=true"), &applied("2")).await;
    assert_eq!((forced.code, &forced.body["data"]["k"]), (200, &json!("2")));
    let managers: Vec<&Value> = forced.body["metadata"]["managedFields"]
        .as_array()
        .expect("managers")
        .iter()
        .map(|one| &one["manager"])
        .collect();
    assert_eq!(managers, ["two"]);
    let nobody = server.patch("apply-patch+yaml", &path, &applied("3")).await;
    assert_eq!(nobody.code, 400, "an apply has a manager");
    server.end().await;
}

#[tokio::test]
async fn status_and_the_rest_are_written_apart() {
    let server = Server::start().await;
    let path = server.group("networking.k8s.io", "ingresses");
    let made = server.send("POST", &path, &ingress("a.test")).await;
    assert_eq!((made.code, &made.body["metadata"]["generation"]), (201, &json!(1)));
    let status = json!({"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}});

    let ignored = server.patch("merge-patch+json", &format!("{path}/i"), &status).await;
    assert_eq!(ignored.code, 200, "silently");
    assert!(ignored.body["status"]["loadBalancer"]["ingress"].is_null());

    let mut both = status.clone();
    both["spec"] = json!({"rules": [{"host": "b.test"}]});
    let written = server.patch("merge-patch+json", &format!("{path}/i/status"), &both).await;
    assert_eq!(written.code, 200);
    assert_eq!(written.body["status"], status["status"]);
    assert_eq!(written.body["spec"]["rules"][0]["host"], "a.test", "the spec is not the status's");
    assert_eq!(written.body["metadata"]["generation"], 1, "nor does the generation move");

    let host = json!([{"op": "replace", "path": "/spec/rules/0/host", "value": "c.test"}]);
    let moved = server.patch("json-patch+json", &format!("{path}/i"), &host).await;
    assert_eq!(moved.body["metadata"]["generation"], 2);
    assert_eq!(moved.body["status"], status["status"], "the status stays");
    server.end().await;
}

#[tokio::test]
async fn an_applied_status_belongs_to_its_manager() {
    let server = Server::start().await;
    let path = server.group("networking.k8s.io", "ingresses");
    server.send("POST", &path, &ingress("a.test")).await;
    let status = json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "i"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    });
    let to = format!("{path}/i/status?fieldManager=nearside&force=true");
    let applied = server.patch("apply-patch+yaml", &to, &status).await;
    assert_eq!((applied.code, &applied.body["metadata"]["generation"]), (200, &json!(1)));
    let fields = applied.body["metadata"]["managedFields"].as_array().expect("managers").clone();
    let mine = fields.iter().find(|one| one["manager"] == "nearside").expect("it is listed");
    assert_eq!((&mine["operation"], &mine["subresource"]), (&json!("Apply"), &json!("status")));
    let stale = {
        let mut stale = status.clone();
        stale["metadata"]["resourceVersion"] = "1".into();
        server.patch("apply-patch+yaml", &to, &stale).await
    };
    assert_eq!(stale.code, 409, "an apply that names a version is checked against it");
    server.end().await;
}

#[tokio::test]
async fn loopback_addresses_are_refused_in_endpoint_slices() {
    let server = Server::start().await;
    let path = server.group("discovery.k8s.io", "endpointslices");
    for (family, address) in [("IPv4", "127.0.0.1"), ("IPv6", "::1")] {
        let slice = json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": {"name": "e"},
            "addressType": family, "endpoints": [{"addresses": [address]}],
        });
        let refused = server.send("POST", &path, &slice).await;
        assert_eq!((refused.code, &refused.body["reason"]), (422, &json!("Invalid")));
        let message = refused.body["message"].as_str().expect("a message");
        assert!(
            message.contains("may not be in the loopback range (127.0.0.0/8, ::1/128)"),
            "{message}"
        );
    }
    server.end().await;
}

#[tokio::test]
async fn finalizers_keep_an_object_until_they_are_gone() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    let mut held = config_map("a", "1");
    held["metadata"]["finalizers"] = json!(["example.test/held"]);
    let made = server.send("POST", &path, &held).await.body;
    let at = format!("{path}/a");
    assert_eq!(server.send("DELETE", &at, &Value::Null).await.code, 200);
    let marked = server.read(&at).await.body;
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let query = format!(
        "resourceVersion={}&timeoutSeconds=5&fieldSelector=metadata.name%3Da",
        version(&made)
    );
    let mut lines = server.watch(&path, &query).await;
    assert_eq!(lines.next_short().await.0, "MODIFIED");
    let free = json!({"metadata": {"finalizers": null}});
    assert_eq!(server.patch("merge-patch+json", &at, &free).await.code, 200);
    assert_eq!(lines.next_short().await.0, "DELETED");
    assert_eq!(server.read(&at).await.code, 404);
    server.end().await;
}

#[tokio::test]
async fn text_of_a_secret_comes_back_encoded() {
    let server = Server::start().await;
    let path = server.core("secrets");
    let texts = json!({"a": "", "b": "M", "c": "Ma", "d": "Man", "e": "\u{fc}ber"});
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": texts});
    assert_eq!(server.send("POST", &path, &secret).await.code, 201);
    let read = server.read(&format!("{path}/s")).await.body;
    assert_eq!(
        read["data"],
        json!({"a": "", "b": "TQ==", "c": "TWE=", "d": "TWFu", "e": "w7xiZXI="})
    );
    assert!(read["stringData"].is_null(), "it is for writing only");
    server.end().await;
}
