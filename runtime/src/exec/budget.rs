//! The cooperative budget: how often a task may get something without waiting before the others have a turn.
//!
//! An operation always waits once, for its completion, so a task that loops over I/O lets the ring breathe by
//! itself. What may be ready at once spends: timers that have passed, results that are there, items of a
//! multishot operation that have piled up. A task whose budget is spent is told to wait, and put at the end of
//! the queue. A task that loops over foreign futures that are always ready (a channel that is never empty) can
//! join in with [`consume_budget`]; one that computes without ever awaiting cannot be stopped by anybody.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use super::Handle;
use super::core::Core;

/// What a task may spend in one poll.
const FULL: u32 = 128;

/// What the poll may still spend that began last.
///
/// It is filled up when somebody spends for the first time in a poll, and not when each begins, since most never
/// do. Polls are told apart by how many there were.
#[derive(Default)]
pub(super) struct Budget {
    poll: Cell<u64>,
    left: Cell<u32>,
}

impl Budget {
    /// Takes one unit in poll number `poll`, which is not zero. False if there is none left.
    fn take(&self, poll: u64) -> bool {
        let left = if self.poll.replace(poll) == poll { self.left.get() } else { FULL };
        self.left.set(left.saturating_sub(1));
        left > 0
    }
}

/// Takes one unit of the budget of the task that runs, or has it wait for its next turn.
#[inline]
pub(crate) fn spend(core: &Core, cx: &mut Context<'_>) -> Poll<()> {
    if core.budget.take(core.driver.counters.polls.get()) {
        Poll::Ready(())
    } else {
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// [`spend`] for a future that may be polled by any executor: without a core there is no budget.
pub(crate) fn spend_if_any(cx: &mut Context<'_>) -> Poll<()> {
    Handle::try_current().map_or(Poll::Ready(()), |core| spend(core.core(), cx))
}

/// Takes part in the fair sharing of a core: awaits the next turn if this task has had its share, and does
/// nothing otherwise. For loops over futures that may be ready again and again. Outside of a runtime it does
/// nothing.
pub async fn consume_budget() {
    poll_fn(|cx| {
        ready!(spend_if_any(cx));
        Poll::Ready(())
    })
    .await
}
