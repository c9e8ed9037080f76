//! `tokio`.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, ReadBuf};

use super::Compat;

impl AsyncRead for Compat {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        to: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if to.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let bytes = ready!(self.transfer.poll_fill(cx))?;
        let n = bytes.len().min(to.remaining());
        to.put_slice(&bytes[..n]);
        self.transfer.consume(n);
        Poll::Ready(Ok(()))
    }
}

buffered!(AsyncBufRead, AsyncWrite, poll_shutdown);

impl AsyncSeek for Compat {
    fn start_seek(mut self: Pin<&mut Self>, to: SeekFrom) -> io::Result<()> {
        self.seeking = Some(to);
        Ok(())
    }

    fn poll_complete(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        // Without a seek that was begun: where we are.
        let to = self.seeking.unwrap_or(SeekFrom::Current(0));
        let position = ready!(self.transfer.poll_seek_to(cx, to));
        self.seeking = None;
        Poll::Ready(position)
    }
}
