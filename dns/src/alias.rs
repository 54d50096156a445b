//! Address aliases: names that answer with the addresses of another name, found in the background.
//!
//! The answer path only reads: a table that the view holds says, for each name and family, what it
//! resolves to for everybody and for the client subnets that were asked about. What a client subnet
//! lacks is noted on a bounded channel and asked for later; meanwhile that client gets everybody's
//! answer, for itself alone and for a short time. `book` decides what to ask and when, `resolver`
//! asks. Rule: a good answer is kept until there is a better one, however old it is.

pub(crate) mod book;
pub(crate) mod resolver;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use model::Policy;
use model::name::DnsName;
use model::record::RecordType;
use model::site::Alias;

use crate::message::Subnet;

/// Subnets waiting to be asked about; further ones are noted again by their next query.
const NOTES_MAX: usize = 1024;
/// How long a client keeps everybody's answer while its own is asked for.
const MISS_TTL_S: u32 = 5;
/// How long it keeps an answer that should have been renewed (RFC 8767, section 4).
const STALE_TTL_S: u32 = 30;
/// What resolvers send, and what answers are told apart by.
const TRUTH_V4_LEN: u8 = 24;
const TRUTH_V6_LEN: u8 = 56;

/// A name's place among those of one policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct AliasId(pub(crate) u32);

/// Every name that something of a policy is an alias for, sorted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct AliasNames(Vec<DnsName>);

impl AliasNames {
    /// Those of zones' records, of sites and of services.
    pub(crate) fn of(policy: &Policy) -> Self {
        let records = policy.zones.iter().flat_map(|zone| &zone.records);
        let of_records = records
            .filter(|set| set.record_type == RecordType::ALIAS)
            .flat_map(|set| &set.rdata)
            .filter_map(|rdata| DnsName::from_wire(rdata).ok());
        let of_sites = policy.sites.iter().filter_map(|site| site.alias.as_ref());
        let of_services = policy.services.iter().flat_map(|service| service.aliases.values());
        let of_sites = of_sites.chain(of_services).filter_map(|alias| match alias {
            Alias::Resolved(name) => Some(name.clone()),
            Alias::Cname(_) => None,
        });
        let mut names: Vec<DnsName> = of_records.chain(of_sites).collect();
        names.sort_unstable();
        names.dedup();
        Self(names)
    }

    /// The place of a name.
    pub(crate) fn id(&self, name: &DnsName) -> Option<AliasId> {
        let at = self.0.binary_search(name).ok()?;
        u32::try_from(at).ok().map(AliasId)
    }

    /// Every name.
    pub(crate) fn all(&self) -> &[DnsName] {
        &self.0
    }
}

/// Which addresses are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A.
    V4,
    /// AAAA.
    V6,
}

/// A block of clients: the family, the first address at the top of 64 bits, the prefix length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Block {
    is_v6: bool,
    first: u64,
    len: u8,
}

impl Block {
    /// The block of a client subnet, no finer than what answers are told apart by.
    fn of(subnet: &Subnet) -> Option<Self> {
        let (is_v6, top, truth_len) = match subnet.ip()? {
            IpAddr::V4(ip) => (false, u64::from(ip.to_bits()) << 32, TRUTH_V4_LEN),
            IpAddr::V6(ip) => (true, u64::try_from(ip.to_bits() >> 64).unwrap_or(0), TRUTH_V6_LEN),
        };
        Some(Self { is_v6, first: top, len: subnet.source_len }.cut(truth_len))
    }

    /// The block of this length or a shorter one around the first address.
    fn cut(self, len: u8) -> Self {
        let len = self.len.min(len);
        let mask = u64::MAX.checked_shl(64 - u32::from(len)).unwrap_or(0);
        Self { first: self.first & mask, len, ..self }
    }

    /// Whether every client of `other` is one of this block.
    fn holds(self, other: Self) -> bool {
        self.is_v6 == other.is_v6 && self.len <= other.len && other.cut(self.len) == self
    }

    /// The first address and the prefix length, as a query sends them.
    fn as_prefix(self) -> (IpAddr, u8) {
        let ip = if self.is_v6 {
            IpAddr::V6((u128::from(self.first) << 64).into())
        } else {
            IpAddr::V4(u32::try_from(self.first >> 32).unwrap_or(u32::MAX).into())
        };
        (ip, self.len)
    }
}

/// What a name resolves to.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    addresses: Arc<[IpAddr]>,
    ttl_s: u32,
    is_stale: bool,
    /// Set by whoever is answered with it.
    used: Arc<AtomicBool>,
}

