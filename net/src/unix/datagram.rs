//! Datagrams between processes of one system.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufResult, IoBuf, IoBufMut};
use chainring_runtime::op::Op;
use chainring_runtime::op::message::Control;
use chainring_runtime::op::recv::{Recv, recv};
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::send::{Send, send};
use chainring_runtime::op::send_to::send_to;
use chainring_runtime::op::shutdown::{Shutdown, shutdown};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::address::{self, unix_addresses};
use super::rights::rights;

/// A Unix socket of datagrams, which are neither lost nor reordered: a sender waits while the receiver's queue is
/// full. Dropping it closes it, once its operations in flight have completed; its path stays.
#[derive(Debug)]
pub struct UnixDatagram(Descriptor);

impl UnixDatagram {
    /// A socket on `path`, which is made and must not exist.
    ///
    /// # Errors
    /// `InvalidInput` if the path is longer than 107 bytes; else those of socket(2) and bind(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_to(&address::of_path(path.as_ref())?)
    }

    /// A socket on an address, which may be an abstract name.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixDatagram> {
        UnixDatagram::bind_to(&address::of(address)?)
    }

    fn bind_to(address: &SockAddr) -> io::Result<UnixDatagram> {
        let socket = UnixDatagram::unbound()?;
        SockRef::from(&socket).bind(address)?;
        Ok(socket)
    }

    /// A socket without an address: nobody can answer it.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn unbound() -> io::Result<UnixDatagram> {
        Ok(OwnedFd::from(Socket::new(Domain::UNIX, Type::DGRAM, None)?).into())
    }

    /// Two sockets that are connected to each other (socketpair(2)).
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(UnixDatagram, UnixDatagram)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::DGRAM, None)?;
        Ok((OwnedFd::from(one).into(), OwnedFd::from(other).into()))
    }

    /// Sets whom [`send`](UnixDatagram::send) sends to, and the only one to receive from. Does not wait.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect(&self, path: impl AsRef<Path>) -> io::Result<()> {
        SockRef::from(self).connect(&address::of_path(path.as_ref())?)
    }

    /// As [`connect`](UnixDatagram::connect), to an address.
    ///
    /// # Errors
    /// Those of connect(2).
    pub fn connect_addr(&self, address: &SocketAddr) -> io::Result<()> {
        SockRef::from(self).connect(&address::of(address)?)
    }

    /// Sends a datagram to the peer. Waits while its queue is full.
    ///
    /// Dropping the future cancels; the datagram may have been sent.
    ///
    /// # Errors
    /// Those of send(2); ENOTCONN without a peer, EMSGSIZE if it is larger than the send buffer.
    pub fn send<B: IoBuf>(&self, datagram: B) -> Op<Send<B>> {
        send(&self.0, datagram, 0)
    }

    /// Receives a datagram. What does not fit into the room of `buffer` is cut off.
    ///
    /// Dropping the future cancels; a datagram that was taken from the socket already is lost with it.
    ///
    /// # Errors
    /// Those of recv(2).
    pub fn recv<B: IoBufMut>(&self, buffer: B) -> Op<Recv<B>> {
        recv(&self.0, buffer, 0)
    }

    /// As [`recv`](UnixDatagram::recv), but the datagram stays in the socket to be received again. Dropping the future
    /// loses nothing.
    pub fn peek<B: IoBufMut>(&self, buffer: B) -> Op<Recv<B>> {
        recv(&self.0, buffer, libc::MSG_PEEK)
    }

    /// Sends a datagram to whoever has bound `path`.
    ///
    /// Dropping the future cancels; the datagram may have been sent.
    ///
    /// # Errors
    /// `InvalidInput` if the path is longer than 107 bytes; else those of sendto(2).
    pub async fn send_to<B: IoBuf>(&self, datagram: B, path: impl AsRef<Path>) -> BufResult<usize, B> {
        match address::of_path(path.as_ref()) {
            Ok(to) => send_to(&self.0, datagram, to, 0).await,
            Err(error) => (Err(error), datagram),
        }
    }

    /// As [`send_to`](UnixDatagram::send_to), to an address.
    ///
    /// Dropping the future cancels; the datagram may have been sent.
    ///
    /// # Errors
    /// Those of sendto(2).
    pub async fn send_to_addr<B: IoBuf>(&self, datagram: B, to: &SocketAddr) -> BufResult<usize, B> {
        match address::of(to) {
            Ok(to) => send_to(&self.0, datagram, to, 0).await,
            Err(error) => (Err(error), datagram),
        }
    }

    /// Receives a datagram and its sender's address, which is unnamed if it has bound none, or one that the type cannot
    /// hold: a path of 108 bytes. What does not fit into the room of `buffer` is cut off.
    ///
    /// Dropping the future cancels; a datagram that was taken from the socket already is lost with it.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub async fn recv_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        let (result, [buffer]) = recvmsg(&self.0, [buffer], Control::new(), 0).await;
        let received = result.and_then(|message| {
            let from = match &message.from {
                // Whoever sends chooses the address: it must not keep the datagram from being received.
                Some(address) => address::read(address).or_else(|_| address::unnamed())?,
                // The kernel may report no address at all of a sender that has bound none.
                None => address::unnamed()?,
            };
            Ok((message.len, from))
        });
        (received, buffer)
    }

    /// Ends the directions that `how` names (shutdown(2)).
    ///
    /// Dropping the future asks for cancellation; the directions may be ended all the same.
    ///
    /// # Errors
    /// ENOTCONN without a peer.
    pub fn shutdown(&self, how: std::net::Shutdown) -> Op<Shutdown> {
        shutdown(&self.0, how)
    }
}

socket!(UnixDatagram, std::os::unix::net::UnixDatagram, "Unix socket of datagrams");
into_std!(UnixDatagram, std::os::unix::net::UnixDatagram);
unix_addresses!(UnixDatagram);
rights!(UnixDatagram);
readable!(UnixDatagram);
writable!(UnixDatagram);
general_options!(UnixDatagram);
