//! Counters of a ring and of a core: plain cells, written by the core that owns them.

use std::cell::Cell;

use crate::exec::Core;

/// A counter of one core.
#[derive(Debug, Default)]
pub(crate) struct Counter(Cell<u64>);

impl Counter {
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        self.0.set(self.0.get().wrapping_add(n));
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.get()
    }
}

/// What a ring counts.
#[derive(Debug, Default)]
pub(crate) struct RingCounters {
    pub(crate) enters: Counter,
    pub(crate) submitted: Counter,
    pub(crate) completions: Counter,
    pub(crate) flushes: Counter,
    pub(crate) congested: Counter,
    pub(crate) overflows: Counter,
    pub(crate) strays: Counter,
}

/// What the executor of a core counts.
#[derive(Debug, Default)]
pub(crate) struct CoreCounters {
    pub(crate) polls: Counter,
    pub(crate) wakes: Counter,
    pub(crate) turns: Counter,
    pub(crate) sleeps: Counter,
    pub(crate) spawned: Counter,
    pub(crate) messages: Counter,
    pub(crate) bells: Counter,
    pub(crate) timers: Counter,
    pub(crate) panics: Counter,
}

/// A snapshot of the counters of one core and its ring, all since the runtime was built, and of what there is at
/// the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Calls of io_uring_enter(2).
    pub enters: u64,
    /// SQEs that the kernel took.
    pub submitted: u64,
    /// CQEs taken from the completion queue.
    pub completions: u64,
    /// Enters that were needed only because the submission queue was full.
    pub flushes: u64,
    /// Enters that the kernel refused with EBUSY, EAGAIN or ENOMEM; nothing is lost by one.
    pub congested: u64,
    /// Turns that found completions parked in the kernel because the completion queue was full.
    pub overflows: u64,
    /// Completions that the kernel could not keep for lack of memory. Not zero means that operations hang.
    pub lost: u64,
    /// Completions whose key belongs to nothing alive.
    pub strays: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Turns in which the core had nothing to do and slept.
    pub sleeps: u64,
    /// Polls of tasks, that of `block_on` included.
    pub polls: u64,
    /// Wakers woken by completions.
    pub wakes: u64,
    /// Tasks that were spawned.
    pub spawned: u64,
    /// Tasks woken by other threads, and futures sent by other cores.
    pub messages: u64,
    /// Times that another thread, core or signal ended the core's sleep.
    pub bells: u64,
    /// Timers that have fired.
    pub timers_fired: u64,
    /// Panics of foreign wakers and destructors that were caught, and harmed nobody else.
    pub caught_panics: u64,
    /// Tasks that are not done now.
    pub tasks: u64,
    /// Timers that wait now.
    pub timers: u64,
    /// Operations in flight now (awaited and detached; frames not counted).
    pub operations: u64,
}

impl Metrics {
    pub(crate) fn of(core: &Core) -> Metrics {
        let (ring, counters) = (&core.driver.ring, &core.driver.counters);
        Metrics {
            enters: ring.counters.enters.get(),
            submitted: ring.counters.submitted.get(),
            completions: ring.counters.completions.get(),
            flushes: ring.counters.flushes.get(),
            congested: ring.counters.congested.get(),
            overflows: ring.counters.overflows.get(),
            lost: u64::from(ring.queues().dropped()),
            strays: ring.counters.strays.get(),
            turns: counters.turns.get(),
            sleeps: counters.sleeps.get(),
            polls: counters.polls.get(),
            wakes: counters.wakes.get(),
            spawned: counters.spawned.get(),
            messages: counters.messages.get(),
            bells: counters.bells.get(),
            timers_fired: counters.timers.get(),
            caught_panics: counters.panics.get(),
            tasks: core.tasks() as u64,
            timers: core.timers.len() as u64,
            operations: u64::from(core.driver.operations()),
        }
    }
}
