//! The twin: a program executed step by step, each with plain blocking system calls, and nothing clever anywhere.
//!
//! Two things are noted on the way that only the comparison needs. A [`Visit`] for every step that does I/O says how
//! much had been written down and sent when it began and when it ended: where a fault can strike. And [`Twin::counts`]
//! tells it how much each recv brought on the other side, which the kernel is free to choose: it takes as much.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter};
use std::net::{Shutdown, TcpListener};
use std::ops::Range;
use std::rc::Rc;

use socket2::Socket;

use super::blocking_files::Open;
use super::disk::Disk;
use super::ends::Ends;
use super::program::{
    ALL_REGS, BUFS, Block, CONSTANT, Count, FILES, HELD, HELD_FROM, Kind, Len, POOLED, Program, REGS,
    SOCKETS, Span, Step, WORDS, constant,
};
use super::report::{ANY, Ended, Failure, Report, Strike, Verb, Visit};

pub(crate) struct Twin<'p> {
    pub(super) sockets: [Option<Rc<Socket>>; SOCKETS],
    pub(super) listener: Option<TcpListener>,
    pub(super) pipe: Option<(PipeReader, PipeWriter)>,
    pub(super) disk: Option<&'p Disk>,
    pub(super) files: [Option<Open>; FILES],
    pub(super) regs: [u64; ALL_REGS],
    pub(super) bufs: Vec<Vec<u8>>,
    pub(super) outbox: Vec<u8>,
    /// Of buffers that are not a frame's own at all times: how much has come.
    pub(super) have: [Option<usize>; BUFS.len()],
    pub(super) words: [u64; WORDS],
    /// Of the event, that nobody has taken.
    pub(super) posts: u64,
    pub(super) log: Option<std::fs::File>,
    pub(super) logged_bytes: u64,
    /// Of the blocks that it is in.
    pub(super) deadlines: Vec<u64>,
    /// What calls have noted there, and at which steps.
    pub(super) counts: VecDeque<(u32, u64)>,
    /// The call whose note was last made use of, before it is called here.
    pub(super) known: Option<u32>,
    /// What the injector calls the step at hand.
    verb: Option<&'static str>,
    strike: Option<Strike>,
    /// Whether reads may have come short there, although there was more.
    pub(super) shortened: bool,
    /// Whether visits are to note what the files hold.
    snapshots: bool,
    /// How much the streams may still bring is unknown from here on: a [`Count::Free`] has been met.
    loose: bool,
    steps: u32,
    pub(crate) report: Report,
}

/// What a twin is to know of the run that it is compared with.
#[derive(Clone, Default)]
pub(crate) struct Hints {
    /// What its calls have noted of how much came or went, and their steps.
    pub(crate) counts: VecDeque<(u32, u64)>,
    pub(crate) strike: Option<Strike>,
    pub(crate) shortened: bool,
    pub(crate) snapshots: bool,
}

/// Where a program goes on.
pub(super) enum Way {
    On,
    Again,
    Leave,
    Finish,
    Fail(u32, Failure),
    /// It waits until it is cancelled.
    Never,
}

/// What was sent when a turn of an endless echo was done, until it has ended.
const UNKNOWN: [usize; SOCKETS] = [usize::MAX; SOCKETS];

/// No program of the strategies takes as many steps.
const ENDLESS: u32 = 2_000_000;

impl<'p> Twin<'p> {
    /// Runs `program` to its end. Gives the sockets that it has then, too.
    pub(crate) fn run(
        program: &Program,
        ends: Ends,
        disk: Option<&'p Disk>,
        hints: Hints,
    ) -> (Ended, Report, [Option<Rc<Socket>>; SOCKETS]) {
        let mut regs = [0; ALL_REGS];
        regs[..REGS].copy_from_slice(&program.params.map(|value| value.unwrap_or(0)));
        let mut bufs = BUFS.map(|len| vec![0; len as usize]);
        bufs[CONSTANT] = constant();
        let mut given = ends.sockets.into_iter();
        let mut twin = Twin {
            sockets: std::array::from_fn(|_| given.next().map(Rc::new)),
            listener: ends.listener,
            pipe: ends.pipe,
            disk,
            files: [disk.map(|disk| Open::new(disk.given(), libc::O_RDWR)), None],
            regs,
            bufs: bufs.into(),
            outbox: Vec::new(),
            have: std::array::from_fn(|buf| (buf >= POOLED).then_some(0)),
            words: [0; WORDS],
            posts: 0,
            log: None,
            logged_bytes: 0,
            deadlines: Vec::new(),
            counts: hints.counts,
            known: None,
            verb: None,
            strike: hints.strike,
            shortened: hints.shortened,
            snapshots: hints.snapshots,
            loose: false,
            steps: 0,
            report: Report::default(),
        };
        let ended = match twin.block(&program.body) {
            Way::On | Way::Finish => Ok(()),
            Way::Fail(step, Failure::Deadline(_)) => Err((step, Failure::Deadline(0))),
            Way::Fail(step, failure) => Err((step, failure)),
            Way::Again | Way::Leave => unreachable!("outside of a loop these are refused"),
            Way::Never => unreachable!("the strategies made a program that waits for ever"),
        };
        twin.report.loose = twin.loose;
        let total = twin.sent();
        // What each turn of an endless echo sends is not the same on both sides, only what all of them send.
        twin.report
            .visits
            .iter_mut()
            .filter(|visit| visit.after == UNKNOWN)
            .for_each(|visit| visit.after = total);
        (ended, twin.report, twin.sockets)
    }

