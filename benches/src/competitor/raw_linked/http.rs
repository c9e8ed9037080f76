//! HTTP-shaped: `[send the replies -> receive]`, one completion for as many requests as have come.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;

use io_uring::squeue::{Flags, SubmissionQueue};
use io_uring::types::Fd;
use io_uring::{Submitter, opcode};

use super::Member;
use crate::competitor::raw::connections::{Connection, Connections};
use crate::competitor::raw::ring;
use crate::workload::{LARGEST_HEAD, REPLY, head};

/// What is received lies at the front of a connection's buffer.
const INPUT: usize = 4 * LARGEST_HEAD;
/// The shortest head that there is.
const SHORTEST: usize = 4;
/// Behind it the replies to as many heads as fit there.
const BUFFER: usize = INPUT + INPUT / SHORTEST * REPLY.len();

pub(super) fn serve(listener: TcpListener) -> io::Result<()> {
    let mut ring = ring::build()?;
    let (mut submitter, mut queue, mut completions) = ring.split();
    submitter.register_ring_fd()?;
    let mut connections = Connections::<BUFFER>::new();
    let accept = ring::accept(Fd(listener.as_raw_fd()), Member::Accept.of(0));
    // SAFETY: an accept without an address refers to no memory.
    unsafe { queue.push(&accept) }.expect("the queue is empty");
    loop {
        queue.sync();
        ring::turn(&submitter)?;
        queue.sync();
        completions.sync();
        for completion in &mut completions {
            let (member, index) = Member::split(completion.user_data());
            let result = completion.result();
            match member {
                Member::Receive if result > 0 => {
                    let connection = &mut connections[index];
                    connection.filled += result as u32;
                    reply(connection);
                    if connection.filled as usize > LARGEST_HEAD {
                        connections.close(index);
                    } else if connection.reply > 0 {
                        answer(&mut queue, &submitter, connection, index)?;
                    } else {
                        receive(&mut queue, &submitter, connection, index)?;
                    }
                }
                Member::Send if result > 0 => {
                    let connection = &mut connections[index];
                    connection.sent += result as u32;
                    answer(&mut queue, &submitter, connection, index)?;
                }
                Member::Accept => {
                    if let Some(fd) = ring::accepted(result)? {
                        let index = connections.insert(fd);
                        receive(&mut queue, &submitter, &connections[index], index)?;
                    }
                    if !io_uring::cqueue::more(completion.flags()) {
                        ring::reserve(&mut queue, &submitter, 1)?;
                        // SAFETY: an accept without an address refers to no memory.
                        unsafe { queue.push(&accept) }.expect("room is reserved");
                    }
                }
                _ => connections.close(index),
            }
        }
    }
}

/// Writes the replies to all heads that are there, and moves what is left of the input to its front.
#[inline]
fn reply(connection: &mut Connection) {
    // SAFETY: the buffer is never freed and as large, and its connection has nothing in flight.
    let buffer = unsafe { std::slice::from_raw_parts_mut(connection.buffer.as_ptr(), BUFFER) };
    let (input, output) = buffer.split_at_mut(INPUT);
    let (filled, mut taken, mut written) = (connection.filled as usize, 0, 0);
    while let Some(len) = head(&input[taken..filled]) {
        output[written..written + REPLY.len()].copy_from_slice(REPLY);
        (taken, written) = (taken + len, written + REPLY.len());
    }
    if taken < filled && taken > 0 {
        input.copy_within(taken..filled, 0);
    }
    (connection.filled, connection.reply, connection.sent) = ((filled - taken) as u32, written as u32, 0);
}

/// Sends what is not sent yet, then receives behind what is there.
#[inline]
fn answer(
    queue: &mut SubmissionQueue<'_>,
    submitter: &Submitter<'_>,
    connection: &Connection,
    index: u32,
) -> io::Result<()> {
    let Connection { fd, buffer, reply, sent, .. } = *connection;
    let send = opcode::Send::new(fd, buffer.as_ptr().wrapping_add(INPUT + sent as usize), reply - sent)
        .flags(libc::MSG_WAITALL)
        .build()
        .flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
        .user_data(Member::Send.of(index));
    ring::reserve(queue, submitter, 2)?;
    // SAFETY: the buffer is never freed, has room for both ranges, and nobody touches it until the list has
    // completed.
    unsafe {
        queue.push(&send).expect("room is reserved");
        queue.push(&receive_entry(connection, index)).expect("room is reserved");
    }
    Ok(())
}

#[inline]
fn receive_entry(connection: &Connection, index: u32) -> io_uring::squeue::Entry {
    let Connection { fd, buffer, filled, .. } = *connection;
    let behind = buffer.as_ptr().wrapping_add(filled as usize);
    opcode::Recv::new(fd, behind, INPUT as u32 - filled).build().user_data(Member::Receive.of(index))
}

/// Receives where there is nothing to send: the first time, and where a head is not there as a whole.
#[cold]
fn receive(
    queue: &mut SubmissionQueue<'_>,
    submitter: &Submitter<'_>,
    connection: &Connection,
    index: u32,
) -> io::Result<()> {
    ring::reserve(queue, submitter, 1)?;
    // SAFETY: the buffer is never freed, has room for that many bytes, and nobody touches it until the
    // receive has completed.
    unsafe { queue.push(&receive_entry(connection, index)) }.expect("room is reserved");
    Ok(())
}
