//! Staying awake for a moment when there is nothing to do, because another core is about to send something.
//!
//! To fall asleep and to be woken costs both cores system calls, an interrupt and a change of threads: more than to look at a
//! word for some microseconds. So a core that others send to may *linger*: it submits what it has, and looks at its queue and
//! at its ring until something is there or its patience is over. Meanwhile nobody needs to ring its bell.
//!
//! It waits in vain as seldom as can be. Only messages make it linger: as long as each time ends with one, it goes on; a time
//! that does not makes it sleep through the next one, two, four, up to [`MOST_SKIPPED`] sleeps that a message ends, so that
//! a core whose messages come seldom spends less than a thousandth of its time so, and one that gets none nothing at all.
//!
//! Only cores with a CPU to themselves do: nobody is kept from it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::core::Core;
use crate::ring::Wait;

/// The patience of a core, unless told otherwise: what a sleep and a wake-up cost.
pub(super) const PATIENCE: Duration = Duration::from_micros(20);

/// Sleeps that are slept through at most before another try.
const MOST_SKIPPED: u32 = 63;

/// Breaths between two looks at most: some hundred nanoseconds. It begins with one, and doubles them. Meanwhile more may come, which
/// is then dealt with in one turn, and whoever sends is not held up by the looks at what it writes.
const MOST_BREATHS: u32 = 64;

/// What a core knows of whether lingering pays.
pub(super) struct Linger {
    /// Zero: never.
    patience: Cell<Duration>,
    /// Sleeps ended by messages until the next time.
    skip: Cell<u32>,
    /// What `skip` becomes after a time in vain.
    next_skip: Cell<u32>,
}

impl Default for Linger {
    /// Never, until it is [allowed](Linger::allow).
    fn default() -> Self {
        Linger { patience: Cell::default(), skip: Cell::new(u32::MAX), next_skip: Cell::new(1) }
    }
}

impl Linger {
    /// Lets the core linger, as soon as a message has ended a sleep.
    pub(super) fn allow(&self, patience: Duration) {
        self.patience.set(patience);
        self.skip.set(if patience.is_zero() { u32::MAX } else { 1 });
    }

    #[inline]
    fn is_due(&self) -> bool {
        self.skip.get() == 0
    }

    /// It has waited, with this success.
    fn waited(&self, in_vain: bool) {
        let skip = if in_vain { self.next_skip.get() } else { 0 };
        self.skip.set(skip);
        self.next_skip.set((2 * skip + 1).min(MOST_SKIPPED));
    }

    /// A message has ended a sleep.
    #[inline]
    fn slept(&self) {
        if self.skip.get() != u32::MAX {
            self.skip.set(self.skip.get().saturating_sub(1));
        }
    }
}

impl Core {
    /// Lingers before a sleep of up to `limit`, if it is likely to pay. False if the core may sleep that long now; else another
    /// turn comes first.
    #[inline]
    pub(super) fn lingers(&self, limit: Option<Duration>) -> bool {
        self.linger.is_due() && self.stay_awake(limit)
    }

    /// The core has slept.
    #[inline]
    pub(super) fn has_slept(&self) {
        if !self.remote.is_empty() {
            self.linger.slept();
        }
    }

    #[cold]
    fn stay_awake(&self, limit: Option<Duration>) -> bool {
        let patience = self.linger.patience.get();
        if limit.is_some_and(|limit| limit <= patience) {
            return false;
        }
        // Who lingers must hear of signals, as who sleeps does.
        if self.signals.listens() {
            self.remote.arm_bell(&self.driver);
        }
        self.flush();
        let begun = Instant::now();
        let mut breaths = 1;
        let (called, news) = loop {
            let (called, news) = (!self.remote.is_empty(), self.driver.ring.has_news());
            if called || news || begun.elapsed() >= patience {
                break (called, news);
            }
            (0..breaths).for_each(|_| std::hint::spin_loop());
            breaths = (2 * breaths).min(MOST_BREATHS);
        };
        self.linger.waited(!called);
        if news {
            self.enter(Wait::No);
        }
        // What the sleep's limit was reckoned from is over: the next turn reckons it anew.
        called || news || limit.is_some()
    }
}
