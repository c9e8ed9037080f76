//! Descriptors that travel with a message (unix(7), SCM_RIGHTS).

use std::io;
use std::os::fd::OwnedFd;

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufResult, IoBuf, IoBufMut};
use chainring_runtime::op::Op;
use chainring_runtime::op::message::Control;
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::sendmsg::{SendMsg, sendmsg};

/// The most descriptors that the kernel lets one message have (`SCM_MAX_FD`).
const MOST: usize = 253;

/// The room for so many descriptors and no more: the head of a control message and four bytes each.
fn room(descriptors: usize) -> usize {
    16 + 4 * descriptors
}

pub(super) fn send<B: IoBuf>(
    socket: &Descriptor,
    bytes: B,
    descriptors: impl IntoIterator<Item = impl Into<Descriptor>>,
) -> Op<SendMsg<[B; 1]>> {
    let descriptors = descriptors.into_iter().map(Into::into);
    sendmsg(socket, [bytes], None, Control::new().rights(descriptors), 0)
}

pub(super) async fn recv<B: IoBufMut>(
    socket: &Descriptor,
    buffer: B,
    limit: usize,
) -> BufResult<(usize, Vec<OwnedFd>), B> {
    let limit = limit.min(MOST);
    let (result, [buffer]) = recvmsg(socket, [buffer], Control::with_room(room(limit)), 0).await;
    let received = match result {
        Ok(mut message) if message.flags & libc::MSG_CTRUNC != 0 => {
            // Those that did fit are closed.
            let fitted = message.control.take_descriptors().len();
            Err(if fitted < limit && message.control.iter().next().is_none() {
                // There was room for more, so the process could not have more.
                io::Error::from_raw_os_error(libc::EMFILE)
            } else {
                io::Error::new(io::ErrorKind::InvalidData, "more descriptors came than were asked for")
            })
        }
        Ok(mut message) => Ok((message.len, message.control.take_descriptors())),
        Err(error) => Err(error),
    };
    (received, buffer)
}

/// Both, for sockets of one peer.
macro_rules! rights {
    ($socket:ident) => {
        impl $socket {
            /// Sends bytes and descriptors with them (sendmsg(2), SCM_RIGHTS; at most 253): files, sockets, or bare ones
            /// ([`OwnedFd`](std::os::fd::OwnedFd)). The peer gets descriptors of its own for the same files; these are
            /// kept open until the message is sent. Give a clone of
            /// [`descriptor()`](crate::UnixStream::descriptor) to go on using what you send. On a stream there must be
            /// at least one byte.
            ///
            /// ```
            /// use std::io::{Read, Write};
            /// use std::os::fd::OwnedFd;
            ///
            /// # chainring_runtime::Runtime::new().unwrap().block_on(async {
            #[doc = concat!("use chainring_net::", stringify!($socket), ";")]
            ///
            #[doc = concat!("let (one, other) = ", stringify!($socket), "::pair()?;")]
            /// let (mut read, write) = std::io::pipe()?;
            /// one.send_with_descriptors("a pipe", [OwnedFd::from(write)]).await.0?;
            ///
            /// let (received, _bytes) = other.recv_with_descriptors(vec![0; 16], 1).await;
            /// let (_len, mut descriptors) = received?;
            /// std::fs::File::from(descriptors.remove(0)).write_all(b"hello")?;
            /// let mut text = String::new();
            /// read.read_to_string(&mut text)?;
            /// assert_eq!(text, "hello");
            /// # std::io::Result::Ok(()) }).unwrap();
            /// ```
            ///
            /// Dropping the future cancels; it is not known whether the message was sent.
            ///
            /// # Errors
            /// Those of sendmsg(2); EINVAL for too many descriptors.
            pub fn send_with_descriptors<B: chainring_runtime::buf::IoBuf>(
                &self,
                bytes: B,
                descriptors: impl IntoIterator<Item = impl Into<chainring_runtime::Descriptor>>,
            ) -> chainring_runtime::op::Op<chainring_runtime::op::sendmsg::SendMsg<[B; 1]>> {
                crate::unix::rights::send(&self.0, bytes, descriptors)
            }

            /// Receives bytes, and up to `limit` descriptors that came with them (253 at most can), close-on-exec. On a
            /// stream a receive never goes over the bytes that descriptors came with.
            ///
            /// Dropping the future cancels; what was received already is lost, and descriptors in it are closed.
            ///
            /// # Errors
            /// Those of recvmsg(2). `InvalidData` if more than `limit` came, EMFILE if the process could not have all of
            /// them: they are closed, then, and the bytes that they came with are in the buffer and gone from the
            /// socket.
            pub async fn recv_with_descriptors<B: chainring_runtime::buf::IoBufMut>(
                &self,
                buffer: B,
                limit: usize,
            ) -> chainring_runtime::buf::BufResult<(usize, Vec<std::os::fd::OwnedFd>), B> {
                crate::unix::rights::recv(&self.0, buffer, limit).await
            }

            /// Who is at the other end: process, user and group, as they were when it connected (SO_PEERCRED).
            pub fn peer_credentials(&self) -> std::io::Result<crate::unix::PeerCredentials> {
                chainring_runtime::op::sockopt::peer_credentials(&self.0)
            }
        }
    };
}
pub(super) use rights;
