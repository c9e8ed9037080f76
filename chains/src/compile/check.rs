//! What can never work is refused when the program is built, by the name of the step.
//!
//! [`handles`] looks at each step by itself: handles of another builder, spans and loads that can never fit,
//! transfers that can never move a byte, calls that borrow the same thing twice. It runs on the tree, before
//! anything computes with the handles.
//!
//! [`paths`] (in `paths.rs`) follows the flow.

use std::sync::Arc;

use chainring_runtime::frame::Moves;

use super::effects::may_overlap;
use crate::access::Touch;
use crate::error::{BuildError, Reason};
use crate::expr::{Expr, Node};
use crate::handle::{Buf, BuilderId, Reg, Span, SpanLen, Word, WordKind};
use crate::sync::Sync;
use crate::tree::{Block, Compute, IoStep, Kind, Step};

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
            Kind::Repeat(body) | Kind::Serial(_, body) | Kind::Within(_, body) => {
                handles(body, builder, chain)?;
            }
            Kind::Attempt { body, handler, .. } => {
                handles(body, builder, chain)?;
                handles(handler, builder, chain)?;
            }
            Kind::Fork { branches, .. } => {
                branches.iter().try_for_each(|block| handles(block, builder, chain))?;
            }
            Kind::Pipelined(turns) => {
                let mut blocks = turns.iter().flat_map(|turn| [&turn.ahead, &turn.in_order]);
                blocks.try_for_each(|block| handles(block, builder, chain))?;
            }
            _ => {}
        }
    }
    Ok(())
}

/// What belongs to the builder.
struct Own(BuilderId);

fn step_handles(step: &Step, builder: BuilderId) -> Result<(), Reason> {
    let own = Own(builder);
    match &step.kind {
        Kind::Io(io) => own.io(io),
        Kind::Compute(compute) => own.compute(compute),
        Kind::Ensure(cond, _) | Kind::When { cond, .. } => own.expr(cond),
        Kind::Sleep(number) | Kind::Within(number, _) | Kind::Fail(number) => own.expr(number),
        Kind::Attempt { errno, .. } => errno.iter().try_for_each(|reg| own.reg(reg)),
        Kind::Call(_, touches) => {
            touches.iter().try_for_each(|touch| own.touch(touch))?;
            check_disjoint(touches)
        }
        Kind::Sync(sync) => own.sync(sync),
        Kind::CallAsync(_, making, storing) => [making, storing].into_iter().try_for_each(|touches| {
            touches.iter().try_for_each(|touch| own.touch(touch))?;
            check_disjoint(touches)
        }),
        Kind::MakePipe(pipe) => own.id(pipe.read.builder),
        Kind::Fork { .. } | Kind::Pipelined(_) | Kind::Serial(..) | Kind::Repeat(_) => Ok(()),
        Kind::Again | Kind::Leave | Kind::Finish => Ok(()),
    }
}

impl Own {
    fn id(&self, of: BuilderId) -> Result<(), Reason> {
        if of == self.0 { Ok(()) } else { Err(Reason::Foreign) }
    }

    fn reg(&self, reg: &Reg) -> Result<(), Reason> {
        self.id(reg.builder)
    }

    fn word(&self, word: &Word) -> Result<(), Reason> {
        self.id(word.builder)?;
        if word.kind == WordKind::Missing { Err(Reason::NoWord(word.index)) } else { Ok(()) }
    }

    fn futex(&self, word: &Word) -> Result<(), Reason> {
        self.word(word)?;
        if word.kind == WordKind::Futex { Ok(()) } else { Err(Reason::NoFutex(word.index)) }
    }

