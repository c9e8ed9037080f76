//! A socket that accepts TCP connections.

use std::io;
use std::net::SocketAddr;

use chainring_runtime::Descriptor;

use super::{DirectTcpStream, IncomingDirect, TcpListenerBuilder, TcpStream};
use crate::accept::{self, Acceptor, listener};

/// A listening TCP socket. Dropping it closes it, once an accept in flight has completed; who waits in its backlog is
/// turned away, and connections that were accepted go on.
///
/// A loop that accepts until it is told to stop:
///
/// ```
/// use chainring_net::{TcpListener, TcpStream};
/// use chainring_runtime::{CancellationToken, spawn};
///
/// # chainring_runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// let end = CancellationToken::new();
/// # drop(spawn({
/// #     let (address, end) = (listener.local_addr()?, end.clone());
/// #     async move {
/// #         let greeting = TcpStream::connect(address).await.unwrap().read(vec![0; 5]).await;
/// #         assert_eq!(greeting.1, b"hello");
/// #         end.cancel();
/// #     }
/// # }));
/// let mut connections = Vec::new();
/// while let Some(accepted) = end.run_until_cancelled(listener.accept()).await {
///     match accepted {
///         Ok(stream) => connections.push(spawn(async move { stream.write_all("hello").await.0 })),
///         // That of one connection; or there are no descriptors left, and it pauses before it tries again.
///         Err(error) => eprintln!("accept: {error}"),
///     }
/// }
/// drop(listener);
/// for connection in connections {
///     connection.await.unwrap()?;
/// }
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
///
/// One connection:
///
/// ```
/// use chainring_net::{TcpListener, TcpStream};
///
/// # chainring_runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("[::1]:0".parse().unwrap())?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let server = listener.accept().await?;
/// client.write_all("hello").await.0?;
/// let (received, bytes) = server.read(vec![0; 16]).await;
/// assert_eq!((received?, &bytes[..]), (5, &b"hello"[..]));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpListener(Acceptor);

/// The connections of a [`TcpListener`]: see [`Incoming`](crate::Incoming).
pub type Incoming<'l> = accept::Incoming<'l, TcpStream>;

impl TcpListener {
    pub(super) fn from_descriptor(descriptor: Descriptor) -> TcpListener {
        TcpListener(Acceptor::new(descriptor))
    }

    /// Listens on `address`, with SO_REUSEADDR, and SO_REUSEPORT so that every core can have a listener of its
    /// own on the same port; the kernel spreads connections over them. TCP_NODELAY is set and inherited by
    /// the accepted streams. [`builder`](TcpListener::builder) has other choices.
    ///
    /// # Errors
    /// Those of socket(2), bind(2) and listen(2).
    pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
        TcpListener::builder().bind(address)
    }

    /// Choices for a listener.
    pub fn builder() -> TcpListenerBuilder {
        TcpListenerBuilder::new()
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        crate::socket::internet(socket2::SockRef::from(self).local_addr()?)
    }

    /// Takes one connection. Its peer's address is not asked for: [`TcpStream::peer_addr`] tells it where needed.
    ///
    /// Cancel safe, as tokio's: dropping the future loses no connection, so it may stand in a loop around `select!`. The
    /// operation is cancelled; a connection that was faster goes to the next `accept` or `incoming`, and is closed if the listener
    /// is dropped before.
    ///
    /// # Errors
    /// Those of accept(2). Where the process has no descriptors left, or the kernel no memory, the next call pauses
    /// for 50 ms; whoever connects meanwhile waits in the backlog.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        self.0.accept().await.map(TcpStream::from_descriptor)
    }

    /// Takes one connection as a [`DirectTcpStream`]. Where all places are taken the connection stays in the backlog.
    ///
    /// Not cancel safe, because its place is given back at once: dropping the future cancels, and closes a connection that
    /// it has accepted meanwhile. In a loop around `select!` take the next of
    /// [`incoming_direct`](TcpListener::incoming_direct), which loses none.
    ///
    /// # Errors
    /// Those of accept(2). ENFILE if all direct descriptors of the runtime are taken; the next call pauses for 50 ms
    /// then. [`Unsupported`](io::ErrorKind::Unsupported) if the runtime was built without
    /// [`Builder::direct_descriptors`](chainring_runtime::Builder::direct_descriptors).
    ///
    /// Do not have the listener [linger](TcpListener::set_linger): closing a direct descriptor makes the core wait.
    pub async fn accept_direct(&self) -> io::Result<DirectTcpStream> {
        self.0.accept_direct().await.map(DirectTcpStream)
    }

    /// Takes connections as direct descriptors again and again; see [`IncomingDirect`].
    pub fn incoming_direct(&self) -> IncomingDirect<'_> {
        IncomingDirect::new(self)
    }

    /// Takes connections again and again; see [`Incoming`](crate::Incoming).
    pub fn incoming(&self) -> Incoming<'_> {
        Incoming::new(&self.0, TcpStream::from_descriptor)
    }
}

listener!(TcpListener, std::net::TcpListener, "TCP");
general_options!(TcpListener);
ip_options!(TcpListener);
tcp_options!(TcpListener);
listening_options!(TcpListener);
