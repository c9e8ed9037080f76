//! Portable compute: expressions over registers and buffers.
//!
//! Arithmetic is that of `u64` and wraps; a shift by 64 or more gives zero; division by zero is a failure of the
//! frame and not of the process, so there is none yet. A comparison is 1 or 0. Expressions are data: `explain()`
//! prints them, and the compiler sees what they read.

use std::fmt;
use std::ops;

use chainring_runtime::frame::Frame;

use crate::handle::{Buf, BuilderId, Reg};

/// A number computed from registers, bytes and constants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr(pub(crate) Node);

/// A condition: an expression that is true where it is not zero.
pub type Cond = Expr;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Node {
    Const(u64),
    Reg(Reg),
    Load { buf: Buf, offset: u32, width: u8, big_endian: bool },
    Binary(Operator, Box<[Node; 2]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
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

impl Operator {
    fn apply(self, a: u64, b: u64) -> u64 {
        let shift = |shifted: fn(u64, u32) -> Option<u64>| {
            u32::try_from(b).ok().and_then(|b| shifted(a, b)).unwrap_or(0)
        };
        match self {
            Operator::Add => a.wrapping_add(b),
            Operator::Sub => a.wrapping_sub(b),
            Operator::Mul => a.wrapping_mul(b),
            Operator::And => a & b,
            Operator::Or => a | b,
            Operator::Xor => a ^ b,
            Operator::Shl => shift(u64::checked_shl),
            Operator::Shr => shift(u64::checked_shr),
            Operator::Eq => u64::from(a == b),
            Operator::Ne => u64::from(a != b),
            Operator::Lt => u64::from(a < b),
            Operator::Le => u64::from(a <= b),
            Operator::Gt => u64::from(a > b),
            Operator::Ge => u64::from(a >= b),
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Sub => "-",
            Operator::Mul => "*",
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
}

impl Expr {
    pub(crate) fn load(buf: Buf, offset: u32, width: u8, big_endian: bool) -> Expr {
        Expr(Node::Load { buf, offset, width, big_endian })
    }

    fn binary(self, operator: Operator, other: impl Into<Expr>) -> Expr {
        Expr(Node::Binary(operator, Box::new([self.0, other.into().0])))
    }

    /// The value for a frame. Loads lie inside their buffers: `build()` has made sure.
    pub(crate) fn eval(&self, frame: &Frame<'_>) -> u64 {
        self.0.eval(frame)
    }
}

impl Node {
    fn eval(&self, frame: &Frame<'_>) -> u64 {
        match self {
            Node::Const(value) => *value,
            Node::Reg(reg) => frame.registers().get(reg.index),
            Node::Load { buf, offset, width, big_endian } => {
                let start = (buf.start + offset) as usize;
                load(&frame.bytes()[start..start + usize::from(*width)], *big_endian)
            }
            Node::Binary(operator, operands) => {
                operator.apply(operands[0].eval(frame), operands[1].eval(frame))
            }
        }
    }

    /// Calls `visit` for every leaf.
    pub(crate) fn leaves<'n>(&'n self, visit: &mut impl FnMut(&'n Node)) {
        match self {
            Node::Binary(_, operands) => operands.iter().for_each(|node| node.leaves(visit)),
            leaf => visit(leaf),
        }
    }
}

/// Up to eight bytes as a number.
fn load(bytes: &[u8], big_endian: bool) -> u64 {
    let mut wide = [0; 8];
    if big_endian {
        wide[8 - bytes.len()..].copy_from_slice(bytes);
        u64::from_be_bytes(wide)
    } else {
        wide[..bytes.len()].copy_from_slice(bytes);
        u64::from_le_bytes(wide)
    }
}

impl From<u64> for Expr {
    fn from(value: u64) -> Self {
        Expr(Node::Const(value))
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
        })+
    };
}

arithmetic! {
    Add, add, Add;
    Sub, sub, Sub;
    Mul, mul, Mul;
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
            Node::Const(value) => write!(f, "{value}"),
            Node::Reg(reg) => write!(f, "r{}", reg.index),
            Node::Load { buf, offset, width: 1, .. } => write!(f, "b{}.u8({offset})", buf.index),
            Node::Load { buf, offset, width, big_endian } => {
                let order = if *big_endian { "be" } else { "le" };
                write!(f, "b{}.{order}{}({offset})", buf.index, 8 * width)
            }
            Node::Binary(operator, operands) => {
                let [a, b] = &**operands;
                let nested = |node: &Node| matches!(node, Node::Binary(..));
                let paren = |node: &Node| if nested(node) { format!("({node})") } else { node.to_string() };
                write!(f, "{} {} {}", paren(a), operator.sign(), paren(b))
            }
        }
    }
}

/// Whether every handle in `expr` is of `builder`, and the first that is not.
pub(crate) fn is_of(expr: &Expr, builder: BuilderId) -> bool {
    let mut own = true;
    expr.0.leaves(&mut |leaf| match leaf {
        Node::Reg(reg) => own &= reg.builder == builder,
        Node::Load { buf, .. } => own &= buf.builder == builder,
        _ => {}
    });
    own
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_wraps_and_long_shifts_give_zero() {
        assert_eq!(Operator::Add.apply(u64::MAX, 2), 1);
        assert_eq!(Operator::Sub.apply(0, 1), u64::MAX);
        assert_eq!(Operator::Shl.apply(1, 63), 1 << 63);
        assert_eq!(Operator::Shl.apply(1, 64), 0);
        assert_eq!(Operator::Shr.apply(u64::MAX, 1 << 32), 0);
    }

    #[test]
    fn loads_are_of_either_byte_order() {
        assert_eq!(load(&[1, 2, 3, 4], true), 0x0102_0304);
        assert_eq!(load(&[1, 2, 3, 4], false), 0x0403_0201);
        assert_eq!(load(&[0xff], true), 0xff);
        assert_eq!(load(&[0xff; 8], false), u64::MAX);
    }
}
