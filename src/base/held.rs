//! Counts what each thread allocates and frees, so that memory held by code that knows no bound
//! can be bounded from outside.
//!
//! Owns: the counter. Who holds too much is decided where the bound is known (`rtsp_pull`,
//! because retina bounds neither an RTSP message nor an access unit that is still arriving).
//! It costs one addition to a thread's own variable per allocation.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static HELD_BYTES: Cell<i64> = const { Cell::new(0) };
}

/// The system's allocator with the counter in front of it.
#[derive(Debug)]
pub struct Counting;

/// Bytes that this thread allocated less those that it freed, ever. Only differences over a
/// stretch of code that stays on one thread, such as one `poll`, mean anything.
#[must_use]
pub fn held_bytes() -> i64 {
    HELD_BYTES.try_with(Cell::get).unwrap_or(0)
}

fn add(bytes: usize, sign: i64) {
    // Layouts are at most isize::MAX, so this fits; a thread that ends counts no more.
    let bytes = i64::try_from(bytes).unwrap_or(0);
    let _ = HELD_BYTES.try_with(|held| held.set(held.get().wrapping_add(sign * bytes)));
}

// SAFETY: every call goes to `System` unchanged, which keeps the contract; counting touches a
// thread-local without destructor and without lazy allocation, so it cannot come back here.
#[allow(unsafe_code)] // the only way to see allocations is to be the allocator
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size(), 1);
        // SAFETY: the caller keeps the contract of `GlobalAlloc`, which is that of `System`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        add(layout.size(), 1);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        add(layout.size(), -1);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(layout.size(), -1);
        add(size, 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_counts_until_it_is_freed() {
        let before = held_bytes();
        let mut block = vec![0u8; 10_000];
        assert!(held_bytes() - before >= 10_000);
        block.resize(100_000, 1);
        assert!(held_bytes() - before >= 100_000);
        drop(block);
        assert_eq!(held_bytes(), before);
    }
}
