//! Basic authentication (RFC 7617) against htpasswd lines: bcrypt (`$2a$`, `$2b$`, `$2y$`), Apache's
//! MD5 (`$apr1$`) and SHA-1 (`{SHA}`). Passwords in the clear and crypt(3) are not accepted.
//!
//! A bcrypt check takes tens of milliseconds, so the caller makes it on a thread for such work and
//! few at a time; credentials that passed are remembered by a keyed hash. A name that is not in the
//! file costs as much as one that is.

mod apr1;

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::hmac;
use ring::rand::SystemRandom;

/// Users of one file.
const USERS_MAX: usize = 10_000;
/// Octets of `user:password`.
const CREDENTIALS_OCTETS_MAX: usize = 1_024;
/// Credentials remembered; beyond, the memory starts anew.
const REMEMBERED_MAX: usize = 4_096;

/// Users and their password hashes. Its `Debug` shows neither.
pub(crate) struct BasicAuth {
    users: BTreeMap<String, Hash>,
    /// What a name that is not there is compared with.
    stranger: Hash,
    key: hmac::Key,
    passed: Mutex<HashSet<[u8; 32]>>,
}

impl fmt::Debug for BasicAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BasicAuth({} users)", self.users.len())
    }
}

#[derive(Clone)]
enum Hash {
    Bcrypt(String),
    Apr1(String),
    Sha1([u8; 20]),
}

/// Why a file cannot be used. What it holds is never quoted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HtpasswdError {
    /// It is not text.
    #[error("the htpasswd file is not UTF-8")]
    Text,
    /// A line has no hash that is known.
    #[error("line {0} of the htpasswd file has no bcrypt, `$apr1$` or `{{SHA}}` hash")]
    Line(usize),
    /// There are too many.
    #[error("the htpasswd file has more than {USERS_MAX} users")]
    TooMany,
    /// There is none.
    #[error("the htpasswd file has no user")]
    Empty,
}

/// A request's credentials, not yet checked. Their `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    user: String,
    password: Vec<u8>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

impl Credentials {
    /// Of a request with exactly one `Authorization: Basic`.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut lines = headers.get_all(header::AUTHORIZATION).iter();
        let line = lines.next()?.to_str().ok()?;
        let (scheme, rest) = line.split_once(' ')?;
        if lines.next().is_some() || !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let octets = STANDARD.decode(rest.trim()).ok()?;
        if octets.len() > CREDENTIALS_OCTETS_MAX {
            return None;
        }
        let colon = octets.iter().position(|&octet| octet == b':')?;
        let user = String::from_utf8(octets[..colon].to_vec()).ok()?;
        Some(Self { user, password: octets[colon + 1..].to_vec() })
    }
}

impl BasicAuth {
    /// Parses a file.
    ///
    /// # Errors
    ///
    /// When a line cannot be used: one user left out would be one locked out in silence.
    pub(crate) fn parse(file: &[u8]) -> Result<Self, HtpasswdError> {
        let text = std::str::from_utf8(file).map_err(|_| HtpasswdError::Text)?;
        let mut users = BTreeMap::new();
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let pair = line.split_once(':').filter(|(user, _)| !user.is_empty());
            let hashed = pair.and_then(|(user, hash)| Some((user, Hash::parse(hash)?)));
            let (user, hash) = hashed.ok_or(HtpasswdError::Line(at + 1))?;
            users.insert(user.to_owned(), hash);
            if users.len() > USERS_MAX {
                return Err(HtpasswdError::TooMany);
            }
        }
        let stranger = users.values().next().cloned().ok_or(HtpasswdError::Empty)?;
        #[expect(
            clippy::expect_used,
            reason = "without the system's randomness no TLS handshake would succeed either"
        )]
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new())
            .expect("the operating system has randomness");
        Ok(Self { users, stranger, key, passed: Mutex::default() })
    }

    /// Whether these credentials passed before.
    pub(crate) fn remembers(&self, credentials: &Credentials) -> bool {
        let name = self.name(credentials);
        self.passed.lock().unwrap_or_else(PoisonError::into_inner).contains(&name)
    }

    /// Whether they are right. Slow on purpose.
    pub(crate) fn verify(&self, credentials: &Credentials) -> bool {
        let known = self.users.get(&credentials.user);
        let equal = known.unwrap_or(&self.stranger).verify(&credentials.password);
        let passes = equal && known.is_some();
        if passes {
            let name = self.name(credentials);
            let mut passed = self.passed.lock().unwrap_or_else(PoisonError::into_inner);
            if passed.len() >= REMEMBERED_MAX {
                passed.clear();
            }
            passed.insert(name);
        }
        passes
    }

    fn name(&self, Credentials { user, password }: &Credentials) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.key);
        // A name has no colon, so that no two pairs are written alike.
        context.update(user.as_bytes());
        context.update(b":");
        context.update(password);
        let mut name = [0; 32];
        name.copy_from_slice(context.sign().as_ref());
        name
    }
}

impl Hash {
    fn parse(text: &str) -> Option<Self> {
        if let Some(digest) = text.strip_prefix("{SHA}") {
            return STANDARD.decode(digest).ok()?.try_into().ok().map(Self::Sha1);
        }
        if text.starts_with("$apr1$") {
            return apr1::salt(text).map(|_| Self::Apr1(text.to_owned()));
        }
        // Its cost is bounded, because every stranger may ask for it.
        let parts: bcrypt::HashParts = text.parse().ok()?;
        (parts.get_cost() <= BCRYPT_COST_MAX).then(|| Self::Bcrypt(text.to_owned()))
    }

    fn verify(&self, password: &[u8]) -> bool {
        let same = |a: &[u8], b: &[u8]| {
            a.len() == b.len() && a.iter().zip(b).fold(0, |all, (a, b)| all | (a ^ b)) == 0
        };
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Apr1(hash) => apr1::hash(password, hash)
                .is_some_and(|made| same(made.as_bytes(), hash.as_bytes())),
            Self::Sha1(hash) => same(digest(&SHA1_FOR_LEGACY_USE_ONLY, password).as_ref(), hash),
        }
    }
}

/// About a second on a small machine.
const BCRYPT_COST_MAX: u32 = 14;

#[cfg(test)]
mod tests;
