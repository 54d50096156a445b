//! An open-addressing hash table from names to 32-bit ids.
//!
//! It stores neither names nor keys, only the keyed hash and the id of each entry: eight octets a
//! slot, so that a million names cost 16 to 32 MB. The caller hashes with a secret key (SipHash-1-3 with
//! random keys), so nobody outside can choose names that collide, and compares the names itself.
//!
//! Invariant: at least half of the slots is empty, so every probe ends.

/// The id that marks an empty slot.
pub(crate) const NONE: u32 = u32::MAX;
const SLOTS_MIN: usize = 16;

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    id: u32,
}

const EMPTY: Slot = Slot { hash: 0, id: NONE };

/// The table.
#[derive(Debug)]
pub(crate) struct NameTable {
    slots: Vec<Slot>,
    used: usize,
}

impl Default for NameTable {
    fn default() -> Self {
        Self { slots: vec![EMPTY; SLOTS_MIN], used: 0 }
    }
}

impl NameTable {
    /// Finds the id with this hash whose name `is` the one looked for.
    pub(crate) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.slots.len() - 1;
        let mut at = self.home(hash);
        loop {
            let slot = self.slots.get(at)?;
            if slot.id == NONE {
                return None;
            }
            if slot.hash == hash && is(slot.id) {
                return Some(slot.id);
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds an id whose name is not in the table yet.
    pub(crate) fn insert(&mut self, hash: u32, id: u32) {
        if (self.used + 1) * 2 > self.slots.len() {
            let doubled = vec![EMPTY; self.slots.len() * 2];
            for slot in std::mem::replace(&mut self.slots, doubled) {
                if slot.id != NONE {
                    self.place(slot);
                }
            }
        }
        self.place(Slot { hash, id });
        self.used += 1;
    }

    fn place(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = self.home(slot.hash);
        while self.slots[at].id != NONE {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// Where a hash belongs: its high bits, which spread best.
    fn home(&self, hash: u32) -> usize {
        (hash as usize * self.slots.len()) >> 32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_inserted_id_is_found_and_no_other() {
        let mut table = NameTable::default();
        for id in 0..10_000_u32 {
            table.insert((id / 3).wrapping_mul(0x9e37_79b9), id);
        }
        for id in 0..10_000_u32 {
            let hash = (id / 3).wrapping_mul(0x9e37_79b9);
            assert_eq!(table.find(hash, |found| found == id), Some(id));
            assert_eq!(table.find(hash, |found| found == id + 20_000), None);
        }
        assert_eq!(table.find(12_345, |_| true), None);
    }
}
