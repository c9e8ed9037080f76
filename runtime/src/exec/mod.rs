//! The executor of one core: its tasks, its turns, its ring.
//!
//! Who owns what: the [`Runtime`] owns the `Core`; everything that submits shares it by an `Rc` (a
//! [`Handle`]). The core owns the driver, the scheduler with its tasks, the timers, and one `Remote`, which is
//! the only part that other threads see: a queue of what they want, and a bell that ends the core's sleep.
//! What comes from other threads with a value (blocking closures, futures on other cores) comes in a packet.

/// What [`sleeper`] is written with: the models have others.
mod atomic {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering, fence};
}
#[allow(unsafe_code)]
mod affinity;
#[allow(unsafe_code)]
mod bell;
mod blocking;
pub(crate) mod budget;
mod builder;
#[allow(unsafe_code)]
mod core;
mod core_local;
mod cores;
mod linger;
mod local;
mod packet;
mod quietly;
mod remote;
mod runtime;
mod sleeper;
mod spawn;
mod stand_in;
#[allow(unsafe_code)]
mod task;
mod token;
mod turn;
mod wake_all;
mod yields;

pub(crate) use self::core::Core;
pub use self::core::Handle;
pub(crate) use self::core::Identity;
pub use blocking::spawn_blocking;
pub use budget::consume_budget;
pub use builder::Builder;
pub use cores::{CoreHandle, Cores, cores};
pub use local::{OutOfScope, TaskLocal, TaskLocalFuture};
pub use runtime::Runtime;
pub use spawn::spawn;
pub use task::{AbortHandle, JoinError, JoinHandle};
pub use token::{CancelOnDrop, CancellationToken, Cancelled};
pub use yields::yield_now;

pub(crate) use bell::{message, ring};
pub(crate) use quietly::drop_each;
pub use remote::Post;
pub(crate) use remote::Remote;
pub(crate) use task::{TaskRef, Waiter};
pub(crate) use wake_all::wake_all;
pub(crate) use yields::settle;
