use std::collections::BTreeMap;
use std::net::{SocketAddr, UdpSocket};

use super::{RECEIVE_BUFFER_OCTETS, bind, receive_buffer_shortfall};
use crate::cpu::{self, Spread, Workers};

const LOOPBACK: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);
/// Senders, each with a port of its own.
const SENDERS: usize = 200;

/// Sends from each CPU in turn, and counts by CPU of the sender and worker that got it.
fn spread(workers: &Workers) -> BTreeMap<(usize, usize), usize> {
    let sockets = bind(LOOPBACK, workers).expect("a port");
    let target = sockets[0].local_addr().expect("bound");
    let mut counts = BTreeMap::new();
    for cpu in cpu::allowed() {
        let sent = std::thread::spawn(move || {
            cpu::bind_to(cpu).expect("a CPU of ours");
            for _ in 0..SENDERS {
                let sender = UdpSocket::bind(LOOPBACK).expect("a port");
                assert_eq!(sender.send_to(&[1], target).expect("sends"), 1);
            }
        });
        sent.join().expect("no panic");
        for (worker, socket) in sockets.iter().enumerate() {
            socket.set_nonblocking(true).expect("an option");
            let received = std::iter::from_fn(|| socket.recv(&mut [0; 8]).ok()).count();
            counts.insert((cpu, worker), received);
        }
    }
    counts
}

#[test]
fn by_cpu_each_worker_gets_what_its_own_cpu_received() {
    let cpus = cpu::allowed();
    let workers = Workers::plan(None, Spread::Cpu, (&cpus, cpus.len()));
    // A machine whose CPUs are not in a row is served by hash: the next test.
    let bound = workers.cpus.clone().unwrap_or_default();
    for ((cpu, worker), received) in spread(&workers) {
        if let Some(&own) = bound.get(worker) {
            assert_eq!(received, if own == cpu { SENDERS } else { 0 }, "{cpu} {worker}");
        }
    }
}

#[test]
fn by_hash_every_worker_gets_a_part_from_every_cpu() {
    let workers = Workers { count: 2, cpus: None };
    let counts = spread(&workers);
    for cpu in cpu::allowed() {
        let (first, second) = (counts[&(cpu, 0)], counts[&(cpu, 1)]);
        assert_eq!(first + second, SENDERS);
        // Half each, give or take: fewer than a quarter is one in 10^12.
        assert!(first > SENDERS / 4 && second > SENDERS / 4, "{first} {second}");
    }
}

#[test]
fn a_worker_has_room_for_a_burst_or_says_what_it_lacks() {
    let sockets = bind(LOOPBACK, &Workers { count: 1, cpus: None }).expect("a port");
    match receive_buffer_shortfall(&sockets[0]) {
        None => {}
        Some((wanted, given)) => {
            assert_eq!(wanted, RECEIVE_BUFFER_OCTETS);
            assert!(given < wanted);
        }
    }
    socket2::SockRef::from(&sockets[0]).set_recv_buffer_size(4096).expect("smaller is allowed");
    let (wanted, given) = receive_buffer_shortfall(&sockets[0]).expect("short now");
    assert_eq!((wanted, given), (RECEIVE_BUFFER_OCTETS, 4096));
}

#[test]
fn short_turns_leave_the_priority_as_it_is() {
    let nice = rustix::process::getpriority_process(None).expect("a priority");
    super::batch::take_turns_of(super::TURN_NS, nice).expect("an ordinary thread may");
    assert_eq!(rustix::process::getpriority_process(None), Ok(nice));
}
