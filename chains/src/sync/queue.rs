//! Those who wait, in the order in which they came.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::task::Waker;

use chainring_runtime::{Handle, Key};

use crate::native::quietly;

/// A frame or task that waits.
#[derive(Debug)]
pub(crate) enum Waiter {
    Frame(Key),
    Task(Waker),
}

impl Waiter {
    /// Another one for the same.
    pub(crate) fn again(&self) -> Waiter {
        match self {
            Waiter::Frame(frame) => Waiter::Frame(*frame),
            Waiter::Task(waker) => Waiter::Task(waker.clone()),
        }
    }

    /// Has it look whether it can go on. Nothing may be borrowed: a waker is foreign code.
    pub(crate) fn call(self, core: &Handle) {
        match self {
            Waiter::Frame(frame) => core.call_frame(frame),
            Waiter::Task(waker) => quietly(|| waker.wake()),
        }
    }
}

/// A queue of keys that keeps its memory.
#[derive(Debug, Default)]
pub(crate) struct Queue(RefCell<VecDeque<Key>>);

impl Queue {
    pub(crate) fn push(&self, frame: Key) {
        self.0.borrow_mut().push_back(frame);
    }

    pub(crate) fn pop(&self) -> Option<Key> {
        self.0.borrow_mut().pop_front()
    }

    /// Takes a frame out, wherever in the queue it is; false if it is not there.
    pub(crate) fn remove(&self, frame: Key) -> bool {
        let mut queue = self.0.borrow_mut();
        let at = queue.iter().position(|waiting| *waiting == frame);
        at.is_some_and(|at| queue.remove(at).is_some())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.borrow().len()
    }
}
