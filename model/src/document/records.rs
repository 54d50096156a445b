//! Static records of a zone, put together as sets and checked against each other.
//!
//! Records come from the `Zone` document and from its zone file; the rules are the same for both.
//! Invariant of the result: every owner is within the apex, CNAME and DNAME are alone where they
//! must be, no set is of a type that only signing or a message may have.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::report::{Report, Span};
use crate::name::DnsName;
use crate::record::{RecordSet, RecordType};

/// The most records of a set: more of the smallest would not fit a message of 64 KiB with names
/// and signatures.
const SET_RECORDS_MAX: usize = 2000;
/// The most octets of a set in an answer: a message has 65,535, and the longest question, a chain of
/// aliases, signatures and EDNS want some of them.
const SET_OCTETS_MAX: usize = 60_000;
/// What a record has in an answer beside its rdata: a pointer for its owner, type, class, TTL, length.
const RECORD_HEAD_OCTETS: usize = 12;
/// RFC 4034 and 5155: what signing makes.
const RRSIG: RecordType = RecordType(46);
const NSEC: RecordType = RecordType(47);
const NSEC3: RecordType = RecordType(50);
const NSEC3PARAM: RecordType = RecordType(51);
const OPT: RecordType = RecordType(41);

/// One record with the place it was written.
#[derive(Debug, Clone)]
pub(super) struct StaticRecord {
    pub(super) owner: DnsName,
    pub(super) record_type: RecordType,
    pub(super) ttl_s: u32,
    pub(super) rdata: Box<[u8]>,
    pub(super) span: Span,
}

#[derive(Debug)]
struct Set {
    ttl_s: u32,
    rdata: Vec<Box<[u8]>>,
    /// Of an answer with the set.
    octets: usize,
    span: Span,
}

/// A zone's static sets by owner and type.
#[derive(Debug)]
pub(super) struct StaticSets {
    apex: DnsName,
    sets: BTreeMap<(DnsName, RecordType), Set>,
}

/// Why nobody may write records of a type, if so.
pub(super) fn refusal(record_type: RecordType) -> Option<&'static str> {
    match record_type {
        RRSIG | NSEC | NSEC3 | NSEC3PARAM => Some("signing makes these records"),
        OPT => Some("it belongs to messages"),
        // RFC 6895, section 3.1: 128-255 are meta-types and question types.
        RecordType(0 | 128..=255) => Some("it is a meta-type"),
        _ => None,
    }
}

impl StaticSets {
    /// Groups and checks records; what is wrong is reported and left out.
    pub(super) fn assemble(apex: DnsName, records: Vec<StaticRecord>, report: &mut Report) -> Self {
        let mut all = Self { apex, sets: BTreeMap::new() };
        for record in records {
            all.add(record, report);
        }
        all.check_alone(report);
        all.check_cuts(report);
        all
    }

    fn add(&mut self, record: StaticRecord, report: &mut Report) {
        let StaticRecord { owner, record_type, ttl_s, rdata, span } = record;
        if let Some((why, help)) = self.refuse(&owner, record_type) {
            report.error(span, why, help);
            return;
        }
        let octets = RECORD_HEAD_OCTETS + rdata.len();
        match self.sets.entry((owner, record_type)) {
            Entry::Vacant(vacant) => {
                if octets > SET_OCTETS_MAX {
                    let owner = &vacant.key().0;
                    let message = format!("this {record_type} of `{owner}` fits into no answer");
                    let help = format!("a set of records may have {SET_OCTETS_MAX} octets");
                    report.error(span, message, help);
                }
                vacant.insert(Set { ttl_s, rdata: vec![rdata], octets, span });
            }
            Entry::Occupied(mut occupied) => {
                let (owner, _) = occupied.key().clone();
                let set = occupied.get_mut();
                if set.rdata.len() >= SET_RECORDS_MAX {
                    let message =
                        format!("`{owner}` has more than {SET_RECORDS_MAX} {record_type}");
                    report.error(span, message, "give some of them names of their own");
                    return;
                }
                if set.octets > SET_OCTETS_MAX {
                    // Said once.
                    return;
                }
                if set.rdata.contains(&rdata) {
                    let message = format!("this {record_type} record of `{owner}` is given twice");
                    report.warn(span, message, "one of them is enough");
                    return;
                }
                if set.ttl_s != ttl_s {
                    let message = format!("the {record_type} records of `{owner}` differ in TTL");
                    let help = "a set has one TTL (RFC 2181): the lowest is taken";
                    report.warn(span, message, help);
                    set.ttl_s = set.ttl_s.min(ttl_s);
                }
                set.rdata.push(rdata);
                set.octets += octets;
                if set.octets > SET_OCTETS_MAX {
                    let message = format!("the {record_type} of `{owner}` fit into no answer");
                    let help = format!("all of them may have {SET_OCTETS_MAX} octets: remove some");
                    report.error(span, message, help);
                }
            }
        }
    }

