//! What outlives a view: things that a reload must not forget, found again by what they are made of.
//!
//! A view holds them strongly, this table only weakly, so that what no view uses any more goes away.
//! Invariant: two origins of equal settings are one object with one connection group, and two of
//! different settings never share a group.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::origin_tls::{OriginClient, OriginTls, OriginTlsError, OriginTlsSource};
use crate::session::SessionKey;

/// Shared by all views of a gateway.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    origins: Interned<[u8; 32], OriginTls>,
    clients: Interned<[u8; 32], OriginClient>,
    groups: AtomicU64,
    /// Signs session cookies.
    pub(crate) session_key: SessionKey,
}

impl Kept {
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

    fn next_group(&self) -> u64 {
        self.groups.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Values by key, for as long as somebody holds them.
#[derive(Debug)]
struct Interned<K, V> {
    held: Mutex<HashMap<K, Weak<V>>>,
}

impl<K, V> Default for Interned<K, V> {
    fn default() -> Self {
        Self { held: Mutex::default() }
    }
}

impl<K: Eq + Hash, V> Interned<K, V> {
    fn find_or<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(value) = held.get(&key).and_then(Weak::upgrade) {
            return Ok(value);
        }
        held.retain(|_, value| value.strong_count() > 0);
        let value = Arc::new(make()?);
        held.insert(key, Arc::downgrade(&value));
        Ok(value)
    }
}
