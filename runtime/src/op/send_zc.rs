//! send_zc: send without copying (send(2), `IORING_OP_SEND_ZC`).

use io_uring::opcode;

use super::flags::sending;
use super::{Completion, Facts, Op, Operation, Returns, Severs, message};
use crate::buf::{BufResult, FixedBuf, IoBuf};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// `IORING_RECVSEND_FIXED_BUF`.
const FIXED_BUF: u16 = 1 << 2;

/// See [`send_zc`].
#[derive(Debug)]
pub struct SendZc<B> {
    socket: Descriptor,
    buffer: B,
    flags: i32,
}

/// Sends `buffer`, which the network card reads itself: worth it from some kilobytes on. Gives the number of bytes
/// that the socket took, when the kernel is done with the buffer, which on a stream is when the peer has
/// acknowledged the bytes. `MSG_NOSIGNAL` is always set.
///
/// Dropping the future cancels the send; it is not known how much was sent before. The buffer is kept until
/// the kernel is done with it. At the end of the runtime a connection whose peer does not take what was sent is
/// reset.
///
/// # Errors
/// Those of send(2); EOPNOTSUPP on sockets that are neither TCP nor UDP.
pub fn send_zc<B: IoBuf>(socket: &Descriptor, buffer: B, flags: i32) -> Op<SendZc<B>> {
    Op::new(SendZc { socket: socket.clone(), buffer, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "send_zc",
    opcode: opcode::SendZc::CODE,
    since: (6, 0),
    needs: None,
    returns: Returns::Notified,
    severs: Severs::WithWaitall,
    multishot: false,
};

const fn template(flags: i32) -> Sqe {
    Sqe { op_flags: sending(flags), ..Sqe::new(opcode::SendZc::CODE) }
}

impl<B: IoBuf> Operation for SendZc<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(template(self.flags), self.socket.raw()).reads(&self.buffer)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffer)
    }

    fn abort(&self) {
        message::reset(&self.socket);
    }
}

/// See [`send_zc_fixed`].
#[derive(Debug)]
pub struct SendZcFixed {
    socket: Descriptor,
    buffer: FixedBuf,
    flags: i32,
}

/// As [`send_zc`], from a registered buffer: the kernel need not look its pages up.
///
/// # Errors
/// As [`send_zc`]; EFAULT if the buffer is registered with the ring of another runtime.
pub fn send_zc_fixed(socket: &Descriptor, buffer: FixedBuf, flags: i32) -> Op<SendZcFixed> {
    Op::new(SendZcFixed { socket: socket.clone(), buffer, flags })
}

impl Operation for SendZcFixed {
    type Output = BufResult<usize, FixedBuf>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let sqe = Sqe { ioprio: FIXED_BUF, ..template(self.flags) };
        Prepared::new(sqe, self.socket.raw()).reads(&self.buffer).registered(self.buffer.index())
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffer)
    }

    fn abort(&self) {
        message::reset(&self.socket);
    }
}
