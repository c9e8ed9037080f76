//! From a template to the submission queue: the hot path.
//!
//! For every member: eight words, most of them from the template; descriptor, address, length and `user_data` are
//! patched in on the way. Words and spans were checked against the layout when the template was made (`plan.rs`), so registers are read without
//! checking them again; a length from a register is the one thing that is new each time, and is compared with
//! the bound that was checked.
//!
//! A span of no bytes becomes a nop with the same flags: a recv of nothing would wait for data to come, which is
//! not what an exact transfer of nothing means. What never moves bytes comes the same way, and is written as its
//! opcode wants it: without an address.

use std::ptr::NonNull;

use super::frames::Region;
use super::memory::{PARTIAL, Record};
use super::plan::{Member, Moves, NONE};
use super::token::Frame;
use crate::driver::Key;
use crate::op::nop;
use crate::ring::sqe::{CQE_SKIP_SUCCESS, IO_LINK};
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

#[cold]
fn too_long(member: &Member, number: u8, added: u64) -> NotSubmitted {
    let (plus, room) = (u64::from(member.plus()), member.room as u32);
    NotSubmitted::TooLong { member: number, len: added.saturating_add(plus), max: member.plus() + room }
}

impl Region {
    /// Handles completions before `until` for as long as each is the success of a whole segment of this region whose
    /// successor is known, by submitting that one. This is all that happens between two requests of a connection
    /// whose chain needs no computation. The first completion that wants more is left where it is.
    ///
    /// A function of its own, and its lines in this order, for the sake of registers: a third of the instructions
    /// went into spilling them before.
    #[inline(never)]
    pub(crate) fn advance(&self, queues: &Queues, until: u32) {
        while let Some(cqe) = queues.peek(until) {
            let (user_data, result) = (cqe.user_data, cqe.res);
            let index = Key::split(user_data).0.index() as usize;
            if index >= self.memory.accessible() {
                return;
            }
            let record = self.memory.record(index);
            let header = record.header();
            if header.expect.get() != user_data || result <= 0 {
                return;
            }
            let segment = header.segment.get();
            // SAFETY: the segment was submitted, so it is one of the templates.
            let template = unsafe { self.templates.get_unchecked(usize::from(segment)) };
            let (missing, then) = (header.want.get().wrapping_sub(result as u32), template.then);
            if missing > template.slack || then == NONE {
                return;
            }
            // SAFETY: a template's words were checked against the layout of this region.
            unsafe { record.word(usize::from(template.into)) }.set(result as u64);
            // SAFETY: a template's successor was checked to be one of the templates.
            let next = unsafe { self.templates.get_unchecked(usize::from(then)) };
            if next.completions != 1 {
                // Each of its members will post a completion: that is for `settle` to count.
                return;
            }
            let Some(place) = queues.vacant(next.members.len() as u32) else { return };
            // The completion has come, and is accounted for by expecting the next one in its place.
            let first = header.key.get().with_step(0);
            header.expect.set(first | next.last_step);
            header.segment.set(then);
            // SAFETY: the places are vacant, and ours until they are published: nothing below runs foreign code.
            match unsafe { self.write::<false>(record, index, first, &next.members, place, 0) } {
                Ok(want) => header.want.set(want),
                Err(_) => {
                    header.expect.set(cqe.user_data);
                    header.segment.set(segment);
                    return;
                }
            }
            // SAFETY: the entries were written in full; the spans are inside this frame's buffer, which is not
            // reused, unmapped or lent before the completion has come that is expected from here on.
            unsafe { queues.publish(next.members.len() as u32) };
            self.advanced.add(1);
            queues.consume();
        }
    }

