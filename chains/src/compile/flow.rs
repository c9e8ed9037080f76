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

use chainring_runtime::frame::{Directory, Extra, Len, Moves, Success, Target, Transfer, Verb};

use super::branches::{self, BranchId, Fork};
use super::scope::Scope;
use crate::access::Touch;
use crate::error::{BuildError, Reason};
use crate::expr::{Cond, Expr, Node};
use crate::handle::{BuilderId, Outbox, Pipe, Place, Reg, Span, SpanLen};
use crate::sync::Sync;
use crate::tree::{Block, Compute, IoStep, Kind, OnEnd, Step};

/// An index into the lines of a flow.
pub(crate) type Pc = usize;

#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) inst: Inst,
    pub(crate) step: u32,
    pub(crate) name: &'static str,
    /// Written by the user as a step, and not made up in between.
    pub(crate) written: bool,
    /// Moved up over operations that were written before it.
    pub(crate) hoisted: bool,
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

/// One member of a segment to be.
#[derive(Clone, Debug)]
pub(crate) struct Io {
    pub(crate) verb: Verb,
    pub(crate) place: Place,
    /// One span after the other, without a gap; only the last may have its length in a register, and only a span by
    /// itself its start. None if the verb moves no bytes.
    pub(crate) spans: Vec<Span>,
    pub(crate) position: Option<Reg>,
    pub(crate) amount: Option<Reg>,
    /// For what opens: the directory, and where among the constants the `open_how` lies.
    pub(crate) open: Option<(Option<Place>, u32)>,
    pub(crate) outbox: Option<Outbox>,
    pub(crate) second: Option<Place>,
    pub(crate) passes: Option<SpanLen>,
    pub(crate) directory: Option<Place>,
    pub(crate) target: Option<(Option<Place>, Span)>,
    pub(crate) into: Option<Reg>,
    /// Takes the count of a step of which a deadline has interrupted this part.
    pub(crate) partial: Option<Reg>,
    pub(crate) on_end: OnEnd,
}

impl Io {
    /// Whether a peer may keep it waiting, or whoever holds the last buffer of a pool.
    pub(super) fn waits_for_others(&self) -> bool {
        let is_peer = |place: Place| !place.file;
        let peer = self.verb.has_place() && is_peer(self.place) || self.second.is_some_and(is_peer);
        peer || self.selects().is_some()
    }

    /// Whether it names files and opens none.
    fn names_files(&self) -> bool {
        self.verb.takes_path() && !self.verb.opens()
    }

    /// The descriptors that it works on, as which they are when it is submitted.
    pub(crate) fn works_on(&self) -> impl Iterator<Item = Place> {
        let own = (self.verb.has_place() && !self.verb.opens()).then_some(self.place);
        let opened = self.open.and_then(|(directory, _)| directory);
        let target = self.target.and_then(|(directory, _)| directory);
        [own, opened, self.second, self.directory, target].into_iter().flatten()
    }

    /// The pooled buffer that it fills from its front: which one is known only when something has come.
    pub(crate) fn selects(&self) -> Option<u16> {
        self.fills().filter(|_| !self.spans[0].buf.owned)
    }

    /// The same, or the owned buffer that is made for what is to come.
    pub(crate) fn fills(&self) -> Option<u16> {
        self.changes().filter(|_| is_from_front(&self.spans[0]))
    }

    /// The pooled or owned buffer that something comes into, wherever in it.
    pub(crate) fn changes(&self) -> Option<u16> {
        self.spans.first().filter(|_| self.verb.moves() == Moves::In)?.buf.pooled
    }

    /// As the frames' region wants it.
    pub(crate) fn transfer(&self) -> Transfer {
        let first = self.spans.first();
        let fixed = |span: &Span| if let SpanLen::Fixed(len) = span.len { len } else { 0 };
        let plus = self.spans.iter().map(fixed).sum();
        let len = match self.spans.last().map(|last| (last.len, last.room())) {
            Some((SpanLen::Reg(reg), room)) => Len::Register { index: reg.index, plus, max: plus + room },
            None => match self.passes {
                Some(SpanLen::Fixed(len)) => Len::Fixed(len),
                Some(SpanLen::Reg(reg)) => Len::Register { index: reg.index, plus: 0, max: i32::MAX as u32 },
                None => Len::Fixed(0),
            },
            Some(_) => Len::Fixed(plus),
        };
        let start = first.and_then(|span| span.start);
        let at = |place: Option<Place>| match place {
            Some(place) => Directory::Descriptor(place.index),
            None => Directory::Working,
        };
        Transfer {
            verb: self.verb,
            descriptor: self.place.index,
            offset: first.map_or(0, |span| span.buf.base() + span.from),
            len,
            extra: Extra {
                start: start.map(|reg| reg.index),
                room: first.filter(|_| start.is_some()).map_or(0, Span::room),
                constant: first.is_some_and(|span| span.buf.constant),
                position: self.position.map(|reg| reg.index),
                amount: self.amount.map(|reg| reg.index),
                outbox: self.outbox.map(|outbox| outbox.index),
                open: self.open.map(|(directory, how)| (at(directory), how)),
                second: self.second.map(|place| place.index),
                directory: self.names_files().then(|| at(self.directory)),
                target: self.target.map(|(directory, path)| {
                    let (offset, constant) = (path.buf.base() + path.from, path.buf.constant);
                    Target { directory: at(directory), offset, len: fixed(&path), constant }
                }),
                hard: false,
                pooled: first.and_then(|span| span.buf.pooled),
                gives_back: 0,
            },
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) lines: Vec<Line>,
    pub(crate) scopes: Vec<Scope>,
    pub(crate) forks: Vec<Fork>,
}

impl Flow {
    /// Strands that a frame has at most.
    pub(crate) fn strands(&self) -> u16 {
        self.forks.iter().map(|fork| fork.branches.len() as u16).max().unwrap_or(0)
    }
}

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
        let (inst, written, hoisted) = (Inst::Finish, false, false);
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
        let (number, name, hoisted) = (step.number, step.name, false);
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

/// Whether a span starts where its buffer does, whatever the registers say.
pub(super) fn is_from_front(span: &Span) -> bool {
    span.from == 0 && span.start.is_none()
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

/// Where a line can lead, its error edge apart.
pub(super) fn successors(inst: &Inst, pc: Pc) -> [Option<Pc>; 2] {
    match inst {
        Inst::Finish => [None, None],
        Inst::Jump(to) | Inst::Join(to) => [Some(*to), None],
        Inst::Unless(_, to) | Inst::Branch(to) => [Some(pc + 1), Some(*to)],
        _ => [Some(pc + 1), None],
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
