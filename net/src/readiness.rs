//! Waiting for a socket without transferring anything: poll(2) through the ring.

use std::io;

use chainring_runtime::AnyDescriptor;
use chainring_runtime::op::poll::{poll, poll_multi};
use futures::StreamExt;

macro_rules! readable {
    ($socket:ident) => {
        impl $socket {
            /// Waits until receiving would not wait: there are bytes or a datagram, the end of the stream, or an error.
            /// Receives nothing.
            ///
            /// Dropping the future is harmless.
            ///
            /// # Errors
            /// Those of poll(2). That of the socket is left for whoever receives.
            pub async fn readable(&self) -> std::io::Result<()> {
                crate::readiness::input(&self.0).await
            }
        }
    };
}

macro_rules! writable {
    ($socket:ident) => {
        impl $socket {
            /// Waits until the socket has room to send into, or an error.
            ///
            /// Dropping the future is harmless.
            ///
            /// # Errors
            /// Those of poll(2). That of the socket is left for whoever sends.
            pub async fn writable(&self) -> std::io::Result<()> {
                crate::readiness::room(&self.0).await
            }
        }
    };
}

pub(crate) async fn input<D: AnyDescriptor>(socket: &D) -> io::Result<()> {
    poll(socket, libc::POLLIN as u32).await.map(drop)
}

pub(crate) async fn room<D: AnyDescriptor>(socket: &D) -> io::Result<()> {
    // The kernel tells POLLRDHUP unasked, when the peer sends no more (`IO_POLL_UNMASK` in io_uring/poll.c), which is no room.
    // It would tell it again at once; a multishot is told of what changes.
    let is_room = |events: u32| events & !(libc::POLLRDHUP as u32) != 0;
    if is_room(poll(socket, libc::POLLOUT as u32).await?) {
        return Ok(());
    }
    loop {
        let mut changes = poll_multi(socket, libc::POLLOUT as u32);
        while let Some(events) = changes.next().await {
            if is_room(events?) {
                return Ok(());
            }
        }
    }
}
