//! The clock of a core: the system's monotonic one, or one that a test holds and moves.
//!
//! A held clock moves only by [`advance`]; it never jumps by itself because nothing happens to be ready, so a
//! test with real I/O under a held clock is not cut short by its own timeouts.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::exec::{Handle, settle};

/// Tells the time in nanoseconds since it was made.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    /// What a held clock says.
    held: Cell<Option<u64>>,
    /// What to add to the system's time since the origin, modulo 2^64: a clock that was held is behind or ahead.
    shift: Cell<u64>,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Clock { origin: Instant::now(), held: Cell::new(None), shift: Cell::new(0) }
    }

    fn elapsed(&self) -> u64 {
        nanoseconds(self.origin.elapsed())
    }

    /// Now.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match self.held.get() {
            Some(time) => time,
            None => self.elapsed().wrapping_add(self.shift.get()),
        }
    }

    pub(crate) fn instant(&self, time: u64) -> Instant {
        self.origin + Duration::from_nanos(time)
    }

    /// The time of an instant; instants before the clock was made are its beginning.
    pub(crate) fn time_of(&self, instant: Instant) -> u64 {
        nanoseconds(instant.saturating_duration_since(self.origin))
    }

    pub(crate) fn is_held(&self) -> bool {
        self.held.get().is_some()
    }

    pub(crate) fn hold(&self) {
        self.held.set(Some(self.now()));
    }

    pub(crate) fn release(&self) {
        if let Some(time) = self.held.take() {
            self.shift.set(time.wrapping_sub(self.elapsed()));
        }
    }

    /// Moves a held clock on.
    fn set(&self, time: u64) {
        debug_assert!(self.held.get().is_some_and(|held| held <= time));
        self.held.set(Some(time));
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// What the clock of this core says: the time that sleeps and deadlines are measured by. The same as
/// [`Instant::now`] until a test holds the clock.
///
/// # Panics
/// Outside of a runtime.
pub fn now() -> Instant {
    let core = Handle::current();
    let clock = &core.core().timers.clock;
    clock.instant(clock.now())
}

/// Holds the clock of this core: from now on it moves only by [`advance`]. For tests; see also
/// [`Builder::hold_clock`](crate::Builder::hold_clock). I/O goes on as ever.
///
/// # Panics
/// Outside of a runtime.
pub fn hold() {
    Handle::current().core().timers.hold();
}

/// Lets the clock of this core run on from where it was held.
///
/// # Panics
/// Outside of a runtime.
pub fn release() {
    Handle::current().core().timers.release();
}

/// Moves the held clock of this core on by `duration`, stopping at every timer on the way: it fires, and the tasks
/// that are ready run until none is (or 256 turns have passed), before time goes on. So an interval ticks as
/// often as it would have, and timers that these tasks start fire in the same call.
///
/// Dropping the future leaves the clock wherever it is.
///
/// # Panics
/// Outside of a runtime, and if the clock is not [held](hold).
pub async fn advance(duration: Duration) {
    let core = Handle::current();
    let timers = &core.core().timers;
    assert!(timers.clock.is_held(), "only a held clock can be advanced: call time::hold first");
    let target = timers.clock.now().saturating_add(nanoseconds(duration));
    settle(&core).await;
    loop {
        let next = timers.next_time().filter(|next| *next <= target);
        timers.clock.set(next.unwrap_or(target).max(timers.clock.now()));
        settle(&core).await;
        if next.is_none() && timers.next_time().is_none_or(|next| next > target) {
            return;
        }
    }
}
