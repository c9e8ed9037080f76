//! A level-triggered epoll loop: one receive and one send a request, one wait for all that are ready.
//!
//! All connections share the memory of one receive. A connection owns memory only while it needs some: the
//! part of a message that has come, or the part of a reply that the socket did not take. While a reply waits
//! nothing more is received from that peer.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;

use super::framing::{Frames, Framing, Stream};
use super::{Competitor, Part};
use crate::sys::epoll::{Epoll, Events, Interest};
use crate::workload::{ECHO, FRAMED};

pub(super) static COMPETITOR: Competitor = Competitor {
    name: "epoll",
    about: "a level-triggered epoll loop by hand",
    parts: &[(&ECHO, Part::Serve(serve::<Stream>)), (&FRAMED, Part::Serve(serve::<Frames>))],
};

/// The listener's key; a connection's key is its place in the table.
const LISTENER: u64 = u64::MAX;

struct Connection {
    stream: TcpStream,
    /// Bytes received that are no complete message yet; never some while `unsent` has any.
    partial: Vec<u8>,
    /// Bytes that the socket did not take; the connection waits for room while there are any.
    unsent: Vec<u8>,
}

/// What an event leaves behind.
enum After {
    /// The connection waits for the same as before.
    Same,
    /// It waits for something else now.
    Wait(Interest),
    /// It has ended.
    Closed,
}

fn serve<F: Framing>(listener: TcpListener) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let epoll = Epoll::level_triggered()?;
    epoll.add(listener.as_fd(), LISTENER, Interest::Readable)?;
    let mut events = Events::with_capacity(1024);
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut vacant: Vec<usize> = Vec::new();
    let mut scratch = vec![0; F::BUFFER];
    loop {
        for event in epoll.wait(&mut events, -1)? {
            let key = event.u64;
            if key == LISTENER {
                accept(&listener, &epoll, &mut connections, &mut vacant)?;
                continue;
            }
            let place = &mut connections[key as usize];
            let Some(connection) = place else { continue };
            match connection.ready::<F>(&mut scratch) {
                After::Same => {}
                After::Wait(interest) => epoll.modify(connection.stream.as_fd(), key, interest)?,
                After::Closed => {
                    *place = None;
                    vacant.push(key as usize);
                }
            }
        }
    }
}

/// Takes every connection that waits.
#[cold]
fn accept(
    listener: &TcpListener,
    epoll: &Epoll,
    connections: &mut Vec<Option<Connection>>,
    vacant: &mut Vec<usize>,
) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::Interrupted) => {
                continue;
            }
            Err(error) => return Err(error),
        };
        stream.set_nonblocking(true)?;
        let index = vacant.pop().unwrap_or_else(|| {
            connections.push(None);
            connections.len() - 1
        });
        epoll.add(stream.as_fd(), index as u64, Interest::Readable)?;
        connections[index] = Some(Connection { stream, partial: Vec::new(), unsent: Vec::new() });
    }
}

impl Connection {
    /// Serves one event; an error ends the connection, as the end of its stream does.
    #[inline]
    fn ready<F: Framing>(&mut self, scratch: &mut [u8]) -> After {
        let outcome = if self.unsent.is_empty() { self.receive::<F>(scratch) } else { self.resume() };
        match outcome {
            Ok(after) => after,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                After::Same
            }
            Err(_) => After::Closed,
        }
    }

    /// Receives once and answers what is complete.
    #[inline]
    fn receive<F: Framing>(&mut self, scratch: &mut [u8]) -> io::Result<After> {
        let held = self.partial.len();
        if held > 0 {
            scratch[..held].copy_from_slice(&self.partial);
        }
        let received = self.stream.read(&mut scratch[held..])?;
        if received == 0 {
            return Ok(After::Closed);
        }
        let bytes = &scratch[..held + received];
        let complete = F::complete(bytes).ok_or(ErrorKind::InvalidData)?;
        if held > 0 || complete < bytes.len() {
            self.partial.clear();
            self.partial.extend_from_slice(&bytes[complete..]);
        }
        if complete == 0 {
            return Ok(After::Same);
        }
        self.send(&bytes[..complete])
    }

    /// Sends, and keeps what the socket does not take.
    #[inline]
    fn send(&mut self, reply: &[u8]) -> io::Result<After> {
        let sent = match self.stream.write(reply) {
            Ok(sent) if sent == reply.len() => return Ok(After::Same),
            Ok(sent) => sent,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => 0,
            Err(error) => return Err(error),
        };
        self.unsent.extend_from_slice(&reply[sent..]);
        Ok(After::Wait(Interest::Writable))
    }

    /// Sends what was left over.
    #[cold]
    fn resume(&mut self) -> io::Result<After> {
        let sent = self.stream.write(&self.unsent)?;
        self.unsent.drain(..sent);
        Ok(if self.unsent.is_empty() { After::Wait(Interest::Readable) } else { After::Same })
    }
}
