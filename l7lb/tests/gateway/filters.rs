//! Filters of rules and of backends: headers, mirrors, cross-origin requests, traces.

use model::gateway::{
    BackendTarget, Cors, HeaderEdit, HttpFilter, Mirror, PathRewrite, RouteBackend,
};
use model::name::ObjectRef;

use crate::client::{Http1, get};
use crate::origin::Origin;
use crate::world::{config, routed, rule, start};

fn set(name: &str, value: &str) -> HeaderEdit {
    HeaderEdit { set: vec![(name.into(), value.into())], ..HeaderEdit::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_has_filters_of_its_own_behind_the_rules() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let mut weighted = rule(
        "/",
        "one",
        vec![
            HttpFilter::ModifyRequestHeaders(set("x-to", "rule")),
            HttpFilter::ModifyRequestHeaders(set("x-rule", "yes")),
        ],
    );
    weighted.backends = ["one", "two"]
        .map(|name| RouteBackend {
            filters: vec![
                HttpFilter::ModifyRequestHeaders(set("x-to", name)),
                HttpFilter::ModifyResponseHeaders(set("x-from", name)),
                HttpFilter::Rewrite {
                    hostname: Some(format!("{name}.example").into()),
                    path: Some(PathRewrite::ReplaceFull(format!("/{name}").into())),
                },
            ],
            ..RouteBackend::service(ObjectRef::new("default", name), 80, 1)
        })
        .into();
    let services = [("one", one.address), ("two", two.address)];
    let world = start(config(), &routed(&services, vec![weighted]));
    let mut client = Http1::connect(world.http).await;
    for _ in 0..40 {
        let response = client.get("a.example", "/x").await.unwrap();
        let name = response.first_line().to_owned();
        assert_eq!(response.header("x-from"), Some(name.as_str()));
        let seen = response.body.to_ascii_lowercase();
        assert!(seen.contains(&format!("get /{name} http/1.1")), "{seen}");
        assert!(seen.contains(&format!("\r\nhost: {name}.example\r\n")), "{seen}");
        assert!(seen.contains(&format!("\r\nx-to: {name}\r\n")), "{seen}");
        assert!(seen.contains("\r\nx-rule: yes\r\n"), "{seen}");
    }
    assert!(one.hits() > 5 && two.hits() > 5, "{} and {}", one.hits(), two.hits());
}

#[tokio::test(flavor = "multi_thread")]
async fn five_hundred_requests_keep_to_the_weights() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let mut weighted = rule("/", "one", vec![]);
    weighted.backends = [("one", 70), ("two", 30), ("gone", 0)]
        .map(|(name, weight)| RouteBackend::service(ObjectRef::new("default", name), 80, weight))
        .into();
    let services = [("one", one.address), ("two", two.address)];
    let world = start(config(), &routed(&services, vec![weighted]));
    let mut client = Http1::connect(world.http).await;
    for _ in 0..500 {
        assert_eq!(client.get("a", "/").await.unwrap().status, 200);
    }
    // The conformance suite allows five points of 500 requests; these are two.
    assert!((340..=360).contains(&one.hits()), "{}", one.hits());
    assert_eq!(one.hits() + two.hits(), 500);
}

