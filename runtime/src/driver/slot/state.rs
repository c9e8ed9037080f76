//! What a slot is used for; the module's documentation shows how it changes.

use std::task::Waker;

use crate::exec::{TaskRef, Waiter};

pub(super) enum State {
    /// In the free list, or having its operation dropped.
    Free,
    /// In flight, and a future waits, that of a task of this core.
    Task(TaskRef),
    /// In flight, and a future waits that is polled in any other way.
    Waker(Waker),
    /// In flight, and a future has been woken that was not polled since.
    Told,
    /// In flight, and nobody waits.
    Detached,
    /// Complete, and a future has yet to take the result.
    Done,
    /// As `Done`, and the core is gone.
    Orphan,
    /// In flight for ever: the ring has failed, and the core is gone.
    Lost,
}

impl State {
    pub(super) fn is_held(&self) -> bool {
        matches!(self, State::Task(_) | State::Waker(_) | State::Told)
    }

    pub(super) fn is_in_flight(&self) -> bool {
        self.is_held() || matches!(self, State::Detached)
    }

    /// Whoever is to be woken, if somebody is.
    pub(super) fn waiter(self) -> Option<Waiter> {
        match self {
            State::Task(task) => Some(Waiter::Task(task)),
            State::Waker(waker) => Some(Waiter::Waker(waker)),
            _ => None,
        }
    }
}

impl From<Waiter> for State {
    #[inline]
    fn from(waiter: Waiter) -> State {
        match waiter {
            Waiter::Task(task) => State::Task(task),
            Waiter::Waker(waker) => State::Waker(waker),
        }
    }
}
