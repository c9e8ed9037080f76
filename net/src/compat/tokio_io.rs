//! The traits of tokio. They need nothing of tokio's runtime.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

reads_into_cursor!(AsyncRead, &mut ReadBuf<'_>);
writes_through!(AsyncWrite, poll_shutdown, is_write_vectored);
