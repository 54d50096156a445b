//! DNS cookies (RFC 7873), made so that every node with the same secret takes the others' (RFC 9018).
//!
//! A server cookie is a version, a time and a keyed hash of both with the client's cookie and address:
//! it costs no memory, and only who receives at that address can have it. Pure: the time comes in.
//!
//! Two secrets are accepted, one is used. Nodes roll over in three steps, each done everywhere before
//! the next: the new secret second, the new one first with the old second, the new one alone an hour
//! later.

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::siphash::{Key, siphash};

/// A client cookie and a version 1 server cookie.
pub(crate) const COOKIE_OCTETS: usize = 24;
/// The client's cookie.
pub(crate) const CLIENT_OCTETS: usize = 8;
const VERSION: u8 = 1;
/// How old a cookie may be, from when on it is renewed, and how far ahead another node's clock may
/// be (RFC 9018, section 4.3).
const AGE_MAX_S: i32 = 3600;
const AGE_RENEWED_S: i32 = 1800;
const AHEAD_MAX_S: i32 = 300;
/// The longest file of secrets read: two keys in hexadecimal and some comment.
const SECRETS_OCTETS_MAX: usize = 4096;
const SECRETS_MAX: usize = 2;

/// What to do with a client that shows no cookie of ours but says it has cookies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CookiePolicy {
    /// Answer, and give it one.
    #[default]
    Offer,
    /// Over UDP give it one with BADCOOKIE and nothing else: it asks again at once. Clients that do
    /// not know of cookies are answered as ever.
    Require,
}

/// The secrets that cookies are made and checked with. Never shown, not even by `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecrets {
    current: Key,
    /// Accepted as well: the one before, or the next.
    other: Option<Key>,
}

/// Why secrets could not be had. Says where, never what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretsError {
    /// A line is not 32 hexadecimal digits.
    #[error("line {line} is not a secret of 32 hexadecimal digits; help: `openssl rand -hex 16`")]
    Line {
        /// Which, from 1.
        line: usize,
    },
    /// There are more secrets than can be in use.
    #[error("line {line} is a third secret; help: keep the one in use and the one before it")]
    TooMany {
        /// Which, from 1.
        line: usize,
    },
    /// There is no secret at all.
    #[error("there is no secret; help: `openssl rand -hex 16`")]
    Empty,
    /// Nobody writes that much for two secrets.
    #[error("more than 4096 octets for two secrets")]
    TooLong,
    /// The system gives no random octets.
    #[error("the system gives no random octets")]
    NoRandom(#[source] getrandom::Error),
}

impl fmt::Debug for CookieSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CookieSecrets").finish_non_exhaustive()
    }
}

impl CookieSecrets {
    /// Cookies are made with `current`; those made with `other` are accepted and renewed.
    pub fn new(current: [u8; 16], other: Option<[u8; 16]>) -> Self {
        Self { current, other }
    }

    /// A secret that nobody else has, for a server that shares its name with no other.
    ///
    /// # Errors
    /// When the system has no random octets to give.
    pub fn random() -> Result<Self, SecretsError> {
        let mut current = [0; 16];
        getrandom::fill(&mut current).map_err(SecretsError::NoRandom)?;
        Ok(Self::new(current, None))
    }

    /// Reads a file of secrets: 32 hexadecimal digits a line, the one in use first, at most one
    /// more. Empty lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// Names the line, and never what it says.
    pub fn parse(text: &str) -> Result<Self, SecretsError> {
        if text.len() > SECRETS_OCTETS_MAX {
            return Err(SecretsError::TooLong);
        }
        let mut found = [None; SECRETS_MAX];
        let mut count = 0;
        for (at, line) in text.lines().enumerate() {
            let (line, number) = (line.trim(), at + 1);
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let place = found.get_mut(count).ok_or(SecretsError::TooMany { line: number })?;
            *place = Some(key_of(line).ok_or(SecretsError::Line { line: number })?);
            count += 1;
        }
        let [current, other] = found;
        Ok(Self { current: current.ok_or(SecretsError::Empty)?, other })
    }

