//! Where errors lead: for each handler the steps whose errors it is there for, and what runs then.

use std::collections::BTreeSet;
use std::fmt;

use super::Explain;
use crate::compile::branches::BranchId;
use crate::compile::flow::{Handler, Inst, Pc};
use crate::compile::paths::can_fail;

impl Explain<'_> {
    /// A line for each handler that an error can lead to, in the order of the steps that they are there for.
    pub(super) fn errors(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut handlers: Vec<(Handler, BTreeSet<u32>)> = Vec::new();
        for pc in self.reached() {
            let line = &self.flow.lines[pc];
            // A deadline is an error of the step that arms it.
            let fails = can_fail(&line.inst) || matches!(line.inst, Inst::Arm(..));
            let Some(handler) = line.handler.filter(|_| fails && !self.is_of_copy(line.branch)) else {
                continue;
            };
            match handlers.iter_mut().find(|(known, _)| *known == handler) {
                Some((_, steps)) => {
                    steps.insert(line.step);
                }
                None => handlers.push((handler, BTreeSet::from([line.step]))),
            }
        }
        handlers.iter().try_for_each(|(handler, steps)| {
            let errno = handler.errno.map(|reg| format!("{reg} = errno; ")).unwrap_or_default();
            writeln!(f, "  an error of {} leads to {errno}{}", ranges(steps), self.code(handler.to))
        })
    }

    /// The lines that run, inside of segments and between them.
    fn reached(&self) -> BTreeSet<Pc> {
        let members = self.segments.all.iter().flat_map(|segment| &segment.members);
        let between = (0..self.flow.lines.len()).filter(|pc| self.segments.reached[*pc]);
        members.copied().chain(between).collect()
    }

    /// Whether it is in a turn that is like the first one.
    pub(super) fn is_of_copy(&self, branch: Option<BranchId>) -> bool {
        branch.is_some_and(|BranchId { fork, branch }| {
            branch > 0 && self.flow.forks[usize::from(fork)].is_pipelined()
        })
    }
}

/// `#3, #5 to #8`.
fn ranges(steps: &BTreeSet<u32>) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for step in steps {
        match ranges.last_mut() {
            Some((_, last)) if *last + 1 == *step => *last = *step,
            _ => ranges.push((*step, *step)),
        }
    }
    let ranges = ranges.into_iter().map(|(first, last)| match last - first {
        0 => format!("#{first}"),
        1 => format!("#{first}, #{last}"),
        _ => format!("#{first} to #{last}"),
    });
    ranges.collect::<Vec<_>>().join(", ")
}
