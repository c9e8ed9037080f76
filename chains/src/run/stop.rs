//! What to do with a segment that did not simply succeed.
//!
//! ```text
//! cancelled            -> the frame ends, and says how many bytes were done
//! its deadline struck  -> see `deadline.rs`
//! one member succeeded -> (one by one) the next member
//! ECANCELED, unasked   -> a member could not even be prepared, and nothing ran: one by one, to learn which (its own error,
//!                         if the cleanup behind it has run)
//! ENOBUFS              -> bytes for a pooled buffer, and none left: again when one has come back
//! end of the stream    -> before the first byte what the step says; later Short
//! a short transfer     -> taken up where it stopped, the rest of the segment behind it
//! any other error      -> to the step's handler, or the frame ends with it
//! ```

use chainring_runtime::frame::{Frame, Stop};

use super::place::Place;
use super::runner::{Runner, count};
use crate::compile::flow::{self, Pc};
use crate::error::ErrorKind;
use crate::tree::OnEnd;

/// The kernel's own "restart the system call", which a cancelled operation may report.
pub(super) const ERESTARTSYS: i32 = 512;

/// What is to be done with a frame, or a strand of it.
pub(super) enum Verdict {
    /// It fails at a line.
    Fail(Pc, ErrorKind),
    /// It goes on with a member.
    TakeUp { from: u8, done: u32, alone: bool },
    /// It waits for a pooled buffer, and goes on with a member then.
    AwaitPooled { number: u16, member: u8, done: u32 },
    /// It ends with success.
    Finish,
}

impl<S: 'static> Runner<S> {
    #[cold]
    pub(super) fn stop(&self, frame: Frame<'_>, stop: Stop) {
        let frame = if stop.interrupted && !stop.cancelling {
            let Some(frame) = self.late(frame, &stop) else { return };
            frame
        } else {
            frame
        };
        match self.judge(&stop) {
            Verdict::Fail(pc, kind) => self.fail(frame, pc, kind),
            Verdict::TakeUp { from, done, alone } => self.take_up(frame, stop.segment, from, done, alone),
            Verdict::AwaitPooled { number, member: from, done } => {
                let place = Place::Member { segment: stop.segment, from, done, alone: false };
                self.wait_for_pooled(frame, number, place);
            }
            Verdict::Finish => self.end(frame, Ok(())),
        }
    }

    pub(super) fn judge(&self, stop: &Stop) -> Verdict {
        let Stop { segment, member, done, want, .. } = *stop;
        let pc = self.segment(segment).members[usize::from(member)];
        if stop.cancelling {
            return Verdict::Fail(pc, ErrorKind::Cancelled { done });
        }
        if stop.succeeded {
            return Verdict::TakeUp { from: member + 1, done: 0, alone: true };
        }
        let io = flow::io(&self.program.0.flow, pc).expect("members are operations");
        match stop.result {
            error if error < 0 => {
                let errno = if -error == ERESTARTSYS { libc::ECANCELED } else { error.wrapping_neg() };
                if errno == libc::ECANCELED && !stop.alone && !stop.cleaned_up {
                    count(&self.counted.one_by_one);
                    return Verdict::TakeUp { from: member, done, alone: true };
                }
                if let Some(number) = io.selects().filter(|_| errno == libc::ENOBUFS) {
                    return Verdict::AwaitPooled { number, member, done };
                }
                Verdict::Fail(pc, ErrorKind::Errno(errno))
            }
            0 if done == 0 && io.on_end == OnEnd::Finish => Verdict::Finish,
            0 => Verdict::Fail(pc, ErrorKind::Short { done, want }),
            _ => {
                count(&self.counted.short);
                Verdict::TakeUp { from: member, done, alone: false }
            }
        }
    }

    /// Bytes have come for a pooled buffer, and there was none: goes on at `place` when one has come back.
    fn wait_for_pooled(&self, frame: Frame<'_>, number: u16, place: Place) {
        count(&self.counted.parked);
        self.keep(&frame, place);
        if let Err(frame) = frame.wait_for_pooled(number) {
            self.fail(frame, self.line_of(place), ErrorKind::Errno(libc::ENOBUFS));
        }
    }

    /// Submits a segment from one of its members on.
    pub(super) fn take_up(&self, frame: Frame<'_>, segment: u16, from: u8, done: u32, alone: bool) {
        if let Err((frame, refused)) = frame.submit_from(segment, from, done, alone) {
            self.refused(frame, segment, Place::Member { segment, from, done, alone }, refused);
        }
    }
}
