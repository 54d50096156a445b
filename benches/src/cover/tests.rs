use std::net::{Ipv4Addr, UdpSocket};

use super::{Cover, walk};
use crate::query::{Dnssec, Shape, Template};

/// Walks a server that answers every /24 with the scope that a function gives it.
fn check(scope: fn(Ipv4Addr) -> u8, wanted: Cover) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut packet = [0; 512];
        loop {
            let (octets, from) = socket.recv_from(&mut packet).unwrap();
            packet[2] |= 0x80;
            let [.., a, b, c] = packet[..octets] else { unreachable!() };
            packet[octets - 4] = scope(Ipv4Addr::new(a, b, c, 0));
            socket.send_to(&packet[..octets], from).unwrap();
        }
    });
    let shape = Shape { qtype: 1, dnssec: Dnssec::Unsigned };
    assert_eq!(walk(target, &Template::new("a.example", shape).unwrap()).unwrap(), wanted);
}

#[test]
fn blocks_are_counted_once() {
    check(|_| 12, Cover { blocks: 1 << 12, overlapping: 0, everybody: 0 });
    // The half of 10.0.0.0/8 is told apart by /16.
    let finer = |ip: Ipv4Addr| if u32::from(ip) >> 23 == 20 { 16 } else { 12 };
    check(finer, Cover { blocks: (1 << 12) - 8 + 128, overlapping: 0, everybody: 0 });
}

#[test]
fn a_block_wider_than_a_shard_counts_once() {
    check(|_| 0, Cover { blocks: 1, overlapping: 0, everybody: 1 });
    check(|_| 8, Cover { blocks: 256, overlapping: 0, everybody: 0 });
}

#[test]
fn blocks_that_overlap_are_found() {
    // 10.0.16.0 says that it holds for the /16 around it, of which a part was answered before, and
    // so does 10.1.0.0 of its /12.
    let wider = |ip: Ipv4Addr| match u32::from(ip) >> 12 {
        0x0A000 => 20,
        0x0A001 => 16,
        _ => 12,
    };
    check(wider, Cover { blocks: (1 << 12) + 2, overlapping: 2, everybody: 0 });
}
