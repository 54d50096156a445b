//! HTTP/2 with prior knowledge on the plain port.

use h2::Reason;
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Http2, Response};
use crate::origin::Origin;
use crate::world::{config, hello, start};

#[tokio::test(flavor = "multi_thread")]
async fn streams_share_a_connection() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http2::over(TcpStream::connect(world.http).await.unwrap()).await;
    for at in 0..20 {
        let response = client.request("GET", &format!("http://a.example/{at}"), &[]).await.unwrap();
        assert_eq!((response.status, response.first_line()), (200, "one"));
        assert!(response.body.contains(&format!("GET /{at} HTTP/1.1\r\n")), "{response:?}");
        assert!(response.body.contains("\r\nHost: a.example\r\n"), "{response:?}");
        assert_eq!(response.header("x-nearside-site"), Some("test"));
    }
    let lines = world.log.wait(20).await;
    assert!(lines.iter().all(|line| line["protocol"] == "HTTP/2"), "{lines:?}");
    assert_eq!(world.gateway.connections(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_on_http_1_is_refused_on_http_2() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut client = Http2::over(TcpStream::connect(world.http).await.unwrap()).await;
    let mut ask = async |method, uri, headers: &[(&str, &str)]| -> Result<Response, h2::Error> {
        client.request(method, uri, headers).await
    };
    let answer = |result: Result<Response, h2::Error>| result.map(|response| response.body);
    let refused = [
        ("TRACE", "http://a/", "405 method-refused\n"),
        ("GET", "http://a/%2e%2e/x", "400 bad-path\n"),
        ("GET", "http://a/x/../y", "400 bad-path\n"),
        ("GET", "http://a..b/", "400 bad-host\n"),
    ];
    for (method, uri, body) in refused {
        assert_eq!(answer(ask(method, uri, &[]).await).unwrap(), body, "{method} {uri}");
    }
    // The log knows whose request a bad one was.
    let lines = world.log.wait(refused.len()).await;
    let told: Vec<_> = lines.iter().map(|line| (&line["reason"], &line["host"])).collect();
    let bad = |reason: &str, host: &str| (reason.to_owned().into(), host.to_owned().into());
    let expected: [(serde_json::Value, serde_json::Value); 4] = [
        bad("method-refused", ""),
        bad("bad-path", "a"),
        bad("bad-path", "a"),
        bad("bad-host", ""),
    ];
    assert_eq!(told, expected.iter().map(|(reason, host)| (reason, host)).collect::<Vec<_>>());
    let mismatch = ask("GET", "http://a/", &[("host", "b")]).await;
    assert_eq!(mismatch.map(|response| response.status).unwrap(), 400);
    // h2 itself resets a stream with a connection-specific header (RFC 9113, section 8.2.2).
    let connection = ask("GET", "http://a/", &[("transfer-encoding", "chunked")]).await;
    assert!(connection.is_err(), "{connection:?}");
    let big = "x".repeat(48 * 1024);
    let large = ask("GET", "http://a/", &[("x-big", &big)]).await;
    match large {
        Ok(response) => assert_eq!(response.status, 431),
        Err(error) => assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR), "{error}"),
    }
    assert_eq!(origin.hits(), 0);
    assert_eq!(ask("GET", "http://a/", &[]).await.unwrap().status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preface_that_never_ends_is_cut() {
    let limits = l7lb::Limits { head_deadline_ms: 100, ..l7lb::Limits::default() };
    let world = start(l7lb::Config { limits, ..config() }, &hello(&[]));
    let answer = crate::client::raw(world.http, b"PRI * HTTP/2.0\r\n\r\nSM").await;
    assert_eq!(answer, "");
}

/// An origin that speaks nothing but HTTP/2 and ends its answers with trailers, as gRPC does.
async fn h2c_origin() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(socket).await?;
                while let Some(request) = connection.accept().await {
                    let (request, mut respond) = request?;
                    let mut body = respond.send_response(http::Response::new(()), false)?;
                    let text = format!("h2c {} {:?}", request.uri(), request.version());
                    body.send_data(text.into(), false)?;
                    let status = (
                        http::HeaderName::from_static("grpc-status"),
                        http::HeaderValue::from_static("0"),
                    );
                    body.send_trailers([status].into_iter().collect())?;
                }
                Ok::<(), h2::Error>(())
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn an_h2c_backend_is_spoken_to_in_http_2_with_trailers() {
    let address = h2c_origin().await;
    let mut objects = hello(&[address]);
    objects.services[0].ports[0].app_protocol = Some("kubernetes.io/h2c".into());
    let world = start(config(), &objects);
    let mut client = Http2::over(TcpStream::connect(world.http).await.unwrap()).await;
    for at in 0..5 {
        let uri = format!("http://a.example/{at}");
        let response = client.request("POST", &uri, &[("te", "trailers")]).await.unwrap();
        assert_eq!(response.status, 200);
        assert_eq!(response.body, format!("h2c {uri} HTTP/2.0"));
        assert_eq!(response.header("trailer:grpc-status"), Some("0"));
    }
    // The same backend for a client of HTTP/1.1.
    let response = crate::client::get(world.http, "a.example", "/old").await;
    assert_eq!(response.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_gateways_share_a_process_and_nothing_else() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let named =
        |name: &str| l7lb::Config { site: model::name::SiteName::new(name).unwrap(), ..config() };
    let first = start(named("first"), &hello(&[one.address]));
    let second = start(named("second"), &hello(&[two.address]));
    for (world, origin) in [(&first, "one"), (&second, "two"), (&first, "one")] {
        let response = crate::client::get(world.http, "a", "/").await;
        assert_eq!(response.first_line(), origin);
    }
    first.log.wait(2).await;
    second.log.wait(1).await;
    let total = |world: &crate::world::World| world.gateway.report().load.requests_total;
    assert_eq!((total(&first), total(&second)), (2, 1));
    assert_ne!(first.gateway.report().boot_id, second.gateway.report().boot_id);
    assert_eq!(first.gateway.shutdown(std::time::Duration::from_secs(5)).await, 0);
    assert_eq!(crate::client::get(second.http, "a", "/").await.first_line(), "two");
}
