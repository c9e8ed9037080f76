//! The directions of a TCP connection.

use super::TcpStream;

halves!(TcpStream);
internet_addresses!(OwnedReadHalf);
internet_addresses!(OwnedWriteHalf);
zero_copy_writes!(OwnedWriteHalf);
