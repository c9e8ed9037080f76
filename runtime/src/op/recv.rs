//! recv: receive from a connected socket (recv(2), `IORING_OP_RECV`).

use io_uring::opcode;

use super::flags::receiving;
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, Filling, IoBufMut};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::Prepared;
use crate::ring::Sqe;

/// See [`recv`].
#[derive(Debug)]
pub struct Recv<B, D = Descriptor> {
    socket: D,
    buffer: Filling<B>,
    flags: i32,
}

/// Receives into `buffer`. Gives the number of bytes; 0 is the end of the stream, unless the buffer has no
/// room. `flags` are the `MSG_*` of recv(2); `MSG_TRUNC` is ignored, because with it the result does not say what is
/// in the buffer.
///
/// Dropping the future cancels the receive; bytes that it had already taken are lost.
pub fn recv<B: IoBufMut, D: AnyDescriptor>(socket: &D, buffer: B, flags: i32) -> Op<Recv<B, D>> {
    Op::new(Recv { socket: socket.clone(), buffer: Filling::new(buffer), flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "recv",
    opcode: opcode::Recv::CODE,
    since: (5, 6),
    needs: None,
    returns: Returns::Count,
    severs: Severs::WithWaitall,
    multishot: false,
};

/// The entry without descriptor and buffer.
pub(crate) const fn template(flags: i32) -> Sqe {
    Sqe { op_flags: receiving(flags), ..Sqe::new(opcode::Recv::CODE) }
}

impl<B: IoBufMut, D: AnyDescriptor> Operation for Recv<B, D> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::on(template(self.flags), &self.socket).writes(self.buffer.room())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        completion.fill(self.buffer)
    }
}