    fn io(&self, io: &IoStep) -> Result<(), Reason> {
        self.id(io.place.builder)?;
        io.into.iter().try_for_each(|reg| self.reg(reg))?;
        io.position.iter().chain(&io.amount).try_for_each(|expr| self.expr(expr))?;
        io.open.iter().filter_map(|open| open.at).try_for_each(|place| self.id(place.builder))?;
        io.spans.iter().try_for_each(|span| self.span(span))?;
        if io.verb.moves() == Moves::In {
            io.spans.iter().try_for_each(|span| writable(&span.buf))?;
        }
        // The kernel would look for a path or an address at an address that is not there yet.
        let pooled = io.spans.iter().find(|span| span.buf.pooled.is_some());
        if let Some(span) = pooled.filter(|_| !io.verb.transfers()) {
            return Err(Reason::Pooled(span.buf.index));
        }
        let fixed = |span: &Span| span.start.is_none() && matches!(span.len, SpanLen::Fixed(1..));
        let target = io.target.as_ref().map(|(_, path)| path);
        if io.verb.takes_path() && !io.spans.iter().chain(target).all(fixed) {
            return Err(Reason::Path);
        }
        let targets = target.into_iter();
        targets.clone().try_for_each(|path| self.span(path))?;
        if let Some(path) = targets.clone().find(|path| path.buf.pooled.is_some()) {
            return Err(Reason::Pooled(path.buf.index));
        }
        let others = [io.second, io.directory, io.target.and_then(|(directory, _)| directory)];
        others.into_iter().flatten().try_for_each(|place| self.id(place.builder))?;
        match io.passes {
            Some(SpanLen::Reg(reg)) => self.reg(&reg)?,
            Some(SpanLen::Fixed(len)) if len == 0 || len > i32::MAX as u32 => return Err(Reason::EmptySpan),
            _ => {}
        }
        // What can never transfer a byte.
        io.outbox.iter().try_for_each(|outbox| self.id(outbox.builder))?;
        let empty = |span: &Span| span.len == SpanLen::Fixed(0) || span.room() == 0;
        if io.verb.transfers() && io.outbox.is_none() && io.passes.is_none() && io.spans.iter().all(empty) {
            return Err(Reason::EmptySpan);
        }
        Ok(())
    }

    fn compute(&self, compute: &Compute) -> Result<(), Reason> {
        match compute {
            Compute::Set(reg, value) => {
                self.reg(reg)?;
                self.expr(value)
            }
            Compute::SetWord(word, value) => {
                self.word(word)?;
                self.expr(value)
            }
            Compute::Add(word, by, into) => {
                self.word(word)?;
                into.iter().try_for_each(|reg| self.reg(reg))?;
                self.expr(by)
            }
            Compute::Exchange { word, current, new, into } => {
                self.word(word)?;
                into.iter().try_for_each(|reg| self.reg(reg))?;
                self.expr(current)?;
                self.expr(new)
            }
            Compute::Store { buf, at, order, value } => {
                self.id(buf.builder)?;
                writable(buf)?;
                if let Node::Const(at) = at.0 {
                    inside(buf, u32::try_from(at).unwrap_or(u32::MAX), order.width())?;
                }
                self.expr(at)?;
                self.expr(value)
            }
            Compute::Copy { to, from } => {
                writable(&to.buf)?;
                self.span(to)?;
                self.span(from)
            }
            Compute::Append(outbox, span) => {
                self.id(outbox.builder)?;
                self.span(span)
            }
            Compute::AppendNumber(outbox, _, value) => {
                self.id(outbox.builder)?;
                self.expr(value)
            }
            Compute::Compact(stream) => self.id(stream.buf.builder),
        }
    }

    fn sync(&self, sync: &Sync<Expr>) -> Result<(), Reason> {
        sync.numbers().try_for_each(|number| self.expr(number))?;
        match sync {
            Sync::Enter(_) | Sync::Leave(_) | Sync::Wait(_) | Sync::Notify { .. } => Ok(()),
            Sync::FutexWait { word, .. } => self.futex(word),
            Sync::FutexWake { word, into, .. } => {
                into.iter().try_for_each(|reg| self.reg(reg))?;
                self.futex(word)
            }
            Sync::Commit { longest, spans, into, .. } => {
                into.iter().try_for_each(|reg| self.reg(reg))?;
                spans.iter().try_for_each(|span| self.span(span))?;
                let fixed = |span: &Span| if let SpanLen::Fixed(len) = span.len { u64::from(len) } else { 0 };
                let len = spans.iter().map(fixed).sum::<u64>();
                if len > u64::from(*longest) {
                    return Err(Reason::RecordTooLong { len, longest: *longest });
                }
                Ok(())
            }
        }
    }

