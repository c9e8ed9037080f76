//! An allocator that counts what a thread asks for. Included by the tests that count, because it serves their whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::backtrace::Backtrace;
use std::cell::Cell;

thread_local! {
    pub(crate) static COUNTING: Cell<bool> = const { Cell::new(false) };
    pub(crate) static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts the allocations of threads that want theirs counted.
struct Counting;

fn note() {
    if COUNTING.try_with(Cell::get).unwrap_or(false) {
        ALLOCATIONS.with(|allocations| allocations.set(allocations.get() + 1));
        // None is expected: a test that fails says where it was.
        COUNTING.set(false);
        eprintln!("an allocation:\n{}", Backtrace::force_capture());
        COUNTING.set(true);
    }
}

// SAFETY: every request is passed on to the system's allocator as it is. Counting does not allocate: the
// thread-locals are constants without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note();
        // SAFETY: the caller's promise.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(old, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
