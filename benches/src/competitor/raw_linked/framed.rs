//! Frames: `[receive the body -> send head and body -> receive the next head]`, one completion a request.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;

use io_uring::squeue::{Entry, Flags, SubmissionQueue};
use io_uring::types::Fd;
use io_uring::{Submitter, opcode};

use super::Member;
use crate::competitor::framing::{self, Frames, Framing as _};
use crate::competitor::raw::connections::{Connection, Connections};
use crate::competitor::raw::ring;
use crate::workload::HEAD;

pub(super) fn serve(listener: TcpListener) -> io::Result<()> {
    let mut ring = ring::build()?;
    let (mut submitter, mut queue, mut completions) = ring.split();
    submitter.register_ring_fd()?;
    let mut connections = Connections::<{ Frames::BUFFER }>::new();
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
                Member::Receive if result == HEAD as i32 => {
                    let connection = &mut connections[index];
                    // SAFETY: the buffer holds a head, and its connection has nothing in flight.
                    let head = unsafe { connection.buffer.cast::<[u8; HEAD]>().as_ref() };
                    match framing::body(head) {
                        Some(body) => {
                            (connection.reply, connection.sent) = ((HEAD + body) as u32, 0);
                            let turn = whole_turn(connection, index);
                            // To receive no bytes would wait for the next frame's first one.
                            push(&mut queue, &submitter, if body == 0 { &turn[1..] } else { &turn })?;
                        }
                        None => connections.close(index),
                    }
                }
                Member::Send if result > 0 => {
                    let connection = &mut connections[index];
                    connection.sent += result as u32;
                    push(
                        &mut queue,
                        &submitter,
                        &[send(connection, index), receive_head(connection, index)],
                    )?;
                }
                Member::Accept => {
                    if let Some(fd) = ring::accepted(result)? {
                        let index = connections.insert(fd);
                        push(&mut queue, &submitter, &[receive_head(&connections[index], index)])?;
                    }
                    if !io_uring::cqueue::more(completion.flags()) {
                        push(&mut queue, &submitter, std::slice::from_ref(&accept))?;
                    }
                }
                // A head or body cut short: the peer has gone, in order or not.
                _ => connections.close(index),
            }
        }
    }
}

/// The three members of a turn.
#[inline]
fn whole_turn(connection: &Connection, index: u32) -> [Entry; 3] {
    let body = connection.buffer.as_ptr().wrapping_add(HEAD);
    let receive_body = opcode::Recv::new(connection.fd, body, connection.reply - HEAD as u32)
        .flags(libc::MSG_WAITALL)
        .build()
        .flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
        .user_data(Member::ReceiveBody.of(index));
    [receive_body, send(connection, index), receive_head(connection, index)]
}

#[inline]
fn send(connection: &Connection, index: u32) -> Entry {
    let rest = connection.buffer.as_ptr().wrapping_add(connection.sent as usize);
    opcode::Send::new(connection.fd, rest, connection.reply - connection.sent)
        .flags(libc::MSG_WAITALL)
        .build()
        .flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
        .user_data(Member::Send.of(index))
}

#[inline]
fn receive_head(connection: &Connection, index: u32) -> Entry {
    opcode::Recv::new(connection.fd, connection.buffer.as_ptr(), HEAD as u32)
        .flags(libc::MSG_WAITALL)
        .build()
        .user_data(Member::Receive.of(index))
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
