//! What hyper asks of a runtime: streams, an executor, and a timer.

mod executor;
mod timer;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

pub use executor::Executor;
pub use timer::Timer;

reads_into_cursor!(Read, ReadBufCursor<'_>);
writes_through!(Write, poll_shutdown, is_write_vectored);
