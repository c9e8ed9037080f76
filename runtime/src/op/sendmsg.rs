//! sendmsg: send a message of several parts, to an address, with control messages (sendmsg(2),
//! `IORING_OP_SENDMSG`).

use io_uring::opcode;
use socket2::SockAddr;

use super::flags::sending;
use super::message::{Control, MsgHdr};
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoVecBuf, Iovecs};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::{Prepared, Sqe};

/// See [`sendmsg`].
#[derive(Debug)]
pub struct SendMsg<B, D = Descriptor>(Message<B, D>);

/// A message to be sent, copied or not.
#[derive(Debug)]
pub(super) struct Message<B, D = Descriptor> {
    pub(super) socket: D,
    pub(super) buffers: B,
    iovecs: Iovecs,
    to: Option<SockAddr>,
    control: Control,
    header: MsgHdr,
    flags: i32,
}

impl<B: IoVecBuf, D: AnyDescriptor> Message<B, D> {
    pub(super) fn new(socket: &D, buffers: B, to: Option<SockAddr>, control: Control, flags: i32) -> Self {
        let (iovecs, header) = (Iovecs::new(), MsgHdr::new());
        Message { socket: socket.clone(), buffers, iovecs, to, control, header, flags }
    }

    pub(super) fn prepare<'a>(&'a mut self, opcode: u8) -> Prepared<'a> {
        let parts = self.iovecs.gather(&self.buffers);
        let header = self.header.sends(self.to.as_ref(), parts, self.control.bytes());
        Prepared::on(Sqe { op_flags: sending(self.flags), ..Sqe::new(opcode) }, &self.socket).message(header)
    }
}

/// Sends the buffers as one message, to `to` where the socket is not connected, with `control` beside it. Gives
/// the number of bytes that the socket took, which on a stream may be fewer; with `MSG_WAITALL` the kernel goes
/// on until all are sent or an error occurs. `MSG_NOSIGNAL` is always set, `MSG_ZEROCOPY` is ignored: see
/// [`sendmsg_zc`](super::sendmsg_zc).
///
/// Dropping the future cancels the send; it is not known how much was sent before.
///
/// # Errors
/// Those of sendmsg(2).
pub fn sendmsg<B: IoVecBuf, D: AnyDescriptor>(
    socket: &D,
    buffers: B,
    to: Option<SockAddr>,
    control: Control,
    flags: i32,
) -> Op<SendMsg<B, D>> {
    Op::new(SendMsg(Message::new(socket, buffers, to, control, flags)))
}

pub(crate) const FACTS: Facts = Facts {
    name: "sendmsg",
    opcode: opcode::SendMsg::CODE,
    since: (5, 3),
    needs: None,
    returns: Returns::Count,
    severs: Severs::WithWaitall,
    multishot: false,
};

impl<B: IoVecBuf, D: AnyDescriptor> Operation for SendMsg<B, D> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        self.0.prepare(opcode::SendMsg::CODE)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.0.buffers)
    }
}
