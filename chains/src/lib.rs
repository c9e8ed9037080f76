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
//! | [`owned`](Chain::owned) | allocated for what is asked for, until the last reader is done or a call takes it | large values |
//! | [`stream`](Chain::stream) | each frame's own, filled at one end and consumed at the other | pipelined parsing |
//! | [`outbox`](Chain::outbox) | copies, by [`append`](Chain::append) and calls, and blobs that are shared | replies |
//! | [`constant`](Chain::constant) | the program's | greetings, tables |
//! | [`pipe`](Chain::pipe) | the kernel's | bytes that pass by: [`splice`](Chain::splice) |
//!
//! # Time, futures, and the end
//!
//! [`within`](Chain::within) bounds a block, whatever is in it: a peer that sends a byte a second, a loop, a future.
//! [`call_async`](Chain::call_async) runs a future as a step, for what no step does. [`Serve::control`] stops a server and
//! [drains](ServeControl::drain) its connections.
//!
//! ```
//! use std::time::Duration;
//! use chainring_chains::Chain;
//!
//! let mut c = Chain::<()>::new("patient for five seconds");
//! let (sock, len, errno) = (c.accepted(), c.reg(), c.reg());
//! let (head, body, sorry) = (c.buffer(4), c.buffer(1024), c.constant(b"too slow"));
//! c.attempt(|c| {
//!     c.within(Duration::from_secs(5), |c| {
//!         c.recv_exact(sock, head.all());
//!         c.set(len, head.be32(0));
//!         c.recv_exact(sock, body.to(len));
//!     });
//!     c.send_all(sock, body.to(len));
//! })
//! .on_error(errno, |c| {
//!     c.when(errno.eq(libc::ETIMEDOUT as u64), |c| {
//!         c.send_all(sock, sorry.all());
//!     });
//! });
//! c.build()?;
//! # Ok::<(), chainring_chains::BuildError>(())
//! ```
//!
//! # Several ways at once
//!
//! The steps of a chain come one after the other. Where they need not, a chain says so: [`Chain::all`] runs branches side
//! by side, [`Chain::quorum`] goes on when some of them have succeeded, and [`Chain::pipelined`] has several turns of a
//! loop in flight. A branch is a *strand* of its frame: it submits and completes by itself, shares the frame's registers
//! and bytes with its siblings, and never touches what one of them changes, which `build()` makes sure of. The frame goes
//! on when all its strands have ended, those that were cancelled too: then nothing of it is in flight.
//!
//! Operations in a row are linked, and never made parallel by the compiler, although two reads of a file into different
//! buffers look as if nobody could tell: what is opened may turn out to be a pipe or a terminal, which has no positions but
//! an order, and the error handler of a read may look at the buffer of a later one.
//!
//! # Where a line lives
//!
//! | folder or file | what it is |
//! |---|---|
//! | `handle`, `expr`, `access` | what a chain is written with: registers, buffers, numbers, views |
//! | `build` | the builder, which records a tree of steps: `steps/` has a file for each thing that they are about |
//! | `compile` | tree, flow, branches, effects, checks, hoisting, segments, code |
//! | `program`, `explain`, `dot` | the result, how it reads, and its graph |
//! | `future` | what a `call_async` waits for |
//! | `run` | frames at work: the runner, deadlines, exits, `spawn`, `serve` and its end |
//! | `sync` | what frames, tasks and cores share: groups, logs, events, words |
//!
//! # To share without locks
//!
//! Two continuations of a core never run at once, so what one of them does between two operations nobody sees half done.
//! For what takes longer, or leads beyond the core, there are things to be shared:
//!
//! - [`Group`] with [`serial`](Chain::serial): one frame at a time is inside of a block, in the order in which they came;
//! - [`Event`] with [`wait`](Chain::wait) and [`notify`](Chain::notify): frames, tasks and cores tell each other that something
//!   has happened, and each notification is taken once;
//! - [`Shared`] words of a core and [`Atomic`] words of all threads, in expressions and [`set`](Chain::set);
//! - [`Log`] with [`commit`](Chain::commit): the records of many frames and tasks reach the disk by one write and one sync.
//!
//! What each of them costs for a counter and for a log that connections share is in `docs/coordination.md`.
//!
//! # Words
//!
//! | word | here | and elsewhere |
//! |---|---|---|
//! | chain, program | what is being written with a builder ([`Chain`]); what `build()` makes of it, the same for all cores | the oracle's program is a chain as data |
//! | step, block | one call of the builder, numbered through the chain (`tree::Step`); steps in a row, which may be those of another step | in the key of a completion, the member of the segment or list that it is of |
//! | line | what steps become: one instruction, with its edges (`flow::Line`). Several may be of one step, or of none | |
//! | segment, member | lines that are submitted at once; one of the operations in it (`compile::member::Io`, in the runtime a `Transfer` of a `Plan`) | |
//! | list | submission queue entries in a row that are published together and may be linked: a segment as the kernel sees it | `driver::list`: those that one future waits for |
//! | operation, op | what the kernel is asked to do; what code is made of (`frame::Op`): it computes, and asks nobody | `runtime::op` are the operations, `op::Op` a future of one; the oracle's `Op` is an operator |
//! | verb | which operation a member is (`frame::Verb`) | in the oracle's report, what a step did on a socket; in `verbs.rs` there, what the injector calls an operation |
//! | template | a segment, checked, as entries of which little has to be filled in | |
//! | frame, strand, region | one connection's registers, descriptors and buffers; one of the ways that it goes at once; the memory of all frames of a program on one core | |
//! | outbox | what a frame is to send, in parts: a handle ([`Outbox`]), and its bytes ([`OutboxView`]) | |
//! | gate | in a template, a number that is compared without running code | `run::control`: whether a server is open, stopped or closed |
//! | handler | the block that an error leads to (`on_error`) | |
//! | `Kind` | what a step is (`tree`) | the same of the oracle's steps; in the driver, of completions |
//! | `Then` | what follows a segment that has succeeded (`frame::Then`) | in `op::list`, what follows an entry |
//! | `Flow` | where a call lets the chain go on ([`Flow`]) | in `compile`, all lines of a program |
//! | `Event` | what frames, tasks and cores wait for ([`Event`]) | the oracle's: what a call has written down |
//!
//! # To add a step
//!
//! One that is an operation of the kernel's: a `Verb` in `chainring_runtime::frame` (its facts, what counts as its success,
//! its template; what it needs beyond descriptor and span is an `Extra`, checked in `frame/template/check.rs`), and a method in
//! `build/steps` that makes an `IoStep` of it. What it reads and writes follows from the verb; if it does more, `effects`
//! says so, and checks and hoisting follow. One that is computed: a `Compute` in `tree`, its effects, its ops in
//! `compile/code`, its words in `explain`. One that decides what comes next: a `Kind`, and its lines in `compile/flatten.rs`.
//! In each case a test of what it does, one of what `build()` refuses, and its arm in the oracle (`tests/oracle`), which
//! runs random programs against a blocking interpreter.

