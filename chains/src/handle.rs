//! Handles: what a builder gives out for the things of a frame. Small, `Copy`, and valid for the builder that
//! made them; `build()` refuses those of another.

use std::ops::{Bound, RangeBounds};

use chainring_runtime::frame::Order;

use crate::expr::{Expr, Node};

/// Which builder made a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BuilderId(pub(crate) u32);

/// The place of a descriptor that each frame owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
    /// It is for a file.
    pub(crate) file: bool,
}

/// A socket that each frame owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Socket(pub(crate) Place);

/// A file that each frame owns: a place for one, given when the frame is spawned or filled by
/// [`open`](crate::Chain::open).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct File(pub(crate) Place);

/// A pipe that each frame has, through which [`splice`](crate::Chain::splice) moves bytes that the frame does not look at.
/// Made when it is first used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pipe {
    /// Where bytes come out.
    pub(crate) read: Place,
    /// Where they go in.
    pub(crate) write: Place,
    /// 1 while there is something in it, or may be.
    pub(crate) used: Reg,
}

/// A socket or file: what [`splice`](crate::Chain::splice) takes bytes from and gives them to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End(pub(crate) Place);

impl From<Socket> for End {
    fn from(socket: Socket) -> Self {
        End(socket.0)
    }
}

impl From<File> for End {
    fn from(file: File) -> Self {
        End(file.0)
    }
}

/// What each frame is about to send, in order: copies, put in by [`append`](crate::Chain::append) and calls, and shared
/// blobs, put in by calls; sent by [`send_outbox`](crate::Chain::send_outbox).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outbox {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
}

/// A `u64` that each frame has: a length, a counter, a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reg {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
}

/// A number that others see too: a word of this core, see [`shared`](crate::Chain::shared), or of all threads, see
/// [`atomic`](crate::Chain::atomic). In an expression it is read when that is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Word {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
    pub(crate) kind: WordKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WordKind {
    /// There are not as many.
    Missing,
    /// It cannot be waited for.
    Plain,
    /// It can.
    Futex,
}

/// What [`set`](crate::Chain::set) can set: a register, or a word that others see too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A register of the frame.
    Reg(Reg),
    /// A word that others see too.
    Word(Word),
}

impl From<Reg> for Target {
    fn from(reg: Reg) -> Self {
        Target::Reg(reg)
    }
}

impl From<Word> for Target {
    fn from(word: Word) -> Self {
        Target::Word(word)
    }
}

/// A buffer of fixed size that each frame has; or bytes of the program that all frames share and can only read, see
/// [`constant`](crate::Chain::constant).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buf {
    pub(crate) builder: BuilderId,
    pub(crate) index: u16,
    /// Where it lies in the frame's bytes, or among the constants.
    pub(crate) start: u32,
    pub(crate) len: u32,
    pub(crate) constant: bool,
    /// Its number among the [`pooled`](crate::Chain::pooled) ones. `start` then only tells it from others.
    pub(crate) pooled: Option<u16>,
    /// It comes from no pool: an [`Owned`].
    pub(crate) owned: bool,
}

impl Buf {
    /// Where it lies in what holds it: the frame's bytes, the constants, or, if it is pooled, a buffer of its own.
    pub(crate) fn base(&self) -> u32 {
        if self.pooled.is_some() { 0 } else { self.start }
    }

    /// Its size in bytes.
    pub fn capacity(self) -> u64 {
        u64::from(self.len)
    }

    /// The whole buffer.
    pub fn all(self) -> Span {
        self.span(0, SpanLen::Fixed(self.len))
    }

    /// Its first bytes: as many as `len` says, a number or a register. A register is read when the step starts; if
    /// it says more than there is, the frame fails with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds).
    pub fn to(self, len: impl Into<SpanLen>) -> Span {
        self.span(0, len.into())
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
        self.span(from, SpanLen::Fixed(end.checked_sub(from).unwrap_or(u32::MAX)))
    }

    /// `len` bytes from where a register says. If they do not lie inside the buffer when the step starts, the frame
    /// fails with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds).
    pub fn part(self, start: Reg, len: impl Into<SpanLen>) -> Span {
        Span { start: Some(start), ..self.span(0, len.into()) }
    }

    /// The byte at `offset`, a number or an expression.
    pub fn u8(self, offset: impl Into<Expr>) -> Expr {
        self.load(offset.into(), Order::U8)
    }

    fn span(self, from: u32, len: SpanLen) -> Span {
        Span { buf: self, from, start: None, len }
    }

    fn load(self, offset: Expr, order: Order) -> Expr {
        match offset.0 {
            // An offset that no buffer has is refused by `build()`.
            Node::Const(at) => {
                Expr(Node::Load { buf: self, offset: u32::try_from(at).unwrap_or(u32::MAX), order })
            }
            index => Expr(Node::LoadAt { buf: self, index: Box::new(index), order }),
        }
    }
}

