//! Randomness for choices that no client should predict exactly; not for secrets.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};

/// 64 random bits: xorshift64* per thread, seeded from the operating system by way of the hash
/// keys of the standard library.
pub(crate) fn bits() -> u64 {
    thread_local! {
        static STATE: Cell<u64> = Cell::new(seed());
    }
    STATE.with(|state| {
        let mut x = state.get();
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        state.set(x);
        x.wrapping_mul(0x2545_F491_4F6C_DD1D)
    })
}

/// A fresh number from the operating system's randomness, never 0.
pub(crate) fn seed() -> u64 {
    RandomState::new().hash_one(0_u8) | 1
}
