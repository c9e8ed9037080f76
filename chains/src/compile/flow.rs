//! The lines that a chain is flattened to: what every pass reads, and some rewrite.
//!
//! A program counter is an index into the lines; a line goes on with the next one unless it says otherwise. The last line
//! always is a `Finish`.

use super::branches::{BranchId, Fork};
use super::member::Io;
use super::scope::Scope;
use crate::access::Touch;
use crate::expr::{Cond, Expr};
use crate::handle::{Pipe, Reg};
use crate::sync::Sync;
use crate::tree::Compute;

/// An index into the lines of a flow.
pub(crate) type Pc = usize;

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) inst: Inst,
    pub(crate) step: u32,
    pub(crate) name: &'static str,
    /// Written by the user as a step, and not made up in between.
    pub(crate) written: bool,
    /// Where it stood before it was moved up over operations that were written before it.
    pub(crate) hoisted: Option<Pc>,
    /// Where an error leads.
    pub(crate) handler: Option<Handler>,
    /// The branch that it belongs to.
    pub(crate) branch: Option<BranchId>,
    /// The group that it is inside of.
    pub(crate) group: Option<u16>,
    /// The innermost deadline that it stands under: an index into the flow's scopes.
    pub(crate) scope: Option<u16>,
}

/// Where an error of a line leads, and the register that takes its errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Handler {
    pub(crate) to: Pc,
    pub(crate) errno: Option<Reg>,
}

#[derive(Clone, Debug)]
pub(crate) enum Inst {
    Io(Io),
    Compute(Compute),
    Ensure(Cond, i32),
    /// Fails with the errno that the expression gives.
    Fail(Expr),
    /// Goes on at the target if the condition does not hold.
    Unless(Cond, Pc),
    Jump(Pc),
    Call(usize, Vec<Touch>),
    /// Makes a future and starts it.
    Fetch(usize, Vec<Touch>),
    /// Waits for it, and stores its output.
    Store(Vec<Touch>),
    /// Makes a pipe, unless it is there.
    MakePipe(Pipe),
    Sleep(Expr),
    Sync(Sync<Reg>),
    /// Starts the deadline of a scope, as many nanoseconds from now.
    Arm(Expr, u16),
    /// Ends the deadlines of this depth and deeper.
    Disarm(u16),
    /// Goes on at the branches of the fork with this number, all at once.
    Fork(u16),
    /// The head of a branch; behind it comes the branch, and elsewhere the head of the next one, or what is behind the
    /// fork.
    Branch(Pc),
    /// Goes on when the turns before this one are done.
    InOrder,
    /// This turn is done.
    Pass,
    /// The branch has succeeded; the fork goes on at the target.
    Join(Pc),
    Finish,
}

#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) lines: Vec<Line>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) forks: Vec<Fork>,
}

impl Flow {
    /// The lines as they were written, with what was moved up back where it stood. Edges lead where they led.
    pub(crate) fn unhoisted(&self) -> Vec<&Line> {
        let mut lines: Vec<&Line> = self.lines.iter().collect();
        // The last that was moved stood behind all that were moved before it.
        for from in (0..lines.len()).rev() {
            if let Some(now) = lines.iter().position(|line| line.hoisted == Some(from)) {
                lines[now..=from].rotate_left(1);
            }
        }
        lines
    }

    /// Strands that a frame has at most.
    pub(crate) fn strands(&self) -> u16 {
        self.forks.iter().map(|fork| fork.branches.len() as u16).max().unwrap_or(0)
    }
}

/// Where a line can lead, its error edge apart.
pub(super) fn successors(inst: &Inst, pc: Pc) -> [Option<Pc>; 2] {
    match inst {
        Inst::Finish | Inst::Fail(_) => [None, None],
        Inst::Jump(to) | Inst::Join(to) => [Some(*to), None],
        Inst::Unless(_, to) | Inst::Branch(to) => [Some(pc + 1), Some(*to)],
        Inst::Io(_)
        | Inst::Compute(_)
        | Inst::Ensure(..)
        | Inst::Call(..)
        | Inst::Fetch(..)
        | Inst::Store(_) => [Some(pc + 1), None],
        Inst::MakePipe(_) | Inst::Sleep(_) | Inst::Sync(_) | Inst::Arm(..) | Inst::Disarm(_) => {
            [Some(pc + 1), None]
        }
        Inst::Fork(_) | Inst::InOrder | Inst::Pass => [Some(pc + 1), None],
    }
}

/// The line at which the flow goes on from `pc`, jumps followed. A loop of nothing but jumps ends at one of them.
pub(crate) fn follow(flow: &Flow, mut pc: Pc) -> Pc {
    for _ in 0..flow.lines.len() {
        match flow.lines[pc].inst {
            Inst::Jump(to) => pc = to,
            _ => break,
        }
    }
    pc
}

pub(crate) fn io(flow: &Flow, pc: Pc) -> Option<&Io> {
    match &flow.lines[pc].inst {
        Inst::Io(io) => Some(io),
        _ => None,
    }
}
