//! Disjoint parts of a frame's bytes, borrowed at the same time.

use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::NonNull;

use super::outbox::{Outbox, Outboxes};
use super::pooled::Pooled;

/// How many parts can be borrowed at once.
const PARTS: usize = 8;

/// A frame's bytes, from which parts are borrowed: shared parts may overlap each other, a mutable part overlaps
/// nothing. Each part stays borrowed for as long as the frame's token is.
pub struct Views<'f> {
    start: NonNull<u8>,
    len: usize,
    /// What was lent: the first `count` of them, which are written. The others cost nothing.
    lent: [MaybeUninit<Lent>; PARTS],
    count: usize,
    /// The outboxes of the frame's region, and which of the frame's were lent: a bit each.
    outboxes: Option<(&'f Outboxes, usize)>,
    sent: u64,
    /// The pooled buffers of the frame's region.
    pooled: Option<(&'f Pooled, usize)>,
    frame: PhantomData<&'f mut [u8]>,
}

/// From where to where, and whether mutably.
type Lent = (u64, u64, bool);

impl<'f> Views<'f> {
    /// # Safety
    /// For `'f` nobody else may touch the `len` initialised bytes at `start`.
    #[inline]
    pub(super) unsafe fn new(start: NonNull<u8>, len: usize) -> Self {
        Views {
            start,
            len,
            lent: [const { MaybeUninit::uninit() }; PARTS],
            count: 0,
            outboxes: None,
            sent: 0,
            pooled: None,
            frame: PhantomData,
        }
    }

    /// Lends outboxes too.
    ///
    /// # Safety
    /// For `'f` nobody else may touch those of the frame `index`.
    #[inline]
    pub(super) unsafe fn with_outboxes(self, outboxes: &'f Outboxes, index: usize) -> Self {
        Views { outboxes: Some((outboxes, index)), ..self }
    }

    /// Lends pooled buffers too.
    ///
    /// # Safety
    /// For `'f` nobody else may touch those of the frame `index`, which gives none of them back meanwhile.
    #[inline]
    pub(super) unsafe fn with_pooled(self, pooled: &'f Pooled, index: usize) -> Self {
        Views { pooled: Some((pooled, index)), ..self }
    }

    /// Bytes to read. `None` if the range lies outside of the frame.
    ///
    /// # Panics
    /// If a part of them was lent mutably, or too many parts were lent.
    #[inline]
    pub fn read(&mut self, range: Range<u32>) -> Option<&'f [u8]> {
        let (start, len) = self.lend(range, false)?;
        // SAFETY: inside the bytes that are ours for `'f`; `lend` has made sure that they are not lent
        // mutably and will not be.
        Some(unsafe { std::slice::from_raw_parts(start.as_ptr(), len) })
    }

    /// Bytes to read and write. `None` if the range lies outside of the frame.
    ///
    /// # Panics
    /// If a part of them was lent before, or too many parts were lent.
    #[inline]
    pub fn write(&mut self, range: Range<u32>) -> Option<&'f mut [u8]> {
        let (start, len) = self.lend(range, true)?;
        // SAFETY: inside the bytes that are ours for `'f`; `lend` has made sure that no part of them is
        // lent or will be.
        Some(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) })
    }

    /// Bytes of a pooled buffer to read. The error is how many the frame has put in, if the range reaches further.
    ///
    /// # Panics
    /// As [`read`](Views::read), or if the program has no such buffer.
    pub fn read_pooled(&mut self, number: u16, range: Range<u32>) -> Result<&'f [u8], u32> {
        let (start, len) = self.lend_pooled(number, range, false)?;
        // SAFETY: inside the bytes that the frame has put into a buffer that it holds for `'f`; `lend_pooled` has made
        // sure that they are not lent mutably and will not be.
        Ok(unsafe { std::slice::from_raw_parts(start.as_ptr(), len) })
    }

    /// The same, to read and write.
    ///
    /// # Panics
    /// As [`write`](Views::write), or if the program has no such buffer.
    pub fn write_pooled(&mut self, number: u16, range: Range<u32>) -> Result<&'f mut [u8], u32> {
        let (start, len) = self.lend_pooled(number, range, true)?;
        // SAFETY: as in `read_pooled`; `lend_pooled` has made sure that no part of them is lent or will be.
        Ok(unsafe { std::slice::from_raw_parts_mut(start.as_ptr(), len) })
    }

    /// Takes what has come into an owned buffer out of the frame.
    ///
    /// # Panics
    /// If the program has no such buffer, it is not an owned one, or a part of it was lent.
    pub fn take_owned(&mut self, number: u16) -> Vec<u8> {
        let (pooled, index) = self.pooled.expect("views of a frame have its pooled buffers");
        assert!(pooled.is_owned(number), "the program has no owned buffer {number}");
        let (_, filled) = pooled.held(index, number);
        // Nothing of it is lent, and nothing is there to be lent later.
        let base = (u64::from(number) + 1) << 32;
        self.note(base..base + u64::from(filled), true);
        pooled.take(index, number)
    }

    fn lend_pooled(
        &mut self,
        number: u16,
        range: Range<u32>,
        mutably: bool,
    ) -> Result<(NonNull<u8>, usize), u32> {
        let (pooled, index) = self.pooled.expect("views of a frame have its pooled buffers");
        assert!(pooled.size(number).is_some(), "the program has no pooled buffer {number}");
        let (start, filled) = pooled.held(index, number);
        if range.start > range.end || range.end > filled {
            return Err(filled);
        }
        // Each has numbers of its own, behind those of the frame's bytes.
        let base = (u64::from(number) + 1) << 32;
        self.note(base + u64::from(range.start)..base + u64::from(range.end), mutably);
        // SAFETY: the range was just checked to lie inside the buffer.
        Ok((unsafe { start.add(range.start as usize) }, range.len()))
    }

    /// An outbox of the frame.
    ///
    /// # Panics
    /// If the program has no such outbox, it was lent before, or its number is 64 or more.
    #[inline]
    pub fn outbox(&mut self, i: u16) -> &'f mut Outbox {
        let (outboxes, index) = self.outboxes.expect("views of a frame have its outboxes");
        assert!(i < 64 && self.sent & 1 << i == 0, "outbox {i} is borrowed twice");
        self.sent |= 1 << i;
        // SAFETY: it is ours for `'f`, and was not lent before.
        unsafe { &mut *outboxes.lend(index, i) }
    }

    #[inline]
    fn lend(&mut self, range: Range<u32>, mutably: bool) -> Option<(NonNull<u8>, usize)> {
        if range.start > range.end || range.end as usize > self.len {
            return None;
        }
        self.note(range.start.into()..range.end.into(), mutably);
        // SAFETY: the range was just checked to lie inside the frame's bytes.
        Some((unsafe { self.start.add(range.start as usize) }, range.len()))
    }

    /// What was lent so far.
    #[inline]
    fn lent(&self) -> &[Lent] {
        let lent = &self.lent[..self.count];
        // SAFETY: so many of them are written, by `note`; `MaybeUninit` has the layout of what it holds.
        unsafe { &*(std::ptr::from_ref(lent) as *const [Lent]) }
    }

    /// Makes sure that what is lent overlaps nothing that it must not.
    #[inline]
    fn note(&mut self, range: Range<u64>, mutably: bool) {
        let overlaps = self
            .lent()
            .iter()
            .any(|&(start, end, mutable)| (mutably || mutable) && range.start < end && start < range.end);
        assert!(!overlaps, "the same bytes are borrowed twice, once of them mutably");
        assert!(self.count < PARTS, "more than {PARTS} parts of a frame are borrowed at once");
        self.lent[self.count].write((range.start, range.end, mutably));
        self.count += 1;
    }
}

