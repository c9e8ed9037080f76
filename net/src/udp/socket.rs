//! A UDP socket.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufResult, BufferPool, IoBuf, IoBufMut};
use chainring_runtime::op::message::Control;
use chainring_runtime::op::recv::{Recv, recv};
use chainring_runtime::op::recv_multi::{RecvPooled, recv_pooled};
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::recvmsg_multi::{RecvMsgMulti, recvmsg_multi};
use chainring_runtime::op::send::{Send, send};
use chainring_runtime::op::send_to::{SendTo, send_to};
use chainring_runtime::op::send_zc::{SendZc, send_zc};
use chainring_runtime::op::{Multishot, Op};
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket, Type};

use crate::addresses::{ToSocketAddrs, resolve};

/// A UDP socket. Dropping it closes it, once its operations in flight have completed.
///
/// To give up waiting without losing the buffer or a datagram, bound [`readable`](UdpSocket::readable), not the receive.
///
/// ```
/// use std::time::Duration;
///
/// use chainring_net::UdpSocket;
/// use chainring_runtime::time::timeout;
///
/// # chainring_runtime::Runtime::new().unwrap().block_on(async {
/// let server = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// let client = UdpSocket::bind("127.0.0.1:0".parse().unwrap())?;
/// client.send_to("ping", server.local_addr()?).await.0?;
/// timeout(Duration::from_secs(1), server.readable()).await??;
/// let (received, bytes) = server.recv_from(vec![0; 16]).await;
/// let (len, from) = received?;
/// assert_eq!((&bytes[..len], from), (&b"ping"[..], client.local_addr()?));
/// # std::io::Result::Ok(()) }).unwrap();
/// ```
#[derive(Debug)]
pub struct UdpSocket(pub(super) Descriptor);

