//! Mirrors: copies of a share of the requests to further backends, whose answers are thrown away.
//!
//! A copy is the request as the rule changed it, with its whole body; it is sent when that body is
//! here, and never delays or fails the request. A body longer than [`BODY_OCTETS_MAX`] is not
//! copied, and neither is one that comes while too many copies are under way.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use model::gateway::Mirror;
use pingora_http::RequestHeader;
use smallvec::SmallVec;

use crate::rule::{Surroundings, Target};
use crate::turn::Turns;

/// Octets of a request's body that are copied.
pub(crate) const BODY_OCTETS_MAX: usize = 256 * 1024;
/// Copies under way in one gateway; with the limit above, 32 MiB at worst.
pub(crate) const COPIES_MAX: usize = 128;

/// A mirror of a rule.
#[derive(Debug)]
pub(crate) struct MirrorRule {
    /// Index into the view's clusters.
    pub(crate) cluster: u32,
    numerator: u32,
    denominator: u32,
    /// Its own, so that mirrors of one rule do not always draw together.
    turns: Arc<Turns>,
}

impl MirrorRule {
    /// Compiles the filter at a place of a rule; one whose backend does not exist copies nothing.
    pub(crate) fn compile(
        mirror: &Mirror,
        (rule, place): (&Arc<str>, usize),
        around: &mut Surroundings<'_>,
    ) -> Option<Self> {
        let Mirror { backend, numerator, denominator } = mirror;
        match (around.target)(backend) {
            Target::Cluster(cluster) => {
                let denominator = (*denominator).max(1);
                let turns = around.kept.turns_of(&format!("{rule} mirror {place}").into());
                let numerator = (*numerator).min(denominator);
                Some(Self { cluster, numerator, denominator, turns })
            }
            Target::Broken | Target::Absent => {
                let text = format!(
                    "requests are not mirrored to `{}`, which cannot be used",
                    backend.object
                );
                around.notes.push(text);
                None
            }
        }
    }

    /// Whether the next request is copied. Turns spread evenly: of any few hundred requests just
    /// this share is copied, where random draws would miss it by a tenth now and then.
    pub(crate) fn draws(&self) -> bool {
        // Multiply-shift maps 32 bits to 0..denominator without a division.
        ((self.turns.next() >> 32) * u64::from(self.denominator)) >> 32 < u64::from(self.numerator)
    }
}

/// A request that is being copied.
#[derive(Debug)]
pub(crate) struct Copying {
    /// Its head.
    pub(crate) request: RequestHeader,
    /// Clusters.
    pub(crate) to: SmallVec<[u32; 2]>,
    body: BytesMut,
}

impl Copying {
    /// With nothing of the body yet.
    pub(crate) fn new(request: RequestHeader, to: SmallVec<[u32; 2]>) -> Self {
        Self { request, to, body: BytesMut::new() }
    }

    /// Takes a piece of the body; false when the body is too long to be copied.
    #[must_use]
    pub(crate) fn take(&mut self, piece: &Bytes) -> bool {
        let fits = self.body.len() + piece.len() <= BODY_OCTETS_MAX;
        if fits {
            self.body.extend_from_slice(piece);
        }
        fits
    }

    /// The body so far.
    pub(crate) fn into_parts(self) -> (RequestHeader, Bytes, SmallVec<[u32; 2]>) {
        (self.request, self.body.freeze(), self.to)
    }
}

#[cfg(test)]
mod tests;
