//! Generations: each channel's counter rises with every publish, also across restarts.
//!
//! Why reservations: persisting a counter before each publish costs an fsync, and health moves many
//! times a minute. So the store holds a ceiling, a block ahead of what was handed out; a restart
//! goes on above the ceiling. Policies take blocks of one, because their counter is the SOA serial
//! and gaps in it would puzzle people.
//! Invariant: no generation is handed out unless a ceiling at or above it has been persisted.

use steering::Generation;

use crate::publication::{Channel, Have};

/// What the store knows at start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Persisted {
    /// The epoch; 0 in a new store.
    pub epoch: u32,
    /// The ceilings, by [`Channel`].
    pub ceilings: [u64; 3],
}

/// Hands out generations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generations {
    epoch: u32,
    last: [u64; 3],
    ceilings: [u64; 3],
}

impl Generations {
    /// Goes on after `persisted`, above everything in `seen` (the snapshot on this node's disk).
    ///
    /// A new store beside an old snapshot has been lost: its epoch rises, because other nodes may
    /// hold later generations than this disk. `epoch_min` is the operator's explicit recovery.
    pub fn resume(persisted: Persisted, seen: Have, epoch_min: u32) -> Self {
        let seen = [seen.policy, seen.map, seen.health];
        let newest = seen.iter().map(|generation| generation.epoch).max().unwrap_or(0);
        let lost = persisted.epoch < newest;
        let epoch = if lost { newest.saturating_add(1) } else { persisted.epoch };
        let mut last = persisted.ceilings;
        for (last, seen) in last.iter_mut().zip(seen) {
            *last = (*last).max(seen.counter);
        }
        Self { epoch: epoch.max(epoch_min).max(1), last, ceilings: last }
    }

    /// The epoch.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The ceiling to persist before the next generation of the channel may be taken, if any.
    pub fn wanted_ceiling(&self, channel: Channel) -> Option<u64> {
        let at = channel.index();
        (self.last[at] >= self.ceilings[at]).then(|| self.last[at] + block(channel))
    }

    /// Notes that a ceiling has been persisted.
    pub fn reserved(&mut self, channel: Channel, ceiling: u64) {
        let known = &mut self.ceilings[channel.index()];
        *known = ceiling.max(*known);
    }

    /// The next generation; `None` while a ceiling is wanted.
    pub fn next(&mut self, channel: Channel) -> Option<Generation> {
        if self.wanted_ceiling(channel).is_some() {
            return None;
        }
        let last = &mut self.last[channel.index()];
        *last += 1;
        Some(Generation { epoch: self.epoch, counter: *last })
    }
}

/// How far ahead a ceiling lies: one fsync a block.
fn block(channel: Channel) -> u64 {
    match channel {
        Channel::Policy => 1,
        Channel::Map => 16,
        Channel::Health => 1024,
    }
}

#[cfg(test)]
mod tests;
