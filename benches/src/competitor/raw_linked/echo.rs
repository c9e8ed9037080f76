//! Echo: `[send what came -> receive]`, one completion a request.

use io_uring::opcode;
use io_uring::squeue::Entry;

use super::{Member, Server, Turn};
use crate::competitor::raw::connections::Connection;

pub(super) struct Echo;

impl Server for Echo {
    const BUFFER: usize = 4096;

    #[inline]
    fn first(connection: &Connection, index: u32) -> Entry {
        opcode::Recv::new(connection.fd, connection.buffer.as_ptr(), Self::BUFFER as u32)
            .build()
            .user_data(Member::Receive.of(index))
    }

    #[inline]
    fn received(connection: &mut Connection, received: u32) -> Turn {
        (connection.reply, connection.sent) = (received, 0);
        Turn::Answer
    }
}
