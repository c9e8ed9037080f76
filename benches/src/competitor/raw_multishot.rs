//! io_uring by hand with multishot receives on a ring of provided buffers: a connection without traffic holds
//! no memory.
//!
//! What arrives is sent straight from the buffer that it arrived in, which goes back to the kernel when the
//! send is over. Only one send of a connection is in flight, since two could overtake each other. So whatever
//! arrives meanwhile, or is no complete message yet, is copied to `partial`, and its buffer goes back at
//! once: the ring cannot run dry on a slow reader. A peer that lets more than [`BACKLOG`] bytes pile up is
//! dropped.
//!
//! A connection has up to two operations in flight, the receive and a send, and is closed when neither is.

use std::io;
use std::mem::ManuallyDrop;
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use io_uring::squeue::{Entry, SubmissionQueue};
use io_uring::types::Fd;
use io_uring::{Submitter, cqueue, opcode};

use super::framing::{Frames, Framing, Stream};
use super::raw::buffers::{Buffers, GROUP};
use super::raw::ring;
use super::{Competitor, Part};
use crate::workload::{ECHO, FRAMED};

pub(super) static COMPETITOR: Competitor = Competitor {
    name: "raw-multishot",
    about: "io_uring by hand: multishot receives on a buffer ring",
    parts: &[(&ECHO, Part::Serve(serve::<Stream>)), (&FRAMED, Part::Serve(serve::<Frames>))],
};

const BACKLOG: usize = 1 << 20;

const ACCEPT: u64 = u64::MAX;
/// Set in the user data of a send, beside the connection's index.
const SEND: u64 = 1 << 32;

struct Connection {
    fd: OwnedFd,
    receiving: Receiving,
    sending: Sending,
    /// Where in its buffer the send in flight starts, and how much is left of it.
    start: u32,
    left: u32,
    /// Received, not answered, and not in flight.
    partial: Vec<u8>,
}

/// What the multishot receive is doing.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Receiving {
    /// It is with the kernel; if not `wanted`, whatever it brings is dropped until it ends.
    Armed { wanted: bool },
    /// It has found no buffer, and its connection waits among the starved.
    Starved,
    /// The stream is over; what has been received is still answered.
    Over,
}

/// The memory of the send in flight.
enum Sending {
    Nothing,
    Buffer(u16),
    Copy(Vec<u8>),
}

struct Loop<'a> {
    submitter: Submitter<'a>,
    queue: SubmissionQueue<'a>,
    buffers: Buffers<1024, 4096>,
    connections: Vec<Option<Connection>>,
    vacant: Vec<u32>,
    /// Connections whose receive has found no buffer; they receive again when one comes back.
    starved: Vec<u32>,
}

fn serve<F: Framing>(listener: TcpListener) -> io::Result<()> {
    let mut ring = ring::build()?;
    let (mut submitter, queue, mut completions) = ring.split();
    submitter.register_ring_fd()?;
    let buffers = Buffers::register(&submitter)?;
    let (connections, vacant, starved) = (Vec::new(), Vec::new(), Vec::new());
    // Only an error ends the loop, and the process with it. Until then the kernel may read what is being sent, so
    // nothing is freed.
    let mut this = ManuallyDrop::new(Loop { submitter, queue, buffers, connections, vacant, starved });
    let accept = ring::accept(Fd(listener.as_raw_fd()), ACCEPT);
    this.push(&accept)?;
    loop {
        this.queue.sync();
        ring::turn(&this.submitter)?;
        this.queue.sync();
        completions.sync();
        for completion in &mut completions {
            let (user_data, result, flags) =
                (completion.user_data(), completion.result(), completion.flags());
            let index = user_data as u32;
            if user_data == ACCEPT {
                if let Some(fd) = ring::accepted(result)? {
                    this.open(fd)?;
                }
                if !cqueue::more(flags) {
                    this.push(&accept)?;
                }
            } else if user_data & SEND == 0 {
                this.received::<F>(index, result, flags)?;
            } else {
                this.sent::<F>(index, result)?;
            }
        }
    }
}