impl std::fmt::Debug for Views<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").field("lent", &self.lent()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn views(bytes: &mut [u8]) -> Views<'_> {
        // SAFETY: the bytes are borrowed mutably for as long as the views.
        unsafe { Views::new(NonNull::from(&mut *bytes).cast(), bytes.len()) }
    }

    #[test]
    fn disjoint_parts_are_lent_together() {
        let mut bytes = *b"abcdef";
        let mut views = views(&mut bytes);
        let (left, right) = (views.read(0..3).unwrap(), views.write(3..6).unwrap());
        right.copy_from_slice(left);
        assert_eq!(&bytes, b"abcabc");
    }

    #[test]
    fn shared_parts_may_overlap() {
        let mut bytes = *b"abcdef";
        let mut views = views(&mut bytes);
        assert_eq!((views.read(0..4).unwrap(), views.read(2..6).unwrap()), (&b"abcd"[..], &b"cdef"[..]));
    }

    #[test]
    #[should_panic(expected = "borrowed twice")]
    fn a_mutable_part_overlaps_nothing() {
        let mut bytes = [0; 6];
        let mut views = views(&mut bytes);
        let _shared = views.read(0..4);
        let _mutable = views.write(3..5);
    }

    #[test]
    fn a_part_outside_is_refused() {
        let mut bytes = [0; 6];
        let mut views = views(&mut bytes);
        assert!(views.read(0..7).is_none());
        assert!(views.write(7..7).is_none());
        assert!(views.write(6..6).is_some());
    }
}
