//! What `build()` must say of a program, worked out a second time: on the blocks as they are written, where the
//! compiler works on lines with jumps.
//!
//! [`predict`] gives the step that is at fault and why; [`repair`] mends a program until there is none. A program that
//! is not repaired shows whether `build()` refuses it at that step for that reason.
//!
//! The one rule that is not `build()`'s: a socket that *may* have been shut down is not shut down again, because
//! whether that fails depends on whether the peer has closed too by then.

use super::program::{
    ALL_REGS, BUFS, Block, CONSTANT, Call, Expr, FILES, HELD, HELD_FROM, Kind, Len, Path, Program, REGS,
    SOCKETS, STREAM, Span, Step, file_place,
};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
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

impl Fault {
    /// What the message of the refusal says, if it is one.
    pub(crate) fn message(self) -> Option<String> {
        Some(match self {
            Fault::EmptySpan => "the span is empty".to_owned(),
            Fault::Overlap => "it borrows the same bytes or register twice".to_owned(),
            Fault::NoLoop => "it must stand inside of a repeat".to_owned(),
            Fault::Unreachable => "the step can never be reached".to_owned(),
            Fault::Reg(reg) => format!("register r{reg} is read before it is written"),
            Fault::Buf(buf) => format!("buffer b{buf} is read before it is written"),
            Fault::ShutDown(socket) => format!("socket s{socket} was shut down on every path"),
            Fault::Closed(file) => {
                format!("descriptor {} is closed on every path to it", file_place(file))
            }
            Fault::MayBeShutDown => return None,
        })
    }
}

/// The first step at fault, in the order in which the compiler looks: each step by itself, then the loops, then the
/// paths. A step may have several, of which any may be told.
pub(crate) fn predict(program: &Program) -> Option<(u32, Vec<Fault>)> {
    let mut faults = Vec::new();
    alone(&program.body, &mut faults);
    if faults.is_empty() {
        loops(&program.body, false, &mut faults);
    }
    if faults.is_empty() {
        let start = Known::nothing(program);
        flow(&program.body, &mut Some(start), &mut Around::default(), Some(&mut faults));
    }
    let (first, _) = *faults.first()?;
    Some((first, faults.into_iter().filter(|(step, _)| *step == first).map(|(_, fault)| fault).collect()))
}

