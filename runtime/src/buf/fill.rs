//! The few unsafe steps between a buffer and what the kernel wrote into it.

use std::mem::MaybeUninit;

use super::IoBufMut;
use crate::ring::transfer_len;

/// A buffer that an operation fills, and how much room the kernel was told of.
///
/// A buffer type is safe code: it may give another room, of another length, each time it is asked. So it is asked once a
/// submission, and the count that comes back is held against what it said then.
#[derive(Debug)]
pub(crate) struct Filling<B> {
    buffer: B,
    room: u32,
}

impl<B: IoBufMut> Filling<B> {
    #[inline]
    pub(crate) fn new(buffer: B) -> Self {
        Filling { buffer, room: 0 }
    }

    #[inline]
    pub(crate) fn buffer(&self) -> &B {
        &self.buffer
    }

    /// The room, as much of it as one transfer can fill, for the kernel and nobody else.
    #[inline]
    pub(crate) fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the kernel only ever writes bytes, and bytes that it wrote are initialised.
        let room = unsafe { self.buffer.room() };
        self.room = transfer_len(room.len());
        &mut room[..self.room as usize]
    }

    /// The buffer, of which the kernel was told no room, or wrote nothing.
    #[inline]
    pub(crate) fn untouched(self) -> B {
        self.buffer
    }

    /// Whether there was room when the kernel was last told.
    pub(crate) fn had_room(&self) -> bool {
        self.room > 0
    }

    /// The buffer, which is told that the kernel wrote `n` bytes into its room. That they fit is checked: a count that
    /// the kernel reports is not trusted.
    ///
    /// To be called with the count of a completion of the operation that was last given the room.
    #[inline]
    pub(crate) fn filled(mut self, n: usize) -> B {
        let room = self.room;
        assert!(n <= room as usize, "the kernel reports {n} bytes in a buffer of {room}");
        // SAFETY: the kernel wrote the first `n` bytes of the room that the buffer last gave, and they are inside it.
        unsafe { self.buffer.filled(n) }
        self.buffer
    }
}

/// Initialised bytes as room to be written.
pub(super) fn as_room(bytes: &mut [u8]) -> &mut [MaybeUninit<u8>] {
    // SAFETY: `MaybeUninit<u8>` has the layout of `u8`; the only caller is `IoBufMut::room`, whose own
    // callers promise not to uninitialise anything.
    unsafe { &mut *(std::ptr::from_mut(bytes) as *mut [MaybeUninit<u8>]) }
}

/// The whole capacity of `vec` as room, whatever its length.
pub(super) fn whole_capacity(vec: &mut Vec<u8>) -> &mut [MaybeUninit<u8>] {
    // SAFETY: pointer and capacity are those of one allocation that `vec` owns and is borrowed for; the
    // element type has the layout of `u8` and needs no initialisation.
    unsafe { std::slice::from_raw_parts_mut(vec.as_mut_ptr().cast(), vec.capacity()) }
}

/// # Safety
/// The first `n` bytes of the capacity must be initialised.
pub(super) unsafe fn set_len(vec: &mut Vec<u8>, n: usize) {
    debug_assert!(n <= vec.capacity());
    // SAFETY: the caller's promise.
    unsafe { vec.set_len(n) }
}
