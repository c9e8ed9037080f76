//! The twin: a program executed step by step, each with plain blocking system calls, and nothing clever anywhere.
//!
//! Two things are noted on the way that only the comparison needs. A [`Visit`] for every step that does I/O says how
//! much had been written down and sent when it began and when it ended: where a fault can strike. And [`Twin::counts`]
//! tells it how much each recv brought on the other side, which the kernel is free to choose: it takes as much.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::Shutdown;

use socket2::Socket;

use super::native::{self, Next};
use super::program::{BUFS, Block, Call, Count, Expr, Kind, Len, Op, Program, REGS, SOCKETS, Span, Step};
use super::report::{Ended, Failure, Report, Verb, Visit};

pub(crate) struct Twin<'p> {
    sockets: &'p [Socket],
    regs: [u64; REGS],
    bufs: Vec<Vec<u8>>,
    counts: VecDeque<usize>,
    /// How much the streams may still bring is unknown from here on: a [`Count::Free`] has been met.
    loose: bool,
    /// Sending halves that were shut down.
    shut: [bool; SOCKETS],
    steps: u32,
    pub(crate) report: Report,
}

/// Where a program goes on.
enum Way {
    On,
    Again,
    Leave,
    Finish,
    Fail(u32, Failure),
}

/// What was sent when a turn of an endless echo was done, until it has ended.
const UNKNOWN: [usize; SOCKETS] = [usize::MAX; SOCKETS];

/// No program of the strategies takes as many steps.
const ENDLESS: u32 = 2_000_000;

impl<'p> Twin<'p> {
    /// Runs `program` to its end. `counts`: how much each logged recv brings, as far as it is known.
    pub(crate) fn run(program: &Program, sockets: &'p [Socket], counts: VecDeque<usize>) -> (Ended, Report) {
        let mut twin = Twin {
            sockets,
            regs: program.params.map(|value| value.unwrap_or(0)),
            bufs: BUFS.map(|len| vec![0; len as usize]).into(),
            counts,
            loose: false,
            shut: [false; SOCKETS],
            steps: 0,
            report: Report::default(),
        };
        let ended = match twin.block(&program.body) {
            Way::On | Way::Finish => Ok(()),
            Way::Fail(step, failure) => Err((step, failure)),
            Way::Again | Way::Leave => unreachable!("outside of a loop these are refused"),
        };
        twin.report.loose = twin.loose;
        let total = twin.most();
        // What each turn of an endless echo sends is not the same on both sides, only what all of them send.
        twin.report
            .visits
            .iter_mut()
            .filter(|visit| visit.after == UNKNOWN)
            .for_each(|visit| visit.after = total);
        (ended, twin.report)
    }

    fn block(&mut self, block: &Block) -> Way {
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
        let number = *number;
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
            Kind::Shutdown { socket } => self.visit(number, Verb::Shutdown, *socket, |twin| {
                twin.shut[*socket] = true;
                match twin.sockets[*socket].shutdown(Shutdown::Write) {
                    Ok(()) => Way::On,
                    Err(error) => Way::Fail(number, errno(&error)),
                }
            }),
            Kind::Set { reg, value } => {
                self.regs[*reg] = self.value(value);
                Way::On
            }
            Kind::Ensure { cond, code } => match self.value(cond) {
                0 => Way::Fail(number, Failure::Ensure(*code)),
                _ => Way::On,
            },
            Kind::When { cond, then, otherwise } => {
                let holds = self.value(cond) != 0;
                self.block(if holds { then } else { otherwise })
            }
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

    fn sent(&self) -> [usize; SOCKETS] {
        std::array::from_fn(|socket| self.report.sent[socket].len())
    }

    /// The same, with what may have been sent as well.
    fn most(&self) -> [usize; SOCKETS] {
        let sent = self.sent();
        std::array::from_fn(|socket| sent[socket] + self.report.optional[socket].len())
    }

    /// Notes what happens around a step that does I/O.
    fn visit(&mut self, step: u32, verb: Verb, socket: usize, body: impl FnOnce(&mut Self) -> Way) -> Way {
        let (events, mut before) = (self.report.trace.len(), self.sent());
        if self.loose {
            before = self.report.visits.last().map_or(before, |last| last.before);
        }
        let way = body(self);
        let after = if self.loose { UNKNOWN } else { self.most() };
        self.report.visits.push(Visit { step, verb, socket, events, before, after });
        way
    }

    /// The bytes of a span, or why there are none.
    fn range(&self, span: &Span) -> Result<std::ops::Range<usize>, Failure> {
        let from = span.from as usize;
        match span.len {
            Len::Fixed(len) => Ok(from..from + len as usize),
            Len::Reg(reg) => {
                let (len, max) = (self.regs[reg], span.room());
                if len > u64::from(max) {
                    return Err(Failure::Bounds { len, max, plus: 0 });
                }
                Ok(from..from + len as usize)
            }
        }
    }

    fn recv(
        &mut self,
        step: u32,
        socket: usize,
        span: &Span,
        into: Option<usize>,
        or_finish: bool,
        count: Count,
    ) -> Way {
        let range = match self.range(span) {
            Ok(range) => range,
            Err(failure) => return Way::Fail(step, failure),
        };
        let place = &mut self.bufs[span.buf][range];
        let want = place.len() as u32;
        let known = self.counts.front().filter(|_| count == Count::Logged).copied();
        let mut wire = &self.sockets[socket];
        let got = match known {
            // As much as came on the other side, which must be there.
            Some(known) => {
                self.counts.pop_front();
                let known = &mut place[..known.min(want as usize)];
                wire.read_exact(known).map(|()| known.len())
            }
            // Of nothing, some sockets would wait for something.
            None if place.is_empty() => Ok(0),
            None => loop {
                match wire.read(place) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    got => break got,
                }
            },
        };
        match got {
            Ok(0) if want > 0 && known != Some(0) => self.end(step, socket, or_finish, 0, want),
            Ok(got) => {
                into.iter().for_each(|reg| self.regs[*reg] = got as u64);
                Way::On
            }
            Err(error) => Way::Fail(step, errno(&error)),
        }
    }

