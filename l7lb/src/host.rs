//! The authority of a request: a host and perhaps a port, in the one spelling that routes know.
//!
//! Anything that two parsers could read differently (userinfo, empty host, letters outside a
//! registered name) is no host at all here.

use std::borrow::Cow;

use crate::octet;

/// The longest host with port: 253 octets of name, a dot, a colon and five digits.
const AUTHORITY_OCTETS_MAX: usize = 260;

/// A host as routes compare it: lower case, no port, no trailing dot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    /// The name or address; an IPv6 address keeps its brackets.
    pub(crate) name: Cow<'a, str>,
    /// The port, when one was given.
    pub(crate) port: Option<u16>,
}

/// Reads `host[:port]`; `None` when it is not one.
pub(crate) fn parse(authority: &str) -> Option<Host<'_>> {
    if authority.is_empty() || authority.len() > AUTHORITY_OCTETS_MAX {
        return None;
    }
    let (name, port) = if authority.starts_with('[') {
        let end = authority.find(']')?;
        let (name, rest) = authority.split_at(end + 1);
        name[1..end].parse::<std::net::Ipv6Addr>().ok()?;
        (name, rest)
    } else {
        let end = authority.find(':').unwrap_or(authority.len());
        let (name, rest) = authority.split_at(end);
        let name = name.strip_suffix('.').unwrap_or(name);
        let has_empty_label = name.as_bytes().windows(2).any(|pair| pair == b"..");
        if name.is_empty() || has_empty_label || !octet::HOST.holds(name.as_bytes()) {
            return None;
        }
        (name, rest)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|o| o.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok()?)
        }
        _ => return None,
    };
    let name = if name.bytes().any(|octet| octet.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    };
    Some(Host { name, port })
}

#[cfg(test)]
mod tests;
