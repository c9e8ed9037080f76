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
//! [`check`] then refuses what branches may not share, by what `effects` says of their lines.

use std::ops::Range;
use std::sync::Arc;

use chainring_runtime::frame::{self, Verb};

use super::Lowered;
use super::effects::{Effect, effects, may_overlap};
use super::flatten::{Flattener, LATER, Loop};
use super::flow::{Flow, Inst, Pc};
use super::member::Io;
use crate::build::MOST_BRANCHES;
use crate::error::{BuildError, Reason, Shared};
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
        Kind::Io(_) | Kind::Compute(_) | Kind::Ensure(..) | Kind::Sleep(_) | Kind::When { .. } => Ok(()),
        Kind::Repeat(_) | Kind::Attempt { .. } | Kind::Again | Kind::Leave => Ok(()),
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

/// One thing that a line of a branch does.
#[derive(Clone, Copy)]
enum Touch {
    Effect(Effect),
    /// Uses one direction of a socket, or all of it.
    Direction(crate::handle::Place, Option<Direction>),
    Outbox(u16),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
    /// Only looks.
    Neither,
}

/// The same, where it is.
struct Touched {
    line: Pc,
    /// Whether it is done in the order of the turns.
    in_order: bool,
    touch: Touch,
}

/// Refuses branches that share what one of them changes.
pub(super) fn check(flow: &Flow, chain: &Arc<str>) -> Result<(), BuildError> {
    for fork in &flow.forks {
        if let Some(line) =
            fork.branches.iter().cloned().flatten().find(|line| is_pooled(&flow.lines[*line].inst))
        {
            let line = &flow.lines[line];
            let reason = Reason::InBranch("a pooled or owned buffer is the whole frame's");
            return Err(BuildError { chain: chain.clone(), step: Some((line.step, line.name)), reason });
        }
        let touched: Vec<Vec<Touched>> =
            (0..fork.branches.len()).map(|branch| touched(flow, fork, branch)).collect();
        for (i, of_b) in touched.iter().enumerate() {
            for of_a in &touched[..i] {
                let mut pairs = of_b.iter().flat_map(|b| of_a.iter().map(move |a| (b, a)));
                let found = pairs.find_map(|(b, a)| Some((conflict(b, a)?, b.line, a.line)));
                let Some((shared, line, other)) = found else { continue };
                let (line, other) = (&flow.lines[line], &flow.lines[other]);
                let reason = Reason::Shared(shared, (other.step, other.name));
                return Err(BuildError { chain: chain.clone(), step: Some((line.step, line.name)), reason });
            }
        }
    }
    Ok(())
}

/// Whether a line touches a buffer that the frame has only while it uses it.
fn is_pooled(inst: &Inst) -> bool {
    let mut pooled = false;
    effects(inst, &mut |effect| {
        if let Effect::ReadsBytes(span) | Effect::WritesBytes(span) = effect {
            pooled |= span.buf.pooled.is_some();
        }
    });
    pooled
}

/// What a branch of a fork touches.
fn touched(flow: &Flow, fork: &Fork, branch: usize) -> Vec<Touched> {
    let mut touched = Vec::new();
    for line in fork.branches[branch].clone() {
        let in_order = fork.in_order.get(branch).is_some_and(|lines| lines.contains(&line));
        let inst = &flow.lines[line].inst;
        let mut touch = |touch| touched.push(Touched { line, in_order, touch });
        effects(inst, &mut |effect| touch(Touch::Effect(effect)));
        let Inst::Io(io) = inst else { continue };
        if io.verb.has_place() && !io.place.file && !io.verb.opens() && !io.verb.closes() {
            touch(Touch::Direction(io.place, direction(io)));
        }
        io.outbox.into_iter().for_each(|outbox| touch(Touch::Outbox(outbox.index)));
    }
    touched
}

fn direction(io: &Io) -> Option<Direction> {
    match io.verb {
        Verb::Recv | Verb::RecvExact => Some(Direction::In),
        Verb::Send | Verb::SendAll | Verb::SendOutbox | Verb::Shutdown => Some(Direction::Out),
        Verb::Poll(_) => Some(Direction::Neither),
        _ => None,
    }
}

/// What two branches share that one of them changes.
fn conflict(a: &Touched, b: &Touched) -> Option<Shared> {
    // What is done in order is not done at the same time; but bytes, descriptors and outboxes are a branch's own in any case.
    let serial = a.in_order && b.in_order;
    let (a, b) = match (&a.touch, &b.touch) {
        (Touch::Effect(a), Touch::Effect(b)) => (a, b),
        (Touch::Direction(a, of_a), Touch::Direction(b, of_b)) => {
            let neither = |direction: &Option<Direction>| *direction == Some(Direction::Neither);
            let apart = neither(of_a) || neither(of_b) || (of_a.is_some() && of_b.is_some() && of_a != of_b);
            return (a == b && !apart && !serial).then_some(Shared::Direction(*a));
        }
        (Touch::Outbox(a), Touch::Outbox(b)) => return (a == b).then_some(Shared::Outbox(*a)),
        _ => return None,
    };
    one_way(a, b, serial).or_else(|| one_way(b, a, serial))
}

/// What `a` changes and `b` touches.
fn one_way(a: &Effect, b: &Effect, serial: bool) -> Option<Shared> {
    use Effect::{Closes, Lends, Opens, Reads, ReadsBytes, Sends, ShutsDown, Uses, Writes, WritesBytes};
    match (a, b) {
        (Writes(a), Reads(b) | Writes(b) | Lends(b)) if a == b && !serial => Some(Shared::Register(a.index)),
        (WritesBytes(a), ReadsBytes(b) | WritesBytes(b)) if may_overlap(a, b) => {
            Some(Shared::Buffer(a.buf.index))
        }
        (Opens(a) | Closes(a) | ShutsDown(a), Opens(b) | Closes(b) | ShutsDown(b) | Uses(b) | Sends(b))
            if a == b =>
        {
            Some(Shared::Descriptor(*a))
        }
        _ => None,
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
