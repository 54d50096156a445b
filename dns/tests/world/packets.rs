//! Packets for hostile tests: good ones to start from, ways to spoil them, and what must hold of
//! whatever is answered.

use std::net::SocketAddr;

use dns::{Transport, View};
use hickory_proto::op::Message;
use model::record::RecordType;

use super::world::{Ask, RESOLVER};

/// Queries for every kind of answer.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let names = [
        "hello.edge.example",
        "x.fn.edge.example",
        "four.edge.example",
        "fenced.edge.example",
        "edge.example",
        "www.edge.example",
        "alias2.edge.example",
        "loop.edge.example",
        "x.old.old.edge.example",
        "a.sub.edge.example",
        "big.edge.example",
        "a.b.wild.edge.example",
        "empty.edge.example",
        "no.such.name.edge.example",
        "www.other.net",
        ".",
    ];
    let types = [RecordType::A, RecordType::AAAA, RecordType::TXT, RecordType::ANY];
    let mut seeds = Vec::new();
    for name in names {
        for record_type in types {
            let ask = Ask::new(name, record_type);
            seeds.push(ask.packet());
            seeds.push(ask.clone().subnet("1.2.3.0/24").option(3, b"").packet());
            seeds.push(ask.subnet("2001:db8:ff00::/48").option(10, b"12345678").packet());
        }
    }
    seeds
}

/// A small generator, seeded, so that a failure can be had again.
#[derive(Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).expect("31 bits") % end.max(1)
    }

    fn octet(&mut self) -> u8 {
        // Lengths, pointers and small counts are where the trouble is.
        let telling = [0, 1, 2, 3, 8, 12, 41, 63, 64, 0x80, 0xc0, 0xff];
        if self.below(2) == 0 {
            telling[self.below(telling.len())]
        } else {
            self.next().to_le_bytes()[3]
        }
    }
}

/// Spoils a packet in up to four places.
pub(crate) fn spoil(packet: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = random.below(packet.len());
        match random.below(6) {
            0 => packet.truncate(at),
            1 => packet.insert(at.min(packet.len()), random.octet()),
            2 if !packet.is_empty() => drop(packet.remove(at)),
            3 => packet.extend_from_within(at..),
            _ => {
                if let Some(octet) = packet.get_mut(at) {
                    *octet = random.octet();
                }
            }
        }
    }
}

/// What must hold of any packet: silence for what is no query, and otherwise a message that hickory
/// reads, within the client's size, with the query's id.
pub(crate) fn check_packet(view: &View, packet: &[u8]) {
    let client: SocketAddr = RESOLVER.parse().expect("an address");
    for (transport, octets_max) in [(Transport::Udp, 1232), (Transport::Tcp, 65_535)] {
        let mut out = [0xaa; 65_535];
        let Some(octets) = dns::respond(view, packet, client, transport, &mut out) else {
            assert!(packet.len() < 12 || packet[2] & 0x80 != 0, "silence for {packet:?}");
            continue;
        };
        assert!(octets <= octets_max, "{octets} octets for {packet:?}");
        let answer = &out[..octets];
        assert_eq!(answer[..2], packet[..2], "the id");
        assert_eq!(answer[2] & 0xf8, 0x80 | packet[2] & 0x78, "QR and opcode");
        let message = match Message::from_vec(answer) {
            Ok(message) => message,
            Err(error) => panic!("{error}: {answer:?} for {packet:?}"),
        };
        let counted = message.answers.len() + message.authorities.len() + message.additionals.len();
        if counted > 0 {
            let question = 12..12 + question_octets(answer);
            assert_eq!(answer[question.clone()], packet[question], "the question");
        }
        let mut again = [0x55; 65_535];
        let same = dns::respond(view, packet, client, transport, &mut again);
        assert_eq!(same.map(|octets| &again[..octets]), Some(answer), "the same again");
    }
}

fn question_octets(message: &[u8]) -> usize {
    let mut at = 12;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 5 - 12
}
