//! The region: the two mappings of a program on a core, and the arithmetic inside them.
//!
//! Address space for all frames is reserved at once and made accessible in steps, so that addresses never
//! change, an unused frame costs nothing, and no accounting is charged for what is not used.

use std::cell::Cell;
use std::io;
use std::ptr::NonNull;

use super::layout::Layout;
use super::outbox::Slot;
use crate::driver::Key;

pub(super) const PAGE: usize = 4096;
/// Frames made accessible at once, at least.
const STEP: u32 = 64;

/// The head of a control record.
#[repr(C)]
pub(super) struct Header {
    /// The `user_data` of the one completion that is awaited, if that is how the submission ends; 0 else, and 0
    /// wherever the completion needs a closer look (a part of a segment, a frame that is being cancelled). Nobody's key
    /// if a deadline has interrupted the frame: the completion is the one awaited, and needs a closer look.
    pub(super) expect: Cell<u64>,
    /// The length that the member of the expected completion was submitted with.
    pub(super) want: Cell<u32>,
    /// Strands of the frame that have not ended. While there are any, they have what is in flight.
    pub(super) strands: Cell<u16>,
    /// This use of the frame; compared with every completion.
    pub(super) key: Cell<Key>,
    /// The segment that was submitted last.
    pub(super) segment: Cell<u16>,
    /// Completions to come, if they are counted and not expected.
    pub(super) counted: Cell<u16>,
    pub(super) flags: Cell<u8>,
    /// The first member whose result was not a success, where every member reports.
    pub(super) bad_member: Cell<u8>,
    /// The first member of the current submission, when a segment was taken up in its middle.
    pub(super) from: Cell<u8>,
    /// The member after the last of the current submission.
    pub(super) to: Cell<u8>,
    /// Bytes that an interrupted member had transferred before its current submission.
    pub(super) done: Cell<u32>,
    /// The result of `bad_member`.
    pub(super) bad_result: Cell<i32>,
    /// The result of the last member, where every member reports.
    pub(super) last_result: Cell<i32>,
    /// The next free frame; of a strand, its branch.
    pub(super) next: Cell<u32>,
    /// The first of the frame's outboxes, which the others follow; none of a strand.
    pub(super) outboxes: Cell<*mut Slot>,
}

impl Header {
    /// Whether a completion is to come.
    pub(super) fn in_flight(&self) -> bool {
        self.expect.get() != 0 || self.counted.get() > 0
    }

    pub(super) fn has(&self, flag: u8) -> bool {
        self.flags.get() & flag != 0
    }

    pub(super) fn raise(&self, flag: u8) {
        self.flags.set(self.flags.get() | flag);
    }
}

/// A word without a descriptor.
pub(super) const VACANT: u64 = 0xffff_ffff_0000_0000;

/// The frame has no use at the moment.
pub(super) const FREE: u8 = 1 << 0;
/// The frame is being cancelled.
pub(super) const CANCELLING: u8 = 1 << 1;
/// The current submission is not the whole segment (see `Header::from`, `Header::to`).
pub(super) const PARTIAL: u8 = 1 << 2;
/// A member of the current submission failed while others have yet to report.
pub(super) const BAD: u8 = 1 << 3;
/// The frame waits in the ready queue.
pub(super) const PARKED: u8 = 1 << 4;
/// A cancel request stands.
pub(super) const ASKED: u8 = 1 << 5;
/// A deadline has passed that the runner does not know of yet.
pub(super) const INTERRUPTED: u8 = 1 << 6;

/// The control record of an accessible frame: a header, then the words of its layout, then the headers of its strands.
#[derive(Clone, Copy)]
pub(super) struct Record(NonNull<u8>);

impl Record {
    #[inline]
    pub(super) fn header<'a>(self) -> &'a Header {
        // SAFETY: the record of an accessible frame is mapped for as long as the memory, which outlives
        // every user of it inside this folder; zero at first (a valid `Header`), and only ever accessed
        // as cells.
        unsafe { self.0.cast::<Header>().as_ref() }
    }

    /// One word: descriptors first, then registers.
    ///
    /// # Safety
    /// `word` must be below the words of the layout that the memory was reserved for.
    #[inline]
    pub(super) unsafe fn word<'a>(self, word: usize) -> &'a Cell<u64> {
        // SAFETY: the words follow the header inside the record; the rest as in `header`.
        unsafe { self.0.add(size_of::<Header>()).cast::<Cell<u64>>().add(word).as_ref() }
    }

    /// One of the frame's outboxes.
    ///
    /// # Safety
    /// The frame's region must have so many, as checked segments and code see to.
    #[inline(always)]
    pub(super) unsafe fn outbox(self, outbox: u16) -> *mut Slot {
        // SAFETY: those of a frame lie side by side from the first on, by the caller's promise more than this one.
        unsafe { self.header().outboxes.get().add(outbox.into()) }
    }

