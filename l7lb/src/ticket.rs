//! Session tickets that any node of a site, and the next process, can read.
//!
//! A resumed handshake costs the client no second round trip's worth of certificates and us no
//! signature; after a restart or at another node it only works when the keys are shared. They are
//! derived from a secret file (HKDF-SHA256, RFC 5869) by periods of wall time, so that nodes agree
//! without talking and no key outlives its periods: the tickets of the period before are still
//! read, and those of the next one, which a node whose clock is ahead has begun. Each listener has
//! keys of its own, derived with its name and the authorities it trusts, because a ticket carries the
//! client's identity as it was checked then: it must not open a listener that asks for more. Keys
//! never appear in messages.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use ring::hmac::{self, HMAC_SHA256};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::server::ProducesTickets;

use crate::clock;
use crate::session::SessionKey;

/// How long one key seals. A ticket is then read for one to two periods: twelve hours are what
/// large sites found to keep most returning clients while a stolen key opens little.
const PERIOD_S: u64 = 12 * 3_600;
/// The shortest secret: as much as the hash can use.
const SECRET_OCTETS_MIN: usize = 32;
/// Secrets in a file: the one in use, the one before, the one to come.
const SECRETS_MAX: usize = 3;
/// A file of secrets takes no more.
const FILE_OCTETS_MAX: usize = 4096;
/// Keeps the key of session cookies apart from the keys of tickets.
const SESSION_INFO: [&[u8]; 1] = [b"nearside kept sessions"];
/// Octets of a key's name at the beginning of a ticket.
const NAME_OCTETS: usize = 16;

/// Why secrets cannot be used. What they say is kept out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketSecretsError {
    /// The file is longer than secrets are.
    #[error("the file is longer than {FILE_OCTETS_MAX} octets")]
    TooLong,
    /// There is none.
    #[error("the file holds no secret\n  help: make one with `openssl rand -hex 32`")]
    Empty,
    /// More than are of use.
    #[error("line {line}: more than {SECRETS_MAX} secrets")]
    TooMany {
        /// The first one too many.
        line: usize,
    },
    /// Too easy to guess.
    #[error(
        "line {line}: shorter than {SECRET_OCTETS_MIN} octets\n  help: make one with `openssl rand -hex 32`"
    )]
    Short {
        /// Where.
        line: usize,
    },
    /// The system has no random octets to give.
    #[error("the system gives no random octets")]
    NoRandom,
}

/// The secrets that ticket keys are derived from; the first seals.
#[derive(Clone)]
pub struct TicketSecrets(Arc<[Prk]>);

impl fmt::Debug for TicketSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TicketSecrets").field(&self.0.len()).finish()
    }
}

impl TicketSecrets {
    /// A secret nobody else has: tickets are worth nothing after a restart.
    ///
    /// # Errors
    /// When the system has no random octets to give.
    pub fn random() -> Result<Self, TicketSecretsError> {
        let mut secret = [0; SECRET_OCTETS_MIN];
        SystemRandom::new().fill(&mut secret).map_err(|_| TicketSecretsError::NoRandom)?;
        Ok(Self(Arc::new([extracted(&secret)])))
    }

    /// Reads a file of secrets: one a line, the one in use first, then those that are still (or
    /// already) accepted. Empty lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// Names the line, and never what it says.
    pub fn parse(text: &str) -> Result<Self, TicketSecretsError> {
        if text.len() > FILE_OCTETS_MAX {
            return Err(TicketSecretsError::TooLong);
        }
        let mut secrets = Vec::new();
        for (at, line) in text.lines().enumerate() {
            let (secret, line) = (line.trim(), at + 1);
            if secret.is_empty() || secret.starts_with('#') {
                continue;
            }
            if secrets.len() == SECRETS_MAX {
                return Err(TicketSecretsError::TooMany { line });
            }
            if secret.len() < SECRET_OCTETS_MIN {
                return Err(TicketSecretsError::Short { line });
            }
            secrets.push(extracted(secret.as_bytes()));
        }
        if secrets.is_empty() { Err(TicketSecretsError::Empty) } else { Ok(Self(secrets.into())) }
    }

