use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::*;
use crate::verdict::Thresholds;

fn target(address: SocketAddr, check: Check, interval_ms: u32) -> Target {
    let thresholds = Thresholds { failures: 3, successes: 2 };
    Target { address, check, interval_ms, timeout_ms: interval_ms.min(300), thresholds }
}

fn http() -> Check {
    Check::Http { path: "/h".into(), host: "x.example".into(), status_min: 200, status_max: 299 }
}

/// Probes an origin that answers `answer` and then closes.
async fn check(answer: &'static [u8]) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let origin = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 1024];
        let read = stream.read(&mut request).await.unwrap();
        stream.write_all(answer).await.unwrap();
        String::from_utf8(request[..read].to_vec()).unwrap()
    });
    let outcome = probe(&target(address, http(), 5_000)).await;
    let request = origin.await.unwrap();
    assert!(request.starts_with("GET /h HTTP/1.1\r\nHost: x.example\r\n"), "{request}");
    assert!(request.ends_with("Connection: close\r\n\r\n"), "{request}");
    outcome
}

#[tokio::test]
async fn the_status_decides() {
    let miss = |cause| Outcome::Miss(cause);
    assert_eq!(check(b"HTTP/1.1 200 OK\r\n\r\n").await, Outcome::Hit);
    assert_eq!(check(b"HTTP/1.0 204\r\n\r\n").await, Outcome::Hit);
    assert_eq!(check(b"HTTP/1.1 503 Busy\r\n\r\n").await, miss(MissCause::Status(503)));
    assert_eq!(check(b"HTTP/1.1 301 Moved\r\n\r\n").await, miss(MissCause::Status(301)));
    let interim = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
    assert_eq!(check(interim).await, Outcome::Hit);
    assert_eq!(check(b"SSH-2.0-OpenSSH\r\n").await, miss(MissCause::NotHttp));
    assert_eq!(check(b"HTTP/1.1 2000 No\r\n\r\n").await, miss(MissCause::NotHttp));
    assert_eq!(check(b"HTTP/1.1 20").await, miss(MissCause::Broken));
    assert_eq!(check(b"").await, miss(MissCause::Broken));
}

#[test]
fn a_status_is_found_at_every_cut() {
    let answer = b"HTTP/1.1 100 Continue\r\nA: b\r\n\r\nHTTP/1.1 404 Not Found\r\nB: c\r\n\r\n";
    let line_end = 31 + b"HTTP/1.1 404 Not Found\r\n".len();
    for cut in 0..=answer.len() {
        let wanted = if cut >= line_end { Found::Status(404) } else { Found::More };
        assert_eq!(status_of(&answer[..cut]), wanted, "cut at {cut}");
    }
}

#[tokio::test]
async fn an_endless_answer_is_cut() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 ").await.unwrap();
        while stream.write_all(&[b'2'; 512]).await.is_ok() {}
    });
    let outcome = probe(&target(address, http(), 5_000)).await;
    assert_eq!(outcome, Outcome::Miss(MissCause::NotHttp));
}

#[tokio::test]
async fn nobody_there_refused_and_nobody_answering_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    assert_eq!(probe(&target(address, Check::Tcp, 5_000)).await, Outcome::Hit);
    // Connected by the backlog, never answered.
    let silent = probe(&target(address, http(), 50)).await;
    assert_eq!(silent, Outcome::Miss(MissCause::Timeout));
    drop(listener);
    let refused = probe(&target(address, Check::Tcp, 5_000)).await;
    assert_eq!(refused, Outcome::Miss(MissCause::Refused));
}

#[test]
fn what_would_break_the_message_is_never_sent() {
    let sent = |path, host| request(path, host).is_ok();
    assert!(sent("/healthz?full=1", "x.example:8080"));
    assert!(!sent("/a\r\nX: y", "x.example"));
    assert!(!sent("/a b", "x.example"));
    assert!(!sent("no-slash", "x.example"));
    assert!(!sent("/", "x.example\r\nX: y"));
}

fn targets(intervals_ms: &[u32]) -> Targets {
    let all = (1..).zip(intervals_ms).map(|(port, &interval_ms)| {
        Arc::new(target(SocketAddr::from(([127, 0, 0, 1], port)), Check::Tcp, interval_ms))
    });
    Targets { all: all.collect(), ..Targets::default() }
}

#[test]
fn every_target_is_due_once_an_interval_and_starts_are_spread() {
    let set = targets(&[1_000; 200]);
    let start = Instant::now();
    let mut schedule = Schedule::default();
    schedule.replace(&set, start);
    let mut by_tenth = [0; 10];
    for tenth in 0..10_u64 {
        let now = start + Duration::from_millis(tenth * 100 + 99);
        by_tenth[usize::try_from(tenth).unwrap()] = schedule.take_due(now).len();
    }
    assert_eq!(by_tenth.iter().sum::<usize>(), 200, "each once in its interval");
    assert!(by_tenth.iter().all(|&due| (5..=40).contains(&due)), "{by_tenth:?}");
    let next: usize = (10..20_u64)
        .map(|tenth| schedule.take_due(start + Duration::from_millis(tenth * 100 + 99)).len())
        .sum();
    assert_eq!(next, 200);
}

#[test]
fn a_new_set_keeps_the_places_of_those_that_stay() {
    let start = Instant::now();
    let mut schedule = Schedule::default();
    schedule.replace(&targets(&[1_000, 1_000, 60_000]), start);
    let places = |schedule: &Schedule| {
        let mut places: Vec<(usize, Instant)> =
            schedule.due.iter().map(|Reverse((due, at))| (*at, *due)).collect();
        places.sort_unstable();
        places
    };
    let before = places(&schedule);
    schedule.replace(&targets(&[1_000, 1_000]), start + Duration::from_millis(700));
    assert_eq!(places(&schedule), before[..2]);
    assert_eq!(schedule.next_due(), before[..2].iter().map(|(_, due)| *due).min());
}

#[test]
fn missed_starts_are_not_made_up_for() {
    let start = Instant::now();
    let mut schedule = Schedule::default();
    schedule.replace(&targets(&[100]), start);
    let late = start + Duration::from_secs(3600);
    assert_eq!(schedule.take_due(late).len(), 1);
    assert!(schedule.next_due().unwrap() > late);
}
