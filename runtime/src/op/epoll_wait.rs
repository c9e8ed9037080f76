//! epoll_wait: wait for events of an epoll instance (epoll_wait(2), `IORING_OP_EPOLL_WAIT`).

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::BufResult;
use crate::descriptor::Descriptor;
use crate::ring::capabilities::Capability;
use crate::ring::{Prepared, Sqe};

/// See [`epoll_wait`].
#[derive(Debug)]
pub struct EpollWait {
    epoll: Descriptor,
    events: Vec<libc::epoll_event>,
}

/// Waits until the epoll instance has events, and writes them over the first elements of `events`, at most as many
/// as there are. Gives how many.
///
/// Linux 6.15; below that it fails with [`Unsupported`](std::io::ErrorKind::Unsupported): poll the instance's
/// descriptor instead.
///
/// Dropping the future cancels the wait; events that it had taken already are lost (those of edge-triggered
/// descriptors for good).
///
/// # Errors
/// Those of epoll_wait(2).
pub fn epoll_wait(epoll: &Descriptor, events: Vec<libc::epoll_event>) -> Op<EpollWait> {
    Op::new(EpollWait { epoll: epoll.clone(), events })
}

pub(crate) const FACTS: Facts = Facts {
    name: "epoll_wait",
    opcode: opcode::EpollWait::CODE,
    since: (6, 15),
    needs: Some(Capability::EpollWait),
    returns: Returns::Count,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for EpollWait {
    type Output = BufResult<usize, Vec<libc::epoll_event>>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(Sqe::new(opcode::EpollWait::CODE), self.epoll.raw()).fills_array(&mut self.events)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.events)
    }
}
