//! Every zone of a policy, rendered for the wire, and the search for a name in them.
//!
//! One node per name that exists, empty non-terminals included; per node its record sets with
//! their octets already laid out, and what lies above it (a cut or a DNAME) worked out when the
//! zones are built. A search is therefore a hash per name length tried: one for the apex, one for
//! a name that exists, a few for one that does not. What it finds is an enum of outcomes, and what
//! to write for each is `answer`'s affair.

mod build;

use std::hash::{BuildHasher, Hasher, RandomState};

use model::record::RecordType;
use model::service::ServiceId;

pub use build::BuildError;
pub(crate) use build::RDATA_AT;

use crate::name::NameBuf;
use crate::name_table::{NONE, NameTable};

/// The odd constant of Fibonacci hashing (2^64 / golden ratio); spreads zone numbers over the hash,
/// which is secret already.
const ZONE_SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stretch of one of the arenas.
#[derive(Debug, Clone, Copy, Default)]
struct Span {
    start: u32,
    len: u32,
}

impl Span {
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.start as usize + self.len as usize
    }
}

/// The zones. Built once per policy and shared by every view of it.
#[derive(Debug)]
pub(crate) struct ZoneSet {
    hasher: RandomState,
    /// Apex -> index into `zones`.
    apexes: NameTable,
    /// (Zone, name) -> index into `nodes`.
    names: NameTable,
    zones: Vec<Zone>,
    nodes: Vec<Node>,
    sets: Vec<Set>,
    glue: Vec<Glue>,
    octets: Vec<u8>,
    patches: Vec<u32>,
    apex_labels_max: u8,
}

/// One zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone {
    id: u32,
    apex: u32,
    /// Octets of the apex in wire form.
    pub(crate) apex_octets: u8,
    apex_labels: u8,
    /// The most labels any name of the zone has; a longer one cannot be in it.
    labels_max: u8,
    soa_negative: Set,
    name_servers: Set,
}

/// A name that exists.
///
/// Invariant: a node's parent has a smaller index, up to the zone's apex.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    name: Span,
    zone: u32,
    parent: u32,
    /// The uppermost cut or DNAME strictly above it, or `NONE`.
    above: u32,
    /// Its `*` child, or `NONE`.
    wildcard: u32,
    sets: Span,
    service: u32,
    labels: u8,
    /// NS below the apex: a delegation.
    pub(crate) is_cut: bool,
    has_dname: bool,
    /// A wildcard with nothing static: it stands for one label only (design.md section 3).
    one_label: bool,
}

impl Node {
    /// The service that steers this name.
    pub(crate) fn service(&self) -> Option<ServiceId> {
        (self.service != NONE).then_some(ServiceId(self.service))
    }

    /// Whether it exists for the names below it alone (an empty non-terminal).
    pub(crate) fn is_empty(&self) -> bool {
        self.sets.len == 0 && self.service == NONE
    }

    /// Octets of its name in wire form.
    pub(crate) fn name_octets(&self) -> usize {
        self.name.len as usize
    }
}

/// A record set laid out for the wire: for each record a two-octet owner pointer to the question,
/// type, class, TTL, length, rdata.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Set {
    record_type: u16,
    count: u16,
    body: Span,
    patches: Span,
    glue: Span,
}

/// An address set that goes with an NS set.
#[derive(Debug, Clone, Copy)]
struct Glue {
    /// Where the NS record's rdata, the name of the server, lies in the NS set's body.
    rdata_at: u32,
    set: u32,
    /// The server lies at or below the cut: nobody can find it otherwise (RFC 9471, section 3.1).
    required: bool,
}

/// A set's octets, borrowed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rendered<'a> {
    /// How many records.
    pub(crate) count: u16,
    /// The records.
    pub(crate) body: &'a [u8],
    /// Where in `body` a pointer to the zone's apex belongs.
    pub(crate) patches: &'a [u32],
}

/// An address set for the additional section.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Additional<'a> {
    /// Where the owner's name lies in the NS set's body.
    pub(crate) owner_at: usize,
    /// Whether the referral is useless without it.
    pub(crate) required: bool,
    /// The addresses.
    pub(crate) addresses: Rendered<'a>,
}

