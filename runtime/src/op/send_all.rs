//! send_all: send until everything is sent (send(2) with `MSG_WAITALL`, `IORING_OP_SEND`).

use std::future::Future;
use std::io;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::send::{FACTS, template};
use super::{Completion, Facts, Op, Operation};
use crate::buf::{BufResult, IoBuf};
use crate::descriptor::Descriptor;
use crate::ring::Prepared;

/// A buffer of which a part has been sent. See [`send_all`].
#[derive(Debug)]
pub struct Rest<B> {
    socket: Descriptor,
    buffer: B,
    sent: usize,
}

impl<B: IoBuf> Operation for Rest<B> {
    /// The end, or what is still to be sent.
    type Output = ControlFlow<BufResult<(), B>, Self>;
    const FACTS: Facts = FACTS;

    fn prepare<'a>(&'a mut self) -> Prepared<'a> {
        Prepared::new(template(libc::MSG_WAITALL), self.socket.raw()).reads_from(&self.buffer, self.sent)
    }

    fn complete(self, completion: Completion) -> Self::Output {
        let n = match completion.count() {
            Ok(n) => n,
            Err(error) => return ControlFlow::Break((Err(error), self.buffer)),
        };
        let sent = self.sent + n;
        if sent >= self.buffer.as_bytes().len() {
            ControlFlow::Break((Ok(()), self.buffer))
        } else if n == 0 {
            ControlFlow::Break((Err(io::ErrorKind::WriteZero.into()), self.buffer))
        } else {
            ControlFlow::Continue(Rest { sent, ..self })
        }
    }
}

/// Sends all of `buffer`: in one operation where the kernel manages, else in several. `MSG_NOSIGNAL` is always set.
///
/// Dropping the future cancels; it is not known how much was sent before.
///
/// # Errors
/// Those of send(2); part of the buffer may have been sent then.
pub fn send_all<B: IoBuf>(socket: &Descriptor, buffer: B) -> SendAll<B> {
    SendAll(Op::new(Rest { socket: socket.clone(), buffer, sent: 0 }))
}

/// The future of [`send_all`].
#[must_use = "an operation does nothing unless it is awaited"]
#[derive(Debug)]
pub struct SendAll<B: IoBuf>(Op<Rest<B>>);

impl<B: IoBuf> Future for SendAll<B> {
    type Output = BufResult<(), B>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            match ready!(Pin::new(&mut self.0).poll(cx)) {
                ControlFlow::Break(result) => return Poll::Ready(result),
                ControlFlow::Continue(rest) => self.0 = Op::new(rest),
            }
        }
    }
}
