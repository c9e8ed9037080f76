//! A file behind the poll-based traits of others (features `futures-io`, `tokio-io`).
//!
//! Those lend a buffer for the length of a poll, and the kernel needs one for longer. So a [`Compat`] owns the file and
//! one buffer, and copies. The buffer is either what was read ahead, or what is being written; the file's own position
//! is ahead by what was read and not yet taken, and is set back before anything is written.

/// What the traits of both have in common: all but reading, seeking and what they call the end.
macro_rules! buffered {
    ($buf_read:path, $write:path, $end:ident) => {
        impl $buf_read for $crate::compat::Compat {
            fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
                self.get_mut().transfer.poll_fill(cx)
            }

            fn consume(mut self: Pin<&mut Self>, n: usize) {
                self.transfer.consume(n);
            }
        }

        impl $write for $crate::compat::Compat {
            fn poll_write(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                data: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.transfer.poll_write_some(cx, data)
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.transfer.poll_written(cx)
            }

            fn $end(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.transfer.poll_written(cx)
            }
        }
    };
}

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use chainring_runtime::Handle;
use chainring_runtime::buf::{IoBuf, Slice};
use chainring_runtime::op::Op;
use chainring_runtime::op::read::{Read, read_at};
use chainring_runtime::op::write::{Write, write_at};

use crate::File;
use crate::file::mend;

/// Bytes of the buffer.
const BUFFER: usize = 64 * 1024;
/// "At the file's own position."
const OWN: u64 = u64::MAX;

/// A file that implements `AsyncRead`, `AsyncWrite` and `AsyncSeek` of the `futures-io` and of the `tokio` crate.
///
/// A write is done when it is flushed: until then it may be under way, and its error is told by the next write, flush or
/// seek. Dropping the value lets the write that is under way go on in the background, and nobody learns how it went; the
/// end of the runtime cancels it. So does dropping the value outside of a runtime.
pub struct Compat {
    transfer: Transfer,
    /// Where a seek that has begun leads.
    #[cfg_attr(not(feature = "tokio-io"), allow(dead_code, reason = "tokio seeks in two steps"))]
    seeking: Option<SeekFrom>,
}

/// The file, and what is done to it. Dropping this cancels.
struct Transfer {
    file: File,
    state: State,
}

enum State {
    /// What was read and not taken is `bytes[taken..]`.
    Idle { bytes: Vec<u8>, taken: usize },
    /// And the position before.
    Reading(Op<Read<Vec<u8>>>, io::Result<u64>),
    /// How much of the buffer is written, and the position before.
    Writing(Op<Write<Slice<Vec<u8>>>>, usize, io::Result<u64>),
    /// Only while a state turns into the next.
    Turning,
}

impl State {
    const EMPTY: State = State::Idle { bytes: Vec::new(), taken: 0 };
}

impl File {
    /// The file behind the traits of `futures-io` and `tokio`, as the features say.
    pub fn compat(self) -> Compat {
        Compat { transfer: Transfer { file: self, state: State::EMPTY }, seeking: None }
    }
}

impl Compat {
    /// The file. Flush first what was written, which goes on in the background otherwise; and its position is ahead by what
    /// was read and not taken, unless you seek to where you are first.
    pub fn into_inner(self) -> File {
        self.transfer.file.share()
    }
}

impl Drop for Compat {
    fn drop(&mut self) {
        if !matches!(self.transfer.state, State::Writing(..)) {
            return;
        }
        if let Some(core) = Handle::try_current() {
            let state = std::mem::replace(&mut self.transfer.state, State::EMPTY);
            let mut rest = Transfer { file: self.transfer.file.share(), state };
            drop(core.spawn(async move { poll_fn(|cx| rest.poll_settled(cx)).await }));
        }
    }
}

impl Transfer {
    /// Ends what is under way.
    fn poll_settled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match &mut self.state {
                State::Idle { .. } => return Poll::Ready(Ok(())),
                State::Reading(read, before) => {
                    let (result, bytes) = ready!(Pin::new(read).poll(cx));
                    let before = std::mem::replace(before, Ok(0));
                    let result =
                        result.and_then(|n| mend(self.file.descriptor(), before, n, bytes.capacity()));
                    // A failed read has brought nothing.
                    let taken = if result.is_ok() { 0 } else { bytes.len() };
                    self.state = State::Idle { bytes, taken };
                    result?;
                }
                State::Writing(write, done, before) => {
                    let (result, slice) = ready!(Pin::new(write).poll(cx));
                    let (before, wanted) = (std::mem::replace(before, Ok(0)), slice.as_bytes().len());
                    let result = result.and_then(|n| mend(self.file.descriptor(), before, n, wanted));
                    let done = match result {
                        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                        Ok(n) => Ok(*done + n),
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(*done),
                        Err(error) => Err(error),
                    };
                    let bytes = slice.into_inner();
                    match done {
                        Ok(done) if done < bytes.len() => self.write(bytes, done),
                        done => {
                            let taken = bytes.len();
                            self.state = State::Idle { bytes, taken };
                            done?;
                        }
                    }
                }
                State::Turning => unreachable!("a state that turned into none"),
            }
        }
    }

    fn write(&mut self, bytes: Vec<u8>, done: usize) {
        let before = self.file.stream_position();
        self.state = State::Writing(write_at(self.file.descriptor(), bytes.slice(done..), OWN), done, before);
    }

    /// Bytes that were read and not taken; empty at the end of the file.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        loop {
            let was_reading = matches!(self.state, State::Reading(..));
            ready!(self.poll_settled(cx))?;
            let State::Idle { bytes, taken } = &mut self.state else { continue };
            if *taken < bytes.len() || was_reading {
                break;
            }
            let mut bytes = std::mem::take(bytes);
            self.state = State::Turning;
            bytes.clear();
            bytes.reserve_exact(BUFFER);
            let before = self.file.stream_position();
            self.state = State::Reading(read_at(self.file.descriptor(), bytes, OWN), before);
        }
        match &self.state {
            State::Idle { bytes, taken } => Poll::Ready(Ok(&bytes[*taken..])),
            _ => Poll::Pending,
        }
    }

    /// Takes some of what `poll_fill` gave.
    fn consume(&mut self, n: usize) {
        if let State::Idle { bytes, taken } = &mut self.state {
            *taken = (*taken + n).min(bytes.len());
        }
    }

    /// Ends what is under way, and sets the position back to what was taken.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_settled(cx))?;
        if let State::Idle { bytes, taken } = &mut self.state {
            let ahead = bytes.len() - *taken;
            if ahead > 0 {
                self.file.seek(SeekFrom::Current(-(ahead as i64)))?;
                *taken = bytes.len();
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Begins to write some of `data`, and says how much.
    fn poll_write_some(&mut self, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_idle(cx))?;
        let n = data.len().min(BUFFER);
        if n == 0 {
            return Poll::Ready(Ok(0));
        }
        if let State::Idle { bytes, .. } = &mut self.state {
            let mut bytes = std::mem::take(bytes);
            bytes.clear();
            bytes.extend_from_slice(&data[..n]);
            self.write(bytes, 0);
        }
        // Submitted now; it is waited for when there is more to do. An error that is there at once is told at once.
        match self.poll_settled(cx) {
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(n)),
        }
    }

    /// Waits until all is written, and leaves what was read ahead alone.
    fn poll_written(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.state {
            State::Writing(..) => self.poll_settled(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    fn poll_seek_to(&mut self, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        ready!(self.poll_idle(cx))?;
        Poll::Ready(self.file.seek(to))
    }
}

impl fmt::Debug for Compat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compat").field(&self.transfer.file).finish()
    }
}