    pub(super) fn block(&mut self, block: &Block) -> Way {
        for step in block {
            match self.step(step) {
                Way::On => {}
                way => return way,
            }
        }
        Way::On
    }

    fn step(&mut self, Step { number, kind }: &Step) -> Way {
        self.steps += 1;
        assert!(self.steps < ENDLESS, "the strategies made a program that does not end");
        if let Some(arm) = kind.arm() {
            *self.report.arms.entry(arm).or_default() += 1;
        }
        self.verb = kind.verb();
        let way = self.kind(*number, kind);
        // The end of a stream or file keeps what is behind it from being done, too.
        let ends = matches!(way, Way::Finish) && kind.blocks().is_empty();
        self.report.failed |= ends || matches!(way, Way::Fail(step, _) if step == *number);
        way
    }

    fn kind(&mut self, number: u32, kind: &Kind) -> Way {
        match kind {
            Kind::Recv { socket, span, into, or_finish, count } => {
                self.visit(number, Verb::Recv, *socket, |twin| {
                    twin.loose |= *count == Count::Free;
                    twin.recv(number, *socket, span, *into, *or_finish, *count)
                })
            }
            Kind::RecvExact { socket, span, into, or_finish } => {
                self.visit(number, Verb::RecvExact, *socket, |twin| {
                    twin.recv_exact(number, *socket, span, *into, *or_finish)
                })
            }
            Kind::SendAll { socket, spans, into } => {
                self.visit(number, Verb::Send, *socket, |twin| twin.send_all(number, *socket, spans, *into))
            }
            Kind::Send { socket, span, into } => {
                self.visit(number, Verb::Send, *socket, |twin| twin.send(number, *socket, span, *into))
            }
            Kind::Fill { socket, or_finish } => self.visit(number, Verb::Recv, *socket, |twin| {
                twin.fill(number, *socket, *or_finish).unwrap_or_else(|failure| Way::Fail(number, failure))
            }),
            Kind::Consume { len } => match self.value(len) {
                Ok(len) if len <= self.regs[HELD] => {
                    self.regs[HELD_FROM] += len;
                    self.regs[HELD] -= len;
                    Way::On
                }
                Ok(_) => Way::Fail(number, Failure::Ensure(libc::EMSGSIZE)),
                Err(failure) => Way::Fail(number, failure),
            },
            Kind::Shutdown { socket } => self.visit(number, Verb::Shutdown, *socket, |twin| {
                if let Err(failure) = twin.strike() {
                    return Way::Fail(number, failure);
                }
                match twin.wire(*socket).shutdown(Shutdown::Write) {
                    Ok(()) => Way::On,
                    Err(error) => Way::Fail(number, errno(&error)),
                }
            }),
            Kind::SendOutbox { socket } => {
                self.visit(number, Verb::Send, *socket, |twin| twin.send_outbox(number, *socket))
            }
            Kind::Set { .. }
            | Kind::Store { .. }
            | Kind::Copy { .. }
            | Kind::Append { .. }
            | Kind::AppendNumber { .. } => match self.compute(kind) {
                Ok(()) => Way::On,
                Err(failure) => Way::Fail(number, failure),
            },
            Kind::Sleep { time } => match self.value(time) {
                Ok(time) => self.sleep(number, time),
                Err(failure) => Way::Fail(number, failure),
            },
            Kind::SetWord { .. }
            | Kind::FetchAdd { .. }
            | Kind::Exchange { .. }
            | Kind::FutexWake { .. }
            | Kind::Notify
            | Kind::Wait
            | Kind::Commit { .. }
            | Kind::Fetch { .. } => match self.shared(kind) {
                Ok(()) => Way::On,
                Err(failure) => Way::Fail(number, failure),
            },
            Kind::Nop => Way::On,
            Kind::FutexWait { word, expected } => match self.value(expected) {
                Ok(expected) => self.wait_for(number, *word, expected),
                Err(failure) => Way::Fail(number, failure),
            },
            Kind::Accept => self.accept().unwrap_or_else(|failure| Way::Fail(number, failure)),
            Kind::Poll { what, events, into } => {
                self.poll(number, *what, *events, *into).unwrap_or_else(|failure| Way::Fail(number, failure))
            }
            Kind::Rename { .. } | Kind::Remove { .. } => {
                self.name(kind).unwrap_or_else(|failure| Way::Fail(number, failure))
            }
            Kind::Splice { .. } => {
                self.splice(number, kind).unwrap_or_else(|failure| Way::Fail(number, failure))
            }
            Kind::Serial { body } => self.block(body),
            Kind::Within { time, body } => self.within(*time, body),
            Kind::Fork { need, branches } => self.fork(*need, branches),
            Kind::Pipelined { ahead, in_order, .. } => self.pipelined(ahead, in_order),
            Kind::Ensure { cond, code } => match self.value(cond) {
                Ok(0) => Way::Fail(number, Failure::Ensure(*code)),
                Ok(_) => Way::On,
                Err(failure) => Way::Fail(number, failure),
            },
            Kind::Fail { errno } => Way::Fail(
                number,
                self.value(errno).map_or_else(
                    |failure| failure,
                    |errno| {
                        Failure::Errno(if (1..4096).contains(&errno) { errno as i32 } else { libc::EINVAL })
                    },
                ),
            ),
            Kind::When { cond, then, otherwise } => match self.value(cond) {
                Ok(holds) => self.block(if holds != 0 { then } else { otherwise }),
                Err(failure) => Way::Fail(number, failure),
            },
            Kind::Attempt { body, errno: reg, handler } => match self.block(body) {
                // A deadline around it is not its to deal with.
                Way::Fail(step, failure @ Failure::Deadline(number)) if number < self.deadlines.len() => {
                    Way::Fail(step, failure)
                }
                Way::Fail(step, failure) => {
                    let Some(errno) = failure.errno() else { return Way::Fail(step, failure) };
                    self.report.handled += 1;
                    reg.iter().for_each(|reg| self.regs[*reg] = errno as u64);
                    self.block(handler)
                }
                way => way,
            },
            Kind::File(step) => self.file(number, step),
            Kind::Repeat { body } => loop {
                match self.block(body) {
                    Way::On | Way::Again => {}
                    Way::Leave => return Way::On,
                    way => return way,
                }
            },
            Kind::Again => Way::Again,
            Kind::Leave => Way::Leave,
            Kind::Finish => Way::Finish,
            Kind::Call(call) => self.call(number, call),
        }
    }

