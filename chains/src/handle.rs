//! Handles: what a builder gives out for the things of a frame. Small, `Copy`, and valid for the builder that
//! made them; `build()` refuses those of another.

use std::ops::{Bound, RangeBounds};

use crate::expr::Expr;

/// Which builder made a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BuilderId(pub(crate) u32);

/// A socket that each frame owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
}

/// A `u64` that each frame has: a length, a counter, a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
}

/// A buffer of fixed size that each frame has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buf {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
    /// Where it lies in the frame's bytes.
    pub(crate) start: u32,
    pub(crate) len: u32,
}

impl Buf {
    /// Its size in bytes.
    pub fn capacity(self) -> u64 {
        u64::from(self.len)
    }

    /// The whole buffer.
    pub fn all(self) -> Span {
        Span { buf: self, from: 0, len: SpanLen::Fixed(self.len) }
    }

    /// Its first bytes: as many as `len` says, a number or a register. A register is read when the step starts; if
    /// it says more than there is, the frame fails with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds).
    pub fn to(self, len: impl Into<SpanLen>) -> Span {
        Span { buf: self, from: 0, len: len.into() }
    }

    /// The bytes of a range, both ends known now.
    pub fn range(self, range: impl RangeBounds<u32>) -> Span {
        let from = match range.start_bound() {
            Bound::Included(&n) => n,
            Bound::Excluded(&n) => n.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&n) => n.saturating_add(1),
            Bound::Excluded(&n) => n,
            Bound::Unbounded => self.len,
        };
        // A range that ends before it starts is longer than any buffer, and so refused by `build()`.
        Span { buf: self, from, len: SpanLen::Fixed(end.checked_sub(from).unwrap_or(u32::MAX)) }
    }

    /// The byte at `offset`.
    pub fn u8(self, offset: u32) -> Expr {
        Expr::load(self, offset, 1, false)
    }
}

macro_rules! loads {
    ($($name:ident, $width:literal, $swap:literal, $text:literal;)+) => {
        impl Buf {
            $(#[doc = concat!("The ", $text, "-endian number of ", stringify!($width), " bytes at `offset`.")]
            pub fn $name(self, offset: u32) -> Expr {
                Expr::load(self, offset, $width, $swap)
            })+
        }
    };
}

loads! {
    be16, 2, true, "big";
    be32, 4, true, "big";
    be64, 8, true, "big";
    le16, 2, false, "little";
    le32, 4, false, "little";
    le64, 8, false, "little";
}

/// A part of a buffer that a step transfers or a call sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub(crate) buf: Buf,
    pub(crate) from: u32,
    pub(crate) len: SpanLen,
}

impl Span {
    /// The longest it can be at its place in the buffer.
    pub(crate) fn room(&self) -> u32 {
        self.buf.len.saturating_sub(self.from)
    }

    pub(crate) fn fits(&self) -> bool {
        match self.len {
            SpanLen::Fixed(len) => self.from.checked_add(len).is_some_and(|end| end <= self.buf.len),
            SpanLen::Reg(_) => self.from <= self.buf.len,
        }
    }

    /// Whether `next` starts where this one ends, whatever the registers say.
    pub(crate) fn is_followed_by(&self, next: &Span) -> bool {
        match self.len {
            SpanLen::Fixed(len) => self.buf.start + self.from + len == next.buf.start + next.from,
            SpanLen::Reg(_) => false,
        }
    }
}

/// The length of a [`Span`]: a number of bytes or a register that holds one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanLen {
    /// This many bytes.
    Fixed(u32),
    /// As many as the register says when the step starts.
    Reg(Reg),
}

impl From<u32> for SpanLen {
    fn from(len: u32) -> Self {
        SpanLen::Fixed(len)
    }
}

impl From<Reg> for SpanLen {
    fn from(reg: Reg) -> Self {
        SpanLen::Reg(reg)
    }
}
