//! A TCP connection.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{IoBuf, IoBufMut};
use chainring_runtime::op::Op;
use chainring_runtime::op::recv::{Recv, recv};
use chainring_runtime::op::send::{Send, send};
use chainring_runtime::op::send_all::{SendAll, send_all};

/// A TCP connection. Dropping it closes it, once its operations in flight have completed.
#[derive(Debug)]
pub struct TcpStream(Descriptor);

impl TcpStream {
    pub(crate) fn from_owned(fd: OwnedFd) -> TcpStream {
        TcpStream(Descriptor::new(fd))
    }

    /// Takes over a connection of the standard library.
    pub fn from_std(stream: std::net::TcpStream) -> TcpStream {
        TcpStream::from_owned(OwnedFd::from(stream))
    }

    /// The connection as one of the standard library. Gives it back if operations on it are still in flight.
    pub fn into_std(self) -> Result<std::net::TcpStream, TcpStream> {
        self.into_owned().map(std::net::TcpStream::from)
    }

    /// The bare descriptor. Gives the stream back if operations on it are still in flight.
    pub fn into_owned(self) -> Result<OwnedFd, TcpStream> {
        self.0.try_into_owned().map_err(TcpStream)
    }

    /// The address of the other side.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        internet(socket2::SockRef::from(&self.0).peer_addr()?)
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        internet(socket2::SockRef::from(&self.0).local_addr()?)
    }

    /// Receives what there is, up to the room of `buffer`; 0 is the end of the stream. A `Vec` then has exactly
    /// the bytes received.
    ///
    /// Dropping the future cancels; bytes that were taken from the socket already are lost with it.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn read<B: IoBufMut>(&self, buffer: B) -> Op<Recv<B>> {
        recv(&self.0, buffer, 0)
    }

    /// Sends some of `buffer`; says how much the socket took.
    ///
    /// Dropping the future cancels; it is not known how much was sent.
    ///
    /// # Errors
    /// Those of send(2).
    pub fn write<B: IoBuf>(&self, buffer: B) -> Op<Send<B>> {
        send(&self.0, buffer, 0)
    }

    /// Sends all of `buffer`, in one operation where the kernel manages (`MSG_WAITALL`), else in several.
    ///
    /// Dropping the future cancels; it is not known how much was sent.
    ///
    /// # Errors
    /// Those of send(2); part of the buffer may have been sent then.
    pub fn write_all<B: IoBuf>(&self, buffer: B) -> SendAll<B> {
        send_all(&self.0, buffer)
    }
}

fn internet(address: socket2::SockAddr) -> io::Result<SocketAddr> {
    address.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
}

/// Takes over a descriptor, which should be that of a TCP connection: on others every operation fails.
impl From<OwnedFd> for TcpStream {
    fn from(fd: OwnedFd) -> Self {
        TcpStream::from_owned(fd)
    }
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
