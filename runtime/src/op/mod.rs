//! Operations: one short file a verb, and the future that awaits one.
//!
//! An operation is described once. Its file holds its fields, its SQE, how its result is read, and the facts
//! of its opcode. The same facts and the same template serve the awaited form and the chains. To add an
//! opcode: write `op/<verb>.rs`, add its line below, and a method in net or fs.

#[allow(unsafe_code)]
mod completion;
pub(crate) mod facts;
mod future;
mod multishot;

pub(crate) mod cancel;

pub mod accept;
pub mod close;
pub mod nop;
pub mod poll;
pub mod read;
pub mod recv;
pub mod send;
pub mod write;

pub use completion::Completion;
pub use facts::{Facts, Returns, Severs};
pub use future::Op;
pub use multishot::{Multishot, Repeats};

use crate::ring::sqe::Prepared;

/// One kind of operation: what it owns, how it is submitted, what comes out.
///
/// The value is moved into a slot and stays there, unmoved and untouched, from [`prepare`](Operation::prepare)
/// to the last completion. Implementations are safe code: [`Prepared`] can only point to what is borrowed
/// from `self`. It cannot be implemented outside this crate, because only this crate can make a `Prepared`.
pub trait Operation: Sized + 'static {
    /// What awaiting the operation gives.
    type Output;
    /// The facts of its opcode.
    const FACTS: Facts;

    /// Describes the submission. Called again if the queue was too full to take it.
    fn prepare<'a>(&'a mut self) -> Prepared<'a>;

    /// Reads the result; the operation gives back what it owned.
    fn complete(self, completion: Completion) -> Self::Output;
}
