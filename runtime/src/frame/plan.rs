//! A segment as its compiler hands it over, and the check that makes a template of it.
//!
//! Everything that `emit.rs` later does without looking is looked at here: registers, descriptors and spans
//! lie inside the layout, a length that comes from a register has a bound that fits its span, and a linked
//! segment has only members that sever when they fail (all but the last).

use std::fmt;

use super::layout::Layout;
use crate::driver::key::MAX_STEPS;
use crate::op::{Facts, Severs, recv, send};
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
}

impl Verb {
    /// The facts of the opcode.
    pub fn facts(self) -> &'static Facts {
        match self {
            Verb::Recv | Verb::RecvExact => &recv::FACTS,
            Verb::SendAll => &send::FACTS,
        }
    }

    /// Whether only the whole span counts as success.
    pub fn is_exact(self) -> bool {
        matches!(self, Verb::RecvExact | Verb::SendAll)
    }

    /// Whether every failure of a member, a short transfer included, keeps its successor from running.
    pub fn severs(self) -> bool {
        match self.facts().severs {
            Severs::Always => true,
            Severs::WithWaitall => self.is_exact(),
            Severs::Never => false,
        }
    }

    fn template(self) -> Sqe {
        match self {
            Verb::Recv => recv::template(0),
            Verb::RecvExact => recv::template(libc::MSG_WAITALL),
            Verb::SendAll => send::template(libc::MSG_WAITALL),
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
    /// A member names a register or descriptor that the layout does not have.
    NoSuchHandle,
    /// A member's span does not lie inside the frame's bytes.
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
                write!(f, "a member uses a register or descriptor outside of the layout")
            }
            PlanError::OutOfBounds => write!(f, "a member's span lies outside of the frame"),
            PlanError::DoesNotSever { member } => {
                write!(f, "member {member} is linked to a successor but does not sever when it fails")
            }
        }
    }
}

impl std::error::Error for PlanError {}

/// Stands for "the length is in the template".
pub(super) const NO_WORD: u16 = u16::MAX;

/// A member, checked: a template and what to patch into it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    pub(super) sqe: Sqe,
    /// The word of the control record with the descriptor.
    pub(super) descriptor: u16,
    /// The word of the control record that is added to the template's length, or `NO_WORD`.
    pub(super) length: u16,
    pub(super) max: u32,
    pub(super) offset: u32,
    pub(super) exact: bool,
}

/// A segment, checked.
#[derive(Clone, Debug)]
pub(super) struct Template {
    pub(super) members: Box<[Member]>,
    /// Completions that one submission of the whole segment posts.
    pub(super) completions: u16,
    /// The step of the last member.
    pub(super) last: u8,
    /// Whether only the whole span counts as success of the last member.
    pub(super) exact: bool,
}

impl Template {
    /// Checks `plan` against `layout`, and lowers it for a ring that takes lists of `limit` entries.
    pub(super) fn check(plan: &Plan, layout: &Layout, limit: u32, skip: bool) -> Result<Template, PlanError> {
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
            let mut member = check_transfer(transfer, layout)?;
            if i < last {
                member.sqe.flags = IO_LINK | if skip { CQE_SKIP_SUCCESS } else { 0 };
            }
            members.push(member);
        }
        Ok(Template {
            completions: if skip { 1 } else { count as u16 },
            last: last as u8,
            exact: members[last].exact,
            members: members.into(),
        })
    }
}

fn check_transfer(transfer: &Transfer, layout: &Layout) -> Result<Member, PlanError> {
    if transfer.descriptor >= layout.descriptors {
        return Err(PlanError::NoSuchHandle);
    }
    let end = transfer.offset.checked_add(transfer.len.max());
    if end.is_none_or(|end| end > layout.bytes) || transfer.len.max() > i32::MAX as u32 {
        return Err(PlanError::OutOfBounds);
    }
    let mut sqe = transfer.verb.template();
    let length = match transfer.len {
        Len::Fixed(len) => {
            sqe.len = len;
            NO_WORD
        }
        Len::Register { index, plus, .. } if index < layout.registers => {
            sqe.len = plus;
            layout.register_word(index) as u16
        }
        Len::Register { .. } => return Err(PlanError::NoSuchHandle),
    };
    Ok(Member {
        sqe,
        descriptor: layout.descriptor_word(transfer.descriptor) as u16,
        length,
        max: transfer.len.max(),
        offset: transfer.offset,
        exact: transfer.verb.is_exact(),
    })
}
