//! A query, parsed in place.
//!
//! Everything a packet may say is read here, once, without allocation, and past this file nobody
//! looks at the packet's octets again. A packet is a [`Query`], or it is refused with a [`Fault`]
//! that names the response code, or it is dropped. Rules: exactly one question (RFC 9619), no
//! compression in it, nothing in the answer and authority sections, nothing after the last record.

pub(crate) mod edns;
#[cfg(test)]
mod tests;

use model::record::RecordType;

pub use edns::{Edns, Subnet};

use crate::name::NameBuf;

/// Octets of the fixed header (RFC 1035, section 4.1.1).
pub const HEADER_OCTETS: usize = 12;
/// Type, class, TTL and rdata length of a record.
const RECORD_FIXED_OCTETS: usize = 10;
/// The type number of an OPT pseudo-record (RFC 6891, section 6.1.2).
pub(crate) const TYPE_OPT: u16 = 41;
/// Incremental and full transfers (RFC 1995, RFC 5936).
const TYPE_IXFR: u16 = 251;
const TYPE_AXFR: u16 = 252;
const CLASS_IN: u16 = 1;

/// Why a packet is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not one whole, well-formed query.
    Malformed,
    /// QDCOUNT is not one (RFC 9619).
    QuestionCount,
    /// There is no question but a cookie: the client wants ours (RFC 7873, section 5.4).
    CookieAlone,
    /// An opcode other than QUERY.
    Opcode,
    /// A class other than IN.
    Class,
    /// EDNS of a version we do not speak.
    Version,
    /// A client subnet that breaks RFC 7871.
    Subnet,
    /// A cookie of a length that cannot be (RFC 7873, section 5.2.2).
    Cookie,
    /// No cookie of ours, where the policy wants one (RFC 7873, section 5.2.3).
    CookieUnknown,
    /// A zone transfer; nobody may have one yet.
    Transfer,
    /// A meta type that asks for something we do not do.
    MetaType,
}

impl Fault {
    /// The response code, extended ones included (RFC 6891, section 6.1.3).
    pub fn rcode(self) -> u16 {
        match self {
            Self::Malformed | Self::QuestionCount | Self::Subnet | Self::Cookie => rcode::FORMERR,
            Self::Opcode | Self::MetaType => rcode::NOTIMP,
            Self::Class | Self::Transfer => rcode::REFUSED,
            Self::Version => rcode::BADVERS,
            Self::CookieUnknown => rcode::BADCOOKIE,
            Self::CookieAlone => rcode::NOERROR,
        }
    }
}

/// Response codes (IANA registry).
pub mod rcode {
    /// No error.
    pub const NOERROR: u16 = 0;
    /// The query is malformed.
    pub const FORMERR: u16 = 1;
    /// The server could not answer.
    pub const SERVFAIL: u16 = 2;
    /// The name does not exist.
    pub const NXDOMAIN: u16 = 3;
    /// The opcode or type is not implemented.
    pub const NOTIMP: u16 = 4;
    /// Not ours, or not allowed.
    pub const REFUSED: u16 = 5;
    /// A DNAME substitution became too long (RFC 6672, section 2.2).
    pub const YXDOMAIN: u16 = 6;
    /// The EDNS version is not supported (RFC 6891, section 9).
    pub const BADVERS: u16 = 16;
    /// Ask again with the cookie of this answer (RFC 7873, section 8).
    pub const BADCOOKIE: u16 = 23;
}

/// A query that can be answered.
#[derive(Debug)]
pub struct Query<'a> {
    /// The whole packet; its header and question are echoed.
    pub packet: &'a [u8],
    /// The name asked for, lower-cased; its case is kept in `packet`.
    pub name: &'a NameBuf,
    /// The type asked for.
    pub record_type: RecordType,
    /// What the OPT record says, if there is one.
    pub edns: Option<Edns<'a>>,
}

impl Query<'_> {
    /// Where the question ends in the packet.
    pub fn question_end(&self) -> usize {
        HEADER_OCTETS + self.name.octet_count() + 4
    }
}

/// A packet that is not answered with records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal<'a> {
    /// Not a query at all: silence.
    Drop,
    /// Answered with a bare response code.
    Answer {
        /// What is wrong.
        fault: Fault,
        /// Where the question ends that the answer echoes; the header's end when there is none.
        question_end: usize,
        /// What the OPT record said, when it could be read.
        edns: Option<Edns<'a>>,
    },
}

impl Refusal<'_> {
    fn bare(fault: Fault) -> Self {
        Self::Answer { fault, question_end: HEADER_OCTETS, edns: None }
    }
}

