//! Reads and writes at a position. They leave the file's own position alone, and any number of them can be in flight
//! on one file; the kernel may do them in any order.
//!
//! A transfer can be short, at the end of the file or of the space on the disk. The forms called *exact* and *all* go
//! on where it stopped, and a failure in the middle is a failure of the whole.

use std::io;

use chainring_runtime::buf::{BufResult, FixedBuf, IoBuf, IoBufMut, IoVecBuf, IoVecBufMut};
use chainring_runtime::op::read::read_at;
use chainring_runtime::op::read_fixed::read_fixed_at;
use chainring_runtime::op::read_vectored::read_vectored_at;
use chainring_runtime::op::write::write_at;
use chainring_runtime::op::write_fixed::write_fixed_at;
use chainring_runtime::op::write_vectored::write_vectored_at;

use super::File;

/// A position that the kernel would take for "at the file's own".
const OWN: u64 = u64::MAX;

impl File {
    /// Reads at `offset` bytes into the file, up to the room of `buffer`. Gives the number of bytes; 0 is the end of
    /// the file (or no room). A `Vec` then has exactly these bytes.
    ///
    /// Dropping the future asks for cancellation; the buffer is kept until the kernel is done with it.
    ///
    /// # Errors
    /// Those of pread(2).
    pub async fn read_at<B: IoBufMut>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        match refuse(offset) {
            Ok(()) => read_at(&self.0, buffer, offset).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Reads at `offset` until the room of `buffer` is full. For a part of it, give `buffer.slice(..n)`.
    ///
    /// Dropping the future asks for cancellation; the buffer is kept until the kernel is done with it.
    ///
    /// # Errors
    /// Those of pread(2), and [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the file ends before. The buffer then
    /// has what came.
    pub async fn read_exact_at<B: IoBufMut>(&self, buffer: B, offset: u64) -> BufResult<(), B> {
        self.read_rest_at(buffer, offset, 0).await
    }

    async fn read_rest_at<B: IoBufMut>(
        &self,
        mut buffer: B,
        offset: u64,
        mut done: usize,
    ) -> BufResult<(), B> {
        let wanted = buffer.room_len();
        while done < wanted {
            let at = offset.wrapping_add(done as u64);
            // The first time as it is: so a `Vec` has exactly what came, whatever was in it.
            let (result, rest) = if done == 0 {
                self.read_at(buffer, at).await
            } else {
                let (result, rest) = self.read_at(buffer.slice(done..), at).await;
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

    /// Writes some of `buffer` at `offset` bytes into the file, and says how much.
    ///
    /// Dropping the future asks for cancellation; it is not known how much was written.
    ///
    /// # Errors
    /// Those of pwrite(2).
    pub async fn write_at<B: IoBuf>(&self, buffer: B, offset: u64) -> BufResult<usize, B> {
        match refuse(offset) {
            Ok(()) => write_at(&self.0, buffer, offset).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// Writes all of `buffer` at `offset`. On a file opened for appending: at its end, in one piece or, if the kernel
    /// stops in between, in several.
    ///
    /// Dropping the future asks for cancellation; it is not known how much was written.
    ///
    /// # Errors
    /// Those of pwrite(2); a part may have been written then.
    pub async fn write_all_at<B: IoBuf>(&self, buffer: B, offset: u64) -> BufResult<(), B> {
        self.write_rest_at(buffer, offset, 0).await
    }

    async fn write_rest_at<B: IoBuf>(&self, mut buffer: B, offset: u64, mut done: usize) -> BufResult<(), B> {
        let wanted = buffer.as_bytes().len();
        while done < wanted {
            let (result, rest) = self.write_at(buffer.slice(done..), offset.wrapping_add(done as u64)).await;
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

    /// Reads at `offset` into several buffers, in order (preadv(2)). Gives the number of bytes; 0 is the end of the
    /// file.
    ///
    /// # Errors
    /// Those of preadv(2); EINVAL for more than 1024 buffers.
    pub async fn read_vectored_at<B: IoVecBufMut>(&self, buffers: B, offset: u64) -> BufResult<usize, B> {
        match refuse(offset) {
            Ok(()) => read_vectored_at(&self.0, buffers, offset).await,
            Err(error) => (Err(error), buffers),
        }
    }

    /// Writes some of several buffers at `offset`, in order, and says how much (pwritev(2)).
    ///
    /// # Errors
    /// Those of pwritev(2); EINVAL for more than 1024 buffers.
    pub async fn write_vectored_at<B: IoVecBuf>(&self, buffers: B, offset: u64) -> BufResult<usize, B> {
        match refuse(offset) {
            Ok(()) => write_vectored_at(&self.0, buffers, offset).await,
            Err(error) => (Err(error), buffers),
        }
    }

    /// Reads at `offset` until the rooms of all buffers are full, in order.
    ///
    /// Dropping the future asks for cancellation; the buffers are kept until the kernel is done with them.
    ///
    /// # Errors
    /// Those of preadv(2), EINVAL for more than 1024 buffers, and [`UnexpectedEof`](io::ErrorKind::UnexpectedEof) if the
    /// file ends before. The buffers then have what came.
    pub async fn read_exact_vectored_at<B: IoVecBufMut>(
        &self,
        mut buffers: B,
        offset: u64,
    ) -> BufResult<(), B> {
        let (wanted, mut done) = (buffers.total_room(), 0);
        while done < wanted {
            let at = offset.wrapping_add(done as u64);
            // The first time as they are: so a `Vec` has exactly what came, whatever was in it.
            let (result, rest) = if done == 0 {
                self.read_vectored_at(buffers, at).await
            } else {
                let (result, rest) = self.read_vectored_at(buffers.skip(done), at).await;
                (result, rest.into_inner())
            };
            buffers = rest;
            match result {
                Ok(0) => return (Err(ended()), buffers),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffers),
            }
        }
        (Ok(()), buffers)
    }

    /// Writes all of all buffers at `offset`, in order. On a file opened for appending: at its end, in one piece or, if
    /// the kernel stops in between, in several.
    ///
    /// Dropping the future asks for cancellation; it is not known how much was written.
    ///
    /// # Errors
    /// Those of pwritev(2), EINVAL for more than 1024 buffers; a part may have been written then.
    pub async fn write_all_vectored_at<B: IoVecBuf>(&self, mut buffers: B, offset: u64) -> BufResult<(), B> {
        let (wanted, mut done) = (buffers.total_len(), 0);
        while done < wanted {
            let at = offset.wrapping_add(done as u64);
            let (result, rest) = self.write_vectored_at(buffers.skip(done), at).await;
            buffers = rest.into_inner();
            match result {
                Ok(0) => return (Err(io::ErrorKind::WriteZero.into()), buffers),
                Ok(n) => done += n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return (Err(error), buffers),
            }
        }
        (Ok(()), buffers)
    }

    /// As [`read_at`](File::read_at), into a registered buffer, whose pages the kernel need not look up.
    ///
    /// # Errors
    /// Those of pread(2); EFAULT if the buffer is registered with another runtime.
    pub async fn read_fixed_at(&self, buffer: FixedBuf, offset: u64) -> BufResult<usize, FixedBuf> {
        match refuse(offset) {
            Ok(()) => read_fixed_at(&self.0, buffer, offset).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// As [`read_exact_at`](File::read_exact_at), into a registered buffer, the whole of it.
    ///
    /// # Errors
    /// As [`read_exact_at`](File::read_exact_at) and [`read_fixed_at`](File::read_fixed_at).
    pub async fn read_exact_fixed_at(&self, buffer: FixedBuf, offset: u64) -> BufResult<(), FixedBuf> {
        match self.read_fixed_at(buffer, offset).await {
            (Ok(0), buffer) => (Err(ended()), buffer),
            // A rare short one goes on through the buffer's ordinary address.
            (Ok(n), buffer) => self.read_rest_at(buffer, offset, n).await,
            (Err(error), buffer) => (Err(error), buffer),
        }
    }

    /// As [`write_at`](File::write_at), from a registered buffer.
    ///
    /// # Errors
    /// Those of pwrite(2); EFAULT if the buffer is registered with another runtime.
    pub async fn write_fixed_at(&self, buffer: FixedBuf, offset: u64) -> BufResult<usize, FixedBuf> {
        match refuse(offset) {
            Ok(()) => write_fixed_at(&self.0, buffer, offset).await,
            Err(error) => (Err(error), buffer),
        }
    }

    /// As [`write_all_at`](File::write_all_at), from a registered buffer.
    ///
    /// # Errors
    /// As [`write_all_at`](File::write_all_at) and [`write_fixed_at`](File::write_fixed_at).
    pub async fn write_all_fixed_at(&self, buffer: FixedBuf, offset: u64) -> BufResult<(), FixedBuf> {
        match self.write_fixed_at(buffer, offset).await {
            (Ok(n), buffer) => self.write_rest_at(buffer, offset, n).await,
            (Err(error), buffer) => (Err(error), buffer),
        }
    }
}

/// The kernel would take the last position for the file's own.
#[inline]
fn refuse(offset: u64) -> io::Result<()> {
    if offset == OWN { Err(io::Error::from_raw_os_error(libc::EINVAL)) } else { Ok(()) }
}

#[cold]
pub(super) fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file ends before the buffer is full")
}
