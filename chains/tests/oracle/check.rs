//! What `build()` must say of a program, worked out a second time: on the blocks as they are written, where the
//! compiler works on lines with jumps.
//!
//! [`predict`] gives the step that is at fault and why; [`repair`] mends a program until there is none. A program that
//! is not repaired shows whether `build()` refuses it at that step for that reason.
//!
//! The one rule that is not `build()`'s: a socket that *may* have been shut down is not shut down again, because
//! whether that fails depends on whether the peer has closed too by then.

use super::facts::{can_fail, reads, writes};
use super::program::{
    ALL_REGS, BUFS, Block, CONSTANT, Call, FILES, FileStep, Kind, Len, POOLED, Program, REGS, SOCKETS,
    STREAM, Span, Step, TURN, TURN_BUFS, TURN_REGS, file_place,
};

/// Why a step is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refusal {
    EmptySpan,
    Overlap,
    NoLoop,
    Unreachable,
    Reg(usize),
    Buf(usize),
    ShutDown(usize),
    Closed(usize),
    /// Not refused, but not deterministic either.
    MayBeShutDown,
}

impl Refusal {
    /// What the message of the refusal says, if it is one.
    pub(crate) fn message(self) -> Option<String> {
        Some(match self {
            Refusal::EmptySpan => "the span is empty".to_owned(),
            Refusal::Overlap => "it borrows the same bytes or register twice".to_owned(),
            Refusal::NoLoop => "it must stand inside of a repeat".to_owned(),
            Refusal::Unreachable => "the step can never be reached".to_owned(),
            Refusal::Reg(reg) => format!("register r{reg} is read before it is written"),
            Refusal::Buf(buf) => {
                // Constants are counted by themselves.
                let number = if buf > CONSTANT { buf - 1 } else { buf };
                format!("buffer b{number} is read before it is written")
            }
            Refusal::ShutDown(socket) => format!("socket s{socket} was shut down on every path"),
            Refusal::Closed(file) => {
                format!("descriptor {} is closed on every path to it", file_place(file))
            }
            Refusal::MayBeShutDown => return None,
        })
    }
}

/// The first step at fault, in the order in which the compiler looks: each step by itself, then the loops, then the
/// paths. A step may have several, of which any may be told.
pub(crate) fn predict(program: &Program) -> Option<(u32, Vec<Refusal>)> {
    let mut refusals = Vec::new();
    alone(&program.body, &mut refusals);
    if refusals.is_empty() {
        loops(&program.body, false, &mut refusals);
    }
    if refusals.is_empty() {
        let start = Known::nothing(program);
        flow(&program.body, &mut Some(start), &mut Around::default(), Some(&mut refusals));
    }
    let (first, _) = *refusals.first()?;
    Some((
        first,
        refusals.into_iter().filter(|(step, _)| *step == first).map(|(_, refusal)| refusal).collect(),
    ))
}

/// Mends what is at fault, one thing after the other.
pub(crate) fn repair(program: &mut Program) {
    program.renumber();
    while let Some((step, refusals)) = predict(program) {
        match refusals[0] {
            // What is a turn's own is not given at the start.
            Refusal::Reg(reg) if program.params[reg].is_none() => program.params[reg] = Some(reg as u64 * 3),
            Refusal::Buf(buf)
                if buf < POOLED && !program.body.iter().any(|step| step.kind == filled(buf)) =>
            {
                program.body.insert(0, filled(buf).step());
            }
            _ => remove(&mut program.body, step),
        }
        program.renumber();
    }
}

fn filled(buf: usize) -> Kind {
    Kind::Call(Call::Fill(Span::all(buf), buf as u8))
}

fn remove(block: &mut Block, number: u32) {
    block.retain(|step| step.number != number);
    for step in block.iter_mut() {
        step.kind.blocks_mut().into_iter().for_each(|block| remove(block, number));
    }
    // Without its body a loop would be one for ever.
    block.retain(|step| !matches!(&step.kind, Kind::Repeat { body } if body.is_empty()));
    block.retain(|step| !matches!(&step.kind, Kind::Attempt { body, .. } if body.is_empty()));
}