/// Reads a packet. The question's name is kept in `name`, which the caller lends so that nothing of
/// its size is moved about.
///
/// # Errors
/// The refusal, when it is not a query to be answered.
#[inline]
pub fn parse<'a>(packet: &'a [u8], name: &'a mut NameBuf) -> Result<Query<'a>, Refusal<'a>> {
    let header: &[u8; HEADER_OCTETS] = packet.first_chunk().ok_or(Refusal::Drop)?;
    if header[2] & 0x80 != 0 {
        return Err(Refusal::Drop);
    }
    if header[2] & 0x78 != 0 {
        return Err(Refusal::bare(Fault::Opcode));
    }
    let count = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    if count(4) != 1 {
        let is_bare = count(4) == 0 && count(6) == 0 && count(8) == 0;
        let refusal = Refusal::bare(Fault::QuestionCount);
        return Err(if is_bare { without_question(packet, count(10)) } else { refusal });
    }
    name.refill(&packet[HEADER_OCTETS..]).ok_or_else(|| Refusal::bare(Fault::Malformed))?;
    let name_end = HEADER_OCTETS + name.octet_count();
    let Some(&[type_high, type_low, class_high, class_low]) = packet[name_end..].first_chunk()
    else {
        return Err(Refusal::bare(Fault::Malformed));
    };
    let question_end = name_end + 4;
    let record_type = RecordType(u16::from_be_bytes([type_high, type_low]));
    let fail = |fault, edns| Refusal::Answer { fault, question_end, edns };

    // An IXFR query carries an SOA in its authority section (RFC 1995, section 3); it is refused
    // whole, so nothing of it is read.
    if record_type.0 == TYPE_IXFR || record_type.0 == TYPE_AXFR {
        return Err(fail(Fault::Transfer, None));
    }
    if count(6) != 0 || count(8) != 0 {
        return Err(fail(Fault::Malformed, None));
    }
    let option = additional(packet, question_end, count(10)).map_err(|fault| fail(fault, None))?;
    let mut edns = None;
    if let Some(option) = option {
        option.read(edns.insert(Edns::default())).map_err(|fault| fail(fault, edns))?;
    }
    if u16::from_be_bytes([class_high, class_low]) != CLASS_IN {
        return Err(fail(Fault::Class, edns));
    }
    match record_type.0 {
        TYPE_OPT => Err(fail(Fault::Malformed, edns)),
        // TKEY, TSIG, MAILB, MAILA (RFC 6895, section 3.1: meta types that are never data).
        249 | 250 | 253 | 254 => Err(fail(Fault::MetaType, edns)),
        _ => Ok(Query { packet, name, record_type, edns }),
    }
}

/// What is said to a query of nothing but an additional section.
#[cold]
fn without_question(packet: &[u8], additionals: u16) -> Refusal<'_> {
    let answer = |fault, edns| Refusal::Answer { fault, question_end: HEADER_OCTETS, edns };
    match additional(packet, HEADER_OCTETS, additionals) {
        Ok(Some(option)) => {
            let mut edns = Edns::default();
            let fault = match option.read(&mut edns) {
                Ok(()) if edns.cookie.is_some() => Fault::CookieAlone,
                Ok(()) => Fault::QuestionCount,
                Err(fault) => fault,
            };
            answer(fault, Some(edns))
        }
        Ok(None) => Refusal::bare(Fault::QuestionCount),
        Err(fault) => Refusal::bare(fault),
    }
}

/// Walks the additional section for its OPT record. Each record takes at least eleven octets, so
/// the packet's length bounds the walk whatever ARCOUNT says.
#[inline]
fn additional(
    packet: &[u8],
    mut at: usize,
    count: u16,
) -> Result<Option<edns::RawOption<'_>>, Fault> {
    let mut option = None;
    for _ in 0..count {
        let at_root = packet.get(at) == Some(&0);
        let fixed_at = skip_name(packet, at).ok_or(Fault::Malformed)?;
        let rdata_at = fixed_at + RECORD_FIXED_OCTETS;
        let fixed: &[u8; RECORD_FIXED_OCTETS] =
            packet.get(fixed_at..).and_then(<[u8]>::first_chunk).ok_or(Fault::Malformed)?;
        let length = usize::from(u16::from_be_bytes([fixed[8], fixed[9]]));
        let rdata = packet.get(rdata_at..rdata_at + length).ok_or(Fault::Malformed)?;
        if u16::from_be_bytes([fixed[0], fixed[1]]) == TYPE_OPT {
            // One OPT at the root, or the message is malformed (RFC 6891, section 6.1.1).
            if !at_root || option.is_some() {
                return Err(Fault::Malformed);
            }
            option = Some(edns::RawOption { fixed, rdata });
        }
        at = rdata_at + length;
    }
    if at == packet.len() { Ok(option) } else { Err(Fault::Malformed) }
}

/// Where the name at `at` ends. A pointer ends it and is not followed: nobody reads these names.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=0x3f => at += 1 + usize::from(length),
            0xc0.. => return packet.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}
