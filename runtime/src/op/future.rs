//! The future of one operation.
//!
//! It owns the operation until its first poll. Then the slot does, and the future holds nothing but the
//! slot's place: dropping or leaking it can never free what the kernel still uses.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::Operation;
use crate::driver::Awaited;

/// An operation that is submitted when it is first polled, and completes with its result.
///
/// Dropping it after that detaches: the runtime asks the kernel to cancel, keeps everything that the kernel
/// may touch until it has finished, and closes a descriptor that arrives too late. Dropping never blocks and
/// never enters the kernel.
///
/// # Panics
/// If it is first polled outside of a runtime, or polled again after it has completed.
#[must_use = "an operation does nothing unless it is awaited"]
pub struct Op<T: Operation>(Awaited<T>);

impl<T: Operation> Op<T> {
    #[inline]
    pub(crate) fn new(operation: T) -> Self {
        Op(Awaited::new(operation))
    }

    /// Asks the kernel to cancel it, and goes on waiting: it completes with ECANCELED, unless it was faster. Nothing happens if it
    /// has not been submitted. Never blocks and never enters the kernel.
    pub fn cancel(&self) {
        self.0.cancel();
    }

    /// Whether it can be polled with success here: it has not been submitted, or to the runtime that the thread runs now.
    pub fn is_here(&self) -> bool {
        self.0.is_here()
    }
}

// The operation is only ever moved, never pinned inside the future: once submitted it lives in the slot.
impl<T: Operation> Unpin for Op<T> {}

impl<T: Operation> Future for Op<T> {
    type Output = T::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        self.0.poll(cx)
    }
}

impl<T: Operation> std::fmt::Debug for Op<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Op({}, {:?})", T::FACTS.name, self.0.stage())
    }
}