fn alone(block: &Block, refusals: &mut Vec<(u32, Refusal)>) {
    for Step { number, kind } in block {
        let empty = |span: &Span| span.len == Len::Fixed(0);
        let refusal = match kind {
            Kind::Recv { span, .. }
            | Kind::RecvExact { span, .. }
            | Kind::Send { span, .. }
            | Kind::File(FileStep::Read { span, .. }) => empty(span).then_some(Refusal::EmptySpan),
            Kind::Splice { len: Len::Fixed(0), .. } => Some(Refusal::EmptySpan),
            Kind::SendAll { spans, .. } | Kind::File(FileStep::Write { spans, .. }) => {
                spans.iter().all(empty).then_some(Refusal::EmptySpan)
            }
            Kind::Call(Call::Mix { from, to, .. }) => overlap(from, to).then_some(Refusal::Overlap),
            Kind::Splice { .. } | Kind::Shutdown { .. } | Kind::Accept | Kind::Poll { .. } => None,
            Kind::Fill { .. } | Kind::Consume { .. } => None,
            Kind::Append { .. } | Kind::AppendNumber { .. } | Kind::SendOutbox { .. } => None,
            Kind::File(_) | Kind::Rename { .. } | Kind::Remove { .. } | Kind::Commit { .. } => None,
            Kind::Set { .. } | Kind::Store { .. } | Kind::Copy { .. } => None,
            Kind::SetWord { .. } | Kind::FetchAdd { .. } | Kind::Exchange { .. } => None,
            Kind::FutexWait { .. } | Kind::FutexWake { .. } | Kind::Notify | Kind::Wait => None,
            Kind::Call(_) | Kind::Fetch { .. } | Kind::Nop | Kind::Sleep { .. } => None,
            Kind::Ensure { .. } | Kind::Fail { .. } | Kind::When { .. } | Kind::Repeat { .. } => None,
            Kind::Attempt { .. } | Kind::Serial { .. } | Kind::Within { .. } => None,
            Kind::Fork { .. } | Kind::Pipelined { .. } => None,
            Kind::Again | Kind::Leave | Kind::Finish => None,
        };
        refusals.extend(refusal.map(|refusal| (*number, refusal)));
        kind.blocks().into_iter().for_each(|block| alone(block, refusals));
    }
}

fn overlap(a: &Span, b: &Span) -> bool {
    let (x, y) = (a.reach(), b.reach());
    a.buf == b.buf && x.start < y.end && y.start < x.end
}

fn loops(block: &Block, inside: bool, refusals: &mut Vec<(u32, Refusal)>) {
    for Step { number, kind } in block {
        if matches!(kind, Kind::Again | Kind::Leave) && !inside {
            refusals.push((*number, Refusal::NoLoop));
        }
        let inside = inside || matches!(kind, Kind::Repeat { .. } | Kind::Pipelined { .. });
        kind.blocks().into_iter().for_each(|block| loops(block, inside, refusals));
    }
}

/// What is known wherever a step is reached.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Known {
    pub(super) regs: [bool; ALL_REGS],
    pub(super) bufs: [bool; BUFS.len()],
    pub(super) shut: [bool; SOCKETS],
    pub(super) may_be_shut: [bool; SOCKETS],
    pub(super) vacant: [bool; FILES],
}

impl Known {
    fn nothing(program: &Program) -> Known {
        let mut regs = [true; ALL_REGS];
        regs[..REGS].copy_from_slice(&program.params.map(|value| value.is_some()));
        let mut bufs = [false; BUFS.len()];
        // A stream buffer lends what it holds, which at first is nothing.
        (bufs[CONSTANT], bufs[STREAM]) = (true, true);
        let nothing = [false; SOCKETS];
        Known { regs, bufs, shut: nothing, may_be_shut: nothing, vacant: [false; FILES] }
    }

