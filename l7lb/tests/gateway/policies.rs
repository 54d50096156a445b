//! Protections and changes of an HttpPolicy (or annotations), against real origins.

use std::io::Read as _;

use model::gateway::settings::{
    AddressRules, Coding, Compression, ErrorPage, ExternalAuth, FailMode, Jwt, RateKey, RateLimit,
};
use model::gateway::{BackendTarget, GatewayObjects, HttpSettings, Reference, Secret};
use model::name::ObjectRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::{Http1, Http2, Response, get};
use crate::origin::Origin;
use crate::world::{World, add_service, config, hello, meta, start};

/// The world of `hello` under these settings, `127.0.0.1` being a proxy that names the client.
fn under(origin: &Origin, settings: HttpSettings, more: impl Fn(&mut GatewayObjects)) -> World {
    let mut objects = hello(&[origin.address]);
    objects.ingresses[0].settings = settings;
    more(&mut objects);
    let trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    start(l7lb::Config { trusted_proxies, ..config() }, &objects)
}

/// One request with these header lines.
async fn ask(world: &World, method: &str, lines: &str) -> Response {
    // A body comes with the empty line before it.
    let end = if lines.contains("\r\n\r\n") { "" } else { "\r\n" };
    let request = format!("{method} /x HTTP/1.1\r\nHost: a\r\n{lines}{end}");
    Http1::connect(world.http).await.send(&request).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_may_not_come_are_refused_with_a_code() {
    let origin = Origin::start("one").await;
    let addresses = AddressRules {
        allow: vec!["192.0.2.0/24".parse().unwrap()],
        deny: vec!["192.0.2.66/32".parse().unwrap()],
    };
    let settings = HttpSettings { addresses: Some(addresses), ..HttpSettings::default() };
    let world = under(&origin, settings, |_| {});
    for (client, status) in [("192.0.2.1", 200), ("192.0.2.66", 403), ("198.51.100.1", 403)] {
        let response = ask(&world, "GET", &format!("X-Forwarded-For: {client}\r\n")).await;
        assert_eq!(response.status, status, "{client}");
    }
    assert_eq!(origin.hits(), 1);
    let last = world.log.wait(3).await.pop().unwrap();
    assert_eq!(
        (&last["reason"], &last["client"]),
        (&"address-denied".into(), &"198.51.100.1".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rates_are_limited_by_client_and_survive_a_reload() {
    let origin = Origin::start("one").await;
    let limit = RateLimit { requests: 1, per_ms: 3_600_000, burst: 2, key: RateKey::Address };
    let settings = HttpSettings { rate_limits: vec![limit], ..HttpSettings::default() };
    let world = under(&origin, settings.clone(), |_| {});
    let one = "X-Forwarded-For: 192.0.2.1\r\n";
    for _ in 0..3 {
        assert_eq!(ask(&world, "GET", one).await.status, 200);
    }
    let refused = ask(&world, "GET", one).await;
    assert_eq!((refused.status, refused.body.as_str()), (429, "429 rate-limited\n"));
    assert_eq!(refused.header("retry-after"), Some("3600"));
    assert_eq!(refused.header("ratelimit-limit"), Some("1"));
    assert_eq!(refused.header("ratelimit-remaining"), Some("0"));
    assert_eq!(refused.header("ratelimit-reset"), Some("3600"));
    let mut same = hello(&[origin.address]);
    same.ingresses[0].settings = settings;
    world.gateway.reload(&same);
    assert_eq!(ask(&world, "GET", one).await.status, 429, "a reload fills no bucket");
    assert_eq!(ask(&world, "GET", "X-Forwarded-For: 192.0.2.2\r\n").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_are_limited_by_their_length_and_by_what_comes() {
    let origin = Origin::start("one").await;
    let settings = HttpSettings { body_octets_max: Some(10), ..HttpSettings::default() };
    let world = under(&origin, settings, |_| {});
    let fits = ask(&world, "POST", "Content-Length: 10\r\n\r\n0123456789").await;
    assert_eq!(fits.status, 200);
    let long = ask(&world, "POST", "Content-Length: 11\r\n\r\n0123456789a").await;
    assert_eq!((long.status, long.body.as_str()), (413, "413 body-too-large\n"));
    let chunked = "Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n";
    assert_eq!(ask(&world, "POST", chunked).await.status, 413);
    let reasons = world.log.reasons(3).await;
    assert_eq!(reasons, ["body-too-large", "body-too-large", "forwarded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_replayed_body_nor_a_tunnel_is_a_longer_body() {
    let (one, two) = (Origin::start("one").await, Origin::start("two").await);
    let mut objects = hello(&[one.address, two.address]);
    objects.ingresses[0].settings.body_octets_max = Some(10);
    let world = start(config(), &objects);
    // Both break off, so that the body is sent twice.
    let broken = "PUT /drop HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789";
    let response = Http1::connect(world.http).await.send(broken).await.unwrap();
    assert_eq!(response.body, "502 origin-broke\n");
    assert_eq!(one.hits() + two.hits(), 2);
    let upgrade = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                   Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut client = Http1::connect(world.http).await;
    assert_eq!(client.send(upgrade).await.unwrap().status, 101);
    client.write(&[b'x'; 1_000]).await.unwrap();
    assert_eq!(client.exactly(1_000).await.len(), 1_000);
    // Attempts of one request are one trace.
    let seen = [one.wait(1).await, two.wait(1).await].concat();
    let of_put = seen.iter().filter(|request| request.starts_with("put"));
    let traces: Vec<&str> = of_put
        .filter_map(|request| request.lines().find(|line| line.starts_with("traceparent")))
        .collect();
    assert_eq!(traces.len(), 2);
    assert_eq!(traces[0], traces[1]);
}

fn secret(name: &str, key: &str, data: &[u8]) -> Secret {
    Secret { meta: meta(name), kind: "Opaque".into(), data: [(key.into(), data.into())].into() }
}

fn named(name: &str) -> Reference {
    Reference::new("", "Secret", ObjectRef::new("default", name))
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_open_and_their_absence_is_a_challenge() {
    let origin = Origin::start("one").await;
    let settings = HttpSettings { basic_auth: Some(named("users")), ..HttpSettings::default() };
    let world = under(&origin, settings, |objects| {
        let users = b"bob:$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/\n";
        objects.secrets.insert(secret("users", "auth", users));
    });
    // bob:myPassword and bob:wrong.
    let right = "Authorization: Basic Ym9iOm15UGFzc3dvcmQ=\r\n";
    for _ in 0..3 {
        assert_eq!(ask(&world, "GET", right).await.status, 200);
    }
    for lines in ["", "Authorization: Basic Ym9iOndyb25n\r\n", "Authorization: Bearer x\r\n"] {
        let refused = ask(&world, "GET", lines).await;
        assert_eq!((refused.status, refused.body.as_str()), (401, "401 unauthorized\n"));
        assert_eq!(refused.header("www-authenticate"), Some("Basic realm=\"restricted\""));
    }
    assert_eq!(origin.hits(), 3);
}

/// A key set with one Ed25519 key, and a token of it with these claims.
fn signed(claims: &serde_json::Value) -> (Vec<u8>, String) {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use ring::signature::{Ed25519KeyPair, KeyPair as _};
    let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let base = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
    let key =
        serde_json::json!({"kty": "OKP", "crv": "Ed25519", "x": base(pair.public_key().as_ref())});
    let head = base(br#"{"alg":"EdDSA"}"#);
    let text = format!("{head}.{}", base(claims.to_string().as_bytes()));
    let token = format!("{text}.{}", base(pair.sign(text.as_bytes()).as_ref()));
    (serde_json::json!({ "keys": [key] }).to_string().into_bytes(), token)
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_open_and_only_they_write_what_the_backend_believes() {
    let origin = Origin::start("one").await;
    let (keys, token) = signed(&serde_json::json!({"sub": "ann", "role": "buyer"}));
    let (_, poor) = signed(&serde_json::json!({"sub": "bob"}));
    let jwt = Jwt {
        issuer: None,
        audiences: vec![],
        keys: named("keys"),
        header: None,
        claims: [("role".into(), vec!["buyer".into()])].into(),
        forward: [("sub".into(), "x-user".into()), ("mail".into(), "x-mail".into())].into(),
        leeway_s: 30,
    };
    let settings = HttpSettings { jwt: Some(jwt), ..HttpSettings::default() };
    let world = under(&origin, settings.clone(), |objects| {
        objects.secrets.insert(secret("keys", "jwks", &keys));
    });
    let lines = format!("Authorization: Bearer {token}\r\nX-User: root\r\nX-Mail: root@x\r\n");
    let passed = ask(&world, "GET", &lines).await;
    let seen = passed.body.to_ascii_lowercase();
    assert!(seen.contains("\r\nx-user: ann\r\n") && !seen.contains("root"), "{seen}");
    let none = ask(&world, "GET", "").await;
    assert_eq!((none.status, none.header("www-authenticate")), (401, Some("Bearer")));
    let forged = ask(&world, "GET", &format!("Authorization: Bearer {token}x\r\n")).await;
    assert_eq!((forged.status, forged.body.as_str()), (401, "401 token-refused\n"));
    let poor = ask(&world, "GET", &format!("Authorization: Bearer {poor}\r\n")).await;
    assert_eq!((poor.status, poor.body.as_str()), (403, "403 token-forbidden\n"));
    assert_eq!(poor.header("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
    // Without its keys the rule is closed, not open.
    let closed = under(&origin, settings, |_| {});
    let refused = ask(&closed, "GET", &lines).await;
    assert_eq!((refused.status, refused.body.as_str()), (500, "500 bad-policy\n"));
    assert_eq!(origin.hits(), 1);
}

/// A service that lets `Authorization: yes` pass and sends everybody else to a login.
async fn judge() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut held = String::new();
                let mut space = [0; 4096];
                loop {
                    while !held.contains("\r\n\r\n") {
                        let count = socket.read(&mut space).await.unwrap_or(0);
                        if count == 0 {
                            return;
                        }
                        held.push_str(&String::from_utf8_lossy(&space[..count]).to_lowercase());
                    }
                    let answer = if !held.starts_with("get /check/x http/1.1\r\n") {
                        "HTTP/1.1 500 Lost\r\ncontent-length: 0\r\n\r\n"
                    } else if held.contains("authorization: yes\r\n") {
                        "HTTP/1.1 200 OK\r\nx-user: ann\r\nx-other: no\r\ncontent-length: 0\r\n\r\n"
                    } else {
                        "HTTP/1.1 302 Found\r\nlocation: /login\r\ncontent-length: 5\r\n\r\nlogin"
                    };
                    held.clear();
                    socket.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_asked_and_its_answer_is_what_counts() {
    let origin = Origin::start("one").await;
    let judge = judge().await;
    let asked = |fail, at: std::net::SocketAddr| {
        let auth = ExternalAuth {
            backend: BackendTarget::service(ObjectRef::new("default", "judge"), 80),
            path_prefix: "/check".into(),
            request_headers: vec![],
            response_headers: vec!["x-user".into()],
            timeout_ms: 2_000,
            fail,
        };
        let settings = HttpSettings { external_auth: Some(auth), ..HttpSettings::default() };
        under(&origin, settings, move |objects| add_service(objects, "judge", &[at]))
    };
    let world = asked(FailMode::Closed, judge);
    for _ in 0..3 {
        let passed = ask(&world, "GET", "Authorization: yes\r\nX-User: root\r\n").await;
        let seen = passed.body.to_ascii_lowercase();
        assert!(seen.contains("\r\nx-user: ann\r\n"), "{seen}");
        assert!(!seen.contains("root") && !seen.contains("x-other"), "{seen}");
    }
    let refused = ask(&world, "GET", "").await;
    assert_eq!((refused.status, refused.header("location")), (302, Some("/login")));
    assert_eq!(refused.body, "login");
    let lost = ask(&world, "POST", "Content-Length: 0\r\n").await;
    assert_eq!((lost.status, lost.body.as_str()), (503, "503 auth-unanswered\n"));
    let dead = "127.0.0.1:1".parse().unwrap();
    assert_eq!(ask(&asked(FailMode::Closed, dead), "GET", "").await.status, 503);
    let open = ask(&asked(FailMode::Open, dead), "GET", "X-User: root\r\n").await;
    assert!(open.status == 200 && !open.body.contains("root"), "{open:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_for_those_who_take_it() {
    let origin = texts().await;
    let compression = Compression {
        codings: vec![Coding::Zstd, Coding::Brotli, Coding::Gzip],
        octets_min: 100,
        types: vec!["text/*".into()],
    };
    let mut objects = hello(&[origin]);
    objects.ingresses[0].settings.compression = Some(compression);
    let world = start(config(), &objects);
    let fetch = async |path: &str, accepts: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepts}\r\nConnection: close\r\n\r\n"
        );
        let mut socket = TcpStream::connect(world.http).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        socket.read_to_end(&mut all).await.unwrap();
        let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&all[..end]).to_ascii_lowercase();
        (head, all[end + 4..].to_vec())
    };
    for (accepts, coding) in
        [("gzip", "gzip"), ("br", "br"), ("gzip, zstd;q=0.9, br;q=0.8", "gzip")]
    {
        for path in ["/length", "/chunked"] {
            let (head, body) = fetch(path, accepts).await;
            assert!(head.contains(&format!("content-encoding: {coding}")), "{head}");
            assert!(head.contains("transfer-encoding: chunked"), "{head}");
            assert!(head.contains("vary: accept-encoding"), "{head}");
            assert!(!head.contains("content-length"), "{head}");
            let packed = unchunked(&body);
            let mut plain = String::new();
            match coding {
                "gzip" => {
                    flate2::read::GzDecoder::new(&*packed).read_to_string(&mut plain).unwrap();
                }
                _ => {
                    brotli::Decompressor::new(&*packed, 4096).read_to_string(&mut plain).unwrap();
                }
            }
            assert_eq!(plain, "text ".repeat(1_000), "{path} {accepts}");
            assert!(packed.len() < 1_000);
        }
    }
    let (head, body) = fetch("/length", "identity").await;
    assert!(head.contains("content-length: 5000") && !head.contains("content-encoding"), "{head}");
    assert_eq!(body.len(), 5_000);
    // HTTP/2 has no chunks.
    let mut client = Http2::over(TcpStream::connect(world.http).await.unwrap()).await;
    for path in ["/length", "/chunked"] {
        let uri = format!("http://a{path}");
        let response = client.request("GET", &uri, &[("accept-encoding", "zstd")]).await.unwrap();
        assert_eq!(response.header("content-encoding"), Some("zstd"));
        assert_eq!(response.header("content-length"), None);
        let head = client.request("HEAD", &uri, &[("accept-encoding", "zstd")]).await.unwrap();
        assert_eq!((head.status, head.header("vary")), (200, Some("accept-encoding")));
    }
}

/// 5,000 octets of text with a length, or in two chunks.
async fn texts() -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::spawn(async move {
                let mut held = String::new();
                let mut space = [0; 4096];
                loop {
                    while !held.contains("\r\n\r\n") {
                        let count = socket.read(&mut space).await.unwrap_or(0);
                        if count == 0 {
                            return;
                        }
                        held.push_str(&String::from_utf8_lossy(&space[..count]));
                    }
                    let half = "text ".repeat(500);
                    let (framing, body) = if held.contains("/length") {
                        ("content-length: 5000", format!("{half}{half}"))
                    } else {
                        let chunk = format!("9c4\r\n{half}\r\n");
                        ("transfer-encoding: chunked", format!("{chunk}{chunk}0\r\n\r\n"))
                    };
                    let body = if held.starts_with("HEAD") { String::new() } else { body };
                    held.clear();
                    let head =
                        format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n{framing}\r\n\r\n");
                    socket.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
                }
            });
        }
    });
    address
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    while let Some(end) = body.windows(2).position(|two| two == b"\r\n") {
        let size = std::str::from_utf8(&body[..end]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        plain.extend_from_slice(&body[end + 2..end + 2 + size]);
        body = &body[end + 4 + size..];
    }
    plain
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stand_in_for_errors() {
    let origin = Origin::start("one").await;
    let page = |statuses: &[(u16, u16)], backends_too, body: &str| ErrorPage {
        statuses: statuses.to_vec(),
        backends_too,
        content_type: "text/html".into(),
        body: body.into(),
    };
    let settings = HttpSettings {
        error_pages: vec![
            page(&[(503, 503)], true, "<p>soon"),
            page(&[(400, 599)], false, "<p>sorry"),
        ],
        body_octets_max: Some(1),
        ..HttpSettings::default()
    };
    let world = under(&origin, settings, |_| {});
    let replaced = get(world.http, "a", "/503").await;
    assert_eq!((replaced.status, replaced.body.as_str()), (503, "<p>soon"));
    assert_eq!(replaced.header("content-type"), Some("text/html"));
    let kept = get(world.http, "a", "/fail/500/1/x").await;
    assert_eq!((kept.status, kept.first_line()), (500, "one"));
    let own = ask(&world, "POST", "Content-Length: 2\r\n\r\nxx").await;
    assert_eq!((own.status, own.body.as_str()), (413, "<p>sorry"));
    let reasons = world.log.reasons(3).await;
    assert_eq!(reasons, ["body-too-large", "error-page", "forwarded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_preflight_needs_no_credentials() {
    let origin = Origin::start("one").await;
    let settings = HttpSettings {
        basic_auth: Some(named("users")),
        cors: Some(model::gateway::Cors {
            allow_origins: vec!["https://a.example".into()],
            ..model::gateway::Cors::default()
        }),
        ..HttpSettings::default()
    };
    let world = under(&origin, settings, |objects| {
        let users = b"cid:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=";
        objects.secrets.insert(secret("users", "auth", users));
    });
    let origin_line = "Origin: https://a.example\r\n";
    let question = format!("{origin_line}Access-Control-Request-Method: GET\r\n");
    assert_eq!(ask(&world, "OPTIONS", &question).await.status, 200);
    let refused = ask(&world, "GET", origin_line).await;
    assert_eq!(refused.status, 401);
    assert_eq!(refused.header("access-control-allow-origin"), Some("https://a.example"));
    assert_eq!(origin.hits(), 0);
}
