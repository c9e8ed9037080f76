//! What goes on between two submissions of a frame.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use chainring_runtime::Handle;
use chainring_runtime::frame::{Frame, Interrupt, NotSubmitted, Resume, Stop};
use chainring_runtime::time::{self, Alarm};

use super::branches::Progress;
use super::exit::Entry;
use super::place::Place;
use super::sessions::Sessions;
use crate::compile::code::Exit;
use crate::compile::flow::{Handler, Pc};
use crate::compile::segment::Segment;
use crate::compile::{HIDDEN, Lowered};
use crate::error::{ChainError, ErrorKind};
use crate::native::{Flow, quietly};
use crate::program::Program;
use crate::sync::States;

/// How often a frame comes back from its code before others have their turn.
pub(super) const RUNS: u32 = 1024;

pub(super) struct Runner<S> {
    pub(super) program: Program<S>,
    pub(super) lowered: Lowered,
    pub(super) sessions: Sessions<Entry<S>>,
    /// What it shares with others here.
    pub(super) states: States,
    pub(super) counted: Counted,
    /// How far the frames are that run branches side by side.
    pub(super) forks: Sessions<Progress>,
}

/// The counters of a program on a core.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) short: Cell<u64>,
    pub(super) one_by_one: Cell<u64>,
    pub(super) cancelled: Cell<u64>,
    pub(super) parked: Cell<u64>,
    pub(super) deadlines: Cell<u64>,
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
    /// Times a frame was put off: out of fuel, a full submission queue, no pooled buffer left.
    pub parked: u64,
    /// Times that a deadline has struck.
    pub deadlines: u64,
}

pub(super) fn count(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

/// What foreign code has panicked with.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> ErrorKind {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    // The payload's own Drop is foreign code too.
    quietly(|| drop(panic));
    ErrorKind::Panic(text.unwrap_or_else(|| "(no message)".to_owned()))
}

impl<S: 'static> Resume for Runner<S> {
    fn advanced(&self, _: Frame<'_>, _: u16) {
        unreachable!("the plan of every segment says what follows it");
    }

    fn interrupted(&self, frame: Frame<'_>, interrupt: Interrupt) {
        self.go_on(frame, interrupt);
    }

    fn stopped(&self, frame: Frame<'_>, stop: Stop) {
        self.stop(frame, stop);
    }

    fn unparked(&self, frame: Frame<'_>) {
        let [a, b, alarm] = [0, 1, 2].map(|i| frame.registers().get(self.hidden() + i));
        let place = Place::decode([a, b]);
        let mut line = self.line_of(place);
        if alarm != 0 {
            let (core, alarm) = (Handle::current(), Alarm::from_bits(alarm));
            let waits = core.alarm_waits(alarm);
            if waits && !frame.is_cancelled() && !frame.is_interrupted() {
                // The call was for something that it waited for before.
                return frame.wait();
            }
            frame.registers().set(self.hidden() + 2, 0);
            core.stop_alarm(alarm);
            // It goes on behind the sleep, and has come no further.
            if let Place::Op(behind) = place
                && (waits || frame.is_cancelled())
            {
                line = self.line(behind - 1);
            }
        }
        if frame.is_cancelled() {
            self.give_up(&frame, line);
            return self.fail(frame, line, ErrorKind::Cancelled { done: 0 });
        }
        // An output that came first is stored.
        let frame = if self.has_output(&frame, line) || self.has_come(&frame, line) {
            frame
        } else {
            match self.check(frame, line, place.done()) {
                Ok(frame) => frame,
                Err(led) => return self.follow(led),
            }
        };
        match place {
            Place::Op(op) => self.run(frame, op),
            Place::Segment(segment) => self.submit(frame, segment),
            Place::Member { segment, from, done, alone } => self.take_up(frame, segment, from, done, alone),
        }
    }
}

