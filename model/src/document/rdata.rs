//! Rdata text -> wire (RFC 1035, section 5; each type's own RFC for its fields).
//!
//! A type is a row of a table: the fields its rdata has, in order. hickory-proto is the tests'
//! oracle and not the parser, because it takes no origin for relative names and turns octet escapes
//! in texts into UTF-8.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::master::{Word, name_under, unescape};
use super::{base64, svcb};
use crate::name::DnsName;
use crate::record::RecordType;

/// The most octets rdata may have: its length is 16 bits on the wire.
const RDATA_OCTETS_MAX: usize = 65_535;
/// The longest character-string (RFC 1035, section 3.3).
const TEXT_OCTETS_MAX: usize = 255;

/// One field of rdata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Ip4,
    Ip6,
    Name,
    U8,
    U16,
    U32,
    /// Seconds, also as `1h30m`.
    Time,
    /// One character-string.
    Text,
    /// One or more of them, to the end.
    Texts,
    /// CAA's tag: letters and digits with a length before them (RFC 8659).
    Tag,
    /// One word to the end, without a length.
    Raw,
    /// Octets to the end, in hexadecimal.
    Hex,
    /// Octets to the end, in Base64.
    Base64,
    /// So many octets as `00-11-…` (RFC 7043).
    Eui(u8),
    /// Service parameters (RFC 9460).
    Params,
}

const SHAPES: &[(u16, &[Part])] = &[
    (1, &[Part::Ip4]),
    (2, &[Part::Name]),
    (5, &[Part::Name]),
    (6, &[Part::Name, Part::Name, Part::U32, Part::Time, Part::Time, Part::Time, Part::Time]),
    (12, &[Part::Name]),
    (13, &[Part::Text, Part::Text]),
    (15, &[Part::U16, Part::Name]),
    (16, &[Part::Texts]),
    (17, &[Part::Name, Part::Name]),
    (18, &[Part::U16, Part::Name]),
    (28, &[Part::Ip6]),
    (33, &[Part::U16, Part::U16, Part::U16, Part::Name]),
    (35, &[Part::U16, Part::U16, Part::Text, Part::Text, Part::Text, Part::Name]),
    (36, &[Part::U16, Part::Name]),
    (37, &[Part::U16, Part::U16, Part::U8, Part::Base64]),
    (39, &[Part::Name]),
    (43, &[Part::U16, Part::U8, Part::U8, Part::Hex]),
    (44, &[Part::U8, Part::U8, Part::Hex]),
    (48, &[Part::U16, Part::U8, Part::U8, Part::Base64]),
    (52, &[Part::U8, Part::U8, Part::U8, Part::Hex]),
    (53, &[Part::U8, Part::U8, Part::U8, Part::Hex]),
    (59, &[Part::U16, Part::U8, Part::U8, Part::Hex]),
    (60, &[Part::U16, Part::U8, Part::U8, Part::Base64]),
    (61, &[Part::Base64]),
    (64, &[Part::U16, Part::Name, Part::Params]),
    (65, &[Part::U16, Part::Name, Part::Params]),
    (99, &[Part::Texts]),
    (108, &[Part::Eui(6)]),
    (109, &[Part::Eui(8)]),
    (256, &[Part::U16, Part::U16, Part::Raw]),
    (257, &[Part::U8, Part::Tag, Part::Raw]),
    (65_401, &[Part::Name]),
];

/// What data of a type looks like, for whoever wrote something else.
pub(super) fn help(record_type: RecordType) -> String {
    format!("write {record_type} data like `{}`", example(record_type))
}

fn example(record_type: RecordType) -> &'static str {
    match record_type.0 {
        1 => "192.0.2.1",
        2 => "ns1.edge.example.",
        5 | 12 | 39 | 65_401 => "www.edge.example.",
        6 => "ns1.edge.example. hostmaster.edge.example. 1 3600 600 604800 30",
        13 => "\"any\" \"any\"",
        15 | 18 | 36 => "10 mail.edge.example.",
        16 | 99 => "\"up to 255 octets\" \"and more\"",
        17 => "hostmaster.edge.example. info.edge.example.",
        28 => "2001:db8::1",
        33 => "10 5 443 www.edge.example.",
        35 => "100 50 \"s\" \"SIP+D2T\" \"\" _sip._tcp.edge.example.",
        37 => "1 0 0 AQPSKmynfz",
        43 | 59 => "12345 13 2 HEX",
        44 => "4 2 HEX",
        48 | 60 => "257 3 13 BASE64",
        52 | 53 => "3 1 1 HEX",
        61 => "BASE64",
        64 | 65 => "1 . alpn=h2,h3",
        108 => "00-00-5e-00-53-2a",
        109 => "00-00-5e-ef-10-00-00-2a",
        256 => "10 1 \"https://www.edge.example/\"",
        257 => "0 issue \"ca.example\"",
        _ => "\\# 4 c0000201",
    }
}

/// What is wrong with rdata, and with which word; `None` is the whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RdataError {
    pub(super) word: Option<usize>,
    pub(super) message: String,
}

