//! Again and again.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::Stream;

use super::sleep::after;
use super::{Sleep, now, sleep_until};

/// Ticks every `period`, for the first time at once.
///
/// # Panics
/// If `period` is zero, and outside of a runtime.
pub fn interval(period: Duration) -> Interval {
    interval_at(now(), period)
}

/// Ticks every `period`, for the first time at `start`.
///
/// # Panics
/// If `period` is zero.
pub fn interval_at(start: Instant, period: Duration) -> Interval {
    assert!(!period.is_zero(), "an interval needs a period that is not zero");
    Interval { period, missed: MissedTickBehavior::Burst, sleep: sleep_until(start) }
}

/// What an [`Interval`] does about ticks that nobody waited for in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MissedTickBehavior {
    /// Ticks without a pause until it has caught up.
    #[default]
    Burst,
    /// Ticks at once, and from then on every period.
    Delay,
    /// Ticks at once, leaves out those that were missed, and goes on at multiples of the period from the start.
    Skip,
}

impl MissedTickBehavior {
    /// The tick after one that was due at `due` and came at `now`.
    fn next(self, due: Instant, now: Instant, period: Duration) -> Instant {
        match self {
            MissedTickBehavior::Burst => after(due, period),
            MissedTickBehavior::Delay => after(now, period),
            MissedTickBehavior::Skip => {
                let late = now.saturating_duration_since(due).as_nanos() % period.as_nanos();
                // Less than the period.
                let late = Duration::new((late / 1_000_000_000) as u64, (late % 1_000_000_000) as u32);
                after(now, period - late)
            }
        }
    }
}

/// Late by less than this is not late: a tick is one of the wheel's, and the core has other things to do.
const TOLERANCE: Duration = Duration::from_millis(5);

/// Ticks, made by [`interval`]. Also a stream, which never ends. Dropping it stops the timer.
#[derive(Debug)]
pub struct Interval {
    period: Duration,
    missed: MissedTickBehavior,
    /// Until the next tick is due.
    sleep: Sleep,
}

impl Interval {
    /// Waits for the next tick and gives the moment at which it was due. Dropping the future misses none.
    pub async fn tick(&mut self) -> Instant {
        std::future::poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// Polls for the next tick.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Instant> {
        ready!(std::future::Future::poll(Pin::new(&mut self.sleep), cx));
        let (due, now) = (self.sleep.deadline(), now());
        let is_late = now.saturating_duration_since(due) > TOLERANCE;
        let next = if is_late { self.missed.next(due, now, self.period) } else { after(due, self.period) };
        self.sleep.reset(next);
        Poll::Ready(due)
    }

    /// Makes the next tick come one period from now.
    pub fn reset(&mut self) {
        self.sleep.reset(after(now(), self.period));
    }

    /// The time between two ticks.
    pub fn period(&self) -> Duration {
        self.period
    }

    /// What is done about missed ticks.
    pub fn missed_tick_behavior(&self) -> MissedTickBehavior {
        self.missed
    }

    /// Decides what is done about missed ticks.
    pub fn set_missed_tick_behavior(&mut self, behavior: MissedTickBehavior) {
        self.missed = behavior;
    }
}

impl Stream for Interval {
    type Item = Instant;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Instant>> {
        self.poll_tick(cx).map(Some)
    }
}
