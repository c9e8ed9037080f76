//! The token for a frame that has nothing in flight.

use std::cell::Cell;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use super::layout::Layout;
use super::memory::{CANCELLING, PARKED, Record, VACANT};
use super::region::Region;
use super::views::Views;
use crate::driver::Key;

/// How a segment ended that did not simply succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The segment.
    pub segment: u16,
    /// The member that failed or came short; if none did, the last one that was submitted.
    pub member: u8,
    /// Its result: a count, or a negated errno.
    pub result: i32,
    /// The bytes that it has transferred, those before a resumption included.
    pub done: u32,
    /// The bytes that it was to transfer.
    pub want: u32,
    /// Whether everything that was submitted has succeeded.
    pub succeeded: bool,
    /// Whether it was a single member.
    pub alone: bool,
    /// Whether the cleanup behind it has succeeded: the list was not refused, and its result is its own.
    pub cleaned_up: bool,
    /// Whether the frame is being cancelled.
    pub cancelling: bool,
    /// Whether a deadline has passed meanwhile: what was in flight has been cancelled, unless it came first.
    pub interrupted: bool,
}

/// The right to look at a frame and to submit for it. There is one a frame at most, and only while nothing of it
/// is in flight. Dropping it ends this use of the frame, and closes the descriptors that are still in it.
pub struct Frame<'f> {
    pub(super) region: &'f Region,
    pub(super) record: Record,
    pub(super) index: usize,
}

impl<'f> Frame<'f> {
    /// The caller has just found out that nothing of the frame is in flight, and that it is not parked.
    #[inline]
    pub(super) fn new(region: &'f Region, record: Record, index: usize) -> Self {
        Frame { region, record, index }
    }

    /// The name of this use of the frame.
    #[inline]
    pub fn key(&self) -> Key {
        self.record.header().key.get()
    }

    /// Whether the frame is being cancelled: it is to end, and what it submits is cancelled in turn.
    #[inline]
    pub fn is_cancelled(&self) -> bool {
        self.record.header().has(CANCELLING)
    }

