//! Blocks that run side by side become lines, one branch behind the other:
//!
//! ```text
//! fork            all branches start here
//!   branch -> B   the head of the first; elsewhere goes to the next
//!     ...
//!   join          so much for the first
//! B: branch -> C
//!     ...
//!   join
//! C: ...          where the flow goes on when enough have joined
//! ```
//!
//! A pipelined block is such a fork too, with a branch for each turn that can be in flight. Each repeats what runs ahead,
//! waits until the turns before it are done, does its part in order and passes the word on; whoever leaves joins, and one
//! is enough:
//!
//! ```text
//! branch
//!   turn = 3
//! A: ... ahead ...    leave -> L, again -> N
//!   in order
//!   ... in order ...  leave -> J, again -> P
//! P: turn = turn + depth
//!   pass
//!   jump A
//! N: in order; jump P
//! L: in order
//! J: join
//! ```
//!
//! `apart` then refuses what branches may not share, by what `effects` says of their lines.

use std::ops::Range;

use chainring_runtime::frame;

use super::Lowered;
use super::flatten::{Flattener, LATER, Loop};
use super::flow::{Flow, Inst, Pc};
use crate::build::MOST_BRANCHES;
use crate::error::{BuildError, Reason};
use crate::expr::Expr;
use crate::tree::{Block, Compute, IoStep, Kind, OnEnd, Step, Turn};

/// A branch: which fork's, and which of its branches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BranchId {
    pub(crate) fork: u16,
    pub(crate) branch: u16,
}

/// Where a flow goes several ways at once.
#[derive(Debug)]
pub(crate) struct Fork {
    /// How many branches must join.
    pub(crate) need: usize,
    /// The lines of each, the head first.
    pub(crate) branches: Vec<Range<Pc>>,
    /// Of those, for turns of a pipelined block, the lines that run in order.
    pub(crate) in_order: Vec<Range<Pc>>,
    /// Where the flow goes on.
    pub(crate) next: Pc,
}

impl Fork {
    /// Whether the branches are the turns of a pipelined block.
    pub(crate) fn is_pipelined(&self) -> bool {
        !self.in_order.is_empty()
    }

    /// Whether it may go on before every branch has come to its end.
    pub(crate) fn is_partial(&self) -> bool {
        self.need < self.branches.len()
    }
}

/// Whether a step can stand in a branch; else why not.
pub(super) fn allow(kind: &Kind) -> Result<(), &'static str> {
    match kind {
        Kind::Io(IoStep { on_end: OnEnd::Finish, .. }) => Err("it may finish the frame"),
        Kind::Finish => Err("it finishes the frame"),
        Kind::Call(..) => Err("native code is called with nothing of the frame in flight"),
        Kind::CallAsync(..) => Err("a future is waited for with nothing of the frame in flight"),
        Kind::Serial(..) | Kind::Sync(_) => Err("it waits for others, or they for it, as a whole frame"),
        Kind::MakePipe(_) => Err("a pipe is the whole frame's"),
        Kind::Within(..) => Err("a deadline is the whole frame's, and stands around the branches"),
        Kind::Fork { .. } | Kind::Pipelined(_) => Err("branches do not branch again"),
        Kind::Compute(Compute::Append(..) | Compute::AppendNumber(..)) => {
            Err("what is then in the outbox would depend on how far the branches have come")
        }
        Kind::Io(_) | Kind::Compute(_) | Kind::Ensure(..) | Kind::Fail(_) | Kind::Sleep(_) => Ok(()),
        Kind::When { .. } | Kind::Repeat(_) | Kind::Attempt { .. } | Kind::Again | Kind::Leave => Ok(()),
    }
}

