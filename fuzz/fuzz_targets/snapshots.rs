//! Snapshots: a frame is taken whole or refused, and one that is taken can be served.
//!
//! The first octet of the input chooses: the rest is a frame, or a payload under a right checksum, or
//! changes to the payload of a sound snapshot (three octets each: where, and what).
#![no_main]

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::OnceLock;

use dns::{Settings, Transport, View, respond};
use libfuzzer_sys::fuzz_target;
use model::codec::{FORMAT, MAGIC, decode, encode};
use steering::Snapshot;

/// Magic, format, length and checksum of a frame.
const HEAD_OCTETS: usize = 8 + 2 + 8 + 32;
/// An A query for hello.edge.example with the client subnet 116.31.45.0/24.
const QUERY: &[u8] =
    b"\x12\x34\x01\0\0\x01\0\0\0\0\0\x01\x05hello\x04edge\x07example\0\0\x01\0\x01\
    \0\0\x29\x04\xD0\0\0\0\0\0\x0B\0\x08\0\x07\0\x01\x18\0\x74\x1F\x2D";

fuzz_target!(|input: &[u8]| {
    let Some((&choice, rest)) = input.split_first() else { return };
    let frame = match choice % 3 {
        0 => rest.to_vec(),
        1 => sealed(rest),
        _ => sealed(&changed(rest)),
    };
    let Ok(snapshot) = decode::<Snapshot>(&frame) else { return };
    let again = encode(&snapshot).expect("what was decoded can be encoded");
    assert!(decode::<Snapshot>(&again).is_ok());
    let settings = Settings::default();
    if let Ok(view) = View::build(&snapshot, settings, &RandomState::new()) {
        let client = SocketAddr::from(([116, 31, 45, 7], 53));
        respond(&view, QUERY, client, Transport::Udp, &mut vec![0; 65_535]);
    }
});

fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut frame = MAGIC.to_vec();
    frame.extend(FORMAT.to_le_bytes());
    frame.extend((payload.len() as u64).to_le_bytes());
    frame.extend(blake3::hash(payload).as_bytes());
    frame.extend(payload);
    frame
}

fn changed(changes: &[u8]) -> Vec<u8> {
    static SOUND: OnceLock<Vec<u8>> = OnceLock::new();
    let sound = SOUND.get_or_init(|| encode(&fuzz::world()).expect("the world can be encoded"));
    let mut payload = sound[HEAD_OCTETS..].to_vec();
    for change in changes.chunks_exact(3) {
        let at = usize::from(u16::from_le_bytes([change[0], change[1]])) % payload.len();
        payload[at] = change[2];
    }
    payload
}
