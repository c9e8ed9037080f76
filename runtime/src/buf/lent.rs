//! A part of a pool's buffer, lent to whoever holds it.

use std::fmt;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::rc::Rc;

use super::pool::Shared;
use super::{IoBuf, IoBufMut, fill};

/// Bytes in a buffer of a pool. Dropping it gives the buffer back.
///
/// It can be given to operations, for example to be sent on as it is. Without incremental use its room is the whole
/// buffer.
pub struct PoolBuf {
    of: Option<(Rc<Shared>, u16)>,
    start: NonNull<u8>,
    len: u32,
    room: u32,
}

impl PoolBuf {
    /// The part of buffer `id` that is lent from now on: `room` bytes from `start`, of which `len` count. Nobody
    /// else may use them until the pool is given the buffer back.
    pub(super) fn new(pool: Rc<Shared>, id: u16, start: NonNull<u8>, len: u32, room: u32) -> Self {
        PoolBuf { of: Some((pool, id)), start, len, room }
    }

    /// No bytes, of no pool.
    pub(crate) fn empty() -> Self {
        PoolBuf { of: None, start: NonNull::dangling(), len: 0, room: 0 }
    }

    /// Sets how many bytes count, at most as many as there is room for. Bytes that were never received are zero,
    /// or left over from an earlier use.
    ///
    /// # Panics
    /// If there is no room for so many.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.room as usize, "{len} bytes in a buffer of {}", self.room);
        self.len = len as u32;
    }

    /// The bytes that there is room for.
    pub fn capacity(&self) -> usize {
        self.room as usize
    }
}

impl Deref for PoolBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the part of the pool's mapping that is lent to this value alone; mapped as long as the share in
        // the pool lasts, initialised (to zero, or by the kernel), and the kernel is done with it.
        unsafe { std::slice::from_raw_parts(self.start.as_ptr(), self.len as usize) }
    }
}

impl DerefMut for PoolBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.len as usize) }
    }
}

impl IoBuf for PoolBuf {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBufMut for PoolBuf {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: as in `deref_mut`; all of the room is initialised.
        fill::as_room(unsafe { std::slice::from_raw_parts_mut(self.start.as_ptr(), self.room as usize) })
    }

    unsafe fn filled(&mut self, n: usize) {
        self.set_len(n);
    }
}

impl Drop for PoolBuf {
    fn drop(&mut self) {
        if let Some((pool, id)) = self.of.take() {
            pool.give_back(id);
        }
    }
}

impl fmt::Debug for PoolBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PoolBuf({} of {} bytes)", self.len, self.room)
    }
}
