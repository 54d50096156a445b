//! Where the address hints of HTTPS and SVCB records at steered names go (RFC 9460, section 7.3).
//!
//! A record that leads to the steered name itself and gives no hints gets the chosen sites' when it is
//! answered: a client that connects by the hint goes where the A record would have sent it. A record
//! in alias mode, one that leads elsewhere, and a hint written by the operator stay as they are.
//! Parameters stand in the order of their keys, so the rdata is cut in three, hints between the parts.

use model::record::RecordType;

use super::build::{BuildError, number, span};
use super::{Node, Set, Span, ZoneSet};
use crate::zone::RDATA_AT;

const TYPE_SVCB: u16 = 64;
const TYPE_HTTPS: u16 = RecordType::HTTPS.0;
const KEY_V4HINT: u16 = 4;
const KEY_V6HINT: u16 = 6;
/// Key and length of a parameter.
const PARAM_HEAD_OCTETS: usize = 4;

/// How one record of a set is cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cuts {
    ttl_s: u32,
    before_v4: Span,
    before_v6: Span,
    rest: Span,
    wants_v4: bool,
    wants_v6: bool,
}

/// A record to be put together: the parts of its rdata, and which hints go between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hinted<'a> {
    /// The record's own TTL.
    pub(crate) ttl_s: u32,
    /// Everything before the IPv4 hints.
    pub(crate) before_v4: &'a [u8],
    /// What stands between the two kinds of hints.
    pub(crate) before_v6: &'a [u8],
    /// What follows the IPv6 hints.
    pub(crate) rest: &'a [u8],
    /// Whether IPv4 hints are to be added.
    pub(crate) wants_v4: bool,
    /// Whether IPv6 hints are to be added.
    pub(crate) wants_v6: bool,
}

/// Where rdata is cut: offsets in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offsets {
    v4: usize,
    v6: usize,
    wants_v4: bool,
    wants_v6: bool,
}

impl ZoneSet {
    /// Finds the sets of steered names of which some record wants hints.
    pub(super) fn gather_hints(&mut self) -> Result<(), BuildError> {
        for id in 0..self.nodes.len() {
            let node = self.nodes[id];
            if node.service().is_none() {
                continue;
            }
            for set_at in node.sets.range() {
                let set = self.sets[set_at];
                if set.record_type == TYPE_HTTPS || set.record_type == TYPE_SVCB {
                    self.sets[set_at].hints = self.cut_set(&node, &set)?;
                }
            }
        }
        Ok(())
    }

    /// Cuts every record of a set; an empty span when none wants hints.
    fn cut_set(&mut self, node: &Node, set: &Set) -> Result<Span, BuildError> {
        let start = self.hints.len();
        let body = set.body.range();
        let mut at = body.start;
        let mut is_wanted = false;
        while let Some(&[a, b, c, d, high, low]) =
            self.octets[at..body.end].get(6..).and_then(<[u8]>::first_chunk)
        {
            let rdata_at = at + RDATA_AT;
            at = rdata_at + usize::from(u16::from_be_bytes([high, low]));
            let rdata = &self.octets[rdata_at..at];
            let whole = Offsets { v4: 0, v6: 0, wants_v4: false, wants_v6: false };
            let cut = cut(rdata, &self.octets[node.name.range()]).unwrap_or(whole);
            is_wanted |= cut.wants_v4 || cut.wants_v6;
            self.hints.push(Cuts {
                ttl_s: u32::from_be_bytes([a, b, c, d]),
                before_v4: span(rdata_at, rdata_at + cut.v4)?,
                before_v6: span(rdata_at + cut.v4, rdata_at + cut.v6)?,
                rest: span(rdata_at + cut.v6, at)?,
                wants_v4: cut.wants_v4,
                wants_v6: cut.wants_v6,
            });
        }
        if !is_wanted {
            self.hints.truncate(start);
        }
        let len = number(self.hints.len() - start)?;
        Ok(Span { start: number(start)?, len })
    }

    /// The records of a set that is to be answered with hints; none for every other set.
    pub(crate) fn hinted(&self, set: &Set) -> impl Iterator<Item = Hinted<'_>> {
        let cuts = self.hints.get(set.hints.range()).unwrap_or_default();
        let octets = |span: Span| self.octets.get(span.range()).unwrap_or_default();
        cuts.iter().map(move |cuts| Hinted {
            ttl_s: cuts.ttl_s,
            before_v4: octets(cuts.before_v4),
            before_v6: octets(cuts.before_v6),
            rest: octets(cuts.rest),
            wants_v4: cuts.wants_v4,
            wants_v6: cuts.wants_v6,
        })
    }
}

/// Where the hints of a record belong. `None` when it is to stay as it is, or cannot be read.
fn cut(rdata: &[u8], owner: &[u8]) -> Option<Offsets> {
    let (&priority, named) = rdata.split_first_chunk::<2>()?;
    if u16::from_be_bytes(priority) == 0 {
        return None;
    }
    let mut target_octets = 1;
    while let length @ 1.. = *named.get(target_octets - 1)? {
        target_octets += 1 + usize::from(length);
    }
    let (target, mut params) = named.split_at_checked(target_octets)?;
    // The root stands for the owner (RFC 9460, section 2.5.2).
    if target != [0] && !target.eq_ignore_ascii_case(owner) {
        return None;
    }
    let mut at = 2 + target_octets;
    let mut cut = Offsets { v4: at, v6: at, wants_v4: true, wants_v6: true };
    while !params.is_empty() {
        let &[key_high, key_low, high, low] = params.first_chunk()?;
        let key = u16::from_be_bytes([key_high, key_low]);
        let octets = PARAM_HEAD_OCTETS + usize::from(u16::from_be_bytes([high, low]));
        params = params.get(octets..)?;
        at += octets;
        cut.wants_v4 &= key != KEY_V4HINT;
        cut.wants_v6 &= key != KEY_V6HINT;
        if key < KEY_V4HINT {
            cut.v4 = at;
        }
        if key < KEY_V6HINT {
            cut.v6 = at;
        }
    }
    Some(cut)
}