fn mirror(name: &str, numerator: u32, denominator: u32) -> HttpFilter {
    let backend = BackendTarget::service(ObjectRef::new("default", name), 80);
    HttpFilter::Mirror(Mirror { backend, numerator, denominator })
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_get_the_request_with_its_body_and_the_client_never_waits() {
    let main = Origin::start("main").await;
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let filters = vec![
        mirror("one", 100, 100),
        HttpFilter::ModifyRequestHeaders(set("x-rule", "yes")),
        mirror("two", 1, 1),
        mirror("gone", 1, 1),
    ];
    let dead = "127.0.0.1:1".parse().unwrap();
    let services =
        [("main", main.address), ("one", one.address), ("two", two.address), ("gone", dead)];
    let world = start(config(), &routed(&services, vec![rule("/", "main", filters)]));
    let body = "0123456789".repeat(10_000);
    let length = body.len();
    let request =
        format!("POST /m?ms=3000 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{body}");
    // Only the mirrors are slow: the main origin is asked for another path.
    let fast = request.replace("/m?ms=3000", "/m");
    let mut client = Http1::connect(world.http).await;
    assert_eq!(client.send(&fast).await.unwrap().first_line(), "main");
    let chunked = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n";
    assert_eq!(client.send(chunked).await.unwrap().first_line(), "main");
    assert_eq!(client.get("a", "/g").await.unwrap().first_line(), "main");
    for origin in [&one, &two] {
        let mut seen = origin.wait(3).await;
        seen.sort_by_key(|request| request.len());
        assert!(seen[0].starts_with("get /g http/1.1\r\n"), "{}", seen[0]);
        assert!(seen[1].starts_with("post /c http/1.1\r\n"), "{}", seen[1]);
        assert!(seen[1].ends_with("\r\n\r\nhello world"), "{}", seen[1]);
        assert!(seen[2].ends_with(&body));
        for request in &seen {
            assert!(request.contains("\r\nx-rule: yes\r\n"), "{request}");
            assert!(request.contains("\r\nhost: a\r\n"), "{request}");
        }
        assert_eq!(origin.odd(), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_or_oversized_copy_does_not_touch_the_request() {
    let (main, copy) = (Origin::start("main").await, Origin::start("copy").await);
    // Takes connections and never answers.
    let stuck = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stuck_at = stuck.local_addr().unwrap();
    let filters = vec![mirror("copy", 1, 1), mirror("stuck", 1, 1)];
    let services = [("main", main.address), ("copy", copy.address), ("stuck", stuck_at)];
    let world = start(config(), &routed(&services, vec![rule("/", "main", filters)]));
    assert_eq!(get(world.http, "a", "/first").await.first_line(), "main");
    let line = world.log.wait(1).await.remove(0);
    assert!(line["duration_us"].as_u64().unwrap() < 4_000_000, "{line}");
    assert!(copy.wait(1).await[0].starts_with("get /first "));
    let body = "x".repeat(300 * 1024);
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let response = Http1::connect(world.http).await.send(&request).await.unwrap();
    assert!(response.body.ends_with(&body));
    assert_eq!(get(world.http, "a", "/last").await.first_line(), "main");
    assert!(copy.wait(2).await[1].starts_with("get /last "), "the big one was not copied");
}

#[tokio::test(flavor = "multi_thread")]
async fn browsers_are_told_what_they_may() {
    let origin = Origin::start("one").await;
    let cors = HttpFilter::Cors(Cors {
        allow_origins: vec!["https://www.foo.com".into()],
        allow_methods: vec!["GET".into(), "OPTIONS".into()],
        allow_credentials: true,
        ..Cors::default()
    });
    let services = [("one", origin.address)];
    let world = start(config(), &routed(&services, vec![rule("/", "one", vec![cors])]));
    let mut client = Http1::connect(world.http).await;
    let mut ask = async |method: &str, from: &str, more: &str| {
        let request = format!("{method} / HTTP/1.1\r\nHost: a\r\nOrigin: {from}\r\n{more}\r\n");
        client.send(&request).await.unwrap()
    };
    let question = "Access-Control-Request-Method: GET\r\n";
    let preflight = ask("OPTIONS", "https://www.foo.com", question).await;
    assert_eq!((preflight.status, preflight.body.as_str()), (200, ""));
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, OPTIONS"));
    assert_eq!(preflight.header("access-control-allow-origin"), Some("https://www.foo.com"));
    let stranger = ask("OPTIONS", "https://foobar.com", question).await;
    assert_eq!(stranger.status, 200);
    assert_eq!(stranger.header("access-control-allow-origin"), None);
    assert_eq!(origin.hits(), 0, "preflights end here");
    let simple = ask("GET", "https://www.foo.com", "").await;
    assert_eq!(simple.first_line(), "one");
    assert_eq!(simple.header("access-control-allow-origin"), Some("https://www.foo.com"));
    assert_eq!(simple.header("access-control-allow-credentials"), Some("true"));
    let plain = ask("OPTIONS", "https://foobar.com", "").await;
    assert_eq!(plain.first_line(), "one", "OPTIONS without a question goes on");
    assert_eq!(plain.header("access-control-allow-origin"), None);
    let reasons = world.log.reasons(4).await;
    assert_eq!(reasons, ["cors-preflight", "cors-preflight", "forwarded", "forwarded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_is_passed_on_or_made_and_logged_with_every_decision() {
    let origin = Origin::start("one").await;
    let world =
        start(config(), &routed(&[("one", origin.address)], vec![rule("/", "one", vec![])]));
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut client = Http1::connect(world.http).await;
    for sent in [parent, "00-nonsense"] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\ntraceparent: {sent}\r\n\r\n");
        assert_eq!(client.send(&request).await.unwrap().status, 200);
    }
    let seen = origin.wait(2).await;
    assert!(seen[0].contains(&format!("\r\ntraceparent: {parent}\r\n")), "{}", seen[0]);
    assert_eq!(seen[1].matches("traceparent").count(), 1, "{}", seen[1]);
    let lines = world.log.wait(2).await;
    assert_eq!(lines[0]["trace"], "0af7651916cd43dd8448eb211c80319c");
    let made = lines[1]["trace"].as_str().unwrap();
    assert!(seen[1].contains(&format!("\r\ntraceparent: 00-{made}-")), "{}", seen[1]);
    assert_eq!(lines[0]["route"], "httproute/default/r#0");
    assert_eq!(lines[0]["backend"], "default/one:80");
    assert_eq!(lines[0]["endpoint"], origin.address.to_string());
}
