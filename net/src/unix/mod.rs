//! Unix sockets: on paths, on abstract names, and without a name.
//!
//! Addresses are those of the standard library, [`std::os::unix::net::SocketAddr`]; an abstract name is made by
//! [`SocketAddrExt::from_abstract_name`](std::os::linux::net::SocketAddrExt::from_abstract_name).

mod address;
mod datagram;
mod listener;
mod rights;
mod split;
mod stream;

pub use chainring_runtime::op::sockopt::PeerCredentials;
pub use datagram::UnixDatagram;
pub use listener::{Incoming, UnixListener};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::UnixStream;
