//! Rdata, wire -> text: what a zone file would say (RFC 1035, section 5.1; RFC 9460, section 2.1).
//!
//! A type is a row of a table: the fields of its rdata, in order. Types without a row, and rdata
//! that is not what its row says, are told as RFC 3597, section 5, has it.

#[cfg(test)]
mod tests;

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use model::record::RecordType;

use super::lookup::Reader;

/// One field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Ip4,
    Ip6,
    Name,
    U8,
    U16,
    U32,
    /// One character-string.
    Text,
    /// Character-strings to the end.
    Texts,
    /// CAA's tag and value (RFC 8659, section 4.1).
    TagValue,
    /// Octets to the end, in hexadecimal.
    Hex,
    /// Service parameters to the end.
    Params,
}

const SHAPES: &[(u16, &[Part])] = &[
    (1, &[Part::Ip4]),
    (2, &[Part::Name]),
    (5, &[Part::Name]),
    (6, &[Part::Name, Part::Name, Part::U32, Part::U32, Part::U32, Part::U32, Part::U32]),
    (12, &[Part::Name]),
    (13, &[Part::Text, Part::Text]),
    (15, &[Part::U16, Part::Name]),
    (16, &[Part::Texts]),
    (28, &[Part::Ip6]),
    (33, &[Part::U16, Part::U16, Part::U16, Part::Name]),
    (35, &[Part::U16, Part::U16, Part::Text, Part::Text, Part::Text, Part::Name]),
    (39, &[Part::Name]),
    (43, &[Part::U16, Part::U8, Part::U8, Part::Hex]),
    (52, &[Part::U8, Part::U8, Part::U8, Part::Hex]),
    (64, &[Part::U16, Part::Name, Part::Params]),
    (65, &[Part::U16, Part::Name, Part::Params]),
    (99, &[Part::Texts]),
    (257, &[Part::U8, Part::TagValue]),
];

/// The text of the `length` octets at the reader's place.
pub(super) fn present(record_type: RecordType, reader: Reader<'_>, length: usize) -> String {
    known(record_type, reader, length).unwrap_or_else(|| unknown(reader, length))
}

fn known(record_type: RecordType, mut reader: Reader<'_>, length: usize) -> Option<String> {
    let (_, parts) = SHAPES.iter().find(|(number, _)| *number == record_type.0)?;
    let end = reader.position() + length;
    let mut text = String::new();
    for part in *parts {
        if !text.is_empty() {
            text.push(' ');
        }
        put(*part, &mut reader, end, &mut text)?;
    }
    (reader.position() == end).then_some(text)
}

fn unknown(mut reader: Reader<'_>, length: usize) -> String {
    let octets = reader.octets(length).unwrap_or_default();
    if octets.is_empty() {
        return "\\# 0".to_owned();
    }
    let mut text = format!("\\# {} ", octets.len());
    put_hex(octets, &mut text);
    text
}

fn put(part: Part, reader: &mut Reader<'_>, end: usize, text: &mut String) -> Option<()> {
    match part {
        Part::Ip4 => write!(text, "{}", Ipv4Addr::from(*reader.octets(4)?.first_chunk::<4>()?)),
        Part::Ip6 => write!(text, "{}", Ipv6Addr::from(*reader.octets(16)?.first_chunk::<16>()?)),
        Part::Name => write!(text, "{}", reader.name()?),
        Part::U8 => write!(text, "{}", reader.u8()?),
        Part::U16 => write!(text, "{}", reader.u16()?),
        Part::U32 => write!(text, "{}", reader.u32()?),
        Part::Text => {
            put_character_string(reader, text)?;
            Ok(())
        }
        Part::Texts => {
            put_character_string(reader, text)?;
            while reader.position() < end {
                text.push(' ');
                put_character_string(reader, text)?;
            }
            Ok(())
        }
        Part::TagValue => {
            let length = reader.u8()?;
            let tag = reader.octets(length.into())?;
            if !tag.iter().all(u8::is_ascii_alphanumeric) {
                return None;
            }
            text.push_str(std::str::from_utf8(tag).ok()?);
            text.push(' ');
            put_quoted(reader.rest(end)?, text);
            Ok(())
        }
        Part::Hex => {
            put_hex(reader.rest(end)?, text);
            Ok(())
        }
        Part::Params => return put_params(reader, end, text),
    }
    .ok()
}

fn put_character_string(reader: &mut Reader<'_>, text: &mut String) -> Option<()> {
    let length = reader.u8()?;
    put_quoted(reader.octets(length.into())?, text);
    Some(())
}

fn put_quoted(octets: &[u8], text: &mut String) {
    text.push('"');
    for &octet in octets {
        match octet {
            b'"' | b'\\' => text.extend(['\\', char::from(octet)]),
            0x20..=0x7e => text.push(char::from(octet)),
            _ => {
                let digits = [octet / 100, octet / 10 % 10, octet % 10];
                text.push('\\');
                text.extend(digits.map(|digit| char::from(b'0' + digit)));
            }
        }
    }
    text.push('"');
}

fn put_hex(octets: &[u8], text: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for &octet in octets {
        let digits = [octet >> 4, octet & 0xf];
        text.extend(digits.map(|digit| char::from(DIGITS[usize::from(digit)])));
    }
}

/// Parameters of the alias form (priority 0) are none, and then the space before them goes.
fn put_params(reader: &mut Reader<'_>, end: usize, text: &mut String) -> Option<()> {
    while reader.position() < end {
        let (key, length) = (reader.u16()?, reader.u16()?);
        put_param(key, reader.octets(length.into())?, text);
        text.push(' ');
    }
    text.truncate(text.trim_end().len());
    Some(())
}

/// A key with the value in the form of its own where it has one, or else as octets, which is right
/// for every key (RFC 9460, section 2.1).
fn put_param(key: u16, value: &[u8], text: &mut String) {
    let told = match key {
        1 => alpn(value).map(|ids| format!("alpn=\"{ids}\"")),
        2 if value.is_empty() => Some("no-default-alpn".to_owned()),
        3 => value.try_into().ok().map(|port| format!("port={}", u16::from_be_bytes(port))),
        4 => hints::<4, Ipv4Addr>(value).map(|ips| format!("ipv4hint={ips}")),
        6 => hints::<16, Ipv6Addr>(value).map(|ips| format!("ipv6hint={ips}")),
        _ => None,
    };
    if let Some(told) = told {
        text.push_str(&told);
        return;
    }
    text.push_str("key");
    text.push_str(&key.to_string());
    if !value.is_empty() {
        text.push('=');
        put_quoted(value, text);
    }
}

fn hints<const OCTETS: usize, Ip: From<[u8; OCTETS]> + ToString>(value: &[u8]) -> Option<String> {
    let (ips, rest) = value.as_chunks::<OCTETS>();
    let ips: Vec<String> = ips.iter().map(|ip| Ip::from(*ip).to_string()).collect();
    (rest.is_empty() && !ips.is_empty()).then(|| ips.join(","))
}

/// Protocol ids with commas between them, when none needs an escape.
fn alpn(mut value: &[u8]) -> Option<String> {
    let mut ids = Vec::new();
    while let Some((&length, rest)) = value.split_first() {
        let (id, rest) = rest.split_at_checked(length.into())?;
        let is_plain = |octet: &u8| octet.is_ascii_graphic() && !b",\\\"".contains(octet);
        ids.push(std::str::from_utf8(id).ok().filter(|_| id.iter().all(is_plain))?);
        value = rest;
    }
    (!ids.is_empty()).then(|| ids.join(","))
}
