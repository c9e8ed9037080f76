//! An owned view of a part of a buffer.

use std::mem::MaybeUninit;
use std::ops::{Bound, RangeBounds};

use super::{IoBuf, IoBufMut};

/// A buffer of which operations see only a range. Made by [`IoBuf::slice`]; [`into_inner`](Slice::into_inner)
/// gives the whole buffer back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<B> {
    buffer: B,
    start: usize,
    /// Exclusive; `usize::MAX` is "to the end of whatever there is".
    end: usize,
    /// Whether what the buffer had is still there when the slice has been filled.
    keeps: bool,
}

impl<B: IoBuf> Slice<B> {
    pub(super) fn new(buffer: B, range: impl RangeBounds<usize>) -> Self {
        let start = match range.start_bound() {
            Bound::Included(&n) => n,
            Bound::Excluded(&n) => n + 1,
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&n) => n.saturating_add(1),
            Bound::Excluded(&n) => n,
            Bound::Unbounded => usize::MAX,
        };
        let len = buffer.as_bytes().len();
        assert!(start <= len, "slice starts at {start}, behind the {len} initialised bytes");
        assert!(start <= end, "slice ends at {end}, before its start {start}");
        Slice { buffer, start, end, keeps: true }
    }

    /// The first `end` bytes of a buffer as room for what comes next: what it had is forgotten when that has come, as it is
    /// when the whole of a buffer is given to an operation.
    pub fn afresh(buffer: B, end: usize) -> Self {
        Slice { buffer, start: 0, end, keeps: false }
    }

    /// The whole buffer.
    pub fn into_inner(self) -> B {
        self.buffer
    }

    /// The whole buffer, borrowed.
    pub fn get_ref(&self) -> &B {
        &self.buffer
    }
}

impl<B: IoBuf> IoBuf for Slice<B> {
    fn as_bytes(&self) -> &[u8] {
        let bytes = self.buffer.as_bytes();
        let end = self.end.min(bytes.len());
        &bytes[self.start.min(end)..end]
    }
}

impl<B: IoBufMut> IoBufMut for Slice<B> {
    unsafe fn room(&mut self) -> &mut [MaybeUninit<u8>] {
        // SAFETY: the caller's promise is passed on.
        let room = unsafe { self.buffer.room() };
        let end = self.end.min(room.len());
        &mut room[self.start.min(end)..end]
    }

    unsafe fn filled(&mut self, n: usize) {
        let counted = self.buffer.as_bytes().len();
        assert!(self.start <= counted, "a buffer has only {counted} of the {} bytes that it had", self.start);
        // What lies behind a part of a buffer stays.
        let len = if self.keeps { counted.max(self.start + n) } else { n };
        // SAFETY:
        // - `len` is the length of `as_bytes`, or the end of what the caller says was written, which is in the room that
        //   the buffer last gave: `room` passed on what lies behind `start`, which is 0 for a slice that keeps nothing;
        // - what lies behind `as_bytes` is behind `start` too, so the caller promises that it was written.
        unsafe { self.buffer.filled(len) }
    }
}
