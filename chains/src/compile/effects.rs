//! What a line reads and writes: the one place that says so. The checks and the hoisting of computations rest on it.

use chainring_runtime::frame::{Half, Moves, Verb};

use super::flow::Inst;
use super::member::{Io, is_from_front};
use crate::access::Touch;
use crate::expr::{Expr, Node};
use crate::handle::{Place, Reg, Span, SpanLen};
use crate::sync::Sync;
use crate::tree::Compute;

/// One thing that a line does to its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    Reads(Reg),
    Writes(Reg),
    /// Reads it if it was written; it need not have been.
    Lends(Reg),
    /// At most these bytes: a span whose length is in a register reaches to the end of its buffer.
    ReadsBytes(Span),
    WritesBytes(Span),
    /// Puts a descriptor into a place.
    Opens(Place),
    /// Works on the descriptor in a place.
    Uses(Place),
    /// Leaves a place vacant.
    Closes(Place),
    /// Needs the sending half of a connection.
    Sends(Place),
    /// Ends it.
    ShutsDown(Place),
    /// Reads or writes a word that others may see and change whenever the frame gives way to them.
    Shares,
}

use Effect::{Closes, Lends, Opens, Reads, ReadsBytes, Sends, Shares, ShutsDown, Uses, Writes, WritesBytes};

/// Calls `visit` for everything that a line does, what it reads first.
pub(crate) fn effects(inst: &Inst, visit: &mut impl FnMut(Effect)) {
    match inst {
        Inst::Io(io) => of_io(io, visit),
        Inst::Compute(compute) => of_compute(compute, visit),
        Inst::Ensure(cond, _) | Inst::Unless(cond, _) => expr(cond, visit),
        Inst::Sleep(number) | Inst::Arm(number, _) | Inst::Fail(number) => expr(number, visit),
        Inst::Call(_, touches) | Inst::Fetch(_, touches) | Inst::Store(touches) => {
            touches.iter().for_each(|touch| read_by_call(touch, visit));
            touches.iter().for_each(|touch| written_by_call(touch, visit));
        }
        Inst::MakePipe(pipe) => {
            visit(Reads(pipe.used));
            visit(Writes(pipe.used));
            [pipe.read, pipe.write].into_iter().for_each(|end| visit(Opens(end)));
        }
        Inst::Fork(_) | Inst::Branch(_) | Inst::InOrder | Inst::Pass | Inst::Join(_) => {}
        Inst::Sync(sync) => of_sync(sync, visit),
        Inst::Jump(_) | Inst::Disarm(_) | Inst::Finish => {}
    }
}

fn of_io(io: &Io, visit: &mut impl FnMut(Effect)) {
    io.spans.iter().for_each(|span| registers(span, visit));
    io.position.iter().chain(&io.amount).for_each(|reg| visit(Reads(*reg)));
    if let Some(SpanLen::Reg(reg)) = io.passes {
        visit(Reads(reg));
    }
    io.works_on().for_each(|place| visit(Uses(place)));
    if let Some((_, path)) = io.target {
        visit(ReadsBytes(path));
    }
    if io.verb.half() == Half::Sending {
        visit(Sends(io.place));
    }
    if io.verb == Verb::Shutdown {
        visit(ShutsDown(io.place));
    }
    match io.verb.moves() {
        Moves::In => io.spans.iter().for_each(|span| {
            if !is_from_front(span) {
                goes_on_in(span, visit);
            }
            visit(WritesBytes(*span));
        }),
        Moves::Out => io.spans.iter().for_each(|span| visit(ReadsBytes(*span))),
        Moves::Nothing | Moves::Past => {}
    }
    if let Some(reg) = io.into {
        visit(Writes(reg));
    }
    if io.verb.opens() {
        visit(Opens(io.place));
    }
    if io.verb.closes() {
        visit(Closes(io.place));
    }
}

fn of_compute(compute: &Compute, visit: &mut impl FnMut(Effect)) {
    match compute {
        Compute::Set(reg, value) => {
            expr(value, visit);
            visit(Writes(*reg));
        }
        Compute::SetWord(_, value) => {
            expr(value, visit);
            visit(Shares);
        }
        Compute::Add(_, by, into) => {
            expr(by, visit);
            visit(Shares);
            into.iter().for_each(|into| visit(Writes(*into)));
        }
        Compute::Exchange { current, new, into, .. } => {
            expr(current, visit);
            expr(new, visit);
            visit(Shares);
            into.iter().for_each(|into| visit(Writes(*into)));
        }
        Compute::Store { buf, at, order, value } => {
            expr(at, visit);
            expr(value, visit);
            let span = match at.0 {
                Node::Const(at) => Span { from: at as u32, len: SpanLen::Fixed(order.width()), ..buf.all() },
                _ => buf.all(),
            };
            goes_on_in(&span, visit);
            visit(WritesBytes(span));
        }
        Compute::Copy { to, from } => {
            registers(to, visit);
            registers(from, visit);
            visit(ReadsBytes(*from));
            goes_on_in(to, visit);
            visit(WritesBytes(*to));
        }
        // What calls and others have put in before it does not matter.
        Compute::Append(_, span) => {
            registers(span, visit);
            visit(ReadsBytes(*span));
        }
        Compute::AppendNumber(_, _, value) => expr(value, visit),
        Compute::Compact(stream) => {
            [stream.from, stream.len].into_iter().for_each(|reg| visit(Reads(reg)));
            visit(WritesBytes(stream.buf.all()));
            [stream.from, stream.end, stream.room].into_iter().for_each(|reg| visit(Writes(reg)));
        }
    }
}

