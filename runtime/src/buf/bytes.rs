//! The buffers of the `bytes` crate.

use std::mem::MaybeUninit;

use bytes::{Bytes, BytesMut};

use super::{IoBuf, IoBufMut};

impl IoBuf for Bytes {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBuf for BytesMut {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBufMut for BytesMut {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        let (start, capacity) = (self.as_mut_ptr(), self.capacity());
        // SAFETY: the allocation from the start of the data on has that capacity and belongs to this value
        // alone; the element type has the layout of `u8` and needs no initialisation.
        unsafe { std::slice::from_raw_parts_mut(start.cast(), capacity) }
    }

    unsafe fn filled(&mut self, n: usize) {
        // SAFETY: the caller promises that the first `n` bytes of the room are initialised.
        unsafe { self.set_len(n) }
    }
}
