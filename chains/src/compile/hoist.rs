//! Computations move out of the way of operations that could be submitted together.
//!
//! In `send_all a; set n = n + 1; send_all b` the `set` keeps the two transfers apart, although neither needs it:
//! moved in front of the first, they are one segment. A computation moves up over the operations before it if each of
//! them, and the computation, allow it:
//!
//! ```text
//! a computation crosses an operation if
//!     it cannot trap
//!     it reads no register that the operation writes, and writes none that the operation reads (a transfer that is
//!         taken up again evaluates its arguments again) or writes
//!     it reads and writes no word that others may change while the operation is under way
//!     it reads no bytes that the operation writes, and writes none that it reads or writes
//!     it writes no register that is live on one of the operation's error edges, and if there is one no bytes at all
//! ```
//!
//! It moves only if an operation follows that can then join those before, and only if it can cross all of them up to
//! where the run starts: half the way up it would cut what was whole. What fails a frame (an `ensure`) never moves: a
//! reply that was due before it would be lost.

use chainring_runtime::frame::Success;

use super::effects::{Effect, effects, may_overlap};
use super::flow::{Flow, Inst, Pc, follow, io};
use super::live::Live;
use crate::handle::SpanLen;
use crate::tree::Compute;

/// Moves what can be moved.
pub(crate) fn hoist(flow: &mut Flow, registers: u16) {
    let live = Live::new(flow, registers);
    let targets = targets(flow);
    for pc in 1..flow.lines.len() {
        let Inst::Compute(compute) = &flow.lines[pc].inst else { continue };
        // Where a branch may be given up in its middle, what it has computed by then is there to be seen.
        let branch = flow.lines[pc].branch;
        if branch.is_some_and(|branch| flow.forks[usize::from(branch.fork)].is_partial()) {
            continue;
        }
        if can_trap(compute) || targets[pc] || !operation_follows(flow, pc) {
            continue;
        }
        let start = run_before(flow, pc, &targets);
        if start < pc && (start..pc).all(|over| crosses(flow, &live, pc, over)) {
            flow.lines[start..=pc].rotate_right(1);
            flow.lines[start].hoisted = Some(pc);
        }
    }
}

/// Whether behind the line, and computations that follow it and may move as well, there is an operation.
fn operation_follows(flow: &Flow, pc: Pc) -> bool {
    let mut next = follow(flow, pc + 1);
    // A loop of nothing but computations ends the search.
    for _ in 0..flow.lines.len() {
        if !matches!(&flow.lines[next].inst, Inst::Compute(compute) if !can_trap(compute)) {
            break;
        }
        next = follow(flow, next + 1);
    }
    io(flow, next).is_some()
}

/// The first line of the operations directly before `pc` that a segment can hold in a row.
fn run_before(flow: &Flow, pc: Pc, targets: &[bool]) -> Pc {
    let mut start = pc;
    while start > 0 && (start == pc || !targets[start]) {
        match io(flow, start - 1) {
            Some(io) if io.verb.severs() => start -= 1,
            _ => break,
        }
    }
    start
}

/// Where jumps, branches and errors lead.
fn targets(flow: &Flow) -> Vec<bool> {
    let mut targets = vec![false; flow.lines.len()];
    for line in &flow.lines {
        if let Inst::Jump(to) | Inst::Unless(_, to) | Inst::Branch(to) | Inst::Join(to) = line.inst {
            targets[to] = true;
        }
        if let Some(handler) = line.handler {
            targets[handler.to] = true;
        }
    }
    targets
}

fn can_trap(compute: &Compute) -> bool {
    match compute {
        Compute::Set(_, value) | Compute::SetWord(_, value) | Compute::Add(_, value, _) => value.0.can_trap(),
        Compute::Exchange { current, new, .. } => current.0.can_trap() || new.0.can_trap(),
        Compute::Store { buf, at, value, .. } => {
            let fixed = matches!(at.0, crate::expr::Node::Const(_)) && buf.pooled.is_none();
            !fixed || value.0.can_trap()
        }
        Compute::Copy { to, from } => {
            let fixed = |len| matches!(len, SpanLen::Fixed(_));
            let pooled = to.buf.pooled.or(from.buf.pooled).is_some();
            pooled || to.start.is_some() || from.start.is_some() || to.len != from.len || !fixed(to.len)
        }
        // What is in an outbox is sent by the operations that it would cross, and it can be too much.
        Compute::Append(..) | Compute::AppendNumber(..) => true,
        // What does not fit is found out by the receive behind it.
        Compute::Compact(_) => false,
    }
}

/// Whether the computation at `pc` may be done before the operation at `over`.
fn crosses(flow: &Flow, live: &Live, pc: Pc, over: Pc) -> bool {
    let (mut computed, mut operated) = (Vec::new(), Vec::new());
    effects(&flow.lines[pc].inst, &mut |effect| computed.push(effect));
    effects(&flow.lines[over].inst, &mut |effect| operated.push(effect));
    let known = io(flow, over).is_some_and(|io| io.verb.success() != Success::Descriptor);
    known
        && computed.iter().all(|mine| {
            let apart = *mine != Effect::Shares && operated.iter().all(|other| are_apart(mine, other));
            let lost = flow.handlers(over).any(|handler| match mine {
                Effect::Writes(reg) => live.is_before(handler.to, *reg) && handler.errno != Some(*reg),
                Effect::WritesBytes(_) => true,
                _ => false,
            });
            apart && !lost
        })
}

fn are_apart(a: &Effect, b: &Effect) -> bool {
    use Effect::{Reads, ReadsBytes, Writes, WritesBytes};
    match (a, b) {
        (Reads(a), Writes(b)) | (Writes(a), Reads(b) | Writes(b)) => a != b,
        (ReadsBytes(a), WritesBytes(b)) | (WritesBytes(a), ReadsBytes(b) | WritesBytes(b)) => {
            !may_overlap(a, b)
        }
        _ => true,
    }
}
