//! One turn of a core: what is ready runs, everything is submitted with one enter that also waits, and the
//! completions are handled; and the last turns, in which the core is drained.
//!
//! Nothing of the core is borrowed while foreign code runs, and whatever is handed out (a task, a message, a
//! timer, a completion) is taken off its queue first. So a panic that comes out of foreign code, a waker's or a
//! destructor's, costs at most the rest of the turn: it is caught, counted, and the next turn goes on where
//! this one was. (Panics of tasks do not get that far: they go into their `JoinError`.)

use std::io;
use std::time::Duration;

use super::Handle;
use super::core::Core;
use super::quietly::quietly;
use super::remote::Message;
use crate::events;
#[cfg(feature = "tracing")]
use crate::metrics::Metrics;
use crate::ring::Wait;

/// Tasks run before the ring is looked at again.
const TASKS_A_TURN: usize = 256;

impl Core {
    /// See the module's documentation. It sleeps only if nothing at all is ready.
    pub(super) fn turn(&self) {
        self.driver.counters.turns.add(1);
        // Most turns of a core that runs chains: what frames do next, they have submitted as their completions were met.
        if self.is_quiet() && self.remote.is_armed() {
            self.sleep_quietly();
        } else {
            self.work_and_enter();
        }
        self.after_enter();
    }

    /// Submits and waits for a completion, with the bell watched; what can have become ready meanwhile has come from another
    /// thread.
    #[inline]
    fn sleep_quietly(&self) {
        if self.lingers(None) {
            return;
        }
        self.driver.counters.sleeps.add(1);
        self.remote.fall_asleep();
        self.enter(if self.remote.is_empty() { Wait::Forever } else { Wait::No });
        self.remote.get_up();
        self.has_slept();
    }

    /// Whether there is nothing to do but to submit and to wait. Each of these is a look at a word; what a word stands for is
    /// looked at in `work_and_enter`.
    #[inline]
    fn is_quiet(&self) -> bool {
        !self.has_ready() && self.remote.is_empty() && self.timers.is_empty() && !self.driver.has_chores()
    }

    /// Runs what is ready, then enters: to sleep if nothing has become ready by that.
    fn work_and_enter(&self) {
        let mut next = None;
        let whole = self.caught(|| {
            self.scheduler.run(TASKS_A_TURN, &self.driver.counters.polls);
            self.driver.close_left();
            self.driver.run_backlog();
            self.driver.run_ready();
            self.take_remote();
            next = self.timers.fire(&self.driver);
        });
        let next_cancel = self.driver.ask_cancels();

        if !whole || self.has_ready() {
            // A core that never sleeps hears of signals all the same.
            if self.signals.listens() {
                self.remote.arm_bell(&self.driver);
            }
            // An enter only if there is something to gain.
            self.flush();
        } else {
            self.sleep([next, next_cancel].into_iter().flatten().min());
        }
    }

    /// Takes what other threads have sent, as much as there is now.
    fn take_remote(&self) {
        if self.remote.is_empty() {
            return;
        }
        for message in self.remote.batch() {
            self.driver.counters.messages.add(1);
            match message {
                Message::Wake(task) => self.scheduler.take_remote(task),
                Message::Start(parcel) => parcel.start(&Handle::current()),
                Message::Answer(answer) => drop(answer),
                Message::Post(post) => post.arrive(&Handle::current()),
            }
        }
    }

    /// Whether something waits for its turn on this side of the ring.
    pub(crate) fn has_ready(&self) -> bool {
        self.main_woken.get() || self.scheduler.has_ready() || self.driver.has_ready()
    }

    /// Tasks that are not done; the one that stands for `block_on`'s future is none.
    pub(crate) fn tasks(&self) -> usize {
        self.scheduler.tasks() - self.stand_ins.get()
    }

    /// Submits and waits, unless something has become ready on another thread meanwhile.
    fn sleep(&self, limit: Option<Duration>) {
        if self.lingers(limit) {
            return;
        }
        self.driver.counters.sleeps.add(1);
        let armed = self.remote.arm_bell(&self.driver);
        self.remote.fall_asleep();
        let wait = if !armed || self.driver.has_ready() || !self.remote.is_empty() {
            Wait::No
        } else {
            limit.map_or(Wait::Forever, Wait::AtMost)
        };
        self.enter(wait);
        self.remote.get_up();
        self.has_slept();
    }

    #[inline]
    pub(super) fn enter(&self, wait: Wait) {
        if let Err(error) = self.driver.ring.submit_and_wait(wait) {
            broken(&error);
        }
    }

    /// Submits what is queued.
    pub(super) fn flush(&self) {
        if self.driver.ring.wants_enter() {
            self.enter(Wait::No);
        }
    }

    fn after_enter(&self) {
        self.caught(|| self.driver.reap(|task| task.wake_here(&self.scheduler)));
        if self.driver.take_bell() {
            self.driver.counters.bells.add(1);
            self.remote.bell_rang();
            self.caught(|| self.signals.look());
        }
    }

    /// Runs foreign code; true if it came to its end.
    fn caught(&self, run: impl FnOnce()) -> bool {
        let whole = quietly(run);
        if !whole {
            self.driver.counters.panics.add(1);
            events::warning!("a waker or destructor panicked; the core goes on");
        }
        whole
    }

    /// Ends everything and waits until the kernel is done with this core's memory.
    pub(super) fn drain(&self) {
        events::debug!(metrics = ?Metrics::of(self), "a runtime ends");
        self.caught(|| self.driver.begin_closing());
        self.drain_tasks();
        self.drain_ring();
        self.caught(|| self.driver.forget_owners());
        self.drain_tasks();
        self.drain_ring();
        self.caught(|| self.locals.clear());
        self.drain_tasks();
        self.drain_ring();
        self.driver.close_door();
        self.caught(|| self.timers.clear());
        // Other threads may still send until here, and what they sent refers to the queue it is in.
        self.remote.close();
        self.drain_tasks();
        let pool = self.pool.take();
        self.caught(|| drop(pool));
        events::debug!("a runtime has ended: nothing is in flight");
    }

    /// Cancels every task and drops every message. Dropping one may start others, which are cancelled at once.
    fn drain_tasks(&self) {
        let mut any = true;
        while any {
            let whole = self.caught(|| {
                any = self.scheduler.cancel_all();
                while let Some(message) = self.remote.pop() {
                    any = true;
                    drop(message);
                }
            });
            any |= !whole;
        }
    }

    fn drain_ring(&self) {
        while !self.driver.is_drained() {
            let whole = self.caught(|| {
                self.driver.close_left();
                self.driver.run_backlog();
                self.driver.run_ready();
            });
            let next_cancel = self.driver.ask_cancels();
            let wait = match next_cancel {
                // A frame that has just ended may have been the last, with nothing in flight.
                _ if !whole || self.driver.has_ready() || self.driver.is_drained() => Wait::No,
                Some(limit) => Wait::AtMost(limit),
                None => Wait::Forever,
            };
            self.enter(wait);
            self.after_enter();
        }
    }
}

/// Bad descriptor, bad address: the ring itself is broken, and no operation can complete.
#[cold]
fn broken(error: &io::Error) -> ! {
    panic!("io_uring_enter failed: {error}");
}
