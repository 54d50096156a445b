//! Where a site's parameters go in HTTPS and SVCB records at steered names (RFC 9460, section 7).
//!
//! A record that leads to the steered name itself and gives no address hints gets the chosen sites'
//! when it is answered, and their port and protocols where it gives none: a client that connects by
//! the hint goes where the A record would have sent it. A record in alias mode, one that leads
//! elsewhere, and what the operator wrote stay as they are. Parameters stand in the order of their
//! keys, so the rdata is cut in five, a site's parameters between the parts.

use model::record::RecordType;

use super::build::{BuildError, number, span};
use super::{Node, Set, Span, ZoneSet};
use crate::zone::RDATA_AT;

const TYPE_SVCB: u16 = 64;
const TYPE_HTTPS: u16 = RecordType::HTTPS.0;
/// Places of the hints among the parameters that a site may add.
const V4: usize = 2;
const V6: usize = 3;
/// Key and length of a parameter.
const PARAM_HEAD_OCTETS: usize = 4;

/// The parameters that a site may add, in the order of their keys.
const ADDED_KEYS: [u16; ADDED] = [1, 3, 4, 6];
/// How many.
pub(crate) const ADDED: usize = 4;

/// How one record of a set is cut: what stands before each of the parameters that may be added, and
/// what follows the last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cuts {
    ttl_s: u32,
    before: [Span; ADDED],
    rest: Span,
    wants: [bool; ADDED],
}

/// A record to be put together: the parts of its rdata, and which parameters go between them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hinted<'a> {
    /// The record's own TTL.
    pub(crate) ttl_s: u32,
    /// What stands before each parameter that may be added: ALPN, port, IPv4 and IPv6 hints.
    pub(crate) before: [&'a [u8]; ADDED],
    /// What follows the IPv6 hints.
    pub(crate) rest: &'a [u8],
    /// Which of them are to be added.
    pub(crate) wants: [bool; ADDED],
}

/// Where rdata is cut: offsets in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Offsets {
    at: [usize; ADDED],
    wants: [bool; ADDED],
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
            let whole = Offsets { at: [0; ADDED], wants: [false; ADDED] };
            let cut = cut(rdata, &self.octets[node.name.range()]).unwrap_or(whole);
            // With both hints written a record leads where it says, whoever asks.
            let cut = if cut.wants[V4] || cut.wants[V6] { cut } else { whole };
            is_wanted |= cut.wants[V4] || cut.wants[V6];
            let mut before = [Span::default(); ADDED];
            let mut from = 0;
            for (place, to) in before.iter_mut().zip(cut.at) {
                *place = span(rdata_at + from, rdata_at + to)?;
                from = to;
            }
            self.hints.push(Cuts {
                ttl_s: u32::from_be_bytes([a, b, c, d]),
                before,
                rest: span(rdata_at + from, at)?,
                wants: cut.wants,
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
            before: cuts.before.map(octets),
            rest: octets(cuts.rest),
            wants: cuts.wants,
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
    let mut cut = Offsets { at: [at; ADDED], wants: [true; ADDED] };
    while !params.is_empty() {
        let &[key_high, key_low, high, low] = params.first_chunk()?;
        let key = u16::from_be_bytes([key_high, key_low]);
        let octets = PARAM_HEAD_OCTETS + usize::from(u16::from_be_bytes([high, low]));
        params = params.get(octets..)?;
        at += octets;
        for (nth, added) in ADDED_KEYS.into_iter().enumerate() {
            cut.wants[nth] &= key != added;
            if key < added {
                cut.at[nth] = at;
            }
        }
    }
    Some(cut)
}