impl RdataError {
    pub(super) fn whole(message: impl Into<String>) -> Self {
        Self { word: None, message: message.into() }
    }

    fn at(word: usize, message: impl Into<String>) -> Self {
        Self { word: Some(word), message: message.into() }
    }
}

/// Encodes rdata; relative names are below `origin`.
pub(super) fn encode(
    record_type: RecordType,
    words: &[Word<'_>],
    origin: &DnsName,
) -> Result<Box<[u8]>, RdataError> {
    let shape = SHAPES.iter().find(|(number, _)| *number == record_type.0).map(|(_, shape)| *shape);
    let octets = match (words.split_first(), shape) {
        (Some((first, rest)), _) if !first.quoted && first.text == "\\#" => {
            let octets = encode_generic(rest)?;
            if let Some(shape) = shape
                && !fits(shape, &octets)
            {
                return Err(RdataError::whole(format!("these octets are not a {record_type}")));
            }
            octets
        }
        (_, Some(shape)) => encode_shape(record_type, shape, words, origin)?,
        (_, None) => {
            let message = format!("{record_type} has no text form here: write `\\# LENGTH HEX`");
            return Err(RdataError::at(0, message));
        }
    };
    if octets.len() > RDATA_OCTETS_MAX {
        return Err(RdataError::whole(format!(
            "the data is longer than {RDATA_OCTETS_MAX} octets"
        )));
    }
    Ok(octets.into_boxed_slice())
}

/// `\# LENGTH HEX…` without its first word (RFC 3597, section 5).
fn encode_generic(words: &[Word<'_>]) -> Result<Vec<u8>, RdataError> {
    let Some((length, hex)) = words.split_first() else {
        return Err(RdataError::at(0, "`\\#` needs a length and octets in hexadecimal"));
    };
    let length: usize = length
        .text
        .parse()
        .map_err(|_| RdataError::at(1, format!("`{}` is not a length", length.text)))?;
    let octets = if hex.is_empty() { Vec::new() } else { decode_hex(hex, 2)? };
    if octets.len() != length {
        let message = format!("{length} octets are announced and {} are there", octets.len());
        return Err(RdataError::at(1, message));
    }
    Ok(octets)
}

fn encode_shape(
    record_type: RecordType,
    shape: &[Part],
    words: &[Word<'_>],
    origin: &DnsName,
) -> Result<Vec<u8>, RdataError> {
    let mut octets = Vec::new();
    let mut at = 0;
    for part in shape {
        let rest = words.get(at..).unwrap_or_default();
        let taken = match part {
            Part::Texts | Part::Hex | Part::Base64 => {
                encode_rest(*part, rest, at, &mut octets)?;
                rest.len()
            }
            Part::Params => {
                let is_alias = octets.starts_with(&[0, 0]);
                svcb::encode(rest, is_alias, &mut octets).map_err(|(word, message)| {
                    RdataError { word: word.map(|w| w + at), message }
                })?;
                rest.len()
            }
            _ => {
                let Some(word) = rest.first() else {
                    let (wanted, found) = (shape.len(), words.len());
                    let message = format!("{record_type} has {wanted} fields, {found} are given");
                    return Err(RdataError::whole(message));
                };
                encode_word(*part, word, origin, &mut octets)
                    .map_err(|message| RdataError::at(at, message))?;
                1
            }
        };
        at += taken;
    }
    match words.get(at) {
        Some(word) => Err(RdataError::at(at, format!("`{}` is one field too many", word.text))),
        None => Ok(octets),
    }
}

fn encode_rest(
    part: Part,
    words: &[Word<'_>],
    at: usize,
    octets: &mut Vec<u8>,
) -> Result<(), RdataError> {
    if words.is_empty() {
        return Err(RdataError::whole("the data ends too early"));
    }
    match part {
        Part::Texts => {
            for (index, word) in words.iter().enumerate() {
                push_text(word, octets).map_err(|message| RdataError::at(at + index, message))?;
            }
        }
        Part::Hex => octets.extend(decode_hex(words, at)?),
        _ => {
            let text: String = words.iter().map(|word| word.text).collect();
            let decoded = base64::decode(&text).filter(|decoded| !decoded.is_empty());
            octets.extend(decoded.ok_or_else(|| RdataError::at(at, "this is not Base64"))?);
        }
    }
    Ok(())
}

fn encode_word(
    part: Part,
    word: &Word<'_>,
    origin: &DnsName,
    octets: &mut Vec<u8>,
) -> Result<(), String> {
    let text = word.text;
    let not_a = |what: &str| format!("`{text}` is not {what}");
    match part {
        Part::Ip4 => {
            let ip: Ipv4Addr = text.parse().map_err(|_| not_a("an IPv4 address"))?;
            octets.extend(ip.octets());
        }
        Part::Ip6 => {
            let ip: Ipv6Addr = text.parse().map_err(|_| not_a("an IPv6 address"))?;
            octets.extend(ip.octets());
        }
        Part::Name => {
            let name = name_under(text, origin);
            let name = name.map_err(|error| format!("`{text}` is not a name: {error}"))?;
            octets.extend(name.as_wire());
        }
        Part::U8 => octets.push(text.parse().map_err(|_| not_a("a number from 0 to 255"))?),
        Part::U16 => {
            let number: u16 = text.parse().map_err(|_| not_a("a number from 0 to 65535"))?;
            octets.extend(number.to_be_bytes());
        }
        Part::U32 => {
            let number: u32 = text.parse().map_err(|_| not_a("a 32-bit number"))?;
            octets.extend(number.to_be_bytes());
        }
        Part::Time => {
            let seconds = parse_ttl_s(text).ok_or_else(|| not_a("a number of seconds"))?;
            octets.extend(seconds.to_be_bytes());
        }
        Part::Text => push_text(word, octets)?,
        Part::Tag => {
            let fine = (1..=15).contains(&text.len())
                && text.bytes().all(|octet| octet.is_ascii_alphanumeric());
            let length = u8::try_from(text.len()).ok().filter(|_| fine);
            octets.push(length.ok_or_else(|| not_a("a CAA tag"))?);
            octets.extend(text.to_ascii_lowercase().bytes());
        }
        Part::Raw => octets.extend(unescape(text).ok_or_else(|| not_a("text: bad escape"))?),
        Part::Eui(length) => {
            let parts: Vec<&str> = text.split('-').collect();
            let octet =
                |part: &&str| (part.len() == 2).then(|| u8::from_str_radix(part, 16).ok())?;
            let parsed: Option<Vec<u8>> = parts.iter().map(octet).collect();
            let parsed = parsed.filter(|parsed| parsed.len() == usize::from(length));
            octets.extend(parsed.ok_or_else(|| not_a("an EUI"))?);
        }
        Part::Texts | Part::Hex | Part::Base64 | Part::Params => {}
    }
    Ok(())
}

fn push_text(word: &Word<'_>, octets: &mut Vec<u8>) -> Result<(), String> {
    let text = unescape(word.text).ok_or_else(|| format!("`{}` has a bad escape", word.text))?;
    let length = u8::try_from(text.len());
    octets.push(length.map_err(|_| {
        format!("a text is longer than {TEXT_OCTETS_MAX} octets: split it into several")
    })?);
    octets.extend(text);
    Ok(())
}

fn decode_hex(words: &[Word<'_>], at: usize) -> Result<Vec<u8>, RdataError> {
    let digits: String = words.iter().map(|word| word.text).collect();
    let pairs = digits.as_bytes().chunks(2);
    let nibble = |octet: u8| char::from(octet).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let octet = |pair: &[u8]| match *pair {
        [high, low] => Some(nibble(high)? << 4 | nibble(low)?),
        _ => None,
    };
    pairs
        .map(octet)
        .collect::<Option<_>>()
        .ok_or_else(|| RdataError::at(at, "this is not pairs of hexadecimal digits"))
}

/// Whether wire octets have a shape, so that readers of `\#` data need not check again.
fn fits(shape: &[Part], octets: &[u8]) -> bool {
    let mut rest = octets;
    for part in shape {
        let taken = match part {
            Part::U8 => 1,
            Part::U16 => 2,
            Part::Ip4 | Part::U32 | Part::Time => 4,
            Part::Ip6 => 16,
            Part::Eui(length) => usize::from(*length),
            Part::Text | Part::Tag => match rest.first() {
                Some(length) => 1 + usize::from(*length),
                None => return false,
            },
            Part::Name => match name_octets(rest) {
                Some(length) => length,
                None => return false,
            },
            Part::Params => return svcb::is_wire(rest),
            Part::Texts => return is_texts(rest),
            Part::Hex | Part::Base64 if rest.is_empty() => return false,
            Part::Hex | Part::Base64 | Part::Raw => rest.len(),
        };
        let Some(tail) = rest.get(taken..) else { return false };
        rest = tail;
    }
    rest.is_empty()
}

fn is_texts(mut rest: &[u8]) -> bool {
    let mut texts = 0;
    while let Some((length, tail)) = rest.split_first() {
        let Some(tail) = tail.get(usize::from(*length)..) else { return false };
        rest = tail;
        texts += 1;
    }
    texts > 0
}

fn name_octets(octets: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let length = usize::from(*octets.get(at)?);
        at += 1 + length;
        if length == 0 {
            return DnsName::from_wire(octets.get(..at)?).ok().map(|_| at);
        }
    }
}

/// A TTL: seconds, or numbers with `w`, `d`, `h`, `m`, `s` as BIND takes them; 31 bits (RFC 2181).
pub(super) fn parse_ttl_s(text: &str) -> Option<u32> {
    let mut total: u32 = 0;
    let mut number: Option<u32> = None;
    for c in text.bytes() {
        if c.is_ascii_digit() {
            let digit = u32::from(c - b'0');
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit_s = match c.to_ascii_lowercase() {
            b'w' => 604_800,
            b'd' => 86_400,
            b'h' => 3_600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit_s)?)?;
    }
    if text.is_empty() {
        return None;
    }
    total.checked_add(number.unwrap_or(0)).filter(|seconds| *seconds <= 0x7fff_ffff)
}

#[cfg(test)]
mod tests;