/// Where a name is in its zone.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Found<'a> {
    /// It exists, perhaps with no record at all (an empty non-terminal), or a wildcard stands for it.
    Node(&'a Node),
    /// It is at or below a delegation.
    Cut(&'a Node),
    /// It is below a DNAME.
    Dname(&'a Node),
    /// It does not exist.
    Missing,
}

impl ZoneSet {
    /// The zone with the longest apex that `name` is in. A DS question at an apex belongs to the
    /// parent's zone when we serve it too (RFC 4035, section 3.1.4.1).
    pub(crate) fn zone_of(&self, name: &NameBuf, record_type: RecordType) -> Option<&Zone> {
        let mut labels = name.label_count().min(self.apex_labels_max);
        let mut child = None;
        loop {
            let suffix = name.suffix(labels);
            let is_apex = |id: u32| {
                self.zones.get(id as usize).is_some_and(|zone| self.name_of(zone.apex) == suffix)
            };
            if let Some(id) = self.apexes.find(self.hash(suffix), is_apex) {
                let zone = self.zones.get(id as usize);
                if record_type != RecordType::DS || labels < name.label_count() {
                    return zone;
                }
                child = zone;
            }
            if labels == 0 {
                return child;
            }
            labels -= 1;
        }
    }

    /// Whether `name` lies in exactly this zone: not outside it, not in a deeper one of ours.
    pub(crate) fn is_in(&self, name: &NameBuf, zone: &Zone) -> bool {
        self.zone_of(name, RecordType::A).is_some_and(|found| found.id == zone.id)
    }

    /// Finds a name in a zone that it is within.
    pub(crate) fn find(&self, zone: &Zone, name: &NameBuf) -> Found<'_> {
        let labels = name.label_count();
        let mut tried = labels.min(zone.labels_max);
        if tried == labels {
            if let Some(node) = self.node(zone, name.wire()) {
                return self.below(node).unwrap_or(Found::Node(node));
            }
            tried = tried.saturating_sub(1);
        }
        // Names of a zone are closed upwards, so the first suffix that exists is the closest
        // encloser (RFC 4592, section 3.3.1); the apex always exists.
        while tried >= zone.apex_labels {
            let Some(encloser) = self.node(zone, name.suffix(tried)) else {
                if tried == 0 {
                    break;
                }
                tried -= 1;
                continue;
            };
            if let Some(redirected) = self.below(encloser) {
                return redirected;
            }
            if encloser.is_cut {
                return Found::Cut(encloser);
            }
            if encloser.has_dname {
                return Found::Dname(encloser);
            }
            return match self.nodes.get(encloser.wildcard as usize) {
                Some(wildcard) if !wildcard.one_label || labels == tried + 1 => {
                    Found::Node(wildcard)
                }
                _ => Found::Missing,
            };
        }
        Found::Missing
    }

    /// The set of one type at a node.
    pub(crate) fn set(&self, node: &Node, record_type: RecordType) -> Option<&Set> {
        let sets = self.sets.get(node.sets.range())?;
        sets.iter().find(|set| set.record_type == record_type.0)
    }

    /// The zone's SOA with the TTL of negative answers (RFC 2308, section 5).
    pub(crate) fn soa_negative(&self, zone: &Zone) -> Rendered<'_> {
        self.render(&zone.soa_negative)
    }

    /// The zone's own NS set.
    pub(crate) fn name_servers(&self, zone: &Zone) -> Rendered<'_> {
        self.render(&zone.name_servers)
    }

    /// A set's octets.
    pub(crate) fn render(&self, set: &Set) -> Rendered<'_> {
        Rendered {
            count: set.count,
            body: self.octets.get(set.body.range()).unwrap_or_default(),
            patches: self.patches.get(set.patches.range()).unwrap_or_default(),
        }
    }

    /// The addresses that go with an NS set.
    pub(crate) fn additional(&self, set: &Set) -> impl Iterator<Item = Additional<'_>> {
        let glue = self.glue.get(set.glue.range()).unwrap_or_default();
        glue.iter().filter_map(|glue| {
            Some(Additional {
                owner_at: glue.rdata_at as usize,
                required: glue.required,
                addresses: self.render(self.sets.get(glue.set as usize)?),
            })
        })
    }

    /// The name in the rdata of the one record of a CNAME or DNAME set: its TTL and target.
    pub(crate) fn target(&self, zone: &Zone, set: &Set) -> Option<(u32, NameBuf)> {
        let body = self.octets.get(set.body.range())?;
        let ttl_s = u32::from_be_bytes(*body.get(6..)?.first_chunk()?);
        Some((ttl_s, self.expand(zone, body.get(RDATA_AT..)?)?))
    }

    /// Reads a rendered name: literal labels, then the root or a pointer that means the apex.
    fn expand(&self, zone: &Zone, rendered: &[u8]) -> Option<NameBuf> {
        let mut at = 0;
        loop {
            match *rendered.get(at)? {
                0 => return NameBuf::read(rendered),
                length @ 1..=0x3f => at += 1 + usize::from(length),
                _ => return NameBuf::join(rendered.get(..at)?, self.name_of(zone.apex)),
            }
        }
    }

    /// What shadows a node: the cut or DNAME above it.
    fn below(&self, node: &Node) -> Option<Found<'_>> {
        let above = self.nodes.get(node.above as usize)?;
        Some(if above.is_cut { Found::Cut(above) } else { Found::Dname(above) })
    }

    fn node(&self, zone: &Zone, name: &[u8]) -> Option<&Node> {
        let id = self.names.find(self.hash_in(zone.id, name), |id| {
            self.nodes.get(id as usize).is_some_and(|node| {
                node.zone == zone.id && self.octets.get(node.name.range()) == Some(name)
            })
        })?;
        self.nodes.get(id as usize)
    }

    fn name_of(&self, node: u32) -> &[u8] {
        let name = self.nodes.get(node as usize).map(|node| node.name.range());
        name.and_then(|range| self.octets.get(range)).unwrap_or_default()
    }

    /// The keyed hash of a name.
    pub(crate) fn hash(&self, name: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write(name);
        hasher.finish()
    }

    fn hash_in(&self, zone: u32, name: &[u8]) -> u64 {
        self.hash(name) ^ u64::from(zone).wrapping_mul(ZONE_SPREAD)
    }
}
