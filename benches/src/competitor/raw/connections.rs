//! The table of connections of a hand-written loop.
//!
//! A slot owns its descriptor from accept to close and its buffer for ever: a slot is never freed, only used
//! again, so the kernel may write to a buffer at any time without asking how its connection is. The loops
//! keep at most one completion outstanding for each slot and close it only when that has come, so a
//! completion always meets the connection that it belongs to.

use std::ops::{Index, IndexMut};
use std::os::fd::{FromRawFd as _, OwnedFd};
use std::ptr::NonNull;

use io_uring::types::Fd;

/// One connection.
pub(in crate::competitor) struct Connection {
    pub(in crate::competitor) fd: Fd,
    /// As many bytes as the table's `BUFFER`.
    pub(in crate::competitor) buffer: NonNull<u8>,
    /// The length of the reply, which stands at the front of `buffer`.
    pub(in crate::competitor) reply: u32,
    /// How much of the reply has been sent.
    pub(in crate::competitor) sent: u32,
    /// How much of `buffer` has been received: the reply, and what came after it.
    pub(in crate::competitor) filled: u32,
}

/// Connections with `BUFFER` bytes each.
pub(in crate::competitor) struct Connections<const BUFFER: usize> {
    slots: Vec<Connection>,
    vacant: Vec<u32>,
}

impl<const BUFFER: usize> Connections<BUFFER> {
    pub(in crate::competitor) fn new() -> Self {
        Self { slots: Vec::new(), vacant: Vec::new() }
    }

    /// Moves an accepted descriptor in.
    pub(in crate::competitor) fn insert(&mut self, fd: i32) -> u32 {
        let index = self.vacant.pop().unwrap_or_else(|| {
            let buffer = NonNull::from(Box::leak(vec![0_u8; BUFFER].into_boxed_slice())).cast();
            self.slots.push(Connection { fd: Fd(-1), buffer, reply: 0, sent: 0, filled: 0 });
            u32::try_from(self.slots.len() - 1).expect("descriptors run out long before")
        });
        let slot = &mut self[index];
        (slot.fd, slot.reply, slot.sent, slot.filled) = (Fd(fd), 0, 0, 0);
        index
    }

    /// Closes a connection that has nothing in flight.
    #[cold]
    pub(in crate::competitor) fn close(&mut self, index: u32) {
        let fd = std::mem::replace(&mut self[index].fd, Fd(-1));
        // SAFETY: the descriptor came from an accept, and the slot, which just gave it up, was its only
        // owner.
        drop(unsafe { OwnedFd::from_raw_fd(fd.0) });
        self.vacant.push(index);
    }
}

impl<const BUFFER: usize> Index<u32> for Connections<BUFFER> {
    type Output = Connection;

    #[inline]
    fn index(&self, index: u32) -> &Connection {
        &self.slots[index as usize]
    }
}

impl<const BUFFER: usize> IndexMut<u32> for Connections<BUFFER> {
    #[inline]
    fn index_mut(&mut self, index: u32) -> &mut Connection {
        &mut self.slots[index as usize]
    }
}
