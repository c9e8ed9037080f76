//! The twin: a program executed step by step, each with plain blocking system calls, and nothing clever anywhere.
//!
//! Two things are noted on the way that only the comparison needs. A [`Visit`] for every step that does I/O says how
//! much had been written down and sent when it began and when it ended: where a fault can strike. And [`Twin::counts`]
//! tells it how much each recv brought on the other side, which the kernel is free to choose: it takes as much.

use std::collections::VecDeque;
use std::io::{self, PipeReader, PipeWriter};
use std::net::TcpListener;
use std::ops::Range;
use std::rc::Rc;

use socket2::Socket;

use super::blocking_files::Open;
use super::disk::Disk;
use super::ends::Ends;
use super::program::{
    ALL_REGS, BUFS, Block, CONSTANT, Count, FILES, Kind, Len, POOLED, Program, REGS, SOCKETS, Span, Step,
    WORDS, constant,
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
        let way = self.kind(*number, kind).unwrap_or_else(|failure| Way::Fail(*number, failure));
        // The end of a stream or file keeps what is behind it from being done, too.
        let ends = matches!(way, Way::Finish) && kind.blocks().is_empty();
        self.report.failed |= ends || matches!(way, Way::Fail(step, _) if step == *number);
        way
    }

    fn kind(&mut self, number: u32, kind: &Kind) -> Result<Way, Failure> {
        Ok(match kind {
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
            Kind::Consume { len } => self.consume(len)?,
            Kind::Shutdown { socket } => self.visit(number, Verb::Shutdown, *socket, |twin| {
                twin.shutdown(*socket).unwrap_or_else(|failure| Way::Fail(number, failure))
            }),
            Kind::SendOutbox { socket } => {
                self.visit(number, Verb::Send, *socket, |twin| twin.send_outbox(number, *socket))
            }
            Kind::Set { reg, value } => self.set(*reg, value)?,
            Kind::Store { buf, at, width, big, value } => self.store(*buf, at, *width, *big, value)?,
            Kind::Copy { to, from } => self.copy(to, from)?,
            Kind::Append { span } => self.append(span)?,
            Kind::AppendNumber { width, big, value } => self.append_number(*width, *big, value)?,
            Kind::Sleep { time } => {
                let time = self.value(time)?;
                self.sleep(number, time)
            }
            Kind::SetWord { word, value } => self.set_word_to(*word, value)?,
            Kind::FetchAdd { word, value, into } => self.fetch_add(*word, value, *into)?,
            Kind::Exchange { word, current, new, into } => self.exchange(*word, current, new, *into)?,
            Kind::FutexWait { word, expected } => {
                let expected = self.value(expected)?;
                self.wait_for(number, *word, expected)
            }
            Kind::FutexWake { count, into, .. } => self.futex_wake(count, *into)?,
            Kind::Notify => self.notify(),
            Kind::Wait => self.wait(),
            Kind::Commit { spans, into } => self.commit(spans, *into)?,
            Kind::Fetch { from, to, reg, .. } => self.fetch(from, to, *reg)?,
            Kind::Nop => Way::On,
            Kind::Accept => self.accept()?,
            Kind::Poll { what, events, into } => self.poll(number, *what, *events, *into)?,
            Kind::Rename { from, to } => self.rename(from, to)?,
            Kind::Remove { path, directory } => self.remove(path, *directory)?,
            Kind::Splice { from, to, len, into, or_finish } => {
                self.splice(number, from, to, *len, *into, *or_finish)?
            }
            Kind::Serial { body } => self.block(body),
            Kind::Within { time, body } => self.within(*time, body),
            Kind::Fork { need, branches } => self.fork(*need, branches),
            Kind::Pipelined { ahead, in_order, .. } => self.pipelined(ahead, in_order),
            Kind::Ensure { cond, code } => match self.value(cond)? {
                0 => Way::Fail(number, Failure::Ensure(*code)),
                _ => Way::On,
            },
            Kind::Fail { errno } => {
                let errno = self.value(errno)?;
                let errno = if (1..4096).contains(&errno) { errno as i32 } else { libc::EINVAL };
                Way::Fail(number, Failure::Errno(errno))
            }
            Kind::When { cond, then, otherwise } => {
                let holds = self.value(cond)? != 0;
                self.block(if holds { then } else { otherwise })
            }
            Kind::Attempt { body, errno: reg, handler } => match self.block(body) {
                // A deadline around it is not its to deal with.
                Way::Fail(step, failure @ Failure::Deadline(number)) if number < self.deadlines.len() => {
                    Way::Fail(step, failure)
                }
                Way::Fail(step, failure) => {
                    let Some(errno) = failure.errno() else { return Ok(Way::Fail(step, failure)) };
                    self.report.handled += 1;
                    reg.iter().for_each(|reg| self.regs[*reg] = errno as u64);
                    self.block(handler)
                }
                way => way,
            },
            Kind::File(step) => self.file(number, step)?,
            Kind::Repeat { body } => loop {
                match self.block(body) {
                    Way::On | Way::Again => {}
                    Way::Leave => break Way::On,
                    way => break way,
                }
            },
            Kind::Again => Way::Again,
            Kind::Leave => Way::Leave,
            Kind::Finish => Way::Finish,
            Kind::Call(call) => self.call(number, call),
        })
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