    /// What both branches have, and neither has lost: they change different things.
    fn join(mut self, other: Known) -> Known {
        self.regs.iter_mut().zip(other.regs).for_each(|(a, b)| *a |= b);
        self.bufs.iter_mut().zip(other.bufs).for_each(|(a, b)| *a |= b);
        self
    }

    /// The same with what is a turn's own as it was outside of the pipelined block.
    fn outside(mut self, outside: &Option<Known>) -> Known {
        if let Some(outside) = outside {
            self.regs[..TURN_REGS].copy_from_slice(&outside.regs[..TURN_REGS]);
            self.bufs[..TURN_BUFS].copy_from_slice(&outside.bufs[..TURN_BUFS]);
            self.regs[TURN] = outside.regs[TURN];
        }
        self
    }

    /// At the start of a turn.
    fn in_turn(mut self) -> Known {
        self.regs[..TURN_REGS].fill(false);
        self.bufs[..TURN_BUFS].fill(false);
        self.regs[TURN] = true;
        self
    }

    fn meet(mut self, other: Known) -> Known {
        self.regs.iter_mut().zip(other.regs).for_each(|(a, b)| *a &= b);
        self.bufs.iter_mut().zip(other.bufs).for_each(|(a, b)| *a &= b);
        self.shut.iter_mut().zip(other.shut).for_each(|(a, b)| *a &= b);
        self.vacant.iter_mut().zip(other.vacant).for_each(|(a, b)| *a &= b);
        self.may_be_shut.iter_mut().zip(other.may_be_shut).for_each(|(a, b)| *a |= b);
        self
    }
}

fn meet(a: Option<Known>, b: Option<Known>) -> Option<Known> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.meet(b)),
        (a, b) => a.or(b),
    }
}

/// What reaches the start and the end of a loop from inside.
#[derive(Default)]
struct Edges {
    again: Option<Known>,
    leave: Option<Known>,
}

/// What is around a block: loops, what an error may leave known of each attempt, and how many of those are around each
/// deadline. Of a pipelined block also what is known outside of it.
#[derive(Default)]
struct Around {
    loops: Vec<Edges>,
    attempts: Vec<Option<Known>>,
    deadlines: Vec<usize>,
    outside: Option<Known>,
}

impl Around {
    /// A step may end in an attempt's handler with this known.
    fn fails(&mut self, known: Known, kind: &Kind) {
        let known = known.outside(&self.outside);
        let fails = can_fail(kind).then_some(self.attempts.len());
        for attempts in fails.into_iter().chain(self.deadlines.iter().copied()) {
            if let Some(failed) = attempts.checked_sub(1).map(|innermost| &mut self.attempts[innermost]) {
                *failed = meet(*failed, Some(known));
            }
        }
    }
}

type Refusals<'f> = Option<&'f mut Vec<(u32, Refusal)>>;

