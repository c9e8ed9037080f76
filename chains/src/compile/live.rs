//! Which registers are still read later: a backward pass over the flow, to a fixed point.
//!
//! ```text
//! live before a line = what it reads + (live behind it - what it writes)
//! live behind a line = the union of what is live before its successors, and before its handler if it can fail
//! ```
//!
//! A write that a failure can keep from happening does not end a register's life on the error edge: what is live before
//! the handler, except the errno that leads into it, is live before the line.

use super::effects::{Effect, effects};
use super::flow::{Flow, Pc, successors};
use crate::handle::Reg;

/// For each line the registers that are live before it.
pub(crate) struct Live {
    before: Vec<Vec<u64>>,
}

impl Live {
    pub(crate) fn new(flow: &Flow, registers: u16) -> Live {
        let words = usize::from(registers).div_ceil(64);
        let mut live = Live { before: vec![vec![0; words]; flow.lines.len()] };
        let mut changed = true;
        while changed {
            changed = false;
            for pc in (0..flow.lines.len()).rev() {
                let before = live.of(flow, pc, words);
                if before != live.before[pc] {
                    live.before[pc] = before;
                    changed = true;
                }
            }
        }
        live
    }

    /// Whether the register is read on some path from the line on, before it is written.
    pub(crate) fn is_before(&self, pc: Pc, reg: Reg) -> bool {
        let (word, bit) = place(reg);
        self.before[pc][word] & bit != 0
    }

    /// The numbers of all registers that are live before the line.
    pub(crate) fn before(&self, pc: Pc) -> impl Iterator<Item = u16> + use<'_> {
        let bits = |word: u64| (0..64).filter(move |bit| word & 1 << bit != 0);
        let words = self.before[pc].iter().enumerate();
        words.flat_map(move |(number, word)| bits(*word).map(move |bit| number as u16 * 64 + bit))
    }

    fn of(&self, flow: &Flow, pc: Pc, words: usize) -> Vec<u64> {
        let line = &flow.lines[pc];
        let mut set = vec![0; words];
        for next in successors(&line.inst, pc).into_iter().flatten() {
            join(&mut set, &self.before[next]);
        }
        effects(&line.inst, &mut |effect| {
            if let Effect::Writes(reg) = effect {
                let (word, bit) = place(reg);
                set[word] &= !bit;
            }
        });
        for handler in flow.handlers(pc) {
            let mut failed = self.before[handler.to].clone();
            if let Some(reg) = handler.errno {
                let (word, bit) = place(reg);
                failed[word] &= !bit;
            }
            join(&mut set, &failed);
        }
        effects(&line.inst, &mut |effect| {
            if let Effect::Reads(reg) | Effect::Lends(reg) = effect {
                let (word, bit) = place(reg);
                set[word] |= bit;
            }
        });
        set
    }
}

fn place(reg: Reg) -> (usize, u64) {
    (usize::from(reg.index) / 64, 1 << (reg.index % 64))
}

fn join(set: &mut [u64], other: &[u64]) {
    set.iter_mut().zip(other).for_each(|(a, b)| *a |= b);
}