    /// Reads a query's cookie option, of 8 octets or more, and makes the one to answer with.
    ///
    /// Not inlined: few queries carry a cookie, and the others should not pay for its registers.
    #[inline(never)]
    pub(crate) fn reply(&self, sent: &[u8], client: IpAddr, now_s: u32) -> Option<CookieReply> {
        let (&of_client, of_server) = sent.split_first_chunk::<CLIENT_OCTETS>()?;
        let client = client.to_canonical();
        let standing = match of_server.try_into() {
            Ok(of_server) => self.standing(of_client, of_server, client, now_s),
            Err(_) => Standing::Unknown,
        };
        let mut octets = [0; COOKIE_OCTETS];
        if standing == Standing::Fresh {
            octets.copy_from_slice(sent);
        } else {
            let [a, b, c, d] = now_s.to_be_bytes();
            let head = [VERSION, 0, 0, 0, a, b, c, d];
            let hash = hash(&self.current, of_client, head, client);
            octets[..8].copy_from_slice(&of_client);
            octets[8..16].copy_from_slice(&head);
            octets[16..].copy_from_slice(&hash);
        }
        Some(CookieReply { octets, is_known: standing != Standing::Unknown })
    }

    fn standing(
        &self,
        of_client: [u8; CLIENT_OCTETS],
        of_server: &[u8; 16],
        client: IpAddr,
        now_s: u32,
    ) -> Standing {
        let [version, r, s, t, a, b, c, d, sent @ ..] = *of_server;
        // Serial arithmetic (RFC 1982), as RFC 9018 asks for: the clock may pass 2^32.
        let age_s = now_s.wrapping_sub(u32::from_be_bytes([a, b, c, d])).cast_signed();
        if version != VERSION || !(-AHEAD_MAX_S..=AGE_MAX_S).contains(&age_s) {
            return Standing::Unknown;
        }
        // The reserved octets are hashed as they came, whatever a later version puts there.
        let head = [version, r, s, t, a, b, c, d];
        let is_by = |key: &Key| equal(hash(key, of_client, head, client), sent);
        if is_by(&self.current) {
            if age_s <= AGE_RENEWED_S { Standing::Fresh } else { Standing::Renewed }
        } else if self.other.as_ref().is_some_and(is_by) {
            Standing::Renewed
        } else {
            Standing::Unknown
        }
    }
}

/// What a server cookie is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// Ours, and good for a while.
    Fresh,
    /// Ours, and time for a new one.
    Renewed,
    /// None, or not ours, or too old.
    Unknown,
}

/// The cookie to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CookieReply {
    /// The client's cookie and ours.
    pub(crate) octets: [u8; COOKIE_OCTETS],
    /// Whether the client showed that it receives at its address.
    pub(crate) is_known: bool,
}

fn hash(key: &Key, of_client: [u8; CLIENT_OCTETS], head: [u8; 8], client: IpAddr) -> [u8; 8] {
    let mut message = [0; 32];
    message[..8].copy_from_slice(&of_client);
    message[8..16].copy_from_slice(&head);
    match client {
        IpAddr::V4(ip) => {
            message[16..20].copy_from_slice(&ip.octets());
            siphash(key, &message[..20])
        }
        IpAddr::V6(ip) => {
            message[16..].copy_from_slice(&ip.octets());
            siphash(key, &message)
        }
    }
}

/// As one number, so that the time taken does not tell where two hashes differ.
fn equal(made: [u8; 8], sent: [u8; 8]) -> bool {
    u64::from_ne_bytes(made) == u64::from_ne_bytes(sent)
}

fn key_of(line: &str) -> Option<Key> {
    let digits: &[u8; 32] = line.as_bytes().try_into().ok()?;
    let mut key = Key::default();
    for (octet, pair) in key.iter_mut().zip(digits.as_chunks::<2>().0) {
        let [high, low] = pair.map(|digit| char::from(digit).to_digit(16));
        *octet = u8::try_from(high? * 16 + low?).ok()?;
    }
    Some(key)
}
