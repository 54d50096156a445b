//! Every zone of a policy, rendered for the wire, and the search for a name in them.
//!
//! One node per name that exists, empty non-terminals included; per node its record sets with
//! their octets already laid out. A search looks for the whole name first. Failing that it finds the
//! apex and goes down label by label until it meets the name, a cut, a DNAME, or nothing; the hash
//! goes on from label to label, so every octet is hashed once. What it finds is an enum, and what to write for each is `answer`'s affair.

mod build;
mod hints;

use model::record::RecordType;
use model::service::ServiceId;

pub use build::BuildError;
pub(crate) use build::RDATA_AT;
pub(crate) use hints::ADDED;

use crate::alias::AliasId;
use crate::name::NameBuf;
use crate::name_hash::{HashKey, NameHash};
use crate::name_table::{NONE, NameTable};

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
    key: HashKey,
    /// Apex -> index into `zones`.
    apexes: NameTable,
    /// (Parent, label) -> index into `nodes`.
    names: NameTable,
    zones: Vec<Zone>,
    nodes: Vec<Node>,
    sets: Vec<Set>,
    glue: Vec<Glue>,
    hints: Vec<hints::Cuts>,
    aliases: Vec<AliasOf>,
    octets: Vec<u8>,
    patches: Vec<u32>,
    /// Bit `n` is set when some apex has `n` labels.
    apex_labels: u128,
}

/// What a name is an address alias for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AliasOf {
    /// The name.
    pub(crate) id: AliasId,
    /// The most that its addresses may live.
    pub(crate) ttl_s_max: u32,
}

/// One zone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Zone {
    id: u32,
    apex: u32,
    /// Octets of the apex in wire form.
    pub(crate) apex_octets: u8,
    apex_labels: u8,
    /// The apex's hash.
    hash: NameHash,
    /// The most labels any name of the zone has; a longer one cannot be in it.
    labels_max: u8,
    soa_negative: Set,
    /// Its own NS set.
    pub(crate) name_servers: Set,
}

/// A name that exists.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Node {
    name: Span,
    zone: u32,
    parent: u32,
    /// Its `*` child, or `NONE`.
    wildcard: u32,
    sets: Span,
    service: u32,
    /// In [`ZoneSet::aliases`], or `NONE`.
    alias: u32,
    labels: u8,
    /// Whether a search for its name always ends here: no cut and no DNAME is above it, and no deeper
    /// zone of ours has the name. Never set at an apex.
    is_clear: bool,
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
        self.sets.len == 0 && self.service == NONE && self.alias == NONE
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
    /// Of a steered name's HTTPS or SVCB set, when some record of it is answered with hints.
    hints: Span,
}

impl Set {
    /// Whether the answer depends on which sites are chosen.
    pub(crate) fn is_hinted(&self) -> bool {
        self.hints.len > 0
    }
}

/// An address set that goes with a set that names its host.
#[derive(Debug, Clone, Copy)]
struct Glue {
    /// Where the host's name lies in the set's body.
    name_at: u32,
    set: u32,
    /// A server at or below its cut: nobody can find it otherwise (RFC 9471, section 3.1).
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
    /// Where the owner's name lies in the set's body.
    pub(crate) owner_at: usize,
    /// Whether the referral is useless without it.
    pub(crate) required: bool,
    /// The addresses.
    pub(crate) set: &'a Set,
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
    /// The zone that answers for a name, and where the name is in it. `None` when it is in none.
    pub(crate) fn locate(
        &self,
        name: &NameBuf,
        record_type: RecordType,
    ) -> Option<(&Zone, Found<'_>)> {
        // Nearly every question is for a name that exists and that nothing shadows.
        if let Some(found) = self.find_clear(name) {
            return Some(found);
        }
        let zone = self.zone_of(name, record_type)?;
        Some((zone, self.find(zone, name)))
    }

    fn find_clear(&self, name: &NameBuf) -> Option<(&Zone, Found<'_>)> {
        let bits = self.key.bits(self.key.whole(name));
        let id = self.names.find(bits, |id| {
            self.nodes
                .get(id as usize)
                .is_some_and(|node| node.is_clear && self.is_named(node, name))
        })?;
        let node = self.nodes.get(id as usize)?;
        Some((self.zones.get(node.zone as usize)?, Found::Node(node)))
    }

    /// The zone with the longest apex that `name` is in. A DS question at an apex belongs to the
    /// parent's zone when we serve it too (RFC 4035, section 3.1.4.1).
    pub(crate) fn zone_of(&self, name: &NameBuf, record_type: RecordType) -> Option<&Zone> {
        let mut found = None;
        let mut hash = HashKey::root();
        for labels in 0..=name.label_count() {
            // The apexes of this length and of longer ones.
            let lengths = self.apex_labels >> labels;
            if lengths & 1 == 1
                && let Some(zone) = self.zone_at(name.suffix(labels), hash)
                && (record_type != RecordType::DS || labels < name.label_count() || found.is_none())
            {
                found = Some(zone);
            }
            if lengths <= 1 {
                break;
            }
            hash = self.key.extend(hash, name, labels);
        }
        found
    }

