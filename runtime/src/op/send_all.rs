//! send_all: send until everything is sent (send(2) with `MSG_WAITALL`, `IORING_OP_SEND`).

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::send::{FACTS, template};
use super::{Completion, Facts, Op, Operation};
use crate::buf::{BufResult, IoBuf};
use crate::descriptor::{AnyDescriptor, Descriptor};
use crate::ring::Prepared;

/// A buffer of which a part has been sent. See [`send_all`].
#[derive(Debug)]
pub struct Rest<B, D = Descriptor> {
    socket: D,
    buffer: B,
    sent: usize,
}

impl<B: IoBuf, D: AnyDescriptor> Operation for Rest<B, D> {
    /// How many bytes more were sent.
    type Output = (io::Result<usize>, Self);
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        let prepared = Prepared::on(template(libc::MSG_WAITALL), &self.socket);
        // Sending nothing would take the socket's error, or fail on a direction that has ended.
        prepared.reads_from(&self.buffer, self.sent).unless_empty()
    }

    fn complete(self, completion: Completion) -> Self::Output {
        // Field by field, so that they can stay in registers.
        let Rest { socket, buffer, sent } = self;
        (completion.count(), Rest { socket, buffer, sent })
    }
}

/// Sends all of `buffer`: in one operation where the kernel manages, else in several. `MSG_NOSIGNAL` is always set. An
/// empty buffer is sent without looking at the socket.
///
/// Dropping the future cancels; it is not known how much was sent before.
///
/// # Errors
/// Those of send(2); part of the buffer may have been sent then.
pub fn send_all<B: IoBuf, D: AnyDescriptor>(socket: &D, buffer: B) -> SendAll<B, D> {
    SendAll(Op::new(Rest { socket: socket.clone(), buffer, sent: 0 }))
}

/// The future of [`send_all`].
#[must_use = "an operation does nothing unless it is awaited"]
#[derive(Debug)]
pub struct SendAll<B: IoBuf, D: AnyDescriptor = Descriptor>(Op<Rest<B, D>>);

impl<B: IoBuf, D: AnyDescriptor> Future for SendAll<B, D> {
    type Output = BufResult<(), B>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // Taken apart for the same reason as in `complete`.
        let (result, Rest { socket, buffer, sent }) = ready!(Pin::new(&mut self.0).poll(cx));
        let n = match result {
            Ok(n) => n,
            Err(error) => return Poll::Ready((Err(error), buffer)),
        };
        let sent = sent + n;
        if sent >= buffer.as_bytes().len() {
            return Poll::Ready((Ok(()), buffer));
        }
        if n == 0 {
            return Poll::Ready((Err(io::ErrorKind::WriteZero.into()), buffer));
        }
        self.go_on(Rest { socket, buffer, sent }, cx);
        Poll::Pending
    }
}

impl<B: IoBuf, D: AnyDescriptor> SendAll<B, D> {
    /// The kernel stopped short: what is left is sent in the task's next turn.
    #[cold]
    #[inline(never)]
    fn go_on(&mut self, rest: Rest<B, D>, cx: &mut Context<'_>) {
        self.0 = Op::new(rest);
        cx.waker().wake_by_ref();
    }
}
