//! What can never work on any path is refused: reads of what was never written, steps that nothing leads to, a socket
//! that sends after its shutdown, a descriptor that was closed.
//!
//! The flow is followed forward, to a fixed point. For each line it is computed what holds on *every* path to it:
//! the intersection of what holds behind its predecessors. An error edge takes what held before the line that fails, as
//! far as it still holds behind it. A line that reads something that is not written on every path is refused, and
//! so is a written step without a path to it.
//!
//! Behind blocks that ran side by side holds what held before them, changed by what each of them has changed; or, if the
//! flow goes on when some have succeeded, by nothing that only some may have done.

use super::branches::Fork;
use super::effects::{Effect, effects};
use super::flow::{Flow, Inst, Pc, successors};
use crate::build::Chain;
use crate::error::{BuildError, Reason};
use crate::handle::{Buf, Place, Reg};
use crate::tree::Compute;

/// What holds on every path: a bit for each register and buffer that is written, one for each place whose socket is
/// shut down, one for each that is vacant.
#[derive(Clone, PartialEq, Eq)]
struct Facts {
    bits: Vec<u64>,
    regs: usize,
    bufs: usize,
    places: usize,
}

impl Facts {
    fn nothing<S>(chain: &Chain<S>, registers: u16) -> Facts {
        let (regs, bufs, places) = (usize::from(registers), chain.bufs.len(), usize::from(chain.places));
        Facts { bits: vec![0; (regs + bufs + 2 * places).div_ceil(64)], regs, bufs, places }
    }

    fn set(&mut self, bit: usize, holds: bool) {
        let mask = 1 << (bit % 64);
        if holds {
            self.bits[bit / 64] |= mask;
        } else {
            self.bits[bit / 64] &= !mask;
        }
    }

    fn has(&self, bit: usize) -> bool {
        self.bits[bit / 64] & 1 << (bit % 64) != 0
    }

    fn reg(reg: Reg) -> usize {
        usize::from(reg.index)
    }

    fn buf(&self, buf: Buf) -> usize {
        self.regs + usize::from(buf.index)
    }

    fn shut(&self, place: Place) -> usize {
        self.regs + self.bufs + usize::from(place.index)
    }

    fn vacant(&self, place: Place) -> usize {
        self.regs + self.bufs + self.places + usize::from(place.index)
    }

    /// Keeps what both have. Says whether anything was lost.
    fn meet(&mut self, other: &Facts) -> bool {
        let before = self.bits.clone();
        self.bits.iter_mut().zip(&other.bits).for_each(|(a, b)| *a &= b);
        self.bits != before
    }

    fn apply(&mut self, effect: Effect) {
        match effect {
            Effect::Writes(reg) => self.set(Self::reg(reg), true),
            Effect::WritesBytes(span) => self.set(self.buf(span.buf), true),
            Effect::ShutsDown(place) => self.set(self.shut(place), true),
            Effect::Closes(place) => self.set(self.vacant(place), true),
            Effect::Opens(place) => {
                self.set(self.shut(place), false);
                self.set(self.vacant(place), false);
            }
            _ => {}
        }
    }

    /// An effect may have been or not.
    fn doubt(&mut self, effect: Effect) {
        match effect {
            Effect::WritesBytes(span) => self.set(self.buf(span.buf), false),
            Effect::Opens(_) => self.apply(effect),
            _ => {}
        }
    }

    /// Whether an effect can be.
    fn allow(&self, effect: Effect) -> Result<(), Reason> {
        match effect {
            Effect::Reads(reg) if !self.has(Self::reg(reg)) => Err(Reason::RegUnwritten(reg.index)),
            Effect::ReadsBytes(span) if !span.buf.constant && !self.has(self.buf(span.buf)) => {
                Err(Reason::BufUnwritten(span.buf))
            }
            Effect::Sends(place) if self.has(self.shut(place)) => Err(Reason::ShutDown(place.index)),
            Effect::Uses(place) if self.has(self.vacant(place)) => Err(Reason::Closed(place.index)),
            _ => Ok(()),
        }
    }
}

