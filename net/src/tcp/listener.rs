//! A socket that accepts TCP connections.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::task::{Context, Poll};

use chainring_runtime::Descriptor;
use chainring_runtime::op::Multishot;
use chainring_runtime::op::accept::{AcceptMulti, accept, accept_multi};
use futures::Stream;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::TcpStream;

/// Connections that wait to be accepted, at most (the system's `somaxconn` may be lower).
const BACKLOG: i32 = 4096;

/// A listening TCP socket.
#[derive(Debug)]
pub struct TcpListener(Descriptor);

impl TcpListener {
    /// Listens on `address`, with SO_REUSEADDR, and SO_REUSEPORT so that every core can have a listener of its
    /// own on the same port; the kernel spreads connections over them. TCP_NODELAY is set and inherited by
    /// the accepted streams.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and listen(2).
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.bind(&SockAddr::from(address))?;
        socket.listen(BACKLOG)?;
        Ok(TcpListener(Descriptor::new(OwnedFd::from(socket))))
    }

    /// Takes over a listening socket of the standard library.
    pub fn from_std(listener: std::net::TcpListener) -> TcpListener {
        TcpListener(Descriptor::new(OwnedFd::from(listener)))
    }

    /// The socket as one of the standard library; a duplicate of it, if operations on it are still in flight.
    pub fn into_std(self) -> io::Result<std::net::TcpListener> {
        let fd = match self.0.try_into_owned() {
            Ok(fd) => fd,
            Err(shared) => shared.as_fd().try_clone_to_owned()?,
        };
        Ok(fd.into())
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = socket2::SockRef::from(&self.0).local_addr()?;
        address.as_socket().ok_or_else(|| io::Error::other("not an internet address"))
    }

    /// Takes one connection. Dropping the future closes a connection that it has accepted meanwhile.
    ///
    /// # Errors
    /// Those of accept(2).
    pub async fn accept(&self) -> io::Result<TcpStream> {
        accept(&self.0).await.map(TcpStream::from_owned)
    }

    /// Takes connections with one multishot submission (kernel 5.19), which is renewed as long as it is polled.
    /// After an error the next poll tries again.
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming { listener: self, accepting: None, stopped: false, paused: false }
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The connections of a listener. Dropping it stops accepting; connections that were accepted and not taken are
/// closed.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct Incoming<'l> {
    listener: &'l TcpListener,
    accepting: Option<Multishot<AcceptMulti>>,
    /// Whether `accepting` was told to stop; it then ends with ECANCELED, also if accepting has been resumed.
    stopped: bool,
    paused: bool,
}

impl Incoming<'_> {
    /// Accepts no more until [`resume`](Incoming::resume). Connections that the kernel has accepted until it
    /// hears of it are still given out; then the stream is pending.
    pub fn pause(&mut self) {
        if !self.paused {
            self.paused = true;
            if let Some(accepting) = self.accepting.as_mut().filter(|_| !self.stopped) {
                accepting.stop();
                self.stopped = true;
            }
        }
    }

    /// Accepts again.
    pub fn resume(&mut self) {
        self.paused = false;
    }
}

impl Stream for Incoming<'_> {
    type Item = io::Result<TcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            let accepting = match &mut this.accepting {
                Some(accepting) => accepting,
                None if this.paused => return Poll::Pending,
                vacant => vacant.insert(accept_multi(&this.listener.0)),
            };
            match std::task::ready!(Pin::new(accepting).poll_next(cx)) {
                // Our own `stop`; what follows is the end of the multishot.
                Some(Err(error)) if this.stopped && error.raw_os_error() == Some(libc::ECANCELED) => {}
                Some(accepted) => return Poll::Ready(Some(accepted.map(TcpStream::from_owned))),
                // The kernel has ended the multishot: start another.
                None => (this.accepting, this.stopped) = (None, false),
            }
        }
    }
}
