//! Deadlines of blocks.
//!
//! Each depth of nesting has a hidden register with the alarm of the block that the frame is in, or zero. When an alarm is
//! due, the frames' region cancels what the frame has in flight, or makes its turn come; the runner then looks at the line
//! where the frame is about to go on:
//!
//! ```text
//! what was in flight   was cancelled, or came short      -> the deadline strikes at its step
//!                      succeeded                         -> at the line behind it
//!                      failed by itself                  -> at the handler of that error
//! parked                                                 -> at the line where it is to go on
//! branches             of which not enough had ended     -> at the step of the first that was cancelled
//!                      else                              -> at the line behind them
//!
//! it strikes if the next step there stands under a deadline whose alarm is over; of several, the outermost
//! ```
//!
//! A block is left through its `Disarm`, through a handler further out, or by the end of the frame, and each of them stops
//! the alarms of all blocks that are left. So no alarm outlives its block, and one that is over has struck or is about to.

use std::time::Duration;

use chainring_runtime::Handle;
use chainring_runtime::frame::{Frame, Registers, Stop, Then};
use chainring_runtime::time::Alarm;

use super::runner::{Runner, count};
use super::stop::ERESTARTSYS;
use crate::compile::HIDDEN;
use crate::compile::flow::{self, Pc};
use crate::error::ErrorKind;
use crate::handle::{Span, SpanLen};

/// In place of an alarm whose time was up when it was started: names nothing, like one that is over.
const OVER: u64 = 1 << 32;

/// A frame that goes on as it was about to, or where a deadline has led it; nothing if it has ended.
type Checked<'f> = Result<Frame<'f>, Option<(Frame<'f>, u32)>>;

impl<S: 'static> Runner<S> {
    /// The register with the alarm of a depth.
    fn alarm(&self, depth: u16) -> u16 {
        let program = &self.program.0;
        program.layout.registers - HIDDEN - program.deadlines + depth
    }

    /// Starts the deadline of a block. Gives the frame back if it goes on, and with which op.
    pub(super) fn arm<'f>(
        &self,
        frame: Frame<'f>,
        time: u16,
        depth: u16,
        next: u32,
    ) -> Option<(Frame<'f>, u32)> {
        let time = Duration::from_nanos(frame.registers().get(time));
        let alarm = Handle::current().start_deadline(time, frame.key());
        frame.registers().set(self.alarm(depth), alarm.map_or(OVER, Alarm::to_bits));
        if alarm.is_some() {
            return Some((frame, next));
        }
        match self.strike(frame, self.line(next), 0) {
            Ok(frame) => Some((frame, next)),
            Err(led) => led,
        }
    }

    /// Ends the deadlines of this depth and deeper.
    pub(super) fn disarm(&self, frame: &Frame<'_>, depth: u16) {
        for depth in depth..self.program.0.deadlines {
            let bits = frame.registers().get(self.alarm(depth));
            if bits != 0 {
                frame.registers().set(self.alarm(depth), 0);
                Handle::current().stop_alarm(Alarm::from_bits(bits));
            }
        }
    }

    /// If the frame was interrupted, its deadline strikes at the line where it is to go on, of whose step `done` bytes are
    /// transferred.
    pub(super) fn check<'f>(&self, frame: Frame<'f>, line: Pc, done: u32) -> Checked<'f> {
        if frame.take_interrupt() { self.strike(frame, line, done) } else { Ok(frame) }
    }

    #[cold]
    fn strike<'f>(&self, frame: Frame<'f>, line: Pc, done: u32) -> Checked<'f> {
        let (flow, core) = (&self.program.0.flow, Handle::current());
        // A block that has nothing left to do was in time.
        let line = flow.next_step(line);
        let is_over = |depth| {
            let bits = frame.registers().get(self.alarm(depth));
            !core.alarm_waits(Alarm::from_bits(bits))
        };
        let Some(scope) = flow.deadlines(line).filter(|scope| is_over(scope.depth)).last() else {
            return Ok(frame);
        };
        count(&self.counted.deadlines);
        self.note_done(frame.registers(), line, done);
        self.abandon(&frame, line);
        Err(self.lead(frame, line, ErrorKind::Deadline, flow.lines[scope.arm].handler))
    }

    /// Puts the bytes that the step of a line has transferred into the register that takes its count.
    pub(super) fn note_done(&self, registers: Registers<'_>, line: Pc, done: u32) {
        let flow = &self.program.0.flow;
        let Some(io) = flow::io(flow, line).filter(|io| io.verb.transfers()) else { return };
        let Some(reg) = io.into.or(io.partial) else { return };
        let len = |span: &Span| match span.len {
            SpanLen::Fixed(len) => u64::from(len),
            SpanLen::Reg(reg) => registers.get(reg.index),
        };
        // Those of its members that are done as a whole.
        let step = flow.lines[line].step;
        let before = flow.lines[..line].iter().enumerate().rev().take_while(|(_, line)| line.step == step);
        let members = before.filter_map(|(pc, _)| flow::io(flow, pc));
        let whole = members.flat_map(|io| &io.spans).map(len).fold(0, u64::wrapping_add);
        registers.set(reg.index, whole.wrapping_add(done.into()));
    }

    /// What was in flight when the deadline passed has come to its end. Gives the frame back if that is to be dealt with
    /// as ever.
    #[cold]
    pub(super) fn late<'f>(&self, frame: Frame<'f>, stop: &Stop) -> Option<Frame<'f>> {
        let segment = self.segment(stop.segment);
        let next = usize::from(stop.member) + 1;
        let (line, done) = if !stop.succeeded {
            let cancelled = [-libc::ECANCELED, -libc::EINTR, -ERESTARTSYS].contains(&stop.result);
            if !cancelled && stop.result <= 0 {
                return Some(frame);
            }
            (segment.members[next - 1], stop.done)
        } else if let Some(member) = segment.members.get(next) {
            (*member, 0)
        } else {
            // What is left of the step needs nothing in flight: the interrupt stands until it is done.
            let rest = self.lowered.generated.late.iter().find(|(line, _)| *line == segment.next);
            match rest {
                Some((_, op)) => self.run(frame, *op),
                None => self.late_at(frame, segment.next),
            }
            return None;
        };
        match self.check(frame, line, done) {
            Ok(frame) => return Some(frame),
            Err(led) => self.follow(led),
        }
        None
    }

    /// A step has succeeded that was in flight when the deadline passed, and the frame is to go on at this line.
    pub(super) fn late_at(&self, frame: Frame<'_>, line: Pc) {
        let line = flow::follow(&self.program.0.flow, line);
        let frame = match self.check(frame, line, 0) {
            Ok(frame) => frame,
            Err(led) => return self.follow(led),
        };
        match self.lowered.generated.then(line, &self.lowered.segments) {
            Then::Segment(segment) => self.submit(frame, segment),
            Then::Code(op) => self.run(frame, op),
            Then::Resume => unreachable!("the plan of every segment says what follows it"),
        }
    }

    /// Goes where a deadline has led, if anywhere.
    pub(super) fn follow(&self, led: Option<(Frame<'_>, u32)>) {
        if let Some((frame, op)) = led {
            self.run(frame, op);
        }
    }
}
