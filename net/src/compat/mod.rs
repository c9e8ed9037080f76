//! Streams for code that reads into and writes from borrowed memory: the traits of the futures crates, of tokio and
//! of hyper, each behind its feature.
//!
//! # Who owns what
//!
//! The kernel works on memory that outlives any borrow, so a [`Compat`] owns buffers of its own and copies. It has
//! at most one receive and one send in flight, which stay when the caller loses patience: a read that is given up
//! loses no bytes, and what a write has taken goes out.
//!
//! - *Reading*: what was received and not read yet is held, up to 8 KiB. With a [pool](Compat::pooled) there is
//!   memory only while there are bytes.
//! - *Writing*: a write copies up to 64 KiB, submits them and is done; it waits only for the one before. An error
//!   therefore shows at the write, flush or close that follows. Nothing is held back to be combined: a flush is
//!   needed to learn of errors, not to get bytes on their way.
//! - *Closing* flushes and then ends the writing direction.
//!
//! Dropping a `Compat` cancels its receive and closes the stream, except that what writes have taken still goes
//! out, in the background and for no longer than a minute.

mod reading;
mod writing;

/// The receiving trait of those who lend a cursor over memory.
#[cfg(any(feature = "tokio-io", feature = "hyper"))]
macro_rules! reads_into_cursor {
    ($trait:path, $cursor:ty) => {
        impl<S: $crate::compat::StreamSocket> $trait for $crate::compat::Compat<S> {
            fn poll_read(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                #[allow(unused_mut, reason = "tokio lends its cursor, hyper gives one")] mut to: $cursor,
            ) -> Poll<io::Result<()>> {
                let this = self.get_mut();
                if to.remaining() > 0 {
                    let bytes = std::task::ready!(this.reading.poll_fill(this.stream.socket(), cx))?;
                    let n = bytes.len().min(to.remaining());
                    to.put_slice(&bytes[..n]);
                    this.reading.consume(n);
                }
                Poll::Ready(Ok(()))
            }
        }
    };
}

/// The sending traits: they differ in what they call the end, and in whether they ask if vectored writes are any good.
macro_rules! writes_through {
    ($trait:path, $end:ident $(, $is_vectored:ident)?) => {
        impl<S: $crate::compat::StreamSocket> $trait for $crate::compat::Compat<S> {
            fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
                let this = self.get_mut();
                this.writing.poll_write(this.stream.socket(), [from], cx)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                from: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                let this = self.get_mut();
                this.writing.poll_write(this.stream.socket(), from.iter().map(|part| &**part), cx)
            }

            $(fn $is_vectored(&self) -> bool {
                true
            })?

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.writing.poll_flush(cx)
            }

            fn $end(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                let this = self.get_mut();
                this.writing.poll_close(this.stream.socket(), cx)
            }
        }
    };
}

#[cfg(feature = "futures-io")]
mod futures_io;
#[cfg(feature = "hyper")]
mod hyper;
#[cfg(feature = "tokio-io")]
mod tokio_io;

use chainring_runtime::Descriptor;
use chainring_runtime::buf::BufferPool;

#[cfg(feature = "hyper")]
pub use self::hyper::{Executor, Timer};
use reading::Reading;
use writing::Writing;

use crate::{TcpStream, UnixStream};

/// A stream with the asynchronous traits of others; see the [module](self).
#[derive(Debug)]
pub struct Compat<S> {
    stream: S,
    reading: Reading,
    writing: Writing,
}

/// The streams that there are adapters for.
pub trait StreamSocket: sealed::Sealed + Unpin {
    #[doc(hidden)]
    fn socket(&self) -> &Descriptor;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for TcpStream {}

impl StreamSocket for TcpStream {
    fn socket(&self) -> &Descriptor {
        self.descriptor()
    }
}

impl sealed::Sealed for UnixStream {}

impl StreamSocket for UnixStream {
    fn socket(&self) -> &Descriptor {
        self.descriptor()
    }
}

impl<S: StreamSocket> Compat<S> {
    /// An adapter that receives into a buffer of its own, which it keeps.
    pub fn new(stream: S) -> Self {
        Compat { stream, reading: Reading::own(), writing: Writing::new() }
    }

    /// An adapter that receives into the buffers of `pool`, each for as long as it takes to read it: for connections
    /// that are idle most of the time. When the pool is exhausted it waits for a buffer.
    pub fn pooled(stream: S, pool: &BufferPool) -> Self {
        Compat { stream, reading: Reading::pooled(pool), writing: Writing::new() }
    }

    /// The stream, for addresses and options. What is read from it past the adapter is missing there.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S> Drop for Compat<S> {
    fn drop(&mut self) {
        self.writing.finish_in_background();
    }
}
