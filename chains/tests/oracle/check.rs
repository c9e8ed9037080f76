//! What `build()` must say of a program, worked out a second time: on the blocks as they are written, where the
//! compiler works on lines with jumps.
//!
//! [`predict`] gives the step that is at fault and why; [`repair`] mends a program until there is none. A program that
//! is not repaired shows whether `build()` refuses it at that step for that reason.
//!
//! The one rule that is not `build()`'s: a socket that *may* have been shut down is not shut down again, because
//! whether that fails depends on whether the peer has closed too by then.

use super::program::{BUFS, Block, Call, Expr, Kind, Len, Program, REGS, SOCKETS, Span, Step};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    EmptySpan,
    Overlap,
    NoLoop,
    Unreachable,
    Reg(usize),
    Buf(usize),
    ShutDown(usize),
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
            Fault::MayBeShutDown => return None,
        })
    }
}

/// The first step at fault, in the order in which the compiler looks: each step by itself, then the loops, then the
/// paths.
pub(crate) fn predict(program: &Program) -> Option<(u32, Fault)> {
    let mut faults = Vec::new();
    alone(&program.body, &mut faults);
    if faults.is_empty() {
        loops(&program.body, false, &mut faults);
    }
    if faults.is_empty() {
        let start = Known::nothing(program);
        flow(&program.body, &mut Some(start), &mut Vec::new(), Some(&mut faults));
    }
    faults.first().copied()
}

