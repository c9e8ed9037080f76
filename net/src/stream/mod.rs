//! What TCP and Unix streams can do, and their halves.
//!
//! The loops are here, once; `reads!` and `writes!` are the methods that have them.

use std::io;

use chainring_runtime::buf::{BufResult, IoBuf, IoBufMut, IoVecBuf};
use chainring_runtime::op::recv::recv;
use chainring_runtime::op::send_zc::send_zc;
use chainring_runtime::op::sendmsg::sendmsg;
use chainring_runtime::{AnyDescriptor, Descriptor};

#[macro_use]
mod reads;
#[macro_use]
mod writes;
#[macro_use]
mod halves;

pub(crate) use halves::end_of_writing;

/// Fills all of the room.
///
/// Without `MSG_WAITALL`: a receive that has got some bytes before the connection is reset would report these alone, and
/// the error, once met, is forgotten by the socket. The next receive would find nothing but an end.
pub(crate) async fn read_exact<B: IoBufMut>(socket: &impl AnyDescriptor, mut buffer: B) -> BufResult<(), B> {
    let room = buffer.room_len();
    if room == 0 {
        return (Ok(()), buffer);
    }
    // The first time without a slice: so a `Vec` has exactly what came, whatever was in it.
    let (result, mut buffer) = recv(socket, buffer, 0).await;
    let mut received = match result {
        Ok(n) if n == room => return (Ok(()), buffer),
        Ok(0) => return (Err(end_of_stream()), buffer),
        Ok(n) => n,
        Err(error) => return (Err(error), buffer),
    };
    loop {
        let (result, rest) = recv(socket, buffer.slice(received..room), 0).await;
        buffer = rest.into_inner();
        match result {
            Ok(0) => return (Err(end_of_stream()), buffer),
            Ok(n) => received += n,
            Err(error) => return (Err(error), buffer),
        }
        if received >= room {
            return (Ok(()), buffer);
        }
    }
}

#[cold]
fn end_of_stream() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the stream ended before the buffer was full")
}

/// Sends all of the bytes without copying them.
pub(crate) async fn write_all_zero_copy<B: IoBuf>(socket: &Descriptor, mut buffer: B) -> BufResult<(), B> {
    let (len, mut sent) = (buffer.as_bytes().len(), 0);
    while sent < len {
        let (result, rest) = send_zc(socket, buffer.slice(sent..len), libc::MSG_WAITALL).await;
        buffer = rest.into_inner();
        match result {
            Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
            Ok(n) => sent += n,
            Err(error) => return (Err(error), buffer),
        }
    }
    (Ok(()), buffer)
}

/// Sends all of the bytes of all parts.
pub(crate) async fn write_all_vectored<B: IoVecBuf>(
    socket: &impl AnyDescriptor,
    mut buffers: B,
) -> BufResult<(), B> {
    let (len, mut sent) = (buffers.total_len(), 0);
    while sent < len {
        let control = Default::default();
        let (result, rest) = sendmsg(socket, buffers.skip(sent), None, control, libc::MSG_WAITALL).await;
        buffers = rest.into_inner();
        match result {
            Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffers),
            Ok(n) => sent += n,
            Err(error) => return (Err(error), buffers),
        }
    }
    (Ok(()), buffers)
}
