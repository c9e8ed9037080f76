//! The stream of an operation that completes again and again.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::Stream;

use super::future::Held;
use super::{Completion, Operation};
use crate::exec::budget;

/// An operation of which one submission gives many results.
pub trait Repeats: Operation {
    /// What each completion gives.
    type Item;

    /// Reads one of them.
    fn item(completion: Completion) -> Self::Item;
}

/// A multishot operation, submitted when it is first polled. Ends when the kernel says that no more will
/// come: after an error always, and now and then without one.
///
/// Dropping it cancels the operation and closes descriptors that nobody has taken.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Multishot<T: Repeats> {
    state: State<T>,
}

enum State<T> {
    Unsubmitted(T),
    InFlight(Held<T>),
    Ended,
}

impl<T: Repeats> Multishot<T> {
    pub(crate) fn new(operation: T) -> Self {
        Multishot { state: State::Unsubmitted(operation) }
    }
}

impl<T: Repeats> Multishot<T> {
    /// Asks the kernel to end it. What has completed until then is still given out, and then the stream ends,
    /// with an item of the error ECANCELED unless it had ended by itself.
    pub fn stop(&mut self) {
        match &self.state {
            State::Unsubmitted(_) => self.state = State::Ended,
            State::InFlight(held) => held.core.driver().cancel(held.key),
            State::Ended => {}
        }
    }
}

impl<T: Repeats> Unpin for Multishot<T> {}

impl<T: Repeats> Stream for Multishot<T> {
    type Item = T::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Unsubmitted(operation) => match Held::start(operation, cx) {
                Ok(held) => {
                    self.state = State::InFlight(held);
                    Poll::Pending
                }
                Err(_) => Poll::Ready(Some(T::item(Completion::refused(libc::ECANCELED)))),
            },
            State::InFlight(held) => {
                // Results may have piled up: a task that takes them all would starve the others.
                if budget::spend(held.core.core(), cx).is_pending() {
                    self.state = State::InFlight(held);
                    return Poll::Pending;
                }
                let driver = held.core.driver();
                if let Some(completion) = driver.take_early(held.key) {
                    self.state = State::InFlight(held);
                    return Poll::Ready(Some(T::item(completion)));
                }
                match driver.poll::<T>(held.key, cx) {
                    Poll::Ready((_, last)) => Poll::Ready(Some(T::item(last))),
                    Poll::Pending => {
                        self.state = State::InFlight(held);
                        Poll::Pending
                    }
                }
            }
            State::Ended => Poll::Ready(None),
        }
    }
}

impl<T: Repeats> std::fmt::Debug for Multishot<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Multishot({})", T::FACTS.name)
    }
}
