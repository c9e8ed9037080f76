//! A socket that accepts connections on a path or an abstract name.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::SocketAddr;
use std::path::Path;

use chainring_runtime::Descriptor;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{UnixStream, address};
use crate::accept::{self, Acceptor};
use crate::socket::adopt;

/// Connections that wait to be accepted, at most (the system's `somaxconn` may be lower).
const BACKLOG: i32 = 4096;

/// A listening Unix socket. Dropping it does not remove its path.
#[derive(Debug)]
pub struct UnixListener(Acceptor);

/// The connections of a [`UnixListener`].
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

    /// Takes over a listening socket of the standard library. It is made blocking, which only its operations by
    /// other means than the ring can tell.
    pub fn from_std(listener: std::os::unix::net::UnixListener) -> UnixListener {
        UnixListener(Acceptor::new(adopt(listener)))
    }

    /// The socket as one of the standard library, blocking; a duplicate of it, if operations on it are still in
    /// flight.
    pub fn into_std(self) -> io::Result<std::os::unix::net::UnixListener> {
        let fd = match self.0.descriptor.try_into_owned() {
            Ok(fd) => fd,
            Err(shared) => shared.as_fd().try_clone_to_owned()?,
        };
        Ok(fd.into())
    }

    /// The descriptor, for operations of [`chainring_runtime::op`] that have no method here.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0.descriptor
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        address::read(&socket2::SockRef::from(self).local_addr()?)
    }

    /// Takes one connection.
    ///
    /// Dropping the future cancels, and closes a connection that it has accepted meanwhile.
    ///
    /// # Errors
    /// Those of accept(2). Where the process has no descriptors left, or the kernel no memory, the next call pauses
    /// for 50 ms; whoever connects meanwhile waits in the backlog.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.0.accept().await.map(UnixStream::from_descriptor)
    }

    /// Takes connections again and again; see [`Incoming`].
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.0, UnixStream::from_descriptor)
    }
}

general_options!(UnixListener);

/// Takes over a descriptor, which should be that of a listening Unix socket in blocking mode.
impl From<UnixListener> for Descriptor {
    fn from(listener: UnixListener) -> Self {
        listener.0.descriptor
    }
}

impl From<OwnedFd> for UnixListener {
    fn from(fd: OwnedFd) -> Self {
        UnixListener(Acceptor::new(Descriptor::new(fd)))
    }
}

impl AsFd for UnixListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.descriptor.as_fd()
    }
}
