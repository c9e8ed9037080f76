//! Frames that wait for a word of all threads to be woken, and wake those who wait: futex(2), by the ring.
//!
//! The operation belongs to a task of its own, which calls the frame when it is done. So a frame that waits has nothing in
//! flight itself. If the frame gives it up the wait is cancelled; should somebody have woken it by then, its task wakes another
//! in its place: a wake of one is for one who goes on.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::task::{Poll, Waker};

use chainring_runtime::op::futex::{futex_wait, futex_wake};
use chainring_runtime::{Handle, Key};

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
    all: RefCell<Vec<Option<Rc<Begun>>>>,
    free: RefCell<Vec<usize>>,
}

/// What a step and its task know of each other.
#[derive(Debug)]
struct Begun {
    core: Handle,
    word: Arc<AtomicU32>,
    outcome: Cell<Option<Result<u64, i32>>>,
    /// It waited, and was woken.
    woken: Cell<bool>,
    given_up: Cell<bool>,
    /// Of the task, while it waits.
    task: RefCell<Option<Waker>>,
}

impl Futexes {
    /// Starts a step of a frame, which is called when it is done. Gives its number.
    pub(crate) fn begin(&self, core: &Handle, frame: Key, word: Arc<AtomicU32>, what: Futex) -> usize {
        let begun = Rc::new(Begun::new(core.clone(), word));
        let step = begun.clone();
        drop(core.spawn(async move {
            let result = match what {
                Futex::Wait(expected) => step.wait(expected).await,
                Futex::Wake(count) => futex_wake(step.word.clone(), count).await.map(|woken| woken as u64),
            };
            if !step.given_up.get() {
                step.outcome.set(Some(result.or_else(errno)));
                step.core.call_frame(frame);
            }
        }));
        let begun = Some(begun);
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
        drop(self.take(number));
        Poll::Ready(outcome)
    }

    /// A frame goes on without the step.
    pub(crate) fn give_up(&self, number: usize) {
        if let Some(begun) = self.take(number) {
            begun.give_up();
        }
    }

    fn take(&self, number: usize) -> Option<Rc<Begun>> {
        self.free.borrow_mut().push(number);
        self.all.borrow_mut()[number].take()
    }
}

impl Begun {
    fn new(core: Handle, word: Arc<AtomicU32>) -> Begun {
        let (outcome, woken, given_up, task) = Default::default();
        Begun { core, word, outcome, woken, given_up, task }
    }

    /// Waits until it is woken, or given up.
    async fn wait(&self, expected: u32) -> io::Result<u64> {
        if self.given_up.get() {
            return Ok(0);
        }
        let mut wait = futex_wait(self.word.clone(), expected);
        let woken = poll_fn(|cx| {
            let polled = Pin::new(&mut wait).poll(cx);
            if polled.is_pending() {
                drop(self.task.replace(Some(cx.waker().clone())));
                if self.given_up.get() {
                    wait.cancel();
                }
            }
            polled
        });
        woken.await?;
        self.woken.set(true);
        if self.given_up.get() {
            self.pass_on().await;
        }
        Ok(0)
    }

    fn give_up(self: Rc<Begun>) {
        self.given_up.set(true);
        let task = self.task.take();
        task.into_iter().for_each(Waker::wake);
        if self.woken.get() {
            drop(self.core.clone().spawn(async move { self.pass_on().await }));
        }
    }

    /// Wakes another one. That there is none is as well.
    async fn pass_on(&self) {
        drop(futex_wake(self.word.clone(), 1).await);
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
