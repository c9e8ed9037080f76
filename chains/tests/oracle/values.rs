//! What the steps of random programs are about: spans, numbers, names, ends of a splice.

use super::program::{BUFS, CONSTANT, HELD_FROM, STREAM};

/// Where a splice takes from, or puts to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum End {
    Socket(usize),
    File(usize),
}

/// What is polled.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Polled {
    Socket(usize),
    /// For a connection that is about to be accepted.
    Listener,
    /// The end of a pipe from which nothing ever comes.
    Silent,
    /// The end of a pipe into which there is always room.
    Room,
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

    /// Whether it starts where its buffer does, whatever the registers say.
    pub(crate) fn is_from_front(&self) -> bool {
        self.from == 0 && self.start.is_none()
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
        // A constant and those that are not a frame's own at all times lie apart from all others.
        let apart = self.buf != next.buf && (self.buf >= CONSTANT || next.buf >= CONSTANT);
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
    Word(usize),
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
            Expr::Const(_) | Expr::Reg(_) | Expr::Word(_) | Expr::Load { .. } => false,
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
