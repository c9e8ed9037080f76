//! Waiting for a moment.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::timers::Target;
use super::wheel::Id;
use crate::exec::{Handle, budget};

/// Waits for at least `duration`, measured from this call by the clock of the core; see [`now`](super::now).
///
/// # Panics
/// Outside of a runtime.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(after(super::now(), duration))
}

/// A moment so much later.
pub(super) fn after(moment: Instant, duration: Duration) -> Instant {
    // One that cannot be named is one that nobody lives to see.
    const CENTURY: Duration = Duration::from_secs(86_400 * 365 * 100);
    [duration, CENTURY].into_iter().find_map(|duration| moment.checked_add(duration)).unwrap_or(moment)
}

/// Waits until `deadline`, or not at all if it has passed. It ends at the first tick (about a quarter of a
/// millisecond) at or after it, and never before it.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, timer: None }
}

/// A wait for a moment, made by [`sleep`] and [`sleep_until`].
///
/// Its timer starts when it is first polled, on the core that polls it, and costs no allocation and no submission.
/// Dropping it stops the timer, in constant time.
///
/// # Panics
/// If it is first polled outside of a runtime.
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Instant,
    timer: Option<(Handle, Id)>,
}

impl Sleep {
    /// The moment that it waits for.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits for another moment instead, also if it has ended already.
    pub fn reset(&mut self, deadline: Instant) {
        self.stop();
        self.deadline = deadline;
    }

    fn stop(&mut self) {
        if let Some((core, id)) = self.timer.take() {
            core.core().timers.stop(id);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some((core, id)) = &self.timer {
            if core.core().timers.rearm(*id, cx.waker()) {
                return Poll::Pending;
            }
            // What fires a timer runs on its core, so elsewhere this may also be one that ended with its runtime.
            let is_over = core.is_current();
            self.timer = None;
            if is_over {
                return Poll::Ready(());
            }
        }
        let core = Handle::current();
        match core.core().timers.start(self.deadline, || Target::Task(cx.waker().clone())) {
            Some(id) => {
                self.timer = Some((core, id));
                Poll::Pending
            }
            // Nothing was waited for: this could go on forever.
            None => {
                ready!(budget::spend(core.core(), cx));
                Poll::Ready(())
            }
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.stop();
    }
}
