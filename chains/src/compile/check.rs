//! What can never work is refused when the program is built, by the name of the step.
//!
//! [`handles`] looks at each step by itself: handles of another builder, spans and loads that can never fit,
//! transfers that can never move a byte, calls that borrow the same thing twice. It runs on the tree, before
//! anything computes with the handles.
//!
//! [`paths`] follows the flow, forward, to a fixed point. For each line it computes what is written on *every*
//! path to it: the intersection of what its predecessors leave written. A line that reads something else is
//! refused, and so is a written step without a path to it. Sockets whose sending half is shut down are followed in
//! the same way: what would send on one that is so on every path can never work.

use std::sync::Arc;

use chainring_runtime::frame::{Moves, Verb};

use super::flow::{Flow, Inst, Pc};
use crate::access::Touch;
use crate::build::Chain;
use crate::error::{BuildError, Reason};
use crate::expr::{Expr, Node, is_of};
use crate::handle::{Buf, BuilderId, Reg, Socket, Span, SpanLen};
use crate::tree::{Block, Kind, Step};

/// Checks every step by itself.
pub(crate) fn handles(block: &Block, builder: BuilderId, chain: &Arc<str>) -> Result<(), BuildError> {
    for step in block {
        step_handles(step, builder).map_err(|reason| BuildError {
            chain: chain.clone(),
            step: Some((step.number, step.name)),
            reason,
        })?;
        match &step.kind {
            Kind::When { then, otherwise, .. } => {
                handles(then, builder, chain)?;
                handles(otherwise, builder, chain)?;
            }
            Kind::Repeat(body) => handles(body, builder, chain)?,
            _ => {}
        }
    }
    Ok(())
}

fn step_handles(step: &Step, builder: BuilderId) -> Result<(), Reason> {
    let own = |is_own: bool| if is_own { Ok(()) } else { Err(Reason::Foreign) };
    match &step.kind {
        Kind::Transfer(transfer) => {
            own(transfer.socket.builder == builder)?;
            own(transfer.into.is_none_or(|reg| reg.builder == builder))?;
            transfer.spans.iter().try_for_each(|span| check_span(span, builder))?;
            let empty = |span: &Span| span.len == SpanLen::Fixed(0);
            if transfer.spans.iter().all(empty) {
                return Err(Reason::EmptySpan);
            }
            if transfer.verb == Verb::Recv && transfer.spans[0].room() == 0 {
                return Err(Reason::EmptySpan);
            }
            Ok(())
        }
        Kind::Shutdown(socket) => own(socket.builder == builder),
        Kind::Set(reg, expr) => {
            own(reg.builder == builder)?;
            check_expr(expr, builder)
        }
        Kind::Ensure(cond, _) => check_expr(cond, builder),
        Kind::When { cond, .. } => check_expr(cond, builder),
        Kind::Call(_, touches) => {
            for touch in touches {
                match touch {
                    Touch::Read(span) | Touch::Write(span) => check_span(span, builder)?,
                    Touch::RegMut(reg) | Touch::Value(reg) => own(reg.builder == builder)?,
                }
            }
            check_disjoint(touches)
        }
        Kind::Repeat(_) | Kind::Again | Kind::Leave | Kind::Finish => Ok(()),
    }
}

fn check_span(span: &Span, builder: BuilderId) -> Result<(), Reason> {
    let reg_is_own = !matches!(span.len, SpanLen::Reg(reg) if reg.builder != builder);
    if span.buf.builder != builder || !reg_is_own {
        return Err(Reason::Foreign);
    }
    if span.fits() {
        return Ok(());
    }
    let len = if let SpanLen::Fixed(len) = span.len { len } else { 0 };
    Err(Reason::SpanTooLong { from: span.from, len, capacity: span.buf.len })
}

fn check_expr(expr: &Expr, builder: BuilderId) -> Result<(), Reason> {
    if !is_of(expr, builder) {
        return Err(Reason::Foreign);
    }
    let mut outside = None;
    expr.0.leaves(&mut |leaf| {
        if let Node::Load { buf, offset, width, .. } = leaf {
            let end = offset.checked_add(u32::from(*width));
            if end.is_none_or(|end| end > buf.len) {
                outside = Some(Reason::LoadOutside { offset: *offset, width: *width, capacity: buf.len });
            }
        }
    });
    outside.map_or(Ok(()), Err)
}

/// Nothing is lent twice if one of the two may write it, whatever the registers say.
fn check_disjoint(touches: &[Touch]) -> Result<(), Reason> {
    let reach = |span: &Span| {
        let start = span.buf.start + span.from;
        let len = if let SpanLen::Fixed(len) = span.len { len } else { span.room() };
        start..start + len
    };
    for (i, a) in touches.iter().enumerate() {
        for b in &touches[..i] {
            let clash = match (a, b) {
                (Touch::Write(a), Touch::Read(b) | Touch::Write(b)) | (Touch::Read(a), Touch::Write(b)) => {
                    let (a, b) = (reach(a), reach(b));
                    a.start < b.end && b.start < a.end
                }
                (Touch::RegMut(a), Touch::RegMut(b)) => a == b,
                _ => false,
            };
            if clash {
                return Err(Reason::Overlap);
            }
        }
    }
    Ok(())
}

/// What is written on every path: a bit for each register, then one for each buffer. Behind them one for each socket
/// that is shut down.
#[derive(Clone, PartialEq, Eq)]
struct Written {
    bits: Vec<u64>,
    regs: usize,
    bufs: usize,
}