    /// Why a record cannot be here, and what to do about it.
    fn refuse(&self, owner: &DnsName, record_type: RecordType) -> Option<(String, String)> {
        let given = |why: &str, help: &str| Some((why.to_owned(), help.to_owned()));
        if !owner.is_within(&self.apex) {
            let message = format!("`{owner}` is not in the zone `{}`", self.apex);
            let help = format!("write a name below `{}`, or add a Zone for this one", self.apex);
            return Some((message, help));
        }
        if let Some(why) = refusal(record_type) {
            let message = format!("a zone cannot hold {record_type} records: {why}");
            return Some((message, "remove this record".into()));
        }
        let at_apex = *owner == self.apex;
        match record_type {
            RecordType::SOA => {
                given("the SOA belongs in `spec.soa`", "write `soa: {mname: ..., rname: ...}`")
            }
            RecordType::NS if at_apex => given(
                "the apex's NS belong in `spec.nameServers`",
                "write `nameServers: [{name: ..., addresses: [...]}]`",
            ),
            RecordType::CNAME if at_apex => given(
                "the apex cannot be a CNAME",
                "write an ALIAS to the same name, or steer the apex with a GlobalService",
            ),
            RecordType::DS if at_apex => given(
                "the apex's DS belongs in the parent zone",
                "remove it, and give it to whoever runs the parent zone",
            ),
            _ => None,
        }
    }

    /// CNAME excludes every other type, CNAME and DNAME are single (RFC 2181, RFC 6672); so is
    /// ALIAS, which excludes the addresses that it stands for.
    fn check_alone(&self, report: &mut Report) {
        for ((owner, record_type), set) in &self.sets {
            if !matches!(*record_type, RecordType::CNAME | RecordType::DNAME | RecordType::ALIAS) {
                continue;
            }
            if set.rdata.len() > 1 {
                report.error(
                    set.span,
                    format!("`{owner}` has more than one {record_type}"),
                    "keep the one that is meant and remove the others",
                );
            }
            if set.rdata.iter().any(|rdata| **rdata == *owner.as_wire()) {
                let message = format!("the {record_type} of `{owner}` leads to itself");
                let help = "name what has the addresses";
                // Other servers load such a CNAME or DNAME, and a zone that moves here should too.
                if *record_type == RecordType::ALIAS {
                    report.error(set.span, message, help);
                } else {
                    report.warn(set.span, message, help);
                }
            }
            let is_address = |t: RecordType| matches!(t, RecordType::A | RecordType::AAAA);
            if *record_type == RecordType::ALIAS
                && let Some((other, span)) = self.at(owner).find(|(t, _)| is_address(*t))
            {
                let message = format!("`{owner}` has an ALIAS and cannot have {other} as well");
                let at = report.place(set.span);
                let help = format!("remove this record or the ALIAS, which is at {at}");
                report.error(span, message, help);
            }
            if *record_type == RecordType::CNAME
                && let Some((other, span)) = self.at(owner).find(|(t, _)| *t != RecordType::CNAME)
            {
                let message = format!("`{owner}` is a CNAME and cannot have {other} as well");
                let at = report.place(set.span);
                let help = format!("remove this record or the CNAME, which is at {at}");
                report.error(span, message, help);
            }
        }
    }

