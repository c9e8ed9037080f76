//! One connection of the load.
//!
//! It owns three rings of as many messages as the pipeline is deep: what goes out, what must come back, and
//! what does come. A request and its reply use the same place in each, so a place is free again when its
//! reply has been compared. Offsets are in bytes and wrap at the end of a ring; a message is never cut by it.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::ops::Range;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::recorder::Recorder;
use crate::Result;
use crate::sys::epoll::{Epoll, Interest};
use crate::workload::{Exchange, STAMP, Stamp};

/// Whether a connection still has something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Open,
    Done,
}

pub(super) struct Connection {
    stream: TcpStream,
    number: u64,
    interest: Interest,
    outgoing: Ring,
    expected: Ring,
    incoming: Ring,
    stamp: Option<Stamp>,
    /// What of a reply need not be as expected.
    loose: Range<usize>,
    /// When the request in each place was sent.
    started: Box<[Instant]>,
    /// Requests made so far, and the next one's place.
    asked: u64,
    ask_at: usize,
    /// Replies not compared yet, and the next one's place.
    outstanding: usize,
    answer_at: usize,
    /// Requests still to be made.
    quota: u64,
    /// Where to connect anew for the next request, if each is to have a connection of its own.
    renew: Option<SocketAddr>,
}

/// Connects to a server.
pub(super) fn open(target: SocketAddr) -> Result<TcpStream> {
    let stream =
        TcpStream::connect(target).map_err(|error| format!("cannot connect to {target}: {error}"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    Ok(stream)
}

/// `depth` messages back to back, and how far the socket has come with them.
struct Ring {
    bytes: Box<[u8]>,
    message: usize,
    /// Where the socket goes on, and how many bytes it may still move.
    at: usize,
    due: usize,
}

impl Ring {
    fn new(message: &[u8], depth: usize) -> Self {
        Self { bytes: message.repeat(depth).into(), message: message.len(), at: 0, due: 0 }
    }

    fn message(&mut self, place: usize) -> &mut [u8] {
        &mut self.bytes[place * self.message..][..self.message]
    }

    /// What the socket may move next, in one piece.
    fn piece(&mut self) -> &mut [u8] {
        let end = self.bytes.len().min(self.at + self.due);
        &mut self.bytes[self.at..end]
    }

    fn moved(&mut self, count: usize) {
        self.due -= count;
        self.at += count;
        if self.at == self.bytes.len() {
            self.at = 0;
        }
    }
}

impl Connection {
    pub(super) fn new(
        stream: TcpStream,
        number: u64,
        exchange: &Exchange,
        depth: usize,
        quota: Option<u64>,
    ) -> Self {
        Self {
            stream,
            number,
            interest: Interest::Readable,
            outgoing: Ring::new(&exchange.request, depth),
            expected: Ring::new(&exchange.reply, depth),
            incoming: Ring::new(&vec![0; exchange.reply.len()], depth),
            stamp: exchange.stamp,
            loose: exchange.loose.clone(),
            started: vec![Instant::now(); depth].into(),
            asked: 0,
            ask_at: 0,
            outstanding: 0,
            answer_at: 0,
            quota: quota.unwrap_or(u64::MAX),
            renew: None,
        }
    }

    /// From now on every request has a connection of its own; requests are asked one at a time.
    pub(super) fn renew_at(&mut self, target: SocketAddr) -> Result<()> {
        self.renew = Some(target);
        self.hang_up_at_once()
    }

    /// Sends the first requests.
    pub(super) fn start(&mut self, epoll: &Epoll) -> Result<State> {
        epoll.add(self.stream.as_fd(), self.number, self.interest)?;
        let now = Instant::now();
        for _ in 0..self.started.len() {
            self.ask(now);
        }
        self.write()?;
        self.settle(epoll)
    }

    /// Serves one event; new requests are made only while `sending`.
    pub(super) fn ready(&mut self, epoll: &Epoll, sending: bool, recorder: &mut Recorder) -> Result<State> {
        self.read(epoll, sending, recorder)?;
        self.write()?;
        self.settle(epoll)
    }

    /// Prepares one more request.
    fn ask(&mut self, now: Instant) {
        if self.quota == 0 {
            return;
        }
        self.quota -= 1;
        let place = self.ask_at;
        if let Some(Stamp { request, reply }) = self.stamp {
            let number = self.asked.to_le_bytes();
            self.outgoing.message(place)[request..][..STAMP].copy_from_slice(&number);
            self.expected.message(place)[reply..][..STAMP].copy_from_slice(&number);
        }
        self.started[place] = now;
        self.outgoing.due += self.outgoing.message;
        self.incoming.due += self.incoming.message;
        self.asked += 1;
        self.outstanding += 1;
        self.ask_at = self.after(place);
    }

    fn after(&self, place: usize) -> usize {
        if place + 1 == self.started.len() { 0 } else { place + 1 }
    }

    /// Writes until nothing is due or the socket is full.
    fn write(&mut self) -> Result<()> {
        while self.outgoing.due > 0 {
            match self.stream.write(self.outgoing.piece()) {
                Ok(count) => self.outgoing.moved(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("cannot send", &error)),
            }
        }
        Ok(())
    }

    /// Reads what has come; compares what is complete, and asks again for each.
    fn read(&mut self, epoll: &Epoll, sending: bool, recorder: &mut Recorder) -> Result<()> {
        while self.incoming.due > 0 {
            let piece = self.incoming.piece();
            let room = piece.len();
            match self.stream.read(piece) {
                Ok(0) => return Err(self.failed("the server closed it", &"too early")),
                Ok(count) => {
                    self.incoming.moved(count);
                    if count < room {
                        // The socket is empty; what comes later is a new edge.
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.failed("cannot receive", &error)),
            }
        }
        let now = Instant::now();
        // Whole replies have come when what is due is less than what is outstanding.
        while self.outstanding * self.incoming.message >= self.incoming.due + self.incoming.message {
            let place = self.answer_at;
            let (came, due) = (self.incoming.message(place), self.expected.message(place));
            let Range { start, end } = self.loose;
            if came[end..] != due[end..] || came[..start] != due[..start] {
                return Err(
                    self.failed("wrong bytes in a reply", &format_args!("after {} requests", self.asked))
                );
            }
            recorder.record(now - self.started[place]);
            self.outstanding -= 1;
            self.answer_at = self.after(place);
            if sending {
                if let Some(target) = self.renew
                    && self.quota > 0
                {
                    self.renew(epoll, target)?;
                }
                self.ask(now);
            }
        }
        Ok(())
    }

    /// Hangs up and connects anew. The time that takes belongs to the next request.
    fn renew(&mut self, epoll: &Epoll, target: SocketAddr) -> Result<()> {
        // Closing the old one takes it out of `epoll`.
        self.stream = open(target)?;
        self.hang_up_at_once()?;
        self.interest = Interest::Readable;
        epoll.add(self.stream.as_fd(), self.number, self.interest)?;
        Ok(())
    }

    /// Lets the socket end in a reset when it is closed: a port that waits for stragglers cannot be used again, and there
    /// are fewer of them than requests in a second or two.
    fn hang_up_at_once(&self) -> Result<()> {
        Ok(SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?)
    }

    /// Waits for the right thing, or says that there is nothing to wait for.
    fn settle(&mut self, epoll: &Epoll) -> Result<State> {
        if self.outstanding == 0 {
            epoll.remove(self.stream.as_fd())?;
            return Ok(State::Done);
        }
        let interest = if self.outgoing.due > 0 { Interest::Either } else { Interest::Readable };
        if interest != self.interest {
            epoll.modify(self.stream.as_fd(), self.number, interest)?;
            self.interest = interest;
        }
        Ok(State::Open)
    }

    fn failed(&self, what: &str, why: &dyn std::fmt::Display) -> crate::Error {
        format!("connection {}: {what}: {why}", self.number).into()
    }
}
