//! What frames do with pooled buffers: fill, give back, wait for one.

use super::{NOT, Pool, SELECTS, TOLD, Waiting};
use crate::frame::memory::{PARKED, Record};
use crate::frame::region::Region;
use crate::frame::template::{Address, Member, Template, Wide};
use crate::frame::token::Frame;
use crate::frame::verb::Moves;
use crate::op::Completion;

impl Region {
    /// Word 0 and word 5 of the entry of a member that fills a pooled buffer from its front and has brought nothing yet,
    /// are its template's. Those of one that is taken up again go on in the buffer that the frame holds.
    pub(in crate::frame) fn unselected(member: &Member, wide: &Wide) -> (u64, u64) {
        (member.head & !SELECTS, wide.index & !0xffff)
    }

    /// The address of `span` of a pooled buffer, of which `len` bytes are to be transferred. `None` if the frame does not
    /// hold as much.
    pub(in crate::frame) fn pooled_address(
        &self,
        index: usize,
        wide: &Wide,
        member: &Member,
        span: u64,
        len: u64,
    ) -> Option<u64> {
        let (Address::Pooled(number) | Address::Select(number) | Address::Make(number)) = wide.address else {
            return None;
        };
        if member.verb.moves() == Moves::In && self.pooled.is_owned(number) {
            self.pooled.reserve(index, number, span + len);
        }
        let (start, filled) = self.pooled.held(index, number);
        // What comes in may go beyond what is there, without a gap; that it fits was compared with the room.
        let end = if member.verb.moves() == Moves::In { span } else { span + len };
        (end <= u64::from(filled)).then(|| start.as_ptr() as u64 + span)
    }

    /// What a completion means for the pooled buffer that its member fills, if it fills one: the frame has it from here
    /// on. Gives the result, which is an error if the kernel's word about the buffer cannot be true.
    pub(in crate::frame) fn arrived(
        &self,
        record: Record,
        index: usize,
        template: &Template,
        step: u8,
        before: u32,
        completion: &Completion,
    ) -> i32 {
        let result = completion.result();
        let (member, wide) = (&template.members[usize::from(step)], &template.wide[usize::from(step)]);
        let count = result.max(0) as u32;
        let fits = match wide.address {
            Address::Select(number) if before == 0 => {
                let fits = self.pooled.fill(index, number, completion.buffer(), count);
                self.tell_next(number);
                fits
            }
            Address::Select(number) | Address::Pooled(number) | Address::Make(number)
                if member.verb.moves() == Moves::In && count > 0 =>
            {
                // SAFETY: a template's words were checked against the layout of this region.
                let start = unsafe { record.word(usize::from(wide.start)) }.get();
                let end = member.offset.saturating_add(start) + u64::from(before) + u64::from(count);
                self.pooled.extend(index, number, end)
            }
            _ => true,
        };
        if fits { result } else { -libc::EIO }
    }

    /// A frame gives back those of its pooled buffers that have a bit in `which`. No part of them is lent, and nothing of
    /// the frame that works on them is in flight.
    pub(in crate::frame) fn give_back(&self, index: usize, which: u64) {
        let each = self.pooled.each() as u16;
        let mut left = which;
        while left != 0 {
            let number = left.trailing_zeros() as u16;
            if number >= each {
                break;
            }
            left &= left - 1;
            if self.pooled.let_go(index, number) {
                self.tell_next(number);
            }
        }
    }

    /// A frame ends: it gives back everything, and waits for nothing.
    pub(in crate::frame) fn give_back_all(&self, index: usize) {
        if self.pooled.each() > 0 {
            self.give_back(index, u64::MAX);
            self.stop_waiting(index);
            // It may be that which was told, and the buffer is still there.
            (0..self.pooled.each() as u16).for_each(|number| self.tell_next(number));
        }
    }

    /// Has the frame go on that has waited longest for a buffer, if there is one.
    #[inline]
    pub(in crate::frame) fn tell_next(&self, number: u16) {
        let Some(pool) = self.pooled.pool(number) else { return };
        if !pool.waiting.borrow().is_empty() && pool.shared.has_ready() {
            self.tell(pool);
        }
    }

    #[inline(never)]
    fn tell(&self, pool: &Pool) {
        while let Some(Waiting { frame, number, ticket }) = { pool.waiting.borrow_mut().pop_front() } {
            let waits = self.pooled.at(frame, number, |place| {
                let waits = place.ticket.get() == ticket;
                if waits {
                    place.ticket.set(TOLD);
                }
                waits
            });
            if waits {
                return self.core.driver().make_ready(self.memory.record(frame).header().key.get());
            }
        }
    }

    /// The frame waits no longer. True if it was told that there is a buffer.
    pub(in crate::frame) fn stop_waiting(&self, index: usize) -> bool {
        let stop = |number| self.pooled.at(index, number, |place| place.ticket.replace(NOT) == TOLD);
        // All of them, whatever the first says.
        (0..self.pooled.each() as u16).fold(false, |told, number| stop(number) | told)
    }

    /// A frame that was told that there is a buffer has had its turn. If it did something else with it, the next is told.
    pub(in crate::frame) fn pass_on(&self) {
        (0..self.pooled.each() as u16).for_each(|number| self.tell_next(number));
    }
}

impl Frame<'_> {
    /// The frame waits for a pooled buffer to be given back; for what was refused with ENOBUFS. Then, or when it is
    /// cancelled, [`Resume::unparked`](crate::frame::Resume::unparked).
    ///
    /// # Errors
    /// The frame, if no buffer is out that could come back: there is no memory for any, or it comes from no pool.
    ///
    /// # Panics
    /// If the program has no such pooled buffer.
    pub fn wait_for_pooled(self, number: u16) -> Result<(), Self> {
        let Some(pool) = self.region.pooled.pool(number) else { return Err(self) };
        // One has come back in the meantime, or the pool has grown; or there is no waiting for it any more.
        if self.is_cancelled() || self.is_interrupted() || pool.shared.has_ready() {
            self.park();
            return Ok(());
        }
        if !pool.shared.has_lent() {
            return Err(self);
        }
        let ticket = pool.tickets.get() + 1;
        pool.tickets.set(ticket);
        self.region.pooled.at(self.index, number, |place| place.ticket.set(ticket));
        pool.waiting.borrow_mut().push_back(Waiting { frame: self.index, number, ticket });
        self.record.header().raise(PARKED);
        self.give_up();
        Ok(())
    }
}
