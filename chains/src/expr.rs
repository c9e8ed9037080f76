//! Portable compute: expressions over registers and buffers.
//!
//! Arithmetic is that of `u64` and wraps; a shift by 64 or more gives zero; a comparison is 1 or 0. A division by zero,
//! and a load whose computed offset lies outside of its buffer, fail the frame and not the process. Expressions are
//! data: `explain()` prints them, and the compiler sees what they read.

use std::fmt;
use std::ops;
use std::time::Duration;

use chainring_runtime::frame::{Operator, Order};

use crate::handle::{Buf, Reg, Span, Word};

/// A number computed from registers, bytes and constants. A condition is one, too: see [`Cond`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr(pub(crate) Node);

/// A condition: an expression that is true where it is not zero. Comparisons give 1 or 0, and are joined by `&` and `|`:
/// `len.ge(1) & len.le(64)`. Both sides are calculated: a load on the right whose offset the left was to check fails the frame
/// all the same, and a [`when`](crate::Chain::when) inside of another does not.
pub type Cond = Expr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Const(u64),
    Reg(Reg),
    Word(Word),
    Load { buf: Buf, offset: u32, order: Order },
    LoadAt { buf: Buf, index: Box<Node>, order: Order },
    Binary(Operator, Box<[Node; 2]>),
    Find { span: Span, byte: Box<Node> },
    FindBytes(Span, Span),
    Partition { span: Span, order: Order, stride: u32, key: Box<Node>, or_equal: bool },
    Equal(Span, Span),
    Hash(Span),
}

impl Expr {
    fn binary(self, operator: Operator, other: impl Into<Expr>) -> Expr {
        Expr(Node::Binary(operator, Box::new([self.0, other.into().0])))
    }

    /// 1 if this is zero, else 0.
    #[allow(clippy::should_implement_trait, reason = "the number 1 or 0, not what `!` gives of an integer")]
    #[must_use]
    pub fn not(self) -> Cond {
        self.eq(0)
    }
}

