//! The book of aliases: what was resolved, what is to be asked next, and when.
//!
//! Pure: time comes as an argument, questions go out as data, answers come in. An answer is asked
//! for anew before its time is over; when that fails, it stays, marked as stale, and the question is
//! repeated with growing pauses. A client subnet's answer that nobody used since it was renewed is
//! let go. Everything is bounded: names by the documents, subnets by name and in all.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use model::name::DnsName;

use super::{Answers, Block, Found, Kind, Note, OfKind, Table};

#[cfg(test)]
mod tests;

/// The most names; the documents may have more, and the last of them are never resolved.
pub(crate) const NAMES_MAX: usize = 16_384;
/// The most client subnets of one name and kind, and of all names.
const BLOCKS_OF_NAME_MAX: usize = 4_096;
const BLOCKS_MAX: usize = 65_536;
/// Addresses kept of one answer, the first ones.
const ADDRESSES_MAX: usize = 32;
/// An answer lives at least so long for us, so that a TTL of 0 is no flood of questions, and no
/// longer than a day.
const RENEW_S_MIN: u32 = 2;
const TTL_S_MAX: u32 = 86_400;
/// Pauses between failed tries: 1 s, doubled, up to a minute.
const RETRY_MS_MIN: u64 = 1_000;
const RETRY_MS_MAX: u64 = 60_000;

/// A question to a resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) name: DnsName,
    pub(crate) kind: Kind,
    /// On whose behalf; `None`: everybody's.
    pub(crate) block: Option<Block>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Addresses, perhaps none.
    Resolved {
        /// In the order they came.
        addresses: Vec<IpAddr>,
        /// The least TTL on the way to them, or of their absence.
        ttl_s: u32,
        /// For how long a prefix of the block's family they hold.
        scope_len: u8,
    },
    /// Nothing that can be believed.
    Failed,
}

/// The book.
#[derive(Debug, Default)]
pub(crate) struct Book {
    names: BTreeMap<DnsName, Entry>,
    blocks: usize,
}

#[derive(Debug, Default)]
struct Entry {
    v4: Slots,
    v6: Slots,
    /// What readers have; `None` when something changed since.
    told: Option<Arc<Answers>>,
}

#[derive(Debug, Default)]
struct Slots {
    everybody: Slot,
    tailored: BTreeMap<Block, Slot>,
}

/// One answer and its next question.
#[derive(Debug, Default)]
struct Slot {
    known: Option<Known>,
    /// The block that the question names, for a tailored one.
    asked: Option<Block>,
    due_ms: u64,
    is_under_way: bool,
    failures: u32,
}

#[derive(Debug)]
struct Known {
    found: Found,
    until_ms: u64,
}

impl Book {
    /// Takes the names of a policy: new ones are asked for at once, others forgotten.
    pub(crate) fn retain(&mut self, names: &[DnsName], now_ms: u64) {
        let names = names.get(..NAMES_MAX).unwrap_or(names);
        self.names.retain(|name, _| names.binary_search(name).is_ok());
        for name in names {
            self.names.entry(name.clone()).or_insert_with(|| {
                let slots = || Slots {
                    everybody: Slot { due_ms: now_ms, ..Slot::default() },
                    ..Slots::default()
                };
                Entry { v4: slots(), v6: slots(), told: None }
            });
        }
        let count = |entry: &Entry| entry.v4.tailored.len() + entry.v6.tailored.len();
        self.blocks = self.names.values().map(count).sum();
    }

    /// Takes a note: the block is asked for at once, if there is room.
    pub(crate) fn note(&mut self, note: &Note, now_ms: u64) {
        let Some(name) = note.names.all().get(note.id.0 as usize) else { return };
        let Some(entry) = self.names.get_mut(name) else { return };
        let slots = entry.slots(note.kind);
        let is_known = slots.tailored.iter().any(|(block, slot)| {
            block.holds(note.block) || slot.asked.is_some_and(|asked| asked.holds(note.block))
        });
        if is_known || self.blocks >= BLOCKS_MAX || slots.tailored.len() >= BLOCKS_OF_NAME_MAX {
            return;
        }
        let slot = Slot { asked: Some(note.block), due_ms: now_ms, ..Slot::default() };
        slots.tailored.insert(note.block, slot);
        self.blocks += 1;
    }

    /// At most `count` questions whose time has come. Each is under way until it is answered.
    pub(crate) fn due(&mut self, now_ms: u64, count: usize) -> Vec<Question> {
        let mut due = Vec::new();
        let mut gone = 0;
        for (name, entry) in &mut self.names {
            let mut is_changed = false;
            for kind in [Kind::V4, Kind::V6] {
                let slots = entry.slots(kind);
                is_changed |= slots.everybody.age(now_ms);
                if due.len() < count && slots.everybody.begin(now_ms) {
                    due.push(Question { name: name.clone(), kind, block: None });
                }
                let before = slots.tailored.len();
                slots.tailored.retain(|_, slot| !slot.is_forgotten(now_ms));
                gone += before - slots.tailored.len();
                is_changed |= before > slots.tailored.len();
                for slot in slots.tailored.values_mut() {
                    is_changed |= slot.age(now_ms);
                    if due.len() < count && slot.is_wanted(now_ms) && slot.begin(now_ms) {
                        due.push(Question { name: name.clone(), kind, block: slot.asked });
                    }
                }
            }
            if is_changed {
                entry.told = None;
            }
        }
        self.blocks -= gone;
        due
    }