impl Loop<'_> {
    #[cold]
    fn open(&mut self, fd: i32) -> io::Result<()> {
        // SAFETY: the descriptor comes from an accept, and nobody else has seen it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd) };
        let index = self.vacant.pop().unwrap_or_else(|| {
            self.connections.push(None);
            (self.connections.len() - 1) as u32
        });
        let (receiving, sending, partial) = (Receiving::Over, Sending::Nothing, Vec::new());
        let connection = Connection { fd, receiving, sending, start: 0, left: 0, partial };
        self.connections[index as usize] = Some(connection);
        self.receive(index)
    }

    /// What a receive has brought: bytes, the end, or a reason to ask again.
    #[inline]
    fn received<F: Framing>(&mut self, index: u32, result: i32, flags: u32) -> io::Result<()> {
        let connection = open(&mut self.connections, index);
        let wanted = connection.receiving == Receiving::Armed { wanted: true };
        if let Some(id) = cqueue::buffer_select(flags) {
            // SAFETY: the completion hands the buffer to the loop, which gives it back below or when its send
            // is over.
            let bytes = unsafe { self.buffers.received(id, result.max(0) as usize) };
            let idle = matches!(connection.sending, Sending::Nothing) && connection.partial.is_empty();
            if idle && wanted && cqueue::more(flags) && F::complete(bytes) == Some(bytes.len()) {
                (connection.sending, connection.start, connection.left) =
                    (Sending::Buffer(id), 0, result as u32);
                return self.send(index);
            }
            if wanted {
                connection.partial.extend_from_slice(bytes);
            }
            self.give(id)?;
        }
        if !cqueue::more(flags) {
            match result {
                1.. if wanted => self.receive(index)?,
                error if error == -libc::ENOBUFS && wanted => self.starve(index),
                _ => open(&mut self.connections, index).receiving = Receiving::Over,
            }
        }
        self.go_on::<F>(index)
    }

    /// What has become of a send.
    #[inline]
    fn sent<F: Framing>(&mut self, index: u32, result: i32) -> io::Result<()> {
        let connection = open(&mut self.connections, index);
        if result > 0 && (result as u32) < connection.left {
            connection.start += result as u32;
            connection.left -= result as u32;
            return self.send(index);
        }
        if let Sending::Buffer(id) = std::mem::replace(&mut connection.sending, Sending::Nothing) {
            self.give(id)?;
        }
        if result <= 0 {
            self.abandon(index);
        }
        let connection = open(&mut self.connections, index);
        let quiet =
            connection.partial.is_empty() && connection.receiving == Receiving::Armed { wanted: true };
        if quiet { Ok(()) } else { self.go_on::<F>(index) }
    }

    /// Everything but the straight way: answers what has piled up, and closes what is over.
    #[cold]
    fn go_on<F: Framing>(&mut self, index: u32) -> io::Result<()> {
        let connection = open(&mut self.connections, index);
        if matches!(connection.sending, Sending::Nothing) {
            match F::complete(&connection.partial) {
                Some(0) => {}
                Some(complete) => {
                    let rest = connection.partial.split_off(complete);
                    let reply = std::mem::replace(&mut connection.partial, rest);
                    (connection.start, connection.left) = (0, complete as u32);
                    connection.sending = Sending::Copy(reply);
                    self.send(index)?;
                }
                None => self.abandon(index),
            }
        }
        if open(&mut self.connections, index).partial.len() > BACKLOG {
            self.abandon(index);
        }
        let connection = open(&mut self.connections, index);
        if connection.receiving == Receiving::Over && matches!(connection.sending, Sending::Nothing) {
            self.connections[index as usize] = None;
            self.vacant.push(index);
        }
        Ok(())
    }

    /// Starts the multishot receive.
    #[cold]
    fn receive(&mut self, index: u32) -> io::Result<()> {
        let connection = open(&mut self.connections, index);
        connection.receiving = Receiving::Armed { wanted: true };
        let fd = Fd(connection.fd.as_raw_fd());
        self.push(&opcode::RecvMulti::new(fd, GROUP).build().user_data(u64::from(index)))
    }

    /// Receives again when there is a buffer.
    #[cold]
    fn starve(&mut self, index: u32) {
        open(&mut self.connections, index).receiving = Receiving::Starved;
        self.starved.push(index);
    }

    /// Gives up on the peer. A receive that is armed ends because of it.
    #[cold]
    fn abandon(&mut self, index: u32) {
        let connection = open(&mut self.connections, index);
        connection.partial.clear();
        match connection.receiving {
            Receiving::Armed { .. } => {
                connection.receiving = Receiving::Armed { wanted: false };
                // SAFETY: the descriptor is open, and the call takes no memory. Should it fail, the peer has
                // gone already.
                unsafe { libc::shutdown(connection.fd.as_raw_fd(), libc::SHUT_RDWR) };
            }
            Receiving::Starved => {
                connection.receiving = Receiving::Over;
                self.starved.retain(|&starved| starved != index);
            }
            Receiving::Over => {}
        }
    }

    /// Sends what is left of the reply in flight.
    #[inline]
    fn send(&mut self, index: u32) -> io::Result<()> {
        let connection = open(&mut self.connections, index);
        let memory = match &connection.sending {
            Sending::Nothing => return Ok(()),
            Sending::Buffer(id) => self.buffers.address(*id).cast_const(),
            Sending::Copy(reply) => reply.as_ptr(),
        };
        let rest = memory.wrapping_add(connection.start as usize);
        let send = opcode::Send::new(Fd(connection.fd.as_raw_fd()), rest, connection.left)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(SEND | u64::from(index));
        self.push(&send)
    }

    /// Gives a buffer back, first of all to whoever has waited for one.
    #[inline]
    fn give(&mut self, id: u16) -> io::Result<()> {
        self.buffers.give(id);
        match self.starved.pop() {
            Some(index) => self.receive(index),
            None => Ok(()),
        }
    }

    #[inline]
    fn push(&mut self, entry: &Entry) -> io::Result<()> {
        ring::reserve(&mut self.queue, &self.submitter, 1)?;
        // SAFETY: a send's memory is its connection's or a provided buffer, and is neither moved nor given
        // away before the send has completed; the other operations refer to no memory.
        unsafe { self.queue.push(entry) }.expect("room is reserved");
        Ok(())
    }
}

/// The connection of a completion.
#[inline]
fn open(connections: &mut [Option<Connection>], index: u32) -> &mut Connection {
    connections[index as usize].as_mut().expect("a connection is closed only when nothing is in flight")
}