#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

mod access;
mod build;
mod compile;
mod error;
mod explain;
mod expr;
mod future;
mod handle;
mod names;
mod native;
mod program;
mod run;
mod sync;
mod tree;

pub use access::{
    Access, Item, OutboxMut, Read, RegMut, Stream, StreamMut, TakeOwned, Value, Write, outbox, read, reg,
    stream, take, value, write,
};
pub use build::{
    AttemptStep, Branches, Chain, CommitStep, FillStep, Lowering, OpenStep, RenameStep, SpliceStep,
    StatxStep, TransferStep, UnlinkStep, WhenStep, WordStep,
};
pub use chainring_runtime::frame::{Blob, Order, Outbox as OutboxView};
pub use chainring_runtime::op::openat2::OpenHow;
pub use error::{BuildError, ChainError, ErrorKind, StartError};
pub use explain::{Explain, Passes};
pub use expr::{Cond, Expr};
pub use handle::{Buf, End, File, Outbox, Owned, Pipe, Reg, Socket, Span, SpanLen, StreamBuf, Target, Word};
pub use native::Flow;
pub use program::Program;
pub use run::{ChainHandle, Counters, Exit, Full, Init, Peer, Serve, ServeControl, Sockets, Spawner};
pub use sync::{Atomic, Commit, Event, Group, Log, OpenLog, Shared, Waiting};
