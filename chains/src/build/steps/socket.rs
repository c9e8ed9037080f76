//! Steps on sockets.

use std::net::SocketAddr;

use chainring_runtime::frame::Verb;

use super::super::Chain;
use super::io::TransferStep;
use crate::handle::{Outbox, Socket, Span, StreamBuf};
use crate::tree::{Compute, IoStep, Kind};

impl<S: 'static> Chain<S> {
    /// Receives what there is, at least one byte, into the front of `span`. Say `.into(reg)` to learn how much.
    ///
    /// The end of the stream fails the frame, unless the step says [`or_finish`](TransferStep::or_finish).
    pub fn recv(&mut self, socket: Socket, span: Span) -> TransferStep<'_> {
        self.io("recv", IoStep::new(Verb::Recv, socket.0, span))
    }

    /// Receives exactly `span`. An end of the stream in the middle is
    /// [`ErrorKind::Short`](crate::ErrorKind::Short).
    pub fn recv_exact(&mut self, socket: Socket, span: Span) -> TransferStep<'_> {
        self.io("recv_exact", IoStep::new(Verb::RecvExact, socket.0, span))
    }

    /// Receives what there is, at least one byte, behind the bytes of a stream buffer. If it is full, the frame fails
    /// with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds).
    ///
    /// A loop that sends and then fills submits both together. It begins with what looks at the buffer, and the buffer is
    /// filled once before it.
    pub fn fill(&mut self, socket: Socket, stream: StreamBuf) -> FillStep<'_> {
        let StreamBuf { buf, len, end, room, .. } = stream;
        self.push("fill", Kind::Compute(Compute::Compact(stream)));
        let number = self.steps;
        let io = IoStep { into: Some(room), ..IoStep::new(Verb::Recv, socket.0, buf.part(end, room)) };
        self.push_part(number, "fill", Kind::Io(io));
        self.push_part(number, "fill", Kind::Compute(Compute::Set(len, len + room)));
        // What is qualified is the receive.
        let block = self.blocks.last_mut().expect("the outermost block stays open");
        let receive = block.len() - 2;
        FillStep(TransferStep { step: &mut block[receive] })
    }

    /// Sends some of a span, at least one byte. Say `.into(reg)` to learn how much.
    pub fn send(&mut self, socket: Socket, span: Span) -> TransferStep<'_> {
        self.io("send", IoStep::new(Verb::Send, socket.0, span))
    }

    /// Sends all of a span, or of several in order.
    pub fn send_all(&mut self, socket: Socket, spans: impl IntoIterator<Item = Span>) -> TransferStep<'_> {
        self.io("send_all", IoStep::new(Verb::SendAll, socket.0, spans))
    }

    /// Sends everything that [`append`](Chain::append) and calls have put into an outbox, in order; it is empty then. If there is nothing, nothing is
    /// sent. What is more than 2 GiB fails the frame with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds).
    pub fn send_outbox(&mut self, socket: Socket, outbox: Outbox) {
        let io = IoStep { outbox: Some(outbox), ..IoStep::new(Verb::SendOutbox, socket.0, None) };
        self.io("send_outbox", io);
    }

    /// Ends the sending half of the connection: when the peer has read what was sent, it sees the end of the stream.
    /// The socket still receives.
    ///
    /// If the connection is gone the frame fails with ENOTCONN. The steps behind it are a submission of their own,
    /// because the kernel would start them although it failed; and the kernel hands it to a worker thread.
    pub fn shutdown(&mut self, socket: Socket) {
        self.io("shutdown", IoStep::new(Verb::Shutdown, socket.0, None));
    }

    /// Takes a connection from a listening socket, which the frame was [given](crate::Init::listener), into another of its
    /// sockets. One that was there before is closed. A connection that comes although the frame was cancelled is closed.
    ///
    /// This is for what belongs to one frame, a data connection for instance; [`serve`](crate::Program::serve) makes a
    /// frame for each connection.
    pub fn accept(&mut self, listener: Socket, socket: Socket) {
        let second = Some(listener.0);
        self.io("accept", IoStep { second, ..IoStep::new(Verb::Accept, socket.0, None) });
    }

    /// Makes a stream socket and connects it to `address`. A socket that was there before is closed.
    ///
    /// If the address does not answer the frame fails as connect(2) does: with ECONNREFUSED, EHOSTUNREACH, ETIMEDOUT.
    pub fn connect(&mut self, socket: Socket, address: SocketAddr) {
        let family = if address.is_ipv4() { libc::AF_INET } else { libc::AF_INET6 };
        self.io("connect", IoStep::new(Verb::Socket(family), socket.0, None));
        let number = self.steps;
        let bytes = self.constant(&sockaddr(address));
        self.push_part(number, "connect", Kind::Io(IoStep::new(Verb::Connect, socket.0, bytes.all())));
    }

    /// Waits until one of `events` (`POLL*` of poll(2)) holds. Say `.into(reg)` to learn which.
    ///
    /// The kernel also tells what nobody has asked for: POLLERR and POLLHUP as poll(2) does, and unlike it POLLRDHUP, when the
    /// peer sends no more. So a wait for POLLOUT alone may end before there is room; a send waits for that by itself.
    pub fn poll(&mut self, socket: Socket, events: u32) -> TransferStep<'_> {
        self.io("poll", IoStep::new(Verb::Poll(events), socket.0, None))
    }

    /// Closes a socket. Its place is vacant then; the steps behind it cannot use it before it is connected again.
    pub fn close(&mut self, socket: Socket) {
        self.io("close", IoStep::new(Verb::Close, socket.0, None));
    }
}

/// A `fill` that was just added, to be qualified.
#[derive(Debug)]
pub struct FillStep<'c>(TransferStep<'c>);

impl FillStep<'_> {
    /// The end of the stream ends the frame with success. Bytes that are still in the buffer are lost: a chain that wants
    /// to tell a stream that ends in the middle of something looks before it fills the buffer.
    pub fn or_finish(self) -> Self {
        FillStep(self.0.or_finish())
    }
}

/// `struct sockaddr_in` (ip(7)) or `struct sockaddr_in6` (ipv6(7)).
fn sockaddr(address: SocketAddr) -> Vec<u8> {
    match address {
        SocketAddr::V4(v4) => {
            let family = (libc::AF_INET as u16).to_ne_bytes();
            [&family[..], &v4.port().to_be_bytes(), &v4.ip().octets(), &[0; 8]].concat()
        }
        SocketAddr::V6(v6) => {
            let family = (libc::AF_INET6 as u16).to_ne_bytes();
            let (flow, scope) = (v6.flowinfo().to_be_bytes(), v6.scope_id().to_ne_bytes());
            [&family[..], &v6.port().to_be_bytes(), &flow, &v6.ip().octets(), &scope].concat()
        }
    }
}
