//! Sends the copies of a request that its rule's mirrors ask for.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header;
use pingora_http::RequestHeader;
use smallvec::SmallVec;

use super::Proxy;
use super::attempt::usage_of;
use super::walk::Walk;
use crate::errand::ErrandLimits;
use crate::mirror::Copying;
use crate::origin_peer::{self, Origin, PeerTimes};
use crate::random;

/// A copy's answer is read up to here, so that its connection can be kept.
const LIMITS: ErrandLimits =
    ErrandLimits { within: Duration::from_secs(15), body_octets_max: 64 * 1024 };

impl Proxy {
    /// Begins a copy of a request as the rule changed it; one without a body is sent at once.
    pub(super) fn begin_copies(&self, request: &RequestHeader, walk: &mut Walk, is_empty: bool) {
        // A retry begins anew, unless the first attempt already sent its copies.
        let before = walk.copying.take();
        let Some(extras) = walk.rule().and_then(|rule| rule.extras.as_ref()) else { return };
        let to: SmallVec<[u32; 2]> = match (walk.retries, before) {
            (0, _) => {
                let drawn = extras.mirrors.iter().filter(|mirror| mirror.draws());
                drawn.map(|mirror| mirror.cluster).collect()
            }
            (_, Some(copying)) => copying.into_parts().2,
            (_, None) => return,
        };
        if to.is_empty() {
            return;
        }
        let mut request = request.clone();
        if request.headers.get(header::HOST).is_none()
            && request.insert_header(header::HOST, walk.authority.as_str()).is_err()
        {
            return;
        }
        walk.copying = Some(Box::new(Copying::new(request, to)));
        if is_empty {
            self.send_copies(walk);
        }
    }

    /// Takes a piece of the request's body.
    pub(super) fn copy_body(&self, piece: Option<&Bytes>, walk: &mut Walk, is_end: bool) {
        let Some(copying) = &mut walk.copying else { return };
        if piece.is_some_and(|piece| !copying.take(piece)) {
            self.shared.ledger.mirror_dropped();
            walk.copying = None;
        } else if is_end {
            self.send_copies(walk);
        }
    }

    /// Sends what was copied, each copy on a task of its own.
    fn send_copies(&self, walk: &mut Walk) {
        let Some(copying) = walk.copying.take() else { return };
        let (request, body, to) = copying.into_parts();
        for index in to {
            let Some(cluster) = walk.view.clusters.get(index as usize) else { continue };
            let now = self.shared.clock.now();
            let picked = cluster.pick(&[], now, random::bits());
            let usage = usage_of(cluster.protocol, walk.is_grpc);
            let limits = self.shared.origin;
            let times =
                PeerTimes { connect: limits.connect, read: limits.read, write: limits.read };
            let client = walk.rule().and_then(|rule| rule.client.as_deref());
            let told = cluster.proxy_protocol.map(|version| (version, walk.ends()));
            let peer = picked.and_then(|endpoint| {
                let (endpoint, security) = (endpoint.address, &cluster.security);
                origin_peer::peer(Origin { endpoint, security, client, told }, usage, times)
            });
            let place = self.shared.errands.copy_place();
            let (Some(peer), Some(place)) = (peer, place) else {
                self.shared.ledger.mirror_dropped();
                continue;
            };
            let (errands, copy) =
                (Arc::clone(&self.shared.errands), (request.clone(), body.clone()));
            let security = cluster.security.clone();
            tokio::spawn(async move {
                if let Err(error) = errands.run((&peer, &security), copy, LIMITS).await {
                    tracing::debug!(%error, "a mirrored request failed");
                }
                drop(place);
            });
        }
    }
}
