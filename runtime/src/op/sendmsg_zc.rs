//! sendmsg_zc: send a message without copying it (sendmsg(2), `IORING_OP_SENDMSG_ZC`).

use io_uring::opcode;
use socket2::SockAddr;

use super::message::{Control, MsgHdr, reset};
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoVecBuf, Iovecs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`sendmsg_zc`].
#[derive(Debug)]
pub struct SendMsgZc<B> {
    socket: Descriptor,
    buffers: B,
    iovecs: Iovecs,
    to: Option<SockAddr>,
    control: Control,
    header: MsgHdr,
    flags: i32,
}

/// As [`sendmsg`](super::sendmsg::sendmsg), but the network card reads the buffers themselves: worth it from
/// some kilobytes on. Completes, with the buffers, when the kernel is done with them, which on a stream is when
/// the peer has acknowledged the bytes.
///
/// Dropping the future cancels the send; it is not known how much was sent before. The buffers are kept until
/// the kernel is done with them. At the end of the runtime a connection whose peer does not take what was sent is
/// reset.
///
/// # Errors
/// Those of sendmsg(2); EOPNOTSUPP on sockets that are neither TCP nor UDP.
pub fn sendmsg_zc<B: IoVecBuf>(
    socket: &Descriptor,
    buffers: B,
    to: Option<SockAddr>,
    control: Control,
    flags: i32,
) -> Op<SendMsgZc<B>> {
    let (iovecs, header) = (Iovecs::new(), MsgHdr::new());
    Op::new(SendMsgZc { socket: socket.clone(), buffers, iovecs, to, control, header, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "sendmsg_zc",
    opcode: opcode::SendMsgZc::CODE,
    since: (6, 1),
    needs: None,
    returns: Returns::Notified,
    severs: Severs::WithWaitall,
    multishot: false,
};

impl<B: IoVecBuf> Operation for SendMsgZc<B> {
    type Output = BufResult<usize, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let flags = self.flags | libc::MSG_NOSIGNAL;
        let sqe = Sqe { op_flags: flags as u32, ..Sqe::new(opcode::SendMsgZc::CODE) };
        let parts = self.iovecs.gather(&self.buffers);
        let header = self.header.sends(self.to.as_ref(), parts, self.control.bytes());
        Prepared::new(sqe, self.socket.raw()).message(header)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.buffers)
    }

    fn abort(&self) {
        reset(&self.socket);
    }
}
