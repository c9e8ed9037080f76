//! Blocks become lines.
//!
//! A program counter is an index into the lines; a line goes on with the next one unless it says otherwise. `when`
//! becomes a branch, `repeat` a jump back, `again` and `leave` jumps. The last line always is a `Finish`. A line inside
//! of an `attempt` names the handler that an error of it leads to: its error edge.
//!
//! `within` becomes a line that arms a deadline and one that disarms it; `again` and `leave` disarm what they jump out
//! of. The lines between are in the deadline's scope: each may be where it strikes, and leads to the handler of the `within`
//! as well as to its own.
//!
//! A transfer of several spans becomes one where they lie behind each other (`head.all()` followed by `body.to(n)`
//! of the next buffer), else several in a row. The count of an exact transfer is known beforehand, so its
//! `.into(reg)` becomes a `Set` behind it; only a `recv` has a result that must be read off its completion. A position
//! that is an expression becomes a `Set` before it, of a register that nobody else has.

use std::sync::Arc;

use chainring_runtime::frame::{Success, Verb};

use super::branches::{self, BranchId, Fork};
use super::flow::{Flow, Handler, Inst, Line, Pc};
use super::member::Io;
use super::scope::Scope;
use crate::error::{BuildError, Reason};
use crate::expr::{Cond, Expr, Node};
use crate::handle::{BuilderId, Reg, Span, SpanLen};
use crate::sync::Sync;
use crate::tree::{Block, Compute, IoStep, Kind, OnEnd, Step};

/// What `again` and `leave` mean, while the body of a repeat is flattened.
pub(super) struct Loop {
    /// Where `again` leads, if that is known.
    pub(super) start: Pc,
    pub(super) agains: Vec<Pc>,
    pub(super) leaves: Vec<Pc>,
    /// The group that it stands inside of.
    pub(super) group: Option<u16>,
    /// The deadline around it.
    pub(super) scope: Option<u16>,
}

pub(super) struct Flattener<'c> {
    pub(super) chain: &'c Arc<str>,
    pub(super) builder: BuilderId,
    /// Registers given out so far; more are taken behind them.
    pub(super) regs: u16,
    pub(super) constants: Vec<u8>,
    pub(super) lines: Vec<Line>,
    pub(super) forks: Vec<Fork>,
    pub(super) loops: Vec<Loop>,
    handler: Option<Handler>,
    /// The group whose block is being flattened.
    pub(super) group: Option<u16>,
    scopes: Vec<Scope>,
    pub(super) scope: Option<u16>,
    pub(super) branch: Option<BranchId>,
}

/// Where a handler, or the next turn, starts that is not flattened yet: patched when it is.
pub(super) const LATER: Pc = Pc::MAX;

