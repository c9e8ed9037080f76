//! From a template to the submission queue: the hot path.
//!
//! For every member: eight words, most of them from the template; descriptor, address, length and `user_data` are
//! patched in on the way. Words and spans were checked against the layout when the template was made (`template/check.rs`),
//! so registers are read without checking them again; a length from a register is the one thing that is new each time,
//! and is compared with the bound that was checked. What needs more than that, and what has no length, goes through
//! `wide.rs`.
//!
//! A span of no bytes becomes a nop with the same flags: a recv of nothing would wait for data to come, which is
//! not what an exact transfer of nothing means. What never moves bytes comes the same way, and is written as its
//! opcode wants it: without an address.

use std::ptr::NonNull;

use super::code::{Order, Outcome, Trap};
use super::memory::Record;
use super::region::Region;
use super::row::{Filled, Places};
use super::template::{Address, Gate, Member, NO_CODE, NO_OUTBOX, NONE, Template};
use super::verb::Moves;
use crate::driver::Key;
use crate::op::nop;
use crate::ring::sqe::BUFFER_SELECT;
use crate::ring::{Cqe, Queues, Sqe};

/// Why a segment was not submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotSubmitted {
    /// The queue takes nothing at the moment: park the frame and submit again in a later turn.
    Busy,
    /// A length in a register does not fit its span.
    TooLong {
        /// The member.
        member: u8,
        /// What the register says.
        len: u64,
        /// What fits.
        max: u32,
    },
}

/// Why a frame's code did not end with a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupt {
    /// It left with this number.
    Left(u32),
    /// An op has trapped.
    Trapped {
        /// Its place.
        pc: u32,
        /// Why.
        trap: Trap,
    },
    /// It went back too often without I/O; the frame should go on at this op in a later turn.
    Spent {
        /// The place of the op.
        pc: u32,
    },
    /// It came to a segment that could not be submitted.
    NotSubmitted {
        /// The segment.
        segment: u16,
        /// Why.
        reason: NotSubmitted,
    },
}

/// What is left to do for a frame whose segment has succeeded, by its owner: it may need the runner, or another
/// way to submit.
#[derive(Clone, Copy)]
pub(super) struct Handover {
    pub(super) index: u32,
    pub(super) outcome: Outcome,
}

/// Why one of the two loops that handle completions has stopped.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopped {
    /// The next completion, if there is one, is for neither.
    Else,
    /// The next one is for the other loop.
    Other,
    /// A frame is handed over to the owner.
    HandedOver,
}

/// A segment whose success has been met.
#[derive(Clone, Copy)]
pub(super) struct Met<'r> {
    pub(super) record: Record,
    pub(super) index: usize,
    pub(super) template: &'r Template,
    pub(super) count: u32,
}

/// What `write` has written.
pub(super) struct Written {
    /// The length of the last entry.
    pub(super) want: u32,
    /// Its `user_data`.
    pub(super) last: u64,
}

impl Region {
    /// Handles completions before `until` for as long as each is the success of a whole segment of this region,
    /// by running the code behind it, if there is any, and submitting the next one. This is all that happens between
    /// two requests of a connection whose chain has no native call. The first completion that wants more is left
    /// where it is; or, if its code has run, true says that its frame is left in `handover` for the owner.
    pub(crate) fn advance(&self, queues: &Queues, until: u32) -> bool {
        if self.pooled.each() == 0 {
            return self.advance_alone(queues, until);
        }
        // In turns with those of segments that pooled buffers come or go with, for as long as either gets on.
        loop {
            if self.advance_pooled(queues, until) {
                return true;
            }
            let before = queues.consumed();
            if before == until {
                return false;
            }
            if self.advance_alone(queues, until) {
                return true;
            }
            if queues.consumed() == before {
                return false;
            }
        }
    }

