//! What goes on in the branches of a frame: between two submissions of a strand, and when one of them ends.
//!
//! ```text
//! a strand joins            -> as many as are needed have: the others are cancelled, and the frame goes on behind the fork
//! a strand fails            -> too few are left: the others are cancelled, and the frame fails as this one did
//! a turn fails before its turn has come -> its strand ends, and the error waits until the turns before it are done
//! the last strand has ended -> the frame's token is back, and what was decided happens
//! ```
//!
//! What was decided stands: whatever the strands that are cancelled then come to changes nothing.

use std::time::Duration;

use chainring_runtime::Handle;
use chainring_runtime::frame::{Frame, Interrupt, NotSubmitted, ResumeStrands, Stop, Strand};
use chainring_runtime::time::{self, Alarm};

use super::place::Place;
use super::runner::{RUNS, Runner, count};
use super::stop::Verdict;
use crate::compile::OF_STRAND;
use crate::compile::branches::Fork;
use crate::compile::code::Exit;
use crate::compile::flow::Pc;
use crate::error::ErrorKind;

/// How far a frame is that runs branches side by side.
pub(super) struct Progress {
    fork: u16,
    /// The line of the fork.
    line: Pc,
    joined: usize,
    failed: usize,
    decided: bool,
    /// What the frame fails with, if it does.
    failure: Option<(Pc, ErrorKind)>,
    /// Of turns: whose it is.
    turn: u16,
    /// A bit for each strand that waits for its turn.
    waiting: u64,
    /// The strand of the first turn that has failed before its turn has come, and what it did.
    pending: Option<(u16, Pc, ErrorKind)>,
}

impl Progress {
    /// A branch has joined or failed. Says whether that decides what becomes of the fork.
    fn ended(&mut self, fork: &Fork, strand: u16, how: Result<(), (Pc, ErrorKind)>) -> bool {
        if self.decided {
            return false;
        }
        match how {
            Ok(()) => self.joined += 1,
            // Nobody but the frame's owner cancels what is not decided.
            Err((line, kind @ ErrorKind::Cancelled { .. })) => {
                (self.decided, self.failure) = (true, Some((line, kind)));
            }
            Err((line, kind)) if fork.is_pipelined() && strand != self.turn => {
                let depth = fork.branches.len() as u16;
                let turns_until = |other: u16| (other + depth - self.turn) % depth;
                if self.pending.as_ref().is_none_or(|first| turns_until(strand) < turns_until(first.0)) {
                    self.pending = Some((strand, line, kind));
                }
            }
            Err((line, kind)) => {
                self.failed += 1;
                if fork.is_pipelined() || fork.branches.len() - self.failed < fork.need {
                    (self.decided, self.failure) = (true, Some((line, kind)));
                }
            }
        }
        self.decided |= self.joined >= fork.need;
        self.decided
    }

    /// The turn of one strand is done: it is that of the next one. Gives what that has failed with, if it has.
    fn pass(&mut self, fork: &Fork) -> Option<(Pc, ErrorKind)> {
        self.turn = (self.turn + 1) % fork.branches.len() as u16;
        let (_, line, kind) = self.pending.take_if(|(strand, ..)| *strand == self.turn)?;
        Some((line, kind))
    }
}

impl<S: 'static> ResumeStrands for Runner<S> {
    fn strand_interrupted(&self, strand: Strand<'_>, interrupt: Interrupt) {
        if let Some((strand, op)) = self.strand_interrupt(strand, interrupt) {
            self.run_strand(strand, op);
        }
    }

    fn strand_stopped(&self, strand: Strand<'_>, stop: Stop) {
        match self.judge(&stop) {
            Verdict::Fail(line, kind) => self.fail_strand(strand, line, kind),
            Verdict::TakeUp { from, done, alone } => {
                self.take_up_strand(strand, stop.segment, from, done, alone)
            }
            Verdict::AwaitPooled { .. } => unreachable!("no step in a branch fills a pooled buffer"),
            Verdict::Finish => unreachable!("no step in a branch finishes the frame"),
        }
    }

    fn strand_unparked(&self, strand: Strand<'_>) {
        let kept = self.kept_by(strand.number());
        let [a, b, alarm] = [0, 1, 2].map(|i| strand.registers().get(kept + i));
        let place = Place::decode([a, b]);
        let mut line = self.line_of(place);
        if alarm != 0 {
            let (core, alarm) = (Handle::current(), Alarm::from_bits(alarm));
            if core.alarm_waits(alarm) && !strand.is_cancelled() {
                return strand.wait();
            }
            strand.registers().set(kept + 2, 0);
            core.stop_alarm(alarm);
            if let Place::Op(behind) = place {
                line = self.line(behind - 1);
            }
        }
        if strand.is_cancelled() {
            return self.fail_strand(strand, line, ErrorKind::Cancelled { done: 0 });
        }
        match place {
            Place::Op(op) => self.run_strand(strand, op),
            Place::Segment(segment) => {
                if let Err((strand, refused)) = strand.submit(segment) {
                    self.strand_refused(strand, segment, place, refused);
                }
            }
            Place::Member { segment, from, done, alone } => {
                self.take_up_strand(strand, segment, from, done, alone);
            }
        }
    }
}

