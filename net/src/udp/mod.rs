//! UDP sockets.

mod segments;
mod socket;

pub use chainring_runtime::op::recvmsg_multi::{DATAGRAM_OVERHEAD, Datagram};
pub use segments::Segments;
pub use socket::UdpSocket;
