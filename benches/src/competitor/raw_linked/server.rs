//! The loop that all these servers have in common: what comes in, and what a completion leads to.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsRawFd as _;

use io_uring::squeue::{Entry, Flags, SubmissionQueue};
use io_uring::types::Fd;
use io_uring::{Submitter, opcode};

use super::Member;
use crate::competitor::raw::connections::{Connection, Connections};
use crate::competitor::raw::ring;

/// What one protocol adds to the loop. All of it is inlined: each server is as if it had been written by itself.
pub(super) trait Server {
    /// Bytes of a connection.
    const BUFFER: usize;
    /// Where in them the reply begins.
    const REPLY: usize = 0;

    /// The receive with which a turn ends and the next begins.
    fn first(connection: &Connection, index: u32) -> Entry;

    /// What follows when it has brought so many bytes.
    fn received(connection: &mut Connection, received: u32) -> Turn;

    /// The linked receive of what else belongs to the request, for [`Turn::ReceiveAndAnswer`].
    fn rest(connection: &Connection, index: u32) -> Entry {
        let _ = (connection, index);
        unreachable!("this protocol has no second part")
    }
}

/// What a connection does next.
pub(super) enum Turn {
    /// Sends its reply, then receives.
    Answer,
    /// The same behind a receive of the rest of the request.
    ReceiveAndAnswer,
    /// Only receives.
    Receive,
    Close,
}

/// Serves until the process ends. `BUFFER` is that of the server: constants of a parameter cannot be lengths.
pub(super) fn serve<S: Server, const BUFFER: usize>(listener: TcpListener) -> io::Result<()> {
    let mut ring = ring::build()?;
    let (mut submitter, mut queue, mut completions) = ring.split();
    submitter.register_ring_fd()?;
    let mut connections = Connections::<BUFFER>::new();
    let accept = ring::accept(Fd(listener.as_raw_fd()), Member::Accept.of(0));
    push(&mut queue, &submitter, [accept.clone()])?;
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
                    match S::received(connection, result as u32) {
                        Turn::Answer => {
                            let turn = [send::<S>(connection, index), S::first(connection, index)];
                            push(&mut queue, &submitter, turn)?;
                        }
                        Turn::ReceiveAndAnswer => {
                            let (rest, send) = (S::rest(connection, index), send::<S>(connection, index));
                            push(&mut queue, &submitter, [rest, send, S::first(connection, index)])?;
                        }
                        Turn::Receive => push(&mut queue, &submitter, [S::first(connection, index)])?,
                        Turn::Close => connections.close(index),
                    }
                }
                // It came up short.
                Member::Send if result > 0 => {
                    let connection = &mut connections[index];
                    connection.sent += result as u32;
                    let turn = [send::<S>(connection, index), S::first(connection, index)];
                    push(&mut queue, &submitter, turn)?;
                }
                Member::Accept => {
                    if let Some(fd) = ring::accepted(result)? {
                        let index = connections.insert(fd);
                        push(&mut queue, &submitter, [S::first(&connections[index], index)])?;
                    }
                    if !io_uring::cqueue::more(completion.flags()) {
                        push(&mut queue, &submitter, [accept.clone()])?;
                    }
                }
                // A part of a request cut short: the peer has gone, in order or not.
                _ => connections.close(index),
            }
        }
    }
}

/// What is not sent yet.
#[inline]
fn send<S: Server>(connection: &Connection, index: u32) -> Entry {
    let Connection { fd, buffer, reply, sent, .. } = *connection;
    opcode::Send::new(fd, buffer.as_ptr().wrapping_add(S::REPLY + sent as usize), reply - sent)
        .flags(libc::MSG_WAITALL)
        .build()
        .flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
        .user_data(Member::Send.of(index))
}

/// Publishes a list, all of it in one submission.
#[inline]
fn push<const N: usize>(
    queue: &mut SubmissionQueue<'_>,
    submitter: &Submitter<'_>,
    list: [Entry; N],
) -> io::Result<()> {
    ring::reserve(queue, submitter, N)?;
    for entry in &list {
        // SAFETY: an accept without an address refers to no memory. Of the others the buffers are never freed and have room
        // for every range, and nobody touches them until the list has completed.
        unsafe { queue.push(entry) }.expect("room is reserved");
    }
    Ok(())
}