    fn recv_exact(
        &mut self,
        step: u32,
        socket: usize,
        span: &Span,
        into: Option<usize>,
        or_finish: bool,
    ) -> Way {
        let range = match self.range(span) {
            Ok(range) => range,
            Err(failure) => return Way::Fail(step, failure),
        };
        let place = &mut self.bufs[span.buf][range];
        let mut done = 0;
        while done < place.len() {
            match (&self.sockets[socket]).read(&mut place[done..]) {
                Ok(0) => {
                    let want = place.len() as u32;
                    return self.end(step, socket, or_finish, done as u32, want);
                }
                Ok(got) => done += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Way::Fail(step, errno(&error)),
            }
        }
        let all = done as u64;
        into.iter().for_each(|reg| self.regs[*reg] = all);
        Way::On
    }

    /// The end of the stream after `done` of `want` bytes.
    fn end(&mut self, step: u32, socket: usize, or_finish: bool, done: u32, want: u32) -> Way {
        self.report.met_end = Some(socket);
        if or_finish && done == 0 { Way::Finish } else { Way::Fail(step, Failure::Short { done, want }) }
    }

    fn send_all(&mut self, step: u32, socket: usize, spans: &[Span], into: Option<usize>) -> Way {
        let (mut bytes, mut plus) = (Vec::new(), 0);
        for (i, span) in spans.iter().enumerate() {
            if i > 0 && !spans[i - 1].is_followed_by(span) {
                plus = 0;
            }
            match self.range(span) {
                Ok(range) => {
                    plus += range.len() as u32;
                    bytes.extend_from_slice(&self.bufs[span.buf][range]);
                }
                Err(Failure::Bounds { len, max, .. }) => {
                    self.report.or_errno = (self.shut[socket] && !bytes.is_empty()).then_some(libc::EPIPE);
                    self.report.optional[socket] = bytes;
                    return Way::Fail(step, Failure::Bounds { len, max, plus });
                }
                Err(failure) => return Way::Fail(step, failure),
            }
        }
        if let Err(error) = (&self.sockets[socket]).write_all(&bytes) {
            return Way::Fail(step, errno(&error));
        }
        self.report.sent[socket].extend_from_slice(&bytes);
        into.iter().for_each(|reg| self.regs[*reg] = bytes.len() as u64);
        Way::On
    }

    fn call(&mut self, step: u32, call: &Call) -> Way {
        let event = match call {
            Call::Log(reg) => native::log(step, self.regs[*reg]),
            Call::Observe => native::observe(step, &self.regs),
            Call::Look(span, reg) => match self.range(span) {
                Ok(range) => native::look(step, &self.bufs[span.buf][range], self.regs[*reg]),
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

    fn value(&self, expr: &Expr) -> u64 {
        match expr {
            Expr::Const(value) => *value,
            Expr::Reg(reg) => self.regs[*reg],
            Expr::Load { buf, offset, width, big } => {
                let bytes = &self.bufs[*buf][*offset as usize..][..*width as usize];
                let digit = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
                if *big { bytes.iter().fold(0, digit) } else { bytes.iter().rev().fold(0, digit) }
            }
            Expr::Binary(op, operands) => {
                let (a, b) = (self.value(&operands[0]), self.value(&operands[1]));
                match op {
                    Op::Add => a.wrapping_add(b),
                    Op::Sub => a.wrapping_sub(b),
                    Op::Mul => a.wrapping_mul(b),
                    Op::And => a & b,
                    Op::Or => a | b,
                    Op::Xor => a ^ b,
                    Op::Shl => {
                        if b < 64 {
                            a << b
                        } else {
                            0
                        }
                    }
                    Op::Shr => {
                        if b < 64 {
                            a >> b
                        } else {
                            0
                        }
                    }
                    Op::Eq => (a == b).into(),
                    Op::Ne => (a != b).into(),
                    Op::Lt => (a < b).into(),
                    Op::Le => (a <= b).into(),
                    Op::Gt => (a > b).into(),
                    Op::Ge => (a >= b).into(),
                }
            }
        }
    }
}

fn errno(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        Some(errno) => Failure::Errno(errno),
        None if error.kind() == io::ErrorKind::UnexpectedEof => Failure::NotSent,
        None => panic!("not the kernel's: {error}"),
    }
}
