//! The memory that a provided-buffer ring shares with the kernel (io_uring_register_buf_ring(3)): entries that
//! say where buffers are, and a tail.
//!
//! Ownership: this side writes entries and the tail, the kernel reads them and takes buffers from a head of its
//! own, which is not visible. A buffer belongs to the kernel from [`publish`](BufRing::publish) until a completion
//! names it.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use super::Pages;

/// `struct io_uring_buf`. The tail of the ring lies where the first entry has `resv`.
#[repr(C)]
struct Entry {
    addr: u64,
    len: u32,
    id: u16,
    resv: u16,
}

const TAIL: usize = std::mem::offset_of!(Entry, resv);

pub(super) struct BufRing {
    pages: Pages,
    entries: u16,
    /// Where the next entry goes; the published tail, except between `add` and `publish`.
    tail: u16,
}

impl BufRing {
    /// Memory for a ring of `entries`, a power of two of at most 32768.
    pub(super) fn map(entries: u16) -> std::io::Result<BufRing> {
        assert!(entries.is_power_of_two() && entries <= 32_768, "size of a buffer ring");
        let pages = Pages::map(usize::from(entries) * size_of::<Entry>())?;
        Ok(BufRing { pages, entries, tail: 0 })
    }

    pub(super) fn address(&self) -> u64 {
        self.pages.start().as_ptr() as u64
    }

    pub(super) fn entries(&self) -> u16 {
        self.entries
    }

    /// Writes an entry behind the tail. There must not be more entries in the ring than it has places.
    pub(super) fn add(&mut self, addr: NonNull<u8>, len: u32, id: u16) {
        let place = usize::from(self.tail & (self.entries - 1));
        // SAFETY: the place is masked to the size of the mapped ring.
        let entry = unsafe { self.pages.start().cast::<Entry>().add(place).as_ptr() };
        // SAFETY: the entry is behind the tail, where the kernel does not look; `resv` is left alone, because in
        // the first entry it is the tail.
        unsafe {
            (&raw mut (*entry).addr).write(addr.as_ptr() as u64);
            (&raw mut (*entry).len).write(len);
            (&raw mut (*entry).id).write(id);
        }
        self.tail = self.tail.wrapping_add(1);
    }

    /// Lets the kernel see what was added.
    pub(super) fn publish(&mut self) {
        // SAFETY: inside the first entry, aligned, and accessed by both sides as an atomic.
        let tail = unsafe { self.pages.start().add(TAIL).cast::<AtomicU16>().as_ref() };
        tail.store(self.tail, Ordering::Release);
    }
}
