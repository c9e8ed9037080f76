//! From a template to the submission queue: the hot path.
//!
//! For every member: eight words, most of them from the template; descriptor, address, length and `user_data` are
//! patched in on the way. Words and spans were checked against the layout when the template was made (`template.rs`),
//! so registers are read without checking them again; a length from a register is the one thing that is new each time,
//! and is compared with the bound that was checked. What needs more than that, and what has no length, goes through
//! `wide.rs`.
//!
//! A span of no bytes becomes a nop with the same flags: a recv of nothing would wait for data to come, which is
//! not what an exact transfer of nothing means. What never moves bytes comes the same way, and is written as its
//! opcode wants it: without an address.

use std::ptr::NonNull;

use super::code::{Outcome, Trap};
use super::frames::Region;
use super::memory::{PARTIAL, Record};
use super::template::{Address, Member, NO_CODE, NONE, Template};
use super::token::Frame;
use super::verb::Moves;
use super::wide::Part;
use crate::driver::Key;
use crate::op::nop;
use crate::ring::sqe::BUFFER_SELECT;
use crate::ring::{Queues, Sqe};

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
enum Stopped {
    /// The next completion, if there is one, is not for it.
    Else,
    /// The next one is the success of a segment that code follows.
    Code,
    /// The next one is the success of a segment that another follows.
    Segment,
    /// A frame is handed over to the owner.
    HandedOver,
}

/// A segment whose success has been met.
#[derive(Clone, Copy)]
struct Met<'r> {
    record: Record,
    index: usize,
    template: &'r Template,
    count: u32,
}

impl Region {
    /// Handles completions before `until` for as long as each is the success of a whole segment of this region,
    /// by running the code behind it, if there is any, and submitting the next one. This is all that happens between
    /// two requests of a connection whose chain has no native call. The first completion that wants more is left
    /// where it is; or, if its code has run, true says that its frame is left in `handover` for the owner.
    pub(crate) fn advance(&self, queues: &Queues, until: u32) -> bool {
        let before = queues.consumed();
        let mut stopped = Stopped::Segment;
        loop {
            stopped = match stopped {
                Stopped::Segment => self.advance_segments(queues, until),
                Stopped::Code => self.advance_code(queues, until),
                Stopped::Else | Stopped::HandedOver => break,
            }
        }
        // Each completion that was consumed is that of a segment.
        self.advanced.add(queues.consumed().wrapping_sub(before).into());
        stopped == Stopped::HandedOver
    }

