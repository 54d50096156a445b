//! Which connections are open, by client, and which of them has been of no use for longest.
//!
//! A full server does not turn newcomers away, and neither does a client's full share: whoever holds
//! connections open and asks nothing, sends half a query, or does not read its answers must not keep
//! out those who ask. The connection whose last answer was taken longest ago makes room, of all or of
//! the client's own (RFC 7766, section 6.2.3, lets a server close connections when it needs to).

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::TcpLimits;

/// Open connections, in all and by client. Shared by every listener of a server.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    open: Mutex<Open>,
}

/// Invariant: both maps have the same turns; whose turn is lowest was of use longest ago. Who is told
/// to go has no turn any more, and does not count.
#[derive(Debug, Default)]
struct Open {
    clients: BTreeMap<u64, IpAddr>,
    by_client: HashMap<IpAddr, BTreeMap<u64, Arc<Notify>>>,
    turn_last: u64,
}

impl Open {
    fn insert(&mut self, client: IpAddr, notify: Arc<Notify>) -> u64 {
        self.turn_last += 1;
        self.clients.insert(self.turn_last, client);
        self.by_client.entry(client).or_default().insert(self.turn_last, notify);
        self.turn_last
    }

    fn remove(&mut self, turn: u64) -> Option<Arc<Notify>> {
        let client = self.clients.remove(&turn)?;
        let own = self.by_client.get_mut(&client)?;
        let notify = own.remove(&turn);
        if own.is_empty() {
            self.by_client.remove(&client);
        }
        notify
    }

    /// Tells one to go. `None` when there is none.
    fn tell(&mut self, turn: Option<u64>) -> Option<()> {
        self.remove(turn?)?.notify_one();
        Some(())
    }

    fn oldest(&self) -> Option<u64> {
        self.clients.first_key_value().map(|(turn, _)| *turn)
    }
}

impl Connections {
    /// Takes a place for a client, if need be from the one of least use. `None` when nobody may have
    /// any.
    pub(super) fn enter(self: &Arc<Self>, client: IpAddr, limits: &TcpLimits) -> Option<Place> {
        let client = client_key(client);
        let mut open = self.lock();
        let own = open.by_client.get(&client);
        if own.map_or(0, BTreeMap::len) >= limits.connections_per_client_max {
            let oldest = own.and_then(|own| own.first_key_value()).map(|(turn, _)| *turn);
            open.tell(oldest)?;
        } else if open.clients.len() >= limits.connections_max {
            let oldest = open.oldest();
            open.tell(oldest)?;
        }
        let notify = Arc::new(Notify::new());
        let turn = open.insert(client, Arc::clone(&notify));
        Some(Place { of: Arc::clone(self), client, turn, notify })
    }

    /// Makes room for others: the system has no descriptor left.
    pub(super) fn make_room(&self) {
        let mut open = self.lock();
        let oldest = open.oldest();
        let _none_open = open.tell(oldest);
    }

    /// How many connections are open.
    pub(crate) fn count(&self) -> usize {
        self.lock().clients.len()
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    of: Arc<Connections>,
    client: IpAddr,
    turn: u64,
    notify: Arc<Notify>,
}

impl Place {
    /// The connection was of use: it goes behind all others.
    pub(super) fn renew(&mut self) {
        let mut open = self.of.lock();
        // Who was told to go stays told.
        if let Some(notify) = open.remove(self.turn) {
            self.turn = open.insert(self.client, notify);
        }
    }

    /// Returns when the place was given to somebody else.
    pub(super) async fn given_away(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _told_to_go = self.of.lock().remove(self.turn);
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

#[cfg(test)]
mod tests;
