//! TCP for [chainring](https://docs.rs/chainring).
//!
//! Sockets are ordinary descriptors, shared between the socket value and its operations in flight. All I/O takes
//! buffers by value and gives them back with the result, because the kernel works on them while the future waits
//! (or is long gone).

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

pub mod tcp;

pub use tcp::{TcpListener, TcpStream};
