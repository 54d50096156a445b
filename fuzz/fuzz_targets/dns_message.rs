//! DNS messages: any packet gets a well-formed answer or silence; the same packet, the same answer.
//!
//! The first octet of the input chooses transport, client, cookie policy and time, the rest is the
//! packet. Query and answer are read by hickory-proto, which shares no code with ours.
#![no_main]

use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;

use dns::answer::handle;
use dns::{Arrival, CookiePolicy, CookieSecrets, Settings, Transport, View};
use hickory_proto::op::Message;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use libfuzzer_sys::fuzz_target;

/// Header octets (RFC 1035, section 4.1.1), and the least any answer has.
const HEADER_OCTETS: usize = 12;
/// Type and class of a question.
const QUESTION_TAIL_OCTETS: usize = 4;
/// A client subnet of family 0 and no length.
const NOWHERE: [u8; 8] = [0, 8, 0, 4, 0, 0, 0, 0];
/// The largest UDP answer of the settings below, and the least that every client takes.
const UDP_OCTETS_MAX: usize = 1232;
const UDP_OCTETS_MIN: usize = 512;
/// In the life of the cookie among the seeds, and long after it.
const TIMES_S: [u32; 2] = [1_700_000_600, 1_800_000_000];

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
    let view = &views()[usize::from(choice >> 3 & 1)];
    let arrival = Arrival { client, transport, now_s: TIMES_S[usize::from(choice >> 4 & 1)] };
    let (mut out, mut again) = (vec![0; 65_535], vec![0xFF; 65_535]);
    let handled = handle(view, packet, &arrival, &mut out);
    assert_eq!(handled, handle(view, packet, &arrival, &mut again));
    let Some(handled) = handled else {
        let is_query = packet.len() >= HEADER_OCTETS && packet[2] & 0x80 == 0;
        assert!(!is_query, "silence");
        return;
    };
    let answer = &out[..handled.octets];
    assert_eq!(answer, &again[..handled.octets], "two answers to one packet");
    assert!(answer.len() >= HEADER_OCTETS);
    assert_eq!(answer[..2], packet[..2], "the id");
    assert_eq!(answer[2] & 0xF9, 0x80 | packet[2] & 0x79, "QR, opcode and RD");
    assert_eq!(answer[3] & 0xF0, 0, "RA, Z, AD and CD");
    if answer[5] != 0 {
        let end = question_end(answer);
        assert_eq!(answer[HEADER_OCTETS..end], packet[HEADER_OCTETS..end], "the question");
    }
    let query = Message::from_vec(packet).ok();
    if transport == Transport::Udp {
        let asked = query.as_ref().map_or(UDP_OCTETS_MAX, |query| {
            query.edns.as_ref().map_or(UDP_OCTETS_MIN, |edns| edns.max_payload().into())
        });
        let octets_max = asked.clamp(UDP_OCTETS_MIN, UDP_OCTETS_MAX);
        assert!(answer.len() <= octets_max, "{} > {octets_max}", answer.len());
    }
    match Message::from_vec(answer) {
        Ok(answer) => check(query.as_ref(), &answer),
        // Family 0 with a source length of 0 says "nowhere"; dig sends it for `+subnet=0`. It is
        // echoed (RFC 7871, section 7.2.1), and hickory does not know it.
        Err(_) if packet.windows(NOWHERE.len()).any(|octets| octets == NOWHERE) => {}
        Err(e) => panic!("another reader does not understand the answer: {e}"),
    }
});

/// What must hold of an answer beside its octets.
fn check(query: Option<&Message>, answer: &Message) {
    assert!(answer.queries.len() <= 1);
    // Only a client that speaks EDNS may be spoken to in it (RFC 6891, section 7).
    if let Some(query) = query {
        assert!(query.edns.is_some() || answer.edns.is_none(), "EDNS unasked");
    }
    let subnet = |message: &Message| {
        let options = message.edns.as_ref()?.options().clone();
        match options.get(EdnsCode::Subnet)? {
            EdnsOption::Subnet(subnet) => Some(*subnet),
            _ => None,
        }
    };
    if let (Some(asked), Some(given)) = (query.and_then(subnet), subnet(answer)) {
        assert_eq!(given.addr(), asked.addr(), "the subnet's address");
        assert_eq!(given.source_prefix(), asked.source_prefix(), "the subnet's length");
        let scope_max = if given.addr().is_ipv4() { 24 } else { 56 };
        assert!(given.scope_prefix() <= scope_max, "steering is exact at /24 and /56");
    }
}

fn question_end(message: &[u8]) -> usize {
    let mut at = HEADER_OCTETS;
    while message[at] != 0 {
        at += 1 + usize::from(message[at]);
    }
    at + 1 + QUESTION_TAIL_OCTETS
}

/// The same world offering cookies and insisting on them.
fn views() -> &'static [View; 2] {
    static VIEWS: OnceLock<[View; 2]> = OnceLock::new();
    VIEWS.get_or_init(|| {
        [CookiePolicy::Offer, CookiePolicy::Require].map(|cookie_policy| {
            let settings = Settings {
                nsid: b"fuzz".to_vec(),
                cookie_secrets: Some(CookieSecrets::new([7; 16], Some([9; 16]))),
                cookie_policy,
                ..Settings::default()
            };
            assert!(usize::from(settings.udp_octets_max) <= UDP_OCTETS_MAX);
            let view = View::build(&fuzz::world(), settings, &RandomState::new());
            view.expect("the world is served")
        })
    })
}
