//! Paths: which are refused, and the one form in which routes compare them.
//!
//! A route must not be passed by writing the same path differently (`/public/../admin`,
//! `/%61dmin`, `//admin`). Dot segments are refused in every spelling, because every honest client
//! removes them before sending. Doubled slashes and escaped letters are legitimate, so they are
//! matched in normal form and forwarded as they came.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

use crate::head::Fault;
use crate::octet;

/// Refuses an origin-form target (path and query) that no honest client sends.
pub(crate) fn judge(target: &str) -> Result<(), Fault> {
    // Visible ASCII only; `#` starts a fragment, which is never sent; the rest is no URI character
    // (RFC 3986, section 2) and is read differently by different parsers.
    if !octet::TARGET.holds(target.as_bytes()) {
        return Err(Fault::Target);
    }
    let path = target.split('?').next().unwrap_or_default();
    if memchr2(b'.', b'%', path.as_bytes()).is_none() {
        return Ok(());
    }
    let mut segment = Dots::Empty;
    let mut octets = path.bytes();
    while let Some(octet) = octets.next() {
        let octet = if octet == b'%' { escaped(&mut octets)? } else { octet };
        segment = match (octet, segment) {
            // An escaped slash or backslash separates for some origins, so it does here. Nor does
            // a parameter hide a dot segment: Tomcat reads `..;x` as `..`.
            (0, _) | (b'/' | b'\\' | b';', Dots::One | Dots::Two) => return Err(Fault::Path),
            (b'/' | b'\\', _) => Dots::Empty,
            (b'.', Dots::Empty) => Dots::One,
            (b'.', Dots::One) => Dots::Two,
            _ => Dots::Other,
        };
    }
    if matches!(segment, Dots::One | Dots::Two) { Err(Fault::Path) } else { Ok(()) }
}

#[derive(Clone, Copy)]
enum Dots {
    Empty,
    One,
    Two,
    Other,
}

fn escaped(octets: &mut std::str::Bytes<'_>) -> Result<u8, Fault> {
    let mut digit = || octets.next().and_then(hex).ok_or(Fault::Path);
    Ok(digit()? * 16 + digit()?)
}

/// The value of one hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The form that routes compare: runs of slashes are one slash, escapes of unreserved characters
/// are undone. Borrows when there is nothing to do, which is nearly always. Takes a judged path.
pub(crate) fn normalise(path: &str) -> Cow<'_, str> {
    let octets = path.as_bytes();
    let has_empty_segment = octets.windows(2).any(|pair| pair == b"//");
    if !has_empty_segment && memchr(b'%', octets).is_none() {
        return Cow::Borrowed(path);
    }
    let mut normal = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(first) = rest.chars().next() {
        let (octet, used) = match (first, unreserved_escape(rest)) {
            (_, Some(octet)) => (char::from(octet), 3),
            (other, None) => (other, other.len_utf8()),
        };
        rest = &rest[used..];
        if octet == '/' && used == 1 && normal.ends_with('/') {
            continue;
        }
        normal.push(octet);
    }
    Cow::Owned(normal)
}

/// The octet that an escape at the start of `text` stands for, if it needs no escape
/// (RFC 3986, section 2.3).
fn unreserved_escape(text: &str) -> Option<u8> {
    let octets = text.as_bytes();
    if *octets.first()? != b'%' {
        return None;
    }
    let octet = hex(*octets.get(1)?)? * 16 + hex(*octets.get(2)?)?;
    (octet.is_ascii_alphanumeric() || b"-._~".contains(&octet)).then_some(octet)
}

#[cfg(test)]
mod tests;
