//! Copying a file inside the kernel.

use std::io;
use std::path::Path;

use crate::blocking::blocking;

/// Copies the contents and the permissions of `from` to `to`, and gives the number of bytes. A file at `to` is
/// overwritten.
///
/// `to` is cut off before anything is read: if it is the same file as `from`, its contents are lost.
///
/// On the blocking pool, by copy_file_range(2), which shares the blocks (reflink) where the file system can, and
/// otherwise copies inside the kernel; only between file systems that cannot even do that the bytes pass through
/// user space. If the future is dropped, a copy that has begun goes on.
///
/// # Errors
/// Those of open(2), copy_file_range(2) and fchmod(2); `to` may have a part of the bytes then.
pub async fn copy(from: impl AsRef<Path>, to: impl AsRef<Path>) -> io::Result<u64> {
    let (from, to) = (from.as_ref().to_owned(), to.as_ref().to_owned());
    blocking(move || std::fs::copy(from, to)).await
}
