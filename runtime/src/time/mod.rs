//! Time: sleeps, deadlines and intervals, all kept in user space.
//!
//! Who owns what: each core owns a timer wheel (`wheel.rs`, which explains itself) and a [clock](now). A
//! [`Sleep`] owns one entry of the wheel, by an index that also names its use; an entry holds the waker to
//! wake, or the key of a frame to call. Starting and stopping a timer are a few writes into the wheel's
//! table. No timeout ever becomes a submission: the nearest one bounds the wait of the core's one enter a
//! turn.
//!
//! A test can [`hold`] the clock of its core and [`advance`] it:
//!
//! ```
//! use std::time::Duration;
//! use chainring_runtime::{Runtime, time};
//!
//! Runtime::new()?.block_on(async {
//!     time::hold();
//!     let start = time::now();
//!     let tick = chainring_runtime::spawn(time::sleep(Duration::from_secs(3600)));
//!     time::advance(Duration::from_secs(3600)).await;
//!     tick.await.unwrap();
//!     assert_eq!(time::now() - start, Duration::from_secs(3600));
//! });
//! # Ok::<(), chainring_runtime::SetupError>(())
//! ```

mod alarm;
mod clock;
mod interval;
mod sleep;
mod timeout;
mod timers;
mod wheel;

pub use alarm::Alarm;
pub use clock::{advance, hold, now, release};
pub use interval::{Interval, MissedTickBehavior, interval, interval_at};
pub use sleep::{Sleep, sleep, sleep_until};
pub use timeout::{Elapsed, Timeout, timeout, timeout_at};

pub(crate) use timers::Timers;
