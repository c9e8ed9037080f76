//! Random programs as data: what the strategies make, and what both sides run.
//!
//! A [`Step`] here is a step of the builder there, one to one and in the same order, so that both number them alike.
//! Registers and buffers are the same in every program; only what is used differs.

/// Registers of every program: general ones, a counter for each depth of loops, the length of an endless echo.
pub(crate) const REGS: usize = 8;
pub(crate) const GENERAL: usize = 4;
/// The counter of the loops at a depth.
pub(crate) fn counter(depth: usize) -> usize {
    GENERAL + depth
}
pub(crate) const DEEPEST: usize = 3;
pub(crate) const ECHO_REG: usize = 7;

/// Buffers of every program, behind each other. The last is that of an endless echo.
pub(crate) const BUFS: [u32; 6] = [4, 16, 64, 300, 6000, 512];
pub(crate) const ECHO_BUF: usize = 5;

pub(crate) const SOCKETS: usize = 2;

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
    Recv { socket: usize, span: Span, into: Option<usize>, or_finish: bool, count: Count },
    RecvExact { socket: usize, span: Span, into: Option<usize>, or_finish: bool },
    SendAll { socket: usize, spans: Vec<Span>, into: Option<usize> },
    Shutdown { socket: usize },
    Set { reg: usize, value: Expr },
    Ensure { cond: Expr, code: i32 },
    When { cond: Expr, then: Block, otherwise: Block },
    Repeat { body: Block },
    Again,
    Leave,
    Finish,
    Call(Call),
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

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) buf: usize,
    pub(crate) from: u32,
    pub(crate) len: Len,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Len {
    Fixed(u32),
    /// From the start of the buffer.
    Reg(usize),
}

impl Span {
    pub(crate) fn all(buf: usize) -> Span {
        Span { buf, from: 0, len: Len::Fixed(BUFS[buf]) }
    }

    pub(crate) fn to(buf: usize, reg: usize) -> Span {
        Span { buf, from: 0, len: Len::Reg(reg) }
    }

    /// The longest it can be.
    pub(crate) fn room(&self) -> u32 {
        BUFS[self.buf] - self.from
    }

    /// Whether `next` starts where this one ends, whatever the registers say.
    pub(crate) fn is_followed_by(&self, next: &Span) -> bool {
        let start = |span: &Span| BUFS[..span.buf].iter().sum::<u32>() + span.from;
        matches!(self.len, Len::Fixed(len) if start(self) + len == start(next))
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Const(u64),
    Reg(usize),
    Load { buf: usize, offset: u32, width: u32, big: bool },
    Binary(Op, Box<[Expr; 2]>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
}

impl Op {
    pub(crate) const ALL: [(Op, &'static str); 14] = [
        (Op::Add, "+"),
        (Op::Sub, "-"),
        (Op::Mul, "*"),
        (Op::And, "&"),
        (Op::Or, "|"),
        (Op::Xor, "^"),
        (Op::Shl, "<<"),
        (Op::Shr, ">>"),
        (Op::Eq, "=="),
        (Op::Ne, "!="),
        (Op::Lt, "<"),
        (Op::Le, "<="),
        (Op::Gt, ">"),
        (Op::Ge, ">="),
    ];
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

impl Kind {
    pub(crate) fn step(self) -> Step {
        Step { number: 0, kind: self }
    }

    pub(crate) fn blocks(&self) -> Vec<&Block> {
        match self {
            Kind::When { then, otherwise, .. } => vec![then, otherwise],
            Kind::Repeat { body } => vec![body],
            _ => Vec::new(),
        }
    }

    pub(crate) fn blocks_mut(&mut self) -> Vec<&mut Block> {
        match self {
            Kind::When { then, otherwise, .. } => vec![then, otherwise],
            Kind::Repeat { body } => vec![body],
            _ => Vec::new(),
        }
    }
}
