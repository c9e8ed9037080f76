//! What stands under a deadline, and where it leads when the deadline strikes.
//!
//! A deadline is not an error of a step but of the block around it. So it leads to the handler of the `within`, past
//! every attempt inside: a loop around one of those would outlive it. It may strike at any line of its scope, also at
//! one that cannot fail by itself, because a frame may be put off anywhere.

use super::flow::{Flow, Handler, Inst, Pc};

/// The lines under a deadline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// The scope around it.
    pub(crate) outer: Option<u16>,
    /// How many there are around it.
    pub(crate) depth: u16,
    /// The line that arms the deadline; its handler is the deadline's.
    pub(crate) arm: Pc,
}

impl Flow {
    /// The deadlines that a line stands under, the innermost first.
    pub(crate) fn deadlines(&self, pc: Pc) -> impl Iterator<Item = Scope> + use<'_> {
        let scope = |index: Option<u16>| index.map(|index| self.scopes[usize::from(index)]);
        std::iter::successors(scope(self.lines[pc].scope), move |inner| scope(inner.outer))
    }

    /// The line of the step that comes next, if the flow goes on at `pc`: jumps, and the ends of deadlines, are none. A loop of
    /// nothing else ends at one of them.
    pub(crate) fn next_step(&self, mut pc: Pc) -> Pc {
        for _ in 0..self.lines.len() {
            match self.lines[pc].inst {
                Inst::Jump(to) => pc = to,
                Inst::Disarm(_) => pc += 1,
                _ => break,
            }
        }
        pc
    }

    /// How many deadlines a line stands under.
    pub(crate) fn depth(&self, pc: Pc) -> u16 {
        self.deadlines(pc).next().map_or(0, |innermost| innermost.depth + 1)
    }

    /// Where a line leads when a deadline strikes there.
    pub(crate) fn struck(&self, pc: Pc) -> impl Iterator<Item = Handler> + use<'_> {
        self.deadlines(pc).filter_map(|scope| self.lines[scope.arm].handler)
    }

    /// Everywhere that a line leads when it does not go on.
    pub(crate) fn handlers(&self, pc: Pc) -> impl Iterator<Item = Handler> + use<'_> {
        self.lines[pc].handler.into_iter().chain(self.struck(pc))
    }
}
