//! Branches of a fork are apart: none touches what another one changes.
//!
//! What a line touches is said by `effects`, and by the verb of a member which half of a socket it needs: two branches
//! may use a socket at the same time if one receives and the other sends.

use std::sync::Arc;

use chainring_runtime::frame::Half;

use super::branches::Fork;
use super::effects::{Effect, effects, may_overlap};
use super::flow::{Flow, Handler, Inst, Pc};
use crate::error::{BuildError, Reason, Shared};
use crate::handle::Place;

/// One thing that a line of a branch does.
#[derive(Clone, Copy)]
enum Touch {
    Effect(Effect),
    /// Uses a half of a socket, or all of it.
    Half(Place, Half),
    Outbox(u16),
}

/// The same, where it is.
struct Touched {
    line: Pc,
    /// Whether it is done in the order of the turns.
    in_order: bool,
    touch: Touch,
}

/// Refuses branches that share what one of them changes.
pub(super) fn check(flow: &Flow, chain: &Arc<str>) -> Result<(), BuildError> {
    for fork in &flow.forks {
        if let Some(line) =
            fork.branches.iter().cloned().flatten().find(|line| is_pooled(&flow.lines[*line].inst))
        {
            let line = &flow.lines[line];
            let reason = Reason::InBranch("a pooled or owned buffer is the whole frame's");
            return Err(BuildError { chain: chain.clone(), step: Some((line.step, line.name)), reason });
        }
        let touched: Vec<Vec<Touched>> =
            (0..fork.branches.len()).map(|branch| touched(flow, fork, branch)).collect();
        for (i, of_b) in touched.iter().enumerate() {
            for of_a in &touched[..i] {
                let mut pairs = of_b.iter().flat_map(|b| of_a.iter().map(move |a| (b, a)));
                let found = pairs.find_map(|(b, a)| Some((conflict(b, a)?, b.line, a.line)));
                let Some((shared, line, other)) = found else { continue };
                let (line, other) = (&flow.lines[line], &flow.lines[other]);
                let reason = Reason::Shared(shared, (other.step, other.name));
                return Err(BuildError { chain: chain.clone(), step: Some((line.step, line.name)), reason });
            }
        }
    }
    Ok(())
}

/// Whether a line touches a buffer that the frame has only while it uses it.
fn is_pooled(inst: &Inst) -> bool {
    let mut pooled = false;
    effects(inst, &mut |effect| {
        if let Effect::ReadsBytes(span) | Effect::WritesBytes(span) = effect {
            pooled |= span.buf.pooled.is_some();
        }
    });
    pooled
}

/// What a branch of a fork touches.
fn touched(flow: &Flow, fork: &Fork, branch: usize) -> Vec<Touched> {
    let mut touched = Vec::new();
    for line in fork.branches[branch].clone() {
        let in_order = fork.in_order.get(branch).is_some_and(|lines| lines.contains(&line));
        let inst = &flow.lines[line].inst;
        let mut touch = |touch| touched.push(Touched { line, in_order, touch });
        effects(inst, &mut |effect| touch(Touch::Effect(effect)));
        // An error that is handled inside of the branch writes its errno, which is no line's effect.
        let inside = |handler: &Handler| flow.lines[handler.to].branch == flow.lines[line].branch;
        if let Some(errno) = flow.lines[line].handler.filter(inside).and_then(|handler| handler.errno) {
            touch(Touch::Effect(Effect::Writes(errno)));
        }
        let Inst::Io(io) = inst else { continue };
        if io.verb.has_place() && !io.place.file && !io.verb.opens() && !io.verb.closes() {
            touch(Touch::Half(io.place, io.verb.half()));
        }
        io.outbox.into_iter().for_each(|outbox| touch(Touch::Outbox(outbox.index)));
    }
    touched
}

/// What two branches share that one of them changes.
fn conflict(a: &Touched, b: &Touched) -> Option<Shared> {
    // What is done in order is not done at the same time; but bytes, descriptors and outboxes are a branch's own in any case.
    let serial = a.in_order && b.in_order;
    let (a, b) = match (&a.touch, &b.touch) {
        (Touch::Effect(a), Touch::Effect(b)) => (a, b),
        (Touch::Half(a, of_a), Touch::Half(b, of_b)) => {
            let apart = match (of_a, of_b) {
                (Half::Neither, _) | (_, Half::Neither) => true,
                (Half::Whole, _) | (_, Half::Whole) => false,
                (a, b) => a != b,
            };
            return (a == b && !apart && !serial).then_some(Shared::Half(*a));
        }
        (Touch::Outbox(a), Touch::Outbox(b)) => return (a == b).then_some(Shared::Outbox(*a)),
        _ => return None,
    };
    one_way(a, b, serial).or_else(|| one_way(b, a, serial))
}

/// What `a` changes and `b` touches.
fn one_way(a: &Effect, b: &Effect, serial: bool) -> Option<Shared> {
    use Effect::{Closes, Lends, Opens, Reads, ReadsBytes, Sends, ShutsDown, Uses, Writes, WritesBytes};
    match (a, b) {
        (Writes(a), Reads(b) | Writes(b) | Lends(b)) if a == b && !serial => Some(Shared::Register(a.index)),
        (WritesBytes(a), ReadsBytes(b) | WritesBytes(b)) if may_overlap(a, b) => {
            Some(Shared::Buffer(a.buf.index))
        }
        (Opens(a) | Closes(a) | ShutsDown(a), Opens(b) | Closes(b) | ShutsDown(b) | Uses(b) | Sends(b))
            if a == b =>
        {
            Some(Shared::Descriptor(*a))
        }
        _ => None,
    }
}
