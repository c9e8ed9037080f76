//! seek: move a file's own position (lseek(2)). A system call, since io_uring has no opcode for it and it
//! hardly waits.

use std::io;
use std::os::fd::AsRawFd;
use std::os::fd::{AsFd, BorrowedFd};

use crate::descriptor::Descriptor;

/// Moves the file's own position to `offset`, seen from where `whence` (`SEEK_*`) says, and gives it in bytes
/// from the start. Done when it returns. With `SEEK_DATA` and `SEEK_HOLE` the file system may have to read its
/// own bookkeeping from the disk.
///
/// # Errors
/// Those of lseek(2): ESPIPE for what has no position, EINVAL before the start, ENXIO for a hole or data behind the
/// end.
pub fn seek(file: &Descriptor, offset: i64, whence: i32) -> io::Result<u64> {
    let file: BorrowedFd<'_> = file.as_fd();
    // SAFETY: takes numbers only, and the descriptor is open as long as it is borrowed.
    let position = unsafe { libc::lseek64(file.as_raw_fd(), offset, whence) };
    u64::try_from(position).map_err(|_| io::Error::last_os_error())
}
