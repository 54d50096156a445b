use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use super::{Failure, Outcome, Pace, Request, run, status_and_length};
use crate::http_origin;

fn request(body_octets: u64) -> Request {
    Request { host: "bench.example".to_owned(), path: "/".to_owned(), status: 200, body_octets }
}

fn pace(connections: usize, requests: u64) -> Pace {
    Pace {
        connections,
        per_second: 0,
        duration: Duration::from_secs(20),
        requests_max: requests,
        timeout: Duration::from_millis(200),
    }
}

fn check(octets: usize, request: &Request, pace: Pace) -> Outcome {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    let response = http_origin::response(octets);
    std::thread::spawn(move || http_origin::serve(&listener, &response));
    run(target, request, pace).unwrap()
}

#[test]
fn small_and_large_bodies_arrive_whole() {
    for octets in [0, 1024, 100 << 10] {
        let outcome = check(octets, &request(octets as u64), pace(8, 2_000));
        let found = (outcome.sent, outcome.good, outcome.failed(), outcome.reopened);
        assert_eq!(found, (2_000, 2_000, 0, 0), "{octets}");
    }
}

#[test]
fn a_wrong_length_or_status_is_caught() {
    let outcome = check(1024, &request(1025), pace(1, 3));
    assert_eq!((outcome.good, outcome.failures), (0, BTreeMap::from([(Failure::Length, 3)])));
    let wanted = Request { status: 204, ..request(1024) };
    let outcome = check(1024, &wanted, pace(1, 3));
    assert_eq!((outcome.good, outcome.failures), (0, BTreeMap::from([(Failure::Status, 3)])));
}

#[test]
fn a_paced_run_does_not_run_ahead() {
    let outcome = check(10, &request(10), Pace { per_second: 1_000, ..pace(4, 100) });
    assert_eq!(outcome.good, 100);
    assert!(outcome.elapsed >= Duration::from_millis(95), "{:?}", outcome.elapsed);
}

#[test]
fn a_server_that_hangs_up_is_a_failure_and_not_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let count = stream.read(&mut [0; 4096]).unwrap();
            if count > 0 {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal").unwrap();
            }
        }
    });
    let outcome = run(target, &request(5), pace(1, 3)).unwrap();
    assert_eq!((outcome.sent, outcome.good, outcome.failed()), (3, 0, 3));
    assert_eq!(outcome.failures.get(&Failure::Connection), Some(&3));
}

#[test]
fn heads() {
    let head = |text: &str| status_and_length(text.as_bytes());
    assert_eq!(head("HTTP/1.1 200 OK\r\nA: b\r\ncontent-LENGTH:  7"), Some((200, 7)));
    assert_eq!(head("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"), None);
    assert_eq!(head("SSH-2.0"), None);
}
