//! Random programs as data: what the strategies make, and what both sides run.
//!
//! A [`Step`] here is a step of the builder there, one to one and in the same order, so that both number them alike.
//! Registers and buffers are the same in every program; only what is used differs.

pub(crate) use super::files::FileStep;
pub(crate) use super::shape::*;
pub(crate) use super::values::{End, Expr, Len, Op, Path, Polled, Span};

pub(crate) type Block = Vec<Step>;

#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// What registers are given at the start; the others must be written before they are read.
    pub(crate) params: [Option<u64>; REGS],
    pub(crate) body: Block,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    /// As the builder counts; see [`Program::renumber`].
    pub(crate) number: u32,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Recv {
        socket: usize,
        span: Span,
        into: Option<usize>,
        or_finish: bool,
        count: Count,
    },
    RecvExact {
        socket: usize,
        span: Span,
        into: Option<usize>,
        or_finish: bool,
    },
    /// The blocking side knows how much from the call behind it.
    Send {
        socket: usize,
        span: Span,
        into: usize,
    },
    SendAll {
        socket: usize,
        spans: Vec<Span>,
        into: Option<usize>,
    },
    Shutdown {
        socket: usize,
    },
    /// Of the stream buffer. The `set` and the call behind it say how much there is then.
    Fill {
        socket: usize,
        or_finish: bool,
    },
    Consume {
        len: Expr,
    },
    File(FileStep),
    /// What comes is passed on through a pipe. The call behind it says how much.
    Splice {
        from: End,
        to: End,
        len: Len,
        into: usize,
        or_finish: bool,
    },
    Nop,
    /// From the listener. Each is done once at the most, and as many connections come as there are steps.
    Accept,
    /// The `set` behind it leaves those events that were asked for.
    Poll {
        what: Polled,
        events: u64,
        into: Option<usize>,
    },
    Rename {
        from: Path,
        to: Path,
    },
    Remove {
        path: Path,
        directory: bool,
    },
    Set {
        reg: usize,
        value: Expr,
    },
    SetWord {
        word: usize,
        value: Expr,
    },
    FetchAdd {
        word: usize,
        value: Expr,
        into: Option<usize>,
    },
    Exchange {
        word: usize,
        current: Expr,
        new: Expr,
        into: Option<usize>,
    },
    FutexWait {
        word: usize,
        expected: Expr,
    },
    FutexWake {
        word: usize,
        count: Expr,
        into: Option<usize>,
    },
    Notify,
    /// Behind a notify of its own.
    Wait,
    Commit {
        spans: Vec<Span>,
        into: Option<usize>,
    },
    Store {
        buf: usize,
        at: Expr,
        width: u32,
        big: bool,
        value: Expr,
    },
    Copy {
        to: Span,
        from: Span,
    },
    /// Into the outbox.
    Append {
        span: Span,
    },
    /// The same; without a width as decimal digits.
    AppendNumber {
        width: Option<u32>,
        big: bool,
        value: Expr,
    },
    SendOutbox {
        socket: usize,
    },
    Sleep {
        time: Expr,
    },
    /// Without an errno there is no handler.
    Attempt {
        body: Block,
        errno: Option<usize>,
        handler: Block,
    },
    Ensure {
        cond: Expr,
        code: i32,
    },
    Fail {
        errno: Expr,
    },
    When {
        cond: Expr,
        then: Block,
        otherwise: Block,
    },
    Repeat {
        body: Block,
    },
    /// One frame at a time is inside.
    Serial {
        body: Block,
    },
    /// For so many nanoseconds: [`LONG`], or [`SHORT`] where something inside sleeps for long.
    Within {
        time: u64,
        body: Block,
    },
    /// Side by side; so many must succeed, or all.
    Fork {
        need: Option<usize>,
        branches: Vec<Block>,
    },
    /// Turns side by side, but for what they do in order.
    Pipelined {
        depth: usize,
        ahead: Block,
        in_order: Block,
    },
    /// A future that computes bytes and a register from others, ready at once or later.
    Fetch {
        from: Span,
        to: Span,
        reg: usize,
        ready: Ready,
    },
    Again,
    Leave,
    Finish,
    Call(Call),
}

/// When a future is ready.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Ready {
    AtOnce,
    NextTurn,
    Later,
}

/// How the blocking side knows how much a recv brought: the one thing that the kernel is free to choose.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Count {
    /// One byte.
    One,
    /// The call behind it says so; the blocking side takes as much.
    Logged,
    /// It does not, and need not: all that comes is sent back, to the end of the stream.
    Free,
}

/// A native call, with what it is lent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Call {
    /// Writes down how much a recv has brought.
    Log(usize),
    /// Writes down all registers.
    Observe,
    /// Writes down bytes and a register.
    Look(Span, usize),
    /// Fills bytes.
    Fill(Span, u8),
    /// Computes bytes and a register from others.
    Mix { from: Span, to: Span, reg: usize },
    /// Writes down what the stream buffer holds, and consumes as much of it as a register says, or all.
    Take(usize),
    /// Goes on, finishes or fails, as a register says.
    Decide(usize),
}

