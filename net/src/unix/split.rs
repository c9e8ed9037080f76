//! The directions of a Unix stream.

use super::UnixStream;
use super::address::unix_addresses;

halves!(UnixStream);
unix_addresses!(OwnedReadHalf);
unix_addresses!(OwnedWriteHalf);
