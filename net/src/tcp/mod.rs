//! TCP sockets.

mod builder;
mod direct;
mod listener;
mod socket;
mod split;
mod stream;

pub use builder::TcpListenerBuilder;
pub use direct::{DirectTcpStream, IncomingDirect};
pub use listener::{Incoming, TcpListener};
pub use socket::TcpSocket;
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;

/// From about how many bytes on sending without a copy is worth its overhead: pages to pin, and a second completion.
///
/// Measured over loopback, one send awaited after the other: two and a half times as slow at 4 KiB, even at 16 KiB,
/// twice as fast at 64 KiB. A network card that gathers is faster from fewer bytes on, one that does not (or a packet
/// that somebody else looks at) costs the copy all the same: measure, and choose.
pub const ZERO_COPY_FROM: usize = 32 << 10;