    /// The frame's registers.
    #[inline]
    pub fn registers(&self) -> Registers<'_> {
        Registers { layout: &self.region.layout, record: self.record }
    }

    /// Gives the frame a descriptor; it owns it until it is taken out.
    ///
    /// # Panics
    /// If the place is occupied, or the layout has no such place.
    pub fn put_descriptor(&mut self, i: u16, fd: OwnedFd) {
        assert!(i < self.region.layout.descriptors);
        // SAFETY: the place was just checked to be one of the layout's.
        let word = unsafe { self.record.word(self.region.layout.descriptor_word(i)) };
        assert!(word.get() == VACANT, "a descriptor is already there");
        word.set((fd.into_raw_fd() as u64) << 32);
    }

    /// Takes a descriptor out of the frame.
    ///
    /// # Panics
    /// If the layout has no such place.
    pub fn take_descriptor(&mut self, i: u16) -> Option<OwnedFd> {
        assert!(i < self.region.layout.descriptors);
        // SAFETY: the place was just checked to be one of the layout's.
        let word = unsafe { self.record.word(self.region.layout.descriptor_word(i)) }.replace(VACANT);
        if word == VACANT {
            return None;
        }
        // SAFETY: `put_descriptor` took ownership of it, and it is given away only here.
        Some(unsafe { OwnedFd::from_raw_fd((word >> 32) as i32) })
    }

    /// All the frame's bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        let (start, len) = (self.region.memory.buffer(self.index), self.region.layout.bytes as usize);
        // SAFETY: nothing of the frame is in flight while its token exists, and mutable views borrow the
        // token mutably; the buffer of an accessible frame has that many bytes, initialised to zero.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), len) }
    }

    /// The frame's bytes, to be borrowed in disjoint parts, and its registers.
    #[inline]
    pub fn parts(&mut self) -> (Views<'_>, Registers<'_>) {
        let (start, len) = (self.region.memory.buffer(self.index), self.region.layout.bytes as usize);
        // SAFETY: nothing of the frame is in flight while its token exists, the token is borrowed for as
        // long as the views, and the buffer of an accessible frame has that many bytes, initialised to zero.
        let views = unsafe {
            let views = Views::new(start, len).with_outboxes(&self.region.outboxes, self.index);
            views.with_pooled(&self.region.pooled, self.index)
        };
        (views, Registers { layout: &self.region.layout, record: self.record })
    }

    /// What the frame has put into the pooled buffer that it holds; nothing if it holds none.
    ///
    /// # Panics
    /// If the program has no such buffer.
    pub fn pooled(&self, number: u16) -> &[u8] {
        assert!(self.region.pooled.size(number).is_some(), "the program has no pooled buffer {number}");
        let (start, filled) = self.region.pooled.held(self.index, number);
        // SAFETY: nothing of the frame is in flight while its token exists, mutable views borrow the token mutably, and
        // a buffer that the frame holds is given back only by what consumes the token; so many of its bytes were filled.
        unsafe { std::slice::from_raw_parts(start.as_ptr(), filled as usize) }
    }

    /// The bytes that all frames of the program share.
    #[inline]
    pub fn constants(&self) -> &'f [u8] {
        &self.region.constants
    }

    /// The frame goes on in a later turn: [`Resume::unparked`](super::Resume::unparked).
    pub fn park(self) {
        let header = self.record.header();
        header.raise(PARKED);
        self.region.core.driver().make_ready(header.key.get());
        self.give_up();
    }

    /// The frame waits for a call: an [alarm](crate::Handle::start_alarm)'s, or the one that cancels it. Then
    /// [`Resume::unparked`](super::Resume::unparked). If it was cancelled or
    /// [interrupted](Frame::is_interrupted) already, that is in a later turn.
    pub fn wait(self) {
        if self.is_cancelled() || self.is_interrupted() {
            return self.park();
        }
        self.record.header().raise(PARKED);
        self.give_up();
    }

    /// The use of the frame is over. Descriptors that are still in it are closed.
    pub fn free(self) {
        drop(self);
    }

    /// The frame's next completion, or its turn in the ready queue, brings the token back.
    #[inline]
    pub(super) fn give_up(self) {
        std::mem::forget(self);
    }
}

impl Drop for Frame<'_> {
    fn drop(&mut self) {
        for i in 0..self.region.layout.descriptors {
            if let Some(fd) = self.take_descriptor(i) {
                self.region.core.driver().close(fd);
            }
        }
        self.region.free(self.record, self.index);
    }
}

/// The registers of a frame whose token is borrowed.
#[derive(Clone, Copy)]
pub struct Registers<'f> {
    layout: &'f Layout,
    record: Record,
}

impl<'f> Registers<'f> {
    pub(super) fn new(layout: &'f Layout, record: Record) -> Self {
        Registers { layout, record }
    }
}

impl Registers<'_> {
    /// The value of a register.
    ///
    /// # Panics
    /// If the layout has no such register.
    #[inline]
    pub fn get(&self, i: u16) -> u64 {
        self.cell(i).get()
    }

    /// Sets a register.
    ///
    /// # Panics
    /// If the layout has no such register.
    #[inline]
    pub fn set(&self, i: u16, value: u64) {
        self.cell(i).set(value);
    }

    #[inline]
    fn cell(&self, i: u16) -> &Cell<u64> {
        assert!(i < self.layout.registers);
        // SAFETY: the register was just checked to be one of the layout's.
        unsafe { self.record.word(self.layout.register_word(i)) }
    }
}

impl std::fmt::Debug for Registers<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.layout.registers).map(|i| self.get(i))).finish()
    }
}

impl std::fmt::Debug for Frame<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Frame({:?})", self.key())
    }
}