/// Follows `known` through a block; `None` is what cannot be reached.
fn flow(block: &Block, known: &mut Option<Known>, around: &mut Around, mut refusals: Refusals<'_>) {
    for Step { number, kind } in block {
        if let Some(refusals) = &mut refusals {
            // A block by itself is no line, its steps are.
            let is_line = !matches!(kind, Kind::Repeat { .. } | Kind::Attempt { .. });
            let here = match known {
                None if is_line => vec![Refusal::Unreachable],
                None => Vec::new(),
                Some(known) => reads(kind, known),
            };
            refusals.extend(here.into_iter().map(|refusal| (*number, refusal)));
        }
        if let Some(known) = known {
            let held = *known;
            writes(kind, known);
            around.fails(held.meet(*known), kind);
        }
        match kind {
            Kind::When { then, otherwise, .. } => {
                let mut other = *known;
                flow(then, known, around, refusals.as_deref_mut());
                flow(otherwise, &mut other, around, refusals.as_deref_mut());
                *known = meet(*known, other);
            }
            Kind::Attempt { body, errno, handler } => {
                around.attempts.push(None);
                flow(body, known, around, refusals.as_deref_mut());
                let mut failed = around.attempts.pop().expect("pushed above");
                if let (Some(failed), Some(errno)) = (&mut failed, errno) {
                    failed.regs[*errno] = true;
                }
                flow(handler, &mut failed, around, refusals.as_deref_mut());
                *known = meet(*known, failed);
            }
            Kind::Repeat { body } => {
                let mut head = *known;
                let left = loop {
                    let (mut end, before) = (head, head);
                    around.loops.push(Edges::default());
                    flow(body, &mut end, around, None);
                    let inner = around.loops.pop().expect("pushed above");
                    head = meet(head, meet(end, inner.again));
                    if head == before {
                        break inner.leave;
                    }
                };
                around.loops.push(Edges::default());
                flow(body, &mut head, around, refusals.as_deref_mut());
                around.loops.pop();
                *known = left;
            }
            Kind::Serial { body } => flow(body, known, around, refusals.as_deref_mut()),
            Kind::Within { body, .. } => {
                around.deadlines.push(around.attempts.len());
                flow(body, known, around, refusals.as_deref_mut());
                around.deadlines.pop();
            }
            Kind::Fork { need, branches } => {
                let (held, mut joined) = (*known, Vec::new());
                for branch in branches {
                    let mut end = held;
                    flow(branch, &mut end, around, refusals.as_deref_mut());
                    joined.extend(end);
                }
                let need = need.unwrap_or(branches.len());
                *known = held.filter(|_| joined.len() >= need);
                if let Some(known) = known.as_mut() {
                    if need < branches.len() {
                        branches.iter().for_each(|branch| doubt(branch, known));
                    } else {
                        joined.into_iter().for_each(|end| *known = known.join(end));
                    }
                }
            }
            Kind::Pipelined { ahead, in_order, .. } => {
                let held = *known;
                let mut turn = known.map(Known::in_turn);
                let outside = std::mem::replace(&mut around.outside, held);
                around.loops.push(Edges::default());
                flow(ahead, &mut turn, around, refusals.as_deref_mut());
                flow(in_order, &mut turn, around, refusals.as_deref_mut());
                let left = around.loops.pop().expect("pushed above").leave;
                around.outside = outside;
                *known = held.filter(|_| left.is_some());
            }
            Kind::Again | Kind::Leave => {
                let innermost = around.loops.last_mut().expect("looked for before");
                let edge = if *kind == Kind::Again { &mut innermost.again } else { &mut innermost.leave };
                *edge = meet(*edge, known.take());
            }
            Kind::Finish | Kind::Fail { .. } => *known = None,
            // Behind these it goes on.
            Kind::Recv { .. } | Kind::RecvExact { .. } | Kind::Fill { .. } | Kind::Consume { .. } => {}
            Kind::Send { .. } | Kind::SendAll { .. } | Kind::SendOutbox { .. } | Kind::Shutdown { .. } => {}
            Kind::Accept | Kind::Poll { .. } | Kind::Splice { .. } | Kind::Nop | Kind::Sleep { .. } => {}
            Kind::File(_) | Kind::Rename { .. } | Kind::Remove { .. } | Kind::Commit { .. } => {}
            Kind::Set { .. } | Kind::Store { .. } | Kind::Copy { .. } | Kind::Ensure { .. } => {}
            Kind::Append { .. } | Kind::AppendNumber { .. } | Kind::Call(_) | Kind::Fetch { .. } => {}
            Kind::SetWord { .. } | Kind::FetchAdd { .. } | Kind::Exchange { .. } => {}
            Kind::FutexWait { .. } | Kind::FutexWake { .. } | Kind::Notify | Kind::Wait => {}
        }
    }
}

/// Forgets what a block writes: nobody knows whether it has come to its end.
fn doubt(block: &Block, known: &mut Known) {
    let nothing = Known { bufs: [false; BUFS.len()], ..*known };
    for Step { kind, .. } in block {
        let mut written = nothing;
        writes(kind, &mut written);
        known.bufs.iter_mut().zip(written.bufs).for_each(|(known, written)| *known &= !written);
        kind.blocks().into_iter().for_each(|block| doubt(block, known));
    }
}