impl Written {
    fn nothing<S>(chain: &Chain<S>) -> Written {
        let (regs, bufs) = (usize::from(chain.regs), chain.bufs.len());
        let all = regs + bufs + usize::from(chain.sockets);
        Written { bits: vec![0; all.div_ceil(64)], regs, bufs }
    }

    fn set(&mut self, bit: usize) {
        self.bits[bit / 64] |= 1 << (bit % 64);
    }

    fn has(&self, bit: usize) -> bool {
        self.bits[bit / 64] & 1 << (bit % 64) != 0
    }

    fn reg(reg: &Reg) -> usize {
        usize::from(reg.index)
    }

    fn buf(&self, buf: &Buf) -> usize {
        self.regs + usize::from(buf.index)
    }

    fn shut(&self, socket: &Socket) -> usize {
        self.regs + self.bufs + usize::from(socket.index)
    }

    /// Keeps what both have. Says whether anything was lost.
    fn meet(&mut self, other: &Written) -> bool {
        let before = self.bits.clone();
        self.bits.iter_mut().zip(&other.bits).for_each(|(a, b)| *a &= b);
        self.bits != before
    }
}

/// Checks every path through the flow.
pub(crate) fn paths<S: 'static>(flow: &Flow, chain: &Chain<S>) -> Result<(), BuildError> {
    let mut start = Written::nothing(chain);
    chain.params.iter().for_each(|reg| start.set(Written::reg(reg)));
    let mut before: Vec<Option<Written>> = vec![None; flow.lines.len()];
    before[0] = Some(start);
    let mut work: Vec<Pc> = vec![0];
    while let Some(pc) = work.pop() {
        let mut after = before[pc].clone().expect("only reached lines are worked on");
        write(&flow.lines[pc].inst, &mut after);
        for next in successors(&flow.lines[pc].inst, pc).into_iter().flatten() {
            let changed = match &mut before[next] {
                Some(known) => known.meet(&after),
                unreached => {
                    *unreached = Some(after.clone());
                    true
                }
            };
            if changed {
                work.push(next);
            }
        }
    }
    for (line, written) in flow.lines.iter().zip(&before) {
        let refused = match written {
            None if line.written => Err(Reason::Unreachable),
            None => Ok(()),
            Some(written) => check_reads(&line.inst, written),
        };
        refused.map_err(|reason| BuildError {
            chain: chain.name.clone(),
            step: Some((line.step, line.name)),
            reason,
        })?;
    }
    Ok(())
}

/// Where a line can lead.
fn successors(inst: &Inst, pc: Pc) -> [Option<Pc>; 2] {
    match inst {
        Inst::Finish => [None, None],
        Inst::Jump(to) => [Some(*to), None],
        Inst::Unless(_, to) => [Some(pc + 1), Some(*to)],
        _ => [Some(pc + 1), None],
    }
}

fn write(inst: &Inst, written: &mut Written) {
    match inst {
        Inst::Move(member) => {
            if member.verb.moves() == Moves::In {
                for span in &member.spans {
                    written.set(written.buf(&span.buf));
                }
            }
            if member.verb == Verb::Shutdown {
                written.set(written.shut(&member.socket));
            }
            if let Some(reg) = &member.into {
                written.set(Written::reg(reg));
            }
        }
        Inst::Set(reg, _) => written.set(Written::reg(reg)),
        Inst::Call(_, touches) => {
            for touch in touches {
                match touch {
                    Touch::Write(span) => written.set(written.buf(&span.buf)),
                    Touch::RegMut(reg) => written.set(Written::reg(reg)),
                    Touch::Read(_) | Touch::Value(_) => {}
                }
            }
        }
        Inst::Ensure(..) | Inst::Unless(..) | Inst::Jump(_) | Inst::Finish => {}
    }
}

fn check_reads(inst: &Inst, written: &Written) -> Result<(), Reason> {
    let reg = |reg: &Reg| {
        if written.has(Written::reg(reg)) { Ok(()) } else { Err(Reason::RegUnwritten(reg.index)) }
    };
    let buf = |buf: &Buf| {
        if written.has(written.buf(buf)) { Ok(()) } else { Err(Reason::BufUnwritten(buf.index)) }
    };
    let len = |span: &Span| if let SpanLen::Reg(r) = &span.len { reg(r) } else { Ok(()) };
    let expr = |expr: &Expr| {
        let mut result = Ok(());
        expr.0.leaves(&mut |leaf| {
            let read = match leaf {
                Node::Reg(r) => reg(r),
                Node::Load { buf: b, .. } => buf(b),
                _ => Ok(()),
            };
            if result.is_ok() {
                result = read;
            }
        });
        result
    };
    match inst {
        Inst::Move(member) => {
            // What sends, and another shutdown.
            if member.verb.moves() != Moves::In && written.has(written.shut(&member.socket)) {
                return Err(Reason::ShutDown(member.socket.index));
            }
            member.spans.iter().try_for_each(|span| {
                len(span)?;
                if member.verb.moves() == Moves::Out { buf(&span.buf) } else { Ok(()) }
            })
        }
        Inst::Set(_, value) => expr(value),
        Inst::Ensure(cond, _) | Inst::Unless(cond, _) => expr(cond),
        Inst::Call(_, touches) => touches.iter().try_for_each(|touch| match touch {
            Touch::Read(span) => len(span).and_then(|()| buf(&span.buf)),
            Touch::Write(span) => len(span),
            Touch::Value(r) => reg(r),
            Touch::RegMut(_) => Ok(()),
        }),
        Inst::Jump(_) | Inst::Finish => Ok(()),
    }
}
