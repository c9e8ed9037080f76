//! A chain as it was written down: blocks of steps. What the builder records and the compiler starts from.

use chainring_runtime::frame::Verb;

use crate::access::Touch;
use crate::expr::{Cond, Expr};
use crate::handle::{Reg, Socket, Span};

/// Steps in the order in which they were written.
pub(crate) type Block = Vec<Step>;

#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// Counted from 1 through the whole chain.
    pub(crate) number: u32,
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Transfer(Transfer),
    /// Ends the sending half.
    Shutdown(Socket),
    Set(Reg, Expr),
    Ensure(Cond, i32),
    /// The native call with this index, and what it touches.
    Call(usize, Vec<Touch>),
    When {
        cond: Cond,
        then: Block,
        otherwise: Block,
    },
    Repeat(Block),
    Again,
    Leave,
    Finish,
}

/// A step that moves bytes.
#[derive(Clone, Debug)]
pub(crate) struct Transfer {
    pub(crate) verb: Verb,
    pub(crate) socket: Socket,
    /// Transferred in this order; more than one only for what is exact.
    pub(crate) spans: Vec<Span>,
    /// Takes the number of bytes.
    pub(crate) into: Option<Reg>,
    pub(crate) on_end: OnEnd,
}

/// What the end of the stream means before the first byte of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnEnd {
    Error,
    Finish,
}
