//! The twin's steps on sockets.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::ops::Range;

use super::blocking::{Twin, Way, errno};
use super::program::{BUFS, Count, Expr, HELD, HELD_FROM, STREAM, Span};
use super::report::Failure;

impl Twin<'_> {
    pub(super) fn recv(
        &mut self,
        step: u32,
        socket: usize,
        span: &Span,
        into: Option<usize>,
        or_finish: bool,
        count: Count,
    ) -> Way {
        let range = match self.inlet(span) {
            Ok(range) => range,
            Err(failure) => return Way::Fail(step, failure),
        };
        if let Err(failure) = self.strike_unless(range.is_empty()) {
            return Way::Fail(step, failure);
        }
        let known = if count == Count::Logged { self.logged(step, range.len()) } else { None };
        match self.receive(socket, span.buf, range.clone(), known) {
            Ok(0) if !range.is_empty() => self.end(step, socket, or_finish, 0, range.len() as u32),
            Ok(got) => {
                self.came(span, range.start, got);
                into.iter().for_each(|reg| self.regs[*reg] = got as u64);
                Way::On
            }
            Err(failure) => Way::Fail(step, failure),
        }
    }

    fn strike_unless(&mut self, empty: bool) -> Result<(), Failure> {
        if empty { Ok(()) } else { self.strike() }
    }

    /// Receives what there is, or as much as is known to have come on the other side.
    fn receive(
        &mut self,
        socket: usize,
        buf: usize,
        range: Range<usize>,
        known: Option<u64>,
    ) -> Result<usize, Failure> {
        let wire = self.wire(socket);
        let (place, mut wire) = (&mut self.bufs[buf][range], &*wire);
        let got = match known {
            // It must be there.
            Some(known) => {
                let len = place.len().min(known as usize);
                wire.read_exact(&mut place[..len]).map(|()| len)
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
        got.map_err(|error| errno(&error))
    }

    pub(super) fn fill(&mut self, step: u32, socket: usize, or_finish: bool) -> Result<Way, Failure> {
        let (held, max) = (self.regs[HELD], BUFS[STREAM]);
        if held == u64::from(max) {
            return Err(Failure::Bounds { len: u64::from(max) + 1, max, plus: 0 });
        }
        let from = self.regs[HELD_FROM];
        if held == 0 || from + held == u64::from(max) {
            self.bufs[STREAM].copy_within(from as usize..(from + held) as usize, 0);
            self.regs[HELD_FROM] = 0;
        }
        let room = (self.regs[HELD_FROM] + held) as usize..max as usize;
        self.strike()?;
        let known = self.logged(step, 1).map(|after| after.saturating_sub(held));
        match self.receive(socket, STREAM, room.clone(), known)? {
            0 => Ok(self.end(step, socket, or_finish, 0, room.len() as u32)),
            got => {
                self.regs[HELD] += got as u64;
                Ok(Way::On)
            }
        }
    }

    /// Some of what the stream buffer holds is not needed any more.
    pub(super) fn consume(&mut self, len: &Expr) -> Result<Way, Failure> {
        let len = self.value(len)?;
        if len > self.regs[HELD] {
            return Err(Failure::Ensure(libc::EMSGSIZE));
        }
        self.regs[HELD_FROM] += len;
        self.regs[HELD] -= len;
        Ok(Way::On)
    }

    pub(super) fn send(&mut self, step: u32, socket: usize, span: &Span, into: usize) -> Way {
        let bytes = match self.gather(&[*span]) {
            Ok(bytes) => bytes,
            Err(failure) => return Way::Fail(step, failure),
        };
        if let Err(failure) = self.strike_unless(bytes.is_empty()) {
            return Way::Fail(step, failure);
        }
        let known = self.logged(step, bytes.len()).map_or(bytes.len(), |sent| sent as usize);
        let bytes = &bytes[..known.min(bytes.len())];
        if let Err(error) = (&*self.wire(socket)).write_all(bytes) {
            return Way::Fail(step, errno(&error));
        }
        self.report.sent[socket].extend_from_slice(bytes);
        self.regs[into] = bytes.len() as u64;
        Way::On
    }

    pub(super) fn recv_exact(
        &mut self,
        step: u32,
        socket: usize,
        span: &Span,
        into: Option<usize>,
        or_finish: bool,
    ) -> Way {
        let range = match self.inlet(span) {
            Ok(range) => range,
            Err(failure) => return Way::Fail(step, failure),
        };
        if let Err(failure) = self.strike_unless(range.is_empty()) {
            return Way::Fail(step, failure);
        }
        let start = range.start;
        let wire = self.wire(socket);
        let place = &mut self.bufs[span.buf][range];
        let mut done = 0;
        while done < place.len() {
            match (&*wire).read(&mut place[done..]) {
                Ok(0) => {
                    let want = place.len() as u32;
                    // What came short is taken up again.
                    if let Err(failure) = self.strike_unless(done == 0) {
                        return Way::Fail(step, failure);
                    }
                    return self.end(step, socket, or_finish, done as u32, want);
                }
                Ok(got) => done += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Way::Fail(step, errno(&error)),
            }
        }
        let all = done as u64;
        self.came(span, start, done);
        into.iter().for_each(|reg| self.regs[*reg] = all);
        Way::On
    }

    /// The end of the stream after `done` of `want` bytes.
    fn end(&mut self, step: u32, socket: usize, or_finish: bool, done: u32, want: u32) -> Way {
        self.report.met_end = Some(socket);
        if or_finish && done == 0 { Way::Finish } else { Way::Fail(step, Failure::Short { done, want }) }
    }

    pub(super) fn send_all(&mut self, step: u32, socket: usize, spans: &[Span], into: Option<usize>) -> Way {
        let mut all = 0;
        for run in Span::merged(spans) {
            let bytes = match self.gather(run) {
                Ok(bytes) => bytes,
                Err(failure) => return Way::Fail(step, failure),
            };
            if let Err(failure) = self.strike_unless(bytes.is_empty()) {
                return Way::Fail(step, failure);
            }
            if let Err(error) = (&*self.wire(socket)).write_all(&bytes) {
                return Way::Fail(step, errno(&error));
            }
            all += bytes.len() as u64;
            self.report.sent[socket].extend_from_slice(&bytes);
        }
        into.iter().for_each(|reg| self.regs[*reg] = all);
        Way::On
    }

    pub(super) fn shutdown(&mut self, socket: usize) -> Result<Way, Failure> {
        self.strike()?;
        self.wire(socket).shutdown(Shutdown::Write).map(|()| Way::On).map_err(|error| errno(&error))
    }

    /// Everything in the outbox, which is empty when it has been sent.
    pub(super) fn send_outbox(&mut self, step: u32, socket: usize) -> Way {
        if let Err(failure) = self.strike_unless(self.outbox.is_empty()) {
            return Way::Fail(step, failure);
        }
        if let Err(error) = (&*self.wire(socket)).write_all(&self.outbox) {
            return Way::Fail(step, errno(&error));
        }
        self.report.sent[socket].append(&mut self.outbox);
        Way::On
    }
}
