//! What hyper asks of a runtime: streams, an executor, and a timer.

mod executor;
mod timer;

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::rt::{Read, ReadBufCursor, Write};

use super::{Compat, StreamSocket};

pub use executor::Executor;
pub use timer::Timer;

impl<S: StreamSocket> Read for Compat<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if to.remaining() > 0 {
            let bytes = ready!(this.reading.poll_fill(this.stream.socket(), cx))?;
            let n = bytes.len().min(to.remaining());
            to.put_slice(&bytes[..n]);
            this.reading.consume(n);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: StreamSocket> Write for Compat<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writing.poll_write(this.stream.socket(), [from], cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        this.writing.poll_write(this.stream.socket(), from.iter().map(|part| &**part), cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writing.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.writing.poll_close(this.stream.socket(), cx)
    }
}
