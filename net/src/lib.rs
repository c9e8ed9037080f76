//! Sockets for [chainring](https://docs.rs/chainring): TCP, UDP, Unix, and names.
//!
//! # Who owns what
//!
//! A socket is an ordinary descriptor, shared between the socket value and its operations in flight: it is closed
//! when the value is dropped and the last operation has completed. All I/O takes buffers by value and gives them
//! back with the result, because the kernel works on them while the future waits (or is long gone).
//! A [`DirectTcpStream`](tcp::DirectTcpStream) is the same in the ring's own table of files.
//!
//! # Futures
//!
//! Methods take `&self`, so one task may read while another writes, and their futures borrow nothing. Where one
//! operation does the work its future is returned as it is, an [`Op`](chainring_runtime::op::Op): submitted when it
//! is first polled. Dropping it asks for cancellation; what that means for data is said at each method.
//! Everything that is not waited for (binding, options, addresses) is a system call on the spot.
//!
//! A socket's methods cover what servers need; [`descriptor`](TcpStream::descriptor) gives what all operations of
//! [`chainring_runtime::op`] take.
//!
//! # Features
//!
//! | feature | what it brings |
//! |---|---|
//! | `futures-io` | `AsyncRead` and `AsyncWrite` of the futures crates for `compat::Compat` |
//! | `tokio-io` | those of tokio |
//! | `hyper` | hyper's `Read`, `Write`, `Executor` and `Timer` |
//! | `rustls` | TLS over the streams, by rustls |

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

mod accept;
mod addresses;
#[macro_use]
mod options;
#[macro_use]
mod readiness;
#[macro_use]
mod socket;
#[macro_use]
mod stream;

#[cfg(any(feature = "futures-io", feature = "tokio-io", feature = "hyper"))]
pub mod compat;
pub mod tcp;
#[cfg(feature = "rustls")]
pub mod tls;
pub mod udp;
pub mod unix;

pub use accept::Incoming;
pub use addresses::{ToSocketAddrs, lookup_host};
pub use tcp::{TcpListener, TcpSocket, TcpStream};
pub use udp::UdpSocket;
pub use unix::{UnixDatagram, UnixListener, UnixStream};
