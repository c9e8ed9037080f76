//! What io_uring has no opcode for, on the threads that may block.

use std::io;
use std::panic::resume_unwind;

use chainring_runtime::{JoinHandle, spawn_blocking};

/// Runs `work` on the blocking pool. Dropping the future keeps it from beginning, but not from ending.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let mut running = AbortOnDrop(spawn_blocking(work));
    match (&mut running.0).await {
        Ok(result) => result,
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        Err(_) => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
