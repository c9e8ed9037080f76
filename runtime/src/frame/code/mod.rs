//! Portable code: what a program computes between two segments, as data.
//!
//! An [`Op`] works on registers and on the frame's bytes. The code of a program is checked once, when its
//! [`Frames`](super::Frames) is made (`check.rs`): every register, byte and target that an op names is there, and no
//! path runs off the end. `execute.rs` then runs it without looking again; what can only be known when it runs (an
//! offset or a length from a register, a divisor) is compared with its bound, and traps.
//!
//! Code is run where a segment's completion is met, with nothing of the frame in flight, and ends by submitting the
//! next segment or by [leaving](Op::Leave) for the program's runner. It cannot run for ever: going back burns fuel.

mod bulk;
mod check;
mod execute;
mod many;
mod number;
mod prepared;
mod search;
mod word;

pub use bulk::{Area, Bulk};
pub(super) use check::check;
pub use number::{Operator, Order};
pub(super) use prepared::Prepared;
pub use word::{OnWord, Word};

/// What a program computes.
#[derive(Clone, Debug, Default)]
pub struct Code {
    /// One after the other, unless an op says otherwise.
    pub ops: Vec<Op>,
    /// What [`Op::Bulk`] names.
    pub bulk: Vec<Bulk>,
}

/// One operation. Registers are named by their numbers, ops by their place in [`Code::ops`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the formula of each says what its fields are")]
pub enum Op {
    /// `to = value`
    Set { to: u16, value: u64 },
    /// `to = from`
    Move { to: u16, from: u16 },
    /// `to = a operator b`. Division by zero traps.
    Binary { operator: Operator, to: u16, a: u16, b: u16 },
    /// `to = a operator value`. Division by zero traps.
    BinaryBy { operator: Operator, to: u16, a: u16, value: u64 },
    /// `to = bytes[at..]`
    Load { order: Order, to: u16, at: u32 },
    /// `to = bytes[at..]`, and goes on at `or` if that is more than `most`; else behind the next op. So it can stand in
    /// front of the op that it makes superfluous, which others may still come to.
    LoadAtMost { order: Order, to: u16, at: u32, most: u32, or: u32 },
    /// `to = bytes[start + index..]`, inside of the `room` bytes from `start` on, or it traps.
    LoadAt { order: Order, to: u16, index: u16, start: u32, room: u32 },
    /// `bytes[at..] = from`, cut to its width
    Store { order: Order, from: u16, at: u32 },
    /// `bytes[start + index..] = from`, inside of the `room` bytes from `start` on, or it traps.
    StoreAt { order: Order, from: u16, index: u16, start: u32, room: u32 },
    /// What moves or looks at many bytes.
    Bulk(u16),
    /// Goes on at `to` if the register is zero.
    Unless { condition: u16, to: u32 },
    /// Goes on at `to` unless `low <= a <= low + span`.
    UnlessWithin { a: u16, low: u32, span: u32, to: u32 },
    /// Goes on at `to` if `low <= a <= low + span`.
    IfWithin { a: u16, low: u32, span: u32, to: u32 },
    /// Goes on at `to` unless `a operator b` is 1.
    UnlessCompared { operator: Operator, a: u16, b: u16, to: u32 },
    /// Goes on at `or` if `by > len`; else `from += by; len -= by`, and goes on behind the next two ops. So it can stand in
    /// front of those that it makes superfluous. `from` should be neither of the others.
    Take { by: u16, len: u16, from: u16, or: u32 },
    /// `to = a + plus`, and then as `Take` by that; goes on behind the next three ops.
    TakeSum { to: u16, a: u16, plus: u16, len: u16, from: u16, or: u32 },
    /// Does what moves or looks at many bytes, and goes on at `or` if then `a == b`, else behind the next op. So it can stand
    /// in front of the comparison of what was found with where it would end, which it makes superfluous.
    BulkUnless { number: u16, a: u16, b: u16, or: u32 },
    /// If the outbox is empty, lends it these constants to be sent from where they lie, and goes on behind the next op: an
    /// append that it makes superfluous.
    Lend { outbox: u16, from: u32, len: u32 },
    /// If `len` is zero, and `from` not more than `room`: `from = 0; end = 0; left = room`, and goes on behind the next op, a
    /// [`Bulk::Compact`] that it makes superfluous.
    Rewind { room: u32, from: u16, len: u16, end: u16, left: u16 },
    /// Goes on at `to`.
    Jump { to: u32 },
    /// Submits a segment. Its completion goes on where its plan says.
    Submit(u16),
    /// Leaves for the runner, and tells it this number.
    Leave(u32),
}

// Ops are gone through one by one; four to a cache line.
const _: () = assert!(size_of::<Op>() == 16);

/// How code ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It came to submit this segment.
    Submit(u16),
    /// It came to an [`Op::Leave`] with this number.
    Left(u32),
    /// The op at this place has trapped; the region has noted why.
    Trapped(u32),
    /// It went back too often without I/O. It wants to go on at this place when others have had their turn.
    Spent(u32),
}

/// Why an op could not do what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trap {
    /// A start or length from registers lies outside of the bytes that it may touch.
    Bounds {
        /// Where it would have ended.
        end: u64,
        /// Where it may end.
        room: u32,
    },
    /// A division by zero.
    Division,
}