    /// The header of a strand, behind the `words` of the layout.
    ///
    /// # Safety
    /// The memory must have been reserved for a layout of that many words, and for more strands a frame than `strand`.
    #[inline]
    pub(super) unsafe fn strand<'a>(self, words: usize, strand: usize) -> &'a Header {
        let behind = size_of::<Header>() + words * size_of::<u64>();
        // SAFETY: inside the record by the caller's promise, and aligned as a word is; the rest as in `header`.
        unsafe { self.0.add(behind).cast::<Header>().add(strand).as_ref() }
    }
}

pub(super) struct Memory {
    records: Reserved,
    buffers: Reserved,
    record_size: usize,
    stride: usize,
    accessible: Cell<usize>,
    limit: u32,
}

impl Memory {
    /// Reserves address space for `limit` frames, each with the headers of so many strands.
    pub(super) fn reserve(layout: &Layout, strands: u16, limit: u32) -> io::Result<Memory> {
        let headers = (1 + usize::from(strands)) * size_of::<Header>();
        let record_size = (headers + layout.words() * size_of::<u64>()).next_multiple_of(16);
        let stride = layout.stride();
        let total = |size: usize| size.checked_mul(limit as usize).ok_or(io::ErrorKind::OutOfMemory);
        Ok(Memory {
            records: Reserved::new(total(record_size)?)?,
            buffers: Reserved::new(total(stride)?)?,
            record_size,
            stride,
            accessible: Cell::new(0),
            limit,
        })
    }

    /// How many frames are accessible: every index below is one.
    #[inline]
    pub(super) fn accessible(&self) -> usize {
        self.accessible.get()
    }

    /// Makes more frames accessible; gives their indices.
    pub(super) fn grow(&self) -> io::Result<std::ops::Range<u32>> {
        let old = self.accessible.get() as u32;
        let new = old.saturating_add(old.clamp(STEP, 4096)).min(self.limit);
        if new == old {
            return Err(io::ErrorKind::OutOfMemory.into());
        }
        self.records.make_accessible(new as usize * self.record_size)?;
        self.buffers.make_accessible(new as usize * self.stride)?;
        self.accessible.set(new as usize);
        Ok(old..new)
    }

    /// The control record of an accessible frame.
    #[inline]
    pub(super) fn record(&self, index: usize) -> Record {
        debug_assert!(index < self.accessible.get());
        // SAFETY: inside the reservation for every index below the limit.
        Record(unsafe { self.records.start.add(index * self.record_size) })
    }

    /// The first byte of an accessible frame's buffer.
    #[inline]
    pub(super) fn buffer(&self, index: usize) -> NonNull<u8> {
        // SAFETY: inside the reservation for every index below the limit.
        unsafe { self.buffers.start.add(index * self.stride) }
    }

    /// Never unmaps: the kernel may still write.
    pub(super) fn leak(&self) {
        self.records.leaked.set(true);
        self.buffers.leaked.set(true);
    }

    /// Makes a frame's buffer zero: the next connection has no business with the bytes of this one. Pages of its own
    /// are given back to the system.
    pub(super) fn discard(&self, index: usize) {
        let buffer = self.buffer(index).as_ptr();
        let start = buffer.addr();
        let end = start + self.stride;
        let first = start.next_multiple_of(PAGE).min(end);
        let last = (end & !(PAGE - 1)).max(first);
        // SAFETY: inside the frame's buffer.
        let (pages, rest) = unsafe { (buffer.add(first - start), buffer.add(last - start)) };
        let given_back = first < last
            // SAFETY: whole pages of this frame's buffer, which nothing refers to: it is free.
            && unsafe { libc::madvise(pages.cast(), last - first, libc::MADV_DONTNEED) } == 0;
        let (before, behind) = if given_back { (first - start, end - last) } else { (self.stride, 0) };
        // SAFETY: inside the frame's buffer, which nothing refers to.
        unsafe {
            buffer.write_bytes(0, before);
            rest.write_bytes(0, behind);
        }
    }
}

/// Address space, of which a growing front part is accessible.
struct Reserved {
    start: NonNull<u8>,
    len: usize,
    leaked: Cell<bool>,
}

impl Reserved {
    fn new(len: usize) -> io::Result<Reserved> {
        let len = len.max(1).next_multiple_of(PAGE);
        // SAFETY: a fresh private mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_NONE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(Reserved {
            start: NonNull::new(start.cast()).expect("mmap never returns null"),
            len,
            leaked: Cell::new(false),
        })
    }

    fn make_accessible(&self, len: usize) -> io::Result<()> {
        let len = len.next_multiple_of(PAGE).min(self.len);
        // SAFETY: a front part of this value's own mapping.
        let done =
            unsafe { libc::mprotect(self.start.as_ptr().cast(), len, libc::PROT_READ | libc::PROT_WRITE) };
        if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        if !self.leaked.get() {
            // SAFETY: this value's own mapping; `Frames::drop` leaks it unless the kernel is done with it.
            unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        }
    }
}
