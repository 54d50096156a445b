//! What an Ingress's annotations ask of the gateway.

use model::gateway::{GatewayObjects, Ingress, PathMatch, PathRewrite};

use crate::client::{Http1, get};
use crate::origin::Origin;
use crate::world::{World, add_service, config, exact, ingress, ingress_tls, start};

/// A world of one Ingress at this path, changed.
async fn world(path: PathMatch, change: impl Fn(&mut Ingress)) -> (World, Origin) {
    let origin = Origin::start("one").await;
    let mut objects = GatewayObjects::default();
    add_service(&mut objects, "one", &[origin.address]);
    let mut made = ingress("one", Some(exact("a.example")), path, "one");
    change(&mut made);
    objects.ingresses.insert(made);
    (start(config(), &objects), origin)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_and_a_host_are_rewritten() {
    let (world, origin) = world(PathMatch::Prefix("/app".into()), |ingress| {
        ingress.rewrite = Some(PathRewrite::ReplaceFull("/".into()));
        ingress.rewrite_host = Some("inner.example".into());
    })
    .await;
    assert_eq!(get(world.http, "a.example", "/app/x?q=1").await.status, 200);
    let seen = origin.wait(1).await.remove(0);
    assert!(seen.starts_with("get /?q=1 http/1.1\r\n"), "{seen}");
    assert!(seen.contains("\r\nhost: inner.example\r\n"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_elsewhere_is_given() {
    let (world, origin) = world(PathMatch::Prefix("/".into()), |ingress| {
        ingress.redirect = Some((301, "https://new.example/".into()));
    })
    .await;
    let response = get(world.http, "a.example", "/x").await;
    assert_eq!((response.status, response.header("location")), (301, Some("https://new.example/")));
    assert_eq!(origin.hits(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_requests_are_sent_to_https_where_it_is_asked_or_offered() {
    let plain = PathMatch::Prefix("/".into());
    for (asked, tls, status) in
        [(Some(true), false, 308), (None, true, 308), (Some(false), true, 200), (None, false, 200)]
    {
        let (world, _origin) = world(plain.clone(), |ingress| {
            ingress.https_redirect = asked;
            if tls {
                ingress.tls = vec![ingress_tls(vec![exact("a.example")], "cert")];
            }
        })
        .await;
        let response = get(world.http, "a.example:8080", "/x?q=1").await;
        assert_eq!(response.status, status, "{asked:?} {tls}");
        if status == 308 {
            assert_eq!(response.header("location"), Some("https://a.example/x?q=1"));
        }
    }
    // A trusted proxy before us has spoken TLS already.
    let origin = Origin::start("one").await;
    let mut objects = crate::world::hello(&[origin.address]);
    objects.ingresses[0].https_redirect = Some(true);
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    let world = start(l7lb::Config { trusted_proxies, ..config() }, &objects);
    let told = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: https\r\n\r\n";
    let response = Http1::connect(world.http).await.send(told).await.unwrap();
    assert_eq!(response.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_origin_may_be_silent_as_long_as_the_annotation_says() {
    let (world, _origin) = world(PathMatch::Prefix("/".into()), |ingress| {
        ingress.read_timeout_ms = Some(100);
    })
    .await;
    let response = get(world.http, "a.example", "/slow?ms=5000").await;
    assert_eq!(response.body, "504 origin-timeout\n");
}
