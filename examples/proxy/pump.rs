//! One direction of a connection.

use std::cell::Cell;
use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use chainring::buf::BufferPool;
use chainring::net::TcpStream;

/// Passes on what one side sends, until it has said all, which is passed on, too. `last` is when bytes moved.
///
/// If the other side takes no more, that is the end of this direction, and whether of the connection the other direction
/// will see: there may be bytes of it that have not been read.
///
/// # Errors
/// If the side that is read from is gone.
pub(crate) async fn pump(
    from: &TcpStream,
    to: &TcpStream,
    pool: &BufferPool,
    last: &Cell<Instant>,
    passed: &AtomicU64,
) -> io::Result<()> {
    loop {
        let bytes = match from.read_pooled(pool).await {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                pool.available().await;
                continue;
            }
            bytes => bytes?,
        };
        if bytes.is_empty() {
            // It fails if the other side is gone.
            let _ = to.shutdown(Shutdown::Write).await;
            return Ok(());
        }
        last.set(chainring::time::now());
        let len = bytes.len() as u64;
        if to.write_all(bytes).await.0.is_err() {
            return Ok(());
        }
        last.set(chainring::time::now());
        passed.fetch_add(len, Ordering::Relaxed);
    }
}
