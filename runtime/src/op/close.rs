//! close: close a descriptor (close(2), `IORING_OP_CLOSE`).

use std::io;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use io_uring::opcode;

use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::ring::Prepared;
use crate::ring::Sqe;
use crate::ring::sqe::ASYNC;

/// See [`close`].
#[derive(Debug)]
pub struct Close {
    /// Ours until it is submitted; then the kernel answers for it.
    unsubmitted: Option<OwnedFd>,
    fd: RawFd,
    flags: u8,
}

/// Closes `fd`, and tells what close(2) had to say. A file whose close may wait is closed without blocking the core; the
/// kernel does not know that of a socket that lingers: see
/// [`Descriptor::close_in_background`](crate::Descriptor::close_in_background).
///
/// Dropping the future before its first poll closes the descriptor on the spot; later, the close goes on.
pub fn close(fd: OwnedFd) -> Op<Close> {
    Op::new(Close::new(fd))
}

impl Close {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Close { fd: fd.as_raw_fd(), unsubmitted: Some(fd), flags: 0 }
    }

    /// By a thread of the kernel.
    pub(crate) fn in_background(fd: OwnedFd) -> Self {
        Close { flags: ASYNC, ..Close::new(fd) }
    }
}

pub(crate) const FACTS: Facts = Facts {
    name: "close",
    opcode: opcode::Close::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Unit,
    severs: Severs::Always,
    multishot: false,
};

impl Operation for Close {
    type Output = io::Result<()>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        if let Some(fd) = self.unsubmitted.take() {
            self.fd = fd.into_raw_fd();
        }
        Prepared::new(Sqe { flags: self.flags, ..Sqe::new(opcode::Close::CODE) }, self.fd)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.unit()
    }
}
