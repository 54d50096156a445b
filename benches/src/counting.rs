//! An allocator that counts, for figures of the form "no allocation per answer".
#![expect(unsafe_code, reason = "an allocator is unsafe by contract; this one only forwards")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

/// The system's allocator with a counter before it.
#[derive(Debug, Default)]
pub struct Counting {
    allocations: AtomicU64,
}

impl Counting {
    /// One that has counted nothing.
    pub const fn new() -> Self {
        Self { allocations: AtomicU64::new(0) }
    }

    /// How often memory was asked for, by all threads, new and grown blocks alike.
    pub fn allocations(&self) -> u64 {
        self.allocations.load(Ordering::Relaxed)
    }
}

// SAFETY: every call goes to `System` unchanged, which keeps the contract.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's obligations are `System`'s.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: `block` came from `System` with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        self.allocations.fetch_add(1, Ordering::Relaxed);
        // SAFETY: `block` came from `System` with this layout; the caller vouches for `size`.
        unsafe { System.realloc(block, layout, size) }
    }
}
