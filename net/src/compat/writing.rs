//! The sending side of an adapter.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use chainring_runtime::buf::{BufResult, IoBuf, Slice};
use chainring_runtime::op::Op;
use chainring_runtime::op::send::{Send, send};
use chainring_runtime::op::shutdown::{Shutdown, shutdown};
use chainring_runtime::time::timeout;
use chainring_runtime::{Descriptor, Handle};

/// What one write takes at most.
const LIMIT: usize = 64 << 10;
/// A buffer with more room is not kept while there is nothing to send.
const KEPT: usize = 8 << 10;
/// How long what was taken may go on being sent after the adapter was dropped.
const AFTERWARDS: Duration = Duration::from_secs(60);

/// The send in flight.
pub(super) struct Writing(State);

enum State {
    /// Nothing to send; the buffer of the send before.
    Idle(Vec<u8>),
    Sending(Sending),
    /// Everything is sent, and the direction is being ended.
    Closing(Op<Shutdown>),
    /// The direction is ended, for good: asked again, it is still.
    Closed,
}

struct Sending {
    operation: Op<Send<Slice<Vec<u8>>>>,
    socket: Descriptor,
    sent: usize,
}

impl Sending {
    fn new(socket: &Descriptor, bytes: Vec<u8>) -> Self {
        Sending { operation: operation(socket, bytes, 0), socket: socket.clone(), sent: 0 }
    }

    /// Until all is sent, or an error. The buffer comes back in any case.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<BufResult<(), Vec<u8>>> {
        loop {
            let (result, rest) = ready!(Pin::new(&mut self.operation).poll(cx));
            let bytes = rest.into_inner();
            match result {
                Ok(0) => return Poll::Ready((Err(io::ErrorKind::WriteZero.into()), bytes)),
                Ok(n) if self.sent + n >= bytes.len() => return Poll::Ready((Ok(()), bytes)),
                Ok(n) => self.sent += n,
                Err(error) => return Poll::Ready((Err(error), bytes)),
            }
            self.operation = operation(&self.socket, bytes, self.sent);
        }
    }
}

fn operation(socket: &Descriptor, bytes: Vec<u8>, from: usize) -> Op<Send<Slice<Vec<u8>>>> {
    send(socket, bytes.slice(from..), libc::MSG_WAITALL)
}

impl Writing {
    pub(super) fn new() -> Self {
        Writing(State::Idle(Vec::new()))
    }

    /// Takes some of the bytes of `parts` and gives their number, when those before are sent.
    pub(super) fn poll_write<'a>(
        &mut self,
        socket: &Descriptor,
        parts: impl IntoIterator<Item = &'a [u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_flush(cx))?;
        let State::Idle(buffer) = &mut self.0 else { return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())) };
        buffer.clear();
        for part in parts {
            let room = LIMIT - buffer.len();
            buffer.extend_from_slice(&part[..part.len().min(room)]);
        }
        let taken = buffer.len();
        if taken == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut sending = Sending::new(socket, std::mem::take(buffer));
        // Submits it. Nobody waits: whoever comes next asks.
        if let Poll::Ready((result, bytes)) = sending.poll(&mut Context::from_waker(Waker::noop())) {
            self.0 = State::Idle(bytes);
            return Poll::Ready(result.map(|()| taken));
        }
        self.0 = State::Sending(sending);
        Poll::Ready(Ok(taken))
    }

    /// Waits until everything is sent.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.0 {
            State::Idle(_) => Poll::Ready(Ok(())),
            State::Sending(sending) => {
                let (result, bytes) = ready!(sending.poll(cx));
                self.0 = State::Idle(if bytes.capacity() > KEPT { Vec::new() } else { bytes });
                Poll::Ready(result)
            }
            // Its end is for `poll_close` to see, which would begin again otherwise.
            State::Closing(_) | State::Closed => Poll::Ready(Ok(())),
        }
    }

    /// Waits until everything is sent, and ends the direction.
    pub(super) fn poll_close(&mut self, socket: &Descriptor, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !matches!(self.0, State::Closing(_) | State::Closed) {
            ready!(self.poll_flush(cx))?;
            self.0 = State::Closing(shutdown(socket, std::net::Shutdown::Write));
        }
        self.poll_shutdown(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let State::Closing(operation) = &mut self.0 else { return Poll::Ready(Ok(())) };
        let result = ready!(Pin::new(operation).poll(cx));
        self.0 = State::Closed;
        Poll::Ready(match result {
            // Both sides were at an end already.
            Err(error) if error.raw_os_error() == Some(libc::ENOTCONN) => Ok(()),
            other => other,
        })
    }

    /// Lets what was taken go out although nobody asks any more.
    pub(super) fn finish_in_background(&mut self) {
        if !matches!(self.0, State::Sending(_)) {
            return;
        }
        let State::Sending(mut sending) = std::mem::replace(&mut self.0, State::Idle(Vec::new())) else {
            return;
        };
        // Without a runtime the ring is gone, and the send with it.
        if let Some(core) = Handle::try_current() {
            drop(core.spawn(async move { drop(timeout(AFTERWARDS, poll_fn(|cx| sending.poll(cx))).await) }));
        }
    }
}

impl fmt::Debug for Writing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            State::Idle(_) => "Writing(idle)",
            State::Sending(_) => "Writing(sending)",
            State::Closing(_) => "Writing(closing)",
            State::Closed => "Writing(closed)",
        })
    }
}
