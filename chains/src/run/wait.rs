//! Steps on what frames, tasks and cores share.
//!
//! A frame that has to wait is parked at its step, with a *ticket* in a hidden register that says how far the step has
//! come. When it is called the step is done again. Whoever stops a frame that waits, because it is cancelled, gives the
//! ticket up first.

use std::task::Poll;

use chainring_runtime::frame::Frame;
use chainring_runtime::{Handle, Key};

use super::place::Place;
use super::runner::Runner;
use crate::access::{OutOfBounds, slice};
use crate::compile::flow::{Inst, Pc};
use crate::error::ErrorKind;
use crate::handle::{Reg, Span, Word};
use crate::sync::{Event, Futex, NotCommitted, Sync, Ticket, Waiter};

/// What a step of this kind has come to.
enum Went {
    Done,
    Waits,
}

impl<S: 'static> Runner<S> {
    /// Does the step of a line, or goes on with it. Gives the frame back if it goes on, and with which op.
    pub(super) fn share<'f>(&self, frame: Frame<'f>, line: Pc, next: u32) -> Option<(Frame<'f>, u32)> {
        let Inst::Sync(step) = &self.program.0.flow.lines[line].inst else {
            unreachable!("the exit of a line that is none of these");
        };
        let ticket = frame.registers().get(self.ticket());
        let (ticket, went) = self.step(&frame, step, ticket);
        frame.registers().set(self.ticket(), ticket);
        match went {
            // What it has waited for has come before a deadline struck, or after it: what follows is late.
            Ok(Went::Done) => match self.check(frame, self.line(next), 0) {
                Ok(frame) => Some((frame, next)),
                Err(led) => led,
            },
            Ok(Went::Waits) => {
                // The op of the step lies before the one behind it.
                self.keep(&frame, Place::Op(next - 1));
                frame.wait();
                None
            }
            Err(kind) => self.route(frame, line, kind),
        }
    }

    /// Gives the ticket of the step that it is, or was, done with; 0 if there is none any more.
    fn step(&self, frame: &Frame<'_>, step: &Sync<Reg>, ticket: u64) -> (u64, Result<Went, ErrorKind>) {
        let key = frame.key();
        match step {
            Sync::Enter(group) => {
                let group = &self.states.groups[usize::from(*group)];
                let inside = if ticket == 0 { group.enter(key) } else { group.is_held_by(key) };
                if inside { (0, Ok(Went::Done)) } else { (1, Ok(Went::Waits)) }
            }
            Sync::Leave(group) => {
                self.states.groups[usize::from(*group)].leave(&Handle::current(), key);
                (0, Ok(Went::Done))
            }
            Sync::Wait(event) => {
                let posts = &self.states.events[usize::from(*event)];
                // Its number among those who wait, and one.
                match ticket.checked_sub(1) {
                    Some(number) if posts.take(number) => (0, Ok(Went::Done)),
                    Some(_) => (ticket, Ok(Went::Waits)),
                    None => match posts.wait(|| Waiter::Frame(key)) {
                        Ok(()) => (0, Ok(Went::Done)),
                        Err(number) => (number + 1, Ok(Went::Waits)),
                    },
                }
            }
            Sync::Notify { event, core } => {
                let core = core.map(|core| frame.registers().get(core.index));
                let posted = self.notify(usize::from(*event), core);
                let nobody = ErrorKind::Errno(libc::ENXIO);
                (0, if posted { Ok(Went::Done) } else { Err(nobody) })
            }
            Sync::FutexWait { word, expected } => {
                let expected = frame.registers().get(expected.index);
                // No such word holds what has more bits.
                let Ok(expected) = u32::try_from(expected) else { return (0, Ok(Went::Done)) };
                self.futex(key, *word, Futex::Wait(expected), ticket, |_| {})
            }
            Sync::FutexWake { word, count, into } => {
                let count = frame.registers().get(count.index).min(i32::MAX as u64) as u32;
                self.futex(key, *word, Futex::Wake(count), ticket, |woken| {
                    into.iter().for_each(|into| frame.registers().set(into.index, woken));
                })
            }
            Sync::Commit { log, spans, into, .. } => {
                let mut ticket = Ticket::from_bits(ticket);
                match self.commit(frame, *log, spans, &mut ticket) {
                    Err(kind) => (0, Err(kind)),
                    Ok(Poll::Pending) => (ticket.map_or(0, Ticket::to_bits), Ok(Went::Waits)),
                    Ok(Poll::Ready(position)) => {
                        into.iter().for_each(|into| frame.registers().set(into.index, position));
                        (0, Ok(Went::Done))
                    }
                }
            }
        }
    }

    /// Posts an event on this core, or on that of a number; false if there is none.
    fn notify(&self, event: usize, core: Option<u64>) -> bool {
        let own = Handle::current();
        let Some(number) = core else {
            self.states.events[event].post(&own);
            return true;
        };
        let event: &Event = &self.program.0.things.events[event];
        let group = own.in_group();
        let other = group.as_ref().zip(usize::try_from(number).ok());
        other.is_some_and(|(group, number)| number < group.count() && event.notify_on(&group.core(number)))
    }

    fn futex(
        &self,
        frame: Key,
        word: Word,
        what: Futex,
        ticket: u64,
        done: impl FnOnce(u64),
    ) -> (u64, Result<Went, ErrorKind>) {
        let futexes = &self.states.futexes;
        // The number of the step, and one.
        let number = ticket.checked_sub(1).map_or_else(
            || {
                let word = self.program.0.things.words[usize::from(word.index)].futex();
                let word = word.expect("`build` looks that it is one").clone();
                futexes.begin(&Handle::current(), frame, word, what)
            },
            |number| number as usize,
        );
        match futexes.poll(number) {
            Poll::Pending => (number as u64 + 1, Ok(Went::Waits)),
            Poll::Ready(Ok(result)) => {
                done(result);
                (0, Ok(Went::Done))
            }
            Poll::Ready(Err(errno)) => (0, Err(ErrorKind::Errno(errno))),
        }
    }

    fn commit(
        &self,
        frame: &Frame<'_>,
        log: u16,
        spans: &[Span],
        ticket: &mut Option<Ticket>,
    ) -> Result<Poll<u64>, ErrorKind> {
        let log = &self.states.logs[usize::from(log)];
        let bounds = |outside: OutOfBounds| ErrorKind::Bounds { len: outside.len, max: outside.max };
        spans.iter().try_for_each(|span| slice(frame, span).map(drop)).map_err(bounds)?;
        let parts = spans.iter().filter_map(|span| slice(frame, span).ok());
        match log.commit_of(frame.key(), ticket, parts) {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Ok(position)) => Ok(Poll::Ready(position)),
            Poll::Ready(Err(NotCommitted::Failed(errno))) => Err(ErrorKind::Errno(errno)),
            Poll::Ready(Err(NotCommitted::TooLong { len })) => {
                Err(ErrorKind::Bounds { len, max: log.longest() })
            }
        }
    }

    /// Whether the frame, which goes on at this line, waits for something that is there.
    pub(super) fn has_come(&self, frame: &Frame<'_>, line: Pc) -> bool {
        let ticket = frame.registers().get(self.ticket());
        match &self.program.0.flow.lines[line].inst {
            Inst::Sync(_) if ticket == 0 => false,
            Inst::Sync(Sync::Enter(group)) => self.states.groups[usize::from(*group)].is_held_by(frame.key()),
            Inst::Sync(Sync::Wait(event)) => self.states.events[usize::from(*event)].has_come(ticket - 1),
            Inst::Sync(Sync::FutexWait { .. } | Sync::FutexWake { .. }) => {
                self.states.futexes.is_done((ticket - 1) as usize)
            }
            Inst::Sync(Sync::Commit { log, .. }) => {
                let log = &self.states.logs[usize::from(*log)];
                Ticket::from_bits(ticket).is_some_and(|ticket| log.is_decided(ticket))
            }
            _ => false,
        }
    }

    /// The frame goes on with something else than the step that it waits in, if it waits in one.
    pub(super) fn give_up(&self, frame: &Frame<'_>, line: Pc) {
        let ticket = frame.registers().get(self.ticket());
        let Inst::Sync(step) = &self.program.0.flow.lines[line].inst else { return };
        if ticket == 0 {
            return;
        }
        frame.registers().set(self.ticket(), 0);
        match step {
            Sync::Enter(group) => {
                self.states.groups[usize::from(*group)].give_up(&Handle::current(), frame.key());
            }
            Sync::Leave(_) | Sync::Notify { .. } => {}
            Sync::FutexWait { .. } | Sync::FutexWake { .. } => {
                self.states.futexes.give_up((ticket - 1) as usize);
            }
            Sync::Wait(event) => {
                self.states.events[usize::from(*event)].give_up(&Handle::current(), ticket - 1);
            }
            Sync::Commit { log, .. } => {
                let ticket = Ticket::from_bits(ticket);
                ticket.into_iter().for_each(|ticket| self.states.logs[usize::from(*log)].give_up(ticket));
            }
        }
    }

    /// The frame is outside of every group from here on.
    pub(super) fn leave_groups(&self, frame: &Frame<'_>) {
        // Who holds none may end outside of the runtime, where nobody is to be called.
        let held = self.states.groups.iter().filter(|group| group.is_held_by(frame.key()));
        held.for_each(|group| group.leave(&Handle::current(), frame.key()));
    }

    fn ticket(&self) -> u16 {
        self.hidden() + 3
    }
}
