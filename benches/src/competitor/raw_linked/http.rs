//! HTTP-shaped: `[send the replies -> receive]`, one completion for as many requests as have come.

use io_uring::opcode;
use io_uring::squeue::Entry;

use super::{Member, Server, Turn};
use crate::competitor::raw::connections::Connection;
use crate::workload::{LARGEST_HEAD, REPLY, head};

/// What is received lies at the front of a connection's buffer.
const INPUT: usize = 4 * LARGEST_HEAD;
/// The shortest head that there is.
const SHORTEST: usize = 4;
/// Behind it the replies to as many heads as fit there.
const BUFFER: usize = INPUT + INPUT / SHORTEST * REPLY.len();

pub(super) struct Http;

impl Server for Http {
    const BUFFER: usize = BUFFER;
    const REPLY: usize = INPUT;

    /// Behind what is there.
    #[inline]
    fn first(connection: &Connection, index: u32) -> Entry {
        let Connection { fd, buffer, filled, .. } = *connection;
        let behind = buffer.as_ptr().wrapping_add(filled as usize);
        opcode::Recv::new(fd, behind, INPUT as u32 - filled).build().user_data(Member::Receive.of(index))
    }

    #[inline]
    fn received(connection: &mut Connection, received: u32) -> Turn {
        connection.filled += received;
        reply(connection);
        if connection.filled as usize > LARGEST_HEAD {
            Turn::Close
        } else if connection.reply > 0 {
            Turn::Answer
        } else {
            Turn::Receive
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
