//! Watches: how they begin, what they tell, how they end.

use std::time::Instant;

use serde_json::{Value, json};

use crate::server::{Server, config_map, version};

const STREAMED: &str =
    "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";

#[tokio::test]
async fn a_streamed_list_ends_with_a_bookmark_that_says_so() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    for name in ["a", "b"] {
        server.send("POST", &path, &config_map(name, "1")).await;
    }
    let listed = version(&server.read(&path).await.body);
    let mut lines = server.watch(&path, &format!("{STREAMED}&timeoutSeconds=5")).await;
    let (mut names, mut bookmark) = (Vec::new(), Value::Null);
    while bookmark.is_null() {
        let event = lines.next().await.expect("an event");
        match event["type"].as_str() {
            Some("ADDED") => names.push(event["object"]["metadata"]["name"].clone()),
            Some("BOOKMARK") => bookmark = event["object"].clone(),
            other => panic!("{other:?}"),
        }
    }
    // A real server puts its CA into every namespace.
    names.retain(|name| name != "kube-root-ca.crt");
    names.sort_by_key(ToString::to_string);
    assert_eq!(names, ["a", "b"]);
    let annotations = &bookmark["metadata"]["annotations"];
    assert_eq!(annotations["k8s.io/initial-events-end"], "true");
    assert!(version(&bookmark) >= listed, "the version of the list");
    server.send("POST", &path, &config_map("c", "1")).await;
    assert_eq!(lines.next_short().await, ("ADDED".to_owned(), "c".to_owned()), "and it goes on");
    server.end().await;
}

#[tokio::test]
async fn an_expired_version_is_told_in_the_stream() {
    let server = Server::start().await;
    let mut lines = server.watch(&server.core("configmaps"), "resourceVersion=2").await;
    let event = lines.next().await.expect("one event");
    assert_eq!(event["type"], "ERROR");
    let status = &event["object"];
    assert_eq!((&status["kind"], &status["reason"]), (&json!("Status"), &json!("Expired")));
    assert_eq!(status["code"], 410);
    let message = status["message"].as_str().expect("a message");
    assert!(message.starts_with("too old resource version: 2 ("), "{message}");
    assert_eq!(lines.next().await, None, "nothing after it");
    server.end().await;
}

#[tokio::test]
async fn a_version_still_kept_replays_what_came_after() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    let before = version(&server.send("POST", &path, &config_map("a", "1")).await.body);
    let after = version(&server.send("POST", &path, &config_map("b", "1")).await.body);
    server.send("DELETE", &format!("{path}/b"), &Value::Null).await;
    let mut lines =
        server.watch(&path, &format!("resourceVersion={before}&timeoutSeconds=5")).await;
    let added = lines.next().await.expect("an event");
    assert_eq!((&added["type"], version(&added["object"])), (&json!("ADDED"), after));
    let deleted = lines.next().await.expect("an event");
    assert_eq!(
        (&deleted["type"], &deleted["object"]["metadata"]["name"]),
        (&json!("DELETED"), &json!("b"))
    );
    assert!(version(&deleted["object"]) > after, "a deletion has a version of its own");
    server.end().await;
}

#[tokio::test]
async fn a_version_of_the_future_is_silent_until_the_timeout() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    let now = version(&server.read(&path).await.body);
    let start = Instant::now();
    let query =
        format!("resourceVersion={}&timeoutSeconds=2&allowWatchBookmarks=true", now + 1_000_000);
    let mut lines = server.watch(&path, &query).await;
    server.send("POST", &path, &config_map("a", "1")).await;
    assert_eq!(lines.next().await, None, "no event, no bookmark, no error");
    assert!(start.elapsed().as_millis() >= 1_900, "only the timeout ends it");
    server.end().await;
}

#[tokio::test]
async fn a_selected_object_that_changes_its_label_is_deleted_for_the_watch() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    let now = version(&server.read(&path).await.body);
    let query = format!("resourceVersion={now}&labelSelector=in%3Dyes&timeoutSeconds=5");
    let mut lines = server.watch(&path, &query).await;
    server.send("POST", &path, &config_map("a", "1")).await;
    for (label, wanted) in [("yes", "ADDED"), ("no", "DELETED"), ("yes", "ADDED")] {
        let patch = json!({"metadata": {"labels": {"in": label}}});
        server.patch("merge-patch+json", &format!("{path}/a"), &patch).await;
        assert_eq!(lines.next_short().await, (wanted.to_owned(), "a".to_owned()));
    }
    server.end().await;
}
