//! The runtime of [chainring](https://docs.rs/chainring): ring, driver, operations, buffers, frames and
//! executor. Most programs use it through the facade crate `chainring`.
//!
//! # The parts, and who owns what
//!
//! | folder | what it is | what it owns |
//! |---|---|---|
//! | `ring` | one io_uring, its queues mapped | the SQEs past the published tail, the CQ head |
//! | `driver` | the one door: submit, complete, cancel | what the kernel may touch, in slots |
//! | [`op`] | one short file a verb | an operation until it is submitted |
//! | [`buf`] | what can be given to the kernel | nothing |
//! | [`frame`] | the state of connections that run as chains | their registers, descriptors and bytes |
//! | `exec` | tasks, turns, cores | the driver, the tasks |
//! | `injector` | faults on demand, for tests (a feature) | what it holds back |
//! | [`time`], [`signal`] | waiting for something else than I/O | the timers, the waiters |
//!
//! # Unsafe code
//!
//! This is the only crate of chainring with `unsafe`, and only these files have it (`tests/unsafe_files.rs` compares):
//!
//! - `ring/{map,queue,mod,prepared,enter,sqe}`: mapped queues, io_uring_enter;
//! - `driver/{mod,owners}`, `driver/list/{mod,held}`, `driver/slot/{mod,chunk,erased,held,prepare}`: operations with forgotten types, descriptors
//!   out of completions;
//! - `frame/{memory,region,token,submit,emit,row,wide,settle,views,refill,call}`, `frame/outbox/{mod,slot}`,
//!   `frame/pooled/frames`, `frame/strand/token`, `frame/code/{execute,many,number}`: the region;
//! - `buf/{fill,mod,vectored,bytes,plain,direct,slice,skip}`: uninitialised memory;
//! - `buf/{pages,aligned,ring,lent,fixed}`, `buf/pool/shared`: mapped buffers;
//! - `op/{completion,message,pipe}`, `descriptor`: ownership of descriptors;
//! - `op/{raw,syscall,sockopt}`: what others vouch for, system calls that the ring does not have;
//! - `exec/{core,bell,affinity}`, `exec/task/{cell,header,join,scheduler,waker,tests}`, `signal/mod`: the
//!   current core, eventfds, affinity, tasks, handlers.

#![deny(unsafe_code)]
#![warn(missing_debug_implementations)]

#[allow(unsafe_code)]
pub mod buf;
#[allow(unsafe_code)]
mod descriptor;
mod direct;
#[allow(unsafe_code)]
mod driver;
mod events;
mod exec;
#[allow(unsafe_code)]
pub mod frame;
#[cfg(feature = "injector")]
pub mod injector;
mod metrics;
pub mod op;
#[allow(unsafe_code)]
mod ring;
#[allow(unsafe_code)]
pub mod signal;
pub mod time;

pub use descriptor::{AnyDescriptor, Descriptor};
pub use direct::DirectDescriptor;
pub use driver::Key;
pub use exec::{
    AbortHandle, Builder, CancelOnDrop, CancellationToken, Cancelled, CoreHandle, Cores, Handle, JoinError,
    JoinHandle, OutOfScope, Post, Runtime, TaskLocal, TaskLocalFuture, consume_budget, cores, spawn,
    spawn_blocking, yield_now,
};
pub use metrics::Metrics;
pub use ring::capabilities::{Capabilities, Capability, UnknownCapability};
pub use ring::setup::SetupError;