    /// Writes the entries of `members` to the places from `place` on. Of the first, `done` bytes have been
    /// transferred already (if `PARTIAL`). Gives the length of the last one.
    ///
    /// # Safety
    /// As many places as there are members must be valid for writes.
    #[inline(always)]
    unsafe fn write<const PARTIAL: bool>(
        &self,
        record: Record,
        index: usize,
        mut user_data: u64,
        members: &[Member],
        mut place: NonNull<Sqe>,
        done: u32,
    ) -> Result<u32, NotSubmitted> {
        let buffer = self.memory.buffer(index).as_ptr() as u64;
        let mut want = 0;
        // SAFETY: a checked segment has members.
        unsafe { std::hint::assert_unchecked(!members.is_empty()) };
        for (i, member) in members.iter().enumerate() {
            // SAFETY: a template's words were checked against the layout of this region.
            let (fd, added) = unsafe {
                (
                    record.word(usize::from(member.descriptor)).get(),
                    record.word(usize::from(member.length)).get(),
                )
            };
            if added > member.room {
                return Err(too_long(member, Key::split(user_data).1 as u8, added));
            }
            let (mut offset, mut flags_len) = (member.offset, member.flags_len + added);
            if PARTIAL && i == 0 {
                let before = u64::from(done).min(flags_len & 0xffff_ffff);
                offset += before;
                flags_len -= before;
            }
            let address = buffer.wrapping_add(offset);
            let words = [member.head | fd, member.off, address, flags_len, user_data, member.index, 0, 0];
            // SAFETY: the place is one of the caller's, and an entry is eight words. The span lies inside the
            // frame's buffer: offset + length does, and what is done was a part of it.
            unsafe { place.cast::<[u64; 8]>().write(words) };
            want = flags_len as u32;
            if want == 0 {
                // SAFETY: as above.
                unsafe { nothing(place.as_ptr(), member) };
            }
            user_data = Key::next_step(user_data);
            // SAFETY: one past the last place at the most.
            place = unsafe { place.add(1) };
        }
        if PARTIAL {
            // SAFETY: the place that was written last. The last entry of a list must not link to what comes next.
            unsafe { (*place.as_ptr().sub(1)).flags &= !(IO_LINK | CQE_SKIP_SUCCESS) };
        }
        Ok(want)
    }

    /// The length of a member of the current segment, as the registers say now. An over-long register counts as
    /// the most that it may be: only a submission of it is an error.
    pub(super) fn wanted(&self, record: Record, member: u8) -> u32 {
        let (segment, member) = (usize::from(record.header().segment.get()), usize::from(member));
        self.length(record, &self.templates[segment].members[member])
    }

    fn length(&self, record: Record, member: &Member) -> u32 {
        // SAFETY: a template's words were checked against the layout of this region.
        let length = unsafe { record.word(usize::from(member.length)) }.get();
        member.plus() + length.min(member.room) as u32
    }
}

impl<'f> Frame<'f> {
    /// Submits a whole segment, or gives the frame back.
    ///
    /// # Panics
    /// If there is no such segment.
    pub fn submit(self, segment: u16) -> Result<(), (Frame<'f>, NotSubmitted)> {
        let (region, record) = (self.region, self.record);
        let template = &region.templates[usize::from(segment)];
        let header = record.header();
        let want = match self.emit::<false>(&template.members, 0, 0) {
            Ok(want) => want,
            Err(refused) => return Err((self, refused)),
        };
        if template.completions == 1 && header.flags.get() == 0 {
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
        let members = &template.members[usize::from(from)..usize::from(to)];
        if let Err(refused) = self.emit::<true>(members, from, done) {
            return Err((self, refused));
        }
        let header = record.header();
        header.from.set(from);
        header.to.set(to);
        header.done.set(done.min(region.length(record, &members[0])));
        header.raise(PARTIAL);
        region.await_counted(record, segment, template.completions.min(members.len() as u16));
        self.give_up();
        Ok(())
    }

    /// Writes and publishes the entries of `members`, of which the first is number `from` of its segment.
    fn emit<const PARTIAL: bool>(
        &self,
        members: &[Member],
        from: u8,
        done: u32,
    ) -> Result<u32, NotSubmitted> {
        let (region, record, index) = (self.region, self.record, self.index);
        let reservation = region.core.driver().ring.reserve(members.len() as u32);
        let reservation = reservation.map_err(|_| NotSubmitted::Busy)?;
        let user_data = record.header().key.get().with_step(u32::from(from));
        // SAFETY: the places are reserved for us alone.
        unsafe {
            let want =
                region.write::<PARTIAL>(record, index, user_data, members, reservation.first(), done)?;
            // SAFETY: every place was written in full; the spans are inside this frame's buffer, which is not
            // reused, unmapped or lent before the completions have come that the caller awaits from here on.
            reservation.commit();
            Ok(want)
        }
    }
}

/// Turns a transfer of no bytes into a nop, and a member that never has any into what it is.
///
/// # Safety
/// `place` must have been written, and be valid for writes.
#[cold]
unsafe fn nothing(place: *mut Sqe, member: &Member) {
    // SAFETY: the caller's promise.
    unsafe {
        if member.verb.moves() == Moves::Nothing {
            ((*place).addr, (*place).len) = (0, member.verb.template().len);
        } else {
            let (flags, user_data) = ((*place).flags, (*place).user_data);
            *place = Sqe { flags, user_data, ..nop::TEMPLATE };
        }
    }
}
