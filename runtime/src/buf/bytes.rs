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
        let len = self.len();
        // An empty buffer's spare capacity is all of it, while `as_mut_ptr` is a pointer to the length only.
        self.clear();
        let spare = self.spare_capacity_mut();
        let (start, capacity) = (spare.as_mut_ptr(), spare.len());
        // SAFETY: the length that it had a moment ago; nothing was written meanwhile.
        unsafe { self.set_len(len) };
        // SAFETY: pointer and length are those of the spare capacity, borrowed from `self` for as long as `self` is.
        unsafe { std::slice::from_raw_parts_mut(start, capacity) }
    }

    unsafe fn filled(&mut self, n: usize) {
        // SAFETY: the caller promises that the first `n` bytes of the room are initialised.
        unsafe { self.set_len(n) }
    }
}
