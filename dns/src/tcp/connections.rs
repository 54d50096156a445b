//! Which connections are open, by client, and which of them idles longest.
//!
//! A full server does not turn newcomers away while somebody idles: whoever holds connections open
//! and asks nothing must not keep out those who ask (RFC 7766, section 6.2.2, lets a server close
//! idle connections when it likes).

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::TcpLimits;

/// Open connections, in all and by client. Shared by every listener of a server.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_client: HashMap<IpAddr, usize>,
    /// The idle ones by turn: whose turn is lowest idles longest.
    idle: BTreeMap<u64, Arc<Notify>>,
    /// Turns of those that were told to go and are not counted any more.
    leaving: HashSet<u64>,
    next_turn: u64,
}

impl Open {
    fn turn(&mut self) -> u64 {
        self.next_turn += 1;
        self.next_turn
    }
}

impl Connections {
    /// Takes a place for a client, if need be from whoever idles longest. `None` when the client has
    /// its share, or nobody idles.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, limits: &TcpLimits) -> Option<Place> {
        let client = client_key(client);
        let mut open = self.lock();
        let mine = open.by_client.get(&client).copied().unwrap_or_default();
        if mine >= limits.connections_per_client_max {
            return None;
        }
        if open.total >= limits.connections_max {
            let (turn, longest) = open.idle.pop_first()?;
            longest.notify_one();
            open.leaving.insert(turn);
            open.total = open.total.saturating_sub(1);
        }
        open.total += 1;
        open.by_client.insert(client, mine + 1);
        let (turn, notify) = (open.turn(), Arc::new(Notify::new()));
        open.idle.insert(turn, Arc::clone(&notify));
        Some(Place { of: Arc::clone(self), client, turn, notify })
    }

    /// How many connections are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place, idle at first; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Connections>,
    client: IpAddr,
    turn: u64,
    notify: Arc<Notify>,
}

impl Place {
    /// The connection has something to do: it is not idle any more.
    pub(super) fn work(&self) {
        self.of.lock().idle.remove(&self.turn);
    }

    /// The connection has done everything and waits again, behind all others that wait.
    pub(super) fn rest(&mut self) {
        let mut open = self.of.lock();
        // Who was told to go while it worked stays told.
        if !open.leaving.contains(&self.turn) {
            open.idle.remove(&self.turn);
            self.turn = open.turn();
            open.idle.insert(self.turn, Arc::clone(&self.notify));
        }
    }

    /// Returns when the place was given to somebody else.
    pub(super) async fn given_away(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.lock();
        open.idle.remove(&self.turn);
        if !open.leaving.remove(&self.turn) {
            open.total = open.total.saturating_sub(1);
        }
        match open.by_client.get_mut(&self.client) {
            Some(mine) if *mine > 1 => *mine -= 1,
            _ => {
                open.by_client.remove(&self.client);
            }
        }
    }
}

/// Whom limits count as one: an IPv6 client has a /64 to choose its address from.
pub(crate) fn client_key(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => {
            let [a, b, c, d, ..] = ip.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
