//! Who calls: open connections and lookups, counted by caller (an IPv4 address or an IPv6 /64).
//!
//! Time is an argument. The rate is a token bucket kept as one instant (the generic cell rate
//! algorithm, ITU-T I.371): a caller is paid up until then, and a caller whose instant has passed is
//! the same as one never seen, so that the table holds only those who did something just now.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::tcp::client_key;

/// Callers remembered at once. An entry is some 64 octets: 4 MiB at most.
const CALLERS_MAX: usize = 65_536;

/// What callers may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once (default 1,000: within the usual limit of 1,024 descriptors).
    pub connections_max: usize,
    /// Connections at once from one caller (default 100).
    pub connections_per_caller_max: usize,
    /// Lookups a second of one caller (default 100: a carrier's address translation puts thousands
    /// of phones behind an address, and 3,000 that ask once in a TTL of 30 s are 100 a second).
    pub lookups_per_s: u32,
    /// Lookups at once after a pause (default 200: two seconds' worth).
    pub lookups_burst: u32,
    /// How long a connection may take to send a request, idle time included (default 10 s).
    pub idle: Duration,
    /// How long a connection is kept at most; it then ends after the request under way (default
    /// 120 s). Bounds what a client that does not read can hold.
    pub life: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_000,
            connections_per_caller_max: 100,
            lookups_per_s: 100,
            lookups_burst: 200,
            idle: Duration::from_secs(10),
            life: Duration::from_secs(120),
        }
    }
}

/// Everybody who has a connection or asked just now.
///
/// Invariant: `open` is the sum of the callers' own and the proxies' connections.
#[derive(Debug, Default)]
pub(super) struct Callers {
    open: usize,
    by_key: HashMap<IpAddr, Caller>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Caller {
    open: usize,
    /// When everything asked so far is within the rate.
    paid_at: Option<Instant>,
}

impl Callers {
    /// Takes a connection's place; whether there was one. A connection of nobody in particular, over
    /// which a proxy sends the requests of many, has no share of its own.
    pub(super) fn enter(&mut self, ip: Option<IpAddr>, limits: &Limits, now: Instant) -> bool {
        if self.open >= limits.connections_max {
            return false;
        }
        let Some(key) = ip.map(client_key) else {
            self.open += 1;
            return true;
        };
        if !self.has_room(key, now) {
            return false;
        }
        let caller = self.by_key.entry(key).or_default();
        if caller.open >= limits.connections_per_caller_max {
            return false;
        }
        caller.open += 1;
        self.open += 1;
        true
    }

    /// Whether a caller may be remembered; forgets those who did nothing just now, if need be.
    fn has_room(&mut self, key: IpAddr, now: Instant) -> bool {
        if self.by_key.len() < CALLERS_MAX || self.by_key.contains_key(&key) {
            return true;
        }
        self.by_key.retain(|_, caller| {
            caller.open > 0 || caller.paid_at.is_some_and(|paid_at| paid_at > now)
        });
        self.by_key.len() < CALLERS_MAX
    }

    /// Gives a connection's place back.
    pub(super) fn leave(&mut self, ip: Option<IpAddr>) {
        self.open = self.open.saturating_sub(1);
        let Some(key) = ip.map(client_key) else { return };
        let Some(caller) = self.by_key.get_mut(&key) else { return };
        caller.open = caller.open.saturating_sub(1);
        if caller.open == 0 && caller.paid_at.is_none() {
            self.by_key.remove(&key);
        }
    }

    /// Takes lookups from a caller's rate.
    ///
    /// # Errors
    /// How long to wait before the same would be granted.
    pub(super) fn take(
        &mut self,
        ip: IpAddr,
        lookups: u32,
        limits: &Limits,
        now: Instant,
    ) -> Result<(), Duration> {
        let each = Duration::from_secs(1) / limits.lookups_per_s.max(1);
        let burst = limits.lookups_burst.max(1);
        let key = client_key(ip);
        if !self.has_room(key, now) {
            return Err(each * burst);
        }
        let caller = self.by_key.entry(key).or_default();
        let from = caller.paid_at.map_or(now, |paid_at| paid_at.max(now));
        // What is more than a burst could never be granted.
        let paid_at = from + each * lookups.min(burst);
        match (paid_at - now).checked_sub(each * burst) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                caller.paid_at = Some(paid_at);
                Ok(())
            }
        }
    }

    /// Open connections.
    pub(super) fn open(&self) -> usize {
        self.open
    }
}
