use std::net::SocketAddr;

use serde_json::Value;
use steering::SnapshotCell;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::fixture;
use crate::handle::Config;

async fn serve() -> (SocketAddr, Arc<Controller>) {
    let policy = fixture::policy(&["a", "b"], &["x.edge.example"]);
    let cell = Arc::new(SnapshotCell::default());
    let started = Controller::start(Config::default(), Some(policy), fixture::locales(), cell);
    let controller = Arc::new(started.await.unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = router(Arc::clone(&controller));
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (address, controller)
}

/// Sends one request and tells the status and the JSON body.
async fn send(address: SocketAddr, line: &str, headers: &[&str], body: &str) -> (u16, Value) {
    let headers = headers.join("\r\n");
    let length = body.len();
    let request = format!(
        "{line} HTTP/1.1\r\n{headers}\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|_| Value::String(body.to_owned())))
}

const HOST: &str = "Host: 127.0.0.1:9900";
const JSON: &str = "Content-Type: application/json";

#[tokio::test]
async fn it_tells_its_status_and_the_command_line_reads_it_back() {
    let (address, controller) = serve().await;
    let (status, body) = send(address, "GET /v1/status", &[HOST], "").await;
    assert_eq!(status, 200);
    let read: crate::Status = serde_json::from_value(body).unwrap();
    assert_eq!(read.published.policy.counter, 1);
    assert_eq!(read.served, read.published);
    let names: Vec<&str> = read.sites.iter().map(|site| site.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(
        read.changes.last().unwrap().text,
        "documents accepted as policy 1: 3 added, 0 removed, 0 changed"
    );
    assert_eq!(send(address, "GET /healthz", &[HOST], "").await.0, 200);
    assert_eq!(send(address, "GET /readyz", &[HOST], "").await.0, 200);
    let (status, body) = send(address, "GET /v1/latency", &[HOST], "").await;
    assert_eq!((status, &body["cells"]), (200, &Value::from(0)));
    let (status, body) = send(address, "GET /v1/about", &[HOST], "").await;
    assert_eq!((status, &body["name"]), (200, &Value::from("nearside")));
    assert_eq!(send(address, "GET /v1/nothing", &[HOST], "").await.0, 404);
    controller.shutdown().await;
    assert_eq!(send(address, "GET /v1/status", &[HOST], "").await.0, 503);
}

#[tokio::test]
async fn it_explains_and_says_what_it_cannot() {
    let (address, _controller) = serve().await;
    let ask =
        async |query: &str| send(address, &format!("GET /v1/explain?{query}"), &[HOST], "").await;
    let (status, body) = ask("name=x.edge.example&ecs=198.51.100.77/24").await;
    assert_eq!((status, &body["service"]), (200, &Value::from("default/x")));
    let (status, body) = ask("name=X.edge.example.&client=198.51.100.77").await;
    assert_eq!((status, &body["service"]), (200, &Value::from("default/x")));
    let (status, body) = ask("name=y.edge.example&client=198.51.100.77").await;
    assert_eq!(
        (status, &body["error"]),
        (404, &Value::from("`y.edge.example.` is not a steered name"))
    );
    let (status, body) = ask("name=x.edge.example&lat=23.1&lon=-113.25&class=bulk").await;
    assert_eq!((status, &body["client"]["foundBy"]), (200, &Value::from("place")));
    assert_eq!(body["locale"]["pointCdeg"], serde_json::json!([2310, -11325]));
    assert_eq!(body["client"]["class"], "bulk");
    let (status, body) = ask("name=x.edge.example&cell=7").await;
    assert_eq!((status, &body["error"]), (400, &Value::from("no LocaleMap has the cell `7`")));
    assert_eq!(ask("name=y.edge.example&lat=1&lon=1").await.0, 404);
    assert_eq!(ask("name=x.edge.example&lat=1").await.0, 400);
    assert_eq!(ask("name=x.edge.example").await.0, 400);
    assert_eq!(ask("name=x..example&client=198.51.100.77").await.0, 400);
    assert_eq!(ask("name=x.edge.example&client=nobody").await.0, 400);
}

#[tokio::test]
async fn drain_and_undrain() {
    let (address, _controller) = serve().await;
    let order = r#"{"by":"ann","reason":"disks"}"#;
    let post = async |path: &str, body: &str| {
        send(address, &format!("POST {path}"), &[HOST, JSON], body).await
    };
    let (status, body) = post("/v1/sites/b/drain", order).await;
    assert_eq!((status, &body["drained"], &body["changed"]), (200, &true.into(), &true.into()));
    let (_, told) = send(address, "GET /v1/status", &[HOST], "").await;
    assert_eq!(told["sites"][1]["drain"]["by"], "ann");
    assert_eq!(told["services"][0]["out"][0]["why"], "drained");
    let (status, body) = post("/v1/sites/b/undrain", r#"{"by":"ann"}"#).await;
    assert_eq!((status, &body["drained"], &body["changed"]), (200, &false.into(), &true.into()));
    let (_, audit) = send(address, "GET /v1/audit?records=1", &[HOST], "").await;
    assert_eq!(audit[0]["act"]["kind"], "undrain");
    assert_eq!(post("/v1/sites/nowhere/drain", order).await.0, 404);
    assert_eq!(post("/v1/sites/b/drain", "{}").await.0, 422, "nobody ordered it");
    assert_eq!(post("/v1/sites/b/drain", r#"{"by":"ann"}"#).await.0, 400, "no reason");
    let long = format!(r#"{{"by":"ann","reason":"{}"}}"#, "x".repeat(257));
    assert_eq!(post("/v1/sites/b/drain", &long).await.0, 400);
    let huge = format!(r#"{{"by":"ann","reason":"{}"}}"#, "x".repeat(BODY_OCTETS_MAX));
    assert_eq!(post("/v1/sites/b/drain", &huge).await.0, 413);
}

#[tokio::test]
async fn a_web_page_can_neither_read_nor_order() {
    let (address, controller) = serve().await;
    let get = async |host: &str| send(address, "GET /v1/status", &[host], "").await.0;
    for host in ["Host: 127.0.0.1", "Host: [::1]:9900", "Host: LOCALHOST:9900", "Host: 10.1.2.3"] {
        assert_eq!(get(host).await, 200, "{host}");
    }
    for host in [
        "Host: rebound.example",
        "Host: 127.0.0.1.rebound.example:9900",
        "Host: x@localhost.example",
    ] {
        assert_eq!(get(host).await, 421, "{host}");
    }
    let order = r#"{"by":"mallory","reason":"x"}"#;
    let post =
        async |headers: &[&str]| send(address, "POST /v1/sites/a/drain", headers, order).await.0;
    assert_eq!(post(&[HOST]).await, 415);
    assert_eq!(post(&[HOST, "Content-Type: text/plain"]).await, 415);
    assert_eq!(post(&[HOST, "Content-Type: application/x-www-form-urlencoded"]).await, 415);
    assert_eq!(post(&[HOST, JSON, "Origin: https://evil.example"]).await, 403);
    assert_eq!(post(&[HOST, JSON, "Origin: null"]).await, 403);
    assert_eq!(post(&["Host: rebound.example", JSON]).await, 421);
    assert_eq!(post(&[HOST, "Host: 127.0.0.1:9900", JSON]).await, 421, "two hosts");
    assert!(controller.status().await.unwrap().sites[0].drain.is_none(), "nothing was ordered");
    assert_eq!(post(&[HOST, JSON, "Origin: http://127.0.0.1:9900"]).await, 200, "its own page");
}
