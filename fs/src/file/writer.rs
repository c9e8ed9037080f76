//! A file written from front to back, with several writes in flight.
//!
//! The writer owns the writes that are in flight, oldest first. The kernel may finish them in any order: what is on the
//! disk after a crash can have gaps. An error stays: from the first on nothing more is written, and every later call
//! tells it again, so that no part passes for the whole.

use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufResult, IoBuf, Slice};
use chainring_runtime::op::Op;
use chainring_runtime::op::write::{Write, write_at};

use super::File;

impl File {
    /// A writer that keeps up to `depth` writes in flight, the first at `offset`, each behind the one before. For
    /// O_DIRECT give it whole units ([`DirectBuf`](crate::DirectBuf)). Not for a file that was opened for appending: there
    /// the kernel puts each write where the end is when it begins, and they may begin in any order.
    ///
    /// # Panics
    /// If `depth` is 0.
    pub fn writer<B: IoBuf>(&self, offset: u64, depth: usize) -> Writer<B> {
        assert!(depth > 0, "no write in flight");
        let writing = VecDeque::with_capacity(depth);
        Writer { file: self.0.clone(), depth, next: offset, writing, failed: None }
    }
}

/// See [`File::writer`]. Call [`finish`](Writer::finish): dropping it asks for the cancellation of the writes in flight,
/// and nobody learns how they went.
#[must_use = "what is written is known when the writer is finished"]
pub struct Writer<B: IoBuf> {
    file: Descriptor,
    depth: usize,
    next: u64,
    writing: VecDeque<Piece<B>>,
    failed: Option<Failure>,
}

/// An error that can be told more than once.
#[derive(Clone, Copy)]
enum Failure {
    Errno(i32),
    Kind(io::ErrorKind),
}

impl From<Failure> for io::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Errno(errno) => io::Error::from_raw_os_error(errno),
            Failure::Kind(kind) => kind.into(),
        }
    }
}

struct Piece<B: IoBuf> {
    offset: u64,
    len: usize,
    /// Written of it so far; a short write goes on.
    done: usize,
    write: Op<Write<Slice<B>>>,
    /// It could not even be submitted.
    early: Option<BufResult<usize, Slice<B>>>,
}

impl<B: IoBuf> Piece<B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<usize, Slice<B>>> {
        match self.early.take() {
            Some(result) => Poll::Ready(result),
            None => Pin::new(&mut self.write).poll(cx),
        }
    }

    /// Submits a write, to be waited for later.
    fn submit(file: &Descriptor, buffer: B, offset: u64, len: usize, done: usize) -> Piece<B> {
        let write = write_at(file, buffer.slice(done..), offset.saturating_add(done as u64));
        let mut piece = Piece { offset, len, done, write, early: None };
        if let Poll::Ready(result) = piece.poll(&mut Context::from_waker(Waker::noop())) {
            piece.early = Some(result);
        }
        piece
    }
}

impl<B: IoBuf> Writer<B> {
    /// Begins to write `buffer` behind what was given before, as soon as fewer than the depth are in flight. Gives a
    /// buffer back that has been written, if one had to be waited for.
    ///
    /// Dropping the future while it waits drops the buffer, unwritten.
    ///
    /// # Errors
    /// Those of pwrite(2), of an earlier buffer. The writer stays failed.
    pub async fn write(&mut self, buffer: B) -> io::Result<Option<B>> {
        let mut written = None;
        while self.writing.len() >= self.depth {
            written = Some(poll_fn(|cx| self.poll_oldest(cx)).await?);
        }
        self.check()?;
        let len = buffer.as_bytes().len();
        if self.next.checked_add(len as u64).is_none_or(|end| end > i64::MAX as u64) {
            return Err(io::Error::from_raw_os_error(libc::EFBIG));
        }
        if len > 0 {
            self.writing.push_back(Piece::submit(&self.file, buffer, self.next, len, 0));
            self.next += len as u64;
        }
        Ok(written)
    }

    /// Waits until all that was given is written. Not until it is on the disk: see [`File::sync_data`].
    ///
    /// # Errors
    /// Those of pwrite(2). The writer stays failed.
    pub async fn flush(&mut self) -> io::Result<()> {
        while !self.writing.is_empty() {
            poll_fn(|cx| self.poll_oldest(cx)).await?;
        }
        self.check()
    }

    /// Waits until all that was given is written, and gives the position behind it.
    ///
    /// # Errors
    /// Those of pwrite(2); parts may have been written then.
    pub async fn finish(mut self) -> io::Result<u64> {
        self.flush().await?;
        Ok(self.next)
    }

    fn check(&self) -> io::Result<()> {
        self.failed.map_or(Ok(()), |failure| Err(failure.into()))
    }

    fn poll_oldest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<B>> {
        loop {
            self.check()?;
            let Some(piece) = self.writing.front_mut() else {
                // Only called while there is one.
                return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
            };
            let (result, buffer) = ready!(piece.poll(cx));
            let buffer = buffer.into_inner();
            let written = match result {
                Ok(0) => Err(Failure::Kind(io::ErrorKind::WriteZero)),
                Ok(written) => Ok(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                Err(error) => Err(error.raw_os_error().map_or(Failure::Kind(error.kind()), Failure::Errno)),
            };
            match written {
                Ok(written) if piece.done + written < piece.len => {
                    *piece = Piece::submit(&self.file, buffer, piece.offset, piece.len, piece.done + written);
                }
                Ok(_) => {
                    self.writing.pop_front();
                    return Poll::Ready(Ok(buffer));
                }
                Err(failure) => {
                    self.failed = Some(failure);
                    self.writing.clear();
                }
            }
        }
    }
}

impl<B: IoBuf> fmt::Debug for Writer<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Writer");
        debug.field("next", &self.next).field("in_flight", &self.writing.len()).finish_non_exhaustive()
    }
}
