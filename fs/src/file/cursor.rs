//! Reads and writes one after the other, at the file's own position. The kernel keeps it with the open file, so clones
//! share it, and it goes along into and out of the standard library.
//!
//! The kernel reads the position when it begins and moves it when it has finished; hence `&mut self`. If such a future
//! is dropped, the position may or may not have moved.
//!
//! One thing is mended here. If a transfer stops at an error after a part of it was done, io_uring reports the part, as
//! it should, and forgets to move the position (seen on 6.18 with a full disk): what comes next would be read twice, or
//! overwrite what was just written. So the position is asked for before, and set after a transfer that was short.

use std::io::{self, SeekFrom};

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufResult, IoBuf, IoBufMut};
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::syscall::seek;
use chainring_runtime::op::write::write_at;

use super::File;
use super::positional::ended;

/// "At the file's own position."
const OWN: u64 = u64::MAX;

/// What `read_to_end` asks for if the file does not say how long it is.
const GUESS: usize = 8 * 1024;
/// A file that was as long as it said is done with one more read, of this size.
const PROBE: usize = 32;

impl File {
    /// Reads what comes next, up to the room of `buffer`. Gives the number of bytes; 0 is the end of the file (or
    /// no room). A `Vec` then has exactly these bytes.
    ///
    /// Dropping the future asks for cancellation; the position may or may not have moved, and what was taken out of a
    /// pipe is lost.
    ///
    /// # Errors
    /// Those of read(2).
    pub async fn read<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<usize, B> {
        let (before, room) = (self.stream_position(), buffer.room_len());
        let (result, buffer) = read_at(&self.0, buffer, OWN).await;
        (result.and_then(|n| mend(&self.0, before, n, room)), buffer)
    }

    /// Reads until the room of `buffer` is full. For a part of it, give `buffer.slice(..n)`.
    ///
    /// Dropping the future loses what was read, as with [`read`](File::read).
    ///
    /// # Errors
    /// Those of read(2), and [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the file ends before. The buffer then
    /// has what came.
    pub async fn read_exact<B: IoBufMut>(&mut self, mut buffer: B) -> BufResult<(), B> {
        let (wanted, mut done) = (buffer.room_len(), 0);
        while done < wanted {
            // The first time as it is: so a `Vec` has exactly what came, whatever was in it.
            let (result, rest) = if done == 0 {
                self.read(buffer).await
            } else {
                let (result, rest) = self.read(buffer.slice(done..)).await;
                (result, rest.into_inner())
            };
            buffer = rest;
            match result {
                Ok(0) => return (Err(ended()), buffer),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// Reads until the end of the file, behind what `bytes` has, and says how much came.
    ///
    /// Dropping the future loses what was read, as with [`read`](File::read).
    ///
    /// # Errors
    /// Those of read(2); the buffer then has what came before.
    pub async fn read_to_end(&mut self, mut bytes: Vec<u8>) -> BufResult<usize, Vec<u8>> {
        // Only a hint: the file may grow or shrink, and special files say 0.
        if let (Ok(metadata), Ok(position)) = (self.metadata().await, self.stream_position()) {
            let rest = metadata.len().saturating_sub(position);
            if let Err(error) = bytes.try_reserve_exact(rest.min(isize::MAX as u64) as usize + PROBE) {
                return (Err(error.into()), bytes);
            }
        }
        let before = bytes.len();
        loop {
            if bytes.capacity() == bytes.len()
                && let Err(error) = bytes.try_reserve(GUESS)
            {
                return (Err(error.into()), bytes);
            }
            let len = bytes.len();
            let (result, rest) = self.read(bytes.slice(len..)).await;
            bytes = rest.into_inner();
            match result {
                Ok(0) => return (Ok(bytes.len() - before), bytes),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), bytes),
            }
        }
    }

    /// Writes some of `buffer`, and says how much.
    ///
    /// Dropping the future asks for cancellation; it is not known how much was written, nor whether the position has moved.
    ///
    /// # Errors
    /// Those of write(2).
    pub async fn write<B: IoBuf>(&mut self, buffer: B) -> BufResult<usize, B> {
        let (before, len) = (self.stream_position(), buffer.as_bytes().len());
        let (result, buffer) = write_at(&self.0, buffer, OWN).await;
        (result.and_then(|n| mend(&self.0, before, n, len)), buffer)
    }

    /// Writes all of `buffer`.
    ///
    /// Dropping the future leaves an unknown part written, as with [`write`](File::write).
    ///
    /// # Errors
    /// Those of write(2); a part may have been written then.
    pub async fn write_all<B: IoBuf>(&mut self, mut buffer: B) -> BufResult<(), B> {
        let (wanted, mut done) = (buffer.as_bytes().len(), 0);
        while done < wanted {
            let (result, rest) = self.write(buffer.slice(done..)).await;
            buffer = rest.into_inner();
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffer),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(()), buffer)
    }

    /// Moves the position, and gives it in bytes from the start (lseek(2), a system call that does not wait).
    ///
    /// # Errors
    /// Those of lseek(2): EINVAL before the start, ESPIPE for what has no position.
    pub fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let (offset, whence) = match to {
            SeekFrom::Start(offset) => (offset.cast_signed(), libc::SEEK_SET),
            SeekFrom::End(offset) => (offset, libc::SEEK_END),
            SeekFrom::Current(offset) => (offset, libc::SEEK_CUR),
        };
        seek(&self.0, offset, whence)
    }

    /// The position, in bytes from the start.
    ///
    /// # Errors
    /// ESPIPE for what has no position.
    pub fn stream_position(&self) -> io::Result<u64> {
        seek(&self.0, 0, libc::SEEK_CUR)
    }
}

/// Sees to it that the position has moved from where it was `before`, by the `n` bytes of `wanted` that were transferred.
/// What has no position needs nothing.
pub(crate) fn mend(file: &Descriptor, before: io::Result<u64>, n: usize, wanted: usize) -> io::Result<usize> {
    if let Ok(before) = before
        && 0 < n
        && n < wanted
        && seek(file, 0, libc::SEEK_CUR)? == before
    {
        seek(file, before.cast_signed() + n as i64, libc::SEEK_SET)?;
    }
    Ok(n)
}