/// Checks every path through the flow.
pub(super) fn paths<S: 'static>(flow: &Flow, chain: &Chain<S>, registers: u16) -> Result<(), BuildError> {
    let mut start = Facts::nothing(chain, registers);
    chain.params.iter().for_each(|reg| start.set(Facts::reg(*reg), true));
    // Whether there are bytes in a stream buffer is nothing that a path says: chains look, and fill it if they must.
    chain.streams.iter().for_each(|buf| start.set(start.buf(*buf), true));
    let mut before: Vec<Option<Facts>> = vec![None; flow.lines.len()];
    before[0] = Some(start);
    let mut work: Vec<Pc> = vec![0];
    let arrive = |before: &mut Vec<Option<Facts>>, at: Pc, facts: &Facts| match &mut before[at] {
        Some(known) => known.meet(facts),
        unreached => {
            *unreached = Some(facts.clone());
            true
        }
    };
    while let Some(pc) = work.pop() {
        let line = &flow.lines[pc];
        let held = before[pc].clone().expect("only reached lines are worked on");
        let mut after = held.clone();
        effects(&line.inst, &mut |effect| after.apply(effect));
        for (next, facts) in leads_to(flow, pc, after.clone(), &before) {
            if arrive(&mut before, next, &facts) {
                work.push(next);
            }
        }
        if let Inst::Fork(fork) = line.inst {
            // What holds behind it rests on what holds here, and not only on what its branches come to.
            let ends = flow.forks[usize::from(fork)].branches.iter().map(|lines| lines.end - 1);
            work.extend(ends.filter(|end| before[*end].is_some()));
        }
        let failing = line.handler.filter(|_| can_fail(&line.inst));
        for handler in failing.into_iter().chain(flow.struck(pc)) {
            let mut failed = held.clone();
            failed.meet(&after);
            handler.errno.into_iter().for_each(|reg| failed.set(Facts::reg(reg), true));
            if arrive(&mut before, handler.to, &failed) {
                work.push(handler.to);
            }
        }
    }
    for (line, facts) in flow.lines.iter().zip(&before) {
        let refused = match facts {
            None if line.written => Err(Reason::Unreachable),
            None => Ok(()),
            Some(facts) => check(&line.inst, facts),
        };
        refused.map_err(|reason| BuildError {
            chain: chain.name.clone(),
            step: Some((line.step, line.name)),
            reason,
        })?;
    }
    Ok(())
}

/// Where a line leads, and what holds there, if `after` holds behind the line.
fn leads_to(flow: &Flow, pc: Pc, after: Facts, before: &[Option<Facts>]) -> Vec<(Pc, Facts)> {
    match flow.lines[pc].inst {
        // Behind the last branch is what comes when enough of them have joined.
        Inst::Branch(to) if !matches!(flow.lines[to].inst, Inst::Branch(_)) => vec![(pc + 1, after)],
        Inst::Join(to) => {
            let branch = flow.lines[pc].branch.expect("branches join");
            behind(flow, &flow.forks[usize::from(branch.fork)], before)
                .map(|facts| (to, facts))
                .into_iter()
                .collect()
        }
        ref inst => successors(inst, pc).into_iter().flatten().map(|next| (next, after.clone())).collect(),
    }
}

/// What holds behind a fork, if enough of its branches can join.
fn behind(flow: &Flow, fork: &Fork, before: &[Option<Facts>]) -> Option<Facts> {
    let held = before[fork.branches[0].start - 1].as_ref().expect("its branches are reached through it");
    let joined: Vec<&Facts> =
        fork.branches.iter().filter_map(|lines| before[lines.end - 1].as_ref()).collect();
    if joined.len() < fork.need {
        return None;
    }
    let mut facts = held.clone();
    if fork.is_partial() {
        // Any of its lines may have run or not. A register has a value in either case; bytes may have come in part.
        for line in fork.branches.iter().flat_map(|lines| &flow.lines[lines.clone()]) {
            effects(&line.inst, &mut |effect| facts.doubt(effect));
        }
    } else {
        // What a branch has changed: no two of them change the same.
        for (i, held) in held.bits.iter().enumerate() {
            let changed = joined.iter().fold(0, |changed, joined| changed | (joined.bits[i] ^ held));
            facts.bits[i] = held ^ changed;
        }
    }
    Some(facts)
}

fn check(inst: &Inst, facts: &Facts) -> Result<(), Reason> {
    let mut result = Ok(());
    effects(inst, &mut |effect| {
        if result.is_ok() {
            result = facts.allow(effect);
        }
    });
    result
}

/// Whether a line may fail its frame.
pub(crate) fn can_fail(inst: &Inst) -> bool {
    match inst {
        Inst::MakePipe(_)
        | Inst::Io(_)
        | Inst::Ensure(..)
        | Inst::Fail(_)
        | Inst::Call(..)
        | Inst::Fetch(..)
        | Inst::Store(..) => true,
        Inst::Compute(Compute::Set(_, value))
        | Inst::Unless(value, _)
        | Inst::Sleep(value)
        | Inst::Arm(value, _) => value.0.can_trap(),
        Inst::Compute(Compute::SetWord(_, value) | Compute::Add(_, value, _)) => value.0.can_trap(),
        Inst::Compute(Compute::Exchange { current, new, .. }) => current.0.can_trap() || new.0.can_trap(),
        Inst::Compute(Compute::Store { .. } | Compute::Copy { .. } | Compute::Compact(_)) => true,
        Inst::Compute(Compute::Append(..) | Compute::AppendNumber(..)) => true,
        Inst::Fork(_) | Inst::Branch(_) | Inst::InOrder | Inst::Pass | Inst::Join(_) => false,
        Inst::Sync(sync) => sync.can_fail(),
        Inst::Jump(_) | Inst::Disarm(_) | Inst::Finish => false,
    }
}