impl UdpSocket {
    /// A socket on `address`; with port 0 the system chooses one.
    ///
    /// # Errors
    /// Those of socket(2) and bind(2).
    pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
        let socket = UdpSocket::unbound(address.is_ipv6())?;
        socket.bind_to(address)?;
        Ok(socket)
    }

    /// A socket without an address, for IPv4 or IPv6, to be given options before it is
    /// [bound](UdpSocket::bind_to). It gets an address by itself when it first sends.
    ///
    /// # Errors
    /// Those of socket(2).
    pub fn unbound(v6: bool) -> io::Result<UdpSocket> {
        let domain = if v6 { Domain::IPV6 } else { Domain::IPV4 };
        Ok(OwnedFd::from(Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?).into())
    }

    /// Binds an [unbound](UdpSocket::unbound) socket.
    ///
    /// # Errors
    /// Those of bind(2).
    pub fn bind_to(&self, address: SocketAddr) -> io::Result<()> {
        SockRef::from(self).bind(&SockAddr::from(address))
    }

    /// Sets whom [`send`](UdpSocket::send) sends to, and the only one to receive from: the first of the addresses of
    /// `host` that can be. Nothing is sent.
    ///
    /// Dropping the future leaves the socket as it was.
    ///
    /// # Errors
    /// Those of the resolver and of connect(2).
    pub async fn connect(&self, host: impl ToSocketAddrs) -> io::Result<()> {
        let mut last = io::Error::new(io::ErrorKind::InvalidInput, "there is no address to connect to");
        for address in resolve(host).await? {
            match SockRef::from(self).connect(&address.into()) {
                Ok(()) => return Ok(()),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Sends a datagram to the peer that the socket is connected to.
    ///
    /// Dropping the future cancels; the datagram may have been sent.
    ///
    /// # Errors
    /// Those of send(2); ECONNREFUSED if an earlier datagram met nobody, EMSGSIZE if it is too long.
    pub fn send<B: IoBuf>(&self, datagram: B) -> Op<Send<B>> {
        send(&self.0, datagram, 0)
    }

    /// As [`send`](UdpSocket::send), but the network card reads the buffer itself (kernel 6.0). Completes when the kernel
    /// is done with it.
    ///
    /// Dropping the future cancels; the datagram may have been sent. The buffer is kept until the kernel is done with it.
    ///
    /// # Errors
    /// As [`send`](UdpSocket::send).
    pub fn send_zero_copy<B: IoBuf>(&self, datagram: B) -> Op<SendZc<B>> {
        send_zc(&self.0, datagram, 0)
    }

    /// Sends a datagram to `to`.
    ///
    /// Dropping the future cancels; the datagram may have been sent.
    ///
    /// # Errors
    /// Those of sendto(2); EMSGSIZE if it is too long.
    pub fn send_to<B: IoBuf>(&self, datagram: B, to: SocketAddr) -> Op<SendTo<B>> {
        send_to(&self.0, datagram, to.into(), 0)
    }

    /// Receives a datagram, from anybody or from the peer that the socket is connected to. What does not fit into the
    /// room of `buffer` is cut off, and no error: [`recv_multi`](UdpSocket::recv_multi) and
    /// [`recvmsg`](chainring_runtime::op::recvmsg) tell.
    ///
    /// Dropping the future cancels; a datagram that was taken from the socket already is lost with it.
    ///
    /// # Errors
    /// Those of recv(2); ECONNREFUSED if a datagram that was sent to the peer met nobody.
    pub fn recv<B: IoBufMut>(&self, buffer: B) -> Op<Recv<B>> {
        recv(&self.0, buffer, 0)
    }

    /// As [`recv`](UdpSocket::recv), but the datagram stays in the socket to be received again. Dropping the future loses
    /// nothing.
    pub fn peek<B: IoBufMut>(&self, buffer: B) -> Op<Recv<B>> {
        recv(&self.0, buffer, libc::MSG_PEEK)
    }

    /// As [`recv`](UdpSocket::recv), into a buffer of `pool`, which is taken when the datagram has arrived.
    ///
    /// Dropping the future cancels; a datagram that was taken from the socket already is lost with it.
    ///
    /// # Errors
    /// Those of recv(2); ENOBUFS if all of the pool's buffers are in use.
    pub fn recv_pooled(&self, pool: &BufferPool) -> Op<RecvPooled> {
        recv_pooled(&self.0, pool, 0)
    }

    /// As [`recv`](UdpSocket::recv), with the address of the sender.
    ///
    /// Dropping the future cancels; a datagram that was taken from the socket already is lost with it.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub async fn recv_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        self.message(buffer, 0).await
    }

    /// As [`recv_from`](UdpSocket::recv_from), but the datagram stays in the socket to be received again. Dropping the
    /// future loses nothing.
    pub async fn peek_from<B: IoBufMut>(&self, buffer: B) -> BufResult<(usize, SocketAddr), B> {
        self.message(buffer, libc::MSG_PEEK).await
    }

    async fn message<B: IoBufMut>(&self, buffer: B, flags: i32) -> BufResult<(usize, SocketAddr), B> {
        let (result, [buffer]) = recvmsg(&self.0, [buffer], Control::new(), flags).await;
        let received = result.and_then(|message| Ok((message.len, sender(message.from)?)));
        (received, buffer)
    }

    /// Receives datagrams, with their senders, into buffers of `pool` again and again, with one submission (kernel
    /// 6.0), as a stream. The pool's buffers have to be larger than the datagrams by
    /// [`DATAGRAM_OVERHEAD`](super::DATAGRAM_OVERHEAD). It ends after an error, ENOBUFS among them, and now and then
    /// without one: call this again to go on. It receives as long as it exists, polled or not.
    ///
    /// Dropping it cancels; datagrams that were received and not taken are lost.
    ///
    /// # Errors
    /// Those of recvmsg(2); ENOBUFS if all of the pool's buffers are in use.
    pub fn recv_multi(&self, pool: &BufferPool) -> Multishot<RecvMsgMulti> {
        recvmsg_multi(&self.0, pool, 0)
    }
}

pub(super) fn sender(from: Option<SockAddr>) -> io::Result<SocketAddr> {
    let address = from.and_then(|address| address.as_socket());
    address.ok_or_else(|| io::Error::other("a datagram without the address of its sender"))
}

socket!(UdpSocket, std::net::UdpSocket, "UDP socket");
into_std!(UdpSocket, std::net::UdpSocket);
internet_addresses!(UdpSocket);
readable!(UdpSocket);
writable!(UdpSocket);
general_options!(UdpSocket);
ip_options!(UdpSocket);
udp_options!(UdpSocket);
