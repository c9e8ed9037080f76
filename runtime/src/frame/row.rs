//! Vacant places of the submission queue that lie in a row: what the hot path fills before anything is published.

use std::ptr::NonNull;

use crate::ring::{Queues, Row, Sqe};

/// What a loop fills: vacant places in a row. Handed to the kernel when the loop ends, with one store of the tail, so that
/// neither the tail nor the end of the row is read or written for each segment.
pub(super) struct Filled {
    first: NonNull<Sqe>,
    /// The next one to be written.
    next: NonNull<Sqe>,
    end: *mut Sqe,
}

impl Filled {
    #[inline(always)]
    pub(super) fn new(Row { first, end }: Row) -> Self {
        Filled { first, next: first, end }
    }

    /// Hands what was written to the kernel, and goes on with the places that it has left free: the end of the row may be
    /// one that was known long ago.
    ///
    /// # Safety
    /// As [`Queues::publish`].
    #[inline(always)]
    pub(super) unsafe fn renew(&mut self, queues: &Queues) {
        // SAFETY: the caller's promise.
        *self = Filled::new(unsafe { next_row(queues, self.written()) });
    }

    /// The next `n` places, of which the row may [lack](Filled::lacks) some.
    #[inline(always)]
    pub(super) fn places(&self, n: usize) -> Places {
        Places::from(self.next, n)
    }

    #[inline(always)]
    pub(super) fn lacks(&self, places: Places) -> bool {
        // A list is much shorter than the address space behind the queue.
        places.end > self.end
    }

    /// The last `n` places that were passed have not been written after all.
    #[cold]
    pub(super) fn back(&mut self, n: usize) {
        // SAFETY: as many were passed before.
        self.next = unsafe { self.next.sub(n) };
    }

    /// These have been written, or will be next.
    #[inline(always)]
    pub(super) fn pass(&mut self, places: Places) {
        // SAFETY: one past the last of some places of the queue, which is not at address zero.
        self.next = unsafe { NonNull::new_unchecked(places.end) };
    }

    #[inline(always)]
    pub(super) fn written(&self) -> u32 {
        // SAFETY: both are places of one row, or one past its last.
        unsafe { self.next.offset_from_unsigned(self.first) as u32 }
    }
}

/// Hands `written` entries of a row to the kernel, and looks for the next row. By value, because what a pointer leads to is
/// kept in memory.
///
/// # Safety
/// As [`Queues::publish`].
#[cold]
#[inline(never)]
unsafe fn next_row(queues: &Queues, written: u32) -> Row {
    // SAFETY: the caller's promise.
    unsafe { queues.publish(written) };
    queues.look_for_room();
    queues.row()
}

/// Places for the entries of a list.
#[derive(Clone, Copy)]
pub(super) struct Places {
    pub(super) first: NonNull<Sqe>,
    /// One past the last.
    pub(super) end: *mut Sqe,
}

impl Places {
    /// `n` places from `first` on.
    #[inline(always)]
    pub(super) fn from(first: NonNull<Sqe>, n: usize) -> Self {
        Places { first, end: first.as_ptr().wrapping_add(n) }
    }
}