    /// What the cookies of kept sessions are signed with: derived apart from the tickets' keys, so
    /// that sessions too hold at any node of the site and after a restart.
    pub(crate) fn session_key(&self) -> SessionKey {
        // Invariant: there is at least one secret, as read.
        let okm = self.0.first().map(|secret| secret.expand(&SESSION_INFO, HMAC_SHA256));
        match okm {
            Some(Ok(okm)) => SessionKey::from(hmac::Key::from(okm)),
            _ => SessionKey::default(),
        }
    }

    /// The tickets of one listener; `context` is whatever must not be shared.
    pub(crate) fn for_listener(&self, context: &[u8]) -> Tickets {
        let context = Arc::from(context);
        let keys = Keys::derive(&self.0, &context, period(clock::wall()));
        Tickets { secrets: self.clone(), context, keys: ArcSwap::from_pointee(keys) }
    }
}

fn extracted(secret: &[u8]) -> Prk {
    Salt::new(HKDF_SHA256, b"nearside session tickets").extract(secret)
}

fn period(since_epoch: Duration) -> u64 {
    since_epoch.as_secs() / PERIOD_S
}

/// Seals and opens the tickets of one listener.
pub(crate) struct Tickets {
    secrets: TicketSecrets,
    context: Arc<[u8]>,
    keys: ArcSwap<Keys>,
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").finish_non_exhaustive()
    }
}

impl Tickets {
    /// The keys of the moment.
    fn keys(&self) -> Arc<Keys> {
        let now = period(clock::wall());
        let keys = self.keys.load_full();
        if keys.period == now {
            return keys;
        }
        let keys = Arc::new(Keys::derive(&self.secrets.0, &self.context, now));
        self.keys.store(Arc::clone(&keys));
        keys
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    /// What every ticket of now will live at least.
    fn lifetime(&self) -> u32 {
        u32::try_from(PERIOD_S).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut nonce = [0; NONCE_LEN];
        SystemRandom::new().fill(&mut nonce).ok()?;
        self.keys().seal(nonce, plain)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.keys().open(ticket)
    }
}

/// The keys of one period and its neighbours.
struct Keys {
    period: u64,
    /// The first one seals.
    all: Vec<Key>,
}

/// One key, with the name that tickets carry.
struct Key {
    name: [u8; NAME_OCTETS],
    key: LessSafeKey,
}

/// Octets of a name and an AES-256 key.
struct Octets;

impl KeyType for Octets {
    fn len(&self) -> usize {
        NAME_OCTETS + AES_256_GCM.key_len()
    }
}

impl Keys {
    fn derive(secrets: &[Prk], context: &[u8], period: u64) -> Self {
        let periods = [period, period.saturating_sub(1), period.saturating_add(1)];
        let keys = periods.iter().flat_map(|&period| {
            secrets.iter().filter_map(move |secret| Key::derive(secret, context, period))
        });
        Self { period, all: keys.collect() }
    }

    fn seal(&self, nonce: [u8; NONCE_LEN], plain: &[u8]) -> Option<Vec<u8>> {
        let Key { name, key } = self.all.first()?;
        let mut ticket = Vec::with_capacity(NAME_OCTETS + NONCE_LEN + plain.len() + 16);
        ticket.extend(name);
        ticket.extend(nonce);
        let mut sealed = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(nonce, Aad::from(name), &mut sealed).ok()?;
        ticket.append(&mut sealed);
        Some(ticket)
    }

    fn open(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (named, rest) = ticket.split_first_chunk::<NAME_OCTETS>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        // The name is no secret: it is in every ticket.
        let Key { name, key } = self.all.iter().find(|key| key.name == *named)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let mut sealed = sealed.to_vec();
        let plain = key.open_in_place(nonce, Aad::from(name), &mut sealed).ok()?;
        Some(plain.to_vec())
    }
}

impl Key {
    fn derive(secret: &Prk, context: &[u8], period: u64) -> Option<Self> {
        let mut octets = [0; NAME_OCTETS + 32];
        let period = period.to_be_bytes();
        let info = [&period[..], context];
        secret.expand(&info, Octets).ok()?.fill(&mut octets).ok()?;
        let (name, key) = octets.split_first_chunk::<NAME_OCTETS>()?;
        let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
        Some(Self { name: *name, key })
    }
}

#[cfg(test)]
mod tests;
