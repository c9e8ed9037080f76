//! A chain as it was written down: blocks of steps. What the builder records and the compiler starts from.

use chainring_runtime::frame::{Order, Verb};

use crate::access::Touch;
use crate::expr::{Cond, Expr};
use crate::handle::{Buf, Outbox, Pipe, Place, Reg, Span, SpanLen, StreamBuf, Word};
use crate::sync::Sync;

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
    Io(IoStep),
    Compute(Compute),
    Ensure(Cond, i32),
    Fail(Expr),
    /// The native call with this index, and what it touches.
    Call(usize, Vec<Touch>),
    /// The future with this index: what its making touches, and what the storing of its output does.
    CallAsync(usize, Vec<Touch>, Vec<Touch>),
    /// Makes a pipe, unless it is there.
    MakePipe(Pipe),
    /// As many nanoseconds.
    Sleep(Expr),
    When {
        cond: Cond,
        then: Block,
        otherwise: Block,
    },
    Repeat(Block),
    /// The block is inside of the group with this number.
    Serial(u16, Block),
    Sync(Sync<Expr>),
    /// For as many nanoseconds at the most.
    Within(Expr, Block),
    /// An error in the body leads to the handler, with its errno in the register.
    Attempt {
        body: Block,
        errno: Option<Reg>,
        handler: Block,
    },
    /// Blocks side by side, of which so many must succeed: all of them, if none is said.
    Fork {
        need: Option<usize>,
        branches: Vec<Block>,
    },
    /// A block whose turns overlap: the parts of each that may be on its way at the same time.
    Pipelined(Vec<Turn>),
    Again,
    Leave,
    Finish,
}

/// One of the turns that a pipelined block has in flight.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    /// Its number.
    pub(crate) number: Reg,
    /// What runs as soon as there is a turn for it.
    pub(crate) ahead: Block,
    /// What runs when those before it are done.
    pub(crate) in_order: Block,
}

/// A step that is an operation of the kernel's.
#[derive(Clone, Debug)]
pub(crate) struct IoStep {
    pub(crate) verb: Verb,
    /// The descriptor that it works on, or opens.
    pub(crate) place: Place,
    /// Transferred in this order; more than one only for what is exact.
    pub(crate) spans: Vec<Span>,
    /// Where in the file.
    pub(crate) position: Option<Expr>,
    /// How many bytes, of what moves none.
    pub(crate) amount: Option<Expr>,
    pub(crate) open: Option<Open>,
    pub(crate) outbox: Option<Outbox>,
    /// What is accepted from, or spliced from.
    pub(crate) second: Option<Place>,
    /// How many bytes, of what passes the frame by.
    pub(crate) passes: Option<SpanLen>,
    /// Where the path of what only names files starts: else in the working directory.
    pub(crate) directory: Option<Place>,
    /// What a file is renamed to, and where that path starts.
    pub(crate) target: Option<(Option<Place>, Span)>,
    /// Takes the number of bytes.
    pub(crate) into: Option<Reg>,
    pub(crate) on_end: OnEnd,
}

/// How a file is opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    /// The directory in which the path starts; else the working directory.
    pub(crate) at: Option<Place>,
    /// `struct open_how`: flags, mode, resolve.
    pub(crate) how: [u64; 3],
}

/// What the end of the stream means before the first byte of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OnEnd {
    Error,
    Finish,
}

/// Portable compute: what is done to registers and bytes without the kernel and without native code.
#[derive(Clone, Debug)]
pub(crate) enum Compute {
    Set(Reg, Expr),
    SetWord(Word, Expr),
    /// Adds to a word; the register takes what it was.
    Add(Word, Expr, Option<Reg>),
    /// Sets a word that is as expected to something new; the register takes what it was.
    Exchange {
        word: Word,
        current: Expr,
        new: Expr,
        into: Option<Reg>,
    },
    Store {
        buf: Buf,
        at: Expr,
        order: Order,
        value: Expr,
    },
    Copy {
        to: Span,
        from: Span,
    },
    /// Puts a copy of bytes behind what is in an outbox.
    Append(Outbox, Span),
    /// The same with a number: in an order, or as decimal digits.
    AppendNumber(Outbox, Option<Order>, Expr),
    /// Makes room behind the bytes of a stream buffer.
    Compact(StreamBuf),
}
