//! Tasks: futures that a core runs beside its main one.
//!
//! # Who owns what
//!
//! A task is one allocation: a [`Header`] of fixed layout, and behind it the future, later its output. The
//! *core's thread* owns the future and the output: only it polls, drops or takes them, and nothing of them
//! is reachable from elsewhere. Other threads own at most a reference to the allocation, and may do four
//! things with it: count references, ask for a run, ask for an abort, and free the memory once nobody has
//! a reference (by then it holds neither future nor output).
//!
//! References are counted twice, so that a core that awaits its own operations uses no atomic instruction:
//!
//! - `Header::local` counts what the core's thread does, as a plain number;
//! - the upper bits of `Header::shared` count what all others do, atomically.
//!
//! Either may be negative: a waker that was cloned here may be dropped there. Only the sum means anything, and
//! while a task is not done nobody asks for it, since the core itself holds a reference. When it is done, the
//! core adds its number to the shared one, together with the bit `MERGED`; from then on everybody counts there,
//! and whoever takes it to zero frees the memory.
//!
//! "The core's thread" means a thread that runs the core at the moment (`Scheduler::is_current`), or has a
//! [`Handle`](super::Handle) or [`Runtime`](super::Runtime), which never leave it. A waker that is used on the
//! core's thread while it does not run the core counts as somebody else's; that is slower and as right.
//!
//! # The life of a task
//!
//! ```text
//!               +------------------ wake ------------------+
//!               v                                          |
//!   spawn -> scheduled -> polled -> Pending: idle ---------+
//!               |            |
//!               | aborted    +--> Ready or panic: done, its output kept for the JoinHandle
//!               +---------------> future dropped: done, cancelled
//! ```
//!
//! *Scheduled* is a bit of its own: a task that wakes itself while it is polled is in the queue again, and one
//! that is done by then is let go when the queue reaches it. Waking from elsewhere sets `NOTIFIED` in the
//! shared word and puts a reference into the core's remote queue; the core clears the bit before it polls, so
//! whatever was written before the wake is seen by the poll, and a wake during the poll leads to another.
//!
//! Polling, and dropping a future or an output, run foreign code that may panic: each is caught where it is
//! called, and no field is borrowed meanwhile.

mod cell;
mod header;
mod join;
mod scheduler;
mod waker;

#[cfg(test)]
mod tests;

pub(crate) use header::TaskRef;
pub(super) use join::Joined;
pub use join::{AbortHandle, JoinError, JoinHandle};
pub(crate) use scheduler::Polled;
pub(super) use scheduler::{Entered, Scheduler};
pub(crate) use waker::Waiter;
