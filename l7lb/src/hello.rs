//! The first thing a TLS client says, read without answering it.
//!
//! The server name decides what is done with the connection, passing it on untouched among the
//! choices, so the name must be known before any TLS library answers. Only the records' framing, the
//! message's framing and the `server_name` extension are looked at (RFC 8446, sections 4.1.2 and
//! 5.1; RFC 6066, section 3); everything else is the business of whoever terminates. Pure: octets in,
//! a name out.

use std::borrow::Cow;

/// The most octets of a hello, record headers included. Hellos with post-quantum key shares take
/// about 1.8 KiB, session tickets a few hundred octets; the rest is room.
pub(crate) const HELLO_OCTETS_MAX: usize = 16 * 1024;
/// A record's header: type, version, length.
const RECORD_HEADER: usize = 5;
/// The most octets of a record's fragment (RFC 8446, section 5.1).
const FRAGMENT_MAX: usize = 1 << 14;
/// A DNS name in text takes no more (RFC 1035, section 2.3.4).
const NAME_OCTETS_MAX: usize = 253;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What a hello says to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hello {
    /// In lower case; `None` when the client named no host.
    pub(crate) server_name: Option<Box<str>>,
}

/// Why octets are no hello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HelloFault {
    /// They are not TLS, or do not begin with a hello.
    NotHello,
    /// Longer than [`HELLO_OCTETS_MAX`].
    TooLong,
    /// The framing or the server name contradicts itself.
    Malformed,
}

/// Reads a hello from the first octets of a connection; `None` when more are needed.
pub(crate) fn read(octets: &[u8]) -> Result<Option<Hello>, HelloFault> {
    let found = message(octets).and_then(|body| body.as_deref().map(parse).transpose());
    match found {
        // Whoever has not finished by now never will.
        Ok(None) if octets.len() >= HELLO_OCTETS_MAX => Err(HelloFault::TooLong),
        found => found,
    }
}

/// The hello's body, put together from its fragments.
fn message(octets: &[u8]) -> Result<Option<Cow<'_, [u8]>>, HelloFault> {
    let mut whole: Cow<'_, [u8]> = Cow::Borrowed(&[]);
    let mut rest = octets;
    loop {
        if rest.first().is_some_and(|&kind| kind != HANDSHAKE)
            || rest.get(1).is_some_and(|&major| major != 3)
        {
            return Err(HelloFault::NotHello);
        }
        let Some((header, after)) = rest.split_first_chunk::<RECORD_HEADER>() else {
            return Ok(None);
        };
        let length = usize::from(u16::from_be_bytes([header[3], header[4]]));
        if length == 0 || length > FRAGMENT_MAX {
            return Err(HelloFault::Malformed);
        }
        let Some((fragment, after)) = after.split_at_checked(length) else {
            return Ok(None);
        };
        if whole.is_empty() {
            whole = Cow::Borrowed(fragment);
        } else {
            whole.to_mut().extend_from_slice(fragment);
        }
        if whole.first() != Some(&CLIENT_HELLO) {
            return Err(HelloFault::NotHello);
        }
        if let Some((header, body)) = whole.split_first_chunk::<4>() {
            let length =
                usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3]);
            if length > HELLO_OCTETS_MAX {
                return Err(HelloFault::TooLong);
            }
            if body.len() >= length {
                return Ok(Some(match whole {
                    Cow::Borrowed(whole) => Cow::Borrowed(&whole[4..4 + length]),
                    Cow::Owned(whole) => Cow::Owned(whole[4..4 + length].to_vec()),
                }));
            }
        }
        rest = after;
    }
}

fn parse(body: &[u8]) -> Result<Hello, HelloFault> {
    hello(&mut Reader(body)).ok_or(HelloFault::Malformed)
}

/// `None` when the message contradicts itself.
fn hello(body: &mut Reader<'_>) -> Option<Hello> {
    let mut found = Hello { server_name: None };
    body.take(2 + 32)?;
    body.list8()?;
    body.list16()?;
    body.list8()?;
    // A hello of TLS 1.2 may end before the extensions (RFC 5246, section 7.4.1.2).
    if body.0.is_empty() {
        return Some(found);
    }
    let mut extensions = body.list16()?;
    let mut named = false;
    while !extensions.0.is_empty() {
        let kind = extensions.number16()?;
        let mut extension = extensions.list16()?;
        if kind == SERVER_NAME {
            // Twice is forbidden, and servers that differ on which one counts would disagree.
            if std::mem::replace(&mut named, true) {
                return None;
            }
            let mut names = extension.list16()?;
            let kind = names.take(1)?;
            let name = names.list16()?.0;
            if kind != [HOST_NAME] || !names.0.is_empty() || !extension.0.is_empty() {
                return None;
            }
            found.server_name = host_name(name)?;
        }
    }
    body.0.is_empty().then_some(found)
}

/// The name in lower case; `Some(None)` for an address, which names no host (RFC 6066, section 3).
#[expect(clippy::option_option, reason = "no name and a wrong name are different things")]
fn host_name(name: &[u8]) -> Option<Option<Box<str>>> {
    let text = std::str::from_utf8(name).ok()?;
    let text = text.strip_suffix('.').unwrap_or(text);
    let fits = |octet: u8| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'_' | b'.');
    let is_name = !text.is_empty() && text.len() <= NAME_OCTETS_MAX && text.bytes().all(fits);
    if text.parse::<std::net::IpAddr>().is_ok() {
        return Some(None);
    }
    is_name.then(|| Some(text.to_ascii_lowercase().into_boxed_str()))
}

/// Octets not read yet.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number16(&mut self) -> Option<u16> {
        let octets = self.take(2)?;
        Some(u16::from_be_bytes([octets[0], octets[1]]))
    }

    /// A vector with its length in one octet.
    fn list8(&mut self) -> Option<Self> {
        let length = self.take(1)?[0];
        self.take(usize::from(length)).map(Self)
    }

    /// A vector with its length in two octets.
    fn list16(&mut self) -> Option<Self> {
        let length = self.number16()?;
        self.take(usize::from(length)).map(Self)
    }
}

#[cfg(test)]
mod tests;