/// Mends what is at fault, one thing after the other.
pub(crate) fn repair(program: &mut Program) {
    program.renumber();
    while let Some((step, faults)) = predict(program) {
        match faults[0] {
            Fault::Reg(reg) => program.params[reg] = Some(reg as u64 * 3),
            Fault::Buf(buf) => {
                program.body.insert(0, Kind::Call(Call::Fill(Span::all(buf), buf as u8)).step());
            }
            _ => remove(&mut program.body, step),
        }
        program.renumber();
    }
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

fn alone(block: &Block, faults: &mut Vec<(u32, Fault)>) {
    for Step { number, kind } in block {
        let empty = |span: &Span| span.len == Len::Fixed(0);
        let fault = match kind {
            Kind::Recv { span, .. }
            | Kind::RecvExact { span, .. }
            | Kind::Send { span, .. }
            | Kind::Read { span, .. } => empty(span).then_some(Fault::EmptySpan),
            Kind::SendAll { spans, .. } | Kind::Write { spans, .. } => {
                spans.iter().all(empty).then_some(Fault::EmptySpan)
            }
            Kind::Call(Call::Mix { from, to, .. }) => overlap(from, to).then_some(Fault::Overlap),
            _ => None,
        };
        faults.extend(fault.map(|fault| (*number, fault)));
        kind.blocks().into_iter().for_each(|block| alone(block, faults));
    }
}

fn overlap(a: &Span, b: &Span) -> bool {
    let (x, y) = (a.reach(), b.reach());
    a.buf == b.buf && x.start < y.end && y.start < x.end
}

fn loops(block: &Block, inside: bool, faults: &mut Vec<(u32, Fault)>) {
    for Step { number, kind } in block {
        if matches!(kind, Kind::Again | Kind::Leave) && !inside {
            faults.push((*number, Fault::NoLoop));
        }
        let inside = inside || matches!(kind, Kind::Repeat { .. });
        kind.blocks().into_iter().for_each(|block| loops(block, inside, faults));
    }
}

/// What is known wherever a step is reached.
#[derive(Clone, Copy, PartialEq)]
struct Known {
    regs: [bool; ALL_REGS],
    bufs: [bool; BUFS.len()],
    shut: [bool; SOCKETS],
    may_be_shut: [bool; SOCKETS],
    vacant: [bool; FILES],
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

/// What is around a block: loops, and what an error may leave known of each attempt.
#[derive(Default)]
struct Around {
    loops: Vec<Edges>,
    attempts: Vec<Option<Known>>,
}

type Faults<'f> = Option<&'f mut Vec<(u32, Fault)>>;

/// Follows `known` through a block; `None` is what cannot be reached.
fn flow(block: &Block, known: &mut Option<Known>, around: &mut Around, mut faults: Faults<'_>) {
    for Step { number, kind } in block {
        if let Some(faults) = &mut faults {
            // A block by itself is no line, its steps are.
            let is_line = !matches!(kind, Kind::Repeat { .. } | Kind::Attempt { .. });
            let here = match known {
                None if is_line => vec![Fault::Unreachable],
                None => Vec::new(),
                Some(known) => reads(kind, known),
            };
            faults.extend(here.into_iter().map(|fault| (*number, fault)));
        }
        if let Some(known) = known {
            let held = *known;
            writes(kind, known);
            if let Some(failed) = around.attempts.last_mut().filter(|_| can_fail(kind)) {
                *failed = meet(*failed, Some(held.meet(*known)));
            }
        }
        match kind {
            Kind::When { then, otherwise, .. } => {
                let mut other = *known;
                flow(then, known, around, faults.as_deref_mut());
                flow(otherwise, &mut other, around, faults.as_deref_mut());
                *known = meet(*known, other);
            }
            Kind::Attempt { body, errno, handler } => {
                around.attempts.push(None);
                flow(body, known, around, faults.as_deref_mut());
                let mut failed = around.attempts.pop().expect("pushed above");
                if let (Some(failed), Some(errno)) = (&mut failed, errno) {
                    failed.regs[*errno] = true;
                }
                flow(handler, &mut failed, around, faults.as_deref_mut());
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
                flow(body, &mut head, around, faults.as_deref_mut());
                around.loops.pop();
                *known = left;
            }
            Kind::Again | Kind::Leave => {
                let innermost = around.loops.last_mut().expect("looked for before");
                let edge = if *kind == Kind::Again { &mut innermost.again } else { &mut innermost.leave };
                *edge = meet(*edge, known.take());
            }
            Kind::Finish => *known = None,
            _ => {}
        }
    }
}

/// Whether a step itself may fail, its blocks apart.
fn can_fail(kind: &Kind) -> bool {
    match kind {
        Kind::Set { value: expr, .. } | Kind::When { cond: expr, .. } | Kind::Sleep { time: expr } => {
            expr.can_trap()
        }
        Kind::Repeat { .. } | Kind::Attempt { .. } | Kind::Again | Kind::Leave | Kind::Finish => false,
        _ => true,
    }
}

/// Gathers what a step reads and must not.
struct Reads<'k> {
    known: &'k Known,
    faults: Vec<Fault>,
}

impl Reads<'_> {
    fn reg(&mut self, reg: usize) {
        if !self.known.regs[reg] {
            self.faults.push(Fault::Reg(reg));
        }
    }

    fn buf(&mut self, buf: usize) {
        if !self.known.bufs[buf] {
            self.faults.push(Fault::Buf(buf));
        }
    }

    /// The registers of a span.
    fn place(&mut self, span: &Span) {
        span.start.into_iter().for_each(|reg| self.reg(reg));
        if let Len::Reg(reg) = span.len {
            self.reg(reg);
        }
    }

    fn bytes(&mut self, span: &Span) {
        self.place(span);
        self.buf(span.buf);
    }

    fn file(&mut self, file: usize) {
        if self.known.vacant[file] {
            self.faults.push(Fault::Closed(file));
        }
    }

    fn sends(&mut self, socket: usize) {
        if self.known.shut[socket] {
            self.faults.push(Fault::ShutDown(socket));
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match expr {
            Expr::Const(_) => {}
            Expr::Reg(reg) => self.reg(*reg),
            Expr::Load { buf, .. } => self.buf(*buf),
            Expr::LoadAt { buf, index, .. } => {
                self.buf(*buf);
                self.expr(index);
            }
            Expr::Find { span, byte } => {
                self.bytes(span);
                self.expr(byte);
            }
            Expr::Partition { span, key, .. } => {
                self.bytes(span);
                self.expr(key);
            }
            Expr::Equals(a, b) | Expr::FindBytes(a, b) => {
                [a, b].into_iter().for_each(|span| self.bytes(span))
            }
            Expr::Hash(span) => self.bytes(span),
            Expr::Binary(_, operands) => operands.iter().for_each(|operand| self.expr(operand)),
        }
    }

    fn call(&mut self, call: &Call) {
        match call {
            Call::Log(reg) | Call::Decide(reg) | Call::Take(reg) => self.reg(*reg),
            Call::Observe => {}
            Call::Look(span, reg) => {
                self.bytes(span);
                self.reg(*reg);
            }
            Call::Fill(span, _) => self.place(span),
            Call::Mix { from, to, .. } => {
                self.bytes(from);
                self.place(to);
            }
        }
    }
}

fn reads(kind: &Kind, known: &Known) -> Vec<Fault> {
    let mut reads = Reads { known, faults: Vec::new() };
    match kind {
        Kind::Recv { span, .. } | Kind::RecvExact { span, .. } => reads.place(span),
        Kind::Send { socket, span, .. } => {
            reads.sends(*socket);
            reads.bytes(span);
        }
        Kind::SendAll { socket, spans, .. } => {
            reads.sends(*socket);
            spans.iter().for_each(|span| reads.bytes(span));
        }
        Kind::Append { span } => reads.bytes(span),
        Kind::SendOutbox { socket } => reads.sends(*socket),
        Kind::Shutdown { socket } => {
            reads.sends(*socket);
            if reads.faults.is_empty() && known.may_be_shut[*socket] {
                reads.faults.push(Fault::MayBeShutDown);
            }
        }
        Kind::Read { file, span, position, .. } => {
            reads.expr(position);
            reads.place(span);
            reads.file(*file);
        }
        Kind::Write { file, spans, position, .. } => {
            reads.expr(position);
            reads.file(*file);
            spans.iter().for_each(|span| reads.bytes(span));
        }
        Kind::Sync { file, .. } | Kind::CloseFile { file } | Kind::Statx { file, .. } => reads.file(*file),
        Kind::Fallocate { file, position, len } => {
            reads.expr(position);
            reads.expr(len);
            reads.file(*file);
        }
        Kind::Truncate { file, len } => {
            reads.expr(len);
            reads.file(*file);
        }
        Kind::Open { path: Path::Bytes(span), .. } => reads.bytes(span),
        Kind::Set { value: expr, .. }
        | Kind::Ensure { cond: expr, .. }
        | Kind::When { cond: expr, .. }
        | Kind::Consume { len: expr }
        | Kind::AppendNumber { value: expr, .. }
        | Kind::Sleep { time: expr } => reads.expr(expr),
        Kind::Store { at, value, .. } => {
            reads.expr(at);
            reads.expr(value);
        }
        Kind::Copy { to, from } => {
            reads.place(to);
            reads.bytes(from);
        }
        Kind::Call(call) => reads.call(call),
        Kind::Open { path: Path::Name(_), .. } | Kind::Fill { .. } => {}
        Kind::Attempt { .. } | Kind::Repeat { .. } | Kind::Again | Kind::Leave | Kind::Finish => {}
    }
    reads.faults
}

fn writes(kind: &Kind, known: &mut Known) {
    match kind {
        Kind::Recv { span, into, .. }
        | Kind::RecvExact { span, into, .. }
        | Kind::Read { span, into, .. } => {
            known.bufs[span.buf] = true;
            into.iter().for_each(|reg| known.regs[*reg] = true);
        }
        Kind::Send { into, .. } => known.regs[*into] = true,
        Kind::SendAll { into, .. } | Kind::Write { into, .. } => {
            into.iter().for_each(|reg| known.regs[*reg] = true);
        }
        Kind::Shutdown { socket } => (known.shut[*socket], known.may_be_shut[*socket]) = (true, true),
        Kind::Statx { size, mode, .. } => {
            size.iter().chain(mode).for_each(|reg| known.regs[*reg] = true);
        }
        Kind::Open { file, .. } => known.vacant[*file] = false,
        Kind::CloseFile { file } => known.vacant[*file] = true,
        Kind::Set { reg, .. } => known.regs[*reg] = true,
        Kind::Store { buf, .. } => known.bufs[*buf] = true,
        Kind::Copy { to, .. } => known.bufs[to.buf] = true,
        Kind::Call(Call::Observe) => known.regs = [true; ALL_REGS],
        Kind::Call(Call::Fill(span, _)) => known.bufs[span.buf] = true,
        Kind::Call(Call::Mix { to, reg, .. }) => {
            known.bufs[to.buf] = true;
            known.regs[*reg] = true;
        }
        _ => {}
    }
}

/// Registers that only the stream buffer's spans and expressions name are always written.
const _: () = assert!(HELD >= REGS && HELD_FROM >= REGS);
