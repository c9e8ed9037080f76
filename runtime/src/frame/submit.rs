//! What the token of a frame may do with the program: run its code, and submit its segments.

use super::code::{Op, Outcome};
use super::emit::{Interrupt, NotSubmitted, Written};
use super::memory::PARTIAL;
use super::token::Frame;
use super::wide::Part;

impl<'f> Frame<'f> {
    /// Runs the program's code from `pc` on. If it comes to a segment, that is submitted.
    ///
    /// # Errors
    /// The frame, and why nothing was submitted.
    ///
    /// # Panics
    /// If there is no such op.
    #[inline]
    pub fn run(self, pc: u32) -> Result<(), (Frame<'f>, Interrupt)> {
        let ops = &self.region.code.ops;
        let mut op = ops.get(pc as usize);
        // What comes behind many calls is a segment, and the way there.
        if let Some(Op::Jump { to }) = op {
            op = ops.get(*to as usize);
        }
        if let Some(Op::Submit(segment)) = op
            && self.submit_short(*segment)
        {
            self.give_up();
            return Ok(());
        }
        self.run_code(pc)
    }

    #[inline(never)]
    fn run_code(self, pc: u32) -> Result<(), (Frame<'f>, Interrupt)> {
        assert!((pc as usize) < self.region.code.ops.len(), "the program has no op {pc}");
        // SAFETY: the op was just checked to be there; this token is the only one of the frame, of which nothing is in
        // flight while it exists, and views borrow it.
        let outcome = unsafe { self.region.execute(self.record, self.region.memory.buffer(self.index), pc) };
        match outcome {
            Outcome::Submit(segment) if self.submit_short(segment) => {
                self.give_up();
                Ok(())
            }
            _ => self.conclude(outcome),
        }
    }

    /// Submits a whole segment, if there is a short way to. The token is to be given up then.
    #[inline]
    fn submit_short(&self, segment: u16) -> bool {
        let (region, record) = (self.region, self.record);
        record.header().flags.get() == 0 && region.submit_met(&region.core.driver().ring, record, segment)
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
        if self.submit_short(segment) {
            self.give_up();
            return Ok(());
        }
        let Written { want, last } = match self.emit(&Part::whole(template)) {
            Ok(written) => written,
            Err(refused) => return Err((self, refused)),
        };
        if template.is_awaited_as_one() && header.flags.get() == 0 {
            header.expect.set(last);
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
        header.done.set(done.min(region.wanted(record, segment, from)));
        header.raise(PARTIAL);
        let reports = template.reports.clamp(from, to - 1);
        region.await_counted(record, segment, u16::from(to - reports));
        self.give_up();
        Ok(())
    }

    /// Writes and publishes the entries of a part of a segment.
    #[inline(never)]
    fn emit(&self, part: &Part<'_>) -> Result<Written, NotSubmitted> {
        let (region, record, index) = (self.region, self.record, self.index);
        let count = u32::from(part.members.end - part.members.start);
        let reservation = region.core.driver().ring.reserve(count).map_err(|_| NotSubmitted::Busy)?;
        // SAFETY: the places are reserved for us alone, one for each member.
        let written = unsafe { region.write_part(record, index, part, reservation.first()) };
        let written = written.ok_or_else(|| region.too_long(record, index, part))?;
        // SAFETY: every place was written in full; the spans are inside this frame's buffer, which is not
        // reused, unmapped or lent before the completions have come that the caller awaits from here on.
        unsafe { reservation.commit() };
        Ok(written)
    }
}
