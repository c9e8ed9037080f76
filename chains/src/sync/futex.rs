//! Frames that wait for a word of all threads to be woken, and wake those who wait: futex(2), by the ring.
//!
//! The operation belongs to a task of its own, which calls the frame when it is done; dropping the task cancels it. So a
//! frame that waits has nothing in flight itself.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::Poll;

use chainring_runtime::op::futex::{futex_wait, futex_wake};
use chainring_runtime::{AbortHandle, Handle, Key};

/// What a futex step does.
pub(crate) enum Futex {
    /// Waits as long as the word is this.
    Wait(u32),
    /// Wakes at most so many.
    Wake(u32),
}

/// The futex steps that are under way on a core.
#[derive(Debug, Default)]
pub(crate) struct Futexes {
    all: RefCell<Vec<Option<Begun>>>,
    free: RefCell<Vec<usize>>,
}

type Outcome = Rc<Cell<Option<Result<u64, i32>>>>;

#[derive(Debug)]
struct Begun {
    outcome: Outcome,
    task: AbortHandle,
}

impl Futexes {
    /// Starts a step of a frame, which is called when it is done. Gives its number.
    pub(crate) fn begin(&self, core: &Handle, frame: Key, word: Arc<AtomicU32>, what: Futex) -> usize {
        let outcome = Outcome::default();
        let (done, caller) = (outcome.clone(), core.clone());
        let task = core.spawn(async move {
            let result = match what {
                Futex::Wait(expected) => futex_wait(word, expected).await.map(|()| 0),
                Futex::Wake(count) => futex_wake(word, count).await.map(|woken| woken as u64),
            };
            done.set(Some(result.or_else(errno)));
            caller.call_frame(frame);
        });
        let begun = Some(Begun { outcome, task: task.abort_handle() });
        let (mut all, free) = (self.all.borrow_mut(), self.free.borrow_mut().pop());
        let number = free.unwrap_or(all.len());
        if number == all.len() {
            all.push(begun);
        } else {
            all[number] = begun;
        }
        number
    }

    /// Whether a step is done.
    pub(crate) fn is_done(&self, number: usize) -> bool {
        self.all.borrow()[number].as_ref().is_some_and(|begun| begun.outcome.get().is_some())
    }

    /// What a step has come to.
    pub(crate) fn poll(&self, number: usize) -> Poll<Result<u64, i32>> {
        let outcome = self.all.borrow()[number].as_ref().and_then(|begun| begun.outcome.get());
        let Some(outcome) = outcome else { return Poll::Pending };
        self.forget(number);
        Poll::Ready(outcome)
    }

    /// A step is over, or given up.
    pub(crate) fn forget(&self, number: usize) {
        let begun = self.all.borrow_mut()[number].take();
        self.free.borrow_mut().push(number);
        begun.into_iter().for_each(|begun| begun.task.abort());
    }
}

/// That the word is something else by now is what was waited for.
fn errno(error: io::Error) -> Result<u64, i32> {
    match error.raw_os_error() {
        Some(libc::EAGAIN) => Ok(0),
        Some(errno) => Err(errno),
        None => Err(libc::EOPNOTSUPP),
    }
}
