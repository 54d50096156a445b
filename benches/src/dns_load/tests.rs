use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use super::{Outcome, Pace, Questions, run};
use crate::query::{Dnssec, Expectation, Flaw, Shape, Subnet, Template};
use crate::random::Choice;
use crate::udp_echo;

fn questions(answers_min: u16) -> Questions {
    let shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
    let names = ["a.example", "b.example", "c.example"];
    let templates = names.iter().map(|name| Template::new(name, shape).unwrap()).collect();
    Questions {
        templates,
        choice: Choice::new(3, 1.0),
        subnets: vec![Subnet::V4([192, 0, 2]), Subnet::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0])],
        expectation: Expectation { rcode: 0, answers_min },
        right: Vec::new(),
    }
}

fn pace(queries: u64) -> Pace {
    Pace {
        window: 32,
        sockets: 1,
        per_second: 0,
        duration: Duration::from_secs(20),
        queries_max: queries,
        timeout: Duration::from_millis(50),
        seed: 1,
    }
}

/// Runs against an echo on a thread of its own (it ends with the process).
fn check(answers_min: u16, pace: Pace) -> Outcome {
    let socket = udp_echo::bind(([127, 0, 0, 1], 0).into(), 0).unwrap();
    let target = socket.local_addr().unwrap();
    std::thread::spawn(move || udp_echo::serve(&socket, 16));
    run(target, &questions(answers_min), pace).unwrap()
}

#[test]
fn an_echo_answers_every_query() {
    let outcome = check(0, pace(10_000));
    let found = (outcome.sent, outcome.good, outcome.lost, outcome.stray, outcome.wrong());
    assert_eq!(found, (10_000, 10_000, 0, 0, 0));
    assert!(outcome.latency.quantile_ns(500) > 0);
}

#[test]
fn an_echo_is_caught_when_answers_are_wanted() {
    let outcome = check(1, pace(1000));
    assert_eq!((outcome.good, outcome.flaws.get(&Flaw::Answers)), (0, Some(&1000)));
}

#[test]
fn several_sockets_add_up() {
    let outcome = check(0, Pace { sockets: 3, ..pace(1000) });
    assert_eq!((outcome.sent, outcome.good), (3000, 3000));
}

#[test]
fn a_paced_run_does_not_run_ahead() {
    let outcome = check(0, Pace { per_second: 2_000, ..pace(200) });
    assert_eq!(outcome.good, 200);
    assert!(outcome.elapsed >= Duration::from_millis(95), "{:?}", outcome.elapsed);
}

#[test]
fn a_silent_server_loses_everything() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let outcome = run(silent.local_addr().unwrap(), &questions(0), pace(64)).unwrap();
    assert_eq!((outcome.sent, outcome.good, outcome.lost), (64, 0, 64));
}

#[test]
fn other_targets_are_refused() {
    let target: SocketAddr = "192.0.2.1:53".parse().unwrap();
    let refusal = run(target, &questions(0), pace(1)).unwrap_err().to_string();
    assert!(refusal.starts_with("`192.0.2.1:53` is not a loopback address"), "{refusal}");
}

#[test]
fn an_address_of_no_map_is_a_flaw() {
    let mut asked = questions(1);
    let address = |text: &str| text.parse::<std::net::IpAddr>().unwrap();
    let name = &asked.templates[0];
    let mut answer = name.form(Subnet::Absent).to_vec();
    answer.truncate(12 + name.question().len());
    (answer[2], answer[7], answer[11]) = (0x84, 1, 0);
    answer.extend_from_slice(&[0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 30, 0, 4, 192, 0, 2, 1]);
    let right = address("192.0.2.1");
    assert_eq!(asked.check(&answer, 0, 0), Ok(Some(right)), "any is right");
    asked.right = vec![vec![address("192.0.2.9"), right], vec![address("192.0.2.9")]];
    assert_eq!(asked.check(&answer, 0, 0), Ok(Some(right)));
    assert_eq!(asked.check(&answer, 0, 1), Err(Flaw::Address));
}
