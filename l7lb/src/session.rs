//! Session persistence (GEP-1619): which endpoint a client keeps, told by a token that it carries.
//!
//! A token holds a keyed hash of the endpoint's address, so that it says nothing about the site's
//! inside, the times of its issue and last use, and a MAC over all of it and the rule. What does not
//! verify, has expired, or names an endpoint that is gone is no session; the next answer starts one.
//! Pure: the wall time is an argument.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use model::gateway::{SessionCarrier, SessionPersistence};
use ring::hmac;
use ring::rand::SystemRandom;

use crate::octet;

/// Octets of an endpoint's tag: collisions among 10,000 endpoints are out of reach.
const TAG_OCTETS: usize = 12;
/// Octets of the MAC (96 bits, as IPsec truncates).
const MAC_OCTETS: usize = 12;
/// Tag, issued, last seen, MAC.
const TOKEN_OCTETS: usize = TAG_OCTETS + 4 + 4 + MAC_OCTETS;
/// Cookies of one request that are looked at.
const COOKIES_MAX: usize = 128;
/// A token is renewed when a tenth of its idle time has passed, not at every request.
const RENEWALS: u64 = 10;

/// An endpoint, as clients see it.
pub(crate) type Tag = [u8; TAG_OCTETS];

/// Signs tokens. Its `Debug` shows nothing.
pub(crate) struct SessionKey(hmac::Key);

impl std::fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SessionKey(..)")
    }
}

impl Default for SessionKey {
    /// A random key: sessions end with the process.
    fn default() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "without the system's randomness no TLS handshake would succeed either"
        )]
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the operating system has randomness");
        Self(key)
    }
}

impl From<hmac::Key> for SessionKey {
    fn from(key: hmac::Key) -> Self {
        Self(key)
    }
}

impl SessionKey {
    /// What stands for an endpoint in tokens.
    pub(crate) fn tag(&self, endpoint: SocketAddr) -> Tag {
        let hash = hmac::sign(&self.0, format!("endpoint {endpoint}").as_bytes());
        let mut tag = [0; TAG_OCTETS];
        tag.copy_from_slice(&hash.as_ref()[..TAG_OCTETS]);
        tag
    }

    fn mac(&self, scope: &str, token: &[u8]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"session ");
        context.update(token);
        context.update(scope.as_bytes());
        context.sign()
    }
}

/// A session as a client carries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    /// The endpoint.
    pub(crate) tag: Tag,
    /// Since when, seconds since the epoch.
    pub(crate) issued_s: u32,
    /// Last told to the client.
    pub(crate) seen_s: u32,
}

/// How a rule keeps sessions.
#[derive(Debug, PartialEq)]
pub(crate) struct SessionRule {
    name: Arc<str>,
    carrier: SessionCarrier,
    header: HeaderName,
    absolute_s: Option<u32>,
    idle_s: Option<u32>,
    /// Tokens of another rule are none.
    scope: Arc<str>,
}

impl SessionRule {
    /// Compiles `sessionPersistence` of the rule `scope`; `None` when its name cannot be used.
    pub(crate) fn compile(session: &SessionPersistence, scope: &Arc<str>) -> Option<Self> {
        let SessionPersistence { name, carrier, absolute_timeout_s, idle_timeout_s } = session;
        let name = name.clone().unwrap_or_else(|| match carrier {
            SessionCarrier::Header => "x-nearside-session".into(),
            SessionCarrier::SessionCookie | SessionCarrier::PermanentCookie => cookie_name(scope),
        });
        if name.is_empty() || !octet::TOKEN.holds(name.as_bytes()) {
            return None;
        }
        let header = match carrier {
            SessionCarrier::Header => HeaderName::from_bytes(name.as_bytes()).ok()?,
            SessionCarrier::SessionCookie | SessionCarrier::PermanentCookie => header::COOKIE,
        };
        Some(Self {
            name,
            carrier: *carrier,
            header,
            absolute_s: absolute_timeout_s.filter(|&s| s > 0),
            idle_s: idle_timeout_s.filter(|&s| s > 0),
            scope: Arc::clone(scope),
        })
    }

