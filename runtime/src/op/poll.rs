//! poll: wait until a descriptor is ready (poll(2), `IORING_OP_POLL_ADD`).

use std::io;

use io_uring::opcode;

use super::multishot::Repeats;
use super::{Completion, Facts, Multishot, Op, Operation, Returns, Severs};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::Prepared;
use crate::ring::Sqe;

/// See [`poll`].
#[derive(Debug)]
pub struct Poll<D = Descriptor> {
    descriptor: D,
    events: u32,
}

/// Waits for one of `events` (`POLLIN`, `POLLOUT`, ... of poll(2)) and gives those that occurred.
///
/// The kernel also tells what nobody has asked for: POLLERR and POLLHUP as poll(2) does, and unlike it POLLRDHUP, when the peer
/// sends no more (`IO_POLL_UNMASK` in io_uring/poll.c). So a wait for POLLOUT alone may end before there is room.
///
/// Dropping the future cancels the wait.
pub fn poll<D: AnyDescriptor>(descriptor: &D, events: u32) -> Op<Poll<D>> {
    Op::new(Poll { descriptor: descriptor.clone(), events })
}

/// `IORING_POLL_ADD_MULTI`.
const MULTI: u32 = 1 << 0;

/// See [`poll_multi`].
#[derive(Debug)]
pub struct PollMulti<D = Descriptor>(Poll<D>);

/// Tells again and again which of `events` occurred, with one submission. It is told when something changes, as
/// with an edge-triggered epoll: read until there is nothing more. The stream ends after an error, or when the
/// kernel ends the multishot; start another to go on.
///
/// Dropping the stream cancels the wait.
pub fn poll_multi<D: AnyDescriptor>(descriptor: &D, events: u32) -> Multishot<PollMulti<D>> {
    Multishot::new(PollMulti(Poll { descriptor: descriptor.clone(), events }))
}

/// The entry without descriptor.
pub(crate) const fn template(events: u32) -> Sqe {
    // The field is little-endian by halfwords (`poll32_events`).
    let events = if cfg!(target_endian = "big") { events.rotate_left(16) } else { events };
    Sqe { op_flags: events, ..Sqe::new(opcode::PollAdd::CODE) }
}

pub(crate) const FACTS: Facts = Facts {
    name: "poll",
    opcode: opcode::PollAdd::CODE,
    since: (5, 1),
    needs: None,
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl<D: AnyDescriptor> Operation for Poll<D> {
    type Output = io::Result<u32>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::on(template(self.events), &self.descriptor)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.count().map(|events| events as u32)
    }
}

impl<D: AnyDescriptor> Operation for PollMulti<D> {
    /// The events of one time, of which there are many.
    type Output = io::Result<u32>;
    const FACTS: Facts = Facts { since: (5, 13), multishot: true, ..FACTS };

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::on(Sqe { len: MULTI, ..template(self.0.events) }, &self.0.descriptor)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        self.0.complete(completion)
    }
}

impl<D: AnyDescriptor> Repeats for PollMulti<D> {
    type Item = io::Result<u32>;
    type Reader = ();

    fn reader(&self) {}

    fn item(_: &mut (), completion: Completion) -> Self::Item {
        completion.count().map(|events| events as u32)
    }
}
