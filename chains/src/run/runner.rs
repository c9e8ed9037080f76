//! What goes on between two submissions of a frame.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chainring_runtime::frame::{Frame, NotSubmitted, Resume, Stop};

use super::exit::{Entry, quietly};
use super::sessions::Sessions;
use crate::compile::HIDDEN;
use crate::compile::flow::{Inst, Pc};
use crate::compile::segment::Lowered;
use crate::error::{ChainError, ErrorKind};
use crate::native::Flow;
use crate::program::Program;

/// Jumps back that a frame may take before it lets others go on.
const FUEL: u32 = 1024;

pub(super) struct Runner<S> {
    pub(super) program: Program<S>,
    pub(super) lowered: Lowered,
    pub(super) sessions: Sessions<Entry<S>>,
    pub(super) counted: Counted,
}

/// The counters of a program on a core.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) short: Cell<u64>,
    pub(super) one_by_one: Cell<u64>,
    pub(super) cancelled: Cell<u64>,
    pub(super) parked: Cell<u64>,
}

/// What the frames of a program on a core have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Segments that succeeded as a whole.
    pub segments: u64,
    /// Transfers that came short and were taken up again.
    pub short: u64,
    /// Segments whose members were submitted one by one because one could not even be prepared.
    pub one_by_one: u64,
    /// Frames that ended by being cancelled.
    pub cancelled: u64,
    /// Times a frame was put off: out of fuel, or a full submission queue.
    pub parked: u64,
}

pub(super) fn count(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

/// Where a frame goes on: kept in its two hidden registers while it is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At a line of the flow.
    Line(Pc),
    /// In the middle of a segment.
    Member { segment: u16, from: u8, done: u32, alone: bool },
}

impl Place {
    fn encode(self) -> [u64; 2] {
        match self {
            Place::Line(pc) => [pc as u64, 0],
            Place::Member { segment, from, done, alone } => {
                let flags = 1 | u64::from(alone) << 1;
                [u64::from(segment) | u64::from(from) << 16 | u64::from(done) << 32, flags]
            }
        }
    }

    fn decode([a, b]: [u64; 2]) -> Place {
        if b & 1 == 0 {
            return Place::Line(a as Pc);
        }
        Place::Member { segment: a as u16, from: (a >> 16) as u8, done: (a >> 32) as u32, alone: b & 2 != 0 }
    }
}

impl<S: 'static> Resume for Runner<S> {
    fn advanced(&self, frame: Frame<'_>, segment: u16) {
        self.run(frame, self.lowered.segments[usize::from(segment)].next);
    }

    fn refused(&self, frame: Frame<'_>, segment: u16, reason: NotSubmitted) {
        let place = Place::Line(self.lowered.segments[usize::from(segment)].members[0]);
        self.not_submitted(frame, segment, place, reason);
    }

    fn stopped(&self, frame: Frame<'_>, stop: Stop) {
        self.stop(frame, stop);
    }

    fn unparked(&self, frame: Frame<'_>) {
        let first = self.program.0.layout.registers - HIDDEN;
        let place = Place::decode([frame.registers().get(first), frame.registers().get(first + 1)]);
        if frame.is_cancelled() {
            return self.end(frame, Err(self.error(self.line_of(place), ErrorKind::Cancelled { done: 0 })));
        }
        match place {
            Place::Line(pc) => self.run(frame, pc),
            Place::Member { segment, from, done, alone } => self.take_up(frame, segment, from, done, alone),
        }
    }
}

