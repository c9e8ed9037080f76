//! poll: wait until a descriptor is ready (poll(2), `IORING_OP_POLL_ADD`).

use std::io;

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::descriptor::Descriptor;
use crate::ring::Sqe;
use crate::ring::sqe::Prepared;

/// See [`poll`].
#[derive(Debug)]
pub struct Poll {
    descriptor: Descriptor,
    events: u32,
}

/// Waits for one of `events` (`POLLIN`, `POLLOUT`, ... of poll(2)) and gives those that occurred.
///
/// Dropping the future cancels the wait.
pub fn poll(descriptor: &Descriptor, events: u32) -> Op<Poll> {
    Op::new(Poll { descriptor: descriptor.clone(), events })
}

/// The entry without descriptor.
pub(crate) const fn template(events: u32) -> Sqe {
    // The field is little-endian by halfwords (`poll32_events`).
    let events = if cfg!(target_endian = "big") { events.rotate_left(16) } else { events };
    Sqe { op_flags: events, ..Sqe::new(opcode::PollAdd::CODE) }
}

impl Operation for Poll {
    type Output = io::Result<u32>;
    const FACTS: Facts =
        Facts { name: "poll", since: (5, 1), returns: Returns::Count, severs: Severs::Always };

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(template(self.events), self.descriptor.raw())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count().map(|events| events as u32)
    }
}
