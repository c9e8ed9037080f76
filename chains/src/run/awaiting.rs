//! Frames that wait for a future: `call_async`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use chainring_runtime::frame::Frame;

use super::place::Place;
use super::runner::{Runner, panicked};
use crate::compile::flow::{Inst, Pc};
use crate::error::ErrorKind;
use crate::future::Lost;
use crate::native::quietly;

impl<S: 'static> Runner<S> {
    /// Makes a future and starts it. Gives the frame back if it goes on, and with which op: the one that waits.
    pub(super) fn fetch<'f>(
        &self,
        mut frame: Frame<'f>,
        line: Pc,
        future: usize,
        next: u32,
    ) -> Option<(Frame<'f>, u32)> {
        let future = &self.program.0.futures[future];
        let index = frame.key().index();
        let made = self.sessions.with(index, |entry| {
            let fetch = || future.fetch(&mut entry.session, &mut frame);
            catch_unwind(AssertUnwindSafe(fetch)).map(|made| made.map(|work| entry.pending = Some(work)))
        });
        let kind = match made {
            Ok(Ok(())) => return Some((frame, next)),
            Ok(Err(outside)) => ErrorKind::Bounds { len: outside.len, max: outside.max },
            Err(panic) => panicked(panic),
        };
        self.route(frame, line, kind)
    }

    /// Stores the output of the future, if it is there, and has the frame wait if it is not.
    pub(super) fn store<'f>(&self, mut frame: Frame<'f>, line: Pc, next: u32) -> Option<(Frame<'f>, u32)> {
        if !self.has_output(&frame, line) {
            self.keep(&frame, Place::Op(next - 1));
            frame.wait();
            return None;
        }
        let stored = self.sessions.with(frame.key().index(), |entry| {
            let work = entry.pending.take().expect("just looked at");
            let stored = catch_unwind(AssertUnwindSafe(|| work.store(&mut entry.session, &mut frame)));
            quietly(|| drop(work));
            stored
        });
        let flow = match stored {
            Ok(Ok(flow)) => Ok(flow),
            Ok(Err(Lost::OutOfBounds(outside))) => {
                Err(ErrorKind::Bounds { len: outside.len, max: outside.max })
            }
            Ok(Err(Lost::Panicked(panic))) | Err(panic) => Err(panicked(panic)),
            Ok(Err(Lost::Cancelled)) => Err(ErrorKind::Cancelled { done: 0 }),
        };
        let (frame, next) = self.called(frame, line, next, flow)?;
        // The output has come before the deadline struck, or after it: what follows is late.
        match self.check(frame, self.line(next), 0) {
            Ok(frame) => Some((frame, next)),
            Err(led) => led,
        }
    }

    /// Whether the frame, which goes on at this line, waits for a future that is done.
    pub(super) fn has_output(&self, frame: &Frame<'_>, line: Pc) -> bool {
        self.waits_for_a_future(line)
            && self
                .sessions
                .with(frame.key().index(), |entry| entry.pending.as_ref().is_some_and(|work| work.is_done()))
    }

    fn waits_for_a_future(&self, line: Pc) -> bool {
        matches!(self.program.0.flow.lines[line].inst, Inst::Store(..))
    }

    /// The frame does not go on at this line: drops the future that it waits for there.
    pub(super) fn abandon(&self, frame: &Frame<'_>, line: Pc) {
        self.give_up(frame, line);
        if self.waits_for_a_future(line) {
            let work = self.sessions.with(frame.key().index(), |entry| entry.pending.take());
            work.into_iter().for_each(|work| work.abandon());
        }
    }
}
