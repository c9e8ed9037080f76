//! `futures`.

use std::io::{self, SeekFrom};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::io::{AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite};

use super::Compat;

impl AsyncRead for Compat {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut [u8]) -> Poll<io::Result<usize>> {
        if to.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let bytes = ready!(self.transfer.poll_fill(cx))?;
        let n = bytes.len().min(to.len());
        to[..n].copy_from_slice(&bytes[..n]);
        self.transfer.consume(n);
        Poll::Ready(Ok(n))
    }
}

buffered!(AsyncBufRead, AsyncWrite, poll_close);

impl AsyncSeek for Compat {
    fn poll_seek(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: SeekFrom) -> Poll<io::Result<u64>> {
        self.transfer.poll_seek_to(cx, to)
    }
}
