//! sendmsg_zc: send a message without copying it (sendmsg(2), `IORING_OP_SENDMSG_ZC`).

use io_uring::opcode;
use socket2::SockAddr;

use super::message::{Control, reset};
use super::sendmsg::Message;
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoVecBuf};
use crate::descriptor::Descriptor;
use crate::ring::Prepared;

/// See [`sendmsg_zc`].
#[derive(Debug)]
pub struct SendMsgZc<B>(Message<B>);

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
    Op::new(SendMsgZc(Message::new(socket, buffers, to, control, flags)))
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
        self.0.prepare(opcode::SendMsgZc::CODE)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        (completion.count(), self.0.buffers)
    }

    fn abort(&self) {
        reset(&self.0.socket);
    }
}
