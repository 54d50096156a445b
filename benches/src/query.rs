//! DNS queries made once and changed in place per send; and the checks on what comes back.
//!
//! The writer and the checks are our own and independent of the server's, so that a mistake in
//! one is not repeated by the other.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Octets of the DNS header (RFC 1035, section 4.1.1).
pub(crate) const HEADER_OCTETS: usize = 12;
/// Client subnet's option code (RFC 7871, section 6).
const ECS_OPTION: u16 = 8;
/// What the query says it can take over UDP: the DNS flag day's 1232.
const UDP_OCTETS: u16 = 1232;

/// What every query of a run has in common.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Type asked for, as a number (A is 1, AAAA 28).
    pub qtype: u16,
    /// Whether and how the DO bit is set.
    pub dnssec: Dnssec,
}

/// The DO bit (RFC 3225).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dnssec {
    /// Clear.
    Unsigned,
    /// Set: signatures are asked for.
    Signed,
}

/// A client subnet as resolvers send it: /24 for IPv4, /56 for IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subnet {
    /// No ECS option at all.
    Absent,
    /// The first three octets.
    V4([u8; 3]),
    /// The first seven octets.
    V6([u8; 7]),
}

impl Subnet {
    /// The subnet an address is in.
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Self::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g])
            }
        }
    }

    /// The subnet's first address, for printing and for oracles.
    pub fn address(&self) -> Option<IpAddr> {
        match *self {
            Self::Absent => None,
            Self::V4([a, b, c]) => Some(Ipv4Addr::new(a, b, c, 0).into()),
            Self::V6(head) => {
                let mut octets = [0; 16];
                octets[..7].copy_from_slice(&head);
                Some(Ipv6Addr::from(octets).into())
            }
        }
    }

    fn octets(&self) -> &[u8] {
        match self {
            Self::Absent => &[],
            Self::V4(octets) => octets,
            Self::V6(octets) => octets,
        }
    }
}

/// A query for one name, ready but for its id and its subnet: one form per kind of subnet.
#[derive(Debug, Clone)]
pub struct Template {
    forms: [Vec<u8>; 3],
    question_end: usize,
}

impl Template {
    /// Makes the three forms for a name such as `h1.bench.example`.
    ///
    /// # Errors
    /// A label is empty or longer than 63 octets, or the name is longer than 255.
    pub fn new(name: &str, shape: Shape) -> anyhow::Result<Self> {
        let mut question = Vec::with_capacity(name.len() + 6);
        for label in name.trim_end_matches('.').split('.') {
            let len = u8::try_from(label.len()).unwrap_or(u8::MAX);
            anyhow::ensure!((1..=63).contains(&len), "`{name}` is not a host name");
            question.push(len);
            question.extend_from_slice(label.as_bytes());
        }
        question.push(0);
        anyhow::ensure!(question.len() <= 255, "`{name}` is longer than 255 octets");
        question.extend_from_slice(&shape.qtype.to_be_bytes());
        question.extend_from_slice(&1_u16.to_be_bytes());
        let form = |subnet: Subnet| {
            let mut message = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
            message.extend_from_slice(&question);
            push_opt(&mut message, shape.dnssec, subnet);
            message
        };
        let forms = [Subnet::Absent, Subnet::V4([0; 3]), Subnet::V6([0; 7])].map(form);
        Ok(Self { forms, question_end: HEADER_OCTETS + question.len() })
    }

    /// The message to send for a kind of subnet; id and subnet are still zero.
    pub fn form(&self, subnet: Subnet) -> &[u8] {
        match subnet {
            Subnet::Absent => &self.forms[0],
            Subnet::V4(_) => &self.forms[1],
            Subnet::V6(_) => &self.forms[2],
        }
    }

    /// The question as it must come back.
    pub fn question(&self) -> &[u8] {
        &self.forms[0][HEADER_OCTETS..self.question_end]
    }
}

/// Puts id and subnet into a copy of [`Template::form`] (the subnet is the message's end).
pub fn finish(message: &mut [u8], id: u16, subnet: Subnet) {
    message[..2].copy_from_slice(&id.to_be_bytes());
    let octets = subnet.octets();
    let at = message.len() - octets.len();
    message[at..].copy_from_slice(octets);
}

fn push_opt(message: &mut Vec<u8>, dnssec: Dnssec, subnet: Subnet) {
    let flags: u32 = match dnssec {
        Dnssec::Unsigned => 0,
        Dnssec::Signed => 0x8000,
    };
    message.extend_from_slice(&[0, 0, 41]);
    message.extend_from_slice(&UDP_OCTETS.to_be_bytes());
    message.extend_from_slice(&flags.to_be_bytes());
    let (family, source_len): (u16, u8) = match subnet {
        Subnet::Absent => {
            message.extend_from_slice(&[0, 0]);
            return;
        }
        Subnet::V4(_) => (1, 24),
        Subnet::V6(_) => (2, 56),
    };
    let octets = subnet.octets();
    let data_len = u16::try_from(4 + octets.len()).unwrap_or(0);
    message.extend_from_slice(&(4 + data_len).to_be_bytes());
    message.extend_from_slice(&ECS_OPTION.to_be_bytes());
    message.extend_from_slice(&data_len.to_be_bytes());
    message.extend_from_slice(&family.to_be_bytes());
    message.extend_from_slice(&[source_len, 0]);
    message.extend_from_slice(octets);
}

