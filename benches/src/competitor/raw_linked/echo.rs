//! Echo: `[send what came -> receive]`, one completion a request.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;

use io_uring::squeue::{Flags, SubmissionQueue};
use io_uring::types::Fd;
use io_uring::{Submitter, opcode};

use super::Member;
use crate::competitor::raw::connections::{Connection, Connections};
use crate::competitor::raw::ring;

const BUFFER: usize = 4096;

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
                    (connection.reply, connection.sent) = (result as u32, 0);
                    answer(&mut queue, &submitter, connection, index)?;
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

/// Sends what is not sent yet, then receives.
#[inline]
fn answer(
    queue: &mut SubmissionQueue<'_>,
    submitter: &Submitter<'_>,
    connection: &Connection,
    index: u32,
) -> io::Result<()> {
    let Connection { fd, buffer, reply, sent, .. } = *connection;
    let send = opcode::Send::new(fd, buffer.as_ptr().wrapping_add(sent as usize), reply - sent)
        .flags(libc::MSG_WAITALL)
        .build()
        .flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
        .user_data(Member::Send.of(index));
    let receive =
        opcode::Recv::new(fd, buffer.as_ptr(), BUFFER as u32).build().user_data(Member::Receive.of(index));
    ring::reserve(queue, submitter, 2)?;
    // SAFETY: the buffer is never freed, has room for both ranges, and nobody touches it until the list has
    // completed.
    unsafe {
        queue.push(&send).expect("room is reserved");
        queue.push(&receive).expect("room is reserved");
    }
    Ok(())
}

/// The first receive of a connection.
#[cold]
fn receive(
    queue: &mut SubmissionQueue<'_>,
    submitter: &Submitter<'_>,
    connection: &Connection,
    index: u32,
) -> io::Result<()> {
    let receive = opcode::Recv::new(connection.fd, connection.buffer.as_ptr(), BUFFER as u32)
        .build()
        .user_data(Member::Receive.of(index));
    ring::reserve(queue, submitter, 1)?;
    // SAFETY: the buffer is never freed, has room for that many bytes, and nobody touches it until the
    // receive has completed.
    unsafe { queue.push(&receive) }.expect("room is reserved");
    Ok(())
}
