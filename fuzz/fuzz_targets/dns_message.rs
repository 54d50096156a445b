//! DNS messages: any packet gets a well-formed answer or silence; the same packet, the same answer.
//!
//! The first octet of the input chooses transport and client, the rest is the packet. The answer is
//! read back by hickory-proto, which shares no code with ours.
#![no_main]

use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use dns::{Settings, Transport, View, respond};
use hickory_proto::op::Message;
use libfuzzer_sys::fuzz_target;

/// Header octets (RFC 1035, section 4.1.1), and the least any answer has.
const HEADER_OCTETS: usize = 12;
/// A client subnet of family 0 and no length.
const NOWHERE: [u8; 8] = [0, 8, 0, 4, 0, 0, 0, 0];
/// The largest UDP answer of the settings below.
const UDP_OCTETS_MAX: usize = 1232;

fuzz_target!(|input: &[u8]| {
    let Some((&choice, packet)) = input.split_first() else { return };
    let transport = if choice & 1 == 0 { Transport::Udp } else { Transport::Tcp };
    let ip: IpAddr = match choice & 6 {
        0 => [116, 31, 45, 7].into(),
        2 => [8, 8, 8, 8].into(),
        4 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
        _ => [0, 0, 0, 0, 0, 0xffff, 0x741f, 0x2d07].into(),
    };
    let client = SocketAddr::new(ip, 4096);
    let (mut out, mut again) = (vec![0; 65_535], vec![0xFF; 65_535]);
    let octets = respond(view(), packet, client, transport, &mut out);
    assert_eq!(octets, respond(view(), packet, client, transport, &mut again));
    let Some(octets) = octets else { return };
    let answer = &out[..octets];
    assert_eq!(answer, &again[..octets], "two answers to one packet");
    assert!(answer.len() >= HEADER_OCTETS);
    assert_eq!(answer[..2], packet[..2], "the id");
    assert_eq!(answer[2] & 0xF9, 0x80 | packet[2] & 0x79, "QR, opcode and RD");
    if transport == Transport::Udp {
        assert!(answer.len() <= UDP_OCTETS_MAX, "{}", answer.len());
    }
    match Message::from_vec(answer) {
        Ok(message) => assert!(message.queries.len() <= 1),
        // Family 0 with a source length of 0 says "nowhere"; dig sends it for `+subnet=0`. It is
        // echoed (RFC 7871, section 7.2.1), and hickory does not know it.
        Err(_) if packet.windows(NOWHERE.len()).any(|octets| octets == NOWHERE) => {}
        Err(e) => panic!("another reader does not understand the answer: {e}"),
    }
});

fn view() -> &'static View {
    static VIEW: OnceLock<View> = OnceLock::new();
    VIEW.get_or_init(|| {
        let settings = Settings::default();
        assert!(usize::from(settings.udp_octets_max) <= UDP_OCTETS_MAX);
        View::build(&fuzz::world(), settings, &RandomState::new()).expect("the world is served")
    })
}
