//! Glue: the addresses that go beside the names of hosts, found once when zones are rendered.

use model::record::RecordType;

use super::{BuildError, RDATA_AT, TYPE_MX, TYPE_NS, TYPE_SRV, number, span};
use crate::name::NameBuf;
use crate::zone::{Found, Glue, Node, Set, ZoneSet};

impl ZoneSet {
    /// Finds the addresses of hosts of the zone that its records name: for referrals, and for answers
    /// of the types whose RFCs ask for them (RFC 1034, section 4.3.2, RFC 1035, section 3.3.9, RFC 2782).
    pub(super) fn gather_glue(&mut self) -> Result<(), BuildError> {
        for id in 0..self.nodes.len() {
            let node = self.nodes[id];
            for set_at in node.sets.range() {
                let Some(name_at) = host_at(self.sets[set_at].record_type) else { continue };
                let start = self.glue.len();
                let mut found = self.glue_of(&node, &self.sets[set_at], name_at)?;
                // What a client cannot do without comes first, so that it is the last to be cut.
                found.sort_by_key(|glue| !glue.required);
                self.glue.append(&mut found);
                self.sets[set_at].glue = span(start, self.glue.len())?;
            }
        }
        Ok(())
    }

    /// The addresses of the hosts whose names stand `name_at` octets into a set's rdata.
    fn glue_of(&self, node: &Node, set: &Set, name_at: usize) -> Result<Vec<Glue>, BuildError> {
        let zone = self.zones[node.zone as usize];
        let body = &self.octets[set.body.range()];
        let node_name = &self.octets[node.name.range()];
        let is_referral = node.is_cut && set.record_type == TYPE_NS;
        let mut found = Vec::new();
        let mut hosts: Vec<NameBuf> = Vec::new();
        let mut at = 0;
        while let Some(&[high, low]) = body.get(at + 10..).and_then(<[u8]>::first_chunk) {
            let rdata_at = at + RDATA_AT;
            at = rdata_at + usize::from(u16::from_be_bytes([high, low]));
            let name_at = rdata_at + name_at;
            let Some(host) = body.get(name_at..at).and_then(|name| self.expand(&zone, name)) else {
                continue;
            };
            // A name out of the zone is not to be taken for one in it, and two records may name one.
            if host.suffix(zone.apex_labels) != self.name_of(zone.apex)
                || hosts.iter().any(|seen| seen.wire() == host.wire())
            {
                continue;
            }
            let answered = match self.find(&zone, &host) {
                Found::Node(cut) if cut.is_cut && self.is_named(cut, &host) => None,
                Found::Node(of_host) => Some(of_host),
                _ => None,
            };
            // A server is found by its glue, which may lie below the cut.
            let glue = self.node(&zone, &host).and_then(|id| self.nodes.get(id as usize));
            let of_host = match set.record_type {
                TYPE_NS if is_referral => glue,
                TYPE_NS => glue.or(answered),
                _ => answered,
            };
            let Some(of_host) = of_host else { continue };
            let required = is_referral && host.suffix(node.labels) == node_name;
            hosts.push(host);
            for set_at in of_host.sets.range() {
                let record_type = RecordType(self.sets[set_at].record_type);
                let is_address = record_type == RecordType::A || record_type == RecordType::AAAA;
                if is_address {
                    let (name_at, set) = (number(name_at)?, number(set_at)?);
                    found.push(Glue { name_at, set, required });
                }
            }
        }
        Ok(found)
    }
}

/// How far into rdata the name of a host stands whose addresses the client will want next.
fn host_at(record_type: u16) -> Option<usize> {
    match record_type {
        TYPE_NS => Some(0),
        TYPE_MX => Some(2),
        TYPE_SRV => Some(6),
        _ => None,
    }
}