    /// Takes an answer.
    pub(crate) fn take(&mut self, question: &Question, outcome: Outcome, now_ms: u64) {
        let Some(entry) = self.names.get_mut(&question.name) else { return };
        entry.told = None;
        let slots = entry.slots(question.kind);
        let Some(asked) = question.block else {
            slots.everybody.take(outcome, now_ms);
            return;
        };
        // The slot is under the block that its last answer held for.
        let under = slots.tailored.iter().find(|(_, slot)| slot.asked == Some(asked));
        let Some(under) = under.map(|(block, _)| *block) else { return };
        let Some(mut slot) = slots.tailored.remove(&under) else { return };
        let held = match &outcome {
            Outcome::Resolved { scope_len, .. } => asked.cut(*scope_len),
            Outcome::Failed => under,
        };
        slot.take(outcome, now_ms);
        // Blocks are disjoint: the newest answer takes the place of what it overlaps.
        let before = slots.tailored.len();
        slots.tailored.retain(|block, _| !block.holds(held) && !held.holds(*block));
        let replaced = before - slots.tailored.len();
        slots.tailored.insert(held, slot);
        self.blocks -= replaced;
    }

    /// What readers should have.
    pub(crate) fn table(&mut self) -> Table {
        let told = |(name, entry): (&DnsName, &mut Entry)| {
            let told = entry.told.get_or_insert_with(|| {
                Arc::new(Answers { v4: entry.v4.told(), v6: entry.v6.told() })
            });
            (name.clone(), Arc::clone(told))
        };
        self.names.iter_mut().map(told).collect()
    }

    /// Whether readers have something else.
    pub(crate) fn is_changed(&self) -> bool {
        self.names.values().any(|entry| entry.told.is_none())
    }
}

impl Entry {
    fn slots(&mut self, kind: Kind) -> &mut Slots {
        match kind {
            Kind::V4 => &mut self.v4,
            Kind::V6 => &mut self.v6,
        }
    }
}

impl Slots {
    fn told(&self) -> OfKind {
        let found = |slot: &Slot| slot.known.as_ref().map(|known| known.found.clone());
        let tailored = self.tailored.iter();
        OfKind {
            everybody: found(&self.everybody),
            tailored: tailored.filter_map(|(block, slot)| Some((*block, found(slot)?))).collect(),
        }
    }
}

impl Slot {
    /// Starts the question if its time has come.
    fn begin(&mut self, now_ms: u64) -> bool {
        let begins = !self.is_under_way && self.due_ms <= now_ms;
        self.is_under_way |= begins;
        begins
    }

    /// Whether anybody used the answer since it was renewed; the first one is always wanted. An
    /// answer that nobody uses is looked at again when its time is over.
    fn is_wanted(&mut self, now_ms: u64) -> bool {
        let Some(known) = self.known.as_ref().filter(|_| self.due_ms <= now_ms) else {
            return true;
        };
        if self.is_under_way || known.found.used.swap(false, Ordering::Relaxed) {
            return true;
        }
        self.due_ms = known.until_ms;
        false
    }

    /// Whether its time is over and nobody has used it.
    fn is_forgotten(&self, now_ms: u64) -> bool {
        let is_over =
            |known: &Known| known.until_ms <= now_ms && !known.found.used.load(Ordering::Relaxed);
        // A first answer that does not come makes room as well: the next client notes it again.
        let is_hopeless = self.known.is_none() && self.failures > 0;
        !self.is_under_way && (is_hopeless || self.known.as_ref().is_some_and(is_over))
    }

    /// Marks an answer whose time is over. Says whether that is new.
    fn age(&mut self, now_ms: u64) -> bool {
        let Some(known) = &mut self.known else { return false };
        let is_over = known.until_ms <= now_ms;
        let is_new = is_over && !known.found.is_stale;
        known.found.is_stale |= is_over;
        is_new
    }

    fn take(&mut self, outcome: Outcome, now_ms: u64) {
        self.is_under_way = false;
        match outcome {
            Outcome::Resolved { mut addresses, ttl_s, scope_len: _ } => {
                addresses.truncate(ADDRESSES_MAX);
                let ttl_s = ttl_s.min(TTL_S_MAX);
                let life_ms = u64::from(ttl_s.max(RENEW_S_MIN)) * 1000;
                let found = Found {
                    addresses: addresses.into(),
                    ttl_s,
                    is_stale: false,
                    used: Arc::new(AtomicBool::new(false)),
                };
                self.known = Some(Known { found, until_ms: now_ms + life_ms });
                self.failures = 0;
                // Before its time is over, so that a slow resolver makes nothing stale.
                self.due_ms = now_ms + life_ms * 3 / 4;
            }
            Outcome::Failed => {
                let pause_ms = RETRY_MS_MIN << self.failures.min(6);
                self.failures += 1;
                self.due_ms = now_ms + pause_ms.min(RETRY_MS_MAX);
            }
        }
    }
}