    /// Below a delegation only glue is of use, below a DNAME nothing may be.
    fn check_cuts(&self, report: &mut Report) {
        for ((owner, record_type), set) in &self.sets {
            let is_cut = self.sets.contains_key(&(owner.clone(), RecordType::NS));
            if *record_type == RecordType::DS && !is_cut {
                let message = format!("`{owner}` has DS but is not delegated: it has no NS");
                report.error(
                    set.span,
                    message,
                    "add the NS records of the child, or remove the DS",
                );
            }
            let is_cutting = matches!(*record_type, RecordType::NS | RecordType::DNAME);
            if is_cutting && owner.is_wildcard() {
                let message = format!("a wildcard owns {record_type}");
                let help = "RFC 4592, section 4, leaves it open what that means: write the names";
                report.warn(set.span, message, help);
            }
            let glue = matches!(*record_type, RecordType::A | RecordType::AAAA);
            let of_cut = glue || matches!(*record_type, RecordType::NS | RecordType::DS);
            if is_cut && !of_cut {
                let message = format!("`{owner}` is delegated");
                report.warn(set.span, message, "nobody is ever answered with this record");
            }
            if *record_type == RecordType::NS {
                self.check_glue(owner, set, report);
            }
            match owner.parent().and_then(|parent| self.cut_at_or_above(&parent)) {
                Some((RecordType::DNAME, cut, _)) => {
                    let message = format!("`{owner}` lies below the DNAME at `{cut}`");
                    report.error(set.span, message, "put it at another name, or remove the DNAME");
                }
                Some((_, cut, _)) if !glue => {
                    let message = format!("`{owner}` lies below the delegation of `{cut}`");
                    report.warn(set.span, message, "nobody is ever answered with this record");
                }
                _ => {}
            }
        }
    }

    /// A server below the cut it serves can only be found by its glue (RFC 1034, section 4.2.1).
    fn check_glue(&self, cut: &DnsName, set: &Set, report: &mut Report) {
        for server in set.rdata.iter().filter_map(|rdata| DnsName::from_wire(rdata).ok()) {
            let is_address = |t: RecordType| matches!(t, RecordType::A | RecordType::AAAA);
            if server.is_within(cut) && !self.at(&server).any(|(t, _)| is_address(t)) {
                let message = format!("the delegation of `{cut}` has no address for `{server}`");
                report.warn(set.span, message, "add its A or AAAA records here as glue");
            }
        }
    }

    /// The types at a name, with their places.
    pub(super) fn at(&self, owner: &DnsName) -> impl Iterator<Item = (RecordType, Span)> {
        let from = (owner.clone(), RecordType(0));
        let to = (owner.clone(), RecordType(u16::MAX));
        self.sets.range(from..=to).map(|((_, record_type), set)| (*record_type, set.span))
    }

    /// The highest delegation or DNAME that covers `name`, the name itself included. A DNAME at the
    /// apex counts, the apex's own NS are not among the sets.
    pub(super) fn cut_at_or_above(&self, name: &DnsName) -> Option<(RecordType, DnsName, Span)> {
        let mut highest = None;
        let mut at = Some(name.clone());
        while let Some(owner) = at.filter(|owner| owner.is_within(&self.apex)) {
            let cut =
                self.at(&owner).find(|(t, _)| matches!(*t, RecordType::NS | RecordType::DNAME));
            if let Some((record_type, span)) = cut {
                highest = Some((record_type, owner.clone(), span));
            }
            at = owner.parent();
        }
        highest
    }

    /// The rdata of a set; none where there is no set.
    pub(super) fn rdata(&self, owner: &DnsName, record_type: RecordType) -> &[Box<[u8]>] {
        self.sets.get(&(owner.clone(), record_type)).map_or(&[], |set| &set.rdata)
    }

    /// Takes the addresses of a name out.
    pub(super) fn remove_addresses(&mut self, owner: &DnsName) {
        for record_type in [RecordType::A, RecordType::AAAA] {
            self.sets.remove(&(owner.clone(), record_type));
        }
    }

    /// The sets for the model, sorted by owner and type.
    pub(super) fn to_model(&self) -> Vec<RecordSet> {
        let set = |((owner, record_type), set): (&(DnsName, RecordType), &Set)| RecordSet {
            owner: owner.clone(),
            record_type: *record_type,
            ttl_s: set.ttl_s,
            rdata: set.rdata.clone(),
        };
        self.sets.iter().map(set).collect()
    }
}
