//! The twin's native calls, and what it learns from those of the other side.

use super::blocking::{Twin, Way};
use super::native::{self, Next};
use super::program::{Call, HELD, HELD_FROM, Len, REGS, STREAM, Span};
use super::report::Failure;

impl Twin<'_> {
    /// What the call behind the step has noted there, if what comes next was noted there. Something can only come of
    /// a span that is not empty.
    pub(super) fn logged(&mut self, step: u32, want: usize) -> Option<u64> {
        let fits = self.counts.front().is_some_and(|(_, count)| (*count == 0) == (want == 0));
        if fits { self.noted(step) } else { None }
    }

    /// The same for what has succeeded here, and so there.
    pub(super) fn noted(&mut self, step: u32) -> Option<u64> {
        let (noted, count) = *self.counts.front()?;
        let here = (step + 1..=step + 2).contains(&noted);
        here.then(|| {
            self.known = Some(noted);
            self.counts.pop_front();
            count
        })
    }

    pub(super) fn call(&mut self, step: u32, call: &Call) -> Way {
        let event = match call {
            Call::Log(reg) => {
                // What nothing in front of it has brought.
                let known = self.known.take() == Some(step);
                if !known && self.counts.front().is_some_and(|(noted, _)| *noted == step) {
                    self.counts.pop_front();
                }
                native::log(step, self.regs[*reg])
            }
            Call::Observe => native::observe(step, &self.regs[..REGS]),
            Call::Look(span, reg) => match self.range(span) {
                Ok(range) => native::look(step, &self.bufs[span.buf][range], self.regs[*reg]),
                Err(failure) => return Way::Fail(step, failure),
            },
            Call::Take(reg) => match self.range(&Span::held(Len::Reg(HELD))) {
                Ok(range) => {
                    let (event, taken) = native::take(step, &self.bufs[STREAM][range], self.regs[*reg]);
                    self.regs[HELD_FROM] += taken as u64;
                    self.regs[HELD] -= taken as u64;
                    event
                }
                Err(failure) => return Way::Fail(step, failure),
            },
            Call::Fill(span, seed) => match self.range(span) {
                Ok(range) => {
                    native::fill(&mut self.bufs[span.buf][range], *seed);
                    return Way::On;
                }
                Err(failure) => return Way::Fail(step, failure),
            },
            Call::Mix { from, to, reg } => {
                let ranges = self.range(from).and_then(|a| self.range(to).map(|b| (a, b)));
                let (a, b) = match ranges {
                    Ok(ranges) => ranges,
                    Err(failure) => return Way::Fail(step, failure),
                };
                let source = self.bufs[from.buf][a].to_vec();
                native::mix(&source, &mut self.bufs[to.buf][b], &mut self.regs[*reg]);
                return Way::On;
            }
            Call::Decide(reg) => {
                return match native::decide(self.regs[*reg]) {
                    Next::On => Way::On,
                    Next::Finish => Way::Finish,
                    Next::Fail => Way::Fail(step, Failure::Call),
                };
            }
        };
        self.report.trace.push(event);
        Way::On
    }
}
