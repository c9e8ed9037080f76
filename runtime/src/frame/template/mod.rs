//! A segment, checked, as templates of its submission queue entries.
//!
//! Everything that `emit.rs` and `wide.rs` later do without looking is looked at in `check.rs`: registers, descriptors and
//! spans lie inside the layout, a length that comes from a register has a bound that fits its span, and a linked
//! segment has only members that sever when they fail (all but the last).
//!
//! Most members are *plain*: an opcode on a descriptor and a span of the frame, of which only descriptor, address,
//! length and `user_data` are not zero or the same each time, patched by one loop without a branch. What needs more (a position in a file, a span
//! among the constants, a second address) has a [`Wide`] beside it, and makes its segment a wide one.

mod check;

pub(in crate::frame) use check::Bounds;

use crate::frame::code::{Code, Op, Order};
use crate::frame::verb::Verb;
use crate::ring::Sqe;

/// Stands for "no segment".
pub(in crate::frame) const NONE: u16 = u16::MAX;
/// Stands for "no code".
pub(in crate::frame) const NO_CODE: u32 = u32::MAX;
/// Stands for "no outbox".
pub(in crate::frame) const NO_OUTBOX: u16 = u16::MAX;

/// A member, checked: the words of an entry (see [`Sqe::words`]) with holes where something is patched in. Words 1, 5, 6
/// and 7 are zero, unless it has a [`Wide`].
///
/// Not as large as an entry: where both are gone through side by side, the compiler would otherwise take one index for
/// both, and compute an address from it for each.
#[derive(Clone, Copy, Debug)]
pub(in crate::frame) struct Member {
    /// Word 0 without the descriptor.
    pub(in crate::frame) head: u64,
    /// Where the span starts in the frame's bytes: word 2 without the frame's address.
    pub(in crate::frame) offset: u64,
    /// Word 3, with the fixed part of the length.
    pub(in crate::frame) flags_len: u64,
    /// The most that the register may add to the length.
    pub(in crate::frame) room: u64,
    /// On the shortest way, what the register may add to the length, less one: so one comparison refuses what is too long and
    /// what adds nothing. All that there is, where nothing is added to a fixed length.
    pub(in crate::frame) bound: u64,
    /// The word of the control record with the descriptor.
    pub(in crate::frame) descriptor: u16,
    /// The word of the control record that is added to the length: a register, or the word that is always zero.
    pub(in crate::frame) length: u16,
    /// The word of the control record whose descriptor this is, or becomes.
    pub(in crate::frame) place: u16,
    pub(in crate::frame) verb: Verb,
}

const _: () = assert!(size_of::<Member>() < size_of::<Sqe>());

impl Member {
    /// The fixed part of the length.
    pub(in crate::frame) fn plus(&self) -> u32 {
        self.flags_len as u32
    }
}

/// What a member has beyond a plain one. The words of registers that it does not have are the one that is always zero.
#[derive(Clone, Copy, Debug)]
pub(in crate::frame) struct Wide {
    /// Added to where the span starts.
    pub(in crate::frame) start: u16,
    /// What start and length may come to.
    pub(in crate::frame) room: u32,
    pub(in crate::frame) address: Address,
    pub(in crate::frame) off: Off,
    /// Word 5.
    pub(in crate::frame) index: u64,
    /// The pooled buffers that the frame gives back when the member has succeeded.
    pub(in crate::frame) gives_back: u64,
    /// Whether there is nothing to it but that start: bytes of the frame are transferred, and words 1 and 5 are zero.
    pub(in crate::frame) only_starts: bool,
    /// What its segment can be submitted with, if all members are such.
    pub(in crate::frame) short: Short,
    /// How much may be missing from its span for a success: nothing if it is exact.
    pub(in crate::frame) slack: u32,
}

/// A member that has a short way to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::frame) enum Short {
    /// It transfers bytes of the frame, from where a register says.
    Transfer,
    /// It transfers bytes of the frame, at the position in a file that the register of this word says.
    At(u16),
    /// It sends this outbox.
    Outbox(u16),
    /// It sends bytes of the pooled buffer that the frame holds.
    Pooled(u16),
    /// It receives into a buffer that the kernel takes from the pool of this one.
    Select(u16),
    /// None.
    Not,
}

impl Short {
    /// Whether its entry has neither word 1 nor word 5.
    fn is_simple(self) -> bool {
        matches!(self, Short::Transfer | Short::Outbox(_))
    }
}

/// What word 2 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::frame) enum Address {
    /// The address of the span, in the frame's bytes.
    Frame,
    /// The address of the span, among the constants.
    Constants,
    /// The value of a register.
    Register(u16),
    /// The path that names the descriptor itself: an empty one.
    Itself,
    /// None, and word 5 has the descriptor of this word.
    Second(u16),
    /// What this outbox holds, and word 3 has its length.
    Outbox(u16),
    /// The address of the span, in the pooled buffer that the frame holds.
    Pooled(u16),
    /// None: the kernel puts what comes into a buffer that it takes from the pool of this one.
    Select(u16),
    /// The address of the span, in a buffer that is made for what is to come.
    Make(u16),
}

