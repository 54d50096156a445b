//! Walks the whole of IPv4 by the scopes that a name server returns: how many entries a resolver's
//! cache needs for one name, and whether they fit together.
//!
//! The client asks for an address's /24, reads the scope, and goes on behind the block that the
//! answer is said to hold for. Where blocks are disjoint each begins where the one before ended; one
//! that begins earlier covers addresses that were answered already. Shards of the space are walked
//! at once, one query each.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::kernel::{Batch, Destination};
use crate::loopback_only;
use crate::query::{self, Subnet, Template};

/// Shards, each a /9: fewer outstanding queries than any server's buffer holds.
const SHARDS: u32 = 512;
const SHARD_ADDRESSES: u64 = (1 << 32) / SHARDS as u64;
/// What resolvers send; scopes beyond it are cut to it (RFC 7871, section 7.3.1).
const SOURCE_LEN: u8 = 24;
/// Loopback loses next to nothing, so a query is asked again after this.
const TIMEOUT: Duration = Duration::from_millis(500);
/// Times in a row without any answer.
const SILENCES_MAX: u32 = 20;

/// What a walk found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cover {
    /// Blocks, each an entry of a cache.
    pub blocks: u64,
    /// Of them, those that begin before the address they were asked for: not disjoint from others.
    pub overlapping: u64,
    /// Answers without a client subnet, or with one of scope 0, taken to hold for everybody.
    pub everybody: u64,
}

/// Walks the space for one name.
///
/// # Errors
/// The target is not on loopback, or stopped answering.
pub fn walk(target: SocketAddr, template: &Template) -> anyhow::Result<Cover> {
    loopback_only(target)?;
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    socket.connect(target)?;
    socket.set_read_timeout(Some(TIMEOUT))?;
    let mut shards: Vec<Shard> = (0..SHARDS).map(Shard::new).collect();
    let room = usize::try_from(SHARDS)?;
    let (mut out, mut back) = (Batch::new(room), Batch::new(room));
    let mut cover = Cover::default();
    let mut due: Vec<usize> = (0..shards.len()).collect();
    let mut silences = 0;
    while shards.iter().any(|shard| !shard.is_done()) {
        for (slot, &at) in due.iter().enumerate() {
            let subnet = Subnet::of(shards[at].next().into());
            let message = out.fill(slot, template.form(subnet));
            query::finish(message, u16::try_from(at)?, subnet);
        }
        out.send(&socket, due.len(), Destination::Connected)?;
        due.clear();
        match back.receive(&socket) {
            Ok(count) => {
                silences = 0;
                let answered = (0..count).filter_map(|slot| {
                    let message = back.datagram(slot);
                    let at = usize::from(query::id_of(message)?);
                    shards.get_mut(at)?.take(message, &mut cover).then_some(at)
                });
                due.extend(answered);
            }
            Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                silences += 1;
                anyhow::ensure!(silences < SILENCES_MAX, "`{target}` stopped answering");
                due.extend((0..shards.len()).filter(|&at| !shards[at].is_done()));
            }
            Err(e) => return Err(e.into()),
        }
    }
    Ok(cover)
}

/// One part of the space.
struct Shard {
    next: u64,
    end: u64,
}

impl Shard {
    fn new(at: u32) -> Self {
        let first = u64::from(at) * SHARD_ADDRESSES;
        Self { next: first, end: first + SHARD_ADDRESSES }
    }

    fn is_done(&self) -> bool {
        self.next >= self.end
    }

    fn next(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(u32::try_from(self.next).unwrap_or(u32::MAX))
    }

    /// Goes on behind an answer's block; whether there is more to ask. An answer to another address
    /// than the one asked last is one to a query that was repeated.
    fn take(&mut self, message: &[u8], cover: &mut Cover) -> bool {
        if self.is_done() {
            return false;
        }
        let scope = match query::scope_of(message) {
            Some((Subnet::V4(octets), scope)) => {
                if Subnet::of(self.next().into()) != Subnet::V4(octets) {
                    return false;
                }
                scope
            }
            _ => 0,
        };
        let block = 1 << (32 - u32::from(scope.min(SOURCE_LEN)));
        let first = self.next & !(block - 1);
        // A block wider than its shard is met in several and belongs to the one it begins in.
        let start = self.end - SHARD_ADDRESSES;
        if first >= start {
            cover.blocks += 1;
            cover.everybody += u64::from(scope == 0);
        }
        cover.overlapping += u64::from(first.max(start) < self.next);
        self.next = first + block;
        !self.is_done()
    }
}

#[cfg(test)]
mod tests;
