//! chainring: an async runtime for Linux servers on io_uring, with one ring a core.
pub use chainring_chains as chains;
pub use chainring_fs as fs;
pub use chainring_net as net;
pub use chainring_runtime::{
    Builder, Capabilities, Capability, Cores, Handle, JoinError, JoinHandle, Metrics, Runtime, SetupError,
    cores, spawn, yield_now,
};
pub use chainring_runtime::{buf, signal, time};
