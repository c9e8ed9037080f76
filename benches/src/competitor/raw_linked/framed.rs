//! Frames: `[receive the body -> send head and body -> receive the next head]`, one completion a request.

use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};

use super::{Member, Server, Turn};
use crate::competitor::framing::{self, Frames, Framing as _};
use crate::competitor::raw::connections::Connection;
use crate::workload::HEAD;

pub(super) struct Framed;

impl Server for Framed {
    const BUFFER: usize = Frames::BUFFER;

    #[inline]
    fn first(connection: &Connection, index: u32) -> Entry {
        opcode::Recv::new(connection.fd, connection.buffer.as_ptr(), HEAD as u32)
            .flags(libc::MSG_WAITALL)
            .build()
            .user_data(Member::Receive.of(index))
    }

    #[inline]
    fn received(connection: &mut Connection, received: u32) -> Turn {
        // A head cut short: the peer has gone, in order or not.
        if received != HEAD as u32 {
            return Turn::Close;
        }
        // SAFETY: the buffer holds a head, and its connection has nothing in flight.
        let head = unsafe { connection.buffer.cast::<[u8; HEAD]>().as_ref() };
        let Some(body) = framing::body(head) else { return Turn::Close };
        (connection.reply, connection.sent) = ((HEAD + body) as u32, 0);
        // To receive no bytes would wait for the next frame's first one.
        if body == 0 { Turn::Answer } else { Turn::ReceiveAndAnswer }
    }

    #[inline]
    fn rest(connection: &Connection, index: u32) -> Entry {
        let body = connection.buffer.as_ptr().wrapping_add(HEAD);
        opcode::Recv::new(connection.fd, body, connection.reply - HEAD as u32)
            .flags(libc::MSG_WAITALL)
            .build()
            .flags(Flags::IO_LINK | Flags::SKIP_SUCCESS)
            .user_data(Member::ReceiveBody.of(index))
    }
}
