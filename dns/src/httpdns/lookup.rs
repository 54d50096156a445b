//! One lookup: a DNS query made, answered by the engine, and its answer read back.
//!
//! This detour is the point: whatever the engine says over the wire, for every type and every
//! chain, is what is said over HTTP, and there is no second set of rules to keep equal to the first.

use std::net::{IpAddr, SocketAddr};

use model::name::{DnsName, LABEL_OCTETS_MAX, NAME_OCTETS_MAX};
use model::record::RecordType;
use steering::decide::Reason;
use steering::whereabouts::Whereabouts;

use super::rdata;
use super::request::Prefix;
use crate::answer::{Arrival, Transport, handle_at};
use crate::message::edns::OPTION_SUBNET;
use crate::message::{HEADER_OCTETS, TYPE_OPT};
use crate::view::View;

/// The longest answer, as over TCP (RFC 1035, section 4.2.2).
const ANSWER_OCTETS_MAX: usize = 65_535;
const OPTION_EXTENDED_ERROR: u16 = 15;
const CLASS_IN: u16 = 1;

/// What is asked, and for whom.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'q> {
    pub(super) name: &'q DnsName,
    pub(super) record_type: RecordType,
    /// The client subnet.
    pub(super) client: Prefix,
    /// Who asks, whose address stands in for a client that hides (a prefix of length 0).
    pub(super) caller: IpAddr,
    /// Where the client is, if that was told: it goes before its address.
    pub(super) place: Option<&'q Whereabouts>,
}

/// A record of the answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) owner: DnsName,
    pub(super) record_type: RecordType,
    pub(super) ttl_s: u32,
    /// In presentation format.
    pub(super) data: String,
}

/// An answer, read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) rcode: u16,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
    /// For how long a prefix of the client's address the answer holds.
    pub(super) scope_len: Option<u8>,
    /// Code and text (RFC 8914).
    pub(super) extended_errors: Vec<(u16, String)>,
    /// Why, when the name is steered.
    pub(super) reason: Option<Reason>,
}

impl Looked {
    /// Addresses of a type, in order.
    pub(super) fn addresses(&self, record_type: RecordType) -> impl Iterator<Item = &str> {
        let wanted = self.answers.iter().filter(move |record| record.record_type == record_type);
        wanted.map(|record| record.data.as_str())
    }

    /// How long the answer may be kept: the shortest time in it, or in the SOA beside a negative one.
    pub(super) fn ttl_s(&self) -> u32 {
        let records = if self.answers.is_empty() { &self.authorities } else { &self.answers };
        records.iter().map(|record| record.ttl_s).min().unwrap_or(0)
    }
}

/// Asks the engine. `None` when it gives no answer that can be read: it does for every question.
pub(super) fn look_up(view: &View, question: &Question<'_>) -> Option<Looked> {
    let query = query(question);
    let client = SocketAddr::new(question.caller, 0);
    // The time is for cookies alone, and this query has none.
    let arrival = Arrival { client, transport: Transport::Tcp, now_s: 0 };
    let mut out = vec![0; ANSWER_OCTETS_MAX];
    let handled = handle_at(view, &query, (&arrival, question.place), &mut out)?;
    let mut looked = read(out.get(..handled.octets)?)?;
    (looked.rcode, looked.reason) = (handled.rcode, handled.reason);
    Some(looked)
}

/// The query as octets: one question, and an OPT record with the client subnet.
fn query(question: &Question<'_>) -> Vec<u8> {
    let client = question.client;
    let (family, octets): (u8, &[u8]) = match client.ip() {
        IpAddr::V4(ip) => (1, &ip.octets()),
        IpAddr::V6(ip) => (2, &ip.octets()),
    };
    let source_len = client.source_len();
    let sent = &octets[..usize::from(source_len).div_ceil(8).min(octets.len())];
    let mut subnet = vec![0, family, source_len, 0];
    subnet.extend_from_slice(sent);
    // At most 20 octets: the lengths below are one octet wide.
    #[expect(clippy::cast_possible_truncation, reason = "20 at most")]
    let subnet_octets = subnet.len() as u8;

    let mut query = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    query.extend_from_slice(question.name.as_wire());
    query.extend(question.record_type.0.to_be_bytes());
    query.extend(CLASS_IN.to_be_bytes());
    query.push(0);
    query.extend(TYPE_OPT.to_be_bytes());
    query.extend(u16::MAX.to_be_bytes());
    query.extend([0; 4]);
    query.extend([0, subnet_octets + 4]);
    query.extend(OPTION_SUBNET.to_be_bytes());
    query.extend([0, subnet_octets]);
    query.extend(subnet);
    query
}

