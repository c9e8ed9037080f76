//! A file's length and blocks.

use std::io;

use chainring_runtime::op::fadvise::fadvise;
use chainring_runtime::op::fallocate::fallocate;
use chainring_runtime::op::ftruncate::ftruncate;
use chainring_runtime::op::syscall::seek;

use super::File;

/// The longest range that the kernel takes in one advice, in whole MiB.
const ADVICE: u64 = 4095 << 20;

/// How a range of a file will be used (posix_fadvise(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Advice {
    /// In no particular way.
    Normal,
    /// From its start to its end: read further ahead.
    Sequential,
    /// Here and there: do not read ahead.
    Random,
    /// Once.
    NoReuse,
    /// Soon: begin to read it now.
    WillNeed,
    /// Not again soon: let go of what is cached and clean.
    DontNeed,
}

impl File {
    /// Cuts the file off, or extends it with a hole, at `len` bytes. Its own position stays.
    ///
    /// Linux 6.9; below that ftruncate(2) is called, which may wait for the disk.
    ///
    /// # Errors
    /// Those of ftruncate(2); EINVAL for a length that no file can have.
    pub async fn set_len(&self, len: u64) -> io::Result<()> {
        let len = i64::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        ftruncate(&self.0, len.cast_unsigned()).await
    }

    /// Has the disk set space aside for the `len` bytes from `offset` on, so that writes there cannot fail for lack
    /// of it. Extends the file if need be; what is new reads as zeros (fallocate(2)).
    ///
    /// # Errors
    /// Those of fallocate(2): ENOSPC, and EOPNOTSUPP where the file system cannot.
    pub async fn allocate(&self, offset: u64, len: u64) -> io::Result<()> {
        fallocate(&self.0, 0, offset, len).await
    }

    /// As [`allocate`](File::allocate), but the file stays as long as it is: for a log that grows into its space
    /// (`FALLOC_FL_KEEP_SIZE`).
    ///
    /// # Errors
    /// As [`allocate`](File::allocate).
    pub async fn reserve(&self, offset: u64, len: u64) -> io::Result<()> {
        fallocate(&self.0, libc::FALLOC_FL_KEEP_SIZE, offset, len).await
    }

    /// Gives the space of the `len` bytes from `offset` on back; they read as zeros, and the file stays as long as
    /// it is (`FALLOC_FL_PUNCH_HOLE`).
    ///
    /// # Errors
    /// Those of fallocate(2).
    pub async fn punch_hole(&self, offset: u64, len: u64) -> io::Result<()> {
        fallocate(&self.0, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, offset, len).await
    }

    /// Makes the `len` bytes from `offset` on read as zeros, and keeps space for them (`FALLOC_FL_ZERO_RANGE`).
    ///
    /// # Errors
    /// Those of fallocate(2).
    pub async fn zero_range(&self, offset: u64, len: u64) -> io::Result<()> {
        fallocate(&self.0, libc::FALLOC_FL_ZERO_RANGE, offset, len).await
    }

    /// Says how the `len` bytes (0: all) from `offset` on will be used.
    ///
    /// Dropping the future leaves a long range with the advice for a part of it.
    ///
    /// # Errors
    /// Those of posix_fadvise(2).
    pub async fn advise(&self, offset: u64, len: u64, advice: Advice) -> io::Result<()> {
        let advice = match advice {
            Advice::Normal => libc::POSIX_FADV_NORMAL,
            Advice::Sequential => libc::POSIX_FADV_SEQUENTIAL,
            Advice::Random => libc::POSIX_FADV_RANDOM,
            Advice::NoReuse => libc::POSIX_FADV_NOREUSE,
            Advice::WillNeed => libc::POSIX_FADV_WILLNEED,
            Advice::DontNeed => libc::POSIX_FADV_DONTNEED,
        };
        let (mut at, mut rest) = (offset, len);
        // Behind the end there is nothing to advise about, however long it is.
        if len > ADVICE && offset.saturating_add(len) >= self.end().await? {
            rest = 0;
        }
        while rest > ADVICE {
            fadvise(&self.0, at, ADVICE as u32, advice).await?;
            (at, rest) = (at.saturating_add(ADVICE), rest - ADVICE);
        }
        fadvise(&self.0, at, rest as u32, advice).await
    }

    /// Where a regular file ends; of what has no length of its own, where numbers do.
    async fn end(&self) -> io::Result<u64> {
        let metadata = self.metadata().await?;
        Ok(if metadata.is_file() { metadata.len() } else { i64::MAX as u64 })
    }

    /// The position of the first data at or behind `offset`; `None` if there is none. Moves the file's own position
    /// there (lseek(2), `SEEK_DATA`; the file system may have to read its bookkeeping).
    ///
    /// # Errors
    /// Those of lseek(2).
    pub fn seek_data(&mut self, offset: u64) -> io::Result<Option<u64>> {
        self.seek_for(offset, libc::SEEK_DATA)
    }

    /// The position of the first hole at or behind `offset`, the end of the file counting as one; `None` behind the
    /// end. Moves the file's own position there (lseek(2), `SEEK_HOLE`).
    ///
    /// # Errors
    /// Those of lseek(2).
    pub fn seek_hole(&mut self, offset: u64) -> io::Result<Option<u64>> {
        self.seek_for(offset, libc::SEEK_HOLE)
    }

    fn seek_for(&mut self, offset: u64, whence: i32) -> io::Result<Option<u64>> {
        match seek(&self.0, offset.cast_signed(), whence) {
            Ok(position) => Ok(Some(position)),
            Err(error) if error.raw_os_error() == Some(libc::ENXIO) => Ok(None),
            Err(error) => Err(error),
        }
    }
}
