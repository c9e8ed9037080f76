//! A socket that accepts connections on a path or an abstract name.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use socket2::{Domain, SockAddr, Socket, Type};

use super::{UnixStream, address};
use crate::accept::{self, Acceptor, listener};

/// Connections that wait to be accepted, at most (the system's `somaxconn` may be lower).
const BACKLOG: i32 = 4096;

/// A listening Unix socket. Dropping it does not remove its path.
#[derive(Debug)]
pub struct UnixListener(Acceptor);

/// The connections of a [`UnixListener`]: see [`Incoming`](crate::Incoming).
pub type Incoming<'l> = accept::Incoming<'l, UnixStream>;

impl UnixListener {
    /// Listens on `path`, which is made and must not exist.
    ///
    /// # Errors
    /// `InvalidInput` if the path is longer than 107 bytes; EADDRINUSE if it exists; else those of socket(2) and
    /// bind(2).
    pub fn bind(path: impl AsRef<Path>) -> io::Result<UnixListener> {
        UnixListener::listen(&address::of_path(path.as_ref())?)
    }

    /// Listens on an address, which may be an abstract name.
    ///
    /// # Errors
    /// EADDRINUSE if it is taken; else those of socket(2) and bind(2).
    pub fn bind_addr(address: &SocketAddr) -> io::Result<UnixListener> {
        UnixListener::listen(&address::of(address)?)
    }

    fn listen(address: &SockAddr) -> io::Result<UnixListener> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)?;
        Ok(OwnedFd::from(socket).into())
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        address::read(&socket2::SockRef::from(self).local_addr()?)
    }

    /// Takes one connection.
    ///
    /// Cancel safe, as tokio's: dropping the future loses no connection, so it may stand in a loop around `select!`. The
    /// operation is cancelled; a connection that was faster goes to the next `accept` or `incoming`, and is closed if the listener
    /// is dropped before.
    ///
    /// # Errors
    /// Those of accept(2). Where the process has no descriptors left, or the kernel no memory, the next call pauses
    /// for 50 ms; whoever connects meanwhile waits in the backlog.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.0.accept().await.map(UnixStream::from_descriptor)
    }

    /// Takes connections again and again; see [`Incoming`](crate::Incoming).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.0, UnixStream::from_descriptor)
    }
}

listener!(UnixListener, std::os::unix::net::UnixListener, "Unix");
general_options!(UnixListener);