    fn touch(&self, touch: &Touch) -> Result<(), Reason> {
        match touch {
            Touch::Read(span) => self.span(span),
            Touch::Write(span) => {
                writable(&span.buf)?;
                self.span(span)
            }
            Touch::RegMut(reg) | Touch::Value(reg) => self.reg(reg),
            Touch::Stream(stream) => self.id(stream.buf.builder),
            Touch::Outbox(outbox) => self.id(outbox.builder),
        }
    }

    fn span(&self, span: &Span) -> Result<(), Reason> {
        self.id(span.buf.builder)?;
        span.start.iter().try_for_each(|reg| self.reg(reg))?;
        if let SpanLen::Reg(reg) = &span.len {
            self.reg(reg)?;
        }
        if span.fits() {
            return Ok(());
        }
        let len = if let SpanLen::Fixed(len) = span.len { len } else { 0 };
        Err(Reason::SpanTooLong { from: span.from, len, capacity: span.buf.len })
    }

    fn expr(&self, expr: &Expr) -> Result<(), Reason> {
        let mut result = Ok(());
        expr.0.visit(&mut |node| {
            if result.is_ok() {
                result = self.node(node);
            }
        });
        result
    }

    fn node(&self, node: &Node) -> Result<(), Reason> {
        match node {
            Node::Reg(reg) => self.reg(reg),
            Node::Word(word) => self.word(word),
            Node::Load { buf, offset, order } => {
                self.id(buf.builder)?;
                writable(buf)?;
                inside(buf, *offset, order.width())
            }
            Node::LoadAt { buf, .. } => {
                self.id(buf.builder)?;
                writable(buf)
            }
            Node::Find { span, .. } | Node::Hash(span) => self.span(span),
            Node::Partition { span, order, stride, .. } => {
                self.span(span)?;
                let (stride, width) = (*stride, order.width());
                if stride < width { Err(Reason::Stride { stride, width }) } else { Ok(()) }
            }
            Node::Equal(a, b) | Node::FindBytes(a, b) => {
                self.span(a)?;
                self.span(b)
            }
            Node::Const(_) | Node::Binary(..) => Ok(()),
        }
    }
}

/// Whether a buffer is a frame's own, and not a constant.
fn writable(buf: &Buf) -> Result<(), Reason> {
    if buf.constant { Err(Reason::Constant(buf.index)) } else { Ok(()) }
}

fn inside(buf: &Buf, offset: u32, width: u32) -> Result<(), Reason> {
    match offset.checked_add(width) {
        Some(end) if end <= buf.len => Ok(()),
        _ => Err(Reason::LoadOutside { offset, width, capacity: buf.len }),
    }
}

/// Nothing is lent twice if one of the two may write it, whatever the registers say.
fn check_disjoint(touches: &[Touch]) -> Result<(), Reason> {
    let written = |touch: &Touch| match touch {
        Touch::Write(span) => Some(*span),
        Touch::Stream(stream) => Some(stream.buf.all()),
        _ => None,
    };
    let seen = |touch: &Touch| if let Touch::Read(span) = touch { Some(*span) } else { written(touch) };
    for (i, a) in touches.iter().enumerate() {
        for b in &touches[..i] {
            let bytes = |a: Option<Span>, b: Option<Span>| a.zip(b).is_some_and(|(a, b)| may_overlap(&a, &b));
            let registers = matches!((a, b), (Touch::RegMut(a), Touch::RegMut(b)) if a == b);
            let outboxes = matches!((a, b), (Touch::Outbox(a), Touch::Outbox(b)) if a == b);
            if registers || outboxes || bytes(written(a), seen(b)) || bytes(seen(a), written(b)) {
                return Err(Reason::Overlap);
            }
        }
    }
    Ok(())
}