/// Mends what is at fault, one thing after the other.
pub(crate) fn repair(program: &mut Program) {
    program.renumber();
    while let Some((step, fault)) = predict(program) {
        match fault {
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
}

fn alone(block: &Block, faults: &mut Vec<(u32, Fault)>) {
    for Step { number, kind } in block {
        let empty = |span: &Span| span.len == Len::Fixed(0);
        let fault = match kind {
            Kind::Recv { span, .. } | Kind::RecvExact { span, .. } => empty(span).then_some(Fault::EmptySpan),
            Kind::SendAll { spans, .. } => spans.iter().all(empty).then_some(Fault::EmptySpan),
            Kind::Call(Call::Mix { from, to, .. }) => overlap(from, to).then_some(Fault::Overlap),
            _ => None,
        };
        faults.extend(fault.map(|fault| (*number, fault)));
        kind.blocks().into_iter().for_each(|block| alone(block, faults));
    }
}

fn overlap(a: &Span, b: &Span) -> bool {
    let reach = |span: &Span| {
        let len = if let Len::Fixed(len) = span.len { len } else { span.room() };
        span.from..span.from + len
    };
    a.buf == b.buf && reach(a).start < reach(b).end && reach(b).start < reach(a).end
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
    regs: [bool; REGS],
    bufs: [bool; BUFS.len()],
    shut: [bool; SOCKETS],
    may_be_shut: [bool; SOCKETS],
}

impl Known {
    fn nothing(program: &Program) -> Known {
        Known {
            regs: program.params.map(|value| value.is_some()),
            bufs: [false; BUFS.len()],
            shut: [false; SOCKETS],
            may_be_shut: [false; SOCKETS],
        }
    }

    fn meet(mut self, other: Known) -> Known {
        self.regs.iter_mut().zip(other.regs).for_each(|(a, b)| *a &= b);
        self.bufs.iter_mut().zip(other.bufs).for_each(|(a, b)| *a &= b);
        self.shut.iter_mut().zip(other.shut).for_each(|(a, b)| *a &= b);
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

type Faults<'f> = Option<&'f mut Vec<(u32, Fault)>>;

/// Follows `known` through a block; `None` is what cannot be reached.
fn flow(block: &Block, known: &mut Option<Known>, edges: &mut Vec<Edges>, mut faults: Faults<'_>) {
    for Step { number, kind } in block {
        if let Some(faults) = &mut faults {
            let fault = match known {
                // The loop is no line of its own, its steps are.
                None => (!matches!(kind, Kind::Repeat { .. })).then_some(Fault::Unreachable),
                Some(known) => reads(kind, known),
            };
            faults.extend(fault.map(|fault| (*number, fault)));
        }
        if let Some(known) = known {
            writes(kind, known);
        }
        match kind {
            Kind::When { then, otherwise, .. } => {
                let mut other = *known;
                flow(then, known, edges, faults.as_deref_mut());
                flow(otherwise, &mut other, edges, faults.as_deref_mut());
                *known = meet(*known, other);
            }
            Kind::Repeat { body } => {
                let mut head = *known;
                let left = loop {
                    let (mut end, before) = (head, head);
                    edges.push(Edges::default());
                    flow(body, &mut end, edges, None);
                    let inner = edges.pop().expect("pushed above");
                    head = meet(head, meet(end, inner.again));
                    if head == before {
                        break inner.leave;
                    }
                };
                edges.push(Edges::default());
                flow(body, &mut head, edges, faults.as_deref_mut());
                edges.pop();
                *known = left;
            }
            Kind::Again | Kind::Leave => {
                let innermost = edges.last_mut().expect("looked for before");
                let edge = if *kind == Kind::Again { &mut innermost.again } else { &mut innermost.leave };
                *edge = meet(*edge, known.take());
            }
            Kind::Finish => *known = None,
            _ => {}
        }
    }
}

fn reads(kind: &Kind, known: &Known) -> Option<Fault> {
    let reg = |reg: usize| (!known.regs[reg]).then_some(Fault::Reg(reg));
    let buf = |buf: usize| (!known.bufs[buf]).then_some(Fault::Buf(buf));
    let len = |span: &Span| if let Len::Reg(r) = span.len { reg(r) } else { None };
    let bytes = |span: &Span| len(span).or_else(|| buf(span.buf));
    match kind {
        Kind::Recv { span, .. } | Kind::RecvExact { span, .. } => len(span),
        Kind::SendAll { socket, spans, .. } => {
            let shut = known.shut[*socket].then_some(Fault::ShutDown(*socket));
            shut.or_else(|| spans.iter().find_map(bytes))
        }
        Kind::Shutdown { socket } => {
            let shut = known.shut[*socket].then_some(Fault::ShutDown(*socket));
            shut.or_else(|| known.may_be_shut[*socket].then_some(Fault::MayBeShutDown))
        }
        Kind::Set { value: expr, .. } | Kind::Ensure { cond: expr, .. } | Kind::When { cond: expr, .. } => {
            expression(expr, &reg, &buf)
        }
        Kind::Call(call) => match call {
            Call::Log(r) | Call::Decide(r) => reg(*r),
            Call::Observe => None,
            Call::Look(span, r) => bytes(span).or_else(|| reg(*r)),
            Call::Fill(span, _) => len(span),
            Call::Mix { from, to, .. } => bytes(from).or_else(|| len(to)),
        },
        Kind::Repeat { .. } | Kind::Again | Kind::Leave | Kind::Finish => None,
    }
}

fn expression(
    expr: &Expr,
    reg: &impl Fn(usize) -> Option<Fault>,
    buf: &impl Fn(usize) -> Option<Fault>,
) -> Option<Fault> {
    match expr {
        Expr::Const(_) => None,
        Expr::Reg(r) => reg(*r),
        Expr::Load { buf: b, .. } => buf(*b),
        Expr::Binary(_, operands) => operands.iter().find_map(|operand| expression(operand, reg, buf)),
    }
}

fn writes(kind: &Kind, known: &mut Known) {
    match kind {
        Kind::Recv { span, into, .. } | Kind::RecvExact { span, into, .. } => {
            known.bufs[span.buf] = true;
            into.iter().for_each(|reg| known.regs[*reg] = true);
        }
        Kind::SendAll { into, .. } => into.iter().for_each(|reg| known.regs[*reg] = true),
        Kind::Shutdown { socket } => (known.shut[*socket], known.may_be_shut[*socket]) = (true, true),
        Kind::Set { reg, .. } => known.regs[*reg] = true,
        Kind::Call(Call::Observe) => known.regs = [true; REGS],
        Kind::Call(Call::Fill(span, _)) => known.bufs[span.buf] = true,
        Kind::Call(Call::Mix { to, reg, .. }) => {
            known.bufs[to.buf] = true;
            known.regs[*reg] = true;
        }
        _ => {}
    }
}
