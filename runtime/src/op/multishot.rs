//! The stream of an operation that completes again and again.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures::Stream;

use super::{Completion, Operation};
use crate::driver::Held;
use crate::exec::budget;

/// An operation of which one submission gives many results.
pub trait Repeats: Operation {
    /// What each completion gives.
    type Item;
    /// What is needed to read a completion besides itself, once the operation is in its slot.
    type Reader: Unpin;

    /// The reader of this operation's completions.
    fn reader(&self) -> Self::Reader;

    /// Reads one of them.
    fn item(reader: &mut Self::Reader, completion: Completion) -> Self::Item;

    /// What the completion before has left to be given out.
    fn rest(_reader: &mut Self::Reader) -> Option<Self::Item> {
        None
    }
}

/// A multishot operation, submitted when it is first polled. Ends when the kernel says that no more will
/// come: after an error always, and now and then without one.
///
/// Dropping it cancels the operation and closes descriptors that nobody has taken.
#[must_use = "a stream does nothing unless it is polled"]
pub struct Multishot<T: Repeats> {
    /// First, so that a dropped stream detaches (which hands over what it has not read) before its reader goes.
    state: State<T>,
    reader: T::Reader,
}

enum State<T> {
    Unsubmitted(T),
    InFlight(Held<T>),
    Ended,
}

impl<T: Repeats> Multishot<T> {
    pub(crate) fn new(operation: T) -> Self {
        let reader = operation.reader();
        Multishot { state: State::Unsubmitted(operation), reader }
    }
}

impl<T: Repeats> Multishot<T> {
    /// Asks the kernel to end it. What has completed until then is still given out, and then the stream ends,
    /// with an item of the error ECANCELED unless it had ended by itself.
    pub fn stop(&mut self) {
        match &self.state {
            State::Unsubmitted(_) => self.state = State::Ended,
            State::InFlight(held) => held.cancel(),
            State::Ended => {}
        }
    }
}

impl<T: Repeats> Unpin for Multishot<T> {}

impl<T: Repeats> Stream for Multishot<T> {
    type Item = T::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T::Item>> {
        let Multishot { state, reader } = &mut *self;
        if let Some(item) = T::rest(reader) {
            return Poll::Ready(Some(item));
        }
        if let State::InFlight(held) = state {
            // Results may have piled up: a task that takes them all would starve the others.
            ready!(budget::spend_if_any(cx));
            if let Some(completion) = held.take_early() {
                return Poll::Ready(Some(T::item(reader, completion)));
            }
            if !held.is_done(cx) {
                return Poll::Pending;
            }
        }
        match std::mem::replace(state, State::Ended) {
            State::Unsubmitted(operation) => {
                Held::start(|| operation, cx, |held| *state = State::InFlight(held));
                Poll::Pending
            }
            State::InFlight(held) => {
                let (_, last) = held.finish();
                Poll::Ready(Some(T::item(reader, last)))
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
