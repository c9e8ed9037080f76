//! The token for a strand that has nothing in flight.

use super::TRUNK;
use crate::driver::Key;
use crate::frame::code::{Outcome, Trap};
use crate::frame::emit::{Interrupt, NotSubmitted};
use crate::frame::memory::{CANCELLING, FREE, Header, INTERRUPTED, PARKED, PARTIAL, Record};
use crate::frame::region::Region;
use crate::frame::template::Template;
use crate::frame::token::{Frame, Registers};
use crate::frame::wide::Part;

/// The right to submit for one strand of a frame, and to run its code. There is one a strand at most, and only while
/// nothing of it is in flight. Dropping it ends the strand, and the frame with the last of them.
pub struct Strand<'f> {
    region: &'f Region,
    record: Record,
    index: usize,
    number: u16,
}

impl Region {
    /// The header of a strand of an accessible frame.
    pub(super) fn strand<'a>(&self, record: Record, number: u16) -> &'a Header {
        assert!(number < self.branches.each);
        // SAFETY: the memory was reserved for this layout and so many strands a frame, which the number was just compared
        // with.
        unsafe { record.strand(self.layout.words(), number.into()) }
    }

    /// Cancels a strand that has not ended.
    pub(super) fn cancel_strand(&self, strand: &Header) {
        strand.raise(CANCELLING);
        if strand.in_flight() {
            self.ask_for(strand);
        } else if strand.has(PARKED) {
            // It may wait for a call that does not come.
            self.core.driver().make_ready(strand.key.get());
        }
    }
}

impl<'f> Frame<'f> {
    /// Goes several ways at once: a strand for each branch of the fork, which is [unparked](super::ResumeStrands) in a later
    /// turn. When the last of them has ended, that gives the frame back ([`Strand::end`]).
    ///
    /// If the frame is being cancelled or was interrupted, the strands are cancelled.
    ///
    /// # Panics
    /// If there is no such fork.
    pub fn fork(self, fork: u16) {
        let region = self.region;
        let branches = region.branches.forks[usize::from(fork)].clone();
        let header = self.record.header();
        header.strands.set(branches.len() as u16);
        let cancelling = if header.has(CANCELLING | INTERRUPTED) { CANCELLING } else { 0 };
        for (number, branch) in (0..).zip(branches) {
            let strand = region.strand(self.record, number);
            strand.key.set(strand.key.get().next_use());
            strand.flags.set(PARKED | cancelling);
            strand.next.set(branch.into());
            strand.expect.set(0);
            strand.counted.set(0);
            strand.done.set(0);
            region.core.driver().make_ready(strand.key.get());
        }
        self.give_up();
    }
}

impl<'f> Strand<'f> {
    /// The caller has just found out that nothing of the strand is in flight, and that it is not parked.
    pub(super) fn new(region: &'f Region, record: Record, index: usize, number: u16) -> Self {
        Strand { region, record, index, number }
    }

