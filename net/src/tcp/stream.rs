//! A TCP connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use chainring_runtime::Descriptor;
use chainring_runtime::op::Op;
use chainring_runtime::op::connect::connect;
use chainring_runtime::op::shutdown::{Shutdown, shutdown};
use chainring_runtime::op::socket::socket;
use chainring_runtime::time::{now, timeout};

use crate::addresses::{ToSocketAddrs, resolve};

/// A TCP connection. Dropping it closes it, once its operations in flight have completed.
///
/// Methods take `&self` and buffers by value. To read in one task and write in another, share it in an `Rc` or
/// [split](TcpStream::into_split) it. The room of a buffer is the capacity of a `Vec`, so one that is reused needs no
/// clearing:
///
/// ```
/// use chainring_net::{TcpListener, TcpStream};
///
/// # chainring_runtime::Runtime::new().unwrap().block_on(async {
/// let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
/// let client = TcpStream::connect(listener.local_addr()?).await?;
/// let (server, _) = (listener.accept().await?, client.write_all("to be continued").await.0?);
///
/// let mut buffer = Vec::with_capacity(8);
/// let mut all = Vec::new();
/// client.shutdown(std::net::Shutdown::Write).await?;
/// loop {
///     // The result, and the buffer, which comes back in any case.
///     let (received, bytes) = server.read(buffer).await;
///     if received? == 0 {
///         break;
///     }
///     all.extend_from_slice(&bytes);
///     buffer = bytes;
/// }
/// assert_eq!(all, b"to be continued");
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct TcpStream(pub(super) Descriptor);

impl TcpStream {
    /// Connects to `host`: an address, or a name, which is looked up off the core and whose addresses are tried one
    /// after the other.
    ///
    /// Dropping the future cancels the attempt.
    ///
    /// # Errors
    /// Those of the resolver, socket(2) and connect(2): of the last address that was tried.
    pub async fn connect(host: impl ToSocketAddrs) -> io::Result<TcpStream> {
        try_all(host, attempt).await
    }

    /// As [`connect`](TcpStream::connect), within `limit`, looking up included. What is left is shared evenly by the
    /// addresses that are left, so that one that does not answer does not use up the time of the others.
    ///
    /// Dropping the future cancels the attempt.
    ///
    /// # Errors
    /// `TimedOut` if no attempt has ended in time, else as [`connect`](TcpStream::connect).
    pub async fn connect_timeout(host: impl ToSocketAddrs, limit: Duration) -> io::Result<TcpStream> {
        let begin = now();
        let addresses = timeout(limit, resolve(host)).await??;
        let mut last = None;
        for (i, address) in addresses.iter().enumerate() {
            let left = limit.saturating_sub(now() - begin);
            let share = left / u32::try_from(addresses.len() - i).unwrap_or(u32::MAX);
            match timeout(share, attempt(*address)).await {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = Some(error),
                Err(elapsed) => last = Some(elapsed.into()),
            }
        }
        Err(last.unwrap_or_else(no_address))
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

/// The first connection that can be made.
pub(super) async fn try_all<S>(
    host: impl ToSocketAddrs,
    attempt: impl AsyncFn(SocketAddr) -> io::Result<S>,
) -> io::Result<S> {
    let mut last = None;
    for address in resolve(host).await? {
        match attempt(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(no_address))
}

pub(super) fn family(address: SocketAddr) -> i32 {
    if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 }
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Descriptor::new(socket(family(address), libc::SOCK_STREAM, libc::IPPROTO_TCP).await?);
    connect(&socket, address.into()).await?;
    Ok(TcpStream(socket))
}

fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to")
}

socket!(TcpStream, std::net::TcpStream, "TCP connection");
into_std!(TcpStream, std::net::TcpStream);
internet_addresses!(TcpStream);
reads!(TcpStream);
writes!(TcpStream);
zero_copy_writes!(TcpStream);
general_options!(TcpStream);
ip_options!(TcpStream);
tcp_options!(TcpStream);