    fn zone_at(&self, apex: &[u8], hash: NameHash) -> Option<&Zone> {
        let is_apex = |id: u32| {
            self.zones.get(id as usize).is_some_and(|zone| self.name_of(zone.apex) == apex)
        };
        self.zones.get(self.apexes.find(self.key.bits(hash), is_apex)? as usize)
    }

    /// Whether a chain within this zone goes on at `name`: it lies in no deeper zone of ours, or its DS
    /// is asked for, which is found above a deeper zone's apex and, as Knot has it, at our own.
    pub(crate) fn goes_on(&self, name: &NameBuf, record_type: RecordType, zone: &Zone) -> bool {
        let is_here = |found: Option<&Zone>| found.is_some_and(|found| found.id == zone.id);
        is_here(self.zone_of(name, RecordType::A))
            || (record_type == RecordType::DS && is_here(self.zone_of(name, record_type)))
    }

    /// Finds a name in a zone that it is within.
    pub(crate) fn find(&self, zone: &Zone, name: &NameBuf) -> Found<'_> {
        let mut hash = zone.hash;
        let mut id = zone.apex;
        for depth in zone.apex_labels..=name.label_count() {
            let Some(node) = self.nodes.get(id as usize) else { break };
            if depth == name.label_count() {
                return Found::Node(node);
            }
            if node.is_cut {
                return Found::Cut(node);
            }
            if node.has_dname {
                return Found::Dname(node);
            }
            let mut child = None;
            if depth < zone.labels_max {
                hash = self.key.extend(hash, name, depth);
                child = self.child(id, name.label_before(depth), hash);
            }
            // Names of a zone are closed upwards, so the last node that exists is the closest
            // encloser (RFC 4592, section 3.3.1).
            let Some(child) = child else {
                let is_next = depth + 1 == name.label_count();
                return match self.nodes.get(node.wildcard as usize) {
                    Some(wildcard) if is_next || !wildcard.one_label => Found::Node(wildcard),
                    _ => Found::Missing,
                };
            };
            id = child;
        }
        Found::Missing
    }

    /// What a node is an address alias for.
    pub(crate) fn alias(&self, node: &Node) -> Option<AliasOf> {
        if node.alias == NONE { None } else { self.aliases.get(node.alias as usize).copied() }
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

    /// A set's octets.
    pub(crate) fn render(&self, set: &Set) -> Rendered<'_> {
        Rendered {
            count: set.count,
            body: self.octets.get(set.body.range()).unwrap_or_default(),
            patches: self.patches.get(set.patches.range()).unwrap_or_default(),
        }
    }

    /// The addresses of the hosts that a set names.
    pub(crate) fn additional(&self, set: &Set) -> impl Iterator<Item = Additional<'_>> {
        let glue = self.glue.get(set.glue.range()).unwrap_or_default();
        glue.iter().filter_map(|glue| {
            Some(Additional {
                owner_at: glue.name_at as usize,
                required: glue.required,
                set: self.sets.get(glue.set as usize)?,
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

    /// Whether the node has this name, and does not stand for it as a wildcard.
    pub(crate) fn is_named(&self, node: &Node, name: &NameBuf) -> bool {
        self.octets.get(node.name.range()) == Some(name.wire())
    }

    /// The node of a name of the zone, however deep below cuts it lies.
    fn node(&self, zone: &Zone, name: &NameBuf) -> Option<u32> {
        let mut hash = zone.hash;
        let mut id = zone.apex;
        for depth in zone.apex_labels..name.label_count() {
            hash = self.key.extend(hash, name, depth);
            id = self.child(id, name.label_before(depth), hash)?;
        }
        Some(id)
    }

    /// The child of a node by its label, with the hash of the child's whole name.
    fn child(&self, parent: u32, label: &[u8], hash: NameHash) -> Option<u32> {
        self.names.find(self.key.bits(hash), |id| {
            self.nodes.get(id as usize).is_some_and(|node| {
                let name = self.octets.get(node.name.range());
                node.parent == parent && name.is_some_and(|name| name.starts_with(label))
            })
        })
    }

    fn name_of(&self, node: u32) -> &[u8] {
        let name = self.nodes.get(node as usize).map(|node| node.name.range());
        name.and_then(|range| self.octets.get(range)).unwrap_or_default()
    }

    /// The keyed hash of a name by itself.
    pub(crate) fn hash(&self, name: &NameBuf) -> NameHash {
        self.key.whole(name)
    }
}
