//! Renders a policy's zones: nodes, sets with their octets, what shadows what, glue.
//!
//! Names are interned with all their ancestors, so that a search can go down label by label. Names
//! in rdata are cut short with a pointer to the zone's apex, the one name that
//! every question of the zone holds; where it is in a packet is patched in when a set is written.

mod glue;

use std::borrow::Cow;
use std::hash::RandomState;
use std::net::IpAddr;

use model::Policy;
use model::name::DnsName;
use model::record::{RecordSet, RecordType};

use super::{AliasOf, Node, Set, Span, Zone, ZoneSet};
use crate::alias::AliasNames;
use crate::name::NameBuf;
use crate::name_hash::HashKey;
use crate::name_table::{NONE, NameTable};

/// Where the rdata of a set's record starts: owner pointer, type, class, TTL, length.
pub(crate) const RDATA_AT: usize = 12;
/// A pointer to the question's name (RFC 1035, section 4.1.4), the owner of most records.
const OWNER_IS_QUESTION: [u8; 2] = [0xc0, 0x0c];
const CLASS_IN: [u8; 2] = [0, 1];
const TYPE_NS: u16 = RecordType::NS.0;
const TYPE_CNAME: u16 = RecordType::CNAME.0;
const TYPE_SOA: u16 = RecordType::SOA.0;
const TYPE_PTR: u16 = 12;
const TYPE_MX: u16 = RecordType::MX.0;
const TYPE_SRV: u16 = 33;

/// Why zones could not be rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// More names, sets or octets than 32-bit offsets reach.
    #[error("the zones are larger than 4 GiB once rendered")]
    TooLarge,
}

/// A record on its way into a set.
#[derive(Debug)]
struct Draft<'a> {
    node: u32,
    record_type: u16,
    ttl_s: u32,
    rdata: Cow<'a, [u8]>,
}

impl ZoneSet {
    /// Renders every zone of a policy. `serial` goes into every SOA; `random` should be keyed
    /// at random, since it decides whether names can be made to collide.
    pub(crate) fn build(
        policy: &Policy,
        serial: u32,
        random: &RandomState,
        aliases: &AliasNames,
    ) -> Result<Self, BuildError> {
        let mut set = Self {
            key: HashKey::of(random),
            apexes: NameTable::default(),
            names: NameTable::default(),
            zones: Vec::with_capacity(policy.zones.len()),
            nodes: Vec::new(),
            sets: Vec::new(),
            glue: Vec::new(),
            hints: Vec::new(),
            aliases: Vec::new(),
            octets: Vec::new(),
            patches: Vec::new(),
            apex_labels: 0,
        };
        let mut drafts = Vec::new();
        for zone in &policy.zones {
            set.add_zone(zone, serial, &mut drafts)?;
            set.add_aliases(zone, aliases)?;
        }
        set.add_services(policy, &mut drafts)?;
        set.render_drafts(drafts)?;
        set.link()?;
        set.gather_glue()?;
        set.settle_authority(policy)?;
        set.gather_hints()?;
        Ok(set)
    }