    /// The same for segments without pooled buffers.
    #[inline]
    fn advance_alone(&self, queues: &Queues, until: u32) -> bool {
        let before = queues.consumed();
        let stopped = loop {
            // Programs differ: what was met last is what will be met first.
            let computes = self.computes.get();
            let stopped = if computes {
                self.advance_code(queues, until)
            } else {
                self.advance_segments(queues, until)
            };
            if stopped != Stopped::Other {
                break stopped;
            }
            self.computes.set(!computes);
        };
        if self.has_gates {
            self.computes.set(false);
        }
        // Each completion that was consumed is that of a segment.
        self.advanced.add(queues.consumed().wrapping_sub(before).into());
        stopped == Stopped::HandedOver
    }

    /// The success of a whole segment, if that is what the completion is.
    #[inline(always)]
    pub(super) fn meet(&self, cqe: &Cqe) -> Option<Met<'_>> {
        let (user_data, result) = (cqe.user_data, cqe.res);
        let index = Key::split(user_data).0.index() as usize;
        if index >= self.memory.accessible() {
            return None;
        }
        let record = self.memory.record(index);
        let header = record.header();
        if header.expect.get() != user_data || result <= 0 {
            return None;
        }
        // SAFETY: the segment was submitted, so it is one of the templates.
        let template = unsafe { self.templates.get_unchecked(usize::from(header.segment.get())) };
        let count = result as u32;
        let missing = header.want.get().wrapping_sub(count);
        (missing <= template.slack).then_some(Met { record, index, template, count })
    }

    /// For segments that others follow by themselves.
    ///
    /// A function of its own, and its lines in this order, for the sake of registers: a third of the instructions
    /// went into spilling them before.
    #[inline(never)]
    fn advance_segments(&self, queues: &Queues, until: u32) -> Stopped {
        let mut filled = Filled::new(queues.row());
        loop {
            let ready = queues.in_a_row(until);
            let mut left = ready.iter();
            let stopped = loop {
                let mut ahead = left.clone();
                let Some(cqe) = ahead.next() else { break None };
                let Some(Met { record, index, template, count }) = self.meet(cqe) else {
                    break Some(Stopped::Else);
                };
                let buffer = self.memory.buffer(index);
                let mut then = template.then;
                if then == NONE {
                    // SAFETY: the one completion of the frame with this record and buffer has come, and no token of it is out.
                    then = unsafe { Region::through_gate(template, record, buffer) };
                    if then == NONE {
                        break Some(if template.code == NO_CODE { Stopped::Else } else { Stopped::Other });
                    }
                }
                // SAFETY: a template's words were checked against the layout of this region.
                unsafe { record.word(usize::from(template.into)) }.set(u64::from(count));
                // From here on the completion is consumed, whatever comes of it.
                left = ahead;
                record.header().segment.set(then);
                // SAFETY: a template's successor, and what is behind its gate, was checked to be one of the templates.
                let next = unsafe { self.templates.get_unchecked(usize::from(then)) };
                let mut places = filled.places(next.members.len());
                if filled.lacks(places) {
                    // SAFETY: as at the end.
                    unsafe { filled.renew(queues) };
                    places = filled.places(next.members.len());
                    if filled.lacks(places) {
                        break Some(self.hand_over_segment(record));
                    }
                }
                filled.pass(places);
                // SAFETY: the places are vacant, and ours until they are published: nothing below runs foreign code. The
                // buffer is that of the frame with this record.
                let written = unsafe { self.write(record, buffer, &next.members, places) };
                let Some(Written { want, last }) = written else {
                    filled.back(self.templates[usize::from(record.header().segment.get())].members.len());
                    break Some(self.hand_over_segment(record));
                };
                // The completion has come, and is accounted for by expecting the next one in its place.
                let header = record.header();
                header.expect.set(last);
                header.want.set(want);
            };
            queues.consume_many((ready.len() - left.len()) as u32);
            // At the end of the queue it goes on at its front.
            if let Some(stopped) = stopped.or_else(|| queues.peek(until).is_none().then_some(Stopped::Else)) {
                // SAFETY: the entries were written in full; the spans are inside their frames' buffers, which are not
                // reused, unmapped or lent before the completions have come that are expected from here on.
                unsafe { queues.publish(filled.written()) };
                return stopped;
            }
        }
    }

    /// What follows a segment behind its gate; `NONE` if it has none, or the number does not pass.
    ///
    /// # Safety
    /// `record` and `buffer` must be those of an accessible frame of the region with this template, nothing of it in flight,
    /// and no view of it lent.
    #[inline(always)]
    unsafe fn through_gate(template: &Template, record: Record, buffer: NonNull<u8>) -> u16 {
        let Gate { at, most, to, segment } = template.gate;
        if segment == NONE {
            return NONE;
        }
        // SAFETY: the bytes were checked to lie inside the frame's, which nobody else touches, by the caller's promise.
        let number = unsafe { Order::Be32.load(buffer.as_ptr().add(at as usize)) };
        // SAFETY: an op's registers were checked, and made words of this region's layout.
        unsafe { record.word(usize::from(to)) }.set(number);
        if number <= most.into() { segment } else { NONE }
    }

    /// For segments that code follows.
    #[inline(never)]
    fn advance_code(&self, queues: &Queues, until: u32) -> Stopped {
        let mut filled = Filled::new(queues.row());
        loop {
            let ready = queues.in_a_row(until);
            let mut left = ready.iter();
            let stopped = loop {
                let mut ahead = left.clone();
                let Some(cqe) = ahead.next() else { break None };
                let Some(Met { record, index, template, count }) = self.meet(cqe) else {
                    break Some(Stopped::Else);
                };
                if template.code == NO_CODE {
                    // A successor that is not hot is none of ours.
                    break Some(if template.then == NONE { Stopped::Else } else { Stopped::Other });
                }
                // SAFETY: a template's words were checked against the layout of this region.
                unsafe { record.word(usize::from(template.into)) }.set(u64::from(count));
                left = ahead;
                if template.outbox != NO_OUTBOX {
                    // SAFETY: the segment that sent it was checked to name one of the frame's outboxes, and nobody else has it:
                    // the one completion of the frame has come, and no token of it is out.
                    unsafe { &mut *record.outbox(template.outbox) }.clear();
                }
                let buffer = self.memory.buffer(index);
                // SAFETY: a template's code was checked to be an op; the one completion of the frame has come, and no
                // token of it is out.
                let outcome = unsafe { self.execute(record, buffer, template.code) };
                let Outcome::Submit(then) = outcome else { break Some(self.hand_over(record, outcome)) };
                record.header().segment.set(then);
                // SAFETY: what code submits was checked to be one of the templates.
                let next = unsafe { self.templates.get_unchecked(usize::from(then)) };
                let mut places = filled.places(next.members.len());
                if filled.lacks(places) {
                    // SAFETY: as at the end.
                    unsafe { filled.renew(queues) };
                    places = filled.places(next.members.len());
                    if filled.lacks(places) {
                        break Some(self.hand_over_segment(record));
                    }
                }
                filled.pass(places);
                // SAFETY: as in `advance_segments`.
                let written = unsafe {
                    if next.is_hot() {
                        self.write(record, buffer, &next.members, places)
                    } else if next.is_warm() {
                        self.write_short(record, buffer, next, places)
                    } else {
                        None
                    }
                };
                // SAFETY: the same.
                let written = written.or_else(|| unsafe { self.write_whole(record, next, places.first) });
                let Some(Written { want, last }) = written else {
                    filled.back(next.members.len());
                    break Some(self.hand_over_segment(record));
                };
                let header = record.header();
                header.expect.set(last);
                header.want.set(want);
            };
            queues.consume_many((ready.len() - left.len()) as u32);
            if let Some(stopped) = stopped.or_else(|| queues.peek(until).is_none().then_some(Stopped::Else)) {
                // SAFETY: as in `advance_segments`.
                unsafe { queues.publish(filled.written()) };
                return stopped;
            }
        }
    }

    /// The segment has succeeded, and its completion is accounted for; its owner does the rest.
    #[cold]
    pub(super) fn hand_over(&self, record: Record, outcome: Outcome) -> Stopped {
        record.header().expect.set(0);
        self.handover.set(Some(Handover { index: record.header().key.get().index(), outcome }));
        Stopped::HandedOver
    }

    /// The same where the segment that its record names is to be submitted: there, because it would take a register of the loop
    /// to keep it.
    #[cold]
    fn hand_over_segment(&self, record: Record) -> Stopped {
        self.hand_over(record, Outcome::Submit(record.header().segment.get()))
    }

    /// Writes the entries of `members`, those of a hot segment. `None` if a register adds nothing to a length, or too much, which
    /// `write_part` deals with.
    ///
    /// # Safety
    /// - `record` must be a frame's of this region, and `buffer` the first of its bytes;
    /// - there must be as many places as members, valid for writes.
    #[inline(always)]
    pub(super) unsafe fn write(
        &self,
        record: Record,
        buffer: NonNull<u8>,
        members: &[Member],
        Places { first: mut place, end }: Places,
    ) -> Option<Written> {
        let buffer = buffer.as_ptr() as u64;
        let mut user_data = record.header().key.get().with_step(0);
        let mut member = members.as_ptr();
        // SAFETY: a checked segment has members, and there are as many as places.
        let last = unsafe { NonNull::new_unchecked(end).sub(1) };
        // SAFETY: a template's words were checked against the layout of this region.
        let word = |word: u16| unsafe { record.word(usize::from(word)) }.get();
        let entry = |of: &Member, flags_len, user_data| {
            let (head, address) = (of.head | word(of.descriptor), buffer.wrapping_add(of.offset));
            [head, 0, address, flags_len, user_data, 0, 0, 0]
        };
        while place != last {
            // SAFETY: there are as many as places.
            let of = unsafe { &*member };
            let added = word(of.length);
            if added.wrapping_sub(1) > of.bound {
                return None;
            }
            // SAFETY: the place is one of the caller's, and an entry is eight words. The span lies inside the
            // frame's buffer: it was checked, and the length just now.
            unsafe { place.cast().write(entry(of, of.flags_len.wrapping_add(added), user_data)) };
            // SAFETY: there is one more of each.
            (member, place) = unsafe { (member.add(1), place.add(1)) };
            user_data = Key::next_step(user_data);
        }
        // SAFETY: as above.
        let of = unsafe { &*member };
        let mut flags_len = of.flags_len;
        // Most segments end with a receive of as much as fits.
        if of.bound != u64::MAX {
            let added = word(of.length);
            if added.wrapping_sub(1) > of.bound {
                return None;
            }
            flags_len = flags_len.wrapping_add(added);
        }
        // SAFETY: as above.
        unsafe { place.cast().write(entry(of, flags_len, user_data)) };
        Some(Written { want: flags_len as u32, last: user_data })
    }

    /// The bytes that a member of a segment transfers, as the registers say now. An over-long register
    /// counts as the most that it may be: only a submission of it is an error.
    pub(super) fn wanted(&self, record: Record, segment: u16, member: u8) -> u32 {
        let template = &self.templates[usize::from(segment)];
        let (member, wide) = (&template.members[usize::from(member)], &template.wide[usize::from(member)]);
        if let Address::Outbox(outbox) = wide.address {
            // SAFETY: checked with the template. The kernel may read what the outbox names; its length is nobody's but ours.
            return unsafe { &*record.outbox(outbox) }.len() as u32;
        }
        if !member.verb.transfers() {
            return 0;
        }
        // SAFETY: a template's words were checked against the layout of this region.
        let length = unsafe { record.word(usize::from(member.length)) }.get();
        member.plus() + length.min(member.room) as u32
    }
}

/// Turns a transfer of no bytes into a nop, and a member that never has any into what it is.
///
/// # Safety
/// `place` must have been written, and be valid for writes.
#[cold]
pub(super) unsafe fn nothing(place: *mut Sqe, member: &Member) {
    // SAFETY: the caller's promise.
    unsafe {
        if member.verb.moves() == Moves::Nothing {
            ((*place).addr, (*place).len) = (0, member.verb.template().len);
        } else if member.verb.transfers() {
            let (flags, user_data) = ((*place).flags & !BUFFER_SELECT, (*place).user_data);
            *place = Sqe { flags, user_data, ..nop::TEMPLATE };
        }
    }
}
