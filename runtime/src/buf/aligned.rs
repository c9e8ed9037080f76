//! Memory in whole pages, as O_DIRECT wants it.

use std::io;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use super::pages::Pages;
use super::{IoBuf, IoBufMut, fill};

/// A buffer that starts at a page and spans whole pages (4 KiB), zero at first; for files opened with O_DIRECT,
/// which want buffer, offset and length aligned (statx(2) tells how much: `STATX_DIOALIGN`).
///
/// It has all its bytes, always: an operation fills a front part and says how much.
#[derive(Debug)]
pub struct AlignedBuf(Pages);

impl AlignedBuf {
    /// A buffer of at least `len` bytes, rounded up to whole pages.
    ///
    /// # Errors
    /// If the system has no memory for it.
    pub fn new(len: usize) -> io::Result<AlignedBuf> {
        Pages::map(len).map(AlignedBuf)
    }
}

impl Deref for AlignedBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping is as long, readable, initialised (to zero), and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.0.start().as_ptr(), self.0.len()) }
    }
}

impl DerefMut for AlignedBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, writable, and nobody else has a reference.
        unsafe { std::slice::from_raw_parts_mut(self.0.start().as_ptr(), self.0.len()) }
    }
}

impl IoBuf for AlignedBuf {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBufMut for AlignedBuf {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        fill::as_room(self)
    }

    unsafe fn filled(&mut self, _: usize) {}
}

// SAFETY: the value owns its mapping alone.
unsafe impl Send for AlignedBuf {}
// SAFETY: a shared reference only reads.
unsafe impl Sync for AlignedBuf {}
