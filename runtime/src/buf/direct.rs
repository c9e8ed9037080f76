//! Memory for O_DIRECT, in the units that a file asks for.

use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::ops::{Deref, DerefMut};

use super::{AlignedBuf, IoBuf, IoBufMut, PAGE, fill};

/// What O_DIRECT wants of a file's transfers: statx(2), `STATX_DIOALIGN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DirectAlignment {
    /// Addresses of memory are multiples of so many bytes.
    pub memory: u32,
    /// Positions in the file and lengths are multiples of so many bytes.
    pub offset: u32,
}

impl DirectAlignment {
    /// The last position at or before `offset` at which a transfer can begin.
    pub fn floor(self, offset: u64) -> u64 {
        offset - offset % u64::from(self.offset.max(1))
    }

    /// The first position at or behind `offset` at which a transfer can begin or end; the last one that there is, for
    /// those behind it.
    pub fn ceil(self, offset: u64) -> u64 {
        offset.checked_next_multiple_of(self.offset.max(1).into()).unwrap_or(self.floor(u64::MAX))
    }
}

/// A buffer that starts at an address, and has room for a length, that O_DIRECT takes.
///
/// Like a vector it has a length, 0 at first: the bytes that a write sends, or that a read has filled. Its room is
/// whole units, so a read may always be given all of it; a write must have whole units, see
/// [`pad`](DirectBuf::pad).
pub struct DirectBuf {
    pages: AlignedBuf,
    alignment: DirectAlignment,
    len: usize,
    capacity: usize,
}

impl DirectBuf {
    /// A buffer with room for at least `capacity` bytes, in whole units of the file that `alignment` is of.
    ///
    /// # Errors
    /// If the system has no memory for it; [`Unsupported`](io::ErrorKind::Unsupported) if memory would have to be
    /// aligned to more than a page of 4 KiB.
    pub fn new(alignment: DirectAlignment, capacity: usize) -> io::Result<DirectBuf> {
        if !PAGE.is_multiple_of(alignment.memory.max(1) as usize) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, "alignment to more than a page"));
        }
        let unit = alignment.offset.max(1) as usize;
        let capacity = capacity.max(1).checked_next_multiple_of(unit).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(DirectBuf { pages: AlignedBuf::new(capacity)?, alignment, len: 0, capacity })
    }

    /// What it was made for.
    pub fn alignment(&self) -> DirectAlignment {
        self.alignment
    }

    /// The bytes that there is room for.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Sets how many bytes count. Bytes that were never written are zero, or left over from an earlier use.
    ///
    /// # Panics
    /// If there is no room for so many.
    pub fn set_len(&mut self, len: usize) {
        assert!(len <= self.capacity, "{len} bytes in a buffer of {}", self.capacity);
        self.len = len;
    }

    /// Appends bytes.
    ///
    /// # Panics
    /// If there is no room for them.
    pub fn extend_from_slice(&mut self, bytes: &[u8]) {
        let begin = self.len;
        self.set_len(begin + bytes.len());
        self[begin..].copy_from_slice(bytes);
    }

    /// Appends zeros up to whole units, so that all of it can be written.
    pub fn pad(&mut self) {
        let begin = self.len;
        // There is room: the capacity is whole units.
        self.len = begin.next_multiple_of(self.alignment.offset.max(1) as usize);
        self[begin..].fill(0);
    }
}

impl Deref for DirectBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.pages[..self.len]
    }
}

impl DerefMut for DirectBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.pages[..self.len]
    }
}

impl IoBuf for DirectBuf {
    fn as_bytes(&self) -> &[u8] {
        self
    }
}

impl IoBufMut for DirectBuf {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        fill::as_room(&mut self.pages[..self.capacity])
    }

    unsafe fn filled(&mut self, n: usize) {
        self.set_len(n);
    }
}

impl fmt::Debug for DirectBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DirectBuf({} of {} bytes)", self.len, self.capacity)
    }
}
