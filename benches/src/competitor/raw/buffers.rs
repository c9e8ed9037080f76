//! A ring of provided buffers: the kernel takes one only when bytes have come.
//!
//! A buffer belongs to the kernel from [`Buffers::give`] until a completion names it, and to the loop from
//! then until it is given back.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The only buffer group of a loop.
pub(in crate::competitor) const GROUP: u16 = 0;

/// `COUNT` buffers of `SIZE` bytes each; never freed, because the kernel may write to them for as long as the
/// process lives.
pub(in crate::competitor) struct Buffers<const COUNT: u16, const SIZE: usize> {
    entries: NonNull<BufRingEntry>,
    bytes: NonNull<u8>,
    tail: u16,
}

#[repr(align(4096))]
#[derive(Clone)]
struct Page(#[expect(dead_code, reason = "accessed by address only")] [u8; 4096]);

/// Whole pages, zeroed and never freed.
fn pages(bytes: usize) -> NonNull<u8> {
    NonNull::from(Box::leak(vec![Page([0; 4096]); bytes.div_ceil(4096)].into_boxed_slice())).cast()
}

impl<const COUNT: u16, const SIZE: usize> Buffers<COUNT, SIZE> {
    const MASK: u16 = {
        assert!(COUNT.is_power_of_two());
        COUNT - 1
    };

    /// Registers the ring and gives all buffers to the kernel.
    pub(in crate::competitor) fn register(submitter: &Submitter<'_>) -> io::Result<Self> {
        let entries = pages(usize::from(COUNT) * size_of::<BufRingEntry>()).cast();
        let mut buffers = Self { entries, bytes: pages(usize::from(COUNT) * SIZE), tail: 0 };
        // SAFETY: the ring is page-aligned, has `COUNT` entries and is never freed.
        unsafe { submitter.register_buf_ring_with_flags(entries.as_ptr() as u64, COUNT, GROUP, 0)? };
        (0..COUNT).for_each(|id| buffers.give(id));
        Ok(buffers)
    }

    /// Gives a buffer to the kernel.
    #[inline]
    pub(in crate::competitor) fn give(&mut self, id: u16) {
        // SAFETY: the masked index lies within the ring; the kernel reads an entry only once the tail has
        // passed it; and the tail, which lies in the first entry, is written by this thread alone.
        unsafe {
            let entry = self.entries.add(usize::from(self.tail & Self::MASK)).as_mut();
            entry.set_addr(self.address(id) as u64);
            entry.set_len(SIZE as u32);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }

    /// Where a buffer's bytes are.
    #[inline]
    pub(in crate::competitor) fn address(&self, id: u16) -> *mut u8 {
        debug_assert!(id < COUNT);
        self.bytes.as_ptr().wrapping_add(usize::from(id) * SIZE)
    }

    /// The bytes that a completion has put into a buffer.
    ///
    /// # Safety
    ///
    /// The buffer belongs to the loop, and not to the kernel, as long as the slice is used.
    #[inline]
    pub(in crate::competitor) unsafe fn received(&self, id: u16, count: usize) -> &[u8] {
        assert!(id < COUNT && count <= SIZE);
        // SAFETY: the range lies within the buffer, all of it is initialised, and the caller vouches for the
        // rest.
        unsafe { std::slice::from_raw_parts(self.address(id), count) }
    }
}
