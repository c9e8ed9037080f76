//! A segment as its compiler hands it over, and the check that makes a template of it.
//!
//! Everything that `emit.rs` later does without looking is looked at here: registers, descriptors and spans
//! lie inside the layout, a length that comes from a register has a bound that fits its span, and a linked
//! segment has only members that sever when they fail (all but the last).

use std::fmt;

use super::layout::Layout;
use crate::driver::Key;
use crate::driver::key::MAX_STEPS;
use crate::op::{Facts, Severs, recv, send, shutdown};
use crate::ring::Sqe;
use crate::ring::sqe::{CQE_SKIP_SUCCESS, IO_LINK};

/// The operation of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verb {
    /// Receive what there is, at least one byte.
    Recv,
    /// Receive exactly the span.
    RecvExact,
    /// Send the whole span.
    SendAll,
    /// End the sending half of the connection. Its span has no bytes.
    Shutdown,
}

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moves {
    /// From the socket into the frame.
    In,
    /// From the frame to the socket.
    Out,
    /// There are none.
    Nothing,
}

impl Verb {
    /// The facts of the opcode.
    pub fn facts(self) -> &'static Facts {
        match self {
            Verb::Recv | Verb::RecvExact => &recv::FACTS,
            Verb::SendAll => &send::FACTS,
            Verb::Shutdown => &shutdown::FACTS,
        }
    }

    /// Whether only the whole span counts as success.
    pub fn is_exact(self) -> bool {
        matches!(self, Verb::RecvExact | Verb::SendAll | Verb::Shutdown)
    }

    /// Which way the bytes of its span go.
    pub fn moves(self) -> Moves {
        match self {
            Verb::Recv | Verb::RecvExact => Moves::In,
            Verb::SendAll => Moves::Out,
            Verb::Shutdown => Moves::Nothing,
        }
    }

    /// Whether every failure of a member, a short transfer included, keeps its successor from running.
    pub fn severs(self) -> bool {
        match self.facts().severs {
            Severs::Always => true,
            Severs::WithWaitall => self.is_exact(),
            Severs::Never => false,
        }
    }

    pub(super) fn template(self) -> Sqe {
        match self {
            Verb::Recv => recv::template(0),
            Verb::RecvExact => recv::template(libc::MSG_WAITALL),
            Verb::SendAll => send::template(libc::MSG_WAITALL),
            Verb::Shutdown => shutdown::template(std::net::Shutdown::Write),
        }
    }
}

/// The length of a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Len {
    /// Known when the program was built.
    Fixed(u32),
    /// Computed when the segment is submitted: a register and a constant.
    Register {
        /// The register.
        index: u16,
        /// Added to it.
        plus: u32,
        /// The longest span that fits; a greater sum is an error of that frame.
        max: u32,
    },
}

impl Len {
    fn max(self) -> u32 {
        match self {
            Len::Fixed(len) | Len::Register { max: len, .. } => len,
        }
    }
}

/// One member of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// What to do.
    pub verb: Verb,
    /// On which of the frame's descriptors.
    pub descriptor: u16,
    /// From where in the frame's bytes.
    pub offset: u32,
    /// How many of them.
    pub len: Len,
}

/// A segment: operations submitted as one list, linked in order, with one completion where the kernel allows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// The members, in order.
    pub members: Vec<Transfer>,
    /// The register that takes the count of the last member.
    pub into: Option<u16>,
    /// The segment to submit when this one has succeeded, if nothing needs to be computed in between. Its frame is
    /// then not resumed.
    pub then: Option<u16>,
}

/// Why a plan was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlanError {
    /// A segment without members.
    Empty,
    /// A segment of more members than the ring, or a key, can tell apart.
    TooLong {
        /// How many members it has.
        members: usize,
        /// How many there may be.
        limit: usize,
    },
    /// A register, descriptor or segment is named that is not there.
    NoSuchHandle,
    /// A member's span does not lie inside the frame's bytes, or it has one and moves none.
    OutOfBounds,
    /// A member that does not sever on failure has a successor.
    DoesNotSever {
        /// Its position.
        member: usize,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanError::Empty => write!(f, "a segment has no members"),
            PlanError::TooLong { members, limit } => {
                write!(f, "a segment has {members} members, and this ring takes {limit}")
            }
            PlanError::NoSuchHandle => {
                write!(f, "a register, descriptor or segment is named that is not there")
            }
            PlanError::OutOfBounds => write!(f, "a member's span lies outside of the frame"),
            PlanError::DoesNotSever { member } => {
                write!(f, "member {member} is linked to a successor but does not sever when it fails")
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// Stands for "no segment".
pub(super) const NONE: u16 = u16::MAX;

/// A member, checked: a template and what to patch into it. As large as an entry, and most of it the entry's words
/// (see [`Sqe::words`]) with holes where something is patched in.
#[repr(C, align(64))]
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    /// Word 0 without the descriptor.
    pub(super) head: u64,
    /// Word 1.
    pub(super) off: u64,
    /// Where the span starts in the frame's bytes: word 2 without the frame's address.
    pub(super) offset: u64,
    /// Word 3, with the fixed part of the length.
    pub(super) flags_len: u64,
    /// Word 5.
    pub(super) index: u64,
    /// The most that the register may add to the length.
    pub(super) room: u64,
    /// The word of the control record with the descriptor.
    pub(super) descriptor: u16,
    /// The word of the control record that is added to the length: a register, or the word that is always zero.
    pub(super) length: u16,
    pub(super) verb: Verb,
}

const _: () = assert!(size_of::<Member>() == size_of::<Sqe>());

impl Member {
    /// The fixed part of the length.
    pub(super) fn plus(&self) -> u32 {
        self.flags_len as u32
    }
}

/// A segment, checked.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) members: Box<[Member]>,
    /// Completions that one submission of the whole segment posts.
    pub(super) completions: u16,
    /// The step of the last member.
    pub(super) last: u8,
    /// The same, as bits of a `user_data`.
    pub(super) last_step: u64,
    /// How much may be missing from the last member's span for a success: nothing if it is exact.
    pub(super) slack: u32,
    /// The word of the control record that takes the last member's count: a register, or the word that nobody reads.
    pub(super) into: u16,
    /// The segment that follows without a computation, or `NONE`.
    pub(super) then: u16,
}

