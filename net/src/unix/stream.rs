//! A connection over a Unix socket.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::SocketAddr;
use std::path::Path;

use chainring_runtime::Descriptor;
use chainring_runtime::op::Op;
use chainring_runtime::op::connect::connect;
use chainring_runtime::op::shutdown::{Shutdown, shutdown};
use chainring_runtime::op::socket::socket;
use socket2::{Domain, SockAddr, Socket, Type};

use super::address::{self, unix_addresses};
use super::rights::rights;

/// A connection over a Unix socket. Dropping it closes it, once its operations in flight have completed.
#[derive(Debug)]
pub struct UnixStream(pub(super) Descriptor);

impl UnixStream {
    /// Connects to whoever listens on `path`.
    ///
    /// Dropping the future cancels.
    ///
    /// # Errors
    /// `InvalidInput` if the path is longer than 107 bytes; ENOENT if it does not exist, ECONNREFUSED if nobody
    /// listens; else those of socket(2) and connect(2).
    pub async fn connect(path: impl AsRef<Path>) -> io::Result<UnixStream> {
        UnixStream::connect_to(address::of_path(path.as_ref())?).await
    }

    /// Connects to an address, which may be an abstract name.
    ///
    /// Dropping the future cancels.
    ///
    /// # Errors
    /// As [`connect`](UnixStream::connect).
    pub async fn connect_addr(address: &SocketAddr) -> io::Result<UnixStream> {
        UnixStream::connect_to(address::of(address)?).await
    }

    async fn connect_to(address: SockAddr) -> io::Result<UnixStream> {
        let socket = Descriptor::new(socket(libc::AF_UNIX, libc::SOCK_STREAM, 0).await?);
        connect(&socket, address).await?;
        Ok(UnixStream(socket))
    }

    /// Two streams that are connected to each other (socketpair(2)).
    ///
    /// # Errors
    /// Those of socketpair(2).
    pub fn pair() -> io::Result<(UnixStream, UnixStream)> {
        let (one, other) = Socket::pair(Domain::UNIX, Type::STREAM, None)?;
        Ok((OwnedFd::from(one).into(), OwnedFd::from(other).into()))
    }

    /// Ends the directions that `how` names (shutdown(2)). The peer sees the end of the stream after all that was
    /// sent.
    ///
    /// Dropping the future asks for cancellation; the directions may be ended all the same.
    ///
    /// # Errors
    /// ENOTCONN if the connection is over already.
    pub fn shutdown(&self, how: std::net::Shutdown) -> Op<Shutdown> {
        shutdown(&self.0, how)
    }
}

socket!(UnixStream, std::os::unix::net::UnixStream, "connection over a Unix socket");
into_std!(UnixStream, std::os::unix::net::UnixStream);
unix_addresses!(UnixStream);
reads!(UnixStream);
writes!(UnixStream);
rights!(UnixStream);
general_options!(UnixStream);