    pub(super) fn wire(&self, socket: usize) -> Rc<Socket> {
        self.sockets[socket].clone().expect("what is accepted is used behind its accept only")
    }

    fn sent(&self) -> [usize; SOCKETS] {
        std::array::from_fn(|socket| self.report.sent[socket].len())
    }

    /// Notes what happens around a step that does I/O.
    fn visit(&mut self, step: u32, verb: Verb, socket: usize, body: impl FnOnce(&mut Self) -> Way) -> Way {
        let (events, mut before) = (self.report.trace.len(), self.sent());
        if self.loose {
            before = self.report.visits.last().map_or(before, |last| last.before);
        }
        let files = self.disk.filter(|_| self.snapshots).map(Disk::contents).unwrap_or_default();
        let way = body(self);
        let after = if self.loose { UNKNOWN } else { self.sent() };
        self.report.visits.push(Visit { step, verb, socket, events, before, after, files });
        way
    }

    /// The bytes of a span, or why there are none.
    pub(super) fn range(&self, span: &Span) -> Result<Range<usize>, Failure> {
        let range = self.range_of(span)?;
        match self.have[span.buf] {
            Some(have) if range.end > have => Err(not_there()),
            _ => Ok(range),
        }
    }

    /// The same, whether anything has come there or not.
    pub(super) fn range_of(&self, span: &Span) -> Result<Range<usize>, Failure> {
        let len = match span.len {
            Len::Fixed(len) => len.into(),
            Len::Reg(reg) => self.regs[reg],
        };
        let start = span.start.map_or(0, |reg| self.regs[reg]);
        let (end, max) = (start.saturating_add(len), span.room());
        if end > u64::from(max) {
            return Err(Failure::Bounds { len: end, max, plus: 0 });
        }
        let from = (u64::from(span.from) + start) as usize;
        Ok(from..from + len as usize)
    }

    /// The bytes of spans that lie behind each other.
    pub(super) fn gather(&self, run: &[Span]) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        for span in run {
            match self.range(span) {
                Ok(range) => bytes.extend_from_slice(&self.bufs[span.buf][range]),
                Err(Failure::Bounds { len, max, .. }) => {
                    return Err(Failure::Bounds { len, max, plus: bytes.len() as u32 });
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(bytes)
    }

    /// The operation of the step at hand begins, which may be the one that is to fail.
    pub(super) fn strike(&mut self) -> Result<(), Failure> {
        match &mut self.strike {
            Some(strike) if Some(strike.name) == self.verb => match strike.at.checked_sub(1) {
                Some(left) => strike.at = left,
                None => {
                    let errno = strike.errno;
                    self.strike = None;
                    return Err(Failure::Errno(errno));
                }
            },
            _ => {}
        }
        Ok(())
    }
}

/// Of a buffer there is not as much.
pub(super) fn not_there() -> Failure {
    Failure::Bounds { len: 0, max: ANY, plus: 0 }
}

pub(super) fn errno(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(errno) => Failure::Errno(errno),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::NotSent,
        None => panic!("not the kernel's: {error}"),
    }
}
