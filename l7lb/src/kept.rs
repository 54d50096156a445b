//! What outlives a view: things that a reload must not forget, found again by what they are made of.
//!
//! A view holds them strongly, this table only weakly, so that what no view uses any more goes away.
//! Invariant: two origins of equal settings are one object with one connection group, and two of
//! different settings never share a group.

use std::collections::HashMap;
use std::convert::Infallible;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};

use model::gateway::settings::{RateKey, RateLimit};
use ring::digest::{SHA256, digest};

use crate::basic_auth::{BasicAuth, HtpasswdError};
use crate::jwt::{KeySet, KeySetError};
use crate::origin_tls::{OriginClient, OriginTls, OriginTlsError, OriginTlsSource};
use crate::rate_limit::Buckets;
use crate::session::SessionKey;
use crate::topology::Locality;
use crate::turn::Turns;

/// A rule, the limit's place in it, its numbers and key.
type BucketsKey = (Arc<str>, usize, [u32; 3], RateKey);

/// Shared by all views of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    origins: Interned<[u8; 32], OriginTls>,
    clients: Interned<[u8; 32], OriginClient>,
    key_sets: Interned<[u8; 32], KeySet>,
    basic_auths: Interned<[u8; 32], BasicAuth>,
    buckets: Interned<BucketsKey, Buckets>,
    choices: Interned<Arc<str>, Turns>,
    /// Of connections and flows without a rule's own.
    pub(crate) turns: Turns,
    groups: AtomicU64,
    session_key: OnceLock<SessionKey>,
    /// Where the gateway is.
    pub(crate) here: Locality,
}

impl Kept {
    /// Nothing yet, at this place.
    pub(crate) fn at(here: Locality) -> Self {
        Self { here, ..Self::default() }
    }

    /// Signs session cookies: with the key that was given, or else with one of this process.
    pub(crate) fn session_key(&self) -> &SessionKey {
        self.session_key.get_or_init(SessionKey::default)
    }

    /// Gives the key of session cookies, once, before the first request.
    pub(crate) fn sign_sessions_with(&self, key: SessionKey) {
        // A second key is not taken: cookies under the first are already out.
        let _ = self.session_key.set(key);
    }

    /// The origin with these settings, made when there is none yet.
    ///
    /// # Errors
    ///
    /// When roots, certificate or key cannot be used.
    pub(crate) fn origin(
        &self,
        source: &OriginTlsSource<'_>,
    ) -> Result<Arc<OriginTls>, OriginTlsError> {
        self.origins.find_or(source.digest(), || OriginTls::new(source, self.next_group()))
    }

    /// The certificate for backends with this chain and key, made when there is none yet.
    ///
    /// # Errors
    ///
    /// When they cannot be used.
    pub(crate) fn client(
        &self,
        chain: &[u8],
        key: &[u8],
    ) -> Result<Arc<OriginClient>, OriginTlsError> {
        let make = || OriginClient::new(chain, key, self.next_group());
        self.clients.find_or(OriginClient::digest(chain, key), make)
    }

    /// The key set of a document, parsed when there is none yet.
    ///
    /// # Errors
    ///
    /// When it cannot be used.
    pub(crate) fn key_set(&self, document: &[u8]) -> Result<Arc<KeySet>, KeySetError> {
        self.key_sets.find_or(hash(document), || KeySet::parse(document))
    }

    /// The users of an htpasswd file, parsed when there are none yet.
    ///
    /// # Errors
    ///
    /// When it cannot be used.
    pub(crate) fn basic_auth(&self, file: &[u8]) -> Result<Arc<BasicAuth>, HtpasswdError> {
        self.basic_auths.find_or(hash(file), || BasicAuth::parse(file))
    }

    /// The buckets of a rule's limit at this place; a changed limit begins with full ones.
    pub(crate) fn buckets(&self, rule: &Arc<str>, place: usize, limit: &RateLimit) -> Arc<Buckets> {
        let RateLimit { requests, per_ms, burst, key } = limit;
        let name = (Arc::clone(rule), place, [*requests, *per_ms, *burst], key.clone());
        let Ok(buckets) = self.buckets.find_or(name, || Ok::<_, Infallible>(Buckets::new(limit)));
        buckets
    }

    /// The turns of one choice: a rule's backends, by its id, or one of its mirrors.
    pub(crate) fn turns_of(&self, choice: &Arc<str>) -> Arc<Turns> {
        let make = || Ok::<_, Infallible>(Turns::default());
        let Ok(turns) = self.choices.find_or(Arc::clone(choice), make);
        turns
    }

    fn next_group(&self) -> u64 {
        self.groups.fetch_add(1, Ordering::Relaxed) + 1
    }
}

fn hash(octets: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, octets).as_ref());
    hash
}

/// Values by key, for as long as somebody holds them.
#[derive(Debug)]
struct Interned<K, V>(Mutex<Held<K, V>>);

#[derive(Debug)]
struct Held<K, V> {
    values: HashMap<K, Weak<V>>,
    /// At so many, those that nobody holds are swept out: twice as many as were left the last time,
    /// so that a view of many rules is not swept once for each.
    sweep_at: usize,
}

/// The first sweep.
const SWEEP_MIN: usize = 64;

impl<K, V> Default for Interned<K, V> {
    fn default() -> Self {
        Self(Mutex::new(Held { values: HashMap::new(), sweep_at: SWEEP_MIN }))
    }
}

impl<K: Eq + Hash, V> Interned<K, V> {
    fn find_or<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.values.get(&key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        if held.values.len() >= held.sweep_at {
            held.values.retain(|_, value| value.strong_count() > 0);
            held.sweep_at = SWEEP_MIN.max(held.values.len() * 2);
        }
        let value = Arc::new(make()?);
        held.values.insert(key, Arc::downgrade(&value));
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
