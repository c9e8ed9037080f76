//! The future of one operation.
//!
//! It owns the operation until its first poll. Then the slot does, and the future holds nothing but the
//! slot's key: dropping or leaking it can never free what the kernel still uses.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Completion, Operation};
use crate::driver::Key;
use crate::exec::Handle;

/// An operation that is submitted when it is first polled, and completes with its result.
///
/// Dropping it after that detaches: the runtime asks the kernel to cancel, keeps everything that the kernel
/// may touch until it has finished, and closes a descriptor that arrives too late. Dropping never blocks and
/// never enters the kernel.
///
/// # Panics
/// If it is first polled outside of a runtime, or polled again after it has completed.
#[must_use = "an operation does nothing unless it is awaited"]
pub struct Op<T: Operation> {
    state: State<T>,
}

enum State<T> {
    Unsubmitted(T),
    InFlight(Held<T>),
    Done,
}

/// A slot that a future waits for. Dropping it detaches the slot.
pub(super) struct Held<T> {
    pub(super) core: Handle,
    pub(super) key: Key,
    operation: PhantomData<T>,
}

impl<T: Operation> Held<T> {
    /// Moves the operation into a slot and submits it. If it cannot be, gives it back with what to complete it
    /// with: the runtime is shutting down, or the kernel lacks the opcode.
    pub(super) fn start(mut operation: T, cx: &Context<'_>) -> Result<Self, (T, Completion)> {
        let core = Handle::current();
        if !core.driver().ring.offers(&T::FACTS) {
            let completion = operation.fallback().unwrap_or(Completion::lacking(T::FACTS.opcode));
            return Err((operation, completion));
        }
        match core.driver().start(operation, Some(cx.waker().clone())) {
            Ok(key) => Ok(Held { core, key, operation: PhantomData }),
            Err(operation) => Err((operation, Completion::refused(libc::ECANCELED))),
        }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        self.core.driver().detach(self.key);
    }
}

impl<T: Operation> Op<T> {
    pub(crate) fn new(operation: T) -> Self {
        Op { state: State::Unsubmitted(operation) }
    }
}

// The operation is only ever moved, never pinned inside the future: once submitted it lives in the slot.
impl<T: Operation> Unpin for Op<T> {}

impl<T: Operation> Future for Op<T> {
    type Output = T::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T::Output> {
        match std::mem::replace(&mut self.state, State::Done) {
            State::Unsubmitted(operation) => match Held::start(operation, cx) {
                Ok(held) => {
                    self.state = State::InFlight(held);
                    Poll::Pending
                }
                Err((operation, completion)) => Poll::Ready(operation.complete(completion)),
            },
            State::InFlight(held) => match held.core.driver().poll::<T>(held.key, cx) {
                // The slot is free now, its generation over: dropping `held` detaches nothing.
                Poll::Ready((operation, completion)) => Poll::Ready(operation.complete(completion)),
                Poll::Pending => {
                    self.state = State::InFlight(held);
                    Poll::Pending
                }
            },
            State::Done => panic!("an operation was polled after it had completed"),
        }
    }
}

impl<T: Operation> std::fmt::Debug for Op<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = match &self.state {
            State::Unsubmitted(_) => "unsubmitted",
            State::InFlight(_) => "in flight",
            State::Done => "done",
        };
        write!(f, "Op({}, {state})", T::FACTS.name)
    }
}
