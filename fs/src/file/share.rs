//! Copying between two open files inside the kernel, on the blocking pool: io_uring has no opcode for it.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use chainring_runtime::op::syscall;

use super::File;
use crate::blocking::blocking;

/// What one visit to the pool copies at most, so that who is dropped meanwhile keeps a thread for a moment only.
const VISIT: u64 = 64 << 20;

impl File {
    /// Copies the bytes of a range to the position `at` of another file, and says how many there were: fewer if the file
    /// ends before. The kernel shares the blocks where the file system can, and copies them otherwise
    /// (copy_file_range(2), on the blocking pool). Holes may be filled with zeros.
    ///
    /// Dropping the future ends the copy after 64 MiB at most.
    ///
    /// # Errors
    /// Those of copy_file_range(2); EXDEV, EOPNOTSUPP or EINVAL for files between which the kernel cannot copy. A part
    /// may have been copied then.
    pub async fn copy_range(&self, range: Range<u64>, to: &File, at: u64) -> io::Result<u64> {
        let (mut offset, mut at) = (range.start, at);
        while offset < range.end {
            let (source, target) = (self.duplicate()?, to.duplicate()?);
            let len = (range.end - offset).min(VISIT) as usize;
            let copy = move || syscall::copy_file_range(source.as_fd(), offset, target.as_fd(), at, len);
            let copied = blocking(copy).await? as u64;
            if copied == 0 {
                break;
            }
            (offset, at) = (offset + copied, at + copied);
        }
        Ok(offset.saturating_sub(range.start))
    }

    /// Makes the contents of `to` those of this file, without copying them: both share all blocks until one is written
    /// to, holes are kept, and the length is the same (FICLONE, ioctl_ficlone(2), on the blocking pool).
    ///
    /// # Errors
    /// Those of ioctl_ficlone(2): EOPNOTSUPP where the file system cannot share blocks, EXDEV between file systems.
    pub async fn clone_to(&self, to: &File) -> io::Result<()> {
        let (source, target) = (self.duplicate()?, to.duplicate()?);
        blocking(move || syscall::clone_file(source.as_fd(), target.as_fd())).await
    }
}
