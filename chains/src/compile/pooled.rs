//! Which pooled buffers are still looked at later, and so where they are given back.
//!
//! Two passes over the flow, to a fixed point, with a bit for each pooled buffer. A line *fills* one if something comes into
//! its front: all that was there before is over then. Whatever else touches it looks at it.
//!
//! ```text
//! live before a line = what it looks at + (live behind it - what it fills) + live before its handlers
//! held before a line = the union of what is held behind its predecessors
//! held behind a line = held before it + what it fills, without what it gives back
//! ```
//!
//! An operation gives back, when it has succeeded, what was live before it or is filled by it, and is not live behind it.
//! So the last reader of a buffer says when it is done, though the segment goes on into a wait. Where code arrives at a wait,
//! an operation, a future or a sleep, it gives back before it what is held and not live.

use chainring_runtime::frame::PooledPlan;

use super::effects::{Effect, effects};
use super::flow::{Flow, Inst, Line, Pc, successors};
use super::paths::can_fail;
use crate::error::Reason;
use crate::handle::Buf;

/// A bit for each.
const MOST: usize = 64;
/// The longest that a buffer of a pool can be.
const LONGEST: u32 = 1 << 30;

/// What the frames' region is to provide.
pub(super) fn plan(pooled: &[Buf], limit: u16) -> Result<PooledPlan, Reason> {
    if pooled.len() > MOST {
        return Err(Reason::TooMuch("pooled buffers"));
    }
    let bytes: u64 = pooled.iter().map(|buf| u64::from(buf.len)).sum();
    if bytes > LONGEST.into() {
        return Err(Reason::TooMuch("bytes of pooled buffers (1 GiB)"));
    }
    let owned = |(number, buf): (usize, &Buf)| u64::from(buf.owned) << number;
    let owned = pooled.iter().enumerate().map(owned).sum();
    Ok(PooledPlan { sizes: pooled.iter().map(|buf| buf.len).collect(), owned, limit })
}

/// For each line the pooled buffers that are live, and those that may be held, before it.
pub(super) struct Liveness {
    live: Vec<u64>,
    held: Vec<u64>,
}

impl Liveness {
    pub(super) fn new(flow: &Flow) -> Liveness {
        let count = flow.lines.len();
        let mut liveness = Liveness { live: vec![0; count], held: vec![0; count] };
        let mut changed = true;
        while changed {
            changed = false;
            for pc in (0..count).rev() {
                let live = liveness.live_before(flow, pc);
                changed |= std::mem::replace(&mut liveness.live[pc], live) != live;
            }
        }
        changed = true;
        while changed {
            changed = false;
            for pc in 0..count {
                changed |= liveness.spread(flow, pc);
            }
        }
        liveness
    }

    fn live_before(&self, flow: &Flow, pc: Pc) -> u64 {
        let line = &flow.lines[pc];
        let behind =
            successors(&line.inst, pc).into_iter().flatten().fold(0, |all, next| all | self.live[next]);
        let handled = flow.handlers(pc).fold(0, |all, handler| all | self.live[handler.to]);
        looks_at(line) | behind & !fills(line) | handled
    }

    /// Lets the lines behind this one know what may be held.
    fn spread(&mut self, flow: &Flow, pc: Pc) -> bool {
        let line = &flow.lines[pc];
        let held = self.held[pc] | fills(line);
        let mut grown = false;
        let mut arrive = |at: Pc, what: u64| {
            let new = self.held[at] | what;
            grown |= std::mem::replace(&mut self.held[at], new) != new;
        };
        for next in successors(&line.inst, pc).into_iter().flatten() {
            let given_back = match line.inst {
                _ if line.branch.is_some() => 0,
                Inst::Io(_) | Inst::Sleep(_) => !self.live[next],
                Inst::Store(..) | Inst::Sync(_) | Inst::Fork(_) => !self.live[pc],
                _ => 0,
            };
            arrive(next, held & !given_back);
        }
        let failing = line.handler.filter(|_| can_fail(&line.inst));
        for handler in failing.into_iter().chain(flow.struck(pc)) {
            arrive(handler.to, held);
        }
        grown
    }

    /// What the operation at `pc`, behind which the flow goes on at `next`, gives back when it has succeeded.
    pub(super) fn behind(&self, flow: &Flow, pc: Pc, next: Pc) -> u64 {
        // A branch touches none, and its siblings may yet lead to a handler that does.
        if flow.lines[pc].branch.is_some() {
            return 0;
        }
        (self.live[pc] | fills(&flow.lines[pc])) & !self.live[next]
    }

    /// What code that arrives at a wait gives back before.
    pub(super) fn before_wait(&self, flow: &Flow, pc: Pc) -> u64 {
        match flow.lines[pc].inst {
            _ if flow.lines[pc].branch.is_some() => 0,
            Inst::Io(_) | Inst::Store(..) | Inst::Sync(_) | Inst::Fork(_) => self.held[pc] & !self.live[pc],
            // What it looks at is computed before.
            Inst::Sleep(_) => self.held[pc] & !self.live[pc + 1],
            _ => 0,
        }
    }
}

fn fills(line: &Line) -> u64 {
    match &line.inst {
        Inst::Io(io) => io.fills().map_or(0, |number| 1 << number),
        _ => 0,
    }
}

fn looks_at(line: &Line) -> u64 {
    let (mut looks_at, fills) = (0, fills(line));
    effects(&line.inst, &mut |effect| match effect {
        Effect::ReadsBytes(span) => looks_at |= span.buf.pooled.map_or(0, |number| 1 << number),
        Effect::WritesBytes(span) => looks_at |= span.buf.pooled.map_or(0, |number| 1 << number) & !fills,
        _ => {}
    });
    looks_at
}
