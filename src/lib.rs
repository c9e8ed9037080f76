#![doc = include_str!("../README.md")]
pub use chainring_chains as chains;
pub use chainring_fs as fs;
#[cfg(feature = "macros")]
pub use chainring_macros::{main, test};
pub use chainring_net as net;
pub use chainring_runtime::{
    AbortHandle, Builder, CancelOnDrop, CancellationToken, Cancelled, Capabilities, Capability, CoreHandle,
    Cores, Descriptor, Handle, JoinError, JoinHandle, Metrics, OutOfScope, Runtime, SetupError, TaskLocal,
    TaskLocalFuture, consume_budget, cores, spawn, spawn_blocking, task_local, yield_now,
};
pub use chainring_runtime::{buf, op, signal, time};

#[cfg(feature = "macros")]
mod outcome;
#[cfg(all(doctest, feature = "macros"))]
mod refusals;

/// What the attributes expand to.
#[doc(hidden)]
#[cfg(feature = "macros")]
pub mod __private {
    pub use crate::outcome::Outcome;
}