impl<'c> Flattener<'c> {
    pub(super) fn new(chain: &'c Arc<str>, builder: BuilderId, regs: u16, constants: Vec<u8>) -> Self {
        let (lines, forks, loops, scopes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        Flattener {
            chain,
            builder,
            regs,
            constants,
            lines,
            forks,
            loops,
            handler: None,
            scopes,
            scope: None,
            group: None,
            branch: None,
        }
    }

    pub(super) fn flatten(&mut self, tree: &Block) -> Result<Flow, BuildError> {
        self.block(tree)?;
        let step = self.lines.last().map_or(0, |line| line.step);
        let (inst, written, hoisted) = (Inst::Finish, false, None);
        let (handler, scope, group, branch) = (None, None, None, None);
        self.lines.push(Line { inst, step, name: "end", written, hoisted, handler, scope, group, branch });
        let lines = std::mem::take(&mut self.lines);
        let (scopes, forks) = (std::mem::take(&mut self.scopes), std::mem::take(&mut self.forks));
        Ok(Flow { lines, scopes, forks })
    }

    pub(super) fn block(&mut self, block: &Block) -> Result<(), BuildError> {
        block.iter().try_for_each(|step| self.step(step))
    }

    pub(super) fn push(&mut self, step: &Step, inst: Inst, written: bool) -> Pc {
        let Flattener { handler, scope, group, branch, .. } = *self;
        let (number, name, hoisted) = (step.number, step.name, None);
        self.lines.push(Line { inst, step: number, name, written, hoisted, handler, scope, group, branch });
        self.lines.len() - 1
    }

    fn step(&mut self, step: &Step) -> Result<(), BuildError> {
        if self.branch.is_some() {
            branches::allow(&step.kind).map_err(|why| self.refuse(step, Reason::InBranch(why)))?;
        }
        let inst = match &step.kind {
            Kind::Io(io) => return self.io(step, io),
            Kind::When { cond, then, otherwise } => return self.when(step, cond, then, otherwise),
            Kind::Repeat(body) => return self.repeat(step, body),
            Kind::Within(time, body) => return self.within(step, time, body),
            Kind::Attempt { body, errno, handler } => return self.attempt(step, body, *errno, handler),
            Kind::Fork { need, branches } => return self.fork(step, *need, branches),
            Kind::Pipelined(turns) => return self.pipelined(step, turns),
            Kind::Again | Kind::Leave => return self.jump(step),
            Kind::Serial(group, body) => return self.serial(step, *group, body),
            Kind::Sync(sync) => Inst::Sync(sync.try_map(|number| self.register(step, number))?),
            Kind::Compute(compute) => Inst::Compute(compute.clone()),
            Kind::Ensure(cond, code) => Inst::Ensure(cond.clone(), *code),
            Kind::Fail(errno) => Inst::Fail(errno.clone()),
            Kind::Call(index, touches) => Inst::Call(*index, touches.clone()),
            Kind::CallAsync(index, making, storing) => {
                self.push(step, Inst::Fetch(*index, making.clone()), true);
                Inst::Store(storing.clone())
            }
            Kind::MakePipe(pipe) => Inst::MakePipe(*pipe),
            Kind::Sleep(time) => Inst::Sleep(time.clone()),
            Kind::Finish => Inst::Finish,
        };
        self.push(step, inst, true);
        Ok(())
    }

    fn when(&mut self, step: &Step, cond: &Cond, then: &Block, otherwise: &Block) -> Result<(), BuildError> {
        let branch = self.push(step, Inst::Unless(cond.clone(), 0), true);
        self.block(then)?;
        if otherwise.is_empty() {
            self.patch(branch, self.lines.len());
            return Ok(());
        }
        let skip = self.push(step, Inst::Jump(0), false);
        self.patch(branch, self.lines.len());
        self.block(otherwise)?;
        self.patch(skip, self.lines.len());
        Ok(())
    }

    fn repeat(&mut self, step: &Step, body: &Block) -> Result<(), BuildError> {
        let start = self.lines.len();
        let (agains, leaves) = (Vec::new(), Vec::new());
        self.loops.push(Loop { start, agains, leaves, scope: self.scope, group: self.group });
        self.block(body)?;
        self.push(step, Inst::Jump(start), false);
        let ended = self.loops.pop().expect("pushed above");
        let end = self.lines.len();
        ended.leaves.into_iter().for_each(|leave| self.patch(leave, end));
        Ok(())
    }

    fn within(&mut self, step: &Step, time: &Expr, body: &Block) -> Result<(), BuildError> {
        let (outer, index) = (self.scope, self.scopes.len() as u16);
        let depth = self.depth_of(outer);
        // A scope has 16 bits for its number too, and at least a line.
        if self.scopes.len() >= usize::from(u16::MAX) {
            return Err(self.refuse(step, Reason::TooMuch("deadlines")));
        }
        let arm = self.push(step, Inst::Arm(time.clone(), index), true);
        self.scopes.push(Scope { outer, depth, arm });
        self.scope = Some(index);
        self.block(body)?;
        self.scope = outer;
        self.push(step, Inst::Disarm(depth), false);
        Ok(())
    }

    /// How many deadlines there are around what stands in a scope.
    fn depth_of(&self, scope: Option<u16>) -> u16 {
        scope.map_or(0, |scope| self.scopes[usize::from(scope)].depth + 1)
    }

    fn attempt(
        &mut self,
        step: &Step,
        body: &Block,
        errno: Option<Reg>,
        handler: &Block,
    ) -> Result<(), BuildError> {
        let (start, outer) = (self.lines.len(), self.handler);
        self.handler = Some(Handler { to: LATER, errno });
        self.block(body)?;
        self.handler = outer;
        let skip = self.push(step, Inst::Jump(0), false);
        let to = self.lines.len();
        for line in &mut self.lines[start..skip] {
            // Those of an attempt inside have their own.
            if let Some(Handler { to: place @ LATER, .. }) = &mut line.handler {
                *place = to;
            }
        }
        self.block(handler)?;
        self.patch(skip, self.lines.len());
        Ok(())
    }

    fn jump(&mut self, step: &Step) -> Result<(), BuildError> {
        let Some(innermost) = self.loops.last() else {
            return Err(self.refuse(step, Reason::NoLoop));
        };
        let (start, outer, inner) = (innermost.start, innermost.scope, self.scope);
        if let Some(group) = self.group.filter(|_| innermost.group.is_none()) {
            self.push(step, Inst::Sync(Sync::Leave(group)), false);
        }
        if outer != inner {
            // Whoever disarms a deadline is out of its reach.
            self.scope = outer;
            self.push(step, Inst::Disarm(self.depth_of(outer)), false);
        }
        let jump = self.push(step, Inst::Jump(start), true);
        self.scope = inner;
        let innermost = self.loops.last_mut().expect("looked at above");
        if matches!(step.kind, Kind::Leave) {
            innermost.leaves.push(jump);
        } else if innermost.start == LATER {
            innermost.agains.push(jump);
        }
        Ok(())
    }

    pub(super) fn refuse(&self, step: &Step, reason: Reason) -> BuildError {
        BuildError { chain: self.chain.clone(), step: Some((step.number, step.name)), reason }
    }

    pub(super) fn patch(&mut self, line: Pc, target: Pc) {
        match &mut self.lines[line].inst {
            Inst::Unless(_, to) | Inst::Jump(to) | Inst::Branch(to) | Inst::Join(to) => *to = target,
            _ => unreachable!("only branches and jumps are patched"),
        }
    }

    fn io(&mut self, step: &Step, io: &IoStep) -> Result<(), BuildError> {
        let whole = io.verb.success() == Success::Whole;
        let runs = merged(&io.spans);
        let open = io.open.map(|open| {
            let how = self.constants.len() as u32;
            open.how.iter().for_each(|word| self.constants.extend(word.to_ne_bytes()));
            (open.at, how)
        });
        // All before the first of them, so that they are one segment.
        let positions = self.positions(step, io, &runs)?;
        let amount = io.amount.as_ref().map(|amount| self.register(step, amount)).transpose()?;
        let verb = match (io.verb, io.on_end) {
            // Nothing read is the end of the file, and that is what the frame is to finish with.
            (Verb::ReadAt, OnEnd::Finish) => Verb::ReadSomeAt,
            (verb, _) => verb,
        };
        for i in 0..runs.len().max(1) {
            let member = Io {
                verb,
                place: io.place,
                spans: runs.get(i).cloned().unwrap_or_default(),
                position: positions.get(i).copied(),
                amount,
                open,
                outbox: io.outbox,
                second: io.second,
                passes: io.passes,
                directory: io.directory,
                target: io.target,
                into: io.into.filter(|_| !whole),
                partial: io.into.filter(|_| whole && self.scope.is_some()),
                on_end: if i == 0 { io.on_end } else { OnEnd::Error },
            };
            self.push(step, Inst::Io(member), true);
        }
        if let Some(reg) = io.into.filter(|_| whole) {
            self.push(step, Inst::Compute(Compute::Set(reg, total(io.spans.iter()))), false);
        }
        Ok(())
    }

    /// The registers with the positions of the members of a step.
    fn positions(&mut self, step: &Step, io: &IoStep, runs: &[Vec<Span>]) -> Result<Vec<Reg>, BuildError> {
        let Some(start) = &io.position else { return Ok(Vec::new()) };
        let mut positions = vec![self.register(step, start)?];
        for i in 1..runs.len() {
            let before = total(runs[i - 1].iter());
            positions.push(self.register(step, &(positions[i - 1] + before))?);
        }
        Ok(positions)
    }

    /// A register with the value of an expression: the one that it is, or a fresh one that is set here.
    fn register(&mut self, step: &Step, value: &Expr) -> Result<Reg, BuildError> {
        if let Node::Reg(reg) = value.0 {
            return Ok(reg);
        }
        let reg = Reg { builder: self.builder, index: self.regs };
        self.regs =
            self.regs.checked_add(1).ok_or_else(|| self.refuse(step, Reason::TooMuch("registers")))?;
        self.push(step, Inst::Compute(Compute::Set(reg, value.clone())), false);
        Ok(reg)
    }
}

fn total<'s>(spans: impl Iterator<Item = &'s Span>) -> Expr {
    let length = |span: &Span| match span.len {
        SpanLen::Fixed(len) => Expr::from(len),
        SpanLen::Reg(reg) => Expr::from(reg),
    };
    spans.map(length).reduce(|a, b| a + b).unwrap_or_else(|| Expr::from(0))
}

/// Puts spans together that lie behind each other, whatever the registers say.
fn merged(spans: &[Span]) -> Vec<Vec<Span>> {
    let mut runs: Vec<Vec<Span>> = Vec::new();
    for span in spans {
        match runs.last_mut() {
            Some(run) if run[run.len() - 1].is_followed_by(span) => run.push(*span),
            _ => runs.push(vec![*span]),
        }
    }
    runs
}
