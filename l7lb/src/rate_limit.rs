//! Rate limits of this gateway: a token bucket per key, kept as one number.
//!
//! The number is the time at which the bucket would be full again (the generic cell rate algorithm):
//! a request moves it on by one interval and is refused when it lies further ahead than the burst
//! allows. A key whose time has passed says nothing any more, so forgetting it changes nothing; that
//! bounds the table. Only when every key is live must some be forgotten early: the ones nearest to
//! being full. Pure but for the tables' mutexes; the time is an argument.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;
use model::gateway::settings::{RateKey, RateLimit};

/// Tables of one limit, so that requests seldom meet at a mutex.
const SHARDS: usize = 16;
/// Keys of one table: 65,536 of a limit, about 2 MB.
const KEYS_MAX: usize = 4_096;

/// The buckets of one limit.
#[derive(Debug)]
pub(crate) struct Buckets {
    interval_ns: u64,
    ahead_ns_max: u64,
    requests: u32,
    key: RateKey,
    hasher: RandomState,
    shards: [Mutex<HashMap<u64, u64>>; SHARDS],
}

/// What a refused client is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    /// Requests of a window.
    pub(crate) limit: u32,
    /// Seconds until the next request has room, rounded up.
    pub(crate) retry_after_s: u64,
}

impl fmt::Display for Buckets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each = match &self.key {
            RateKey::All => "all together".to_owned(),
            RateKey::Address => "each client".to_owned(),
            RateKey::Header(name) => format!("each value of `{name}`"),
        };
        write!(f, "{each} one request in {} us after a burst", self.interval_ns / 1_000)
    }
}

impl Buckets {
    /// Empty buckets.
    pub(crate) fn new(limit: &RateLimit) -> Self {
        let RateLimit { requests, per_ms, burst, key } = limit;
        let interval_ns = u64::from(*per_ms) * 1_000_000 / u64::from((*requests).max(1));
        Self {
            interval_ns,
            ahead_ns_max: interval_ns.saturating_mul(u64::from(*burst)),
            requests: *requests,
            key: key.clone(),
            hasher: RandomState::new(),
            shards: Default::default(),
        }
    }

    /// Takes a token for this request.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub(crate) fn take(
        &self,
        client: IpAddr,
        headers: &HeaderMap,
        now_us: u64,
    ) -> Result<(), Limited> {
        if self.requests == 0 {
            return Err(Limited { limit: 0, retry_after_s: 60 });
        }
        let key = self.hash(client, headers);
        let now = now_us.saturating_mul(1_000);
        let shard = usize::try_from(key % SHARDS as u64).unwrap_or(0);
        let mut full_at = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        let before = full_at.get(&key).copied().unwrap_or(0).max(now);
        if before - now > self.ahead_ns_max {
            let wait_ns = before - now - self.ahead_ns_max;
            let retry_after_s = wait_ns.div_ceil(1_000_000_000);
            return Err(Limited { limit: self.requests, retry_after_s });
        }
        if full_at.len() >= KEYS_MAX && !full_at.contains_key(&key) {
            make_room(&mut full_at, now);
        }
        full_at.insert(key, before.saturating_add(self.interval_ns));
        Ok(())
    }

    /// Keys are hashed with a secret of the process, so that nobody can aim at another's bucket.
    fn hash(&self, client: IpAddr, headers: &HeaderMap) -> u64 {
        match &self.key {
            RateKey::All => 0,
            RateKey::Address => match client.to_canonical() {
                IpAddr::V4(v4) => self.hasher.hash_one(v4),
                // A subscriber has a /64 at least.
                IpAddr::V6(v6) => self.hasher.hash_one(v6.to_bits() >> 64),
            },
            RateKey::Header(name) => {
                self.hasher.hash_one(headers.get(&**name).map(http::HeaderValue::as_bytes))
            }
        }
    }
}

/// Forgets the keys that say nothing, or else the half that says least.
fn make_room(full_at: &mut HashMap<u64, u64>, now: u64) {
    full_at.retain(|_, at| *at > now);
    if full_at.len() < KEYS_MAX {
        return;
    }
    let mut times: Vec<u64> = full_at.values().copied().collect();
    let middle = times.len() / 2;
    let (_, &mut median, _) = times.select_nth_unstable(middle);
    full_at.retain(|_, at| *at > median);
}

#[cfg(test)]
mod tests;
