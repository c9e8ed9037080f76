//! The outboxes of a region's frames, each in its place.

use std::cell::UnsafeCell;

use super::{Message, Outbox};

/// Frames whose outboxes are allocated together.
const CHUNK: usize = 64;

/// An outbox in its place in a frame.
///
/// Constants that code puts into an empty one are not copied as long as nothing is put behind them: what answers with a text
/// that is always the same has nothing else in it. Whoever is lent the outbox finds them copied.
pub(in crate::frame) struct Slot {
    /// The constants that are all of it: where they lie, and how many. None are if it has something else, or nothing.
    constants: *const u8,
    count: usize,
    outbox: Outbox,
}

impl Slot {
    pub(super) fn new() -> Self {
        Slot { constants: std::ptr::null(), count: 0, outbox: Outbox::default() }
    }

    /// Puts constants into it, if it is empty; false if it is not.
    ///
    /// # Safety
    /// They must be initialised, some, no more than can be sent at once, and stay where they are until the slot is emptied or
    /// dropped.
    #[inline(always)]
    pub(in crate::frame) unsafe fn put_constants(&mut self, constants: *const u8, count: usize) -> bool {
        let is_empty = self.len() == 0;
        if is_empty {
            (self.constants, self.count) = (constants, count);
        }
        is_empty
    }

    /// The outbox with everything in it.
    pub(in crate::frame) fn outbox(&mut self) -> &mut Outbox {
        if self.count > 0 {
            // SAFETY: the promise of whoever has put them here.
            self.outbox.copy(unsafe { std::slice::from_raw_parts(self.constants, self.count) });
            self.count = 0;
        }
        &mut self.outbox
    }

    #[inline(always)]
    pub(in crate::frame) fn len(&self) -> usize {
        // One of them is zero.
        self.count + self.outbox.len
    }

    #[inline(always)]
    pub(in crate::frame) fn clear(&mut self) {
        if self.count > 0 {
            self.count = 0;
        } else {
            self.outbox.clear();
        }
    }

    /// Address and length of what is in it, if there is something, it lies in a row, and can be sent at once.
    #[inline(always)]
    pub(in crate::frame) fn in_a_row(&self) -> Option<(u64, usize)> {
        if self.count > 0 {
            return Some((self.constants as u64, self.count));
        }
        self.outbox.only_copies().filter(|(_, len)| (1..=Outbox::MOST).contains(len))
    }

    /// As [`Outbox::message`].
    pub(in crate::frame) fn message(&mut self, done: usize) -> Message {
        if self.count == 0 {
            return self.outbox.message(done);
        }
        // SAFETY: the promise of whoever has put them here.
        Message::of(unsafe {
            &std::slice::from_raw_parts(self.constants, self.count)[done.min(self.count)..]
        })
    }
}

/// The outboxes of all frames of a region: `each` a frame. Those of a frame lie side by side, and never move.
pub(in crate::frame) struct Outboxes {
    each: usize,
    chunks: UnsafeCell<Vec<Box<[UnsafeCell<Slot>]>>>,
}

impl Outboxes {
    pub(in crate::frame) fn new(each: u16) -> Self {
        Outboxes { each: each.into(), chunks: UnsafeCell::new(Vec::new()) }
    }

    pub(in crate::frame) fn each(&self) -> usize {
        self.each
    }

    /// Makes sure that the frames below `frames` have theirs.
    pub(in crate::frame) fn grow(&self, frames: usize) {
        // SAFETY: one thread; the vector is looked at only here and in `of`, neither of which runs foreign code while
        // it holds this reference.
        let chunks = unsafe { &mut *self.chunks.get() };
        while self.each > 0 && chunks.len() * CHUNK < frames {
            chunks.push((0..CHUNK * self.each).map(|_| UnsafeCell::new(Slot::new())).collect());
        }
    }

    /// The first outbox of an accessible frame, which the others follow; null if it has none.
    ///
    /// # Panics
    /// If the frame is not accessible.
    pub(in crate::frame) fn of(&self, frame: usize) -> *mut Slot {
        if self.each == 0 {
            return std::ptr::null_mut();
        }
        // SAFETY: as in `grow`; a chunk, once made, stays where it is.
        let chunks = unsafe { &*self.chunks.get() };
        let slots = &chunks[frame / CHUNK][frame % CHUNK * self.each..];
        UnsafeCell::raw_get(slots.as_ptr())
    }

    /// Outbox `i` of a frame, with everything in it.
    ///
    /// # Panics
    /// If the frame has no such outbox, or is not accessible.
    ///
    /// # Safety
    /// Nobody else may look at it meanwhile.
    pub(in crate::frame) unsafe fn lend(&self, frame: usize, i: u16) -> *mut Outbox {
        // SAFETY: the caller's promise.
        unsafe { &mut *self.get(frame, i) }.outbox()
    }

    /// Outbox `i` of a frame, in its place.
    ///
    /// # Panics
    /// As [`lend`](Outboxes::lend).
    pub(in crate::frame) fn get(&self, frame: usize, i: u16) -> *mut Slot {
        assert!(usize::from(i) < self.each, "the program has no outbox {i}");
        // SAFETY: those of a frame lie side by side, `each` of them.
        unsafe { self.of(frame).add(i.into()) }
    }

    /// Never frees them: the kernel may still read.
    pub(in crate::frame) fn leak(&mut self) {
        std::mem::forget(std::mem::take(self.chunks.get_mut()));
    }
}