    /// The success of a whole segment, if that is what the next completion is.
    #[inline(always)]
    fn meet(&self, queues: &Queues, until: u32) -> Option<Met<'_>> {
        let cqe = queues.peek(until)?;
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
        while let Some(Met { record, index, template, count }) = self.meet(queues, until) {
            let then = template.then;
            if then == NONE {
                return if template.code == NO_CODE { Stopped::Else } else { Stopped::Code };
            }
            // SAFETY: a template's words were checked against the layout of this region.
            unsafe { record.word(usize::from(template.into)) }.set(u64::from(count));
            // SAFETY: a template's successor was checked to be one of the templates.
            let next = unsafe { self.templates.get_unchecked(usize::from(then)) };
            let Some(place) = queues.vacant(next.members.len() as u32) else {
                return self.hand_over(queues, record, Outcome::Submit(then));
            };
            let header = record.header();
            let first = header.key.get().with_step(0);
            // SAFETY: the places are vacant, and ours until they are published: nothing below runs foreign code.
            let written = unsafe { self.write(record, index, first, &next.members, place) };
            let Some(want) = written else {
                return self.hand_over(queues, record, Outcome::Submit(then));
            };
            // The completion has come, and is accounted for by expecting the next one in its place.
            header.expect.set(first | next.last_step);
            header.segment.set(then);
            header.want.set(want);
            // SAFETY: the entries were written in full; the spans are inside this frame's buffer, which is not
            // reused, unmapped or lent before the completion has come that is expected from here on.
            unsafe { queues.publish(next.members.len() as u32) };
            queues.consume();
        }
        Stopped::Else
    }

    /// For segments that code follows.
    #[inline(never)]
    fn advance_code(&self, queues: &Queues, until: u32) -> Stopped {
        while let Some(Met { record, index, template, count }) = self.meet(queues, until) {
            if template.code == NO_CODE {
                // A successor that is not hot is none of ours.
                return if template.then == NONE { Stopped::Else } else { Stopped::Segment };
            }
            // SAFETY: a template's words were checked against the layout of this region.
            unsafe { record.word(usize::from(template.into)) }.set(u64::from(count));
            // SAFETY: a template's code was checked to be an op; the one completion of the frame has come, and no token
            // of it is out.
            let outcome = unsafe { self.execute(record, index, template.code) };
            let Outcome::Submit(then) = outcome else { return self.hand_over(queues, record, outcome) };
            // SAFETY: what code submits was checked to be one of the templates.
            let next = unsafe { self.templates.get_unchecked(usize::from(then)) };
            let is_one = next.simple && next.completions == 1;
            let place = if is_one { queues.vacant(next.members.len() as u32) } else { None };
            let Some(place) = place else { return self.hand_over(queues, record, outcome) };
            let header = record.header();
            let first = header.key.get().with_step(0);
            let hot = if next.is_hot() {
                // SAFETY: as in `advance_segments`.
                unsafe { self.write(record, index, first, &next.members, place) }
            } else {
                None
            };
            // SAFETY: the same.
            let written =
                hot.or_else(|| unsafe { self.write_part(record, index, &Part::whole(next), place) });
            let Some(want) = written else { return self.hand_over(queues, record, outcome) };
            header.expect.set(first | next.last_step);
            header.segment.set(then);
            header.want.set(want);
            // SAFETY: the same.
            unsafe { queues.publish(next.members.len() as u32) };
            queues.consume();
        }
        Stopped::Else
    }

    /// The segment has succeeded, and its completion is accounted for; its owner does the rest.
    #[cold]
    fn hand_over(&self, queues: &Queues, record: Record, outcome: Outcome) -> Stopped {
        record.header().expect.set(0);
        queues.consume();
        self.handover.set(Some(Handover { index: record.header().key.get().index(), outcome }));
        Stopped::HandedOver
    }

    /// Writes the entries of `members`, all of them plain, to the places from `place` on. Gives the length of the last
    /// one; `None` if one has no length or too much of it, which `write_part` deals with.
    ///
    /// # Safety
    /// As many places as there are members must be valid for writes.
    #[inline(always)]
    unsafe fn write(
        &self,
        record: Record,
        index: usize,
        mut user_data: u64,
        members: &[Member],
        mut place: NonNull<Sqe>,
    ) -> Option<u32> {
        let buffer = self.memory.buffer(index).as_ptr() as u64;
        let mut want = 0;
        // SAFETY: a checked segment has members.
        unsafe { std::hint::assert_unchecked(!members.is_empty()) };
        for member in members {
            // SAFETY: a template's words were checked against the layout of this region.
            let (fd, added) = unsafe {
                (
                    record.word(usize::from(member.descriptor)).get(),
                    record.word(usize::from(member.length)).get(),
                )
            };
            let flags_len = member.flags_len.wrapping_add(added);
            if added > member.room || flags_len as u32 == 0 {
                return None;
            }
            let address = buffer.wrapping_add(member.offset);
            let words = [member.head | fd, 0, address, flags_len, user_data, 0, 0, 0];
            // SAFETY: the place is one of the caller's, and an entry is eight words. The span lies inside the
            // frame's buffer: it was checked, and the length just now.
            unsafe { place.cast::<[u64; 8]>().write(words) };
            want = flags_len as u32;
            user_data = Key::next_step(user_data);
            // SAFETY: one past the last place at the most.
            place = unsafe { place.add(1) };
        }
        Some(want)
    }

    /// The bytes that a member of the current segment transfers, as the registers say now. An over-long register
    /// counts as the most that it may be: only a submission of it is an error.
    pub(super) fn wanted(&self, record: Record, member: u8) -> u32 {
        let template = &self.templates[usize::from(record.header().segment.get())];
        let (member, wide) = (&template.members[usize::from(member)], &template.wide[usize::from(member)]);
        if let Address::Outbox(outbox) = wide.address {
            let index = record.header().key.get().index() as usize;
            // SAFETY: the kernel may read what the outbox names; its length is nobody's but ours.
            return unsafe { &*self.outboxes.get(index, outbox) }.len() as u32;
        }
        if !member.verb.transfers() {
            return 0;
        }
        // SAFETY: a template's words were checked against the layout of this region.
        let length = unsafe { record.word(usize::from(member.length)) }.get();
        member.plus() + length.min(member.room) as u32
    }
}

