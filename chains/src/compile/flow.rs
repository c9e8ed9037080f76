//! Blocks become lines.
//!
//! A program counter is an index into the lines; a line goes on with the next one unless it says otherwise. `when`
//! becomes a branch, `repeat` a jump back, `again` and `leave` jumps. The last line always is a `Finish`.
//!
//! A transfer of several spans becomes one where they lie behind each other (`head.all()` followed by `body.to(n)`
//! of the next buffer), else several in a row. The count of an exact transfer is known beforehand, so its
//! `.into(reg)` becomes a `Set` behind it; only a `recv` has a result that must be read off its completion.

use std::sync::Arc;

use chainring_runtime::frame::{Len, Verb};

use crate::error::{BuildError, Reason};
use crate::expr::{Cond, Expr};
use crate::handle::{Reg, Socket, Span, SpanLen};
use crate::tree::{Block, Kind, OnEnd, Step};

/// An index into the lines of a flow.
pub(crate) type Pc = usize;

#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) inst: Inst,
    pub(crate) step: u32,
    pub(crate) name: &'static str,
    /// Written by the user as a step, and not made up in between.
    pub(crate) written: bool,
}

#[derive(Debug)]
pub(crate) enum Inst {
    Move(Move),
    Set(Reg, Expr),
    Ensure(Cond, i32),
    /// Goes on at the target if the condition does not hold.
    Unless(Cond, Pc),
    Jump(Pc),
    Call(usize, Vec<crate::access::Touch>),
    Finish,
}

/// One member of a segment to be.
#[derive(Clone, Debug)]
pub(crate) struct Move {
    pub(crate) verb: Verb,
    pub(crate) socket: Socket,
    /// One span after the other, without a gap; only the last may have its length in a register. None if the verb
    /// moves no bytes.
    pub(crate) spans: Vec<Span>,
    pub(crate) into: Option<Reg>,
    pub(crate) on_end: OnEnd,
}

impl Move {
    /// Where it starts in the frame's bytes.
    pub(crate) fn offset(&self) -> u32 {
        self.spans.first().map_or(0, |span| span.buf.start + span.from)
    }

    /// Its length, as the submission computes it.
    pub(crate) fn len(&self) -> Len {
        let fixed = |span: &Span| if let SpanLen::Fixed(len) = span.len { len } else { 0 };
        let plus = self.spans.iter().map(fixed).sum();
        match self.spans.last().map(|last| (last.len, last.room())) {
            Some((SpanLen::Reg(reg), room)) => Len::Register { index: reg.index, plus, max: plus + room },
            _ => Len::Fixed(plus),
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Flow {
    pub(crate) lines: Vec<Line>,
}

/// The innermost repeat, while its body is flattened.
struct Loop {
    start: Pc,
    leaves: Vec<Pc>,
}

struct Flattener<'c> {
    lines: Vec<Line>,
    loops: Vec<Loop>,
    chain: &'c Arc<str>,
}

pub(crate) fn flatten(tree: &Block, chain: &Arc<str>) -> Result<Flow, BuildError> {
    let mut flattener = Flattener { lines: Vec::new(), loops: Vec::new(), chain };
    flattener.block(tree)?;
    let step = flattener.lines.last().map_or(0, |line| line.step);
    flattener.lines.push(Line { inst: Inst::Finish, step, name: "end", written: false });
    Ok(Flow { lines: flattener.lines })
}

impl Flattener<'_> {
    fn block(&mut self, block: &Block) -> Result<(), BuildError> {
        block.iter().try_for_each(|step| self.step(step))
    }

    fn push(&mut self, step: &Step, inst: Inst, written: bool) -> Pc {
        self.lines.push(Line { inst, step: step.number, name: step.name, written });
        self.lines.len() - 1
    }

    fn step(&mut self, step: &Step) -> Result<(), BuildError> {
        match &step.kind {
            Kind::Transfer(_) => self.transfer(step),
            Kind::Shutdown(socket) => {
                let (verb, socket, on_end) = (Verb::Shutdown, *socket, OnEnd::Error);
                let member = Move { verb, socket, spans: Vec::new(), into: None, on_end };
                self.push(step, Inst::Move(member), true);
            }
            Kind::Set(reg, expr) => {
                self.push(step, Inst::Set(*reg, expr.clone()), true);
            }
            Kind::Ensure(cond, code) => {
                self.push(step, Inst::Ensure(cond.clone(), *code), true);
            }
            Kind::Call(index, touches) => {
                self.push(step, Inst::Call(*index, touches.clone()), true);
            }
            Kind::Finish => {
                self.push(step, Inst::Finish, true);
            }
            Kind::When { cond, then, otherwise } => {
                let branch = self.push(step, Inst::Unless(cond.clone(), 0), true);
                self.block(then)?;
                if otherwise.is_empty() {
                    self.patch(branch, self.lines.len());
                } else {
                    let skip = self.push(step, Inst::Jump(0), false);
                    self.patch(branch, self.lines.len());
                    self.block(otherwise)?;
                    self.patch(skip, self.lines.len());
                }
            }
            Kind::Repeat(body) => {
                let start = self.lines.len();
                self.loops.push(Loop { start, leaves: Vec::new() });
                self.block(body)?;
                self.push(step, Inst::Jump(start), false);
                let ended = self.loops.pop().expect("pushed above");
                let end = self.lines.len();
                ended.leaves.into_iter().for_each(|leave| self.patch(leave, end));
            }
            Kind::Again | Kind::Leave => {
                let Some(innermost) = self.loops.last() else {
                    return Err(BuildError {
                        chain: self.chain.clone(),
                        step: Some((step.number, step.name)),
                        reason: Reason::NoLoop,
                    });
                };
                let jump = self.push(step, Inst::Jump(innermost.start), true);
                if matches!(step.kind, Kind::Leave) {
                    self.loops.last_mut().expect("looked at above").leaves.push(jump);
                }
            }
        }
        Ok(())
    }

    fn patch(&mut self, line: Pc, target: Pc) {
        match &mut self.lines[line].inst {
            Inst::Unless(_, to) | Inst::Jump(to) => *to = target,
            _ => unreachable!("only branches and jumps are patched"),
        }
    }

    fn transfer(&mut self, step: &Step) {
        let Kind::Transfer(transfer) = &step.kind else { unreachable!("called for transfers") };
        let exact = transfer.verb.is_exact();
        for (i, spans) in merged(&transfer.spans).into_iter().enumerate() {
            let member = Move {
                verb: transfer.verb,
                socket: transfer.socket,
                spans,
                into: transfer.into.filter(|_| !exact),
                on_end: if i == 0 { transfer.on_end } else { OnEnd::Error },
            };
            self.push(step, Inst::Move(member), true);
        }
        if let Some(reg) = transfer.into.filter(|_| exact) {
            let count = transfer.spans.iter().map(|span| length(span.len));
            let total = count.reduce(|a, b| a + b).unwrap_or_else(|| Expr::from(0));
            self.push(step, Inst::Set(reg, total), false);
        }
    }
}

pub(crate) fn length(len: SpanLen) -> Expr {
    match len {
        SpanLen::Fixed(len) => Expr::from(u64::from(len)),
        SpanLen::Reg(reg) => Expr::from(reg),
    }
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
