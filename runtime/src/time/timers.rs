//! The timers of a core: the wheel, the clock that turns it, and who is told.

use std::cell::{Cell, RefCell};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::wheel::{Id, Wheel};
use crate::driver::{Driver, Key};
use crate::exec::drop_each;

/// A tick is 2^18 ns, about a quarter of a millisecond: finer than what the kernel's wait and the scheduler
/// are good for, and coarse enough that timers close together share a wake-up.
const TICK_BITS: u32 = 18;

/// Who is told that a timer has fired.
pub(crate) enum Target {
    /// A future, by its waker.
    Task(Waker),
    /// A frame, by the ready queue of the driver.
    Frame(Key),
    /// A frame, at once: what it has in flight is cancelled.
    Deadline(Key),
}

struct Timer {
    /// Exact, by the core's clock.
    deadline: u64,
    target: Target,
}

pub(crate) struct Timers {
    wheel: RefCell<Wheel<Timer>>,
    /// The size of the wheel's tick. A clock that is held moves in exact steps, so then it is one nanosecond.
    tick_bits: Cell<u32>,
    pub(super) clock: Clock,
}

impl Timers {
    pub(crate) fn new(held: bool) -> Self {
        let (wheel, tick_bits) = (RefCell::new(Wheel::new()), Cell::new(TICK_BITS));
        let timers = Timers { wheel, tick_bits, clock: Clock::new() };
        if held {
            timers.hold();
        }
        timers
    }

    /// Timers that have not fired.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.wheel.borrow().len()
    }

    /// Whether all have fired.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn hold(&self) {
        self.clock.hold();
        self.change_tick(0);
    }

    pub(super) fn release(&self) {
        self.clock.release();
        self.change_tick(TICK_BITS);
    }

    fn change_tick(&self, bits: u32) {
        if self.tick_bits.replace(bits) != bits {
            let now = self.clock.now() >> bits;
            self.wheel.borrow_mut().rescale(now, |timer| tick(timer.deadline, bits));
        }
    }

    /// Starts a timer, unless `deadline` has passed.
    pub(super) fn start(&self, deadline: Instant, target: impl FnOnce() -> Target) -> Option<Id> {
        let deadline = self.clock.time_of(deadline);
        if deadline <= self.clock.now() {
            return None;
        }
        let timer = Timer { deadline, target: target() };
        Some(self.wheel.borrow_mut().insert(tick(deadline, self.tick_bits.get()), timer))
    }

    /// Has a timer wake `waker`, if it has not fired.
    pub(super) fn rearm(&self, id: Id, waker: &Waker) -> bool {
        match self.wheel.borrow_mut().get_mut(id) {
            None => return false,
            Some(Timer { target: Target::Task(old), .. }) if old.will_wake(waker) => return true,
            Some(_) => {}
        }
        // Cloning and dropping a waker is foreign code: the wheel is not borrowed meanwhile.
        let mut target = Target::Task(waker.clone());
        let mut waits = false;
        if let Some(timer) = self.wheel.borrow_mut().get_mut(id) {
            std::mem::swap(&mut timer.target, &mut target);
            waits = true;
        }
        waits
    }

    /// Starts a timer that fires after `time`, unless that is none.
    pub(super) fn start_after(&self, time: Duration, target: impl FnOnce() -> Target) -> Option<Id> {
        if time.is_zero() {
            return None;
        }
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let deadline = self.clock.now().saturating_add(time);
        let timer = Timer { deadline, target: target() };
        Some(self.wheel.borrow_mut().insert(tick(deadline, self.tick_bits.get()), timer))
    }

    /// Whether a timer has yet to fire.
    pub(super) fn waits(&self, id: Id) -> bool {
        self.wheel.borrow_mut().get_mut(id).is_some()
    }

    /// Ends a timer, if it has not fired.
    pub(super) fn stop(&self, id: Id) -> bool {
        let timer = self.wheel.borrow_mut().remove(id);
        timer.is_some()
    }

    /// Tells whoever is due, and says how long until there is something to do again.
    #[inline]
    pub(crate) fn fire(&self, driver: &Driver) -> Option<Duration> {
        if self.is_empty() {
            return None;
        }
        self.fire_due(driver)
    }

    fn fire_due(&self, driver: &Driver) -> Option<Duration> {
        let now = self.clock.now();
        loop {
            // One at a time, with nothing borrowed while a waker runs; if it panics, the others are still here.
            let due = self.wheel.borrow_mut().pop(now >> self.tick_bits.get());
            match due {
                Some(timer) => {
                    driver.counters.timers.add(1);
                    match timer.target {
                        Target::Task(waker) => waker.wake(),
                        Target::Frame(key) => driver.make_ready(key),
                        Target::Deadline(key) => driver.interrupt(key),
                    }
                }
                None if self.clock.is_held() => return None,
                None => return self.next_time().map(|next| Duration::from_nanos(next.saturating_sub(now))),
            }
        }
    }

    /// When there is something to do next.
    pub(super) fn next_time(&self) -> Option<u64> {
        let tick = self.wheel.borrow().next_tick()?;
        Some(tick.saturating_mul(1 << self.tick_bits.get()))
    }

    /// Drops what is still waiting, with nothing borrowed.
    pub(crate) fn clear(&self) {
        drop_each(self.wheel.replace(Wheel::new()).into_payloads());
    }
}

/// The tick of a deadline: rounded up, so that nothing is ever early.
fn tick(deadline: u64, bits: u32) -> u64 {
    deadline.div_ceil(1 << bits)
}
