//! A result on its way from another thread: written once there, awaited here.
//!
//! The packet is shared by its sender and its receiver. Locks are held for a few moves and never while foreign
//! code (wakers, values) runs.

use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use super::quietly::quietly;
use super::task::{AbortHandle, JoinError};

pub(super) struct Packet<T>(Mutex<State<T>>);

struct State<T> {
    result: Option<Result<T, JoinError>>,
    /// The result was there; it may be taken already.
    finished: bool,
    work: Work,
    waker: Option<Waker>,
}

enum Work {
    Waiting,
    /// Cannot be ended from here.
    Begun,
    /// Ends when this task does.
    Task(AbortHandle),
}

/// What can be aborted whatever its type.
pub(super) trait Abort: Send + Sync {
    fn abort(&self);
    fn is_finished(&self) -> bool;
}

impl<T> Packet<T> {
    /// A packet, and the right to fill it.
    pub(super) fn new() -> (Arc<Packet<T>>, Sender<T>) {
        let state = State { result: None, finished: false, work: Work::Waiting, waker: None };
        let packet = Arc::new(Packet(Mutex::new(state)));
        (packet.clone(), Sender(packet))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn fill(&self, mut state: MutexGuard<'_, State<T>>, result: Result<T, JoinError>) {
        if state.finished {
            drop(state);
            // Nobody will have it; and whoever drops it here is not to be hurt by it.
            quietly(|| drop(result));
            return;
        }
        state.finished = true;
        state.result = Some(result);
        let (waker, work) = (state.waker.take(), std::mem::replace(&mut state.work, Work::Begun));
        drop(state);
        drop(work);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The work is this task from now on, which can be aborted.
    pub(super) fn begin_as(&self, task: AbortHandle) {
        let mut state = self.lock();
        if !state.finished {
            state.work = Work::Task(task);
        }
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Result<T, JoinError>> {
        let waker = cx.waker().clone();
        let mut state = self.lock();
        if state.finished {
            let result = state.result.take();
            drop(state);
            return Poll::Ready(result.expect("a JoinHandle was polled after it had given the result"));
        }
        let old = state.waker.replace(waker);
        drop(state);
        drop(old);
        Poll::Pending
    }
}

impl<T: Send> Abort for Packet<T> {
    fn abort(&self) {
        let state = self.lock();
        match &state.work {
            Work::Waiting => self.fill(state, Err(JoinError::cancelled())),
            Work::Begun => {}
            Work::Task(handle) => {
                let handle = handle.clone();
                drop(state);
                handle.abort();
            }
        }
    }

    fn is_finished(&self) -> bool {
        self.lock().finished
    }
}

/// The right to fill a packet. Dropped without, the receiver gets a cancelled error.
pub(super) struct Sender<T>(Arc<Packet<T>>);

impl<T> Sender<T> {
    /// The work begins; false if it was aborted before.
    pub(super) fn begin(&self) -> bool {
        let mut state = self.0.lock();
        if !state.finished {
            state.work = Work::Begun;
        }
        !state.finished
    }

    pub(super) fn send(self, result: Result<T, JoinError>) {
        self.0.fill(self.0.lock(), result);
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.fill(self.0.lock(), Err(JoinError::cancelled()));
    }
}