impl<S: 'static> Runner<S> {
    /// Runs code from an op on until the frame submits, parks or ends.
    pub(super) fn run(&self, frame: Frame<'_>, op: u32) {
        if let Err((frame, interrupt)) = frame.run(op) {
            self.go_on(frame, interrupt);
        }
    }

    /// Does what code has left to the runner, and goes on until the frame submits, parks or ends.
    fn go_on(&self, mut frame: Frame<'_>, mut interrupt: Interrupt) {
        // The region counts the jumps of one run; a loop through calls and handlers consists of many.
        for left in (0..RUNS).rev() {
            let op;
            // Most that leave do so for a call, after which most go on.
            if let Interrupt::Left(exit) = interrupt
                && let Exit::Call { line, native, next } = self.lowered.generated.exits[exit as usize]
            {
                match self.call(&mut frame, native) {
                    Ok(Flow::Next) if !frame.is_cancelled() => op = next,
                    flow => match self.called(frame, line, next, flow) {
                        Some((back, next)) => (frame, op) = (back, next),
                        None => return,
                    },
                }
            } else {
                match self.interrupt(frame, interrupt) {
                    Some((back, next)) => (frame, op) = (back, next),
                    None => return,
                }
            }
            if left == 0 {
                return self.park(frame, Place::Op(op));
            }
            match frame.run(op) {
                Ok(()) => return,
                Err(next) => (frame, interrupt) = next,
            }
        }
    }

    /// Does what code has left to the runner, unless that is a call. Gives the frame back if it goes on, and with which op.
    #[inline(never)]
    fn interrupt<'f>(&self, frame: Frame<'f>, interrupt: Interrupt) -> Option<(Frame<'f>, u32)> {
        match interrupt {
            Interrupt::Left(exit) => match self.lowered.generated.exits[exit as usize] {
                Exit::Finish => self.end(frame, Ok(())),
                Exit::Ensure(line, code) => return self.route(frame, line, ErrorKind::Ensure(code)),
                Exit::Fail { line, errno } => {
                    let kind = ErrorKind::failed(frame.registers().get(errno));
                    return self.route(frame, line, kind);
                }
                Exit::MakePipe { line, pipe, next } => return self.make_pipe(frame, line, pipe, next),
                Exit::Sleep { time, next } => return self.sleep(frame, time, next),
                Exit::Sync { line, next } => return self.share(frame, line, next),
                Exit::Fork { line, fork } => self.fork(frame, line, fork),
                Exit::Join { .. } | Exit::InOrder { .. } | Exit::Pass { .. } => {
                    unreachable!("only strands come to the ends of branches")
                }
                Exit::Arm { time, depth, next } => return self.arm(frame, time, depth, next),
                Exit::Disarm { depth, next } => {
                    self.disarm(&frame, depth);
                    return Some((frame, next));
                }
                Exit::Late { next } => {
                    self.late_at(frame, next);
                    return None;
                }
                Exit::Fetch { line, future, next } => return self.fetch(frame, line, future, next),
                Exit::Store { line, next } => return self.store(frame, line, next),
                Exit::Call { .. } => unreachable!("dealt with before"),
            },
            Interrupt::Trapped { pc, trap } => {
                return self.route(frame, self.line(pc), trap.into());
            }
            Interrupt::Spent { pc } => self.park(frame, Place::Op(pc)),
            Interrupt::NotSubmitted { segment, reason } => {
                return self.not_submitted(frame, segment, Place::Segment(segment), reason);
            }
        }
        None
    }

    /// Goes where a call says. Gives the frame back if it goes on, and with which op.
    #[cold]
    pub(super) fn called<'f>(
        &self,
        frame: Frame<'f>,
        line: Pc,
        next: u32,
        flow: Result<Flow, ErrorKind>,
    ) -> Option<(Frame<'f>, u32)> {
        let kind = match flow {
            Ok(Flow::Next) if !frame.is_cancelled() => return Some((frame, next)),
            Ok(Flow::Next) => ErrorKind::Cancelled { done: 0 },
            Ok(Flow::Finish) => {
                self.end(frame, Ok(()));
                return None;
            }
            Ok(Flow::Fail(error)) => ErrorKind::Call(error),
            Err(kind) => kind,
        };
        self.route(frame, line, kind)
    }

    pub(super) fn submit(&self, frame: Frame<'_>, segment: u16) {
        if let Err((frame, refused)) = frame.submit(segment) {
            self.refused(frame, segment, Place::Segment(segment), refused);
        }
    }

    /// Does what is left to do where a segment could not be submitted that no code has come to.
    #[cold]
    pub(super) fn refused(&self, frame: Frame<'_>, segment: u16, place: Place, refused: NotSubmitted) {
        if let Some((frame, op)) = self.not_submitted(frame, segment, place, refused) {
            self.run(frame, op);
        }
    }

    /// Gives the frame back if it goes on at a handler. Not run from here: a handler may lead to the same segment.
    #[cold]
    fn not_submitted<'f>(
        &self,
        frame: Frame<'f>,
        segment: u16,
        place: Place,
        refused: NotSubmitted,
    ) -> Option<(Frame<'f>, u32)> {
        match refused {
            NotSubmitted::Busy => self.park(frame, place),
            // The steps before it are due all the same: one by one, up to where it is.
            NotSubmitted::TooLong { member, .. } if member > place.member() => {
                self.take_up(frame, segment, place.member(), place.done(), true);
            }
            NotSubmitted::TooLong { member, len, max } => {
                let pc = self.segment(segment).members[usize::from(member)];
                return self.route(frame, pc, ErrorKind::Bounds { len, max });
            }
        }
        None
    }

    /// The frame fails at a line: it goes on at the handler, or ends.
    pub(super) fn fail(&self, frame: Frame<'_>, line: Pc, kind: ErrorKind) {
        if let Some((frame, op)) = self.route(frame, line, kind) {
            self.run(frame, op);
        }
    }

    /// Where an error of a line leads: to its handler, if it has one and the error can be handled; else the frame ends.
    #[cold]
    pub(super) fn route<'f>(&self, frame: Frame<'f>, line: Pc, kind: ErrorKind) -> Option<(Frame<'f>, u32)> {
        self.lead(frame, line, kind, self.program.0.flow.lines[line].handler)
    }

    /// The same, to the handler given.
    pub(super) fn lead<'f>(
        &self,
        frame: Frame<'f>,
        line: Pc,
        kind: ErrorKind,
        handler: Option<Handler>,
    ) -> Option<(Frame<'f>, u32)> {
        let handler = handler.filter(|_| !frame.is_cancelled());
        let Some((handler, errno)) = handler.zip(kind.errno()) else {
            self.end(frame, Err(self.error(line, kind)));
            return None;
        };
        // A call's own error ends here: its Drop is foreign code.
        quietly(|| drop(kind));
        // The blocks between are left.
        self.disarm(&frame, self.program.0.flow.depth(handler.to));
        if let Some(reg) = handler.errno {
            frame.registers().set(reg.index, errno as u64);
        }
        if self.program.0.flow.lines[handler.to].group.is_none() {
            self.leave_groups(&frame);
        }
        let op = self.lowered.generated.entries[handler.to].expect("code is generated for handlers");
        // The error came first and stands; a deadline around the handler does too.
        match self.check(frame, handler.to, 0) {
            Ok(frame) => Some((frame, op)),
            Err(led) => led,
        }
    }

    #[cold]
    pub(super) fn park(&self, frame: Frame<'_>, place: Place) {
        count(&self.counted.parked);
        self.keep(&frame, place);
        frame.park();
    }

    fn sleep<'f>(&self, frame: Frame<'f>, time: u16, next: u32) -> Option<(Frame<'f>, u32)> {
        let time = std::time::Duration::from_nanos(frame.registers().get(time));
        let alarm = Handle::current().start_alarm(time::now() + time, frame.key());
        // A time that has passed is no reason to wait.
        let Some(alarm) = alarm else { return Some((frame, next)) };
        self.keep(&frame, Place::Op(next));
        frame.registers().set(self.hidden() + 2, alarm.to_bits());
        frame.wait();
        None
    }

    /// Keeps where a frame goes on.
    pub(super) fn keep(&self, frame: &Frame<'_>, place: Place) {
        let words = place.encode();
        frame.registers().set(self.hidden(), words[0]);
        frame.registers().set(self.hidden() + 1, words[1]);
    }

    /// The first of the runner's own registers.
    pub(super) fn hidden(&self) -> u16 {
        self.program.0.layout.registers - HIDDEN
    }

    pub(super) fn segment(&self, number: u16) -> &Segment {
        &self.lowered.segments.all[usize::from(number)]
    }

    /// The line that an op is of.
    pub(super) fn line(&self, op: u32) -> Pc {
        self.lowered.generated.lines[op as usize]
    }

    #[inline]
    fn call(&self, frame: &mut Frame<'_>, native: usize) -> Result<Flow, ErrorKind> {
        let native = &self.program.0.natives[native];
        let index = frame.key().index();
        let called = self
            .sessions
            .with(index, |entry| catch_unwind(AssertUnwindSafe(|| native.run(&mut entry.session, frame))));
        match called {
            Ok(Ok(flow)) => Ok(flow),
            Ok(Err(outside)) => Err(ErrorKind::Bounds { len: outside.len, max: outside.max }),
            Err(panic) => Err(panicked(panic)),
        }
    }

    pub(super) fn line_of(&self, place: Place) -> Pc {
        match place {
            Place::Op(op) => self.line(op),
            Place::Segment(segment) => self.segment(segment).members[0],
            Place::Member { segment, from, .. } => self.segment(segment).members[usize::from(from)],
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
            deadlines: self.counted.deadlines.get(),
        }
    }
}
