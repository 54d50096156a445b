//! HTTP/2 floods with frames written by hand: the connection is cut, and others are served.

use std::net::SocketAddr;
use std::time::Duration;

use l7lb::{Config, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::client::{Http2, PATIENCE, get};
use crate::origin::Origin;
use crate::world::{World, config, hello, start};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut octets = vec![length[1], length[2], length[3], kind, flags];
    octets.extend(stream.to_be_bytes());
    octets.extend(payload);
    octets
}

/// A header block without the dynamic table: method, scheme `http`, path, authority `a`.
fn request(method: u8, path: &str) -> Vec<u8> {
    let mut block = vec![0x80 | method, 0x86, 0x04, u8::try_from(path.len()).unwrap()];
    block.extend(path.as_bytes());
    block.extend([0x01, 1, b'a']);
    block
}

/// `:method: GET` and `POST` of the static table.
const GET: u8 = 2;
const POST: u8 = 3;

/// Sends the preface, then what `next` makes of 0, 1, 2, ... until the gateway cuts or so many were
/// sent. Answers are read and thrown away. Returns how many were sent and whether it cut.
async fn flood(address: SocketAddr, most: u32, next: impl Fn(u32) -> Vec<u8>) -> (u32, bool) {
    let socket = TcpStream::connect(address).await.unwrap();
    let (mut reading, mut writing) = socket.into_split();
    let drain = tokio::spawn(async move {
        let mut space = [0; 65_536];
        while let Ok(1..) = reading.read(&mut space).await {}
    });
    writing.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &[])].concat()).await.unwrap();
    let mut sent = 0;
    while sent < most && writing.write_all(&next(sent)).await.is_ok() {
        sent += 1;
    }
    // The reading side ends when the gateway closes.
    (sent, timeout(Duration::from_secs(2), drain).await.is_ok())
}

