//! One direction of a connection.

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chainring::buf::{BufferPool, IoBuf};
use chainring::net::TcpStream;

use crate::BUFFER;

/// Passes on what one side sends, until it has said all, which is passed on, too: true. False if the other side takes no
/// more: that is the end of this direction, and whether of the connection the other direction will see; there may be bytes
/// of it that have not been read. `last` is when bytes moved.
///
/// # Errors
/// If the side that is read from is gone.
pub(crate) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    pool: &BufferPool,
    last: &Cell<Instant>,
    passed: &AtomicU64,
) -> io::Result<bool> {
    loop {
        let sent = match from.read_pooled(pool).await {
            // Whoever reads slowly holds a buffer for as long as it likes, and nobody else is to wait for it.
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                from.readable().await?;
                let (read, bytes) = from.read(Vec::with_capacity(BUFFER as usize)).await;
                read?;
                send(to, bytes, last).await
            }
            bytes => send(to, bytes?, last).await,
        };
        match sent {
            Some(0) => {
                // It fails if the other side is gone.
                let _ = to.shutdown(Shutdown::Write).await;
                return Ok(true);
            }
            Some(len) => passed.fetch_add(len, Ordering::Relaxed),
            None => return Ok(false),
        };
    }
}

/// Sends what was received, and gives how much that is; none if it is not taken.
async fn send(to: &TcpStream, bytes: impl IoBuf, last: &Cell<Instant>) -> Option<u64> {
    let len = bytes.as_bytes().len() as u64;
    if len > 0 {
        last.set(chainring::time::now());
        to.write_all(bytes).await.0.ok()?;
        last.set(chainring::time::now());
    }
    Some(len)
}
