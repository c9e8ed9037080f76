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
/// Where the bytes of the stream buffer start and how many there are: registers of its own, which only spans and
/// expressions name.
pub(crate) const HELD_FROM: usize = 8;
pub(crate) const HELD: usize = 9;
pub(crate) const ALL_REGS: usize = 10;

/// Buffers of every program, behind each other: general ones, that of an endless echo, a stream buffer, and apart from
/// them a constant.
pub(crate) const BUFS: [u32; 8] = [4, 16, 64, 300, 6000, 512, 32, 24];
pub(crate) const ECHO_BUF: usize = 5;
pub(crate) const STREAM: usize = 6;
pub(crate) const CONSTANT: usize = 7;

/// What the constant holds: bytes that ascend.
pub(crate) fn constant() -> Vec<u8> {
    (0..BUFS[CONSTANT]).map(|i| (i * 11 / BUFS[CONSTANT]) as u8).collect()
}

/// Files of every program: one that is given, and one that is not.
pub(crate) const FILES: usize = 2;
/// The places of descriptors are those of the sockets, the files, and the directory.
pub(crate) fn file_place(file: usize) -> usize {
    SOCKETS + file
}
/// What is opened beneath the directory: a file that is there, one that is not, one outside of it.
pub(crate) const NAMES: [&str; 4] = ["there", "missing", "../outside", "given"];

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
    Read {
        file: usize,
        span: Span,
        position: Expr,
        into: Option<usize>,
        exact: bool,
        or_finish: bool,
    },
    Write {
        file: usize,
        spans: Vec<Span>,
        position: Expr,
        into: Option<usize>,
    },
    Sync {
        file: usize,
        data: bool,
    },
    Fallocate {
        file: usize,
        position: Expr,
        len: Expr,
    },
    Truncate {
        file: usize,
        len: Expr,
    },
    Open {
        file: usize,
        path: Path,
        flags: i32,
    },
    CloseFile {
        file: usize,
    },
    Statx {
        file: usize,
        size: Option<usize>,
        mode: Option<usize>,
    },
    Set {
        reg: usize,
        value: Expr,
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
    When {
        cond: Expr,
        then: Block,
        otherwise: Block,
    },
    Repeat {
        body: Block,
    },
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
pub(crate) enum Path {
    Name(usize),
    /// Bytes of the frame, which need not end in a NUL.
    Bytes(Span),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span {
    pub(crate) buf: usize,
    pub(crate) from: u32,
    /// The register that is added to where it starts.
    pub(crate) start: Option<usize>,
    pub(crate) len: Len,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Len {
    Fixed(u32),
    Reg(usize),
}

impl Span {
    pub(crate) fn all(buf: usize) -> Span {
        Span { buf, from: 0, start: None, len: Len::Fixed(BUFS[buf]) }
    }

    pub(crate) fn to(buf: usize, reg: usize) -> Span {
        Span { buf, from: 0, start: None, len: Len::Reg(reg) }
    }

    /// What the stream buffer holds, or the first bytes of it.
    pub(crate) fn held(len: Len) -> Span {
        Span { buf: STREAM, from: 0, start: Some(HELD_FROM), len }
    }

    /// The bytes of the buffer that it can reach.
    pub(crate) fn reach(&self) -> std::ops::Range<u32> {
        match self.len {
            Len::Fixed(len) if self.start.is_none() => self.from..self.from + len,
            _ => self.from..BUFS[self.buf],
        }
    }

    /// Whether its place and length are known beforehand.
    pub(crate) fn is_fixed(&self) -> bool {
        self.start.is_none() && matches!(self.len, Len::Fixed(_))
    }

    /// The longest it can be.
    pub(crate) fn room(&self) -> u32 {
        BUFS[self.buf] - self.from
    }

    /// Whether `next` starts where this one ends, whatever the registers say.
    pub(crate) fn is_followed_by(&self, next: &Span) -> bool {
        let fixed = self.is_fixed() && next.start.is_none();
        let start = |span: &Span| BUFS[..span.buf].iter().sum::<u32>() + span.from;
        let apart = (self.buf == CONSTANT) != (next.buf == CONSTANT);
        fixed && !apart && start(self) + self.reach().len() as u32 == start(next)
    }

    /// Puts those together that lie behind each other.
    pub(crate) fn merged(spans: &[Span]) -> Vec<&[Span]> {
        spans.chunk_by(|a, b| a.is_followed_by(b)).collect()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Expr {
    Const(u64),
    Reg(usize),
    Load {
        buf: usize,
        offset: u32,
        width: u32,
        big: bool,
    },
    LoadAt {
        buf: usize,
        index: Box<Expr>,
        width: u32,
        big: bool,
    },
    Find {
        span: Span,
        byte: Box<Expr>,
    },
    FindBytes(Span, Span),
    /// How many sorted numbers are less than the key, or not greater.
    Partition {
        span: Span,
        width: u32,
        big: bool,
        stride: u32,
        key: Box<Expr>,
        or_equal: bool,
    },
    Equals(Span, Span),
    Hash(Span),
    Binary(Op, Box<[Expr; 2]>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Op {
    Add,
    Sub,
    Mul,
    Div,
    Rem,
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

impl Expr {
    pub(crate) fn binary(op: Op, a: Expr, b: Expr) -> Expr {
        Expr::Binary(op, Box::new([a, b]))
    }

    /// Whether it may fail.
    pub(crate) fn can_trap(&self) -> bool {
        match self {
            Expr::Const(_) | Expr::Reg(_) | Expr::Load { .. } => false,
            Expr::LoadAt { .. } => true,
            Expr::Find { span, byte } => !span.is_fixed() || byte.can_trap(),
            Expr::Partition { span, key, .. } => !span.is_fixed() || key.can_trap(),
            Expr::Equals(a, b) | Expr::FindBytes(a, b) => !a.is_fixed() || !b.is_fixed(),
            Expr::Hash(span) => !span.is_fixed(),
            Expr::Binary(op, operands) => {
                matches!(op, Op::Div | Op::Rem) || operands.iter().any(Expr::can_trap)
            }
        }
    }
}

impl Op {
    pub(crate) const ALL: [(Op, &'static str); 16] = [
        (Op::Add, "+"),
        (Op::Sub, "-"),
        (Op::Mul, "*"),
        (Op::Div, "/"),
        (Op::Rem, "%"),
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
            Kind::Attempt { body, handler, .. } => vec![body, handler],
            _ => Vec::new(),
        }
    }

    pub(crate) fn blocks_mut(&mut self) -> Vec<&mut Block> {
        match self {
            Kind::When { then, otherwise, .. } => vec![then, otherwise],
            Kind::Repeat { body } => vec![body],
            Kind::Attempt { body, handler, .. } => vec![body, handler],
            _ => Vec::new(),
        }
    }
}
