//! TCP connections as direct descriptors, in the ring's own table instead of the process's.
//!
//! The connection is owned by the stream and its operations in flight together, as an ordinary one is; its place in the
//! table is free again when the last of them is gone. What there is no operation for has no way to a direct descriptor:
//! no addresses, most options, no standard library, no other runtime. For these
//! [`to_tcp_stream`](DirectTcpStream::to_tcp_stream) makes an ordinary one.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use chainring_runtime::DirectDescriptor;
use chainring_runtime::op::Op;
use chainring_runtime::op::connect::connect;
use chainring_runtime::op::shutdown::{Shutdown, shutdown};
use chainring_runtime::op::socket::socket_direct;
use chainring_runtime::op::sockopt::{SetOption, set_option};
use futures::Stream;
use futures::stream::unfold;

use super::stream::{family, try_all};
use super::{TcpListener, TcpStream};
use crate::addresses::ToSocketAddrs;

/// A TCP connection in the ring's own table. It does not count towards the process's limit of open files, and the
/// kernel finds it faster: worth it where many connections exchange small messages. The runtime has to be
/// [built](chainring_runtime::Builder::direct_descriptors) with room for them.
///
/// There is no `peer_addr` and no `local_addr`: the kernel tells them by descriptors of the process only. Whoever accepts
/// and must know them asks [`to_tcp_stream`](DirectTcpStream::to_tcp_stream), or accepts ordinary streams.
///
/// Works on every kernel that the runtime does, except for what says otherwise. Only in the runtime that made it: in
/// another all operations fail with EBADF. Dropping it closes it, once its operations in flight have completed; so does
/// the end of the runtime.
///
/// ```
/// use chainring_net::TcpListener;
/// use chainring_net::tcp::DirectTcpStream;
///
/// let runtime = chainring_runtime::Builder::new().direct_descriptors(16).build().unwrap();
/// # runtime.block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// let client = DirectTcpStream::connect(listener.local_addr()?).await?;
/// let server = listener.accept_direct().await?;
/// client.write_all("hello").await.0?;
/// let (received, bytes) = server.read(vec![0; 16]).await;
/// assert_eq!((received?, &bytes[..]), (5, &b"hello"[..]));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct DirectTcpStream(pub(super) DirectDescriptor);

impl DirectTcpStream {
    /// Connects to `host`, as [`TcpStream::connect`] does.
    ///
    /// Dropping the future cancels the attempt.
    ///
    /// # Errors
    /// Those of [`TcpStream::connect`]; ENFILE if all direct descriptors of the runtime are taken;
    /// [`Unsupported`](io::ErrorKind::Unsupported) if it was built without.
    pub async fn connect(host: impl ToSocketAddrs) -> io::Result<DirectTcpStream> {
        try_all(host, attempt).await
    }

    /// Ends the directions that `how` names; see [`TcpStream::shutdown`].
    ///
    /// Dropping the future asks for cancellation; the directions may be ended all the same.
    ///
    /// # Errors
    /// ENOTCONN if the connection is over already.
    pub fn shutdown(&self, how: std::net::Shutdown) -> Op<Shutdown<DirectDescriptor>> {
        shutdown(&self.0, how)
    }

    /// Whether small segments are sent at once (TCP_NODELAY). Accepted streams have it of their listener.
    ///
    /// Dropping the future asks for cancellation; it may be set all the same.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) below Linux 6.7.
    pub fn set_nodelay(&self, nodelay: bool) -> Op<SetOption<DirectDescriptor>> {
        set_option(&self.0, libc::IPPROTO_TCP, libc::TCP_NODELAY, nodelay.into())
    }

    /// An ordinary stream of the same connection, which ends when both are dropped.
    ///
    /// Dropping the future cancels; a descriptor that was made all the same is closed.
    ///
    /// # Errors
    /// [`Unsupported`](io::ErrorKind::Unsupported) below Linux 6.8; EMFILE at the limit of open files.
    pub async fn to_tcp_stream(&self) -> io::Result<TcpStream> {
        self.0.install().await.map(TcpStream::from)
    }

    /// The descriptor, for operations of [`chainring_runtime::op`] that have no method here.
    pub fn descriptor(&self) -> &DirectDescriptor {
        &self.0
    }
}

async fn attempt(address: SocketAddr) -> io::Result<DirectTcpStream> {
    let socket = socket_direct(family(address), libc::SOCK_STREAM, libc::IPPROTO_TCP)?.await?;
    connect(&socket, address.into()).await?;
    Ok(DirectTcpStream(socket))
}

reads!(DirectTcpStream, DirectDescriptor);
writes!(DirectTcpStream, DirectDescriptor);

/// The connections of a listener as direct descriptors, accepted one by one as the stream is polled. It never ends.
///
/// Without multishot, because that accepts connections before it finds that there is no place for them, and closes
/// them. Here a place is taken first: who connects while there is none waits in the backlog. The stream then gives
/// ENFILE once, and the next poll waits for 50 ms before it tries again, as after other shortages.
///
/// Dropping the future of `next()` loses nothing: the stream goes on with its accept. Dropping the stream stops accepting;
/// a connection that was accepted and not taken is closed.
#[must_use = "a stream does nothing unless it is polled"]
pub struct IncomingDirect<'l>(Pin<Box<dyn Stream<Item = io::Result<DirectTcpStream>> + 'l>>);

impl<'l> IncomingDirect<'l> {
    pub(super) fn new(listener: &'l TcpListener) -> Self {
        let accept = async |listener: &'l TcpListener| Some((listener.accept_direct().await, listener));
        IncomingDirect(Box::pin(unfold(listener, accept)))
    }
}

impl Stream for IncomingDirect<'_> {
    type Item = io::Result<DirectTcpStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for IncomingDirect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("IncomingDirect")
    }
}
