//! hyper's deadlines on the timer wheel of the core.
//!
//! hyper wants its sleeps to be `Send` and `Sync`; those of a core are neither. So each sleep that is waited for has a
//! keeper, a task on the core which has the real timer, and the two share what is under a lock: the deadline,
//! whether it has passed, and each other's wakers. Moving a deadline back, which hyper does for every request, is
//! one store: the keeper finds out when its timer fires.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use chainring_runtime::time::{self, Sleep};

/// hyper's timer. By the clock of the core, so a test that holds the clock holds hyper's deadlines too.
///
/// # Panics
/// Outside of a runtime; so do its sleeps when they are polled.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer;

impl hyper::rt::Timer for Timer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn hyper::rt::Sleep>> {
        // What cannot be named is for ever.
        const CENTURY: Duration = Duration::from_secs(86_400 * 365 * 100);
        let now = time::now();
        self.sleep_until(now.checked_add(duration).unwrap_or(now + CENTURY))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn hyper::rt::Sleep>> {
        let state = State { deadline, stage: Stage::New, waiter: None, keeper: None };
        Box::pin(Kept(Arc::new(Shared(Mutex::new(state)))))
    }

    fn now(&self) -> Instant {
        time::now()
    }

    fn reset(&self, sleep: &mut Pin<Box<dyn hyper::rt::Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<Kept>() {
            Some(kept) => kept.reset(deadline),
            None => *sleep = self.sleep_until(deadline),
        }
    }
}

/// A sleep in hyper's hands.
#[derive(Debug)]
struct Kept(Arc<Shared>);

#[derive(Debug)]
struct Shared(Mutex<State>);

#[derive(Debug)]
struct State {
    deadline: Instant,
    stage: Stage,
    /// Who polls the sleep.
    waiter: Option<Waker>,
    /// The task that has the timer.
    keeper: Option<Waker>,
}

#[derive(Debug, PartialEq)]
enum Stage {
    /// It has no keeper.
    New,
    Kept,
    Passed,
    /// Nobody waits any more.
    Dropped,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl hyper::rt::Sleep for Kept {}

impl Kept {
    fn reset(&self, deadline: Instant) {
        let mut state = self.0.lock();
        let earlier = deadline < state.deadline;
        state.deadline = deadline;
        if state.stage == Stage::Passed {
            state.stage = Stage::New;
        }
        let keeper = state.keeper.take_if(|_| earlier);
        drop(state);
        if let Some(keeper) = keeper {
            keeper.wake();
        }
    }
}

impl Future for Kept {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        let mut state = self.0.lock();
        if state.stage == Stage::Passed {
            return Poll::Ready(());
        }
        let before = state.waiter.replace(waker);
        let is_new = state.stage == Stage::New;
        if is_new {
            state.stage = Stage::Kept;
        }
        let deadline = state.deadline;
        drop(state);
        drop(before);
        if is_new {
            let keeper = Keeper { shared: self.0.clone(), sleep: time::sleep_until(deadline) };
            drop(chainring_runtime::spawn(keeper));
        }
        Poll::Pending
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.stage = Stage::Dropped;
        let (keeper, waiter) = (state.keeper.take(), state.waiter.take());
        drop(state);
        drop(waiter);
        if let Some(keeper) = keeper {
            keeper.wake();
        }
    }
}

struct Keeper {
    shared: Arc<Shared>,
    sleep: Sleep,
}

impl Future for Keeper {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let waker = cx.waker().clone();
        loop {
            let mut state = self.shared.lock();
            if state.stage == Stage::Dropped {
                return Poll::Ready(());
            }
            let before = state.keeper.replace(waker.clone());
            let deadline = state.deadline;
            drop(state);
            drop(before);
            if deadline != self.sleep.deadline() {
                self.sleep.reset(deadline);
            }
            if Pin::new(&mut self.sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            let mut state = self.shared.lock();
            if state.deadline > deadline {
                // Moved back while we slept.
                continue;
            }
            if state.stage == Stage::Kept {
                state.stage = Stage::Passed;
            }
            let (waiter, keeper) = (state.waiter.take(), state.keeper.take());
            drop(state);
            drop(keeper);
            if let Some(waiter) = waiter {
                waiter.wake();
            }
            return Poll::Ready(());
        }
    }
}