    fn add_zone<'a>(
        &mut self,
        zone: &'a model::zone::Zone,
        serial: u32,
        drafts: &mut Vec<Draft<'a>>,
    ) -> Result<(), BuildError> {
        let id = number(self.zones.len())?;
        let apex_wire = zone.apex.as_wire();
        let apex = name_buf(&zone.apex);
        let (apex_labels, hash) = (apex.label_count(), self.key.whole(&apex));
        self.zones.push(Zone {
            id,
            apex: number(self.nodes.len())?,
            apex_octets: u8::try_from(apex_wire.len()).map_err(|_| BuildError::TooLarge)?,
            apex_labels,
            hash,
            labels_max: apex_labels,
            soa_negative: Set::default(),
            name_servers: Set::default(),
        });
        self.apexes.insert(self.key.bits(hash), id);
        self.apex_labels |= 1 << apex_labels;
        let apex = self.add_node(id, apex_wire, NONE)?;

        let draft = |record_type: RecordType, ttl_s, rdata| Draft {
            node: apex,
            record_type: record_type.0,
            ttl_s,
            rdata,
        };
        drafts.push(draft(RecordType::SOA, zone.soa.ttl_s, Cow::Owned(soa_rdata(zone, serial))));
        for server in &zone.name_servers {
            let rdata = Cow::Borrowed(server.name.as_wire());
            drafts.push(draft(RecordType::NS, zone.ns_ttl_s, rdata));
        }
        // Checked when the documents were read; a stray name would be taken for one of the zone.
        for records in zone.records.iter().filter(|set| set.owner.is_within(&zone.apex)) {
            self.add_records(id, records, drafts)?;
        }
        for server in &zone.name_servers {
            // A server without addresses makes no name: it may be delegated, or not exist at all.
            if server.addresses.is_empty() || !server.name.is_within(&zone.apex) {
                continue;
            }
            let node = self.intern(id, &server.name)?;
            for ip in &server.addresses {
                let (record_type, rdata) = match ip {
                    IpAddr::V4(ip) => (RecordType::A, ip.octets().to_vec()),
                    IpAddr::V6(ip) => (RecordType::AAAA, ip.octets().to_vec()),
                };
                let ttl_s = zone.ns_ttl_s;
                let rdata = Cow::Owned(rdata);
                drafts.push(Draft { node, record_type: record_type.0, ttl_s, rdata });
            }
        }
        Ok(())
    }

    /// Notes the names that answer with another's addresses.
    fn add_aliases(
        &mut self,
        zone: &model::zone::Zone,
        names: &AliasNames,
    ) -> Result<(), BuildError> {
        let is_alias = |set: &&RecordSet| set.record_type == RecordType::ALIAS;
        let id = number(self.zones.len() - 1)?;
        for records in zone.records.iter().filter(is_alias) {
            let target = records.rdata.first().and_then(|rdata| DnsName::from_wire(rdata).ok());
            let known = target.and_then(|target| names.id(&target));
            let Some(known) = known.filter(|_| records.owner.is_within(&zone.apex)) else {
                continue;
            };
            let node = self.intern(id, &records.owner)?;
            let alias = number(self.aliases.len())?;
            self.aliases.push(AliasOf { id: known, ttl_s_max: records.ttl_s });
            if let Some(node) = self.nodes.get_mut(node as usize) {
                (node.alias, node.one_label) = (alias, false);
            }
        }
        Ok(())
    }

    fn add_records<'a>(
        &mut self,
        zone: u32,
        records: &'a RecordSet,
        drafts: &mut Vec<Draft<'a>>,
    ) -> Result<(), BuildError> {
        // No type of the wire: see `add_aliases`.
        if records.record_type == RecordType::ALIAS {
            return Ok(());
        }
        let node = self.intern(zone, &records.owner)?;
        drafts.extend(records.rdata.iter().map(|rdata| Draft {
            node,
            record_type: records.record_type.0,
            ttl_s: records.ttl_s,
            rdata: Cow::Borrowed(rdata),
        }));
        Ok(())
    }

    /// Puts the services' names into their zones, with the services' own static records.
    fn add_services<'a>(
        &mut self,
        policy: &'a Policy,
        drafts: &mut Vec<Draft<'a>>,
    ) -> Result<(), BuildError> {
        for (id, service) in policy.services() {
            for hostname in &service.hostnames {
                let Some(zone) = self.zone_id(hostname) else { continue };
                let node = self.intern(zone, hostname)?;
                if let Some(node) = self.nodes.get_mut(node as usize) {
                    node.service = id.0;
                }
            }
        }
        // Before the services' own records are added: a wildcard that has static records of the
        // zone stands for any number of labels, as RFC 4592 has it.
        for draft in drafts.iter() {
            if let Some(node) = self.nodes.get_mut(draft.node as usize) {
                node.one_label = false;
            }
        }
        for (_, service) in policy.services() {
            for records in &service.records {
                if let Some(zone) = self.zone_id(&records.owner) {
                    self.add_records(zone, records, drafts)?;
                }
            }
        }
        Ok(())
    }

    fn zone_id(&self, name: &DnsName) -> Option<u32> {
        self.zone_of(&name_buf(name), RecordType::A).map(|zone| zone.id)
    }

    /// The node of a name within its zone, made with its ancestors if need be.
    fn intern(&mut self, zone_id: u32, name: &DnsName) -> Result<u32, BuildError> {
        let name = name_buf(name);
        let Zone { apex, apex_labels, mut hash, .. } = self.zones[zone_id as usize];
        let mut id = apex;
        for depth in apex_labels..name.label_count() {
            hash = self.key.extend(hash, &name, depth);
            id = match self.child(id, name.label_before(depth), hash) {
                Some(child) => child,
                None => {
                    let child = self.add_node(zone_id, name.suffix(depth + 1), id)?;
                    self.names.insert(self.key.bits(hash), child);
                    child
                }
            };
        }
        Ok(id)
    }

    fn add_node(&mut self, zone_id: u32, name: &[u8], parent: u32) -> Result<u32, BuildError> {
        let id = number(self.nodes.len())?;
        let start = number(self.octets.len())?;
        self.octets.extend_from_slice(name);
        let zone = &mut self.zones[zone_id as usize];
        let labels = match self.nodes.get(parent as usize) {
            Some(parent) => parent.labels + 1,
            None => zone.apex_labels,
        };
        zone.labels_max = zone.labels_max.max(labels);
        self.nodes.push(Node {
            name: Span { start, len: number(name.len())? },
            zone: zone_id,
            parent,
            wildcard: NONE,
            sets: Span::default(),
            service: NONE,
            alias: NONE,
            labels,
            is_clear: false,
            is_cut: false,
            has_dname: false,
            one_label: name.starts_with(b"\x01*"),
        });
        Ok(id)
    }

    fn render_drafts(&mut self, mut drafts: Vec<Draft<'_>>) -> Result<(), BuildError> {
        drafts.sort_by_key(|draft| (draft.node, draft.record_type));
        for of_node in drafts.chunk_by(|a, b| a.node == b.node) {
            let start = number(self.sets.len())?;
            for of_type in of_node.chunk_by(|a, b| a.record_type == b.record_type) {
                // Records of one set have one TTL; where they differ the lowest holds
                // (RFC 2181, section 5.2).
                let ttl_s = of_type.iter().map(|draft| draft.ttl_s).min().unwrap_or_default();
                let set = self.render_set(of_type, ttl_s)?;
                self.sets.push(set);
            }
            let len = number(self.sets.len())? - start;
            self.nodes[of_node[0].node as usize].sets = Span { start, len };
        }
        self.octets.shrink_to_fit();
        Ok(())
    }

    fn render_set(&mut self, records: &[Draft<'_>], ttl_s: u32) -> Result<Set, BuildError> {
        let first = &records[0];
        let zone = self.nodes[first.node as usize].zone;
        let apex = self.name_of(self.zones[zone as usize].apex).to_vec();
        let body_start = self.octets.len();
        let patches_start = self.patches.len();
        let mut count = 0_u16;
        for (nth, record) in records.iter().enumerate() {
            if records[..nth].iter().any(|earlier| earlier.rdata == record.rdata) {
                continue;
            }
            count = count.checked_add(1).ok_or(BuildError::TooLarge)?;
            self.octets.extend_from_slice(&OWNER_IS_QUESTION);
            self.octets.extend_from_slice(&record.record_type.to_be_bytes());
            self.octets.extend_from_slice(&CLASS_IN);
            self.octets.extend_from_slice(&ttl_s.to_be_bytes());
            let length_at = self.octets.len();
            self.octets.extend_from_slice(&[0, 0]);
            self.render_rdata(record, &apex, body_start)?;
            let length = self.octets.len() - length_at - 2;
            let length = u16::try_from(length).map_err(|_| BuildError::TooLarge)?;
            self.octets[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        }
        Ok(Set {
            record_type: first.record_type,
            count,
            body: span(body_start, self.octets.len())?,
            patches: span(patches_start, self.patches.len())?,
            glue: Span::default(),
            hints: Span::default(),
        })
    }

    /// Lays out rdata; names of the types that RFC 1035 defines may be compressed (RFC 3597,
    /// section 4), and are when they lie within the zone.
    fn render_rdata(
        &mut self,
        record: &Draft<'_>,
        apex: &[u8],
        body_start: usize,
    ) -> Result<(), BuildError> {
        let (names_at, names) = match record.record_type {
            TYPE_NS | TYPE_CNAME | TYPE_PTR => (0, 1),
            TYPE_MX => (2, 1),
            TYPE_SOA => (0, 2),
            _ => (record.rdata.len(), 0),
        };
        let (head, mut rest) =
            record.rdata.split_at_checked(names_at).unwrap_or((&record.rdata, &[]));
        self.octets.extend_from_slice(head);
        for _ in 0..names {
            let Some(length) = NameBuf::read(rest).map(|name| name.octet_count()) else { break };
            let (name, tail) = rest.split_at(length);
            rest = tail;
            match literal_before(name, apex) {
                Some(literal) => {
                    self.octets.extend_from_slice(literal);
                    self.patches.push(number(self.octets.len() - body_start)?);
                    self.octets.extend_from_slice(&OWNER_IS_QUESTION);
                }
                None => self.octets.extend_from_slice(name),
            }
        }
        self.octets.extend_from_slice(rest);
        Ok(())
    }

    /// Settles what is a cut, has a DNAME or a wildcard, and what is clear of them. A parent has a
    /// smaller index than its children, so it is settled before them.
    fn link(&mut self) -> Result<(), BuildError> {
        for id in 0..self.nodes.len() {
            let node = self.nodes[id];
            let is_apex = node.parent == NONE;
            let is_cut = !is_apex && self.set(&node, RecordType::NS).is_some();
            let has_dname = self.set(&node, RecordType::DNAME).is_some();
            let is_wildcard = self.octets[node.name.range()].starts_with(b"\x01*");
            if is_wildcard && !is_apex {
                self.nodes[node.parent as usize].wildcard = number(id)?;
            }
            let is_clear = match self.nodes.get(node.parent as usize) {
                Some(parent) => {
                    let is_shadowed = parent.is_cut || parent.has_dname;
                    let is_reached = parent.is_clear || parent.parent == NONE;
                    is_reached && !is_shadowed && self.is_ours(&node)
                }
                None => false,
            };
            let node = &mut self.nodes[id];
            (node.is_cut, node.has_dname, node.is_clear) = (is_cut, has_dname, is_clear);
            node.one_label &= node.service != NONE;
        }
        Ok(())
    }

    /// Whether no deeper zone of ours has this node's name.
    fn is_ours(&self, node: &Node) -> bool {
        NameBuf::read(&self.octets[node.name.range()])
            .and_then(|name| self.zone_of(&name, RecordType::A).map(|zone| zone.id))
            == Some(node.zone)
    }

    fn settle_authority(&mut self, policy: &Policy) -> Result<(), BuildError> {
        for (id, zone) in policy.zones.iter().enumerate() {
            let apex = self.nodes[self.zones[id].apex as usize];
            let soa = self.set(&apex, RecordType::SOA).copied().unwrap_or_default();
            self.zones[id].name_servers =
                self.set(&apex, RecordType::NS).copied().unwrap_or_default();
            // The same records with the TTL of negative answers: the lower of the SOA's own and
            // its MINIMUM (RFC 2308, section 3).
            let ttl_s = zone.soa.negative_ttl_s.min(zone.soa.ttl_s);
            let start = self.octets.len();
            self.octets.extend_from_within(soa.body.range());
            self.octets[start + 6..start + 10].copy_from_slice(&ttl_s.to_be_bytes());
            self.zones[id].soa_negative = Set { body: span(start, self.octets.len())?, ..soa };
        }
        Ok(())
    }
}

/// The labels of `name` before `apex`, when the name is at or below it and a pointer saves octets.
fn literal_before<'a>(name: &'a [u8], apex: &[u8]) -> Option<&'a [u8]> {
    let mut at = 0;
    while apex.len() > 2 && name.len() - at >= apex.len() {
        let (literal, rest) = name.split_at(at);
        if rest.eq_ignore_ascii_case(apex) {
            return Some(literal);
        }
        at += 1 + usize::from(*rest.first()?);
    }
    None
}

fn soa_rdata(zone: &model::zone::Zone, serial: u32) -> Vec<u8> {
    let soa = &zone.soa;
    let mut rdata = [soa.mname.as_wire(), soa.rname.as_wire()].concat();
    for field in [serial, soa.refresh_s, soa.retry_s, soa.expire_s, soa.negative_ttl_s] {
        rdata.extend_from_slice(&field.to_be_bytes());
    }
    rdata
}

#[expect(clippy::expect_used, reason = "a `DnsName` holds a valid name")]
fn name_buf(name: &DnsName) -> NameBuf {
    NameBuf::read(name.as_wire()).expect("a valid name")
}

pub(super) fn number(count: usize) -> Result<u32, BuildError> {
    // One below the maximum, which means "none".
    u32::try_from(count).ok().filter(|&count| count < NONE).ok_or(BuildError::TooLarge)
}

pub(super) fn span(start: usize, end: usize) -> Result<Span, BuildError> {
    number(end)?;
    Ok(Span { start: number(start)?, len: number(end - start)? })
}
