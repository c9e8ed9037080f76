//! Entering a ring whose submissions a kernel thread takes (SQPOLL).
//!
//! That thread takes whatever the tail shows, at any moment: a list of linked entries is whole because its
//! entries are published by one store. There is one thread a ring, never a shared one, which would take eight
//! entries at a time and cut lists. An enter is needed to wake the thread, to wait, and to bring
//! back completions that did not fit.

use std::io;

use super::{Ring, Wait, enter};

impl Ring {
    /// Wakes the poller if it sleeps, and waits as told.
    pub(super) fn enter_polled(&self, wait: Wait) -> io::Result<()> {
        self.count_submitted();
        let (want, limit) = match wait {
            Wait::No => (0, None),
            Wait::AtMost(limit) => (1, Some(limit)),
            Wait::Forever => (1, None),
        };
        let wake = if self.queues().poller_sleeps() { enter::SQ_WAKEUP } else { 0 };
        if want == 0 && wake == 0 && !self.queues().overflowed() {
            return Ok(());
        }
        self.enter(want, self.wait_flags | wake, limit)
    }

    /// Whether there is something that only an enter can do.
    pub(super) fn wants_enter_polled(&self) -> bool {
        self.count_submitted();
        self.queues().overflowed() || self.queues().unsubmitted() > 0 && self.queues().poller_sleeps()
    }

    /// Waits until the poller has taken so much off the queue that `n` entries fit, or for some time: it may be
    /// that another process has its CPU.
    pub(super) fn wait_for_room(&self, n: u32) -> io::Result<()> {
        const TRIES: u32 = 100;
        for _ in 0..TRIES {
            let room = self.queues().look_for_room();
            if room >= n {
                break;
            }
            let wake = if self.queues().poller_sleeps() { enter::SQ_WAKEUP } else { 0 };
            match room {
                0 => self.enter(0, enter::SQ_WAIT | wake, None)?,
                // The kernel's wait ends with the first free entry, so it is of no use for more of them.
                _ if wake == 0 => std::thread::yield_now(),
                _ => self.enter(0, wake, None)?,
            }
        }
        Ok(())
    }

    /// What is published is as good as submitted.
    fn count_submitted(&self) {
        if let Some(counted) = &self.polled {
            let tail = self.queues().sq_tail();
            self.counters.submitted.add(u64::from(tail.wrapping_sub(counted.replace(tail))));
        }
    }
}
