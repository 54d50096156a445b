//! Answers with the addresses that another name resolves to (ALIAS): read from what the view has,
//! never waited for.

use model::record::RecordType;

use super::{Outcome, Walk};
use crate::alias::{AliasId, Hit, Kind};
use crate::ede::ExtendedError;
use crate::zone::AliasOf;

/// Addresses of one alias in one answer.
const ADDRESSES_MAX: usize = 32;

impl<'v> Walk<'v, '_, '_> {
    /// Answers an A or AAAA question for a name that is an alias.
    #[inline(never)]
    pub(super) fn flatten(&mut self, alias: AliasOf, owner: u16) -> Outcome<'v> {
        let AliasOf { id, ttl_s_max } = alias;
        let Some(hit) = self.resolved(id, self.asked_kind()) else {
            self.verdict.extended = Some(ExtendedError::NotResolved);
            return Outcome::Failed;
        };
        let ttl_s = hit.ttl_s.min(ttl_s_max);
        let mut count = 0;
        for &ip in hit.addresses.iter().take(ADDRESSES_MAX) {
            if self.response.put_address(owner, ttl_s, ip).is_err() {
                return Outcome::Truncated;
            }
            count += 1;
        }
        if count > 0 { Outcome::Done } else { Outcome::NoData(ttl_s) }
    }

    /// What a name resolves to for this client; notes for whom that holds, and whether it is old.
    pub(super) fn resolved(&mut self, id: AliasId, kind: Kind) -> Option<Hit<'v>> {
        let subnet = self.query.edns.as_ref().and_then(|edns| edns.subnet.as_ref());
        let hit = self.view.aliases.look_up(id, kind, subnet)?;
        // Of several parts of an answer the narrowest says for whom it is.
        self.verdict.scope_len = self.verdict.scope_len.max(hit.scope_len);
        if hit.is_stale {
            self.verdict.extended = self.verdict.extended.or(Some(ExtendedError::Stale));
        }
        Some(hit)
    }

    fn asked_kind(&self) -> Kind {
        if self.query.record_type == RecordType::AAAA { Kind::V6 } else { Kind::V4 }
    }

    /// Writes what a site's alias resolves to, without what is there from `from` on.
    pub(super) fn put_resolved(
        &mut self,
        (id, most): (AliasId, usize),
        (owner, ttl_s_max): (u16, u32),
        from: usize,
    ) -> Put {
        let Some(hit) = self.resolved(id, self.asked_kind()) else { return Put::Unknown };
        let ttl_s = hit.ttl_s.min(ttl_s_max);
        for &ip in hit.addresses.iter().take(most) {
            if self.response.has_address(from, ip) {
                continue;
            }
            if self.response.put_address(owner, ttl_s, ip).is_err() {
                return Put::Full;
            }
        }
        Put::Written
    }
}

/// What became of an alias among a service's sites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// Its addresses are in the answer, as far as there are any.
    Written,
    /// It was never resolved.
    Unknown,
    /// There is no room.
    Full,
}