fn of_sync(sync: &Sync<Reg>, visit: &mut impl FnMut(Effect)) {
    sync.numbers().for_each(|reg| visit(Reads(*reg)));
    match sync {
        Sync::Enter(_) | Sync::Leave(_) | Sync::Wait(_) | Sync::Notify { .. } => {}
        Sync::FutexWait { .. } => {}
        Sync::FutexWake { into, .. } => into.iter().for_each(|into| visit(Writes(*into))),
        Sync::Commit { spans, into, .. } => {
            spans.iter().for_each(|span| registers(span, visit));
            spans.iter().for_each(|span| visit(ReadsBytes(*span)));
            into.iter().for_each(|reg| visit(Writes(*reg)));
        }
    }
}

fn read_by_call(touch: &Touch, visit: &mut impl FnMut(Effect)) {
    match touch {
        Touch::Read(span) => {
            registers(span, visit);
            visit(ReadsBytes(*span));
        }
        Touch::Write(span) => {
            registers(span, visit);
            goes_on_in(span, visit);
        }
        Touch::Value(reg) => visit(Reads(*reg)),
        Touch::RegMut(reg) => visit(Lends(*reg)),
        // What puts something in never moves, so there is nothing to be known about it.
        Touch::Outbox(_) => {}
        Touch::Stream(stream) => [stream.from, stream.len].into_iter().for_each(|reg| visit(Reads(reg))),
    }
}

fn written_by_call(touch: &Touch, visit: &mut impl FnMut(Effect)) {
    match touch {
        Touch::Write(span) => visit(WritesBytes(*span)),
        Touch::RegMut(reg) => visit(Writes(*reg)),
        Touch::Stream(stream) => {
            visit(WritesBytes(stream.buf.all()));
            [stream.from, stream.len].into_iter().for_each(|reg| visit(Writes(reg)));
        }
        Touch::Read(_) | Touch::Value(_) | Touch::Outbox(_) => {}
    }
}

/// A pooled buffer has memory only once something has come into its front, so whatever else writes it needs that.
fn goes_on_in(span: &Span, visit: &mut impl FnMut(Effect)) {
    if span.buf.pooled.is_some() {
        visit(ReadsBytes(*span));
    }
}

/// The registers that say where a span lies.
fn registers(span: &Span, visit: &mut impl FnMut(Effect)) {
    if let Some(reg) = span.start {
        visit(Reads(reg));
    }
    if let SpanLen::Reg(reg) = span.len {
        visit(Reads(reg));
    }
}

pub(crate) fn expr(expr: &Expr, visit: &mut impl FnMut(Effect)) {
    expr.0.visit(&mut |node| match node {
        Node::Reg(reg) => visit(Reads(*reg)),
        Node::Word(_) => visit(Shares),
        Node::Load { buf, offset, order } => {
            visit(ReadsBytes(Span { from: *offset, len: SpanLen::Fixed(order.width()), ..buf.all() }));
        }
        Node::LoadAt { buf, .. } => visit(ReadsBytes(buf.all())),
        Node::Find { span, .. } | Node::Partition { span, .. } | Node::Hash(span) => {
            registers(span, visit);
            visit(ReadsBytes(*span));
        }
        Node::Equal(a, b) | Node::FindBytes(a, b) => [a, b].into_iter().for_each(|span| {
            registers(span, visit);
            visit(ReadsBytes(*span));
        }),
        Node::Const(_) | Node::Binary(..) => {}
    });
}

/// The bytes of a frame that a span can reach, whatever its registers say. None for a constant.
pub(crate) fn reach(span: &Span) -> std::ops::Range<u32> {
    if span.buf.constant {
        return 0..0;
    }
    let start = span.buf.start + span.from;
    match span.len {
        SpanLen::Fixed(len) if span.start.is_none() => start..start + len,
        _ => start..start + span.room(),
    }
}

/// Whether two spans can have a byte in common.
pub(crate) fn may_overlap(a: &Span, b: &Span) -> bool {
    let (a, b) = (reach(a), reach(b));
    a.start < b.end && b.start < a.end
}