fn read(packet: &[u8]) -> Option<Looked> {
    let mut reader = Reader { packet, at: 4 };
    let [questions, answers, authorities, additionals] =
        [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?];
    let mut looked = Looked::default();
    for _ in 0..questions {
        reader.name()?;
        reader.octets(4)?;
    }
    for _ in 0..answers {
        looked.answers.push(reader.record()?);
    }
    for _ in 0..authorities {
        looked.authorities.push(reader.record()?);
    }
    for _ in 0..additionals {
        reader.additional(&mut looked)?;
    }
    Some(looked)
}

/// A place in a packet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'p> {
    packet: &'p [u8],
    at: usize,
}

impl<'p> Reader<'p> {
    /// At the start of some octets.
    #[cfg(test)]
    pub(super) fn new(packet: &'p [u8]) -> Self {
        Self { packet, at: 0 }
    }

    pub(super) fn octets(&mut self, count: usize) -> Option<&'p [u8]> {
        let octets = self.packet.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(octets)
    }

    pub(super) fn u8(&mut self) -> Option<u8> {
        self.octets(1)?.first().copied()
    }

    pub(super) fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(*self.octets(2)?.first_chunk()?))
    }

    pub(super) fn u32(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(*self.octets(4)?.first_chunk()?))
    }

    /// What is left before `end`.
    pub(super) fn rest(&mut self, end: usize) -> Option<&'p [u8]> {
        self.octets(end.checked_sub(self.at)?)
    }

    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// A name that may be compressed. A pointer leads back from where it stands (RFC 1035, section
    /// 4.1.4), so every chain of them ends.
    pub(super) fn name(&mut self) -> Option<DnsName> {
        let mut wire = Vec::with_capacity(NAME_OCTETS_MAX);
        let (mut at, mut end) = (self.at, None);
        loop {
            let length = *self.packet.get(at)?;
            if length >= 0xc0 {
                let low = *self.packet.get(at + 1)?;
                end.get_or_insert(at + 2);
                let target = usize::from(u16::from_be_bytes([length & 0x3f, low]));
                at = (target >= HEADER_OCTETS && target < at).then_some(target)?;
                continue;
            }
            if usize::from(length) > LABEL_OCTETS_MAX {
                return None;
            }
            let next = at + 1 + usize::from(length);
            wire.extend_from_slice(self.packet.get(at..next)?);
            if wire.len() > NAME_OCTETS_MAX {
                return None;
            }
            at = next;
            if length == 0 {
                break;
            }
        }
        self.at = end.unwrap_or(at);
        DnsName::from_wire(&wire).ok()
    }

    fn record(&mut self) -> Option<Record> {
        let owner = self.name()?;
        let record_type = RecordType(self.u16()?);
        self.octets(2)?;
        let ttl_s = self.u32()?;
        let length = usize::from(self.u16()?);
        let rdata = *self;
        self.octets(length)?;
        Some(Record { owner, record_type, ttl_s, data: rdata::present(record_type, rdata, length) })
    }

    /// Takes what an OPT record says; every other record is passed over.
    fn additional(&mut self, looked: &mut Looked) -> Option<()> {
        self.name()?;
        let record_type = self.u16()?;
        self.octets(6)?;
        let length = usize::from(self.u16()?);
        let end = self.at + length;
        if record_type != TYPE_OPT {
            return self.octets(length).map(|_| ());
        }
        while self.at < end {
            let (code, length) = (self.u16()?, usize::from(self.u16()?));
            let value = self.octets(length)?;
            match (code, value) {
                (OPTION_SUBNET, &[_, _, _, scope_len, ..]) => looked.scope_len = Some(scope_len),
                (OPTION_EXTENDED_ERROR, &[high, low, ref text @ ..]) => {
                    let text = String::from_utf8_lossy(text).into_owned();
                    looked.extended_errors.push((u16::from_be_bytes([high, low]), text));
                }
                _ => {}
            }
        }
        Some(())
    }
}
