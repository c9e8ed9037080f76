//! Frames whose deadline passes.
//!
//! A deadline ends nothing by itself: the frame goes on, and its runner decides where. So an interrupted frame is one of
//! which what is in flight is cancelled (asked for again until it has completed, as when a frame is cancelled), and whose
//! next completion takes the general path, to [`Resume::stopped`](super::Resume::stopped) with a
//! [`Stop`](super::Stop) that says so, also if it is a success that came first.
//!
//! ```text
//! in flight   -> cancelled; its last completion tells the runner
//! parked      -> its turn comes, and the runner asks `is_interrupted`
//! strands     -> all are cancelled, and the runner asks when the last of them has given the frame back
//! neither     -> whoever has its token can ask; what it submits without having taken the interrupt is cancelled
//! ```
//!
//! What the frame submits when the interrupt is taken is not cancelled: the standing request is over with the completions of what was in
//! flight when the deadline passed, and requests on their way to the kernel are ahead of it in the queue.

use super::memory::{INTERRUPTED, PARKED, Record};
use super::region::Region;
use super::token::Frame;
use crate::driver::Key;

impl Region {
    /// A deadline of the frame has passed.
    pub(super) fn interrupt(&self, record: Record) {
        let header = record.header();
        header.raise(INTERRUPTED);
        if header.strands.get() > 0 {
            self.cancel_strands(record);
        } else if header.in_flight() {
            // Still one completion with the length that it was submitted with, but none that the hot path knows.
            if header.expect.get() != 0 {
                header.expect.set(Key::NOBODY);
            }
            self.ask(record);
        } else if header.has(PARKED) {
            // It may wait for a call that comes much later.
            self.core.driver().make_ready(header.key.get());
        }
    }
}

impl Frame<'_> {
    /// Whether a deadline has passed since [`take_interrupt`](Frame::take_interrupt) was called last.
    #[inline]
    pub fn is_interrupted(&self) -> bool {
        self.record.header().has(INTERRUPTED)
    }

    /// The same, and forgets it.
    pub fn take_interrupt(&self) -> bool {
        let (header, was) = (self.record.header(), self.is_interrupted());
        header.flags.set(header.flags.get() & !INTERRUPTED);
        was
    }
}
