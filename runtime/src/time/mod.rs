//! Time: sleeping tasks, kept in user space. No timeout ever becomes an SQE; the nearest one bounds the wait of
//! the core's one enter a turn.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use crate::exec::Handle;

/// The sleepers of a core, by deadline and order of arrival.
#[derive(Default)]
pub(crate) struct Timers {
    sleepers: RefCell<Sleepers>,
}

#[derive(Default)]
struct Sleepers {
    by_deadline: BTreeMap<(Instant, u64), Waker>,
    next: u64,
}

impl Timers {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Wakes whoever is due, and says how long until the next one is.
    pub(crate) fn fire(&self) -> Option<Duration> {
        if self.sleepers.borrow().by_deadline.is_empty() {
            return None;
        }
        let now = Instant::now();
        loop {
            let mut sleepers = self.sleepers.borrow_mut();
            let first = sleepers.by_deadline.first_entry()?;
            let (deadline, _) = *first.key();
            if deadline > now {
                return Some(deadline - now);
            }
            let waker = first.remove();
            drop(sleepers);
            waker.wake();
        }
    }
}

/// Waits for at least `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`, or not at all if it has passed.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, entry: None }
}

/// See [`sleep`]. Dropping it takes it off the core's list.
#[derive(Debug)]
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    deadline: Instant,
    entry: Option<(Handle, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            return Poll::Ready(());
        }
        let deadline = self.deadline;
        let (core, number) = self.entry.get_or_insert_with(|| {
            let core = Handle::current();
            let mut sleepers = core.core().timers.sleepers.borrow_mut();
            sleepers.next += 1;
            let number = sleepers.next;
            drop(sleepers);
            (core, number)
        });
        let mut sleepers = core.core().timers.sleepers.borrow_mut();
        let old = sleepers.by_deadline.insert((deadline, *number), cx.waker().clone());
        drop(sleepers);
        drop(old);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some((core, number)) = self.entry.take() {
            let waker = core.core().timers.sleepers.borrow_mut().by_deadline.remove(&(self.deadline, number));
            drop(waker);
        }
    }
}
