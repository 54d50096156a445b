//! Requests reach the backends that the documents name.

use model::gateway::{
    GatewayObjects, HeaderEdit, HttpFilter, ListenerProtocol, PathMatch, PathRewrite,
};
use model::name::SiteName;

use crate::client::{Http1, get};
use crate::origin::Origin;
use crate::world::{
    add_service, config, exact, gateway, hello, ingress, listener, route, rule, start, suffix,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_answered_by_the_origin_and_logged() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let response = get(world.http, "Hello.Example:8080", "/a/b?token=secret").await;
    assert_eq!((response.status, response.first_line()), (200, "one"));
    assert_eq!(response.header("x-nearside-site"), Some("test"));
    let line = world.log.wait(1).await.remove(0);
    assert_eq!(line["status"], 200);
    assert_eq!(line["host"], "hello.example");
    assert_eq!(line["path"], "/a/b");
    assert_eq!(line["reason"], "forwarded");
    assert_eq!(line["route"], "ingress/default/hello#0");
    assert_eq!(line["endpoint"], origin.address.to_string());
    assert_eq!(line["client"], "127.0.0.1");
    assert!(!line.to_string().contains("secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts_and_paths_choose_the_service() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let mut objects = GatewayObjects::default();
    add_service(&mut objects, "one", &[one.address]);
    add_service(&mut objects, "two", &[two.address]);
    let root = || PathMatch::Prefix("/".into());
    objects.ingresses.insert(ingress("a", Some(exact("a.example")), root(), "one"));
    objects.ingresses.insert(ingress("b", Some(suffix("b.example")), root(), "two"));
    let deep = PathMatch::Prefix("/deep".into());
    objects.ingresses.insert(ingress("c", Some(exact("a.example")), deep, "two"));
    let world = start(config(), &objects);
    let name = async |host, path| get(world.http, host, path).await.first_line().to_owned();
    assert_eq!(name("a.example", "/").await, "one");
    assert_eq!(name("a.example", "/deep/er").await, "two");
    assert_eq!(name("a.example", "//deep/er").await, "two");
    assert_eq!(name("a.example", "/%64eep").await, "two");
    assert_eq!(name("x.b.example", "/").await, "two");
    assert_eq!(name("c.example", "/").await, "404 no-route");
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_change_what_the_origin_and_the_client_see() {
    let origin = Origin::start("one").await;
    let mut objects = GatewayObjects::default();
    add_service(&mut objects, "one", &[origin.address]);
    let pair = |name: &str, value: &str| (name.into(), value.into());
    let rules = vec![
        rule(
            "/api",
            "one",
            vec![
                HttpFilter::Rewrite {
                    hostname: Some("inner.example".into()),
                    path: Some(PathRewrite::ReplacePrefix("/v1".into())),
                },
                HttpFilter::ModifyRequestHeaders(HeaderEdit {
                    set: vec![pair("x-set", "new")],
                    add: vec![pair("x-add", "more")],
                    remove: vec!["x-gone".into()],
                }),
                HttpFilter::ModifyResponseHeaders(HeaderEdit {
                    set: vec![pair("x-origin", "hidden")],
                    add: vec![],
                    remove: vec!["x-drop".into()],
                }),
            ],
        ),
        rule(
            "/old",
            "one",
            vec![HttpFilter::Redirect {
                scheme: Some("https".into()),
                hostname: None,
                port: None,
                path: Some(PathRewrite::ReplacePrefix("/new".into())),
                status: 301,
            }],
        ),
    ];
    objects.gateways.insert(gateway(vec![listener("http", ListenerProtocol::Http, None)]));
    objects.http_routes.insert(route("r", vec![exact("a.example")], rules));
    let world = start(config(), &objects);
    let mut client = Http1::connect(world.http).await;
    let request =
        "GET /api/users?id=7 HTTP/1.1\r\nHost: a.example\r\nX-Set: old\r\nX-Gone: x\r\n\r\n";
    let response = client.send(request).await.unwrap();
    let seen = response.body.to_ascii_lowercase();
    assert!(seen.contains("get /v1/users?id=7 http/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nhost: inner.example\r\n"), "{seen}");
    assert!(seen.contains("\r\nx-forwarded-host: a.example\r\n"), "{seen}");
    assert!(seen.contains("\r\nx-set: new\r\n") && !seen.contains("old"), "{seen}");
    assert!(seen.contains("\r\nx-add: more\r\n") && !seen.contains("x-gone"), "{seen}");
    assert_eq!(response.header("x-origin"), Some("hidden"));
    assert_eq!(response.header("x-drop"), None);
    let response = client.get("a.example", "/old/page?q=1").await.unwrap();
    assert_eq!(response.status, 301);
    assert_eq!(response.header("location"), Some("https://a.example/new/page?q=1"));
    assert_eq!(origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_divide_requests() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let mut objects = GatewayObjects::default();
    add_service(&mut objects, "one", &[one.address]);
    add_service(&mut objects, "two", &[two.address]);
    let mut split = rule("/", "one", vec![]);
    split.backends[0].weight = 3;
    split.backends.extend(rule("/", "two", vec![]).backends);
    let mut never = rule("/", "two", vec![]).backends.remove(0);
    never.weight = 0;
    split.backends.push(never);
    objects.gateways.insert(gateway(vec![listener("http", ListenerProtocol::Http, None)]));
    objects.http_routes.insert(route("r", vec![], vec![split]));
    let world = start(config(), &objects);
    let mut client = Http1::connect(world.http).await;
    for _ in 0..400 {
        assert_eq!(client.get("a.example", "/").await.unwrap().status, 200);
    }
    // 300 expected; 8 standard deviations are 70.
    assert!((230..=370).contains(&one.hits()), "{}", one.hits());
    assert_eq!(one.hits() + two.hits(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_have_no_answer_has_its_status_and_code() {
    let mut objects = GatewayObjects::default();
    add_service(&mut objects, "empty", &[]);
    add_service(&mut objects, "dead", &["127.0.0.1:1".parse().unwrap()]);
    for (name, service) in [("a", "empty"), ("b", "dead"), ("c", "missing")] {
        let path = PathMatch::Prefix(format!("/{service}").into());
        objects.ingresses.insert(ingress(name, None, path, service));
    }
    let mut none = rule("/none", "empty", vec![]);
    none.backends.clear();
    objects.gateways.insert(gateway(vec![listener("http", ListenerProtocol::Http, None)]));
    objects.http_routes.insert(route("r", vec![], vec![none, rule("/bad", "missing", vec![])]));
    let world = start(config(), &objects);
    for (path, body) in [
        ("/empty", "503 no-endpoints\n"),
        ("/dead", "502 connect-failed\n"),
        ("/missing", "503 no-endpoints\n"),
        ("/none", "500 bad-backend\n"),
        ("/bad", "500 bad-backend\n"),
        ("/nowhere", "404 no-route\n"),
    ] {
        let response = get(world.http, "a.example", path).await;
        assert_eq!(response.body, body, "{path}");
        assert!(body.starts_with(&response.status.to_string()), "{path}");
        let again = (response.status == 503).then_some("2");
        assert_eq!(response.header("retry-after"), again, "{path}");
    }
    let reason = |line: &serde_json::Value| line["reason"].as_str().unwrap().to_owned();
    let mut codes: Vec<String> = world.log.wait(6).await.iter().map(reason).collect();
    // A line is written after its answer, so lines of different connections come in any order.
    codes.sort();
    let expected = [
        "bad-backend",
        "bad-backend",
        "connect-failed",
        "no-endpoints",
        "no-endpoints",
        "no-route",
    ];
    assert_eq!(codes, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_other_sites_are_left_out() {
    let origin = Origin::start("one").await;
    let mut objects = hello(&[origin.address]);
    objects.ingresses[0].meta.site = Some(SiteName::new("elsewhere").unwrap());
    let world = start(config(), &objects);
    assert_eq!(get(world.http, "a.example", "/").await.body, "404 no-route\n");
    objects.ingresses[0].meta.site = Some(SiteName::new("test").unwrap());
    assert_eq!(world.gateway.reload(&objects), []);
    assert_eq!(get(world.http, "a.example", "/").await.first_line(), "one");
}
