//! Chains for [chainring](https://docs.rs/chainring): what happens on a connection, written once as data, compiled
//! once, and run for every connection without a task, a waker or an allocation a request.
//!
//! A chain is built step by step with [`Chain`]. `build()` compiles it into a [`Program`], which is the same for
//! all cores. `serve` runs it for every connection of a listener: each gets a *frame*, with registers, buffers and
//! a session, and where the completion of one step is reaped, the next one is submitted.
//!
//! ```
//! use chainring_chains::{Chain, Flow, read};
//!
//! let mut c = Chain::<u64>::new("shout");
//! let sock = c.accepted();
//! let len = c.reg();
//! let line = c.buffer(4096);
//! c.repeat(|c| {
//!     c.recv(sock, line.all()).into(len).or_finish();
//!     c.call((chainring_chains::write(line.to(len)),), |seen, (bytes,)| {
//!         bytes.make_ascii_uppercase();
//!         *seen += bytes.len() as u64;
//!         Flow::Next
//!     });
//!     c.send_all(sock, line.to(len));
//! });
//! let program = c.build()?;
//! println!("{}", program.explain());
//! # Ok::<(), chainring_chains::BuildError>(())
//! ```
//!
//! # Where a line lives
//!
//! | folder or file | what it is |
//! |---|---|
//! | `handle`, `expr`, `access` | what a chain is written with: registers, buffers, numbers, views |
//! | `build` | the builder, which records a tree of steps |
//! | `compile` | tree, flow, checks, segments |
//! | `program`, `explain` | the result, and how it reads |
//! | `run` | frames at work: the runner, exits, `spawn`, `serve` |

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

mod access;
mod build;
mod compile;
mod error;
mod explain;
mod expr;
mod handle;
mod names;
mod native;
mod program;
mod run;
mod tree;

pub use access::{
    Access, Item, Read, RegMut, Stream, StreamMut, Value, Write, read, reg, stream, value, write,
};
pub use build::{AttemptStep, Chain, FillStep, Lowering, OpenStep, StatxStep, TransferStep, WhenStep};
pub use chainring_runtime::frame::Order;
pub use chainring_runtime::op::openat2::OpenHow;
pub use error::{BuildError, ChainError, ErrorKind, StartError};
pub use explain::Explain;
pub use expr::{Cond, Expr};
pub use handle::{Buf, File, Reg, Socket, Span, SpanLen, StreamBuf};
pub use native::Flow;
pub use program::Program;
pub use run::{ChainHandle, Counters, Exit, Full, Init, Peer, Serve, Sockets, Spawner};
