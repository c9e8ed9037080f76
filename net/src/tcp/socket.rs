//! A TCP socket that is neither connected nor listening yet.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use chainring_runtime::Descriptor;
use chainring_runtime::op::connect::connect;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::{TcpListener, TcpStream};

/// A TCP socket to be given options, and an address of its own, before it connects or listens.
#[derive(Debug)]
pub struct TcpSocket(Descriptor);

impl TcpSocket {
    /// A socket for IPv4.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn new_v4() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV4)
    }

    /// A socket for IPv6.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn new_v6() -> io::Result<TcpSocket> {
        TcpSocket::new(Domain::IPV6)
    }

    fn new(domain: Domain) -> io::Result<TcpSocket> {
        let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
        Ok(TcpSocket(Descriptor::new(OwnedFd::from(socket))))
    }

    /// Binds the socket to an address of its own.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        socket2::SockRef::from(self).bind(&SockAddr::from(address))
    }

    /// Connects to `address`.
    ///
    /// Dropping the future cancels and closes the socket.
    ///
    /// # Errors
    /// Those of connect(2).
    pub async fn connect(self, address: SocketAddr) -> io::Result<TcpStream> {
        connect(&self.0, address.into()).await?;
        Ok(TcpStream::from_descriptor(self.0))
    }

    /// Listens. At most `backlog` connections wait to be accepted.
    ///
    /// # Errors
    /// Those of listen(2).
    pub fn listen(self, backlog: u32) -> io::Result<TcpListener> {
        socket2::SockRef::from(&self).listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        Ok(TcpListener::from_descriptor(self.0))
    }

    /// The descriptor, for operations of [`chainring_runtime::op`] that have no method here.
    pub fn descriptor(&self) -> &Descriptor {
        &self.0
    }

    /// The address of this side.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        crate::socket::internet(socket2::SockRef::from(self).local_addr()?)
    }
}

general_options!(TcpSocket);
ip_options!(TcpSocket);
tcp_options!(TcpSocket);

impl AsFd for TcpSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
