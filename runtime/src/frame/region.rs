//! The memory of one program's frames on one core, and what is common to them: what completions find, and code runs on.
//!
//! A free frame is in a list, and its key is that of its last use. A frame is in use from [`Region::allocate`] until its
//! token frees it; cancelling raises a flag and asks the driver to ask the kernel, and the frame's token comes back by way
//! of its owner once nothing of it is in flight.

use std::cell::Cell;
use std::sync::Arc;

use super::code::{Code, Prepared, Trap, Word};
use super::emit::Handover;
use super::layout::Layout;
use super::memory::{ASKED, CANCELLING, FREE, Header, INTERRUPTED, Memory, PARKED, Record, VACANT};
use super::outbox::Outboxes;
use super::pooled::Pooled;
use super::strand::Branches;
use super::template::Template;
use super::token::Frame;
use crate::driver::Key;
use crate::exec::Handle;
use crate::metrics::Counter;

pub(crate) struct Region {
    pub(super) core: Handle,
    pub(super) owner: u32,
    /// What the generations of its frames go on from.
    pub(super) generation: u32,
    pub(super) layout: Layout,
    pub(super) memory: Memory,
    pub(super) templates: Box<[Template]>,
    pub(super) code: Code,
    /// What of its code is known beforehand.
    pub(super) prepared: Prepared,
    /// Whether the segment that was met last is one that code follows.
    pub(super) computes: Cell<bool>,
    /// Whether code can be behind a gate: what runs it then is the exception.
    pub(super) has_gates: bool,
    /// The frame that `advance` has left to the owner.
    pub(super) handover: Cell<Option<Handover>>,
    /// Why the code that has trapped last did so.
    pub(super) trap: Cell<Trap>,
    /// What the kernel may read for any of the frames.
    pub(super) constants: Arc<[u8]>,
    pub(super) outboxes: Outboxes,
    pub(super) pooled: Pooled,
    /// What code sees that is none of a frame's.
    pub(super) words: Box<[Word]>,
    /// What its strands run.
    pub(super) branches: Branches,
    /// Segments that have succeeded as a whole.
    pub(super) advanced: Counter,
    pub(super) free: Cell<u32>,
    pub(super) live: Cell<u32>,
    /// Nobody will allocate any more: forget the owner with the last frame.
    pub(super) retired: Cell<bool>,
}

/// The end of the list of free frames.
pub(super) const NONE: u32 = u32::MAX;

impl Region {
    pub(super) fn allocate(&self) -> Option<Frame<'_>> {
        if !self.has_room() {
            return None;
        }
        let index = self.free.get();
        let record = self.memory.record(index as usize);
        let header = record.header();
        self.free.set(header.next.get());
        self.live.set(self.live.get() + 1);
        let next = header.key.get().generation().wrapping_add(1);
        header.key.set(Key::frame(self.owner, index, next));
        header.flags.set(0);
        header.done.set(0);
        for word in 0..self.layout.words() {
            let vacant = word < usize::from(self.layout.descriptors);
            // SAFETY: below the words of the layout.
            unsafe { record.word(word) }.set(if vacant { VACANT } else { 0 });
        }
        Some(Frame::new(self, record, index as usize))
    }

    /// Whether [`allocate`](Region::allocate) would succeed.
    pub(super) fn has_room(&self) -> bool {
        let takes = !self.retired.get() && !self.core.driver().is_closing();
        takes && (self.free.get() != NONE || self.grow())
    }

    #[cold]
    fn grow(&self) -> bool {
        let Ok(fresh) = self.memory.grow() else { return false };
        self.outboxes.grow(fresh.end as usize);
        self.pooled.grow(fresh.end as usize);
        for index in fresh.rev() {
            let header = self.memory.record(index as usize).header();
            header.flags.set(FREE);
            header.key.set(Key::frame(self.owner, index, self.generation));
            header.outboxes.set(self.outboxes.of(index as usize));
            header.next.set(self.free.get());
            self.free.set(index);
            self.make_strands(index);
        }
        true
    }

    /// The record of the frame that `key` names, if it is still the same use of it.
    #[inline]
    pub(super) fn find(&self, key: Key) -> Option<Record> {
        let index = key.index() as usize;
        if index >= self.memory.accessible() {
            return None;
        }
        let record = self.memory.record(index);
        let header = record.header();
        (header.key.get() == key && !header.has(FREE)).then_some(record)
    }

    pub(super) fn cancel(&self, record: Record) {
        let header = record.header();
        header.raise(CANCELLING);
        if header.strands.get() > 0 {
            self.cancel_strands(record);
        } else if header.in_flight() {
            // No completion is plain from here on.
            if header.expect.replace(0) != 0 {
                header.counted.set(1);
            }
            self.ask(record);
        } else if header.has(PARKED) {
            // It may wait for a call that does not come.
            self.core.driver().make_ready(header.key.get());
        }
    }

    /// Makes the driver ask the kernel, once for as long as the frame has something in flight.
    pub(super) fn ask(&self, record: Record) {
        self.ask_for(record.header());
    }

    /// The same, for a frame or a strand.
    pub(super) fn ask_for(&self, header: &Header) {
        if !header.has(ASKED) {
            header.raise(ASKED);
            self.core.driver().cancel(header.key.get());
        }
    }

    /// `completions` are to come, each of which needs a closer look.
    pub(super) fn await_counted(&self, record: Record, segment: u16, completions: u16) {
        let header = record.header();
        header.segment.set(segment);
        header.counted.set(completions);
        if header.has(CANCELLING | INTERRUPTED) {
            // Between two segments: what was just submitted is cancelled in turn.
            self.ask(record);
        }
    }

    /// Gives a frame back. Its descriptors have been taken out.
    pub(super) fn free(&self, record: Record, index: usize) {
        let header = record.header();
        debug_assert!(!header.in_flight());
        header.flags.set(FREE);
        header.strands.set(0);
        header.expect.set(0);
        // The key is over: a late completion finds nothing.
        header.next.set(self.free.get());
        self.free.set(index as u32);
        self.live.set(self.live.get() - 1);
        self.memory.discard(index);
        self.empty_all(index);
        self.give_back_all(index);
        self.forget_if_unused();
    }

    /// Whether there is a frame in use of which this is true.
    pub(super) fn any(&self, is: impl Fn(Record) -> bool) -> bool {
        let mut records = (0..self.memory.accessible()).map(|index| self.memory.record(index));
        self.live.get() > 0 && records.any(|record| !record.header().has(FREE) && is(record))
    }

    /// Whether this is true of a frame, or of a strand of it.
    pub(super) fn has(&self, record: Record, is: impl Fn(&Header) -> bool) -> bool {
        is(record.header()) || self.strands(record).any(is)
    }

    pub(super) fn forget_if_unused(&self) {
        if self.retired.get() && self.live.get() == 0 {
            self.core.driver().remove_owner(self.owner);
            self.branches.owner().into_iter().for_each(|owner| self.core.driver().remove_owner(owner));
        }
    }
}
