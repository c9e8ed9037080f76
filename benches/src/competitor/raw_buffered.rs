//! Frames once more, received as they come: `[send what is complete -> receive]`, one completion a turn and
//! one operation less than the exact receives of `raw-linked`.
//!
//! The whole frames at the front of a buffer are its reply. Usually nothing follows them, and the next
//! receive, linked, may use the whole buffer, because it does not start before the send has let go of it. If
//! the start of another frame does follow, the send goes alone: only after its completion may the rest move
//! to the front.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;
use std::ptr::NonNull;

use io_uring::squeue::{Entry, Flags, SubmissionQueue};
use io_uring::types::Fd;
use io_uring::{Submitter, opcode};

use super::framing::{Frames, Framing as _};
use super::raw::connections::{Connection, Connections};
use super::raw::ring;
use super::{Competitor, Part};
use crate::workload::FRAMED;

pub(super) static COMPETITOR: Competitor = Competitor {
    name: "raw-buffered",
    about: "io_uring by hand: linked, frames received as they come",
    parts: &[(&FRAMED, Part::Serve(serve))],
};

const BUFFER: usize = Frames::BUFFER;

const ACCEPT: u64 = u64::MAX;
/// Set in the user data of a send, beside the connection's index.
const SEND: u64 = 1 << 32;

fn serve(listener: TcpListener) -> io::Result<()> {
    let mut ring = ring::build()?;
    let (mut submitter, mut queue, mut completions) = ring.split();
    submitter.register_ring_fd()?;
    let mut connections = Connections::<BUFFER>::new();
    let accept = ring::accept(Fd(listener.as_raw_fd()), ACCEPT);
    // SAFETY: an accept without an address refers to no memory.
    unsafe { queue.push(&accept) }.expect("the queue is empty");
    loop {
        queue.sync();
        ring::turn(&submitter)?;
        queue.sync();
        completions.sync();
        for completion in &mut completions {
            let (user_data, result) = (completion.user_data(), completion.result());
            if user_data == ACCEPT {
                if let Some(fd) = ring::accepted(result)? {
                    let index = connections.insert(fd);
                    push(&mut queue, &submitter, &[receive(&connections[index], index)])?;
                }
                if !io_uring::cqueue::more(completion.flags()) {
                    push(&mut queue, &submitter, std::slice::from_ref(&accept))?;
                }
                continue;
            }
            let index = user_data as u32;
            let connection = &mut connections[index];
            let alive = match result {
                1.. if user_data & SEND == 0 => received(connection, result as u32),
                1.. => {
                    sent(connection, result as u32);
                    true
                }
                _ => false,
            };
            if !alive {
                connections.close(index);
                continue;
            }
            match *connection {
                Connection { reply: 0, .. } => push(&mut queue, &submitter, &[receive(connection, index)])?,
                Connection { reply, filled, .. } if filled > reply => {
                    push(&mut queue, &submitter, &[send(connection, index)])?;
                }
                _ => push(&mut queue, &submitter, &linked(connection, index))?,
            }
        }
    }
}

/// Takes in what has come; says no to a peer that breaks the protocol.
#[inline]
fn received(connection: &mut Connection, count: u32) -> bool {
    if connection.reply > 0 {
        // The list that sent this reply is through, and has received into the whole buffer.
        connection.filled = 0;
    }
    connection.filled += count;
    // SAFETY: nothing of the connection is in flight, and so many bytes of its buffer have been written.
    let bytes =
        unsafe { NonNull::slice_from_raw_parts(connection.buffer, connection.filled as usize).as_ref() };
    let complete = Frames::complete(bytes);
    (connection.reply, connection.sent) = (complete.unwrap_or(0) as u32, 0);
    complete.is_some()
}

/// Takes note of a send that went alone or came up short; after the last byte what follows the reply moves to
/// the front.
#[cold]
fn sent(connection: &mut Connection, count: u32) {
    connection.sent += count;
    if connection.sent == connection.reply {
        let rest = connection.filled - connection.reply;
        // SAFETY: nothing of the connection is in flight, and both ranges lie within its buffer.
        unsafe { connection.buffer.add(connection.reply as usize).copy_to(connection.buffer, rest as usize) };
        (connection.reply, connection.sent, connection.filled) = (0, 0, rest);
    }
}

#[inline]
fn linked(connection: &Connection, index: u32) -> [Entry; 2] {
    let send = send(connection, index).flags(Flags::IO_LINK | Flags::SKIP_SUCCESS);
    let buffer = connection.buffer.as_ptr();
    [send, opcode::Recv::new(connection.fd, buffer, BUFFER as u32).build().user_data(u64::from(index))]
}

#[inline]
fn send(connection: &Connection, index: u32) -> Entry {
    let rest = connection.buffer.as_ptr().wrapping_add(connection.sent as usize);
    opcode::Send::new(connection.fd, rest, connection.reply - connection.sent)
        .flags(libc::MSG_WAITALL)
        .build()
        .user_data(SEND | u64::from(index))
}

/// Receives behind what is there; there is always room, because an incomplete frame is shorter than the
/// buffer.
#[inline]
fn receive(connection: &Connection, index: u32) -> Entry {
    let free = connection.buffer.as_ptr().wrapping_add(connection.filled as usize);
    opcode::Recv::new(connection.fd, free, BUFFER as u32 - connection.filled)
        .build()
        .user_data(u64::from(index))
}

/// Publishes a list, all of it in one submission.
#[inline]
fn push(queue: &mut SubmissionQueue<'_>, submitter: &Submitter<'_>, list: &[Entry]) -> io::Result<()> {
    ring::reserve(queue, submitter, list.len())?;
    // SAFETY: the buffers are never freed, have room for every range, and nobody touches them until the list
    // has completed.
    unsafe { queue.push_multiple(list) }.expect("room is reserved");
    Ok(())
}
