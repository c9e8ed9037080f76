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
    /// Moves the operation into a slot and submits it; or gives it back if the runtime is shutting down.
    pub(super) fn start(operation: T, cx: &Context<'_>) -> Result<Self, T> {
        let core = Handle::current();
        let key = core.driver().start(operation, Some(cx.waker().clone()))?;
        Ok(Held { core, key, operation: PhantomData })
    }
}

impl<T> Held<T> {
    /// The operation has been taken out of the slot: there is nothing to detach any more.
    #[inline]
    fn forget_slot(&mut self) {
        self.key = Key::NONE;
    }
}

impl<T> Drop for Held<T> {
    #[inline]
    fn drop(&mut self) {
        if self.key != Key::NONE {
            self.core.driver().detach(self.key);
        }
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
        if let State::InFlight(held) = &mut self.state {
            let Poll::Ready((operation, completion)) = held.core.driver().poll::<T>(held.key, cx) else {
                return Poll::Pending;
            };
            held.forget_slot();
            self.state = State::Done;
            return Poll::Ready(operation.complete(completion));
        }
        match std::mem::replace(&mut self.state, State::Done) {
            State::Unsubmitted(operation) => match Held::start(operation, cx) {
                Ok(held) => {
                    self.state = State::InFlight(held);
                    Poll::Pending
                }
                Err(operation) => Poll::Ready(operation.complete(Completion::refused(libc::ECANCELED))),
            },
            _ => panic!("an operation was polled after it had completed"),
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
