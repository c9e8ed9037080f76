//! send: send on a connected socket (send(2), `IORING_OP_SEND`).

use io_uring::opcode;

use super::flags::sending;
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoBuf};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::Prepared;
use crate::ring::Sqe;

/// See [`send`].
#[derive(Debug)]
pub struct Send<B, D = Descriptor> {
    socket: D,
    buffer: B,
    flags: i32,
}

/// Sends `buffer`. Gives the number of bytes that the socket took, which may be fewer; with `MSG_WAITALL`
/// the kernel goes on until all are sent or an error occurs. `MSG_NOSIGNAL` is always set, `MSG_ZEROCOPY` is ignored:
/// see [`send_zc`](super::send_zc).
///
/// Dropping the future cancels the send; it is not known how much was sent before.
pub fn send<B: IoBuf, D: AnyDescriptor>(socket: &D, buffer: B, flags: i32) -> Op<Send<B, D>> {
    Op::new(Send { socket: socket.clone(), buffer, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "send",
    opcode: opcode::Send::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Count,
    severs: Severs::WithWaitall,
    multishot: false,
};

/// The entry without descriptor and buffer.
pub(crate) const fn template(flags: i32) -> Sqe {
    Sqe { op_flags: sending(flags), ..Sqe::new(opcode::Send::CODE) }
}

impl<B: IoBuf, D: AnyDescriptor> Operation for Send<B, D> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::on(template(self.flags), &self.socket).reads(&self.buffer)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffer)
    }
}