    /// The valid session of a request.
    pub(crate) fn read(
        &self,
        headers: &HeaderMap,
        key: &SessionKey,
        now_s: u32,
    ) -> Option<Session> {
        let lines = headers.get_all(&self.header).iter().filter_map(|line| line.to_str().ok());
        match self.carrier {
            SessionCarrier::Header => {
                lines.take(1).find_map(|token| self.verify(token.trim(), key, now_s))
            }
            SessionCarrier::SessionCookie | SessionCarrier::PermanentCookie => {
                let pairs = lines.flat_map(|line| line.split(';')).take(COOKIES_MAX);
                let mut mine = pairs
                    .filter_map(|pair| pair.trim().split_once('='))
                    .filter(|(name, _)| *name == &*self.name);
                mine.find_map(|(_, token)| self.verify(token, key, now_s))
            }
        }
    }

    fn verify(&self, token: &str, key: &SessionKey, now_s: u32) -> Option<Session> {
        let mut octets = [0; TOKEN_OCTETS];
        let length = URL_SAFE_NO_PAD.decode_slice(token, &mut octets).ok()?;
        let (body, mac) = octets.get(..length)?.split_at_checked(TOKEN_OCTETS - MAC_OCTETS)?;
        let genuine = key.mac(&self.scope, body);
        // Not secret by itself, but compared in constant time all the same.
        let differs = genuine.as_ref().iter().zip(mac).fold(0, |all, (a, b)| all | (a ^ b));
        if mac.len() != MAC_OCTETS || differs != 0 {
            return None;
        }
        let number = |at: usize| Some(u32::from_be_bytes(body.get(at..at + 4)?.try_into().ok()?));
        let session = Session {
            tag: body.get(..TAG_OCTETS)?.try_into().ok()?,
            issued_s: number(TAG_OCTETS)?,
            seen_s: number(TAG_OCTETS + 4)?,
        };
        let within = |since: u32, limit: Option<u32>| {
            limit.is_none_or(|limit| now_s.saturating_sub(since) <= limit)
        };
        (within(session.issued_s, self.absolute_s) && within(session.seen_s, self.idle_s))
            .then_some(session)
    }

    /// The header that tells the client about the endpoint that served it, when there is news.
    pub(crate) fn write(
        &self,
        before: Option<Session>,
        served: Tag,
        key: &SessionKey,
        (now_s, is_https): (u32, bool),
    ) -> Option<(HeaderName, HeaderValue)> {
        let kept = before.filter(|session| session.tag == served);
        if let Some(session) = kept {
            let idle = self.idle_s?;
            if u64::from(now_s.saturating_sub(session.seen_s)) * RENEWALS < u64::from(idle) {
                return None;
            }
        }
        let issued_s = kept.map_or(now_s, |session| session.issued_s);
        let mut octets = [0; TOKEN_OCTETS];
        octets[..TAG_OCTETS].copy_from_slice(&served);
        octets[TAG_OCTETS..TAG_OCTETS + 4].copy_from_slice(&issued_s.to_be_bytes());
        octets[TAG_OCTETS + 4..TAG_OCTETS + 8].copy_from_slice(&now_s.to_be_bytes());
        let mac = key.mac(&self.scope, &octets[..TOKEN_OCTETS - MAC_OCTETS]);
        octets[TOKEN_OCTETS - MAC_OCTETS..].copy_from_slice(&mac.as_ref()[..MAC_OCTETS]);
        let token = URL_SAFE_NO_PAD.encode(octets);
        let (name, text) = match self.carrier {
            SessionCarrier::Header => (self.header.clone(), token),
            SessionCarrier::SessionCookie | SessionCarrier::PermanentCookie => {
                (header::SET_COOKIE, self.cookie(&token, issued_s, (now_s, is_https)))
            }
        };
        Some((name, HeaderValue::try_from(text).ok()?))
    }

    fn cookie(&self, token: &str, issued_s: u32, (now_s, is_https): (u32, bool)) -> String {
        let mut cookie = format!("{}={token}; Path=/; HttpOnly", self.name);
        if let (SessionCarrier::PermanentCookie, Some(limit)) = (self.carrier, self.absolute_s) {
            let left = limit.saturating_sub(now_s.saturating_sub(issued_s));
            cookie.push_str(&format!("; Max-Age={left}"));
        }
        if is_https {
            cookie.push_str("; Secure");
        }
        cookie
    }
}

/// A name of the rule's own, so that two rules under one host do not overwrite each other's.
fn cookie_name(scope: &str) -> Arc<str> {
    let hash = ring::digest::digest(&ring::digest::SHA256, scope.as_bytes());
    let short = hash.as_ref()[..4].iter().map(|octet| format!("{octet:02x}"));
    format!("nearside-{}", short.collect::<String>()).into()
}

#[cfg(test)]
mod tests;