impl<S: 'static> Runner<S> {
    /// Runs the flow from `pc` on until the frame submits, parks or ends.
    #[inline]
    pub(super) fn run(&self, mut frame: Frame<'_>, mut pc: Pc) {
        let mut fuel = FUEL;
        loop {
            match &self.program.0.flow.lines[pc].inst {
                Inst::Move(_) => return self.submit(frame, pc),
                Inst::Set(reg, value) => frame.registers().set(reg.index, value.eval(&frame)),
                Inst::Ensure(cond, code) => {
                    if cond.eval(&frame) == 0 {
                        return self.end(frame, Err(self.error(pc, ErrorKind::Ensure(*code))));
                    }
                }
                Inst::Unless(cond, to) => {
                    if cond.eval(&frame) == 0 {
                        pc = *to;
                        continue;
                    }
                }
                Inst::Jump(to) => {
                    if *to <= pc {
                        fuel -= 1;
                        if fuel == 0 {
                            return self.park(frame, Place::Line(*to));
                        }
                    }
                    pc = *to;
                    continue;
                }
                Inst::Call(native, _) => match self.call(&mut frame, *native) {
                    Ok(Flow::Next) if !frame.is_cancelled() => {}
                    Ok(Flow::Finish) => return self.end(frame, Ok(())),
                    Ok(Flow::Next) => {
                        return self.end(frame, Err(self.error(pc, ErrorKind::Cancelled { done: 0 })));
                    }
                    Ok(Flow::Fail(error)) => {
                        return self.end(frame, Err(self.error(pc, ErrorKind::Call(error))));
                    }
                    Err(kind) => return self.end(frame, Err(self.error(pc, kind))),
                },
                Inst::Finish => return self.end(frame, Ok(())),
            }
            pc += 1;
        }
    }

    #[inline]
    fn submit(&self, frame: Frame<'_>, pc: Pc) {
        let segment = self.lowered.starts[pc].expect("a segment starts wherever the flow arrives");
        if let Err((frame, refused)) = frame.submit(segment) {
            self.not_submitted(frame, segment, Place::Line(pc), refused);
        }
    }

    #[cold]
    pub(super) fn not_submitted(&self, frame: Frame<'_>, segment: u16, place: Place, refused: NotSubmitted) {
        match refused {
            NotSubmitted::Busy => self.park(frame, place),
            NotSubmitted::TooLong { member, len, max } => {
                let (from, done) = match place {
                    Place::Line(_) => (0, 0),
                    Place::Member { from, done, .. } => (from, done),
                };
                // The steps before it are not at fault, and must have happened: one by one, up to it.
                if member > from {
                    return self.take_up(frame, segment, from, done, true);
                }
                let pc = self.lowered.segments[usize::from(segment)].members[usize::from(member)];
                self.end(frame, Err(self.error(pc, ErrorKind::Bounds { len, max })));
            }
        }
    }

    #[cold]
    pub(super) fn park(&self, frame: Frame<'_>, place: Place) {
        count(&self.counted.parked);
        let first = self.program.0.layout.registers - HIDDEN;
        let words = place.encode();
        frame.registers().set(first, words[0]);
        frame.registers().set(first + 1, words[1]);
        frame.park();
    }

    fn call(&self, frame: &mut Frame<'_>, native: usize) -> Result<Flow, ErrorKind> {
        let native = &self.program.0.natives[native];
        let index = frame.key().index();
        let called = self
            .sessions
            .with(index, |entry| catch_unwind(AssertUnwindSafe(|| native.run(&mut entry.session, frame))));
        match called {
            Ok(Ok(flow)) => Ok(flow),
            Ok(Err(outside)) => Err(ErrorKind::Bounds { len: outside.len, max: outside.max }),
            Err(panic) => {
                let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
                let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
                // The payload's own Drop is foreign code too.
                quietly(|| drop(panic));
                Err(ErrorKind::Panic(text.unwrap_or_else(|| "(no message)".to_owned())))
            }
        }
    }

    fn line_of(&self, place: Place) -> Pc {
        match place {
            Place::Line(pc) => pc,
            Place::Member { segment, from, .. } => {
                self.lowered.segments[usize::from(segment)].members[usize::from(from)]
            }
        }
    }

    #[cold]
    pub(super) fn error(&self, pc: Pc, kind: ErrorKind) -> ChainError {
        if let ErrorKind::Cancelled { .. } = kind {
            count(&self.counted.cancelled);
        }
        let line = &self.program.0.flow.lines[pc];
        ChainError { chain: self.program.0.name.clone(), step: line.step, name: line.name, kind }
    }

    pub(super) fn counters(&self, segments: u64) -> Counters {
        Counters {
            segments,
            short: self.counted.short.get(),
            one_by_one: self.counted.one_by_one.get(),
            cancelled: self.counted.cancelled.get(),
            parked: self.counted.parked.get(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Place;

    #[test]
    fn a_place_survives_being_parked() {
        for place in [
            Place::Line(0),
            Place::Line(77),
            Place::Member { segment: 65_535, from: 7, done: u32::MAX, alone: true },
            Place::Member { segment: 1, from: 0, done: 3, alone: false },
        ] {
            assert_eq!(Place::decode(place.encode()), place);
        }
    }
}