impl Flattener<'_> {
    pub(super) fn fork(
        &mut self,
        step: &Step,
        need: Option<usize>,
        branches: &[Block],
    ) -> Result<(), BuildError> {
        let (count, need) = (branches.len(), need.unwrap_or(branches.len()));
        if need == 0 || need > count {
            return Err(self.refuse(step, Reason::Quorum(need, count)));
        }
        self.branches(step, need, count, |flat, branch| {
            flat.block(&branches[branch])?;
            flat.push(step, Inst::Join(LATER), false);
            Ok(None)
        })
    }

    pub(super) fn pipelined(&mut self, step: &Step, turns: &[Turn]) -> Result<(), BuildError> {
        if turns.is_empty() {
            return Err(self.refuse(step, Reason::Quorum(1, 0)));
        }
        let depth = turns.len();
        self.branches(step, 1, depth, |flat, branch| flat.turn(step, branch, depth, &turns[branch]).map(Some))
    }

    /// Adds a fork whose branches are flattened by `flatten`, which says which lines run in order.
    fn branches(
        &mut self,
        step: &Step,
        need: usize,
        count: usize,
        mut flatten: impl FnMut(&mut Self, usize) -> Result<Option<Range<Pc>>, BuildError>,
    ) -> Result<(), BuildError> {
        let fork = u16::try_from(self.forks.len()).ok().filter(|_| count <= MOST_BRANCHES);
        let Some(fork) = fork else { return Err(self.refuse(step, Reason::TooMuch("branches"))) };
        self.push(step, Inst::Fork(fork), true);
        let (mut branches, mut in_order) = (Vec::new(), Vec::new());
        // A loop around the block is not the branch's to leave.
        let outer = std::mem::take(&mut self.loops);
        for branch in 0..count {
            self.branch = Some(BranchId { fork, branch: branch as u16 });
            let head = self.push(step, Inst::Branch(LATER), false);
            in_order.extend(flatten(self, branch)?);
            let end = self.lines.len();
            self.patch(head, end);
            branches.push(head..end);
        }
        (self.branch, self.loops) = (None, outer);
        let next = self.lines.len();
        for line in &mut self.lines[branches[0].start..] {
            if let Inst::Join(to @ LATER) = &mut line.inst {
                *to = next;
            }
        }
        self.forks.push(Fork { need, branches, in_order, next });
        Ok(())
    }

    /// Adds the lines of one turn of a pipelined block of that depth.
    fn turn(
        &mut self,
        step: &Step,
        branch: usize,
        depth: usize,
        turn: &Turn,
    ) -> Result<Range<Pc>, BuildError> {
        let set = |value: Expr| Inst::Compute(Compute::Set(turn.number, value));
        self.push(step, set(Expr::from(branch as u64)), false);
        let start = self.lines.len();
        let (again_ahead, leave_ahead) = self.part(&turn.ahead)?;
        let from = self.push(step, Inst::InOrder, false);
        let (again, leave) = self.part(&turn.in_order)?;
        let pass = self.push(step, set(turn.number + depth as u64), false);
        self.push(step, Inst::Pass, false);
        let in_order = from..self.lines.len();
        self.push(step, Inst::Jump(start), false);
        again.into_iter().for_each(|jump| self.patch(jump, pass));
        if !again_ahead.is_empty() {
            let here = self.push(step, Inst::InOrder, false);
            self.push(step, Inst::Jump(pass), false);
            again_ahead.into_iter().for_each(|jump| self.patch(jump, here));
        }
        if !leave_ahead.is_empty() {
            let here = self.push(step, Inst::InOrder, false);
            leave_ahead.into_iter().for_each(|jump| self.patch(jump, here));
        }
        let join = self.push(step, Inst::Join(LATER), false);
        leave.into_iter().for_each(|jump| self.patch(jump, join));
        Ok(in_order)
    }

    /// Adds a part of a turn, which is to its steps as the body of a repeat. Gives the jumps of its `again` and `leave`.
    fn part(&mut self, block: &Block) -> Result<(Vec<Pc>, Vec<Pc>), BuildError> {
        let (agains, leaves) = (Vec::new(), Vec::new());
        self.loops.push(Loop { start: LATER, agains, leaves, scope: self.scope, group: self.group });
        self.block(block)?;
        let part = self.loops.pop().expect("pushed above");
        Ok((part.agains, part.leaves))
    }
}

impl Lowered {
    /// What each strand has for itself: the ops and segments of its branch's lines.
    pub(super) fn forks(&self, flow: &Flow) -> Vec<frame::Fork> {
        let make =
            |fork: &Fork| frame::Fork { branches: vec![frame::Branch::default(); fork.branches.len()] };
        let mut forks: Vec<frame::Fork> = flow.forks.iter().map(make).collect();
        let of = |line: Pc| {
            let branch = flow.lines[line].branch;
            branch.map(|BranchId { fork, branch }| (usize::from(fork), usize::from(branch)))
        };
        for (op, line) in (0..).zip(&self.generated.lines) {
            let Some((fork, branch)) = of(*line) else { continue };
            let branch = &mut forks[fork].branches[branch];
            match branch.ops.last_mut() {
                Some(last) if last.end == op => last.end += 1,
                _ => branch.ops.push(op..op + 1),
            }
        }
        for (number, segment) in (0..).zip(&self.segments.all) {
            if let Some((fork, branch)) = of(segment.members[0]) {
                forks[fork].branches[branch].segments.push(number);
            }
        }
        forks
    }
}