/// Checks all segments of a program against its layout, and lowers them for a ring that takes lists of `limit`
/// entries. The error names the segment at fault.
pub(super) fn check(
    plans: &[Plan],
    layout: &Layout,
    limit: u32,
    skip: bool,
) -> Result<Box<[Template]>, (usize, PlanError)> {
    let check = |(i, plan): (usize, &Plan)| -> Result<Template, (usize, PlanError)> {
        let template = Template::check(plan, layout, limit, skip).map_err(|error| (i, error))?;
        let then = usize::from(template.then);
        if template.then != NONE && then >= plans.len() {
            Err((i, PlanError::NoSuchHandle))
        } else {
            Ok(template)
        }
    };
    plans.iter().enumerate().map(check).collect()
}

impl Template {
    fn check(plan: &Plan, layout: &Layout, limit: u32, skip: bool) -> Result<Template, PlanError> {
        let count = plan.members.len();
        let limit = limit.min(MAX_STEPS) as usize;
        if count > limit {
            return Err(PlanError::TooLong { members: count, limit });
        }
        let last = count.checked_sub(1).ok_or(PlanError::Empty)?;
        let mut members = Vec::with_capacity(count);
        for (i, transfer) in plan.members.iter().enumerate() {
            if i < last && !transfer.verb.severs() {
                return Err(PlanError::DoesNotSever { member: i });
            }
            let skip = if skip { CQE_SKIP_SUCCESS } else { 0 };
            members.push(check_transfer(transfer, layout, if i < last { IO_LINK | skip } else { 0 })?);
        }
        let into = plan.into.map_or(Ok(layout.discard_word() as u16), |index| register(index, layout))?;
        Ok(Template {
            completions: if skip { 1 } else { count as u16 },
            last: last as u8,
            last_step: Key::step_bits(last as u32),
            slack: if members[last].verb.is_exact() { 0 } else { u32::MAX },
            members: members.into(),
            into,
            then: plan.then.unwrap_or(NONE),
        })
    }
}

/// The word of a register, which must be there.
fn register(index: u16, layout: &Layout) -> Result<u16, PlanError> {
    if index < layout.registers {
        Ok(layout.register_word(index) as u16)
    } else {
        Err(PlanError::NoSuchHandle)
    }
}

fn check_transfer(transfer: &Transfer, layout: &Layout, flags: u8) -> Result<Member, PlanError> {
    if transfer.descriptor >= layout.descriptors {
        return Err(PlanError::NoSuchHandle);
    }
    let end = transfer.offset.checked_add(transfer.len.max());
    if end.is_none_or(|end| end > layout.bytes) || transfer.len.max() > i32::MAX as u32 {
        return Err(PlanError::OutOfBounds);
    }
    if transfer.verb.moves() == Moves::Nothing && transfer.len != Len::Fixed(0) {
        return Err(PlanError::OutOfBounds);
    }
    let (plus, length, room) = match transfer.len {
        Len::Fixed(len) => (len, layout.zero_word() as u16, 0),
        Len::Register { index, plus, max } => {
            (plus, register(index, layout)?, max.checked_sub(plus).ok_or(PlanError::OutOfBounds)?)
        }
    };
    let sqe = Sqe { flags, fd: 0, len: plus, ..transfer.verb.template() };
    let [head, off, _, flags_len, _, index, addr3, _] = sqe.words();
    debug_assert_eq!(addr3, 0, "word 6 is always written as zero");
    Ok(Member {
        head,
        off,
        offset: u64::from(transfer.offset),
        flags_len,
        index,
        room: u64::from(room),
        descriptor: layout.descriptor_word(transfer.descriptor) as u16,
        length,
        verb: transfer.verb,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYOUT: Layout = Layout { registers: 1, descriptors: 1, bytes: 64 };

    fn refused(members: &[(Verb, Len)]) -> Option<PlanError> {
        let transfer = |&(verb, len): &(Verb, Len)| Transfer { verb, descriptor: 0, offset: 0, len };
        let plan = Plan { members: members.iter().map(transfer).collect(), into: None, then: None };
        check(&[plan], &LAYOUT, 8, true).err().map(|(_, error)| error)
    }

    #[test]
    fn what_does_not_sever_can_only_come_last() {
        let (some, none) = (Len::Fixed(8), Len::Fixed(0));
        assert_eq!(refused(&[(Verb::SendAll, some), (Verb::Shutdown, none)]), None);
        for first in [(Verb::Shutdown, none), (Verb::Recv, some)] {
            let error = refused(&[first, (Verb::SendAll, some)]);
            assert_eq!(error, Some(PlanError::DoesNotSever { member: 0 }));
        }
    }

    #[test]
    fn a_shutdown_has_no_span() {
        assert_eq!(refused(&[(Verb::Shutdown, Len::Fixed(0))]), None);
        for len in [Len::Fixed(1), Len::Register { index: 0, plus: 0, max: 64 }] {
            assert_eq!(refused(&[(Verb::Shutdown, len)]), Some(PlanError::OutOfBounds));
        }
    }
}