impl<S: 'static> Runner<S> {
    /// Starts the branches of a fork.
    pub(super) fn fork(&self, frame: Frame<'_>, line: Pc, number: u16) {
        let progress = Progress {
            fork: number,
            line,
            joined: 0,
            failed: 0,
            decided: false,
            failure: None,
            turn: 0,
            waiting: 0,
            pending: None,
        };
        self.forks.put(frame.key().index(), progress);
        let branches = &self.program.0.flow.forks[usize::from(number)].branches;
        for (strand, lines) in (0..).zip(branches) {
            let op = self.lowered.generated.entries[lines.start].expect("code is generated for branches");
            let words = Place::Op(op).encode();
            let kept = self.kept_by(strand);
            [words[0], words[1], 0]
                .into_iter()
                .zip(kept..)
                .for_each(|(word, reg)| frame.registers().set(reg, word));
        }
        frame.fork(number);
    }

    /// The first of the registers that the runner keeps for a strand.
    fn kept_by(&self, strand: u16) -> u16 {
        let program = &self.program.0;
        self.hidden() - program.deadlines - OF_STRAND * (program.flow.strands() - strand)
    }

    fn keep_strand(&self, strand: &Strand<'_>, place: Place) {
        let kept = self.kept_by(strand.number());
        place.encode().into_iter().zip(kept..).for_each(|(word, reg)| strand.registers().set(reg, word));
    }

    fn park_strand(&self, strand: Strand<'_>, place: Place) {
        count(&self.counted.parked);
        self.keep_strand(&strand, place);
        strand.park();
    }

    /// Runs code from an op on until the strand submits, waits or ends.
    fn run_strand(&self, mut strand: Strand<'_>, mut op: u32) {
        for _ in 0..RUNS {
            let Err((back, interrupt)) = strand.run(op) else { return };
            let Some(next) = self.strand_interrupt(back, interrupt) else { return };
            (strand, op) = next;
        }
        self.park_strand(strand, Place::Op(op));
    }

    /// Does what code has left to the runner. Gives the strand back if it goes on, and with which op.
    fn strand_interrupt<'f>(&self, strand: Strand<'f>, interrupt: Interrupt) -> Option<(Strand<'f>, u32)> {
        match interrupt {
            Interrupt::Left(exit) => match self.lowered.generated.exits[exit as usize] {
                Exit::Ensure(line, code) => return self.route_strand(strand, line, ErrorKind::Ensure(code)),
                Exit::Fail { line, errno } => {
                    let kind = ErrorKind::failed(strand.registers().get(errno));
                    return self.route_strand(strand, line, kind);
                }
                Exit::Sleep { time, next } => return self.strand_sleep(strand, time, next),
                Exit::Join { line } => self.end_strand(strand, line, Ok(())),
                Exit::InOrder { here } => return self.wait_for_turn(strand, here),
                Exit::Pass { line, next } => return self.pass(strand, line, next),
                Exit::Finish | Exit::Call { .. } | Exit::Fetch { .. } | Exit::Store { .. } => {
                    unreachable!("`build` refuses it in a branch")
                }
                Exit::Arm { .. } | Exit::Disarm { .. } | Exit::Fork { .. } | Exit::Sync { .. } => {
                    unreachable!("`build` refuses it in a branch")
                }
                Exit::MakePipe { .. } | Exit::Late { .. } => {
                    unreachable!("`build` refuses it, or what it belongs to, in a branch")
                }
            },
            Interrupt::Trapped { pc, trap } => {
                return self.route_strand(strand, self.line(pc), trap.into());
            }
            Interrupt::Spent { pc } => self.park_strand(strand, Place::Op(pc)),
            Interrupt::NotSubmitted { segment, reason } => {
                return self.strand_not_submitted(strand, segment, Place::Segment(segment), reason);
            }
        }
        None
    }

    fn strand_refused(&self, strand: Strand<'_>, segment: u16, place: Place, refused: NotSubmitted) {
        if let Some((strand, op)) = self.strand_not_submitted(strand, segment, place, refused) {
            self.run_strand(strand, op);
        }
    }

    /// As for a frame.
    fn strand_not_submitted<'f>(
        &self,
        strand: Strand<'f>,
        segment: u16,
        place: Place,
        refused: NotSubmitted,
    ) -> Option<(Strand<'f>, u32)> {
        match refused {
            NotSubmitted::Busy => self.park_strand(strand, place),
            NotSubmitted::TooLong { member, .. } if member > place.member() => {
                self.take_up_strand(strand, segment, place.member(), place.done(), true);
            }
            NotSubmitted::TooLong { member, len, max } => {
                let line = self.segment(segment).members[usize::from(member)];
                return self.route_strand(strand, line, ErrorKind::Bounds { len, max });
            }
        }
        None
    }

    fn take_up_strand(&self, strand: Strand<'_>, segment: u16, from: u8, done: u32, alone: bool) {
        if let Err((strand, refused)) = strand.submit_from(segment, from, done, alone) {
            self.strand_refused(strand, segment, Place::Member { segment, from, done, alone }, refused);
        }
    }

    fn fail_strand(&self, strand: Strand<'_>, line: Pc, kind: ErrorKind) {
        if let Some((strand, op)) = self.route_strand(strand, line, kind) {
            self.run_strand(strand, op);
        }
    }

    /// Where an error of a line leads: to a handler inside of the branch, or the branch has failed.
    fn route_strand<'f>(&self, strand: Strand<'f>, line: Pc, kind: ErrorKind) -> Option<(Strand<'f>, u32)> {
        let lines = &self.program.0.flow.lines;
        let inside = lines[line].handler.filter(|handler| lines[handler.to].branch == lines[line].branch);
        let handler = inside.filter(|_| !strand.is_cancelled()).zip(kind.errno());
        let Some((handler, errno)) = handler else {
            self.end_strand(strand, line, Err(kind));
            return None;
        };
        if let Some(reg) = handler.errno {
            strand.registers().set(reg.index, errno as u64);
        }
        let op = self.lowered.generated.entries[handler.to].expect("code is generated for handlers");
        Some((strand, op))
    }

    fn strand_sleep<'f>(&self, strand: Strand<'f>, time: u16, next: u32) -> Option<(Strand<'f>, u32)> {
        let time = Duration::from_nanos(strand.registers().get(time));
        let alarm = Handle::current().start_alarm(time::now() + time, strand.key());
        let Some(alarm) = alarm else { return Some((strand, next)) };
        self.keep_strand(&strand, Place::Op(next));
        strand.registers().set(self.kept_by(strand.number()) + 2, alarm.to_bits());
        strand.wait();
        None
    }

    fn wait_for_turn<'f>(&self, strand: Strand<'f>, here: u32) -> Option<(Strand<'f>, u32)> {
        let number = strand.number();
        let is_its_turn = self.forks.with(strand.frame().index(), |progress| {
            if progress.turn != number {
                progress.waiting |= 1 << number;
            }
            progress.turn == number
        });
        if is_its_turn {
            return Some((strand, here + 1));
        }
        self.keep_strand(&strand, Place::Op(here));
        strand.wait();
        None
    }

    /// A turn is done: the next one goes on, and this strand with a later one.
    fn pass<'f>(&self, strand: Strand<'f>, line: Pc, next: u32) -> Option<(Strand<'f>, u32)> {
        let (failed, turn, waits) = self.forks.with(strand.frame().index(), |progress| {
            let failed = progress.pass(&self.program.0.flow.forks[usize::from(progress.fork)]);
            let bit = 1 << progress.turn;
            let waits = progress.waiting & bit != 0;
            progress.waiting &= !bit;
            (failed, progress.turn, waits)
        });
        if let Some((line, kind)) = failed {
            self.end_strand_for(turn, strand, line, Err(kind));
            return None;
        }
        if strand.is_cancelled() {
            self.end_strand(strand, line, Err(ErrorKind::Cancelled { done: 0 }));
            return None;
        }
        if waits {
            strand.wake(turn);
        }
        Some((strand, next))
    }

    /// A strand has come to its end.
    fn end_strand(&self, strand: Strand<'_>, line: Pc, how: Result<(), ErrorKind>) {
        self.end_strand_for(strand.number(), strand, line, how);
    }

    /// The same, where the end is what another strand has come to before.
    fn end_strand_for(&self, whose: u16, strand: Strand<'_>, line: Pc, how: Result<(), ErrorKind>) {
        if let Err(ErrorKind::Cancelled { done }) = &how
            && strand.is_frame_interrupted()
        {
            self.note_done(strand.registers(), line, *done);
        }
        let strands = self.forks.with(strand.frame().index(), |progress| {
            let fork = &self.program.0.flow.forks[usize::from(progress.fork)];
            let decided = progress.ended(fork, whose, how.map_err(|kind| (line, kind)));
            if decided { fork.branches.len() as u16 } else { 0 }
        });
        (0..strands).for_each(|other| strand.cancel(other));
        if let Some(frame) = strand.end() {
            self.behind(frame);
        }
    }

    /// All strands of a frame have ended.
    fn behind(&self, frame: Frame<'_>) {
        let progress = self.forks.take(frame.key().index()).expect("a frame that forks has made it");
        let next = self.program.0.flow.forks[usize::from(progress.fork)].next;
        match progress.failure {
            // Nobody has cancelled the frame: a deadline has passed.
            Some((line, ErrorKind::Cancelled { done })) if !frame.is_cancelled() => {
                match self.check(frame, line, done) {
                    Ok(frame) => self.fail(frame, line, ErrorKind::Errno(libc::ECANCELED)),
                    Err(led) => self.follow(led),
                }
            }
            Some((line, kind)) => self.fail(frame, line, kind),
            None if frame.is_cancelled() => {
                self.fail(frame, progress.line, ErrorKind::Cancelled { done: 0 });
            }
            None => match self.check(frame, next, 0) {
                Ok(frame) => {
                    let op = self.lowered.generated.entries[next];
                    self.run(frame, op.expect("code is generated for what follows"));
                }
                Err(led) => self.follow(led),
            },
        }
    }
}