    fn header(&self) -> &'f Header {
        self.region.strand(self.record, self.number)
    }

    /// Which of the fork's branches it runs.
    pub fn number(&self) -> u16 {
        self.number
    }

    /// The name of this use of the strand: for an [alarm](crate::Handle::start_alarm).
    pub fn key(&self) -> Key {
        self.header().key.get()
    }

    /// The name of this use of its frame.
    pub fn frame(&self) -> Key {
        self.record.header().key.get()
    }

    /// Whether the strand is being cancelled: it must end. What it submits all the same is cancelled in turn.
    pub fn is_cancelled(&self) -> bool {
        self.header().has(CANCELLING)
    }

    /// Whether its frame is: all strands are, then.
    pub fn is_frame_cancelled(&self) -> bool {
        self.record.header().has(CANCELLING)
    }

    /// Whether a deadline of its frame has passed: all strands are cancelled, then.
    pub fn is_frame_interrupted(&self) -> bool {
        self.record.header().has(INTERRUPTED)
    }

    /// The frame's registers.
    pub fn registers(&self) -> Registers<'_> {
        Registers::new(&self.region.layout, self.record)
    }

    /// Cancels another strand of the frame: what it has in flight is cancelled, and it is resumed with a
    /// [`Stop`](crate::frame::Stop) that says so. Nothing happens if it has ended.
    pub fn cancel(&self, other: u16) {
        self.other(other).into_iter().for_each(|strand| self.region.cancel_strand(strand));
    }

    /// Lets another strand go on that [waits](Strand::wait), in a later turn.
    pub fn wake(&self, other: u16) {
        if let Some(strand) = self.other(other).filter(|strand| strand.has(PARKED)) {
            self.region.core.driver().make_ready(strand.key.get());
        }
    }

    fn other(&self, number: u16) -> Option<&'f Header> {
        if number == self.number || number >= self.region.branches.each {
            return None;
        }
        Some(self.region.strand(self.record, number)).filter(|strand| !strand.has(FREE))
    }

    /// Whether the op or segment with this number in the table is one of its branch's.
    fn has(&self, table: &[u16], at: usize) -> bool {
        let branch = self.header().next.get();
        branch != TRUNK.into() && table.get(at).copied().map(u32::from) == Some(branch)
    }

    /// Runs the program's code from `pc` on. If it comes to a segment, that is submitted.
    ///
    /// # Errors
    /// The strand, and why nothing was submitted.
    ///
    /// # Panics
    /// If the strand's branch has no such op.
    pub fn run(self, pc: u32) -> Result<(), (Strand<'f>, Interrupt)> {
        assert!(self.has(&self.region.branches.ops, pc as usize), "op {pc} is not of this branch");
        let buffer = self.region.memory.buffer(self.index);
        // SAFETY: the op was just checked to be there, and of this branch, which it does not lead out of. This token is
        // the only one of the strand, of which nothing is in flight while it exists; there are no views while a frame
        // has strands; and other strands have nothing in flight that touches bytes which the ops of this branch change,
        // or changes bytes which they touch: that was checked when the frames were made.
        let outcome = unsafe { self.region.execute(self.record, buffer, pc) };
        self.conclude(outcome)
    }

    /// Does what code has come to.
    pub(super) fn conclude(self, outcome: Outcome) -> Result<(), (Strand<'f>, Interrupt)> {
        let interrupt = match outcome {
            Outcome::Submit(segment) => {
                return self
                    .submit(segment)
                    .map_err(|(strand, reason)| (strand, Interrupt::NotSubmitted { segment, reason }));
            }
            Outcome::Left(number) => Interrupt::Left(number),
            Outcome::Trapped(pc) => Interrupt::Trapped { pc, trap: self.trap() },
            Outcome::Spent(pc) => Interrupt::Spent { pc },
        };
        Err((self, interrupt))
    }

    fn trap(&self) -> Trap {
        self.region.trap.get()
    }

    /// Submits a whole segment, or gives the strand back.
    ///
    /// # Panics
    /// If the strand's branch has no such segment.
    pub fn submit(self, segment: u16) -> Result<(), (Strand<'f>, NotSubmitted)> {
        let template = self.template(segment);
        if let Err(refused) = self.emit(&Part::whole(template)) {
            return Err((self, refused));
        }
        self.await_counted(segment, template.completions);
        Ok(())
    }

    /// Submits the members of a segment from `from` on, of which the first has already transferred `done` bytes;
    /// only that one if `alone`.
    ///
    /// # Panics
    /// If the strand's branch has no such segment, or that no such member.
    pub fn submit_from(
        self,
        segment: u16,
        from: u8,
        done: u32,
        alone: bool,
    ) -> Result<(), (Strand<'f>, NotSubmitted)> {
        let template = self.template(segment);
        assert!(from <= template.last, "segment {segment} has no member {from}");
        let to = if alone { from + 1 } else { template.last + 1 };
        if let Err(refused) = self.emit(&Part { template, members: from..to, done }) {
            return Err((self, refused));
        }
        let header = self.header();
        header.from.set(from);
        header.to.set(to);
        header.done.set(done.min(self.region.wanted(self.record, segment, from)));
        header.raise(PARTIAL);
        self.await_counted(segment, template.completions.min(u16::from(to - from)));
        Ok(())
    }

    fn template(&self, segment: u16) -> &'f Template {
        let has = self.has(&self.region.branches.segments, segment.into());
        assert!(has, "segment {segment} is not of this branch");
        &self.region.templates[usize::from(segment)]
    }

    /// Writes and publishes the entries of a part of a segment.
    fn emit(&self, part: &Part<'_>) -> Result<(), NotSubmitted> {
        let (region, record, index) = (self.region, self.record, self.index);
        let count = u32::from(part.members.end - part.members.start);
        let reservation = region.core.driver().ring.reserve(count).map_err(|_| NotSubmitted::Busy)?;
        // SAFETY: the places are reserved for us alone, one for each member.
        let written = unsafe { region.write_part_for(self.key(), record, index, part, reservation.first()) };
        if written.is_none() {
            return Err(region.too_long(record, index, part));
        }
        // SAFETY: every place was written in full. The spans are inside the buffer of this strand's frame, which is not
        // reused, unmapped or lent before its last strand has ended, which this one does not before the completions have
        // come that the caller awaits from here on; and the outboxes are those of no other strand.
        unsafe { reservation.commit() };
        Ok(())
    }

    fn await_counted(self, segment: u16, completions: u16) {
        let header = self.header();
        header.segment.set(segment);
        header.counted.set(completions);
        if header.has(CANCELLING) {
            // Cancelled between two segments: what was just submitted is cancelled in turn.
            self.region.ask_for(header);
        }
        self.give_up();
    }

    /// The strand goes on in a later turn.
    pub fn park(self) {
        self.header().raise(PARKED);
        self.region.core.driver().make_ready(self.key());
        self.give_up();
    }

    /// The strand waits for a call: an [alarm](crate::Handle::start_alarm)'s, [`wake`](Strand::wake), or the one that
    /// cancels it. If it was cancelled already, that is in a later turn.
    pub fn wait(self) {
        if self.is_cancelled() {
            return self.park();
        }
        self.header().raise(PARKED);
        self.give_up();
    }

    /// The strand is over. If it was the last of its frame's, that goes on.
    pub fn end(self) -> Option<Frame<'f>> {
        let last = self.over();
        self.give_up();
        last
    }

    fn over(&self) -> Option<Frame<'f>> {
        self.header().flags.set(FREE);
        let header = self.record.header();
        header.strands.set(header.strands.get() - 1);
        // Nothing of the frame is in flight: each of its strands has ended, which a strand with anything in flight cannot.
        (header.strands.get() == 0).then(|| Frame::new(self.region, self.record, self.index))
    }

    /// The strand's next completion, or its turn in the ready queue, brings the token back.
    fn give_up(self) {
        std::mem::forget(self);
    }
}

impl Drop for Strand<'_> {
    fn drop(&mut self) {
        drop(self.over());
    }
}

impl std::fmt::Debug for Strand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Strand({:?})", self.key())
    }
}
