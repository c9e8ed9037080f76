//! The executor of one core: its tasks, its turns, its ring.
//!
//! Who owns what: the [`Runtime`] owns the `Core`; everything that submits shares it by an `Rc` (a
//! [`Handle`]). The core owns the driver, the queue of tasks that are ready, and one `Remote`, which is the
//! only part that other threads see: a queue of tasks woken elsewhere, and a bell that ends the core's sleep.

mod core;
mod cores;
mod remote;
mod runtime;
mod task;

pub use self::core::Handle;
pub use cores::{Cores, cores};
pub use runtime::{Builder, Runtime};
pub use task::{JoinError, JoinHandle, spawn, yield_now};

pub(crate) use remote::{Remote, ring};
