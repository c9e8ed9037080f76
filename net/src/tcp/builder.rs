//! Choices for a listener.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::TcpListener;

/// Connections that wait to be accepted, at most (the system's `somaxconn` may be lower).
const BACKLOG: i32 = 4096;

/// Choices for a listener, made by [`TcpListener::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it binds"]
pub struct TcpListenerBuilder {
    backlog: i32,
    reuse_address: bool,
    reuse_port: bool,
    nodelay: bool,
    only_v6: Option<bool>,
    recv_buffer_size: Option<usize>,
    send_buffer_size: Option<usize>,
}

impl TcpListenerBuilder {
    pub(super) fn new() -> Self {
        TcpListenerBuilder {
            backlog: BACKLOG,
            reuse_address: true,
            reuse_port: true,
            nodelay: true,
            only_v6: None,
            recv_buffer_size: None,
            send_buffer_size: None,
        }
    }

    /// How many connections wait to be accepted, at most; 4096 unless told otherwise. The system's `somaxconn` may be
    /// lower.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = i32::try_from(connections).unwrap_or(i32::MAX);
        self
    }

    /// Whether the address can be bound although connections of an earlier owner linger on it (SO_REUSEADDR); yes
    /// unless told otherwise.
    pub fn reuse_address(mut self, reuse: bool) -> Self {
        self.reuse_address = reuse;
        self
    }

    /// Whether several listeners can be bound to the address, one a core (SO_REUSEPORT); yes unless told otherwise.
    pub fn reuse_port(mut self, reuse: bool) -> Self {
        self.reuse_port = reuse;
        self
    }

    /// Whether the accepted streams send small segments at once (TCP_NODELAY); yes unless told otherwise.
    pub fn nodelay(mut self, nodelay: bool) -> Self {
        self.nodelay = nodelay;
        self
    }

    /// Whether a listener on an IPv6 address keeps to IPv6 (IPV6_V6ONLY); the system's default unless told
    /// otherwise. Without it `[::]` takes connections over IPv4 too.
    pub fn only_v6(mut self, only: bool) -> Self {
        self.only_v6 = Some(only);
        self
    }

    /// The receive buffer of the accepted streams in bytes (SO_RCVBUF); the kernel doubles it.
    pub fn recv_buffer_size(mut self, bytes: usize) -> Self {
        self.recv_buffer_size = Some(bytes);
        self
    }

    /// The send buffer of the accepted streams in bytes (SO_SNDBUF); the kernel doubles it.
    pub fn send_buffer_size(mut self, bytes: usize) -> Self {
        self.send_buffer_size = Some(bytes);
        self
    }

    /// Listens on `address`.
    ///
    /// # Errors
    /// Those of socket(2), setsockopt(2), bind(2) and listen(2).
    pub fn bind(&self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(self.reuse_address)?;
        socket.set_reuse_port(self.reuse_port)?;
        socket.set_tcp_nodelay(self.nodelay)?;
        if let (true, Some(only)) = (address.is_ipv6(), self.only_v6) {
            socket.set_only_v6(only)?;
        }
        if let Some(bytes) = self.recv_buffer_size {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(bytes) = self.send_buffer_size {
            socket.set_send_buffer_size(bytes)?;
        }
        socket.bind(&SockAddr::from(address))?;
        socket.listen(self.backlog)?;
        Ok(OwnedFd::from(socket).into())
    }
}