impl<'f> Frame<'f> {
    /// Runs the program's code from `pc` on. If it comes to a segment, that is submitted.
    ///
    /// # Errors
    /// The frame, and why nothing was submitted.
    ///
    /// # Panics
    /// If there is no such op.
    pub fn run(self, pc: u32) -> Result<(), (Frame<'f>, Interrupt)> {
        assert!((pc as usize) < self.region.code.ops.len(), "the program has no op {pc}");
        // SAFETY: the op was just checked to be there; this token is the only one of the frame, of which nothing is in
        // flight while it exists, and views borrow it.
        let outcome = unsafe { self.region.execute(self.record, self.index, pc) };
        self.conclude(outcome)
    }

    /// Does what code has come to.
    pub(super) fn conclude(self, outcome: Outcome) -> Result<(), (Frame<'f>, Interrupt)> {
        let interrupt = match outcome {
            Outcome::Submit(segment) => {
                return self
                    .submit(segment)
                    .map_err(|(frame, reason)| (frame, Interrupt::NotSubmitted { segment, reason }));
            }
            Outcome::Left(number) => Interrupt::Left(number),
            Outcome::Trapped(pc) => Interrupt::Trapped { pc, trap: self.region.trap.get() },
            Outcome::Spent(pc) => Interrupt::Spent { pc },
        };
        Err((self, interrupt))
    }

    /// Submits a whole segment, or gives the frame back.
    ///
    /// # Panics
    /// If there is no such segment.
    pub fn submit(self, segment: u16) -> Result<(), (Frame<'f>, NotSubmitted)> {
        let (region, record) = (self.region, self.record);
        let template = &region.templates[usize::from(segment)];
        let header = record.header();
        let want = match self.emit(&Part::whole(template)) {
            Ok(want) => want,
            Err(refused) => return Err((self, refused)),
        };
        if template.completions == 1 && template.simple && header.flags.get() == 0 {
            header.expect.set(header.key.get().with_step(0) | template.last_step);
            header.segment.set(segment);
            header.want.set(want);
        } else {
            region.await_counted(record, segment, template.completions);
        }
        self.give_up();
        Ok(())
    }

    /// Submits the members of a segment from `from` on, of which the first has already transferred `done` bytes;
    /// only that one if `alone`.
    ///
    /// # Panics
    /// If there is no such segment or member.
    #[cold]
    pub fn submit_from(
        self,
        segment: u16,
        from: u8,
        done: u32,
        alone: bool,
    ) -> Result<(), (Frame<'f>, NotSubmitted)> {
        let (region, record) = (self.region, self.record);
        let template = &region.templates[usize::from(segment)];
        assert!(from <= template.last, "segment {segment} has no member {from}");
        let to = if alone { from + 1 } else { template.last + 1 };
        if let Err(refused) = self.emit(&Part { template, members: from..to, done }) {
            return Err((self, refused));
        }
        let header = record.header();
        header.from.set(from);
        header.to.set(to);
        header.segment.set(segment);
        header.done.set(done.min(region.wanted(record, from)));
        header.raise(PARTIAL);
        let reports = template.reports.clamp(from, to - 1);
        region.await_counted(record, segment, u16::from(to - reports));
        self.give_up();
        Ok(())
    }

    /// Writes and publishes the entries of a part of a segment.
    fn emit(&self, part: &Part<'_>) -> Result<u32, NotSubmitted> {
        let (region, record, index) = (self.region, self.record, self.index);
        let count = u32::from(part.members.end - part.members.start);
        let reservation = region.core.driver().ring.reserve(count).map_err(|_| NotSubmitted::Busy)?;
        // SAFETY: the places are reserved for us alone, one for each member.
        let written = unsafe { region.write_part(record, index, part, reservation.first()) };
        let want = written.ok_or_else(|| region.too_long(record, index, part))?;
        // SAFETY: every place was written in full; the spans are inside this frame's buffer, which is not
        // reused, unmapped or lent before the completions have come that the caller awaits from here on.
        unsafe { reservation.commit() };
        Ok(want)
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
