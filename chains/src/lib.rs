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
//! # Buffers
//!
//! | handle | memory | for |
//! |---|---|---|
//! | [`buffer`](Chain::buffer) | each frame's own, of fixed size, behind each other | heads, small messages |
//! | [`pooled`](Chain::pooled) | taken from the core's pool when bytes come, until the last reader is done | what many idle connections wait for |
//! | [`stream`](Chain::stream) | each frame's own, filled at one end and consumed at the other | pipelined parsing |
//! | [`outbox`](Chain::outbox) | copies, and blobs that are shared | replies |
//! | [`constant`](Chain::constant) | the program's | greetings, tables |
//! | [`pipe`](Chain::pipe) | the kernel's | bytes that pass by: [`splice`](Chain::splice) |
//!
//! # Where a line lives
//!
//! | folder or file | what it is |
//! |---|---|
//! | `handle`, `expr`, `access` | what a chain is written with: registers, buffers, numbers, views |
//! | `build` | the builder, which records a tree of steps: `steps/` has a file for each thing that they are about |
//! | `compile` | tree, flow, effects, checks, hoisting, segments, code |
//! | `program`, `explain`, `dot` | the result, how it reads, and its graph |
//! | `run` | frames at work: the runner, exits, `spawn`, `serve` |

//! # To add a step
//!
//! One that is an operation of the kernel's: a `Verb` in `chainring_runtime::frame` (its facts, what counts as its success,
//! its template; what it needs beyond descriptor and span is an `Extra`, checked in `template.rs`), and a method in
//! `build/steps` that makes an `IoStep` of it. What it reads and writes follows from the verb; if it does more, `effects`
//! says so, and checks and hoisting follow. One that is computed: a `Compute` in `tree`, its effects, its ops in
//! `compile/code.rs`, its words in `explain`. One that decides what comes next: a `Kind`, and its lines in `compile/flow.rs`.
//! In each case a test of what it does, one of what `build()` refuses, and its arm in the oracle (`tests/oracle`), which
//! runs random programs against a blocking interpreter.

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

mod access;
mod build;
mod compile;
mod dot;
mod error;
mod explain;
mod expr;
mod future;
mod handle;
mod names;
mod native;
mod program;
mod run;
mod tree;

pub use access::{
    Access, Item, OutboxMut, Read, RegMut, Stream, StreamMut, Value, Write, outbox, read, reg, stream, value,
    write,
};
pub use build::{
    AttemptStep, Chain, FillStep, Lowering, OpenStep, RenameStep, SpliceStep, StatxStep, TransferStep,
    UnlinkStep, WhenStep,
};
pub use chainring_runtime::frame::{Blob, Order, Outbox as OutboxView};
pub use chainring_runtime::op::openat2::OpenHow;
pub use error::{BuildError, ChainError, ErrorKind, StartError};
pub use explain::Explain;
pub use expr::{Cond, Expr};
pub use handle::{Buf, End, File, Outbox, Pipe, Reg, Socket, Span, SpanLen, StreamBuf};
pub use native::Flow;
pub use program::Program;
pub use run::{ChainHandle, Counters, Exit, Full, Init, Peer, Serve, ServeControl, Sockets, Spawner};