/// What is known of one name's addresses of one kind.
#[derive(Debug, Default)]
pub(crate) struct OfKind {
    /// For clients of whom nothing is known.
    everybody: Option<Found>,
    /// By block, rising, disjoint.
    tailored: Vec<(Block, Found)>,
}

/// What is known of one name.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    v4: OfKind,
    v6: OfKind,
}

/// What is known of every name.
pub(crate) type Table = BTreeMap<DnsName, Arc<Answers>>;

/// What was learned so far, and where to note what is missing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Learned {
    pub(crate) table: Arc<Table>,
    /// `None`: nobody resolves anything here.
    pub(crate) notes: Option<SyncSender<Note>>,
}

/// The table for the names of one policy, and where misses are noted.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    answers: Vec<Option<Arc<Answers>>>,
    notes: Option<SyncSender<Note>>,
    names: Arc<AliasNames>,
}

/// A client subnet that nothing is known of yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    /// The names' policy: ids mean nothing in another's.
    names: Arc<AliasNames>,
    id: AliasId,
    kind: Kind,
    block: Block,
}

/// A channel of notes. Sending to it neither waits nor allocates, and a full one loses the note. Its
/// receiver must be polled and never waited on, so that no sender has to wake it.
pub(crate) fn notes() -> (SyncSender<Note>, Receiver<Note>) {
    sync_channel(NOTES_MAX)
}

/// An alias's addresses for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hit<'a> {
    /// In the order they came.
    pub(crate) addresses: &'a [IpAddr],
    /// Seconds.
    pub(crate) ttl_s: u32,
    /// For which prefix of the client's family they hold.
    pub(crate) scope_len: u8,
    /// Whether they should have been renewed.
    pub(crate) is_stale: bool,
}

impl Resolved {
    /// What a table knows of these names.
    pub(crate) fn new(names: &Arc<AliasNames>, learned: &Learned) -> Self {
        let Learned { table, notes } = learned;
        let answers = names.all().iter().map(|name| table.get(name).cloned()).collect();
        Self { answers, notes: notes.clone(), names: Arc::clone(names) }
    }

    /// The addresses for a client; `None` when the name was never resolved.
    pub(crate) fn look_up(
        &self,
        id: AliasId,
        kind: Kind,
        subnet: Option<&Subnet>,
    ) -> Option<Hit<'_>> {
        let answers = self.answers.get(id.0 as usize)?.as_deref()?;
        let of_kind = match kind {
            Kind::V4 => &answers.v4,
            Kind::V6 => &answers.v6,
        };
        let Some(block) = subnet.and_then(Block::of) else {
            return Some(of_kind.everybody.as_ref()?.hit(0));
        };
        let overlapping = of_kind.near(block);
        if let Some((own, found)) = overlapping.filter(|(own, _)| own.holds(block)) {
            return Some(found.hit(own.len));
        }
        let everybody = of_kind.everybody.as_ref()?.hit(block.len);
        let ttl_s = everybody.ttl_s.min(MISS_TTL_S);
        if overlapping.is_some() {
            // Not specific enough (RFC 7871, section 7.2.1): parts of it have their own answers.
            let scope_len = if block.is_v6 { TRUTH_V6_LEN } else { TRUTH_V4_LEN };
            return Some(Hit { scope_len, ttl_s, ..everybody });
        }
        if let Some(notes) = &self.notes {
            let names = Arc::clone(&self.names);
            let _lost_when_full = notes.try_send(Note { names, id, kind, block });
        }
        Some(Hit { ttl_s, ..everybody })
    }
}

impl OfKind {
    /// The entry that holds the block's first address, else the first that lies within the block.
    fn near(&self, block: Block) -> Option<&(Block, Found)> {
        let next = self.tailored.partition_point(|(own, _)| *own <= block);
        let before = next.checked_sub(1).and_then(|at| self.tailored.get(at));
        before
            .filter(|(own, _)| own.holds(block))
            .or_else(|| self.tailored.get(next).filter(|(own, _)| block.holds(*own)))
    }
}

impl Found {
    fn hit(&self, scope_len: u8) -> Hit<'_> {
        // Written once between two renewals: the cache line stays shared.
        if !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
        let ttl_s = if self.is_stale { self.ttl_s.min(STALE_TTL_S) } else { self.ttl_s };
        Hit { addresses: &self.addresses, ttl_s, scope_len, is_stale: self.is_stale }
    }
}