impl From<Duration> for Expr {
    /// Its nanoseconds; of what is longer than 584 years, as many as there can be.
    fn from(time: Duration) -> Expr {
        Expr(Node::Const(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl Span {
    /// Where the byte first is in the span, counted from its start; the span's length if it is not there.
    pub fn find(self, byte: impl Into<Expr>) -> Expr {
        Expr(Node::Find { span: self, byte: Box::new(byte.into().0) })
    }

    /// Where the bytes of `other` first are in the span, counted from its start; the span's length if they are not there.
    /// Fastest if `other` is all of a [constant](crate::Chain::constant), or a [range](Buf::range) of one: the search is
    /// prepared then.
    pub fn find_bytes(self, other: Span) -> Expr {
        Expr(Node::FindBytes(self, other))
    }

    /// How many of the sorted numbers in the span are less than `key`, as `slice::partition_point` with `|number| number <
    /// key` would tell: the place of the first that is not. The numbers are written in `order` and start `stride` bytes
    /// apart, the first one at the start of the span; bytes at its end that hold no whole number are left alone. It is
    /// searched by halves. If they are not sorted, the answer is some number between none and all of them.
    ///
    /// `build()` refuses a stride that is less than the width of a number.
    pub fn partition_lt(self, order: Order, stride: u32, key: impl Into<Expr>) -> Expr {
        self.partition(order, stride, key.into(), false)
    }

    /// How many are not greater than `key`: see [`partition_lt`](Span::partition_lt).
    pub fn partition_le(self, order: Order, stride: u32, key: impl Into<Expr>) -> Expr {
        self.partition(order, stride, key.into(), true)
    }

    fn partition(self, order: Order, stride: u32, key: Expr, or_equal: bool) -> Expr {
        Expr(Node::Partition { span: self, order, stride, key: Box::new(key.0), or_equal })
    }

    /// 1 if `other` holds the same bytes, as many of them, else 0.
    pub fn equals(self, other: Span) -> Cond {
        Expr(Node::Equal(self, other))
    }

    /// The FNV-1a hash, of 64 bits.
    pub fn hash(self) -> Expr {
        Expr(Node::Hash(self))
    }
}

impl Node {
    /// Calls `visit` for this node and every one inside it.
    pub(crate) fn visit<'n>(&'n self, visit: &mut impl FnMut(&'n Node)) {
        visit(self);
        match self {
            Node::Binary(_, operands) => operands.iter().for_each(|node| node.visit(visit)),
            Node::LoadAt { index: node, .. } | Node::Find { byte: node, .. } => node.visit(visit),
            Node::Partition { key: node, .. } => node.visit(visit),
            Node::Const(_) | Node::Reg(_) | Node::Word(_) => {}
            Node::Load { .. } | Node::Equal(..) | Node::FindBytes(..) | Node::Hash(_) => {}
        }
    }

    /// Whether it may fail the frame.
    pub(crate) fn can_trap(&self) -> bool {
        let fixed = |span: &Span| {
            let known = span.start.is_none() && matches!(span.len, crate::SpanLen::Fixed(_));
            known && span.buf.pooled.is_none()
        };
        let mut can = false;
        self.visit(&mut |node| {
            can |= match node {
                Node::LoadAt { .. } => true,
                // Of a pooled buffer there is as much as has come.
                Node::Load { buf, .. } => buf.pooled.is_some(),
                Node::Binary(operator, _) => operator.can_trap(),
                Node::Find { span, .. } | Node::Partition { span, .. } | Node::Hash(span) => !fixed(span),
                Node::Equal(a, b) | Node::FindBytes(a, b) => !fixed(a) || !fixed(b),
                Node::Const(_) | Node::Reg(_) | Node::Word(_) => false,
            };
        });
        can
    }
}

macro_rules! numbers {
    ($($number:ty),+) => {
        $(impl From<$number> for Expr {
            fn from(value: $number) -> Self {
                Expr(Node::Const(u64::from(value)))
            }
        })+
    };
}

numbers!(u8, u16, u32, u64);

/// An integer literal without a suffix.
impl From<i32> for Expr {
    /// Negative numbers are those of two's complement.
    fn from(value: i32) -> Self {
        Expr(Node::Const(i64::from(value) as u64))
    }
}

impl From<Word> for Expr {
    fn from(word: Word) -> Self {
        Expr(Node::Word(word))
    }
}

impl From<Reg> for Expr {
    fn from(reg: Reg) -> Self {
        Expr(Node::Reg(reg))
    }
}

macro_rules! comparisons {
    ($($name:ident, $operator:ident, $text:literal;)+) => {
        impl Expr {
            $(#[doc = concat!("1 if this is ", $text, " `other`, else 0.")]
            #[must_use]
            pub fn $name(self, other: impl Into<Expr>) -> Cond {
                self.binary(Operator::$operator, other)
            })+
        }
        impl Reg {
            $(#[doc = concat!("1 if this is ", $text, " `other`, else 0.")]
            pub fn $name(self, other: impl Into<Expr>) -> Cond {
                Expr::from(self).$name(other)
            })+
        }
        impl Word {
            $(#[doc = concat!("1 if this is ", $text, " `other`, else 0.")]
            pub fn $name(self, other: impl Into<Expr>) -> Cond {
                Expr::from(self).$name(other)
            })+
        }
    };
}

// Named as PartialEq's and PartialOrd's methods are, which give a bool and so cannot serve here.
comparisons! {
    eq, Eq, "equal to";
    ne, Ne, "not equal to";
    lt, Lt, "less than";
    le, Le, "at most";
    gt, Gt, "greater than";
    ge, Ge, "at least";
}

macro_rules! arithmetic {
    ($($trait:ident, $name:ident, $operator:ident;)+) => {
        $(impl<T: Into<Expr>> ops::$trait<T> for Expr {
            type Output = Expr;
            fn $name(self, other: T) -> Expr {
                self.binary(Operator::$operator, other)
            }
        }
        impl<T: Into<Expr>> ops::$trait<T> for Reg {
            type Output = Expr;
            fn $name(self, other: T) -> Expr {
                Expr::from(self).binary(Operator::$operator, other)
            }
        }
        impl<T: Into<Expr>> ops::$trait<T> for Word {
            type Output = Expr;
            fn $name(self, other: T) -> Expr {
                Expr::from(self).binary(Operator::$operator, other)
            }
        })+
    };
}

arithmetic! {
    Add, add, Add;
    Sub, sub, Sub;
    Mul, mul, Mul;
    Div, div, Div;
    Rem, rem, Rem;
    BitAnd, bitand, And;
    BitOr, bitor, Or;
    BitXor, bitxor, Xor;
    Shl, shl, Shl;
    Shr, shr, Shr;
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // What was written as a negative number reads as one.
            Node::Const(value) if *value > i64::MAX as u64 => write!(f, "{}", *value as i64),
            Node::Const(value) => write!(f, "{value}"),
            Node::Reg(reg) => write!(f, "{reg}"),
            Node::Word(word) => write!(f, "{word}"),
            Node::Load { buf, offset, order } => write!(f, "{buf}.{}({offset})", name(*order)),
            Node::LoadAt { buf, index, order } => write!(f, "{buf}.{}({index})", name(*order)),
            Node::Binary(operator, operands) => {
                let [a, b] = &**operands;
                let nested = |node: &Node| matches!(node, Node::Binary(..));
                let paren = |node: &Node| if nested(node) { format!("({node})") } else { node.to_string() };
                write!(f, "{} {} {}", paren(a), sign(*operator), paren(b))
            }
            Node::Find { span, byte } => write!(f, "{span}.find({byte})"),
            Node::FindBytes(span, other) => write!(f, "{span}.find({other})"),
            Node::Partition { span, order, stride, key, or_equal } => {
                let than = if *or_equal { "<=" } else { "<" };
                write!(f, "{span}.count({} every {stride} {than} {key})", name(*order))
            }
            Node::Equal(a, b) => write!(f, "{a} == {b}"),
            Node::Hash(span) => write!(f, "{span}.hash()"),
        }
    }
}

fn sign(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Sub => "-",
        Operator::Mul => "*",
        Operator::Div => "/",
        Operator::Rem => "%",
        Operator::And => "&",
        Operator::Or => "|",
        Operator::Xor => "^",
        Operator::Shl => "<<",
        Operator::Shr => ">>",
        Operator::Eq => "==",
        Operator::Ne => "!=",
        Operator::Lt => "<",
        Operator::Le => "<=",
        Operator::Gt => ">",
        Operator::Ge => ">=",
    }
}

pub(crate) fn name(order: Order) -> &'static str {
    match order {
        Order::U8 => "u8",
        Order::Be16 => "be16",
        Order::Be32 => "be32",
        Order::Be64 => "be64",
        Order::Le16 => "le16",
        Order::Le32 => "le32",
        Order::Le64 => "le64",
    }
}
