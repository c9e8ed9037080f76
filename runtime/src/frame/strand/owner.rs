//! From a completion of a strand to what the strand does next.

use std::rc::Rc;

use super::{ForkError, NOBODY, ResumeStrands, Strand};
use crate::driver::{Key, Owner};
use crate::frame::code::Outcome;
use crate::frame::emit::Interrupt;
use crate::frame::frames::{Frames, FramesError};
use crate::frame::layout::Layout;
use crate::frame::memory::{ASKED, FREE, Header, PARKED, Record};
use crate::frame::plan::Plans;
use crate::frame::region::Region;
use crate::frame::template::{NO_CODE, NONE};
use crate::op::{Completion, cancel};

/// The owner of the strands of these frames.
struct Strands<R>(Rc<Frames<R>>);

impl<R: ResumeStrands> Frames<R> {
    /// As [`new`](Frames::new), for plans that have forks.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn with_strands(
        layout: Layout,
        plans: impl Into<Plans>,
        limit: u32,
        runner: R,
    ) -> Result<Rc<Self>, FramesError> {
        let frames = Frames::make(layout, plans.into(), limit, runner)?;
        let branches = &frames.region.branches;
        if branches.each == 0 {
            return Ok(frames);
        }
        let added = frames.region.core.driver().add_owner(|owner, generation| {
            branches.owner.set(owner);
            branches.generation.set(generation);
            Rc::new(Strands(frames.clone()))
        });
        if added.is_err() {
            frames.retire();
            return Err(FramesError::TooMany);
        }
        Ok(frames)
    }

    /// A strand's segment has succeeded: on to what follows it.
    fn follow_strand(&self, strand: Strand<'_>, segment: u16) {
        let template = &self.region.templates[usize::from(segment)];
        let went = match (template.successor, template.code) {
            (NONE, NO_CODE) => unreachable!("a branch's segments say what follows them"),
            (NONE, code) => strand.run(code),
            (then, _) => strand.conclude(Outcome::Submit(then)),
        };
        self.strand_goes_on(went);
    }

    fn strand_goes_on(&self, went: Result<(), (Strand<'_>, Interrupt)>) {
        if let Err((strand, interrupt)) = went {
            self.runner.strand_interrupted(strand, interrupt);
        }
    }
}

impl Region {
    /// The strand that `key` names, if it is still the same use of it: its frame's record and index, and its number.
    fn find_strand(&self, key: Key) -> Option<(Record, usize, u16, &Header)> {
        let each = u32::from(self.branches.each);
        let (index, number) = ((key.index() / each) as usize, (key.index() % each) as u16);
        if index >= self.memory.accessible() {
            return None;
        }
        let record = self.memory.record(index);
        let strand = self.strand(record, number);
        let is_this = strand.key.get() == key && !strand.has(FREE) && record.header().strands.get() > 0;
        is_this.then_some((record, index, number, strand))
    }
}

impl<R: ResumeStrands> Owner for Strands<R> {
    fn completed(&self, key: Key, step: u32, completion: Completion) {
        let Strands(frames) = self;
        let region = &frames.region;
        let found = region.find_strand(key).filter(|(.., header)| header.in_flight());
        let Some((record, index, number, header)) = found else {
            return region.core.driver().ring.counters.strays.add(1);
        };
        let Some(account) = region.account(record, header, step, &completion) else { return };
        let strand = Strand::new(region, record, index, number);
        if account.whole {
            return frames.follow_strand(strand, account.segment);
        }
        frames.runner.strand_stopped(strand, region.stop(record, &account));
    }

    fn ready(&self, key: Key) {
        let region = &self.0.region;
        let Some((record, index, number, header)) = region.find_strand(key) else { return };
        if header.has(PARKED) {
            header.flags.set(header.flags.get() & !PARKED);
            self.0.runner.strand_unparked(Strand::new(region, record, index, number));
        }
    }

    fn is_cancelled(&self, key: Key) -> bool {
        self.0.region.find_strand(key).is_some_and(|(.., header)| header.in_flight() && header.has(ASKED))
    }

    /// Deadlines are those of frames.
    fn interrupt(&self, _: Key) {}

    fn ask_cancel(&self, key: Key) -> bool {
        let region = &self.0.region;
        let Some((.., header)) = region.find_strand(key) else { return true };
        let template = &region.templates[usize::from(header.segment.get())];
        let mut members = 0..=u32::from(template.last);
        members.all(|step| region.core.driver().push(cancel::by_user_data(key.with_step(step))))
    }

    /// Strands end with their frames, whose owner is asked the same.
    fn shut_down(&self) {}

    /// The frames' owner answers for them.
    fn is_idle(&self) -> bool {
        true
    }

    fn region(&self) -> Option<&Region> {
        None
    }

    fn take_over(&self, _: u32) {
        unreachable!("no region leaves anything to this owner");
    }

    fn last_generation(&self) -> u32 {
        let region = &self.0.region;
        let frames = 0..region.memory.accessible();
        let strands = frames.flat_map(|index| {
            let record = region.memory.record(index);
            (0..region.branches.each).map(move |number| region.strand(record, number))
        });
        let generations = strands.map(|strand| strand.key.get().generation());
        generations.max().unwrap_or(region.branches.generation.get())
    }
}

/// Refuses forks that nobody would resume.
pub(in crate::frame) fn none(plans: &Plans) -> Result<(), FramesError> {
    if plans.forks.is_empty() { Ok(()) } else { Err(FramesError::Fork(ForkError::NoStrands)) }
}

const _: () = assert!(NOBODY > crate::driver::key::MAX_OWNERS);
