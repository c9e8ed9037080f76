//! recvmsg: receive a message into several parts, with its sender's address and control messages (recvmsg(2),
//! `IORING_OP_RECVMSG`).

use io_uring::opcode;
use socket2::SockAddr;

use super::flags::receiving;
use super::message::{Control, MsgHdr, Name};
use super::{Completion, Facts, Op, Operation, Returns, Severs};
use crate::buf::{BufResult, IoVecBufMut, Iovecs};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// See [`recvmsg`].
#[derive(Debug)]
pub struct RecvMsg<B> {
    socket: Descriptor,
    buffers: B,
    iovecs: Iovecs,
    from: Name,
    control: Control,
    header: MsgHdr,
    flags: i32,
}

/// What came with a message.
#[derive(Debug)]
#[non_exhaustive]
pub struct Received {
    /// The number of bytes in the buffers.
    pub len: usize,
    /// Who sent it, where the protocol tells.
    pub from: Option<SockAddr>,
    /// `MSG_TRUNC` if the message was longer than the buffers, `MSG_CTRUNC` if the control messages were longer
    /// than their room, and the other flags of recvmsg(2).
    pub flags: i32,
    /// The control messages. Descriptors that came are closed with them, unless they are taken.
    pub control: Control,
}

/// Receives one message into the buffers, in order. For control messages there is as much room as `control` was
/// made with. On a stream 0 bytes are its end. `flags` are the `MSG_*` of recvmsg(2) without `MSG_TRUNC`, which
/// is ignored; descriptors that come are always close-on-exec.
///
/// Dropping the future cancels; a message that was taken from the socket already is lost, and descriptors in
/// it are closed.
///
/// # Errors
/// Those of recvmsg(2).
pub fn recvmsg<B: IoVecBufMut>(
    socket: &Descriptor,
    buffers: B,
    control: Control,
    flags: i32,
) -> Op<RecvMsg<B>> {
    let (iovecs, from, header) = (Iovecs::new(), Name::new(), MsgHdr::new());
    Op::new(RecvMsg { socket: socket.clone(), buffers, iovecs, from, control, header, flags })
}

pub(crate) const FACTS: Facts = Facts {
    name: "recvmsg",
    opcode: opcode::RecvMsg::CODE,
    since: (5, 3),
    needs: None,
    returns: Returns::Count,
    severs: Severs::WithWaitall,
    multishot: false,
};

impl<B: IoVecBufMut> Operation for RecvMsg<B> {
    type Output = BufResult<Received, B>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let op_flags = receiving(self.flags | libc::MSG_CMSG_CLOEXEC);
        let sqe = Sqe { op_flags, ..Sqe::new(opcode::RecvMsg::CODE) };
        let parts = self.iovecs.scatter(&mut self.buffers);
        let header = self.header.receives(&mut self.from, parts, self.control.room());
        Prepared::new(sqe, self.socket.raw()).message(header)
    }

    fn complete(mut self, completion: Completion) -> Self::Output {
        let len = match completion.count() {
            Ok(len) => len,
            Err(error) => return (Err(error), self.buffers),
        };
        self.iovecs.filled(&mut self.buffers, len);
        let (from, control, flags) = self.header.received();
        self.control.received(control);
        let from = self.from.address(from);
        (Ok(Received { len, from, flags, control: self.control }), self.buffers)
    }
}