/// Waits until nothing is left of the floods.
async fn is_quiet(world: &World) {
    let quiet = async {
        while world.gateway.connections() > 0 || world.gateway.report().load.in_flight > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, quiet).await.expect("connections and requests are given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rapid_reset_is_cut_and_hardly_reaches_the_origin() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let (_, cut) = flood(world.http, 100_000, |at| {
        let stream = at * 2 + 1;
        let head = frame(HEADERS, END_HEADERS | END_STREAM, stream, &request(GET, "/?ms=50"));
        [head, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
    })
    .await;
    assert!(cut);
    assert!(origin.hits() < 400, "{} requests", origin.hits());
    assert_eq!(get(world.http, "a", "/").await.status, 200);
    is_quiet(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_without_use_are_cut() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let ping = frame(PING, 0, 0, &[0; 8]);
    let settings = frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    let window = frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes());
    let unknown = frame(0x77, 0, 0, b"");
    for (name, octets) in
        [("ping", ping), ("settings", settings), ("window", window), ("unknown", unknown)]
    {
        let (_, cut) = flood(world.http, 200_000, |_| octets.clone()).await;
        assert!(cut, "{name}");
        assert_eq!(get(world.http, "a", "/").await.status, 200, "{name}");
    }
    let lines = world.log.wait(8).await;
    let floods = lines.iter().filter(|line| line["reason"] == "frame-flood").count();
    assert_eq!(floods, 4, "{lines:#?}");
    is_quiet(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_pieces_of_a_body_are_cut() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let (_, cut) = flood(world.http, 200_000, |at| match at {
        0 => frame(HEADERS, END_HEADERS, 1, &request(POST, "/")),
        _ => frame(DATA, 0, 1, b""),
    })
    .await;
    assert!(cut);
    assert_eq!(get(world.http, "a", "/").await.status, 200);
    is_quiet(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_end_is_cut_by_size_and_by_time() {
    let origin = Origin::start("one").await;
    let limits = Limits { head_deadline_ms: 200, ..Limits::default() };
    let world = start(Config { limits, ..config() }, &hello(&[origin.address]));
    for piece in
        [vec![], vec![0_u8; 1], [&[0x00, 1, b'x', 0x7f, 0x81, 0x01], &[b'y'; 256][..]].concat()]
    {
        let (_, cut) = flood(world.http, 100_000, |at| match at {
            0 => frame(HEADERS, END_STREAM, 1, &request(GET, "/")),
            _ => frame(CONTINUATION, 0, 1, &piece),
        })
        .await;
        assert!(cut, "{} octets each", piece.len());
    }
    // Nothing more comes: an open head, and half a frame.
    let open = frame(HEADERS, END_STREAM, 1, &request(GET, "/"));
    let half = frame(HEADERS, END_STREAM | END_HEADERS, 1, &request(GET, "/"))[..12].to_vec();
    for octets in [open, half] {
        // `flood` waits two seconds for the end, far less than the idle time of a connection.
        let (_, cut) = flood(world.http, 1, |_| octets.clone()).await;
        assert!(cut);
    }
    let lines = world.log.wait(2).await;
    assert!(lines.iter().any(|line| line["reason"] == "head-too-slow"), "{lines:#?}");
    assert_eq!(get(world.http, "a", "/").await.status, 200);
    assert_eq!(origin.hits(), 1);
    is_quiet(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_bomb_is_refused() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    // One field of 4,000 octets goes into the dynamic table and is then named 4,000 times: 16 MB
    // out of 8 KB.
    let mut block = request(GET, "/");
    block.extend([0x40, 1, b'x', 0x7f, 0xa1, 0x1e]);
    block.extend([b'y'; 4_000]);
    block.extend([0xbe; 4_000]);
    let head = frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    let rss_before = rss_kib();
    let (sent, _) = flood(world.http, 500, |at| match at {
        0 => head.clone(),
        // The table holds the field now, so that 4,000 octets are enough.
        _ => {
            let mut again = request(GET, "/");
            again.extend([0xbe; 4_000]);
            frame(HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, &again)
        }
    })
    .await;
    assert!(sent > 0);
    assert_eq!(origin.hits(), 0);
    let grown = rss_kib().saturating_sub(rss_before);
    assert!(grown < 64 * 1024, "{grown} KiB more");
    assert_eq!(get(world.http, "a", "/").await.status, 200);
}

/// Resident memory of this process.
fn rss_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_stays_shut_holds_little_and_others_are_served() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let mut socket = TcpStream::connect(world.http).await.unwrap();
    // SETTINGS_INITIAL_WINDOW_SIZE 0: answers may begin and never go on.
    let mut octets = [PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    for at in 0..100 {
        let head = request(GET, "/");
        octets.extend(frame(HEADERS, END_HEADERS | END_STREAM, at * 2 + 1, &head));
    }
    socket.write_all(&octets).await.unwrap();
    while origin.hits() < 100 {
        sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(get(world.http, "a", "/").await.status, 200);
    let mut honest = Http2::over(TcpStream::connect(world.http).await.unwrap()).await;
    assert_eq!(honest.request("GET", "http://a/", &[]).await.unwrap().status, 200);
    drop((socket, honest));
    is_quiet(&world).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drip_of_a_body_is_cut_as_on_http_1() {
    let origin = Origin::start("one").await;
    let limits = Limits { body_grace_ms: 200, ..Limits::default() };
    let world = start(Config { limits, ..config() }, &hello(&[origin.address]));
    let socket = TcpStream::connect(world.http).await.unwrap();
    let (mut sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://a/").body(()).unwrap();
    let (response, mut body) = sender.send_request(request, false).unwrap();
    tokio::spawn(async move {
        while body.send_data(bytes::Bytes::from_static(b"x"), false).is_ok() {
            sleep(Duration::from_millis(50)).await;
        }
    });
    let response = timeout(PATIENCE, response).await.expect("an answer").unwrap();
    assert_eq!(response.status(), 408);
    assert_eq!(world.log.wait(1).await[0]["reason"], "body-too-slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_requests_may_be_called_off() {
    let origin = Origin::start("one").await;
    let world = start(config(), &hello(&[origin.address]));
    let socket = TcpStream::connect(world.http).await.unwrap();
    let (sender, connection) = h2::client::handshake(socket).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..2 {
        let mut page = Vec::new();
        for _ in 0..100 {
            let mut sender = sender.clone().ready().await.unwrap();
            let request = http::Request::get("http://a/?ms=20000").body(()).unwrap();
            page.push(sender.send_request(request, true).unwrap().0);
        }
        while world.gateway.report().load.in_flight < 100 {
            sleep(Duration::from_millis(5)).await;
        }
        drop(page);
        while world.gateway.report().load.in_flight > 0 {
            sleep(Duration::from_millis(5)).await;
        }
    }
    let mut sender = sender.ready().await.unwrap();
    let request = http::Request::get("http://a/").body(()).unwrap();
    let response = sender.send_request(request, true).unwrap().0.await.unwrap();
    assert_eq!(response.status(), 200);
}
