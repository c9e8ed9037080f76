//! recvmsg with a pool: datagrams with their senders, again and again (recvmsg(2), `IORING_OP_RECVMSG` with
//! `IORING_RECV_MULTISHOT`).
//!
//! The kernel lays a datagram out in the pool's buffer: a head of 16 bytes, room for the sender's address, the
//! payload. Control messages are not asked for: descriptors in one would have no owner if nobody read it.

use std::io;
use std::ops::{Deref, Range};

use io_uring::opcode;
use socket2::{SockAddr, SockAddrStorage};

use super::flags::receiving;
use super::message::{MsgHdr, Name};
use super::multishot::Repeats;
use super::pooled::{PoolReader, Pooled};
use super::{Completion, Facts, Multishot, Operation, Returns, Severs};
use crate::buf::{BufferPool, IoBuf, PoolBuf};
use crate::descriptor::Descriptor;
use crate::ring::{Prepared, Sqe};

/// `IORING_RECV_MULTISHOT`, 6.0.
const MULTISHOT: u16 = 1 << 1;
/// `struct io_uring_recvmsg_out`: four words.
const HEAD: usize = 16;
/// The room for the address.
const NAME: usize = size_of::<SockAddrStorage>();

/// What a datagram in a pool's buffer needs besides its payload, in bytes: make the buffers larger by this.
pub const DATAGRAM_OVERHEAD: usize = HEAD + NAME;

/// See [`recvmsg_multi`].
#[derive(Debug)]
pub struct RecvMsgMulti {
    pooled: Pooled,
    header: MsgHdr,
    flags: i32,
}

/// Receives datagrams into buffers of `pool` until it is dropped or fails, with one submission. After an error,
/// ENOBUFS among them, and now and then without one (after an empty datagram for example), it ends; start another
/// to go on. `flags` are the `MSG_*` of recvmsg(2).
///
/// Dropping the stream cancels it; datagrams that came and were not taken are lost, their buffers are back in the
/// pool.
///
/// # Errors
/// As [`recv_pooled`](super::recv_multi::recv_pooled); EFAULT or EINVAL if the pool's buffers have no more than
/// [`DATAGRAM_OVERHEAD`] bytes.
pub fn recvmsg_multi(socket: &Descriptor, pool: &BufferPool, flags: i32) -> Multishot<RecvMsgMulti> {
    Multishot::new(RecvMsgMulti { pooled: Pooled::new(socket, pool), header: MsgHdr::new(), flags })
}

/// A datagram in a pool's buffer. Dropping it gives the buffer back; giving it to a send sends the payload.
#[derive(Debug)]
pub struct Datagram {
    buffer: PoolBuf,
    from: Option<SockAddr>,
    payload: Range<usize>,
    flags: i32,
}

impl Datagram {
    /// Takes the kernel's layout apart, trusting none of its lengths.
    fn parse(buffer: PoolBuf) -> io::Result<Datagram> {
        let word = |i: usize| {
            let bytes = buffer.get(4 * i..4 * i + 4)?;
            Some(u32::from_ne_bytes(bytes.try_into().ok()?))
        };
        let head = (word(0), word(2), word(3));
        let (Some(name_len), Some(len), Some(flags)) = head else { return Err(cut_off()) };
        let name = buffer.get(HEAD..DATAGRAM_OVERHEAD).ok_or_else(cut_off)?;
        let from = name.get(..name_len as usize).and_then(Name::from_bytes);
        let end = (DATAGRAM_OVERHEAD + len as usize).min(buffer.len());
        Ok(Datagram { from, payload: DATAGRAM_OVERHEAD..end, flags: flags as i32, buffer })
    }

    /// Who sent it, where the protocol tells.
    pub fn from(&self) -> Option<&SockAddr> {
        self.from.as_ref()
    }

    /// Whether the datagram was longer than its buffer.
    pub fn is_truncated(&self) -> bool {
        self.flags & libc::MSG_TRUNC != 0
    }
}

fn cut_off() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a datagram without its head")
}

impl Deref for Datagram {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[self.payload.clone()]
    }
}

impl IoBuf for Datagram {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

pub(crate) const FACTS: Facts = Facts {
    name: "recvmsg_multi",
    opcode: opcode::RecvMsg::CODE,
    since: (6, 0),
    needs: None,
    returns: Returns::Buffer,
    severs: Severs::WithWaitall,
    multishot: true,
};

impl Operation for RecvMsgMulti {
    /// One datagram, of which there are many.
    type Output = io::Result<Datagram>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let (ioprio, op_flags) = (MULTISHOT, receiving(self.flags));
        let sqe = Sqe { ioprio, op_flags, ..Sqe::new(opcode::RecvMsg::CODE) };
        let header = self.header.selects(NAME as u32);
        self.pooled.select(self.pooled.entry(sqe).message(header))
    }

    fn complete(self, completion: Completion) -> Self::Output {
        Self::item(&mut self.reader(), completion)
    }

    fn unwanted(&self, completion: Completion) {
        self.pooled.discard(false, completion);
    }
}

impl Repeats for RecvMsgMulti {
    type Item = io::Result<Datagram>;
    type Reader = PoolReader;

    fn reader(&self) -> PoolReader {
        self.pooled.reader(false)
    }

    fn item(reader: &mut PoolReader, completion: Completion) -> Self::Item {
        reader.read(completion).and_then(Datagram::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_without_a_datagram_is_refused() {
        assert!(Datagram::parse(PoolBuf::empty()).is_err());
    }
}
