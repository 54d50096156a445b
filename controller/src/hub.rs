//! The node's receiver: takes snapshots from a courier, keeps them on disk, hands them to the views.
//!
//! A node that restarts cut off serves what is on its disk before it has spoken to anyone. Order:
//! verify, disk, cell; so that after a crash nobody goes back to something older than was served.
//! A full disk must not stop a failover: the snapshot is served and the failure told.
//! Rule: no channel's generation ever falls.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use serde::Serialize;
use steering::SnapshotCell;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::clock::Clock;
use crate::courier::{Backoff, Courier, CourierError};
use crate::publication::{Channel, Have, Mismatch, Offer, Publication};
use crate::snapshot_file::{Slot, SnapshotDir, SnapshotFileError};

/// The good slot trails the active one by at least this long (engine.md: promoted after 10 minutes).
const PROMOTE_AFTER_MS: u64 = 600_000;
/// How long one fetch may wait for news: under the idle limits of common middle boxes.
const FETCH_WAIT: Duration = Duration::from_secs(10);

/// Why an offer was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// Older than what is served.
    #[error("the {channel} offered is not newer than the one served", channel = .0.as_str())]
    Older(Channel),
    /// Parts that do not belong together, or to what is served.
    #[error("the parts offered do not belong together")]
    Mismatch(#[from] Mismatch),
    /// A first offer must bring every channel.
    #[error("the first offer brings no {channel}", channel = .0.as_str())]
    Missing(Channel),
}

/// Where what is served came from, for status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// Nothing is served yet.
    Nothing,
    /// A slot on disk, from before the restart.
    Disk(Slot),
    /// A courier.
    Courier,
}

/// The receiver of one process.
#[derive(Debug)]
pub struct Hub {
    cell: Arc<SnapshotCell>,
    dir: Option<SnapshotDir>,
    served: Option<Publication>,
    origin: Origin,
    taken: watch::Sender<Have>,
    clock: Clock,
    promoted_ms: u64,
}

impl Hub {
    /// Opens the snapshot directory and serves what is there at once. Without a directory nothing
    /// is kept.
    ///
    /// # Errors
    /// When the directory cannot be made or is in use. Damaged contents are told, not fatal.
    pub fn open(dir: Option<&Path>, cell: Arc<SnapshotCell>) -> Result<Self, SnapshotFileError> {
        let (taken, _) = watch::channel(Have::default());
        let mut hub = Self {
            cell,
            dir: None,
            served: None,
            origin: Origin::Nothing,
            taken,
            clock: Clock::start(),
            promoted_ms: 0,
        };
        let Some(path) = dir else { return Ok(hub) };
        let (dir, loaded) = SnapshotDir::open(path)?;
        hub.dir = Some(dir);
        for problem in loaded.problems {
            warn!(
                error = &problem as &dyn std::error::Error,
                "a snapshot on disk is not usable; an older one is served if there is one"
            );
            counter!("nearside_hub_slots_damaged_total").increment(1);
        }
        if let Some((slot, publication)) = loaded.publication {
            let have = publication.have();
            info!(slot = slot.as_str(), policy = have.policy.counter, "serving from disk");
            hub.origin = Origin::Disk(slot);
            hub.serve(publication);
        }
        Ok(hub)
    }

    /// What is served now, with its frames; `None` before the first snapshot.
    pub fn served(&self) -> Option<&Publication> {
        self.served.as_ref()
    }

    /// Where it came from.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The generations served, and news of each change.
    pub fn taken(&self) -> watch::Receiver<Have> {
        self.taken.subscribe()
    }

    /// Takes an offer: verified, written to disk, then served.
    ///
    /// # Errors
    /// When it is older, incomplete or does not fit; what is served stays.
    pub async fn take(&mut self, offer: Offer) -> Result<Have, TakeError> {
        let next = self.joined(offer)?;
        let next = self.keep(next).await;
        self.origin = Origin::Courier;
        Ok(self.serve(next))
    }

