//! Lists, pages, forms and refusals.

use std::time::Instant;

use serde_json::{Value, json};

use crate::server::{Server, config_map, version};

#[tokio::test]
async fn a_list_comes_in_pages_of_one_version() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    for name in ["a", "b", "c"] {
        let made = config_map(name, "1");
        let mut made = made;
        made["metadata"]["labels"] = json!({"of": "pages"});
        assert_eq!(server.send("POST", &path, &made).await.code, 201);
    }
    let query = format!("{path}?labelSelector=of%3Dpages&limit=2");
    let first = server.read(&query).await.body;
    let token = first["metadata"]["continue"].as_str().expect("there is more").to_owned();
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    server.send("POST", &path, &config_map("d", "1")).await;
    let rest = server.read(&format!("{query}&continue={token}")).await.body;
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(1), "d came after the list began");
    assert_eq!(rest["items"][0]["metadata"]["name"], "c");
    assert_eq!(version(&rest), version(&first), "one list has one version");
    assert!(rest["metadata"]["continue"].is_null());

    let refused = server.read(&format!("{path}?limit=2&continue=nonsense")).await;
    assert_eq!((refused.code, &refused.body["reason"]), (400, &json!("BadRequest")));
    server.end().await;
}

#[tokio::test]
async fn a_list_of_a_future_version_waits_and_is_refused() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    let now = version(&server.read(&path).await.body);
    let start = Instant::now();
    let future =
        format!("{path}?resourceVersion={}&resourceVersionMatch=NotOlderThan", now + 1_000_000);
    let refused = server.read(&future).await;
    assert_eq!(refused.code, 504);
    assert_eq!(refused.body["reason"], "Timeout");
    let details = &refused.body["details"];
    assert_eq!(details["causes"][0]["reason"], "ResourceVersionTooLarge");
    assert_eq!(details["retryAfterSeconds"], 1);
    assert!(start.elapsed().as_secs() >= 2, "it waits for the version first");
    server.end().await;
}

#[tokio::test]
async fn metadata_alone_is_given_on_request() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    server.send("POST", &path, &config_map("a", "1")).await;
    let accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
    let query = format!("{path}?fieldSelector=metadata.name%3Da");
    let list = server.request("GET", &query, &[("accept", accept)], &Value::Null).await.body;
    assert_eq!(list["kind"], "PartialObjectMetadataList");
    let item = &list["items"][0];
    assert_eq!(item["metadata"]["name"], "a");
    assert!(item["data"].is_null(), "no content");
    server.end().await;
}

#[tokio::test]
async fn secrets_are_selected_by_their_type() {
    let server = Server::start().await;
    let path = server.core("secrets");
    for (name, kind, data) in [
        ("opaque", "Opaque", json!({})),
        ("tls", "kubernetes.io/tls", json!({"tls.crt": "YQ==", "tls.key": "YQ=="})),
    ] {
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "type": kind, "data": data});
        assert_eq!(server.send("POST", &path, &secret).await.code, 201);
    }
    let list = server.read(&format!("{path}?fieldSelector=type%3Dkubernetes.io%2Ftls")).await.body;
    let names: Vec<&Value> = list["items"]
        .as_array()
        .expect("items")
        .iter()
        .map(|item| &item["metadata"]["name"])
        .collect();
    assert_eq!(names, ["tls"]);
    server.end().await;
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let server = Server::start().await;
    let gone = server.read(&server.core("configmaps/gone")).await;
    assert_eq!((gone.code, &gone.body["reason"]), (404, &json!("NotFound")));
    let group = server.read("/apis/no-such-group.example.test/v1/things").await;
    assert_eq!(group.code, 404, "a resource that no CRD declares");
    let elsewhere = "/api/v1/namespaces/contract-no-such-namespace/configmaps";
    let refused = server.send("POST", elsewhere, &config_map("a", "1")).await;
    assert_eq!(refused.code, 404, "a namespace must be there first");
    server.end().await;
}

#[tokio::test]
async fn every_answer_names_its_flow() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    for path in [path.clone(), format!("{path}/gone")] {
        let headers = server.read(&path).await.headers;
        for name in ["x-kubernetes-pf-flowschema-uid", "x-kubernetes-pf-prioritylevel-uid"] {
            assert!(headers.contains_key(name), "{name} of {path}");
        }
    }
    server.end().await;
}

#[tokio::test]
async fn a_table_is_given_to_people() {
    let server = Server::start().await;
    let path = server.core("configmaps");
    server.send("POST", &path, &config_map("a", "1")).await;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    for path in [format!("{path}?fieldSelector=metadata.name%3Da"), format!("{path}/a")] {
        let table = server.request("GET", &path, &[("accept", accept)], &Value::Null).await.body;
        assert_eq!(
            (&table["kind"], &table["apiVersion"]),
            (&json!("Table"), &json!("meta.k8s.io/v1"))
        );
        let columns = table["columnDefinitions"].as_array().expect("columns");
        assert_eq!((&columns[0]["name"], &columns[0]["format"]), (&json!("Name"), &json!("name")));
        assert_eq!(columns.last().map(|last| &last["name"]), Some(&json!("Age")));
        let rows = table["rows"].as_array().expect("rows");
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0]["cells"].as_array().map(Vec::len), Some(columns.len()));
        assert_eq!(rows[0]["cells"][0], "a");
        assert_eq!(rows[0]["object"]["kind"], "PartialObjectMetadata");
        assert_eq!(rows[0]["object"]["metadata"]["name"], "a");
    }
    server.end().await;
}

#[tokio::test]
async fn clients_find_short_names_and_that_fields_are_validated_here() {
    let server = Server::start().await;
    let resources = server.read("/api/v1").await.body["resources"].clone();
    let resources = resources.as_array().expect("a list");
    let found = resources.iter().find(|one| one["name"] == "configmaps").expect("there");
    assert_eq!(found["shortNames"], json!(["cm"]));
    let index = server.read("/openapi/v3").await.body;
    let at = index["paths"]["api/v1"]["serverRelativeURL"].as_str().expect("an address").to_owned();
    assert!(at.starts_with("/openapi/v3/api/v1"), "{at}");
    let document = server.read(&at).await.body;
    let patch = &document["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"];
    assert_eq!(
        patch["x-kubernetes-group-version-kind"],
        json!({"group": "", "version": "v1", "kind": "ConfigMap"})
    );
    let parameters = patch["parameters"].as_array().expect("a list");
    assert!(parameters.iter().any(|one| one["name"] == "fieldValidation"));
    server.end().await;
}
