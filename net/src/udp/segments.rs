//! Many datagrams of one size as one message (udp(7), UDP_SEGMENT and UDP_GRO): the way through the network stack is
//! paid once for all of them.

use std::io;
use std::net::SocketAddr;

use chainring_runtime::buf::{BufResult, IoBuf, IoBufMut};
use chainring_runtime::op::Op;
use chainring_runtime::op::message::Control;
use chainring_runtime::op::recvmsg::recvmsg;
use chainring_runtime::op::sendmsg::{SendMsg, sendmsg};
use chainring_runtime::op::sockopt::set_option;

use super::UdpSocket;
use super::socket::sender;

/// linux/udp.h
const UDP_SEGMENT: i32 = 103;
const UDP_GRO: i32 = 104;
/// The control message of UDP_GRO: its head and an int, padded.
const ROOM: usize = 24;

/// What one receive has brought of datagrams of one size; see [`UdpSocket::recv_segments`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segments {
    /// The bytes of all of them.
    pub len: usize,
    /// The bytes of each, but for the last, which may be shorter.
    pub segment: usize,
    /// Who sent them.
    pub from: SocketAddr,
}

impl UdpSocket {
    /// Sends `buffer` as datagrams of `segment` bytes each, the last of which may be shorter (UDP_SEGMENT, GSO), to
    /// `to`, or to the peer of a connected socket. At most 64 KiB and 128 datagrams at once.
    ///
    /// Dropping the future cancels; they may have been sent.
    ///
    /// # Errors
    /// Those of sendmsg(2); EMSGSIZE if it is too much at once, EINVAL if a segment does not fit into a packet.
    pub fn send_segments<B: IoBuf>(
        &self,
        buffer: B,
        segment: u16,
        to: Option<SocketAddr>,
    ) -> Op<SendMsg<[B; 1]>> {
        let control = Control::new().with(libc::SOL_UDP, UDP_SEGMENT, &segment.to_ne_bytes());
        sendmsg(&self.0, [buffer], to.map(Into::into), control, 0)
    }

    /// Whether datagrams that arrive together from one sender may be received together (UDP_GRO), with
    /// [`recv_segments`](UdpSocket::recv_segments). Other receives then cannot tell them apart.
    ///
    /// Dropping the future asks for cancellation; it may be set all the same.
    ///
    /// # Errors
    /// Those of setsockopt(2).
    pub async fn set_receives_segments(&self, together: bool) -> io::Result<()> {
        set_option(&self.0, libc::SOL_UDP, UDP_GRO, together.into()).await
    }

    /// Receives one datagram, or several of one size where that is
    /// [allowed](UdpSocket::set_receives_segments). There should be room for 64 KiB: what does not fit is cut off.
    ///
    /// Dropping the future cancels; what was taken from the socket already is lost with it.
    ///
    /// # Errors
    /// Those of recvmsg(2).
    pub async fn recv_segments<B: IoBufMut>(&self, buffer: B) -> BufResult<Segments, B> {
        let (result, [buffer]) = recvmsg(&self.0, [buffer], Control::with_room(ROOM), 0).await;
        let segments = result.and_then(|message| {
            let mut sizes = message.control.iter().filter_map(|(level, kind, data)| {
                let is_size = (level, kind) == (libc::SOL_UDP, UDP_GRO);
                let size = data.get(..4).filter(|_| is_size)?;
                usize::try_from(i32::from_ne_bytes(size.try_into().ok()?)).ok()
            });
            let segment = sizes.next().unwrap_or(message.len);
            Ok(Segments { len: message.len, segment, from: sender(message.from)? })
        });
        (segments, buffer)
    }
}