/// What word 1 is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::frame) enum Off {
    /// Always this.
    Fixed(u64),
    /// A position: the value of a register, and what has been transferred already.
    Register(u16),
    /// The address of the span in the frame's bytes; word 3 has another length then.
    Span,
    /// An address among the constants.
    Constants(u32),
    /// The address of a path, with its length; and the length in word 3 is the descriptor of this word, if it has one.
    Path { at: u32, len: u32, constant: bool, directory: Option<u16> },
}

/// A segment, checked. Aligned so that one is found by a shift.
#[derive(Clone, Debug)]
#[repr(align(128))]
pub(in crate::frame) struct Template {
    pub(in crate::frame) members: Box<[Member]>,
    /// What each of them has beyond that.
    pub(in crate::frame) wide: Box<[Wide]>,
    /// Completions that one submission of the whole segment posts.
    pub(in crate::frame) completions: u16,
    /// The first member that reports its success. Those before it are silent, unless they sever the segment, and then
    /// everybody else is; from it on everybody reports in any case.
    pub(in crate::frame) reports: u8,
    /// The step of the last member.
    pub(in crate::frame) last: u8,
    /// How much may be missing from the last member's span for a success: nothing if it is exact.
    pub(in crate::frame) slack: u32,
    /// The member before a cleanup, and the word that takes its count.
    pub(in crate::frame) early: Option<(u8, u16)>,
    /// The word of the control record that takes the last member's count: a register, or the word that nobody reads.
    pub(in crate::frame) into: u16,
    /// The segment that follows without a computation, or `NONE`.
    pub(in crate::frame) successor: u16,
    /// The same, if it can be submitted where a completion is met, by the shortest way.
    pub(in crate::frame) then: u16,
    /// Whether its success needs no more than its count: no descriptor comes or goes, at most one outbox is emptied, and
    /// the last member moves bytes.
    simple: bool,
    /// The outbox that its success empties, or `NO_OUTBOX`, if it is simple.
    pub(in crate::frame) outbox: u16,
    /// Simple, of plain members that transfer bytes only, and with one completion.
    hot: bool,
    /// The same, but members may also start where a register says, or send an outbox.
    warm: bool,
    /// The same, but members may also lie at a position in a file: they all have a short way.
    mild: bool,
    /// As mild, but that pooled buffers come or go, and so more than one completion may be awaited.
    pools: bool,
    /// The code that is run after it, or `NO_CODE`.
    pub(in crate::frame) code: u32,
    /// What that begins with, if it is most often all of it.
    pub(in crate::frame) gate: Gate,
}

/// Code that does no more than to load a number (`Be32`), compare it, and submit a segment that takes the shortest way: what
/// protocols with a length in front do. It is gone through without running code; whatever does not pass runs it.
#[derive(Clone, Copy, Debug)]
pub(in crate::frame) struct Gate {
    /// Where the number lies in the frame's bytes.
    pub(in crate::frame) at: u32,
    /// What it may be.
    pub(in crate::frame) most: u32,
    /// The word of the register that it becomes.
    pub(in crate::frame) to: u16,
    /// What is submitted then, or `NONE` if there is no gate.
    pub(in crate::frame) segment: u16,
}

impl Gate {
    const NONE: Gate = Gate { at: 0, most: 0, to: 0, segment: NONE };

    /// That of checked code which starts at `pc`.
    fn of(code: &Code, pc: u32, templates: &[Template]) -> Option<Gate> {
        let pc = usize::try_from(pc).ok()?;
        let Op::LoadAtMost { order: Order::Be32, to, at, most, .. } = *code.ops.get(pc)? else { return None };
        let Op::Submit(segment) = *code.ops.get(pc + 2)? else { return None };
        templates[usize::from(segment)].hot.then_some(Gate { at, most, to, segment })
    }
}

impl Template {
    /// Whether it can be submitted where a completion is met, by the shortest way.
    #[inline]
    pub(in crate::frame) fn is_hot(&self) -> bool {
        self.hot
    }

    /// Whether it can be, by a way that is almost as short.
    #[inline]
    pub(in crate::frame) fn is_warm(&self) -> bool {
        self.warm
    }

    /// Whether it can be, with members that have different short ways.
    #[inline]
    pub(in crate::frame) fn is_mild(&self) -> bool {
        self.mild
    }

    /// Whether it is almost mild, but that pooled buffers come or go.
    #[inline]
    pub(in crate::frame) fn pools(&self) -> bool {
        self.pools
    }

    /// Whether one completion says that all of it has succeeded, and there is nothing to be done then but what its plan
    /// says.
    #[inline]
    pub(in crate::frame) fn is_awaited_as_one(&self) -> bool {
        self.simple && self.completions == 1
    }
}

/// Lets each template know whether its successor is submitted by the shortest way, and the gate of checked code behind it; not
/// those that empty an outbox, which the shortest way does not look for.
pub(in crate::frame) fn join(templates: &mut [Template], code: &Code) {
    for i in (0..templates.len()).filter(|i| templates[*i].outbox == NO_OUTBOX).collect::<Vec<_>>() {
        let Template { successor, code: pc, .. } = templates[i];
        if templates.get(usize::from(successor)).is_some_and(|next| next.hot) {
            templates[i].then = successor;
        }
        // The count is written first, where it is a number that code then writes.
        let gate = Gate::of(code, pc, templates).filter(|gate| gate.to != templates[i].into);
        templates[i].gate = gate.unwrap_or(Gate::NONE);
    }
}
