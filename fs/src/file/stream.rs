//! A file read from front to back, with several reads in flight.
//!
//! The stream owns the reads that are in flight, oldest first, each of a block that begins where the one before it
//! ends. Only the oldest wakes the task: the others are waited for when it is their turn.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use chainring_runtime::Descriptor;
use chainring_runtime::buf::{BufResult, IoBufMut, Slice};
use chainring_runtime::op::Op;
use chainring_runtime::op::read::{Read, read_at};
use futures::Stream;
use futures::stream::FusedStream;

use super::File;

impl File {
    /// The contents of the file, from its start, in blocks of `block` bytes of which the last may be shorter; `depth`
    /// reads are kept in flight.
    ///
    /// # Panics
    /// If `depth` or `block` is 0.
    pub fn stream(
        &self,
        depth: usize,
        block: usize,
    ) -> ReadStream<Vec<u8>, impl FnMut() -> io::Result<Vec<u8>> + use<>> {
        assert!(block > 0, "blocks of nothing");
        self.stream_into(0, depth, move || Ok(Vec::with_capacity(block)))
    }

    /// As [`stream`](File::stream), from `offset` on and into buffers that `make` gives: aligned ones for O_DIRECT
    /// ([`DirectBuf`](crate::DirectBuf)), or used ones. Each block is as long as its buffer has room. The first item is
    /// the error EINVAL if no file has such an offset.
    ///
    /// # Panics
    /// If `depth` is 0.
    pub fn stream_into<B, F>(&self, offset: u64, depth: usize, make: F) -> ReadStream<B, F>
    where
        B: IoBufMut,
        F: FnMut() -> io::Result<B>,
    {
        self.read_stream(offset, None, depth, make)
    }

    /// As [`stream_into`](File::stream_into), but not beyond the end of `range`, even if the file goes on: a piece of
    /// data between two holes. The last block may be shorter than its buffer has room.
    ///
    /// # Panics
    /// If `depth` is 0.
    pub fn stream_range<B, F>(&self, range: Range<u64>, depth: usize, make: F) -> ReadStream<B, F>
    where
        B: IoBufMut,
        F: FnMut() -> io::Result<B>,
    {
        self.read_stream(range.start, Some(range.end), depth, make)
    }

    fn read_stream<B, F>(&self, next: u64, end: Option<u64>, depth: usize, make: F) -> ReadStream<B, F>
    where
        B: IoBufMut,
        F: FnMut() -> io::Result<B>,
    {
        assert!(depth > 0, "no read in flight");
        let reading = VecDeque::with_capacity(depth);
        ReadStream { file: self.0.clone(), make, depth, next, end, reading, ended: false }
    }
}

/// The blocks of a file, in order: a stream that is over after the end of the file, or after an error.
///
/// Dropping it asks for the cancellation of the reads in flight.
#[must_use = "a stream does nothing unless it is polled"]
pub struct ReadStream<B: IoBufMut, F> {
    file: Descriptor,
    make: F,
    depth: usize,
    /// Where the block begins that is not read yet.
    next: u64,
    /// Nothing is read from here on, however long the file is.
    end: Option<u64>,
    reading: VecDeque<Block<B>>,
    ended: bool,
}

struct Block<B: IoBufMut> {
    offset: u64,
    len: usize,
    /// Read of it so far; a short read goes on.
    done: usize,
    read: Op<Read<Slice<B>>>,
    /// It could not even be submitted.
    early: Option<BufResult<usize, Slice<B>>>,
}

impl<B: IoBufMut> Block<B> {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<usize, Slice<B>>> {
        match self.early.take() {
            Some(result) => Poll::Ready(result),
            None => Pin::new(&mut self.read).poll(cx),
        }
    }

    /// Submits a read, to be waited for later.
    fn submit(file: &Descriptor, buffer: B, offset: u64, len: usize, done: usize) -> Block<B> {
        // The first time afresh: so a `Vec` has exactly what came, whatever was in it.
        let room = if done == 0 { Slice::afresh(buffer, len) } else { buffer.slice(done..len) };
        let read = read_at(file, room, offset.saturating_add(done as u64));
        let mut block = Block { offset, len, done, read, early: None };
        if let Poll::Ready(result) = block.poll(&mut Context::from_waker(Waker::noop())) {
            block.early = Some(result);
        }
        block
    }
}

impl<B: IoBufMut, F: FnMut() -> io::Result<B>> ReadStream<B, F> {
    fn fill(&mut self) -> io::Result<()> {
        while self.reading.len() < self.depth && self.end.is_none_or(|end| self.next < end) {
            if self.next > i64::MAX as u64 {
                // No file is as long; and the last number would be the file's own position.
                let nothing_read = self.reading.is_empty();
                return if nothing_read { Err(io::Error::from_raw_os_error(libc::EINVAL)) } else { Ok(()) };
            }
            let mut buffer = (self.make)()?;
            let left = self.end.map_or(u64::MAX, |end| end - self.next);
            let len = buffer.room_len().min(usize::try_from(left).unwrap_or(usize::MAX));
            if len == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidInput, "a buffer without room"));
            }
            self.reading.push_back(Block::submit(&self.file, buffer, self.next, len, 0));
            self.next = self.next.saturating_add(len as u64);
        }
        Ok(())
    }

    fn end(&mut self) {
        self.ended = true;
        self.reading.clear();
    }
}

// Operations are moved, not pinned; the closure is only called.
impl<B: IoBufMut, F> Unpin for ReadStream<B, F> {}

impl<B: IoBufMut, F: FnMut() -> io::Result<B>> Stream for ReadStream<B, F> {
    type Item = io::Result<B>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        if let Err(error) = this.fill() {
            this.end();
            return Poll::Ready(Some(Err(error)));
        }
        loop {
            let Some(block) = this.reading.front_mut() else {
                this.ended = true;
                return Poll::Ready(None);
            };
            let (result, buffer) = ready!(block.poll(cx));
            let buffer = buffer.into_inner();
            let read = match result {
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    *block = Block::submit(&this.file, buffer, block.offset, block.len, block.done);
                    continue;
                }
                Err(error) => {
                    this.end();
                    return Poll::Ready(Some(Err(error)));
                }
            };
            let done = block.done + read;
            if read > 0 && done < block.len {
                *block = Block::submit(&this.file, buffer, block.offset, block.len, done);
                continue;
            }
            this.reading.pop_front();
            if read == 0 {
                this.end();
            }
            return Poll::Ready((done > 0).then_some(Ok(buffer)));
        }
    }
}

impl<B: IoBufMut, F: FnMut() -> io::Result<B>> FusedStream for ReadStream<B, F> {
    fn is_terminated(&self) -> bool {
        self.ended
    }
}

impl<B: IoBufMut, F> fmt::Debug for ReadStream<B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("ReadStream");
        debug.field("next", &self.next).field("in_flight", &self.reading.len()).finish_non_exhaustive()
    }
}
