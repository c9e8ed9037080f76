//! Lines become segments: what is submitted together.
//!
//! A segment is a maximal run of transfers whose arguments are all known when the run starts. It is found by
//! following the flow from a transfer on, through jumps, until something stops it:
//!
//! ```text
//! segment(pc):
//!     members = [transfer at pc]
//!     loop:
//!         stop if the last member's result is not known beforehand (a recv): what follows depends on it
//!         pc = where the flow goes on, jumps followed
//!         stop if that is no transfer
//!         stop if the last member does not sever when it fails (a shutdown): its successor would run all the same
//!         stop if the segment has that transfer already (a loop has closed)
//!         stop if there are as many members as the ring or the compiler allows
//!         members += transfer at pc
//! ```
//!
//! Because jumps are followed, a loop rotates by itself. In `repeat { recv; send }` the first segment is the
//! `recv`; the second starts at the `send`, goes round the loop and takes the `recv` of the next turn with it.
//! The `recv` is then in both: as the entry into the loop and as the tail of every further turn.
//!
//! A segment is made for every transfer at which the code arrives: at the entry, behind a computation, behind
//! another segment. Transfers that are only ever reached inside of segments need none of their own.

use std::fmt;

use chainring_runtime::frame::{Plan, Transfer};

use super::flow::{Flow, Inst, Move, Pc};
use crate::build::Lowering;

/// Members a segment, at most, whatever the ring allows.
pub(crate) const LONGEST: usize = 8;

/// What the runner executes, with the segments in place of the transfers.
#[derive(Debug)]
pub(crate) struct Lowered {
    /// For each line of the flow the segment that starts there, if one does.
    pub(crate) starts: Vec<Option<u16>>,
    pub(crate) segments: Vec<Segment>,
}

#[derive(Debug)]
pub(crate) struct Segment {
    /// The lines of its members.
    pub(crate) members: Vec<Pc>,
    /// The register that takes the result of the last member.
    pub(crate) into: Option<u16>,
    /// Where the flow goes on behind it.
    pub(crate) next: Pc,
    /// Why it ends where it does.
    pub(crate) boundary: Boundary,
}

/// Why a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Boundary {
    /// The last member is a recv, whose count is not known beforehand.
    Count,
    /// The last member does not sever when it fails.
    DoesNotSever,
    /// The limit of the compiler or of the ring.
    Limit(usize),
    /// What follows is a computation.
    Compute(&'static str),
    /// The next transfer is already in the segment.
    Closed,
    /// The chain ends.
    End,
    /// Every step by itself was asked for.
    Forced,
}

/// Cuts the flow into segments of at most `limit` members.
pub(crate) fn lower(flow: &Flow, lowering: Lowering, limit: usize) -> Lowered {
    let mut lowered = Lowered { starts: vec![None; flow.lines.len()], segments: Vec::new() };
    let mut seen = vec![false; flow.lines.len()];
    let mut work = vec![0];
    while let Some(pc) = work.pop() {
        if std::mem::replace(&mut seen[pc], true) {
            continue;
        }
        match &flow.lines[pc].inst {
            Inst::Move(_) => {
                let segment = run(flow, pc, lowering, limit);
                work.push(segment.next);
                lowered.starts[pc] = Some(lowered.segments.len() as u16);
                lowered.segments.push(segment);
            }
            Inst::Jump(to) => work.push(*to),
            Inst::Unless(_, to) => work.extend([*to, pc + 1]),
            Inst::Finish => {}
            Inst::Set(..) | Inst::Ensure(..) | Inst::Call(..) => work.push(pc + 1),
        }
    }
    lowered
}

/// The segment that starts at the transfer at `start`.
fn run(flow: &Flow, start: Pc, lowering: Lowering, limit: usize) -> Segment {
    let mut members = vec![start];
    let mut next = follow(flow, start + 1);
    let boundary = loop {
        let last = member(flow, members[members.len() - 1]).expect("members are transfers");
        if !last.verb.is_exact() {
            break Boundary::Count;
        }
        if lowering == Lowering::Single {
            break Boundary::Forced;
        }
        if member(flow, next).is_none() {
            break match flow.lines[next].inst {
                Inst::Finish => Boundary::End,
                _ => Boundary::Compute(flow.lines[next].name),
            };
        }
        if !last.verb.severs() {
            break Boundary::DoesNotSever;
        }
        if members.contains(&next) {
            break Boundary::Closed;
        }
        if members.len() >= limit {
            break Boundary::Limit(limit);
        }
        members.push(next);
        next = follow(flow, next + 1);
    };
    let into = member(flow, members[members.len() - 1]).and_then(|last| last.into).map(|reg| reg.index);
    Segment { members, into, next, boundary }
}

/// The line at which the flow goes on from `pc`, jumps followed. A loop of nothing but jumps ends at one of them.
fn follow(flow: &Flow, mut pc: Pc) -> Pc {
    for _ in 0..flow.lines.len() {
        match flow.lines[pc].inst {
            Inst::Jump(to) => pc = to,
            _ => break,
        }
    }
    pc
}

pub(crate) fn member(flow: &Flow, pc: Pc) -> Option<&Move> {
    match &flow.lines[pc].inst {
        Inst::Move(member) => Some(member),
        _ => None,
    }
}

impl Lowered {
    /// What the frames' region is to submit, by the numbers of the segments.
    pub(crate) fn plans(&self, flow: &Flow) -> Vec<Plan> {
        self.segments.iter().map(|segment| segment.plan(flow, &self.starts)).collect()
    }
}

impl Segment {
    /// What the frames' region is to submit.
    fn plan(&self, flow: &Flow, starts: &[Option<u16>]) -> Plan {
        let transfer = |pc: &Pc| {
            let member = member(flow, *pc).expect("members are transfers");
            Transfer {
                verb: member.verb,
                descriptor: member.socket.index,
                offset: member.offset(),
                len: member.len(),
            }
        };
        let members = self.members.iter().map(transfer).collect();
        Plan { members, into: self.into, then: starts[self.next] }
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Boundary::Count => write!(f, "how much a recv brings is known only when it has come"),
            Boundary::DoesNotSever => {
                write!(f, "a failure of its last step would not keep the next from running")
            }
            Boundary::Limit(limit) => write!(f, "cut at {limit} members"),
            Boundary::Compute(name) => write!(f, "`{name}` follows, which runs between submissions"),
            Boundary::Closed => write!(f, "the loop has closed: the next step begins this segment again"),
            Boundary::End => write!(f, "the chain ends"),
            Boundary::Forced => write!(f, "single lowering was asked for"),
        }
    }
}
