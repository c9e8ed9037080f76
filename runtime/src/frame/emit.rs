//! From a template to the submission queue: the hot path.
//!
//! For every member: copy 64 bytes, then patch descriptor, address, length and `user_data`. Words and spans
//! were checked against the layout when the template was made (`plan.rs`), so registers are read without
//! checking them again; a length from a register is the one thing that is new each time, and is compared with
//! the bound that was checked.
//!
//! A span of no bytes becomes a nop with the same flags: a recv of nothing would wait for data to come, which is
//! not what an exact transfer of nothing means.

use super::memory::{PARTIAL, Record};
use super::plan::{Member, NO_WORD};
use super::token::Frame;
use crate::op::nop;
use crate::ring::sqe::{CQE_SKIP_SUCCESS, IO_LINK};

use super::frames::Region;

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

impl Region {
    /// The length of a member as the registers say now.
    ///
    /// An over-long length gives the bound: only a submission of it is an error.
    #[inline]
    pub(super) fn wanted(&self, record: Record, member: u8) -> u32 {
        let (segment, member) = (usize::from(record.header().segment.get()), usize::from(member));
        let member = &self.templates[segment].members[member];
        self.length(record, member).min(u64::from(member.max)) as u32
    }

    #[inline]
    fn length(&self, record: Record, member: &Member) -> u64 {
        let fixed = u64::from(member.sqe.len);
        if member.length == NO_WORD {
            fixed
        } else {
            // SAFETY: a template's words were checked against the layout of this region.
            fixed.saturating_add(unsafe { record.word(usize::from(member.length)) }.get())
        }
    }
}

impl<'f> Frame<'f> {
    /// Submits a whole segment, or gives the frame back.
    ///
    /// # Panics
    /// If there is no such segment.
    #[inline]
    pub fn submit(self, segment: u16) -> Result<(), (Frame<'f>, NotSubmitted)> {
        let template = &self.region.templates[usize::from(segment)];
        self.emit(segment, &template.members, 0, 0, template.completions, 0)
    }

    /// Submits the members of a segment from `from` on, of which the first has already transferred `done`
    /// bytes; only that one if `alone`.
    #[cold]
    pub fn submit_from(
        self,
        segment: u16,
        from: u8,
        done: u32,
        alone: bool,
    ) -> Result<(), (Frame<'f>, NotSubmitted)> {
        let template = &self.region.templates[usize::from(segment)];
        let to = if alone { from + 1 } else { template.last + 1 };
        let members = &template.members[usize::from(from)..usize::from(to)];
        let completions = template.completions.min(members.len() as u16);
        let header = self.record.header();
        header.from.set(from);
        header.to.set(to);
        header.done.set(done);
        self.emit(segment, members, from, done, completions, PARTIAL)
    }

    #[inline(always)]
    fn emit(
        self,
        segment: u16,
        members: &[Member],
        from: u8,
        done: u32,
        completions: u16,
        flags: u8,
    ) -> Result<(), (Frame<'f>, NotSubmitted)> {
        let (region, record) = (self.region, self.record);
        let count = members.len() as u32;
        let Ok(mut reservation) = region.core.driver().ring.reserve(count) else {
            return Err((self, NotSubmitted::Busy));
        };
        let key = record.header().key.get();
        let buffer = region.memory.buffer(self.index);
        let mut want = 0;
        for (i, member) in members.iter().enumerate() {
            let len = region.length(record, member);
            if len > u64::from(member.max) {
                let too_long = NotSubmitted::TooLong { member: from + i as u8, len, max: member.max };
                return Err((self, too_long));
            }
            let before = if i == 0 { done } else { 0 };
            want = len as u32 - before.min(len as u32);
            let place = reservation.place(i as u32).as_ptr();
            // SAFETY: the place is reserved for us alone; the words were checked against the layout; the
            // span lies inside the frame's buffer, because offset + max does and before <= len <= max.
            unsafe {
                *place = member.sqe;
                (*place).fd = record.word(usize::from(member.descriptor)).get() as i32;
                (*place).addr = buffer.add((member.offset + before) as usize).as_ptr() as u64;
                (*place).len = want;
                (*place).user_data = key.with_step(u32::from(from) + i as u32);
                if want == 0 {
                    nothing(place);
                }
            }
        }
        if flags & PARTIAL != 0 {
            let last = reservation.place(count - 1).as_ptr();
            // SAFETY: as above. The last entry of a list must not link to whatever comes next.
            unsafe { (*last).flags &= !(IO_LINK | CQE_SKIP_SUCCESS) };
        }
        // SAFETY: every place was written in full; the spans are inside this frame's buffer, which is not
        // reused, unmapped or lent until `completions` completions have come, counted from here on.
        unsafe { reservation.commit() };
        self.launched(segment, completions, want, flags);
        Ok(())
    }
}

/// Turns a transfer of no bytes into a nop.
///
/// # Safety
/// `place` must be valid for writes.
#[cold]
unsafe fn nothing(place: *mut crate::ring::Sqe) {
    // SAFETY: the caller's promise.
    unsafe {
        let (flags, user_data) = ((*place).flags, (*place).user_data);
        *place = nop::TEMPLATE;
        (*place).flags = flags;
        (*place).user_data = user_data;
    }
}