macro_rules! loads {
    ($($name:ident, $width:literal, $order:ident, $text:literal;)+) => {
        impl StreamBuf {
            $(#[doc = concat!("The ", $text, "-endian number of ", $width, " bytes at `offset` among those that there are, a")]
            #[doc = "number or an expression. Make sure that there are as many: what stands behind the last is whatever was"]
            #[doc = "there before, and behind the end of the buffer the frame fails with"]
            #[doc = "[`ErrorKind::Bounds`](crate::ErrorKind::Bounds)."]
            pub fn $name(self, offset: impl Into<Expr>) -> Expr {
                self.load(offset.into(), Order::$order)
            })+
        }

        impl Buf {
            $(#[doc = concat!("The ", $text, "-endian number of ", $width, " bytes at `offset`, a number or an ")]
            #[doc = "expression. If it does not lie inside the buffer, `build()` refuses the number, and the"]
            #[doc = "expression fails the frame with [`ErrorKind::Bounds`](crate::ErrorKind::Bounds)."]
            pub fn $name(self, offset: impl Into<Expr>) -> Expr {
                self.load(offset.into(), Order::$order)
            })+
        }
    };
}

loads! {
    be16, "2", Be16, "big";
    be32, "4", Be32, "big";
    be64, "8", Be64, "big";
    le16, "2", Le16, "little";
    le32, "4", Le32, "little";
    le64, "8", Le64, "little";
}

/// A buffer that is made for what is about to come, for large values: each frame has it only while it uses it, and a call
/// can [take](crate::take) it, to keep it or to send it on without a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owned(pub(crate) Buf);

impl Owned {
    /// How large it can become.
    pub fn limit(self) -> u64 {
        self.0.capacity()
    }

    /// Its first bytes, as many as `len` says: see [`Buf::to`].
    pub fn to(self, len: impl Into<SpanLen>) -> Span {
        self.0.to(len)
    }

    /// The bytes of a range: see [`Buf::range`].
    pub fn range(self, range: impl RangeBounds<u32>) -> Span {
        self.0.range(range)
    }

    /// `len` bytes from where a register says: see [`Buf::part`].
    pub fn part(self, start: Reg, len: impl Into<SpanLen>) -> Span {
        self.0.part(start, len)
    }
}

/// A buffer that is filled at one end and consumed at the other: what a connection has sent and nobody has dealt with
/// yet. The bytes are moved to its front when there is no room behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamBuf {
    pub(crate) buf: Buf,
    /// Where its bytes start, and how many there are.
    pub(crate) from: Reg,
    pub(crate) len: Reg,
    /// Where they end and what room there is behind them, while it is filled.
    pub(crate) end: Reg,
    pub(crate) room: Reg,
}

impl StreamBuf {
    /// How much it holds at most.
    pub fn capacity(self) -> u64 {
        self.buf.capacity()
    }

    /// How many bytes there are.
    pub fn len(self) -> Expr {
        Expr::from(self.len)
    }

    /// 1 if there are none, else 0.
    pub fn is_empty(self) -> Expr {
        self.len.eq(0)
    }

    /// The bytes that there are.
    pub fn bytes(self) -> Span {
        self.buf.part(self.from, self.len)
    }

    /// The first of them, `len`, a number or a register. Make sure that there are as many.
    pub fn first(self, len: impl Into<SpanLen>) -> Span {
        self.buf.part(self.from, len)
    }

    /// The byte at `offset` among those that there are, a number or an expression, as [`be16`](StreamBuf::be16).
    pub fn u8(self, offset: impl Into<Expr>) -> Expr {
        self.load(offset.into(), Order::U8)
    }

    fn load(self, offset: Expr, order: Order) -> Expr {
        let from = Expr::from(self.from);
        let index = match offset.0 {
            Node::Const(0) => from,
            // That is behind the end of any buffer.
            Node::Const(at) => from + at.min(u32::MAX.into()),
            _ => {
                let sum = from + offset.clone();
                // It goes over the greatest number: then it must not come out at what lies in front.
                let wraps = sum.clone().lt(offset);
                sum | (wraps * u64::MAX)
            }
        };
        self.buf.load(index, order)
    }
}

/// A part of a buffer that a step transfers or a call sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub(crate) buf: Buf,
    pub(crate) from: u32,
    /// Added to `from`.
    pub(crate) start: Option<Reg>,
    pub(crate) len: SpanLen,
}

impl Span {
    /// The longest it can be at its place in the buffer, its start register included.
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
        let fixed = self.start.is_none() && next.start.is_none() && self.buf.constant == next.buf.constant;
        match self.len {
            SpanLen::Fixed(len) if fixed => self.buf.start + self.from + len == next.buf.start + next.from,
            _ => false,
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