    /// Follows a courier until `stop`: fetches what is newer, takes it, backs off when cut off. What
    /// is being taken is finished first.
    pub async fn follow<C: Courier>(mut self, courier: C, stop: impl Future<Output = ()>) {
        let mut stop = pin!(stop);
        let mut backoff = Backoff::default();
        loop {
            let have = self.served.as_ref().map(Publication::have).unwrap_or_default();
            let fetched = tokio::select! {
                fetched = courier.fetch(have, FETCH_WAIT) => fetched,
                () = &mut stop => return,
            };
            let failed = match fetched {
                Err(CourierError::Ended) => return,
                Ok(offer) if offer.is_empty() => None,
                Ok(offer) => self.take(offer).await.err().map(|error| error.to_string()),
                Err(error) => Some(error.to_string()),
            };
            gauge!("nearside_hub_connected").set(if failed.is_none() { 1.0 } else { 0.0 });
            match failed {
                None => backoff.reset(),
                Some(error) => {
                    if backoff.is_fresh() {
                        let serving = match self.served {
                            Some(_) => "serving the last good snapshot",
                            None => "there is no snapshot to serve yet",
                        };
                        warn!(error, "cut off from the controller; {serving}");
                    }
                    counter!("nearside_hub_fetch_failures_total").increment(1);
                    tokio::select! {
                        () = tokio::time::sleep(backoff.next_delay()) => {}
                        () = &mut stop => return,
                    }
                }
            }
        }
    }

    fn joined(&self, offer: Offer) -> Result<Publication, TakeError> {
        let next = match &self.served {
            Some(served) => served.with(offer),
            None => {
                let Offer { policy, map, health } = offer;
                Publication {
                    policy: policy.ok_or(TakeError::Missing(Channel::Policy))?,
                    map: map.ok_or(TakeError::Missing(Channel::Map))?,
                    health: health.ok_or(TakeError::Missing(Channel::Health))?,
                }
            }
        };
        let have = self.served.as_ref().map(Publication::have).unwrap_or_default();
        let offered = next.have();
        for (channel, was, now) in [
            (Channel::Policy, have.policy, offered.policy),
            (Channel::Map, have.map, offered.map),
            (Channel::Health, have.health, offered.health),
        ] {
            if now < was {
                return Err(TakeError::Older(channel));
            }
        }
        next.verify()?;
        Ok(next)
    }

    /// Writes to disk on a thread that may block.
    async fn keep(&mut self, next: Publication) -> Publication {
        let Some(mut dir) = self.dir.take() else { return next };
        let now_ms = self.clock.now().ms;
        let promote = now_ms.saturating_sub(self.promoted_ms) >= PROMOTE_AFTER_MS;
        let written = tokio::task::spawn_blocking(move || {
            // What has been served until now becomes the good slot before it is replaced.
            let kept = if promote { dir.promote() } else { Ok(()) };
            let kept = kept.and_then(|()| dir.store(&next));
            (dir, next, kept)
        });
        match written.await {
            Ok((dir, next, kept)) => {
                self.dir = Some(dir);
                match kept {
                    Ok(()) if promote => self.promoted_ms = now_ms,
                    Ok(()) => {}
                    Err(error) => {
                        counter!("nearside_hub_disk_failures_total").increment(1);
                        error!(
                            error = &error as &dyn std::error::Error,
                            "cannot keep the snapshot on disk; it is served all the same"
                        );
                    }
                }
                next
            }
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    fn serve(&mut self, next: Publication) -> Have {
        let have = next.have();
        if !self.cell.publish(Arc::new(next.snapshot())) {
            // Somebody else put something newer into the cell: theirs stands.
            warn!("the snapshot cell holds something newer");
        }
        for (channel, generation) in
            [("policy", have.policy), ("map", have.map), ("health", have.health)]
        {
            #[expect(clippy::cast_precision_loss, reason = "a gauge; counters stay below 2^53")]
            gauge!("nearside_generation", "channel" => channel).set(generation.counter as f64);
        }
        self.served = Some(next);
        self.taken.send_replace(have);
        have
    }
}

#[cfg(test)]
mod tests;