/// What is wrong with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Shorter than a header, or not the question that was asked.
    Question,
    /// Not a response, or not to a standard query.
    Header,
    /// Truncated.
    Truncated,
    /// Another response code than the run expects.
    Rcode,
    /// Fewer answers than the run expects.
    Answers,
    /// An address that none of the maps in use gives this client.
    Address,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Question => "another question",
            Self::Header => "not a response",
            Self::Truncated => "truncated",
            Self::Rcode => "unexpected rcode",
            Self::Answers => "too few answers",
            Self::Address => "an address of no map in use",
        })
    }
}

/// What a good answer must have.
#[derive(Debug, Clone, Copy)]
pub struct Expectation {
    /// The response code.
    pub rcode: u8,
    /// The least number of answer records.
    pub answers_min: u16,
}

/// The id of a message, if it is long enough to have one.
pub fn id_of(message: &[u8]) -> Option<u16> {
    message.first_chunk::<HEADER_OCTETS>().map(|head| u16::from_be_bytes([head[0], head[1]]))
}

/// Checks an answer to `template`'s question.
///
/// # Errors
/// The first flaw found.
pub fn check(message: &[u8], template: &Template, wanted: Expectation) -> Result<(), Flaw> {
    let head = message.first_chunk::<HEADER_OCTETS>().ok_or(Flaw::Question)?;
    if head[2] & 0xF8 != 0x80 {
        return Err(Flaw::Header);
    }
    if head[2] & 0x02 != 0 {
        return Err(Flaw::Truncated);
    }
    if head[3] & 0x0F != wanted.rcode {
        return Err(Flaw::Rcode);
    }
    if u16::from_be_bytes([head[6], head[7]]) < wanted.answers_min {
        return Err(Flaw::Answers);
    }
    let asked = message.get(HEADER_OCTETS..template.question_end);
    if asked == Some(template.question()) { Ok(()) } else { Err(Flaw::Question) }
}

/// The address in the first answer record, when that record is an A or AAAA right after the
/// question whose owner is a compression pointer (every server measured here writes it so).
pub fn first_address(message: &[u8], template: &Template) -> Option<IpAddr> {
    let record = message.get(template.question_end..)?;
    let (head, data) = record.split_first_chunk::<12>()?;
    if head[0] & 0xC0 != 0xC0 {
        return None;
    }
    match (u16::from_be_bytes([head[2], head[3]]), u16::from_be_bytes([head[10], head[11]])) {
        (1, 4) => data.first_chunk::<4>().map(|&octets| Ipv4Addr::from(octets).into()),
        (28, 16) => data.first_chunk::<16>().map(|&octets| Ipv6Addr::from(octets).into()),
        _ => None,
    }
}

/// The client subnet that an answer holds for, and its scope (RFC 7871, section 7.2.1); `None` when
/// the answer says nothing of clients or cannot be read.
pub fn scope_of(message: &[u8]) -> Option<(Subnet, u8)> {
    let count = |at: usize| message.get(at..at + 2).map(|two| u16::from_be_bytes([two[0], two[1]]));
    let mut at = HEADER_OCTETS;
    for _ in 0..count(4)? {
        at = name_end(message, at)? + 4;
    }
    for _ in 0..count(6)?.checked_add(count(8)?)?.checked_add(count(10)?)? {
        at = name_end(message, at)?;
        let data = at + 10;
        let end = data + usize::from(count(at + 8)?);
        if count(at)? == 41 {
            return subnet_among(message.get(data..end)?);
        }
        at = end;
    }
    None
}

/// The client subnet among the options of an OPT record.
fn subnet_among(mut options: &[u8]) -> Option<(Subnet, u8)> {
    while let Some((&[a, b, c, d], rest)) = options.split_first_chunk::<4>() {
        let (value, after) = rest.split_at_checked(u16::from_be_bytes([c, d]).into())?;
        if u16::from_be_bytes([a, b]) == ECS_OPTION {
            let (&[_, family, _, scope], address) = value.split_first_chunk::<4>()?;
            let octet = |at: usize| address.get(at).copied().unwrap_or(0);
            return match family {
                1 => Some((Subnet::V4([octet(0), octet(1), octet(2)]), scope)),
                2 => Some((Subnet::V6(std::array::from_fn(octet)), scope)),
                _ => None,
            };
        }
        options = after;
    }
    None
}

/// Where a name that begins at `at` ends; a pointer ends it.
fn name_end(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer & 0xC0 == 0xC0 => return Some(at + 2),
            len => at += 1 + usize::from(len),
        }
    }
}

#[cfg(test)]
mod tests;
