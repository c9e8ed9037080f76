//! Calls: of a program's runner, by frames whose code has left for it; and to frames that wait.

use super::code::Outcome;
use super::emit::{Handover, Interrupt, Met};
use super::frames::{Frames, Resume};
use super::memory::Record;
use super::template::{NO_CODE, NONE};
use super::token::Frame;
use crate::driver::Key;
use crate::exec::Handle;

impl<R: Resume> Frames<R> {
    /// Does what [`Region::advance`](super::Region::advance) could not do by itself for the frame that it has left. And then goes
    /// on with what completions come behind it, for as long as each is the success of a whole segment: where one calls its
    /// runner, most others do, and need not leave for that.
    pub(super) fn take_over_all(&self, until: u32) {
        let region = &self.region;
        let ring = &region.core.driver().ring;
        let Some(Handover { index, outcome }) = region.handover.take() else { return };
        self.take_on(region.memory.record(index as usize), outcome);
        // What was just run is foreign code, which may have used the queues.
        while let Some(cqe) = ring.queues().peek(until) {
            #[cfg(feature = "injector")]
            if !ring.injector.is_idle() {
                return;
            }
            let Some(Met { record, template, count, .. }) = region.meet(cqe) else { return };
            if (template.successor, template.code) == (NONE, NO_CODE) {
                return;
            }
            ring.queues().consume();
            region.advanced.add(1);
            record.header().expect.set(0);
            // SAFETY: a template's words were checked against the layout of this region.
            unsafe { record.word(usize::from(template.into)) }.set(u64::from(count));
            let outcome = region.behind(record, template);
            match outcome {
                Outcome::Submit(next) if region.submit_met(ring, record, next) => {}
                _ => self.take_on(record, outcome),
            }
        }
    }

    /// Does what code has come to, for a frame of which nothing is in flight.
    #[inline]
    fn take_on(&self, record: Record, outcome: Outcome) {
        let frame = Frame::new(&self.region, record, record.header().key.get().index() as usize);
        match outcome {
            Outcome::Left(number) => self.runner.interrupted(frame, Interrupt::Left(number)),
            _ => self.go_on(frame.conclude(outcome)),
        }
    }
}

impl Handle {
    /// Calls a frame of this core: if it [waits](super::Frame::wait) it goes on in the next turn, by
    /// [`Resume::unparked`](super::Resume::unparked). The queue of calls is in order.
    ///
    /// A frame that has ended, or does not wait by the time of its turn, does not hear of it; one that has begun to wait for
    /// something else does. So whoever waits looks whether what it waits for is there, and waits again if it is not.
    pub fn call_frame(&self, frame: Key) {
        self.driver().make_ready(frame);
    }
}
