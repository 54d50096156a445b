//! What no honest client sends: each with a clear refusal, nothing of it reaching an origin.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use l7lb::{Config, Limits};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::client::{Http1, get, raw};
use crate::origin::Origin;
use crate::world::{World, config, hello, start};

fn hasty(limits: Limits) -> Limits {
    Limits { head_deadline_ms: 100, ..limits }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_head_is_answered_and_the_connection_closed() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let get_with = |lines: &str| format!("GET / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
    let post_with = |lines: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{lines}\r\n\r\n");
    let cases = [
        ("GET / HTTP/1.1\nHost: a\n\n".to_owned(), "400 bare-line-end"),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "400 bad-host"),
        (get_with("Host: b"), "400 bad-host"),
        ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 bad-request-line"),
        ("GET /\r\n\r\n".to_owned(), "400 bad-request-line"),
        ("GET / HTTP/3.0\r\nHost: a\r\n\r\n".to_owned(), "505 bad-version"),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "405 method-refused"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "405 method-refused"),
        ("GET /x/../y HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 bad-path"),
        ("GET /%2e%2e/y HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 bad-path"),
        ("GET /a\0 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(), "400 bad-target"),
        (get_with("X : y"), "400 bad-header"),
        (get_with("X: y\r\n folded"), "400 bad-header"),
        (post_with("Content-Length: 1\r\nContent-Length: 1"), "400 bad-content-length"),
        (post_with("Content-Length: 1\r\nContent-Length: 2"), "400 bad-content-length"),
        (post_with("Content-Length: 1, 1"), "400 bad-content-length"),
        (post_with("Content-Length: 1\r\nTransfer-Encoding: chunked"), "400 ambiguous-framing"),
        (post_with("Transfer-Encoding: gzip, chunked"), "501 bad-transfer-encoding"),
        (post_with("Transfer-Encoding: xchunked"), "501 bad-transfer-encoding"),
        (post_with("Transfer-Encoding:\x0bchunked"), "400 bad-header"),
        (get_with(&format!("X: {}", "x".repeat(64 * 1024))), "431 head-too-large"),
        (get_with(&"X: y\r\n".repeat(300)), "431 head-too-large"),
        (format!("GET /{} HTTP/1.1\r\n", "x".repeat(20_000)), "414 target-too-long"),
        ("\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n".to_owned(), "400 bad-request-line"),
    ];
    for (request, refusal) in &cases {
        // A smuggled request behind the bad one must never be seen.
        let smuggled = format!("{request}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        let answer = raw(world.http, smuggled.as_bytes()).await;
        let status = refusal.split(' ').next().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
        assert!(answer.ends_with(&format!("\r\n\r\n{refusal}\n")), "{request:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{request:?}: {answer}");
    }
    assert_eq!(origin.hits(), 0);
    assert_eq!(world.gateway.refused_total(), cases.len() as u64);
    let logged: Vec<_> = world.log.wait(cases.len()).await;
    for (line, (_, refusal)) in logged.iter().zip(&cases) {
        assert_eq!(format!("{} {}", line["status"], line["reason"].as_str().unwrap()), *refusal);
    }
    assert_eq!(get(world.http, "a", "/").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_second_request_is_refused_after_the_first_was_answered() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let answer = raw(
        world.http,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok\
          GET / HTTP/1.1\nHost: a\n\n",
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    assert!(answer.ends_with("400 bare-line-end\n"), "{answer}");
    assert_eq!(origin.hits(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_chunk_ends_the_request_and_is_not_completed_at_the_origin() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let at_once = raw(world.http, format!("{head}3\nabc\r\n0\r\n\r\n").as_bytes()).await;
    assert!(at_once.ends_with("400 bad-chunk\n"), "{at_once}");
    assert_eq!(origin.hits(), 0);
    let mut client = Http1::connect(world.http).await;
    client.write(format!("{head}3\r\nabc\r\n").as_bytes()).await.unwrap();
    while origin.hits() == 0 {
        tokio::task::yield_now().await;
    }
    client.write(b"zz\r\n").await.unwrap();
    assert_eq!(client.read(true).await.unwrap().body, "400 bad-chunk\n");
    assert!(client.closed().await);
    let lines = world.log.wait(2).await;
    assert!(lines.iter().all(|line| line["reason"] == "bad-chunk"), "{lines:?}");
    assert_eq!(get(world.http, "a", "/").await.status, 200);
}

async fn silent(world: &World, octets: &[u8]) -> TcpStream {
    let mut socket = TcpStream::connect(world.http).await.unwrap();
    socket.write_all(octets).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_and_silent_sockets_are_cut() {
    let limits = hasty(Limits::default());
    let world = start(Config { limits, ..config() }, &hello(&[]));
    assert_eq!(raw(world.http, b"").await, "");
    let answer = raw(world.http, b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ").await;
    assert!(answer.ends_with("408 head-too-slow\n"), "{answer}");
    // An 18-octet HTTP/1.0 request is shorter than the HTTP/2 preface and must not wait for it.
    let answer = raw(world.http, b"GET / HTTP/1.0\r\n\r\n").await;
    assert!(
        answer.ends_with("404 no-route\n") || answer.ends_with("503 no-endpoints\n"),
        "{answer}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn long_heads_share_a_room_and_usual_ones_need_none() {
    let origin = Origin::start("one").await;
    let limits = Limits { heads_octets_max: 16 * 1024, ..Limits::default() };
    let world = start(Config { limits, ..config() }, &hello(&[origin.address]));
    let long = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(20_000));
    let whole = format!("{}\r\nConnection: close\r\n\r\n", &long[..15_000]);
    // Which of two long heads is read first cannot be seen from outside, and only one has room: the
    // one that is refused says that the other was first, and that one goes on.
    let mut shared = false;
    for _ in 0..200 {
        let mut patient = Http1::connect(world.http).await;
        patient.write(&long.as_bytes()[..15_000]).await.unwrap();
        let told = raw(world.http, whole.as_bytes()).await;
        // A usual head needs no room.
        assert_eq!(get(world.http, "a", "/").await.status, 200);
        if told.ends_with("431 heads-too-many\n") {
            patient.write(b"\r\n\r\n").await.unwrap();
            assert_eq!(patient.read(true).await.unwrap().status, 200);
            shared = true;
            break;
        }
        assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
    }
    assert!(shared, "two long heads never met");
    // More than the room is refused alone.
    let told = raw(world.http, long.as_bytes()).await;
    assert!(told.starts_with("HTTP/1.1 431 ") && told.ends_with("431 heads-too-many\n"), "{told}");
    // The room is free afterwards.
    assert!(raw(world.http, whole.as_bytes()).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drip_does_not_move_the_deadline() {
    let limits = hasty(Limits::default());
    let world = start(Config { limits, ..config() }, &hello(&[]));
    let (mut reading, mut writing) = TcpStream::connect(world.http).await.unwrap().into_split();
    let drip = tokio::spawn(async move {
        writing.write_all(b"GET / HTTP/1.1\r\n").await.ok();
        // For two seconds, far beyond the deadline of 100 ms.
        for _ in 0..200 {
            if writing.write_all(b"X").await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut answer);
    let read = tokio::time::timeout(Duration::from_millis(1_900), read).await;
    read.expect("cut before the drip ends").ok();
    assert!(String::from_utf8_lossy(&answer).ends_with("408 head-too-slow\n"), "{answer:?}");
    drip.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_hardly_comes_is_cut() {
    let origin = Origin::start("one").await;
    let limits = Limits { body_grace_ms: 100, ..Limits::default() };
    let world = start(Config { limits, ..config() }, &hello(&[origin.address]));
    let mut client = Http1::connect(world.http).await;
    for framing in
        ["Content-Length: 1000\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3e8\r\nab"]
    {
        let request = format!("POST / HTTP/1.1\r\nHost: a\r\n{framing}");
        client.write(request.as_bytes()).await.unwrap();
        assert_eq!(client.read(true).await.unwrap().body, "408 body-too-slow\n");
        assert!(client.closed().await);
        client = Http1::connect(world.http).await;
    }
    // An answer that takes its time is no fault of the client's.
    assert_eq!(client.get("a", "/?ms=300").await.unwrap().status, 200);
    let lines = world.log.wait(3).await;
    let slow = lines.iter().filter(|line| line["reason"] == "body-too-slow").count();
    assert_eq!(slow, 2, "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_open_sockets_are_bounded_and_make_room_again() {
    let origin = Origin::start("one").await;
    let limits = hasty(Limits { connections_max: 8, ..Limits::default() });
    let limits = Limits { head_deadline_ms: 500, ..limits };
    let world = start(Config { limits, ..config() }, &hello(&[origin.address]));
    let mut sockets = Vec::new();
    for _ in 0..50 {
        sockets.push(silent(&world, b"G").await);
    }
    for _ in 0..100 {
        assert!(world.gateway.connections() <= 8);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // When their deadline has passed, the honest client is served beside sockets still open.
    let served = async {
        loop {
            if let Some(response) = Http1::connect(world.http).await.get("a", "/").await {
                return response;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let response = tokio::time::timeout(Duration::from_secs(10), served).await.unwrap();
    assert_eq!(response.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_upgrade_does_not_leave_a_tunnel() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    // `Upgrade` without `Connection: upgrade` is no upgrade; what follows is not another request.
    let answer = raw(
        world.http,
        b"GET /plain HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n\
          GET /smuggled HTTP/1.1\nHost: a\n\n",
    )
    .await;
    assert!(!answer.contains("smuggled"), "{answer}");
    assert!(origin.hits() <= 1);
}

/// Requests that are fine, to be made odd.
const CORPUS: [&str; 6] = [
    "GET /a?b=c HTTP/1.1\r\nHost: a.example\r\nAccept: */*\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nabc",
    "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
];

/// What parsers stumble over.
const ODD: &[u8] = b"\r\n :\0\t;,%/.AZ019\xff";

/// splitmix64.
fn next(seed: &mut u64) -> usize {
    *seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    usize::try_from((z ^ (z >> 31)) & 0xffff_ffff).unwrap()
}

/// One request of the corpus with up to three octets changed, put in, taken out or repeated.
fn mutated(mut seed: u64) -> Vec<u8> {
    let mut octets = CORPUS[next(&mut seed) % CORPUS.len()].as_bytes().to_vec();
    for _ in 0..=next(&mut seed) % 3 {
        let at = next(&mut seed) % octets.len();
        let odd = ODD[next(&mut seed) % ODD.len()];
        match next(&mut seed) % 5 {
            0 => octets[at] = odd,
            1 => octets.insert(at, odd),
            2 if octets.len() > 1 => drop(octets.remove(at)),
            3 => octets.truncate(at + 1),
            _ => {
                let end = (at + 1 + next(&mut seed) % 30).min(octets.len());
                let piece = octets[at..end].to_vec();
                octets.splice(at..at, piece);
            }
        }
    }
    octets
}

#[tokio::test(flavor = "multi_thread")]
async fn mutations_neither_panic_nor_leak_nor_reach_an_origin_half_understood() {
    let panics: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&panics);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(|place| place.file().to_owned()).unwrap_or_default();
        if !place.contains("tests/") {
            seen.lock().unwrap().push(info.to_string());
        }
        before(info);
    }));
    let origin = Origin::start("one").await;
    let world =
        start(Config { limits: hasty(Limits::default()), ..config() }, &hello(&[origin.address]));
    let address = world.http;
    let gate = Arc::new(tokio::sync::Semaphore::new(64));
    let cases = (0..3_000_u64).map(|seed| {
        let gate = Arc::clone(&gate);
        tokio::spawn(async move {
            let _turn = gate.acquire().await.unwrap();
            let mut socket = TcpStream::connect(address).await.unwrap();
            socket.write_all(&mutated(seed)).await.ok();
            socket.shutdown().await.ok();
            let mut answer = Vec::new();
            let read = tokio::io::AsyncReadExt::read_to_end(&mut socket, &mut answer);
            assert!(
                tokio::time::timeout(crate::client::PATIENCE, read).await.is_ok(),
                "seed {seed}"
            );
        })
    });
    for case in cases.collect::<Vec<_>>() {
        case.await.unwrap();
    }
    assert_eq!(origin.odd(), [""; 0]);
    assert_eq!(*panics.lock().unwrap(), [""; 0]);
    assert_eq!(get(world.http, "a", "/").await.status, 200);
    // Every connection and request has been given back.
    while world.gateway.connections() > 0 || world.gateway.report().load.in_flight > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
