//! send_to: send a datagram to an address (sendto(2), `IORING_OP_SEND`).

use io_uring::opcode;
use socket2::SockAddr;

use super::{Completion, Facts, Op, Operation, Returns, Severs, send};
use crate::buf::{BufResult, IoBuf};
use crate::descriptor::Descriptor;
use crate::ring::Prepared;

/// See [`send_to`].
#[derive(Debug)]
pub struct SendTo<B> {
    socket: Descriptor,
    buffer: B,
    to: SockAddr,
    flags: i32,
}

/// Sends `buffer` to `to`. Gives the number of bytes sent. `MSG_NOSIGNAL` is always set, `MSG_ZEROCOPY`
/// is ignored: see [`sendmsg_zc`](super::sendmsg_zc).
///
/// Dropping the future cancels the send; the datagram may have been sent.
///
/// # Errors
/// Those of sendto(2).
pub fn send_to<B: IoBuf>(socket: &Descriptor, buffer: B, to: SockAddr, flags: i32) -> Op<SendTo<B>> {
    Op::new(SendTo { socket: socket.clone(), buffer, to, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "send_to",
    opcode: opcode::Send::CODE,
    since: (6, 1),
    needs: None,
    returns: Returns::Count,
    severs: Severs::WithWaitall,
    multishot: false,
};

impl<B: IoBuf> Operation for SendTo<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let prepared = Prepared::new(send::template(self.flags), self.socket.raw());
        prepared.reads(&self.buffer).destination(&self.to)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffer)
    }
}