/// What a call has written down.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) step: u32,
    pub(crate) values: Vec<u64>,
    pub(crate) bytes: Vec<u8>,
    /// How much a recv has brought.
    pub(crate) is_count: bool,
}

impl Program {
    /// Numbers the steps as the builder does: in the order in which they are written, blocks behind their step.
    pub(crate) fn renumber(&mut self) {
        let mut next = 1;
        number(&mut self.body, &mut next);
    }

    pub(crate) fn any(&self, is: &mut impl FnMut(&Step) -> bool) -> bool {
        any(&self.body, is)
    }

    /// How many connections it accepts at the most.
    pub(crate) fn accepts(&self) -> usize {
        let mut accepts = 0;
        self.any(&mut |step| {
            accepts += usize::from(step.kind == Kind::Accept);
            false
        });
        accepts
    }

    /// Whether it polls the pipe.
    pub(crate) fn polls_pipe(&self) -> bool {
        self.any(&mut |step| matches!(step.kind, Kind::Poll { what: Polled::Silent | Polled::Room, .. }))
    }

    /// Whether it waits for a thread to wake it.
    pub(crate) fn waits_for_signal(&self) -> bool {
        self.any(&mut |step| matches!(step.kind, Kind::FutexWait { word: SIGNAL, .. }))
    }

    /// The steps that set a file's length.
    pub(crate) fn truncations(&self) -> Vec<u32> {
        let mut steps = Vec::new();
        self.any(&mut |step| {
            if let Kind::File(FileStep::Truncate { .. }) = step.kind {
                steps.push(step.number);
            }
            false
        });
        steps
    }

    /// Whether the kernel must be able to wait for futexes by the ring.
    pub(crate) fn takes_futexes(&self) -> bool {
        self.any(&mut |step| step.kind.takes_futexes())
    }
}

fn number(block: &mut Block, next: &mut u32) {
    for step in block {
        step.number = *next;
        *next += 1;
        step.kind.blocks_mut().into_iter().for_each(|block| number(block, next));
    }
}

fn any(block: &Block, is: &mut impl FnMut(&Step) -> bool) -> bool {
    block.iter().any(|step| is(step) || step.kind.blocks().into_iter().any(|block| any(block, is)))
}

/// The blocks of a step, to look at or to change.
macro_rules! blocks {
    ($kind:expr, $iter:ident) => {
        match $kind {
            Kind::When { then, otherwise, .. } => vec![then, otherwise],
            Kind::Repeat { body } | Kind::Serial { body } | Kind::Within { body, .. } => vec![body],
            Kind::Attempt { body, handler, .. } => vec![body, handler],
            Kind::Pipelined { ahead, in_order, .. } => vec![ahead, in_order],
            Kind::Fork { branches, .. } => branches.$iter().collect(),
            Kind::Recv { .. } | Kind::RecvExact { .. } | Kind::Fill { .. } | Kind::Consume { .. } => vec![],
            Kind::Send { .. } | Kind::SendAll { .. } | Kind::SendOutbox { .. } => vec![],
            Kind::Shutdown { .. } | Kind::Accept | Kind::Poll { .. } | Kind::Splice { .. } => vec![],
            Kind::File(_) | Kind::Rename { .. } | Kind::Remove { .. } | Kind::Commit { .. } => vec![],
            Kind::Set { .. } | Kind::Store { .. } | Kind::Copy { .. } => vec![],
            Kind::Append { .. } | Kind::AppendNumber { .. } => vec![],
            Kind::SetWord { .. } | Kind::FetchAdd { .. } | Kind::Exchange { .. } => vec![],
            Kind::FutexWait { .. } | Kind::FutexWake { .. } | Kind::Notify | Kind::Wait => vec![],
            Kind::Call(_) | Kind::Fetch { .. } | Kind::Nop | Kind::Sleep { .. } => vec![],
            Kind::Ensure { .. } | Kind::Fail { .. } => vec![],
            Kind::Again | Kind::Leave | Kind::Finish => vec![],
        }
    };
}

impl Kind {
    pub(crate) fn step(self) -> Step {
        Step { number: 0, kind: self }
    }

    pub(crate) fn blocks(&self) -> Vec<&Block> {
        blocks!(self, iter)
    }

    pub(crate) fn blocks_mut(&mut self) -> Vec<&mut Block> {
        blocks!(self, iter_mut)
    }

    /// Whether it takes futexes of the ring.
    pub(crate) fn takes_futexes(&self) -> bool {
        matches!(self, Kind::FutexWait { .. } | Kind::FutexWake { .. })
    }

    /// Whether it has strands that run side by side.
    pub(crate) fn overlaps(&self) -> bool {
        matches!(self, Kind::Fork { .. } | Kind::Pipelined { .. })
    }
}
